"""Are parts pure functions of rows: shapes, number formats, devices, rows alone, no random numbers, no memory?"""

from __future__ import annotations

import torch
from torch import Tensor

from intel_conformance.kinds import Kind, check
from intel_conformance.outcomes import Broken, Unsupported, first_line
from intel_conformance.parts.candidates import Candidate
from intel_conformance.parts.modules import PosteriorModule

_CLAUSE = "contract: a function of rows of the noise, y or features"
_PURE = "contract: noise is passed in, and nothing inside is random or remembered"
_ALL: tuple[Kind, ...] = ("prior", "posterior", "likelihood", "network")
_OF_Y: tuple[Kind, ...] = ("prior", "posterior")


def compare(found: Tensor, expected: Tensor, what: str, likely: str, *, relative: float = 1e-9) -> None:
    """Raise unless two results are the same up to rounding; NaN and infinities are equal to themselves."""
    if found.shape != expected.shape:
        raise Broken(f"{what}: shape {tuple(found.shape)} instead of {tuple(expected.shape)}", likely=likely)
    size = expected.detach().abs().nan_to_num(0, 0, 0)
    allowed = relative * (1 + (size.flatten(1).amax(-1) if size.dim() > 1 else size))
    difference = (found - expected).detach().abs()
    difference = difference.masked_fill((found == expected) | (found.isnan() & expected.isnan()), 0.0).nan_to_num(1e300)
    excess = (difference.flatten(1).amax(-1) if difference.dim() > 1 else difference) - allowed
    if excess.numel() and float(excess.max()) > 0:
        row = int(excess.argmax())
        moved = float(difference[row].max())
        raise Broken(f"{what}: off by {moved:.3g} in row {row}", likely=likely, moved=moved)


@check("io.shape", _CLAUSE, kinds=_OF_Y)
def shape(candidate: Candidate) -> None:
    """Any number of rows gives as many results; a prior keeps any leading shape, a posterior one of several draws."""
    module = candidate.module()
    for function in candidate.functions:
        for n in (1, 2, 33):
            candidate.call(module, function, candidate.rows(function, "shape", n))
        if candidate.kind == "prior":
            width = module.width(function)
            for leading in ((), (3, 4), (2, 3, 4)):
                candidate.call(module, function, candidate.noise("leading", *leading, width))
    if isinstance(module, PosteriorModule):
        features, noise = candidate.noise("features", 4, module.features), candidate.noise("n", 3, 4, module.noise_dim)
        q = module.posterior(features)
        for name, found, expected in (
            ("rsample", q.rsample(noise), (3, 4, candidate.y_dim)),
            ("log q", q.draw(noise)[1], (3, 4)),
        ):
            if tuple(found.shape) != expected:
                raise Broken(f"{name} of 3 draws of 4 examples has shape {tuple(found.shape)}, expected {expected}")
    for function in candidate.functions:
        try:
            candidate.call(module, function, candidate.rows(function, "shape", 0))
        except Broken as broken:  # nothing in training or sampling asks for no rows
            raise Unsupported(f"no rows at all: {broken.message}") from broken


@check("io.dtype", _CLAUSE, kinds=_ALL)
def dtype(candidate: Candidate) -> None:
    """The number format of what comes out is that of what goes in."""
    for wanted in candidate.dtypes:
        module = candidate.module(wanted)
        for function in candidate.functions:
            found = candidate.call(module, function, candidate.rows(function, "dtype", 5).to(wanted))
            if found.dtype != wanted:
                raise Broken(
                    f"{function} gives {found.dtype} for {wanted}", likely="a constant tensor, .float() or .double()"
                )


@check("io.precision", _CLAUSE, kinds=_ALL)
def precision(candidate: Candidate) -> None:
    """In float32 all values are close to those in float64, and float64 is not computed in float32."""
    narrow, wide = candidate.module(torch.float32), candidate.module(torch.float64)
    for function in candidate.functions:
        rows = candidate.rows(function, "precision", 64).float().double()
        expected = candidate.call(wide, function, rows)
        found = candidate.call(narrow, function, rows.float()).double()
        # Noise next to a border between two components may fall on either side of it.
        scale = 1 + expected.abs()
        off = ((found - expected).abs() > 2e-3 * scale).reshape(len(rows), -1).any(-1).double().mean()
        if float(off) > 0.05:
            raise Broken(
                f"{function} in float32 is off by more than 0.2 % in {float(off):.0%} of the rows",
                likely="differences of large numbers, logarithms of small ones",
            )
        near, far = (
            float((candidate.call(wide, function, moved) != expected).double().mean())
            for moved in (rows + 1e-10 * candidate.rows(function, "step", 64), 1.5 * rows)
        )
        if near < 0.2 * far:  # atoms stay where they are either way
            raise Broken(f"{function} of float64 numbers is computed in float32", likely=".float() inside")


@check("io.input", _CLAUSE, kinds=_ALL)
def unchanged(candidate: Candidate) -> None:
    """A call leaves what it is given unchanged."""
    module = candidate.module()
    for function in candidate.functions:
        rows = candidate.rows(function, "input", 9)
        before = rows.clone()
        candidate.call(module, function, rows)
        if not torch.equal(rows, before):
            raise Broken(f"{function} changes what it is given", likely="an operation in place, such as add_")


@check("io.tensors", "contract: a posterior is a NamedTuple of tensors, with mean and std", kinds=("posterior",))
def tensors(candidate: Candidate) -> None:
    """A posterior is a NamedTuple of tensors only; its std is positive or 0, its mean finite."""
    module = candidate.module()
    assert isinstance(module, PosteriorModule)
    q = module.posterior(candidate.noise("features", 7, module.features))
    if not isinstance(q, tuple) or not hasattr(q, "_fields"):
        raise Broken(f"the posterior is a {type(q).__name__}, expected a NamedTuple", likely="class Q(NamedTuple)")
    others = [name for name, value in zip(q._fields, q, strict=True) if not isinstance(value, Tensor)]
    if others:
        raise Broken(f"field {others[0]} of the posterior is no tensor, so replicates cannot be stacked")
    if not bool((q.std >= 0).all()) or not bool(q.std.isfinite().all() and q.mean.isfinite().all()):
        raise Broken("std is negative or not finite, or mean is not finite", likely="a log-variance in its place")


@check("io.device", _CLAUSE, level="standard", kinds=_ALL)
def device(candidate: Candidate) -> None:
    """The device of what comes out is that of what goes in. Tried on the meta device, which needs no accelerator."""
    try:
        module = candidate.module().to("meta")
    except Exception as error:
        raise Unsupported(f"cannot be moved to another device: {type(error).__name__}: {str(error)[:120]}") from error
    for function in candidate.functions:
        rows = candidate.rows(function, "device", 5).to("meta")
        try:
            found = module(function, rows)
        except Exception as error:
            said = first_line(error, 160)
            if any(word in said for word in ("item()", "is_nonzero", "Cannot copy out", "_local_scalar", "data-dep")):
                raise Unsupported(f"{function} makes an accelerator wait for a value: {said}") from error
            raise Broken(
                f"{function} fails on another device: {said}",
                likely="a tensor that is made inside without device=, or is no buffer",
            ) from error
        if found.device.type != "meta":
            raise Broken(f"{function} gives a tensor on {found.device}", likely="a tensor made without device=")


@check("rows.alone", "contract: each row is treated alone", kinds=_ALL)
def alone(candidate: Candidate) -> None:
    """A row has the same result alone, among others, and among NaN."""
    module = candidate.module()
    for function in candidate.functions:
        rows = candidate.rows(function, "alone", 20)
        expected = candidate.call(module, function, rows)
        why = "a statistic over the batch: batch normalisation, x.mean(0), x.max()"
        single = torch.cat([candidate.call(module, function, rows[i : i + 1]) for i in range(8)])
        compare(single, expected[:8], f"{function} of a row alone", why, relative=1e-8)
        for name, value in (("others", None), ("large numbers", 1e4), ("NaN", float("nan"))):
            other = rows.clone()
            other[10:] = candidate.rows(function, "others", 10) if value is None else value
            # linalg functions may refuse NaN; that is not a dependence on other rows.
            try:
                found = module(function, other)
            except Exception:
                if name == "NaN":
                    continue
                raise
            compare(found[:10], expected[:10], f"{function} among {name}", why, relative=1e-8)


@check("mode.repeat", _PURE, kinds=_ALL)
def repeat(candidate: Candidate) -> None:
    """The same rows give the same results at every call, and torch's random state is left alone."""
    for training in (True, False) if candidate.kind != "network" else (False,):
        module = candidate.module().train(training)
        for function in candidate.functions:
            rows = candidate.rows(function, "repeat", 20)
            state = torch.get_rng_state()
            first = candidate.call(module, function, rows)
            candidate.call(module, function, 2 * candidate.rows(function, "between", 11))
            again = candidate.call(module, function, rows)
            moved = not torch.equal(state, torch.get_rng_state())
            torch.set_rng_state(state)
            why = "randn or dropout inside: draws take the noise that they are given; or a value that is remembered"
            compare(again, first, f"{function} called again", why)
            if moved:
                raise Broken(f"{function} draws from torch's random state", likely=why)


@check("mode.train_eval", _PURE, kinds=(*_OF_Y, "likelihood"))
def train_eval(candidate: Candidate) -> None:
    """Training mode and evaluation mode give the same results; but rsample may relax a spike in training."""
    for function in candidate.functions:
        if function == "rsample" and candidate.measure != "lebesgue":
            continue
        rows = candidate.rows(function, "mode", 20)
        training = candidate.call(candidate.module().train(), function, rows)
        evaluation = candidate.call(candidate.module().eval(), function, rows)
        compare(evaluation, training, f"{function} in evaluation mode", "self.training, batch normalisation, dropout")


@check("mode.state", _PURE, kinds=_ALL)
def state(candidate: Candidate) -> None:
    """A call leaves parameters and buffers unchanged; of a network, one in evaluation mode."""
    module = candidate.module().train(candidate.kind != "network")
    before = {name: value.clone() for name, value in module.state_dict().items()}
    for function in candidate.functions:
        candidate.call(module, function, candidate.rows(function, "state", 20))
    after = module.state_dict()
    changed = [name for name in after if name not in before or not torch.equal(after[name], before[name])]
    if changed:
        raise Broken(f"a call changed the state {', '.join(changed[:3])}", likely="running statistics, a counter")
