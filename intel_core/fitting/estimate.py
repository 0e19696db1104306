"""Will a run fit into memory? An estimate before anything is allocated."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Callable
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from intel_core.compute.device import pick_device

if TYPE_CHECKING:
    from intel_core.data.dataset import Dataset
    from intel_core.recipe.runspec import RunSpec
from intel_core.compute.memory import SMALLER, fits, require_bytes
from intel_core.recipe.size import encoder_features, without_memory

__all__ = [
    "estimate",
    "fit_at_once",
    "require_memory",
]

_PER_PARAMETER = 28
"""Bytes per weight, in float32: weight, gradient, two moments of Adam, and the snapshot of all but the gradient."""
_PER_ACTIVATION = 8
"""Bytes per value of a layer's output: the value and its gradient."""
_MANY_ROWS = 4096


def require_memory(spec: RunSpec, dataset: Dataset) -> None:
    """Refuse a run that clearly cannot fit into the memory of its device.

    Raises:
        EnvironmentProblem: with the estimate and what is there, in GiB.
    """
    require_bytes("training", estimate(spec, dataset), pick_device(spec.device), SMALLER)


def fit_at_once(spec: RunSpec, dataset: Dataset, models: int) -> bool:
    """Whether a number of models of a resolved spec probably fit into the memory of its device together."""
    return fits(models * estimate(spec, dataset), pick_device(spec.device))


def estimate(spec: RunSpec, dataset: Dataset) -> float:
    """A lower bound of the bytes of weights, optimiser, one step and batches read ahead, for a resolved spec.

    The networks are built on the meta device, without memory; parts that cannot be built there count as 0.
    """
    assert spec.encoder is not None
    assert spec.decoder is not None
    assert spec.likelihood is not None
    assert spec.latent is not None
    shape, latent, batch = dataset.x_shape, spec.latent, min(spec.batch_size, len(dataset.train))
    rows = math.ceil(batch / (spec.optimizer.accumulate or 1))
    particles = int(getattr(spec.objective, "particles", 1))
    x_numbers = math.prod(shape)
    total = float(_PER_ACTIVATION * rows * (x_numbers + particles * (latent + x_numbers)))
    total += dataset.train.bytes_ahead(batch)
    with without_memory():
        with contextlib.suppress(Exception, SystemExit):  # whatever is wrong with a mapping, building it says
            total += sum(_size(part.build(latent)) for part in spec.mapping)
        per_value = 1
        with contextlib.suppress(Exception, SystemExit):
            per_value = spec.likelihood.build().params_per_value
        encoder, decoder = spec.encoder, spec.decoder
        out_shape = (shape[0] * per_value, *shape[1:])
        features = encoder_features(spec.posterior, latent)
        total += _network(lambda: encoder.build_encoder(shape, features), shape, rows)
        total += _network(lambda: decoder.build_decoder(latent, out_shape), (latent,), rows * particles)
    return total


def _network(build: Callable[[], object], shape: tuple[int, ...], rows: int) -> float:
    """Bytes of one network and of the values that pass through it."""
    try:
        net = build()
    except (Exception, SystemExit):
        return 0.0  # it does not fit the data, which building it reports, or cannot be built without memory
    if not isinstance(net, nn.Module):
        return 0.0  # which building it says, too
    return _size(net) + float(_PER_ACTIVATION * sum(_outputs(net, shape, rows)))


def _outputs(net: nn.Module, shape: tuple[int, ...], rows: int) -> list[int]:
    """The number of outputs of each layer; convolutions are followed only if there are many rows.

    To follow convolutions, torch imports its code for tensors without values, which takes a second.
    """
    if rows < _MANY_ROWS:
        return [rows * layer.out_features for layer in net.modules() if isinstance(layer, nn.Linear)]
    found: list[int] = []
    for module in net.modules():
        if not list(module.children()):
            module.register_forward_hook(lambda module, inputs, output: found.append(_numel(output)))
    with contextlib.suppress(Exception, SystemExit):
        net.eval()(torch.empty(rows, *shape))
    return found


def _numel(output: object) -> int:
    return output.numel() if isinstance(output, Tensor) else 0


def _size(part: object) -> float:
    parameters = part.parameters() if isinstance(part, nn.Module) else ()
    count = sum(parameter.numel() for parameter in parameters if not nn.parameter.is_lazy(parameter))
    return float(_PER_PARAMETER * count)
