"""Will it fit into memory? An estimate before any of it is taken."""

from __future__ import annotations

import contextlib
import math
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from intel_core.batches import read_ahead
from intel_core.devices import pick_device
from intel_core.errors import SpecError

if TYPE_CHECKING:
    from intel_core.data import Dataset
    from intel_core.runspec import RunSpec

__all__ = [
    "RESIDENT_SHARE",
    "estimate",
    "fit_at_once",
    "fits_beside",
    "memory_there",
    "out_of_memory_told",
    "require_bytes",
    "require_memory",
]

_PER_PARAMETER = 28
"""Bytes: weight, gradient, two moments of Adam, and the snapshot of all but the gradient, in float32."""
_PER_ACTIVATION = 8
"""Bytes: a value and its gradient."""
_ADVICE = "Try smaller networks, a smaller latent or batch_size, or fewer particles"
_MANY_ROWS = 4096
RESIDENT_SHARE = 0.25
"""Of the memory that there is, what training data may take before ``stream=auto`` leaves it on disk."""
_CGROUP = (Path("/sys/fs/cgroup/memory.max"), Path("/sys/fs/cgroup/memory/memory.limit_in_bytes"))


def require_memory(spec: RunSpec, dataset: Dataset) -> None:
    """Refuse a run that plainly cannot fit into the memory of its device.

    Raises:
        SpecError: with the estimate and what is there, in GiB.
    """
    require_bytes("training", estimate(spec, dataset), pick_device(spec.device), _ADVICE)


def fit_at_once(spec: RunSpec, dataset: Dataset, models: int) -> bool:
    """Whether so many models of a resolved spec can plausibly be trained at once on its device."""
    there = memory_there(pick_device(spec.device))
    return there is None or models * estimate(spec, dataset) <= there


def require_bytes(what: str, needed: float, device: torch.device, advice: str) -> None:
    """Refuse what plainly cannot fit into the memory of a device.

    Args:
        what: for the message.
        needed: bytes.
        device: where.
        advice: what to do about it.

    Raises:
        SpecError: with the estimate and what is there, in GiB.

    >>> require_bytes("nothing", 0.0, torch.device("cpu"), "ask for less")
    """
    there = memory_there(device)
    if there is not None and needed > there:
        raise SpecError(f"{what} would take about {_gib(needed)} GiB of memory, {device} has {_gib(there)}. {advice}")


def fits_beside(size: float) -> bool:
    """Whether training data of so many bytes leaves the memory, of an accelerator too, to what else a run needs.

    >>> fits_beside(1.0)
    True
    """
    devices = [torch.device("cpu"), *([torch.device("cuda")] if torch.cuda.is_available() else [])]
    there = [found for found in map(memory_there, devices) if found is not None]
    return size <= RESIDENT_SHARE * min(there, default=math.inf)


@contextlib.contextmanager
def out_of_memory_told() -> Iterator[None]:
    """What did not fit although the estimate did is told as well.

    Raises:
        SpecError: where memory ran out inside the block.
    """
    try:
        yield
    except (MemoryError, RuntimeError) as error:
        spent = isinstance(error, MemoryError | torch.OutOfMemoryError) or "can't allocate memory" in str(error)
        if not spent:
            raise
        raise SpecError(f"memory ran out; what was saved stays, and resume goes on from it. {_ADVICE}") from error


def estimate(spec: RunSpec, dataset: Dataset) -> float:
    """Bytes that the weights, the optimiser and one step of a resolved spec take at least, and what is read ahead.

    The networks are built without memory behind them; parts that cannot be built so count for nothing.
    """
    assert spec.encoder is not None
    assert spec.decoder is not None
    assert spec.likelihood is not None
    assert spec.latent is not None
    shape, latent, rows = dataset.x_shape, spec.latent, min(spec.batch_size, len(dataset.train))
    particles = int(getattr(spec.objective, "particles", 1))
    x_numbers = math.prod(shape)
    total = float(_PER_ACTIVATION * rows * (x_numbers + particles * (latent + x_numbers)))
    total += read_ahead(dataset.train, rows)
    with _without_memory():
        with contextlib.suppress(Exception):  # whatever is wrong with a mapping, building it says
            total += sum(_size(part.build(latent)) for part in spec.mapping)
        per_value = 1
        with contextlib.suppress(Exception):
            per_value = spec.likelihood.build().params_per_value
        encoder, decoder = spec.encoder, spec.decoder
        out_shape = (shape[0] * per_value, *shape[1:])
        total += _network(lambda: encoder.build_encoder(shape, 2 * latent), shape, rows)
        total += _network(lambda: decoder.build_decoder(latent, out_shape), (latent,), rows * particles)
    return total


def memory_there(device: torch.device) -> float | None:
    """Bytes of memory that a device has at all, used or not; None where that cannot be known.

    >>> memory_there(torch.device("meta")) is None
    True
    """
    if device.type == "cuda":
        return float(torch.cuda.get_device_properties(device).total_memory)
    if device.type not in ("cpu", "mps"):
        return None
    found: list[float] = []
    with contextlib.suppress(ValueError, OSError, AttributeError):  # Windows has no sysconf
        found.append(float(os.sysconf("SC_PAGE_SIZE")) * os.sysconf("SC_PHYS_PAGES"))
    for path in _CGROUP:
        with contextlib.suppress(ValueError, OSError):  # "max" is no number
            found.append(float(path.read_text()))
    return min(found, default=None)


@contextlib.contextmanager
def _without_memory() -> Iterator[None]:
    """Tensors of this block have shapes and no values; the global random state stays as it was."""
    with torch.random.fork_rng(devices=[]), torch.device("meta"), torch.no_grad():
        yield


def _network(build: Callable[[], nn.Module], shape: tuple[int, ...], rows: int) -> float:
    """Bytes of one network and of what passes through it."""
    try:
        net = build()
    except Exception:
        return 0.0  # it does not fit the data, or cannot be built without memory; building it says so
    return _size(net) + float(_PER_ACTIVATION * sum(_outputs(net, shape, rows)))


def _outputs(net: nn.Module, shape: tuple[int, ...], rows: int) -> list[int]:
    """How many numbers each layer gives; convolutions count only where there are many rows.

    To follow these through their layers torch imports for a second what it needs for tensors without values.
    """
    if rows < _MANY_ROWS:
        return [rows * layer.out_features for layer in net.modules() if isinstance(layer, nn.Linear)]
    found: list[int] = []
    for module in net.modules():
        if not list(module.children()):
            module.register_forward_hook(lambda module, inputs, output: found.append(_numel(output)))
    with contextlib.suppress(Exception):
        net.eval()(torch.empty(rows, *shape))
    return found


def _numel(output: object) -> int:
    return output.numel() if isinstance(output, Tensor) else 0


def _size(part: object) -> float:
    count = sum(parameter.numel() for parameter in part.parameters()) if isinstance(part, nn.Module) else 0
    return float(_PER_PARAMETER * count)


def _gib(size: float) -> str:
    return "more than a million" if size > 2**50 else f"{size / 2**30:,.1f}"
