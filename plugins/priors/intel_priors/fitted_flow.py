r"""Which normalising flow do the encodings of the training data form? Fitted by maximum likelihood, kept as tensors.

With one draw of q(y|x) for each training example, the flow is fitted to the aggregate posterior

.. math:: q(y) = \frac1N \sum_i q(y|x_i)

and the weights that are kept are those under which the encodings of validation examples were likeliest.

Source: Ghosh et al., "From variational to deterministic autoencoders", 2020 (ex-post density estimation); splines:
Durkan et al., 2019.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Mapping as Dictionary
from typing import TYPE_CHECKING, NamedTuple

import torch
from torch import Tensor, nn

from intel_core.compute.threads import on_threads
from intel_core.errors import PluginError, SpecError
from intel_core.evaluation.sampler import FittedSampler
from intel_priors.flow import FlowPrior

if TYPE_CHECKING:
    from intel_priors.flow import Form

__all__ = ["FittedFlow", "Shape", "fit"]

_FEWEST = 20
"""Training examples, at least; and a quarter of them for validation."""
_BATCH = 256
_RATES = (2e-3, 4e-4)
"""Learning rates, each until validation encodings are no likelier; each but the first begins at the best weights."""
_PATIENCE = 6
_LEAST_STEPS = 50
"""Steps between two looks at the validation encodings, or a pass over the training encodings if that is more."""
_NARROWEST = 1e-6
_ROWS = 4096


class Shape(NamedTuple):
    """What says how many numbers a flow has: the fields of `FlowPrior`."""

    form: Form
    transforms: int
    hidden: tuple[int, ...]
    bins: int


class FittedFlow(nn.Module):
    r"""y = m + s * f^-1(u), u ~ N(0, I): a flow f of standardised y.

    .. math:: \log p(y) = \log p_f((y - m) / s) - \sum_d \log s_d

    Args:
        mean: m, ``(y_dim,)``.
        scale: s, ``(y_dim,)``.
        shape: of the flow, whose weights are drawn from torch's default generator.

    >>> flow = FittedFlow(torch.ones(3), torch.full((3,), 2.0), Shape("nsf", 1, (8,), 4))
    >>> flow.draw(torch.zeros(5, 3)).shape, flow.log_prob(torch.zeros(5, 3)).shape
    (torch.Size([5, 3]), torch.Size([5]))
    """

    mean: Tensor
    scale: Tensor

    def __init__(self, mean: Tensor, scale: Tensor, shape: Shape) -> None:
        super().__init__()
        self.noise_dim = len(mean)
        self.register_buffer("mean", mean)
        self.register_buffer("scale", scale)
        self.flow = FlowPrior(len(mean), *shape)

    def draw(self, noise: Tensor) -> Tensor:
        """``(..., y_dim) -> (..., y_dim)``."""
        return torch.addcmul(self.mean, self.scale, self.flow.draw(noise))

    def log_prob(self, y: Tensor) -> Tensor:
        """``(..., y_dim) -> (...)``, nats."""
        return self.flow.log_prob((y - self.mean) / self.scale) - self.scale.log().sum()


def of_tensors(tensors: Dictionary[str, Tensor], shape: Shape) -> FittedFlow:
    """The flow of kept tensors, which may come from a stranger's run directory.

    Raises:
        ValueError: if they are not those of such a flow.
    """
    mean, scale = (tensors.get(name, torch.empty(0, 0)) for name in ("mean", "scale"))
    if mean.ndim != 1 or mean.shape != scale.shape or not len(mean) or not bool((scale > 0).all()):
        raise ValueError("there is no mean, or no positive scale, for each dimension")
    numbers = sum(value.numel() for value in tensors.values())
    if numbers < shape.hidden[0] * (len(mean) // 2):  # before a network of that size is made
        raise ValueError(f"{numbers} numbers are too few for {len(mean)} dimensions")
    flow = _untrained(mean.float(), scale.float(), shape, 0)
    expected = {name: (value.shape, value.dtype) for name, value in flow.state_dict().items()}
    if {name: (value.shape, value.dtype) for name, value in tensors.items()} != expected:
        raise ValueError("its tensors are not those of such a flow")
    flow.load_state_dict(dict(tensors))
    return flow.requires_grad_(False).eval()


@on_threads(1)
def fit(y: Tensor, held_out: Tensor, shape: Shape, *, steps: int, seed: int = 0) -> FittedSampler:
    """The flow of y, ``(n, y_dim)``; computed on one thread, so that a seed gives it on machines with more, too.

    Args:
        y: encodings of training data.
        held_out: encodings of validation data, ``(m, y_dim)``, whose likelihood decides when to stop.
        shape: of the flow.
        steps: at most so many.
        seed: of the weights at first, and of the batches.

    Raises:
        SpecError: if there are too few examples.
        PluginError: if no step made the validation encodings likelier than infinitely unlikely.
    """
    if len(y) < _FEWEST or len(held_out) < _FEWEST // 4:
        raise SpecError(
            f"a flow needs {_FEWEST} training examples and {_FEWEST // 4} for validation, there are {len(y)} and "
            f"{len(held_out)}"
        )
    mean, scale = y.mean(0), y.std(0).clamp(min=_NARROWEST)
    flow = _untrained(mean, scale, shape, seed)
    order = torch.Generator().manual_seed(seed)
    each = max(_LEAST_STEPS, math.ceil(len(y) / _BATCH))
    best, kept, at, taken = _likelihood(flow, held_out), copy.deepcopy(flow.state_dict()), 0, 0
    for rate in _RATES:
        flow.load_state_dict(kept)
        optimizer = torch.optim.Adam(flow.parameters(), lr=rate)
        since = 0
        while since < _PATIENCE and taken < steps:
            for _ in range(min(each, steps - taken)):
                _step(flow, optimizer, y[torch.randint(len(y), (_BATCH,), generator=order)])
                taken += 1
            found = _likelihood(flow, held_out)
            since += 1
            if found > best:
                best, kept, at, since = found, copy.deepcopy(flow.state_dict()), taken, 0
    if not math.isfinite(best):
        raise PluginError("no flow gave the encodings of validation examples a finite likelihood")
    return FittedSampler(
        kept,
        {
            "form": shape.form,
            "steps": at,
            "chosen by": "log-likelihood of validation encodings, nats per example",
            "log-likelihood of validation encodings": best,
            "steps tried": taken,
        },
    )


def _untrained(mean: Tensor, scale: Tensor, shape: Shape, seed: int) -> FittedFlow:
    """Its weights depend on the seed alone, and the script's own random numbers are left as they are."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return FittedFlow(mean.clone(), scale.clone(), shape)


def _step(flow: FittedFlow, optimizer: torch.optim.Optimizer, rows: Tensor) -> None:
    with torch.enable_grad():
        loss = -flow.log_prob(rows).mean()
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
    norm = torch.nn.utils.clip_grad_norm_(flow.parameters(), 10.0)
    if bool(torch.isfinite(norm)):
        optimizer.step()


@torch.no_grad()
def _likelihood(flow: FittedFlow, y: Tensor) -> float:
    """Mean log-likelihood, nats per example; minus infinity if it is no number."""
    found = float(torch.cat([flow.log_prob(rows) for rows in torch.split(y, _ROWS)]).double().mean())
    return found if math.isfinite(found) else -math.inf
