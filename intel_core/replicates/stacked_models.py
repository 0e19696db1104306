"""How do several models of one architecture become one? Their tensors lie in stacks, and each model is a view of them.

R steps of small models cost R times the overhead of one step; a single step on tensors ``(R, ...)`` costs it once. The
models can still be evaluated, saved and annealed one by one: each reads and writes its own part of the stacks.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from collections.abc import Mapping as Dictionary
from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.func import functional_call, vmap

from intel_core.model.likelihood import Likelihood
from intel_core.model.objectives import Objective, Terms
from intel_core.model.posterior import DiagonalFamily, DiagonalGaussian
from intel_core.model.prior import Prior, StandardNormal
from intel_core.model.vae import InteLVAE

__all__ = ["Evaluate", "Stack", "StackedVAE", "disagreement", "ways"]

Evaluate = Callable[[Tensor, Tensor, Dictionary[str, float]], Terms]
"""Terms of all models, each of shape ``(R,)``, for x ``(R, n, *x_shape)`` and noise ``(R, particles, n, dim)``."""

_ELEMENTWISE = (nn.ReLU, nn.LeakyReLU, nn.Tanh, nn.ELU, nn.GELU, nn.SiLU, nn.Softplus)


class Stack:
    """The tensors of R models of one architecture, stacked to ``(R, ...)``; the models become views of them.

    Args:
        models: models of one architecture on one device; they share their memory with the stacks.

    Attributes:
        models: the models, in order.
        tensors: stacked parameters and buffers by the name that they have in each model.
        parameters: the stacked parameters, each a leaf of the graph, in the order of ``model.parameters()``.
        buffers: the stacked buffers.

    >>> models = [nn.Linear(2, 3) for _ in range(4)]
    >>> stack = Stack(models)
    >>> stack.tensors["weight"].shape
    torch.Size([4, 3, 2])
    >>> _ = stack.tensors["bias"].detach()[1].fill_(7.0)
    >>> models[1].bias.tolist()
    [7.0, 7.0, 7.0]
    """

    def __init__(self, models: Sequence[nn.Module]) -> None:
        self.models = list(models)
        self._strides = [[tensor.stride() for tensor in _tensors(model)] for model in self.models]
        self.tensors: dict[str, Tensor] = {}
        parameters = [dict(model.named_parameters(remove_duplicate=False)) for model in models]
        buffers = [dict(model.named_buffers(remove_duplicate=False)) for model in models]
        known: dict[int, Tensor] = {}  # a tensor that has two names is stacked once
        for of_models in (parameters, buffers):
            for name, tensor in of_models[0].items():
                if id(tensor) not in known:
                    known[id(tensor)] = _stacked([by_name[name] for by_name in of_models])
                self.tensors[name] = known[id(tensor)]
        self.parameters = list({id(t): t for t in (self.tensors[name] for name in parameters[0])}.values())
        self.buffers = list({id(t): t for t in (self.tensors[name] for name in buffers[0])}.values())

    def under(self, prefix: str) -> dict[str, Tensor]:
        """The tensors of one part of the models, by their names in it."""
        start = f"{prefix}." if prefix else ""
        return {name[len(start) :]: tensor for name, tensor in self.tensors.items() if name.startswith(start)}

    def shared(self, prefix: str) -> bool:
        """Whether a part is the same in all models: it has no parameters, and its buffers are equal."""
        own = self.under(prefix).values()
        return not any(tensor.requires_grad or bool((tensor != tensor[:1]).any()) for tensor in own)

    def release(self) -> None:
        """Give every model tensors of its own again, with their former order in memory."""
        for model, strides in zip(self.models, self._strides, strict=True):
            for tensor, stride in zip(_tensors(model), strides, strict=True):
                own = torch.empty_strided(tensor.shape, stride, dtype=tensor.dtype, device=tensor.device)
                tensor.data = own.copy_(tensor.data)


def _tensors(model: nn.Module) -> list[Tensor]:
    return [*model.parameters(), *model.buffers()]


def _stacked(tensors: Sequence[Tensor]) -> Tensor:
    stack = torch.stack([tensor.detach() for tensor in tensors])
    for tensor, part in zip(tensors, stack.unbind(), strict=True):
        tensor.data = part
    return stack.requires_grad_(tensors[0].requires_grad)


# --- a module on R inputs ----------------------------------------------------------------------------------------


def _together(module: nn.Module, name: str, stack: Stack) -> Callable[[Tensor], Tensor]:
    """The modules of one name in all models as one function ``(R, n, ...) -> (R, n, ...)``.

    The most frequent layers are written out; every other module is mapped over the stack by `torch.func.vmap`. Batch
    normalisation has separate statistics for each model.
    """
    kind = type(module)
    if isinstance(module, nn.Sequential) and kind.forward is nn.Sequential.forward:
        steps = [_together(child, f"{name}.{key}", stack) for key, child in module.named_children()]

        def chain(x: Tensor) -> Tensor:
            for step in steps:
                x = step(x)
            return x

        return chain
    if kind is nn.Linear and "bias" in (own := stack.under(name)):
        weight, bias = own["weight"], own["bias"]
        # Not baddbmm, whose CPU kernel first copies the bias to all rows and takes several times as long.
        return lambda x: torch.bmm(x, weight.transpose(1, 2)).add_(bias.unsqueeze(1))
    if kind in _ELEMENTWISE:
        return module
    if isinstance(module, nn.Flatten) and (module.start_dim, module.end_dim) == (1, -1):
        return lambda x: x.flatten(2)
    if isinstance(module, nn.Unflatten) and module.dim == 1:
        size = cast("tuple[int, ...]", module.unflattened_size)
        return lambda x: x.reshape(*x.shape[:2], *size)
    return _mapped(module, stack.under(name))


def _mapped(module: nn.Module, own: dict[str, Tensor]) -> Callable[..., Any]:
    call = vmap(lambda tensors, *inputs: functional_call(module, tensors, inputs))
    return lambda *inputs: call(own, *inputs)


class _Part(nn.Module):
    """A method of a part of a model as a module, so that its tensors can be exchanged."""

    def __init__(self, part: nn.Module, method: Callable[..., Any]) -> None:
        super().__init__()
        self.part, self.method = part, method

    def forward(self, *inputs: Any) -> Any:
        return self.method(*inputs)


def _mapped_method(part: nn.Module, name: str, stack: Stack, method: Callable[..., Any]) -> Callable[..., Any]:
    return _mapped(_Part(part, method), {f"part.{key}": value for key, value in stack.under(name).items()})


# --- the model on R batches --------------------------------------------------------------------------------------


class _StackedPosterior(DiagonalGaussian):
    """Posteriors of R models, ``(R, n, y_dim)``."""

    __slots__ = ()

    def mean_kl(self) -> Tensor:
        """As in `DiagonalGaussian`, for each model: ``(R,)``."""
        doubled = self.mean.square() + (torch.expm1(self.log_variance) - self.log_variance)
        return doubled.sum((-2, -1)) * (0.5 / self.mean.shape[-2])


class _StackedLikelihood:
    """The likelihoods of R models: each row is evaluated alone, so the rows of all models can be put side by side."""

    def __init__(self, stack: Stack) -> None:
        likelihood = cast(InteLVAE, stack.models[0]).likelihood
        self._log_prob: Callable[[Tensor, Tensor], Tensor] | None = None
        self._plain = likelihood
        if not stack.shared("likelihood"):
            self._log_prob = _mapped_method(likelihood, "likelihood", stack, likelihood.log_prob)

    def log_prob(self, params: Tensor, x: Tensor) -> Tensor:
        """``(..., R, n, *params_event), (R, n, *event) -> (..., R, n)``."""
        models = params.dim() - x.dim()
        if self._log_prob is not None:
            return self._log_prob(params.movedim(models, 0), x).movedim(0, models)
        rows = self._plain.log_prob(params.flatten(models, models + 1), x.flatten(0, 1))
        return rows.reshape(*rows.shape[:-1], *x.shape[:2])

    def mean_log_prob(self, params: Tensor, x: Tensor) -> Tensor:
        """The mean over the examples of each model, ``(R,)``."""
        return self.log_prob(params, x).mean(-1)


class StackedVAE:
    """The interface of an `InteLVAE` that objectives use, for R models at once: shapes have R before the examples.

    Args:
        stack: the models' tensors.
    """

    def __init__(self, stack: Stack) -> None:
        model = cast(InteLVAE, stack.models[0])
        self.y_dim, self.z_dim, self.regularisers = model.y_dim, model.z_dim, model.regularisers
        self._prior, self._family = model.prior, model.family
        self.likelihood = cast(Likelihood, _StackedLikelihood(stack))
        self._encoder = _together(model.encoder, "encoder", stack)
        self._decoder = _together(model.decoder, "decoder", stack)
        mapping = model.mapping
        self._plain_map = mapping if stack.shared("mapping") and not self.regularisers else None
        module = mapping if isinstance(mapping, nn.Module) else nn.Module()
        self._map = _mapped_method(module, "mapping", stack, model.map)

    def infer(self, x: Tensor) -> tuple[DiagonalGaussian, Prior]:
        """q(y|x) as `encode` gives it, and N(0, I)."""
        return self.encode(x), self._prior

    def encode(self, x: Tensor) -> DiagonalGaussian:
        """q(y|x), ``(R, n, *x_shape) -> (R, n, y_dim)`` twice."""
        posterior = self._family(self._encoder(x))
        return _StackedPosterior(*cast(DiagonalGaussian, posterior))

    def map(self, y: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
        """The image z = g(y), ``(..., R, n, y_dim) -> (..., R, n, z_dim)``, and auxiliary losses ``(R,)``."""
        if self._plain_map is not None:
            return self._plain_map(y), {}  # by its contract it takes any leading shape
        models = y.dim() - 3
        z, losses = self._map(y.movedim(models, 0))
        return z.movedim(0, models), losses

    def decode(self, z: Tensor) -> Tensor:
        """``(..., R, n, z_dim) -> (..., R, n, *params_shape)``."""
        if z.dim() == 3:
            return self._decoder(z)
        models = z.dim() - 3
        first = z.movedim(models, 0)
        params = self._decoder(first.flatten(1, -2))
        return params.reshape(*first.shape[:-1], *params.shape[2:]).movedim(0, models)


# --- objectives --------------------------------------------------------------------------------------------------


def ways(stack: Stack, objective: Objective) -> list[Evaluate]:
    """The ways to evaluate an objective on all models, the fastest first; not every way works for every objective.

    The first calls it once on a `StackedVAE`, which works for objectives whose means are over the last dimension; the
    second maps it over the models by `torch.func.vmap`. See `disagreement`.
    """
    model = cast(InteLVAE, StackedVAE(stack))
    first = cast(InteLVAE, stack.models[0])

    def at_once(x: Tensor, noise: Tensor, weights: Dictionary[str, float]) -> Terms:
        return objective(model, x, noise.transpose(0, 1), weights)

    tensors = {f"part.{name}": tensor for name, tensor in stack.tensors.items()}

    def one_by_one(x: Tensor, noise: Tensor, weights: Dictionary[str, float]) -> Terms:
        whole = _Part(first, lambda x, noise: objective(first, x, noise, weights))
        return cast(Terms, _mapped(whole, tensors)(x, noise))

    is_usual = isinstance(first.prior, StandardNormal) and isinstance(first.family, DiagonalFamily)
    return [at_once, one_by_one] if is_usual else [one_by_one]


def disagreement(
    stack: Stack, objective: Objective, way: Evaluate, x: Tensor, noise: Tensor, weights: Dictionary[str, float]
) -> str:
    """Why a way of evaluation is wrong; empty if terms, gradients and buffers equal those of each model alone.

    The first and the last model are compared on the given batch; tensors are not changed. A plugin may not work in a
    stack, and it is better to find that out before the first step than in a result.
    """
    before = [buffer.clone() for buffer in stack.buffers]

    def put_back() -> None:
        for buffer, old in zip(stack.buffers, before, strict=True):
            buffer.copy_(old)
        for parameter in (*stack.parameters, *(p for model in stack.models for p in model.parameters())):
            parameter.grad = None

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # vmap warns of slow operations
            terms = way(x, noise, weights)
        numbers = terms.numbers()
        if any(value.shape != (len(stack.models),) for value in numbers.values()):
            return "its terms are not one number for each model"
        torch.autograd.backward(terms.loss.sum())
        after = [buffer.clone() for buffer in stack.buffers]
        gradients = [parameter.grad for parameter in stack.parameters]
        put_back()
        for r in {0, len(stack.models) - 1}:
            model = cast(InteLVAE, stack.models[r])
            alone = objective(model, x[r], noise[r], weights)
            torch.autograd.backward(alone.loss)
            if not all(_close(numbers[name][r], value, value) for name, value in alone.numbers().items()):
                return "its terms differ from those of a model alone"
            pairs = []
            for ours, theirs in zip(gradients, model.parameters(), strict=True):
                if (ours is None) != (theirs.grad is None):
                    return "gradients differ from those of a model alone"
                if ours is not None and theirs.grad is not None:
                    pairs.append((ours[r], theirs.grad))
            steepest = torch.stack([theirs.abs().max() for _, theirs in pairs]).max()
            if not all(_close(ours, theirs, 0.01 * steepest) for ours, theirs in pairs):
                return "gradients differ from those of a model alone"
            kept = [(ours[r], theirs[r]) for ours, theirs in zip(after, stack.buffers, strict=True)]
            if not all(_close(ours, theirs, theirs) for ours, theirs in kept):
                return "buffers differ from those of a model alone"
    except Exception as error:  # whatever a plugin or vmap raises, each model may still work alone
        return f"{type(error).__name__}: {str(error).splitlines()[0] if str(error) else ''}"
    finally:
        put_back()
    return ""


@torch.no_grad()
def _close(ours: Tensor, theirs: Tensor, like: Tensor) -> bool:
    """Equal up to rounding, on the scale of `theirs` or of `like`; values that are not finite count as equal.

    If a gradient is zero up to rounding, as that of a bias before batch normalisation, the scale is that of the other
    gradients.
    """
    if theirs.dtype == torch.bool:  # a mask
        return torch.equal(ours, theirs)
    if not theirs.numel() or not bool(torch.isfinite(theirs).all()):
        return True
    scale = torch.maximum(theirs.abs().max(), like.abs().max())
    return bool(((ours - theirs).abs() <= 1e-3 * scale + 1e-7).all())
