"""Is each row mapped alone? Clause 3 of the contract: otherwise there is no single g, and no Theorem 1."""

from __future__ import annotations

import math
from collections.abc import Iterator

import torch
from torch import Tensor, nn

from intel_conformance.candidate import Candidate
from intel_conformance.check import check
from intel_conformance.closeness import beyond_rounding, same_kernel, worst_difference
from intel_conformance.outcomes import Broken

_CLAUSE = "contract, clause 3: each row is mapped alone"
_LIKELY = (
    "a statistic over dimension 0: BatchNorm in training mode, y.mean(0), y.max(), y.sort(0); or as mode.repeat says"
)
_LEAKS = "rows depend on each other"
_SIZES = ((33, 1024), (33, 100, 1024), (33, 100, 500, 1024))
"""Rows in a batch, at each level: some code has a path of its own for many rows, or for the usual sizes."""
_CROWD = 3033
_ALONE = (2, 3, 8, 16, 32, 50, 64, 100, 128, 200, 256, 500, 512, 1000, 1024, 2048, _CROWD)
_ALONE_QUICKLY = (3, 16, 64, 100, 128, 512, 1000, 1024)
_CHUNK = 33
_EVERY = range(2, 260)
"""All these numbers of rows are tried once, in the first mode."""
_HUGE = (4097, 10_003)
"""Made of rows that are repeated."""
_LARGEST, _MOST_VALUES = 70_001, 2_000_000
"""Tried once, in the first mode, where it has so few values: some code takes large batches apart."""
_RESHAPED = {24: ((4, 6), (6, 4), (2, 3, 4), (24, 1), (1, 24)), 1024: ((8, 128), (1, 1024), (2, 4, 128))}
"""Leading shapes of so many rows."""


def _modes(candidate: Candidate, n: int) -> Iterator[tuple[nn.Module, Tensor, str]]:
    """The mapping in each precision, in training and in evaluation mode, with rows to map."""
    for dtype in candidate.dtypes:
        for training in (True, False):
            mapping = candidate.mapping(dtype).train(training)
            about = f"{str(dtype).removeprefix('torch.')}, {'training' if training else 'evaluation'} mode"
            yield mapping, candidate.draw("rows", n).to(dtype), about


@check("rows.replace_others", _CLAUSE)
def replace_others(candidate: Candidate) -> None:
    """A row's z stays the same when the other rows are replaced by anything, NaN included."""
    for n in candidate.size(*_SIZES):
        for mapping, y, about in _modes(candidate, n):
            before = candidate.call(mapping, y)
            kept = torch.zeros(n, dtype=torch.bool, device=y.device)
            kept[1::2] = True
            others = {
                "random numbers": 3 * candidate.draw("others", n).to(y),
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
                        f"row {2 * worst[1][0] + 1} moved by {worst[0]:.3g} when only other rows were replaced by "
                        f"{name} ({n} rows, {about})",
                        likely=_LIKELY,
                        cause=_LEAKS,
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
    for n in (33, 100):
        for mapping, y, about in _modes(candidate, n):
            z = candidate.call(mapping, y)
            order = torch.randperm(n, generator=candidate.generator("order")).to(y.device)
            found = candidate.call(mapping, y[order], doing="in another order")
            worst = beyond_rounding(found, z[order], mapping, y[order], candidate.generator("allowance"))
            if worst is not None:
                raise Broken(
                    f"row {int(order[worst[1][0]])} moved by {worst[0]:.3g} when the rows changed places ({about})",
                    likely="the index of the row is used: arange over the batch, a cumulative sum, a recurrence over "
                    "rows",
                    moved=worst[0],
                )


@check("rows.alone", _CLAUSE)
def alone(candidate: Candidate) -> None:
    """A row has the same z alone, without a leading dimension, and in batches of two to thousands of rows."""
    drawn = torch.randint(34, 1024, (6,), generator=candidate.generator("sizes")).tolist()
    sizes = (*candidate.size(_ALONE_QUICKLY, _ALONE, _ALONE), *drawn)
    huge = candidate.size((), _HUGE, _HUGE)
    for number, (mapping, y, about) in enumerate(_modes(candidate, max(sizes))):
        z = torch.cat([candidate.call(mapping, rows) for rows in torch.split(y, _CHUNK)])
        once = number == 0 and candidate.level != "quick"
        largest = (_LARGEST,) if once and _LARGEST * max(candidate.y_dim, candidate.z_dim) < _MOST_VALUES else ()
        for n in (*sizes, *huge, *largest, *(_EVERY if once else ())):
            first = (7 * n) % (len(y) - n + 1) if n <= len(y) else 0  # so that a row does not always have one place
            rows, expected = y[first : first + n], z[first : first + n]
            if n > len(y):
                rows, expected = (part.repeat(-(-n // len(y)), 1)[:n] for part in (y, z))
            found = candidate.call(mapping, rows)
            worst = beyond_rounding(found, expected, mapping, rows, candidate.generator("allowance"))
            if worst is not None:
                raise Broken(
                    f"row {worst[1][0]} in a batch of {n} differs by {worst[0]:.3g} from the same row in one of "
                    f"{_CHUNK} ({about})",
                    likely=f"the number of rows is used; {_LIKELY}",
                    cause=_LEAKS,
                    moved=worst[0],
                )
        for i in range(0, _CHUNK, 4):
            one = candidate.call(mapping, y[i : i + 1])[0]
            bare = candidate.call(mapping, y[i])
            for name, found in (("as a batch of one", one), ("without a leading dimension", bare)):
                given = (found[None], z[i : i + 1], mapping, y[i : i + 1])
                if (worst := beyond_rounding(*given, candidate.generator("allowance"))) is not None:
                    raise Broken(
                        f"row {i} {name} differs by {worst[0]:.3g} from the same row in a batch of {_CHUNK} ({about})",
                        likely=_LIKELY,
                        cause=_LEAKS,
                        moved=worst[0],
                    )


@check("rows.reshape", _CLAUSE)
def reshape(candidate: Candidate) -> None:
    """Rows keep their z when the batch is reshaped to more leading dimensions."""
    for mapping, y, about in _modes(candidate, 1024):
        for n, shapes in _RESHAPED.items():
            rows = y[:n]
            z = candidate.call(mapping, rows)
            for leading in shapes:
                found = candidate.call(mapping, rows.reshape(*leading, -1)).reshape(z.shape)
                worst = beyond_rounding(found, z, mapping, rows, candidate.generator("allowance"))
                if worst is not None:
                    raise Broken(
                        f"row {worst[1][0]} of {n} is off by {worst[0]:.3g} if the leading shape is {leading} "
                        f"({about})",
                        likely="dim=0 or dim=1 where dim=-1 is meant; y[:, i] where y[..., i] is meant",
                        moved=worst[0],
                    )
