"""Is each row mapped alone? Clause 3 of the contract: otherwise there is no single g, and no Theorem 1."""

from __future__ import annotations

import math
from collections.abc import Iterator

import torch
from torch import Tensor, nn

from intel_conformance.candidate import Candidate
from intel_conformance.check import check
from intel_conformance.closeness import allowance, same_kernel, worst_difference
from intel_conformance.outcomes import Broken

_CLAUSE = "contract, clause 3: each row is mapped alone"
_LIKELY = (
    "a statistic over dimension 0: BatchNorm in training mode, y.mean(0), y.max(), y.sort(0); or as mode.repeat says"
)
_ROWS = 33
_CROWD = 3000


def _modes(candidate: Candidate) -> Iterator[tuple[nn.Module, Tensor, str]]:
    """The mapping in each precision, in training and in evaluation mode, with rows to map."""
    for dtype in candidate.dtypes:
        for training in (True, False):
            mapping = candidate.mapping(dtype).train(training)
            about = f"{str(dtype).removeprefix('torch.')}, {'training' if training else 'evaluation'} mode"
            yield mapping, candidate.draw("rows", _ROWS).to(dtype), about


@check("rows.replace_others", _CLAUSE)
def replace_others(candidate: Candidate) -> None:
    """A row's z stays the same when the other rows are replaced by anything, NaN included."""
    for mapping, y, about in _modes(candidate):
        before = candidate.call(mapping, y)
        kept = torch.zeros(_ROWS, dtype=torch.bool, device=y.device)
        kept[1::2] = True
        others = {
            "random numbers": 3 * candidate.draw("others", _ROWS).to(y),
            "1e6": torch.full_like(y, 1e6),
            "zeros": torch.zeros_like(y),
            "NaN": torch.full_like(y, math.nan),
        }
        for name, values in others.items():
            if name == "NaN" and not _takes_nan(mapping, values):
                continue  # a mapping need not accept NaN; a matrix decomposition of each row may refuse it
            found = candidate.call(mapping, torch.where(kept[:, None], y, values), doing=f"with other rows {name}")
            worst = worst_difference(found[kept], before[kept], same_kernel(before)[kept])
            if worst is not None:
                raise Broken(
                    f"row {2 * worst[1][0] + 1} moved by {worst[0]:.3g} when only other rows were replaced by {name} "
                    f"({_ROWS} rows, {about})",
                    likely=_LIKELY,
                    moved=worst[0],
                    replaced_by=name,
                )


def _takes_nan(mapping: nn.Module, y: Tensor) -> bool:
    try:
        mapping(y)
    except Exception:
        return False
    return True


@check("rows.permute", _CLAUSE)
def permute(candidate: Candidate) -> None:
    """If the rows are permuted, their z are permuted in the same way."""
    for mapping, y, about in _modes(candidate):
        z = candidate.call(mapping, y)
        allowed = allowance(mapping, y, z, candidate.generator("allowance"))
        order = torch.randperm(_ROWS, generator=candidate.generator("order")).to(y.device)
        found = candidate.call(mapping, y[order], doing="in another order")
        if (worst := worst_difference(found, z[order], allowed[order])) is not None:
            raise Broken(
                f"row {int(order[worst[1][0]])} moved by {worst[0]:.3g} when the rows changed places ({about})",
                likely="the index of the row is used: arange over the batch, a cumulative sum, a recurrence over rows",
                moved=worst[0],
            )


@check("rows.alone", _CLAUSE)
def alone(candidate: Candidate) -> None:
    """A row has the same z alone, without a leading dimension, in a small batch, and in one of thousands."""
    for mapping, y, about in _modes(candidate):
        z = candidate.call(mapping, y)
        allowed = allowance(mapping, y, z, candidate.generator("allowance"))
        crowd = torch.cat([y, candidate.draw("crowd", _CROWD).to(y)])
        many = candidate.call(mapping, crowd)[:_ROWS]
        if (worst := worst_difference(many, z, allowed)) is not None:
            raise Broken(
                f"row {worst[1][0]} in a batch of {len(crowd)} differs by {worst[0]:.3g} from the same row in one of "
                f"{_ROWS} ({about})",
                likely=f"the number of rows is used; {_LIKELY}",
                moved=worst[0],
            )
        for i in range(0, _ROWS, 4):
            one = candidate.call(mapping, y[i : i + 1])[0]
            bare = candidate.call(mapping, y[i])
            for name, found in (("as a batch of one", one), ("without a leading dimension", bare)):
                if (worst := worst_difference(found[None], z[i : i + 1], allowed[i : i + 1])) is not None:
                    raise Broken(
                        f"row {i} {name} differs by {worst[0]:.3g} from the same row in a batch of {_ROWS} ({about})",
                        likely=_LIKELY,
                        moved=worst[0],
                    )


@check("rows.reshape", _CLAUSE)
def reshape(candidate: Candidate) -> None:
    """Rows keep their z when the batch is reshaped to more leading dimensions."""
    for mapping, y, about in _modes(candidate):
        y = y[:24]
        z = candidate.call(mapping, y)
        allowed = allowance(mapping, y, z, candidate.generator("allowance"))
        for leading in ((4, 6), (6, 4), (2, 3, 4), (24, 1), (1, 24)):
            found = candidate.call(mapping, y.reshape(*leading, -1)).reshape(z.shape)
            if (worst := worst_difference(found, z, allowed)) is not None:
                raise Broken(
                    f"row {worst[1][0]} of 24 is off by {worst[0]:.3g} if the leading shape is {leading} ({about})",
                    likely="dim=0 or dim=1 where dim=-1 is meant; y[:, i] where y[..., i] is meant",
                    moved=worst[0],
                )
