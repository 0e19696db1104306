"""How much memory does the model of a run spec take? An estimate before any of it is taken."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Callable, Iterator, Sequence

import torch
from torch import nn

from intel_core.compute.memory import require_bytes
from intel_core.model.contract import PosteriorSpec
from intel_core.recipe.runspec import RunSpec

__all__ = ["encoder_features", "require_room", "weight_bytes", "without_memory"]

_PER_NUMBER = 4
_OVERFLOWS = ("overflow", "Overflow")
"""In what torch says of a shape that no memory holds."""


def require_room(what: str, spec: RunSpec, x_shape: Sequence[int], device: torch.device) -> float:
    """Refuse a model that plainly cannot fit into the memory of a device; the bytes that it takes at least.

    Args:
        what: for the message.
        spec: a resolved spec.
        x_shape: shape of an example.
        device: where.

    Raises:
        EnvironmentProblem: with the estimate and what is there, in GiB.
    """
    advice = "Use a machine with more memory; if the run never was so large, its run.json is damaged"
    needed = weight_bytes(spec, x_shape)
    require_bytes(what, needed, device, advice)
    return needed


def weight_bytes(spec: RunSpec, x_shape: Sequence[int]) -> float:
    """Bytes of the weights of a resolved spec's model and of one example; infinite if no memory could hold them.

    Parts that cannot be built without memory count for nothing; whatever is wrong with them, building them says so.

    >>> from intel_core.recipe.runspec import make_run_spec
    >>> spec = make_run_spec(
    ...     mapping="identity", data="memory:examples=4,shape=[2]", latent=2, likelihood="bernoulli",
    ...     encoder="linear", decoder="linear",
    ... )
    >>> weight_bytes(spec, [2])  # 2 x 4 and 2 x 2 weights, 4 and 2 biases, and the example
    80.0
    """
    encoder, decoder, latent, likelihood = spec.encoder, spec.decoder, spec.latent, spec.likelihood
    if encoder is None or decoder is None or latent is None or likelihood is None:
        return 0.0
    shape = tuple(x_shape)
    total = float(_PER_NUMBER * math.prod(shape))
    with without_memory():
        per_value = 1
        with contextlib.suppress(Exception, SystemExit):
            per_value = likelihood.build().params_per_value
        out_shape = (shape[0] * per_value, *shape[1:])
        total += sum(_bytes(lambda part=part: part.build(latent)) for part in spec.mapping)  # type: ignore[misc]
        total += _bytes(lambda: spec.posterior.build(latent)) + _bytes(lambda: spec.prior.build(latent, shape))
        features = encoder_features(spec.posterior, latent)
        total += _bytes(lambda: encoder.build_encoder(shape, features))
        total += _bytes(lambda: decoder.build_decoder(latent, out_shape))
    return float(total)


def encoder_features(posterior: PosteriorSpec, latent: int) -> int:
    """How wide the encoder's output is; as for the usual posterior where this one cannot be built.

    >>> from intel_core.components.spec import parse_spec
    >>> encoder_features(parse_spec("posteriors", "gaussian"), 3)
    6
    """
    with contextlib.suppress(Exception, SystemExit):
        return posterior.build(latent).features
    return 2 * latent


@contextlib.contextmanager
def without_memory() -> Iterator[None]:
    """Tensors of this block have shapes and no values; the global random state stays as it was."""
    with torch.random.fork_rng(devices=[]), torch.device("meta"), torch.no_grad():
        yield


def _bytes(build: Callable[[], object]) -> float:
    try:
        part = build()
    except MemoryError:
        return math.inf
    except (Exception, SystemExit) as error:
        return math.inf if any(word in str(error) for word in _OVERFLOWS) else 0.0
    parameters = part.parameters() if isinstance(part, nn.Module) else ()
    count = sum(parameter.numel() for parameter in parameters if not nn.parameter.is_lazy(parameter))
    return float(_PER_NUMBER * count)
