"""Do networks have the shapes that they are asked for, in training as well, and does everything reach their output?"""

from __future__ import annotations

from typing import Any

import torch

from intel_conformance.kinds import check
from intel_conformance.outcomes import Broken, NotApplicable, Unsupported
from intel_conformance.parts.calls import compare
from intel_conformance.parts.networks import SHAPES, NetworkCandidate, tried
from intel_core.randomness import stream

_SHAPES = "contract: an encoder (n, *x_shape) to (n, features), a decoder (n, features) to (n, *x_shape)"
_MODE = "contract: training mode"
_KIND: Any = ("network",)
_FEATURES = ((1, 1), (2, 7), (9, 2))


@check("io.shape", _SHAPES, kinds=_KIND)
def shape(candidate: NetworkCandidate) -> None:
    """For each shape of examples and any numbers of features, outputs are as asked; what it cannot take, it refuses."""
    for x_shape in SHAPES[: candidate.size(5, 7, 8)]:
        for outputs, latents in _FEATURES:
            try:
                with torch.random.fork_rng(devices=[]):
                    module = candidate.built(x_shape, outputs, latents).eval()
            except ValueError as error:
                if not str(error).strip():
                    raise Broken(f"it refuses examples of shape {x_shape}, and does not say why") from error
                break
            except Exception as error:
                said = f"{type(error).__name__}: {str(error)[:160]}"
                raise Broken(
                    f"for examples of shape {x_shape} and {outputs} features, building it raised {said}",
                    likely="a shape that it does not take; raise ValueError with the reason",
                ) from error
            for n in (1, 2, 5):
                x, z = torch.zeros(n, *x_shape), torch.zeros(n, latents)
                with torch.no_grad():
                    tried(lambda x=x, m=module: m.held["encoder"](x), (n, outputs), f"the encoder of {tuple(x.shape)}")
                    tried(lambda z=z, m=module: m.held["decoder"](z), (n, *x_shape), f"the decoder of {tuple(z.shape)}")


@check("mode.training", _MODE, kinds=_KIND)
def training(candidate: NetworkCandidate) -> None:
    """In training mode outputs and gradients are finite and of the same shapes, and torch's seed decides all of it."""
    for function in candidate.functions:
        rows = candidate.rows(function, "training", 8)
        found = []
        for _ in range(2):
            module = candidate.module().train()
            with torch.random.fork_rng(devices=[]):
                torch.default_generator.manual_seed(5)
                out = candidate.call(module, function, rows, doing="in training mode")
            if not out.requires_grad and any(p.requires_grad for p in module.held[function].parameters()):
                raise Broken(
                    f"the output of the {function} in training mode has no gradient, so none of its weights learn",
                    likely="detach(), .data or no_grad",
                )
            learned = [p for p in module.parameters() if p.requires_grad] if out.requires_grad else []
            parts = torch.autograd.grad(out.square().sum(), learned, allow_unused=True) if learned else ()
            if not all(bool(one.isfinite().all()) for one in (out, *parts) if one is not None):
                raise Broken(f"the {function} in training mode, or its gradient, is not finite")
            found.append(out.detach())
        compare(found[1], found[0], f"the {function} in training mode, with the same seed", "another random state")


@check("mode.statistics", _MODE, kinds=_KIND)
def statistics(candidate: NetworkCandidate) -> None:
    """After some batches in training mode, outputs in evaluation mode are finite, and buffers are the same ones."""
    for function in candidate.functions:
        module = candidate.module()
        before = {name: value.clone() for name, value in module.named_buffers()}
        module.train()
        with torch.no_grad(), torch.random.fork_rng(devices=[]):
            for step in range(4):
                candidate.call(module, function, 2 + 3 * candidate.rows(function, f"batch {step}", 16))
        module.eval()
        rows = candidate.rows(function, "settled", 8)
        with torch.no_grad():
            found = candidate.call(module, function, rows)
        if not bool(found.isfinite().all()):
            raise Broken(f"the {function} is not finite after four batches of training")
        after = dict(module.named_buffers())
        if set(after) != set(before) or any(after[name].shape != before[name].shape for name in before):
            raise Broken(f"batches of training change which buffers the {function} has, or their shapes")


@check("grad.reach", "contract: gradients", kinds=_KIND)
def reach(candidate: NetworkCandidate) -> None:
    """Every number of z makes a difference to the decoder's output, and every value of x to that of the encoder."""
    module = candidate.module()
    for function in ("decoder", "encoder"):
        rows = candidate.rows(function, "reach", 32).requires_grad_()
        out = candidate.call(module, function, rows)
        part = torch.zeros_like(rows)
        if out.requires_grad:
            (part,) = torch.autograd.grad((out * candidate.noise(f"reach {function}", *out.shape)).sum(), rows)
        missing = (part == 0).all(0).nonzero().flatten().tolist()
        if missing:
            outcome = Broken if function == "decoder" else Unsupported
            raise outcome(
                f"{len(missing)} of {rows.shape[1]} inputs of the {function} make no difference, the first of them "
                f"input {missing[0]}",
                likely="detach(), a slice, or a stride that is larger than its kernel",
            )


@check("deploy.seeds", "contract: weights are drawn from torch's default generator", kinds=_KIND)
def seeds(candidate: NetworkCandidate) -> None:
    """The same seed gives the same weights, another seed others; random states of Python and numpy are left alone."""
    import random

    import numpy

    def weights(name: str) -> list[torch.Tensor]:
        with torch.random.fork_rng(devices=[]):
            torch.default_generator.manual_seed(stream(candidate.seed, name))
            return [value.detach() for value in candidate.built(candidate.x_shape, 5, 3).parameters()]

    array: Any = numpy.random.get_state()  # noqa: NPY002
    python, numbers = random.getstate(), array[1].tolist()
    first, again, other = weights("one"), weights("one"), weights("two")
    array = numpy.random.get_state()  # noqa: NPY002
    if python != random.getstate() or numbers != array[1].tolist():
        raise Broken("building it draws from the state of Python or numpy", likely="numpy.random inside")
    if not all(torch.equal(a, b) for a, b in zip(first, again, strict=True)):
        raise Broken("the same seed gives other weights", likely="a generator of its own, or a count of builds")
    if not first:
        raise NotApplicable("it has no weights")
    if all(torch.equal(a, b) for a, b in zip(first, other, strict=True)):
        raise Unsupported(
            "two seeds give the same weights, so that replicates begin alike", likely="a generator with a fixed seed"
        )
