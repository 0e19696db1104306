"""Is g a pure function, without random numbers, modes or memory? Clause 2 of the contract."""

from __future__ import annotations

import torch

from intel_conformance.candidate import Candidate
from intel_conformance.check import check
from intel_conformance.closeness import same_kernel, worst_difference
from intel_conformance.outcomes import Broken

_CLAUSE = "contract, clause 2: a pure function of its parameters and the row"


def _same(found: torch.Tensor, expected: torch.Tensor, what: str, likely: str) -> None:
    if (worst := worst_difference(found, expected, same_kernel(expected))) is not None:
        raise Broken(f"z{worst[1][1]} of row {worst[1][0]} {what} {worst[0]:.3g}", likely=likely, moved=worst[0])


@check("mode.repeat", _CLAUSE)
def repeat(candidate: Candidate) -> None:
    """The same y gives the same z at every call, whatever other batches were mapped before."""
    for dtype in candidate.dtypes:
        for training in (True, False):
            mapping = candidate.mapping(dtype).train(training)
            y = candidate.draw("repeat", 50).to(dtype)
            first = candidate.call(mapping, y)
            used = candidate.mapping(dtype).train(training)
            candidate.call(used, 3 * candidate.draw("first of all", 20).to(dtype))
            _same(
                candidate.call(used, y, doing="after another batch"),
                first,
                "depends on which batch came first, by",
                "a scale or an offset that is taken from the first batch, and is not in the state either",
            )
            with torch.random.fork_rng(devices=[]):
                for call in range(2, 6):
                    candidate.call(mapping, call * candidate.draw(f"between {call}", 20 + call).to(dtype))
                    again = candidate.call(mapping, y, doing="called again")
                    _same(
                        again,
                        first,
                        f"changed from call 1 to call {call} in {'training' if training else 'evaluation'} mode, by",
                        "dropout or another random number; a running average; a value remembered from an earlier call",
                    )


@check("mode.train_eval", _CLAUSE)
def train_eval(candidate: Candidate) -> None:
    """Training mode and evaluation mode give the same z."""
    for dtype in candidate.dtypes:
        y = candidate.draw("mode", 1100).to(dtype)
        training = candidate.call(candidate.mapping(dtype).train(), y)
        evaluation = candidate.call(candidate.mapping(dtype).eval(), y, doing="in evaluation mode")
        _same(evaluation, training, "differs between train() and eval() by", "BatchNorm, dropout, or self.training")


@check("mode.state", _CLAUSE)
def state(candidate: Candidate) -> None:
    """A call leaves parameters and buffers unchanged, and parameters the same objects, learned or not."""
    mapping = candidate.mapping().train()
    learned = [(name, parameter, parameter.requires_grad) for name, parameter in mapping.named_parameters()]
    state = mapping.state_dict()
    before = {name: value.clone() for name, value in state.items() if isinstance(value, torch.Tensor)}
    for size in (2, 40):
        candidate.call(mapping, candidate.draw("state", size))
    after = mapping.state_dict()
    changed = [name for name, value in before.items() if not torch.equal(value, after[name])]
    changed += sorted(set(after) ^ set(state))
    if changed:
        raise Broken(
            f"a call changed the state {', '.join(changed[:4])}",
            likely="running statistics, a counter, or a cache in a buffer",
        )
    now = dict(mapping.named_parameters())
    for name, parameter, wanted in learned:
        if now.get(name) is not parameter or parameter.requires_grad != wanted:
            what = "sets requires_grad of" if now.get(name) is parameter else "replaces"
            raise Broken(
                f"a call {what} the parameter {name}: an optimiser no longer trains it",
                likely="requires_grad_() or nn.Parameter(...) in forward",
            )


@check("mode.grad_mode", _CLAUSE)
def grad_mode(candidate: Candidate) -> None:
    """Whether gradients are recorded makes no difference to z."""
    mapping = candidate.mapping()
    y = candidate.draw("grad mode", 300)
    expected = candidate.call(mapping, y).detach()
    recorded = candidate.call(mapping, y.clone().requires_grad_(), doing="with gradients").detach()
    with torch.no_grad():
        without = candidate.call(mapping, y, doing="under no_grad")
    with torch.inference_mode():
        inference = candidate.call(mapping, y.clone(), doing="under inference_mode").clone()
    for name, found in (("with gradients", recorded), ("under no_grad", without), ("in inference_mode", inference)):
        _same(found, expected, f"changes {name} by", "torch.is_grad_enabled(), y.requires_grad or self.training")
