"""Is it a pure function? Clause 2 of the contract: no random number, no mode, no memory, no side effect."""

from __future__ import annotations

import torch

from intel_conformance.check import check
from intel_conformance.closeness import same_kernel, worst_difference
from intel_conformance.outcomes import Broken
from intel_conformance.subject import Subject

_CLAUSE = "contract, clause 2: a pure function of its parameters and the row"


def _same(found: torch.Tensor, expected: torch.Tensor, what: str, likely: str) -> None:
    if (worst := worst_difference(found, expected, same_kernel(expected))) is not None:
        raise Broken(f"z{worst[1][1]} of row {worst[1][0]} {what} {worst[0]:.3g}", likely=likely, moved=worst[0])


@check("mode.repeat", _CLAUSE)
def repeat(subject: Subject) -> None:
    """The same y gives the same z, however often and after whatever else it was asked."""
    for dtype in subject.dtypes:
        for training in (True, False):
            mapping = subject.mapping(dtype).train(training)
            y = subject.draw("repeat", 50).to(dtype)
            first = subject.call(mapping, y)
            used = subject.mapping(dtype).train(training)
            subject.call(used, 3 * subject.draw("first of all", 20).to(dtype))
            _same(
                subject.call(used, y, doing="after another batch"),
                first,
                "depends on which batch came first, by",
                "a scale or an offset taken from the first batch; it is not in the state either",
            )
            with torch.random.fork_rng(devices=[]):
                for call in range(2, 6):
                    subject.call(mapping, call * subject.draw(f"between {call}", 20 + call).to(dtype))
                    again = subject.call(mapping, y, doing="called again")
                    _same(
                        again,
                        first,
                        f"changed from call 1 to call {call} in {'training' if training else 'evaluation'} mode, by",
                        "dropout or another random number; a running average; something remembered from the last call",
                    )


@check("mode.train_eval", _CLAUSE)
def train_eval(subject: Subject) -> None:
    """train() and eval() are one function."""
    for dtype in subject.dtypes:
        y = subject.draw("mode", 50).to(dtype)
        training = subject.call(subject.mapping(dtype).train(), y)
        evaluation = subject.call(subject.mapping(dtype).eval(), y, doing="in evaluation mode")
        _same(evaluation, training, "differs between train() and eval() by", "BatchNorm, dropout, or self.training")


@check("mode.state", _CLAUSE)
def state(subject: Subject) -> None:
    """A call leaves parameters and buffers as they were."""
    mapping = subject.mapping().train()
    state = mapping.state_dict()
    before = {name: value.clone() for name, value in state.items() if isinstance(value, torch.Tensor)}
    for size in (2, 40):
        subject.call(mapping, subject.draw("state", size))
    after = mapping.state_dict()
    changed = [name for name, value in before.items() if not torch.equal(value, after[name])]
    changed += sorted(set(after) ^ set(state))
    if changed:
        raise Broken(
            f"a call changed the state {', '.join(changed[:4])}", likely="running statistics, a counter, a cache buffer"
        )


@check("mode.grad_mode", _CLAUSE)
def grad_mode(subject: Subject) -> None:
    """It does not matter to z whether gradients are recorded."""
    mapping = subject.mapping()
    y = subject.draw("grad mode", 50)
    expected = subject.call(mapping, y).detach()
    recorded = subject.call(mapping, y.clone().requires_grad_(), doing="with gradients").detach()
    with torch.no_grad():
        without = subject.call(mapping, y, doing="under no_grad")
    with torch.inference_mode():
        inference = subject.call(mapping, y.clone(), doing="under inference_mode").clone()
    for name, found in (("with gradients", recorded), ("under no_grad", without), ("in inference_mode", inference)):
        _same(found, expected, f"changes {name} by", "torch.is_grad_enabled(), y.requires_grad, self.training")


@check("mode.side_effects", _CLAUSE)
def side_effects(subject: Subject) -> None:
    """The process's random state, default dtype and gradient mode are left alone."""
    mapping = subject.mapping()
    y = subject.draw("effects", 10)
    random, dtype, grad = torch.get_rng_state(), torch.get_default_dtype(), torch.is_grad_enabled()
    try:
        subject.call(mapping, y)
        changed = []
        if not torch.equal(torch.get_rng_state(), random):
            changed.append("torch's random state")
        if torch.get_default_dtype() != dtype:
            changed.append("the default dtype")
        if torch.is_grad_enabled() != grad:
            changed.append("the gradient mode")
    finally:
        torch.set_rng_state(random)
        torch.set_default_dtype(dtype)
        torch.set_grad_enabled(grad)
    if changed:
        raise Broken(
            f"a call changed {' and '.join(changed)}", likely="a random number drawn in forward, or a global switch set"
        )
