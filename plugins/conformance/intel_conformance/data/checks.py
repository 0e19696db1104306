"""Do data keep the contract: parts, values, labels, scaling, reading, and nothing that depends on chance?"""

from __future__ import annotations

import json
from typing import Any, get_args

import torch
from torch import Tensor

from intel_conformance.data.candidate import PARTS, DatasetCandidate
from intel_conformance.kinds import check
from intel_conformance.other_randomness import other_randomness, random_states
from intel_conformance.outcomes import Broken, NotApplicable, Skipped
from intel_core.data.dataset import Dataset, Split, Support
from intel_core.data.values import to_float
from intel_core.reading.capabilities import Named, OnManifold, Shaped

_CLAUSE = "contract: three parts of examples of one shape"
_VALUES = "contract: values are finite, and those of the support"
_SAME = "contract: the same spec gives the same data, whatever else the process does"
_SPEC = "contract: the spec of a plugin"
_CAPABILITY = "capability of a data set's spec"
_KIND: Any = ("dataset",)
_DUPLICATES = 0.05
"""At most this share of test rows may be training rows beyond what is usual among training rows."""


@check("io.splits", _CLAUSE, kinds=_KIND)
def splits(candidate: DatasetCandidate) -> None:
    """No part is empty, and examples are (D,) or (C, H, W), float32 or uint8, alike in all parts."""
    first = candidate.dataset.train
    kind = first.read(torch.arange(min(1, len(first)))).dtype
    for name, part in candidate.parts():
        if len(part) < 1:
            raise Broken(f"the {name} part is empty", likely="a share that is rounded down; too few examples")
        if len(part.shape) not in (2, 4) or 0 in part.shape:
            raise Broken(f"the {name} part has shape {part.shape}, expected (n, D) or (n, C, H, W)")
        if part.shape[1:] != first.shape[1:]:
            raise Broken(f"examples of the {name} part have shape {part.shape[1:]}, those of train {first.shape[1:]}")
        x = part.read(torch.arange(1))
        if x.dtype not in (torch.float32, torch.uint8) or x.dtype != kind:
            raise Broken(f"the {name} part is {x.dtype}, expected float32 or uint8 in all parts", likely=".float()")


@check("io.values", _VALUES, kinds=_KIND)
def values(candidate: DatasetCandidate) -> None:
    """All values are finite, and lie in the support that is declared: binary, unit or real."""
    support = candidate.dataset.support
    if support not in get_args(Support):
        raise Broken(f"support is {support!r}, expected one of {', '.join(get_args(Support))}")
    for name, part in candidate.parts():
        for first, stored in candidate.chunks(part):
            x = to_float(stored)
            wrong = ~x.isfinite()
            if support != "real":
                wrong |= (x < 0) | (x > 1) if support == "unit" else (x != 0) & (x != 1)
            if bool(wrong.any()):
                row = int(wrong.flatten(1).any(1).nonzero()[0])
                raise Broken(
                    f"row {first + row} of the {name} part has the value {float(x[row][wrong[row]][0]):.4g}, but its "
                    f"support is {support!r}",
                    likely="missing values, or numbers that are not divided by their largest",
                )


@check("io.labels", _CLAUSE, kinds=_KIND)
def labels(candidate: DatasetCandidate) -> None:
    """Labels are whole numbers from 0, one for each example, in all parts or in none, and each class has a name."""
    names = candidate.dataset.class_names
    have = {name: part.labels is not None for name, part in candidate.parts()}
    if not any(have.values()):
        if names:
            raise Broken(f"there are {len(names)} class names, but no labels")
        raise NotApplicable("there are no labels")
    if not all(have.values()):
        raise Broken(f"there are no labels in {', '.join(name for name, has in have.items() if not has)}")
    if len(set(names)) < len(names) or not all(isinstance(name, str) and name for name in names):
        raise Broken(f"class names are {list(names)[:8]}, expected different words")
    for name, part in candidate.parts():
        found: Any = part.labels
        if not isinstance(found, Tensor) or found.is_floating_point() or tuple(found.shape) != (len(part),):
            got = f"{found.dtype} of shape {tuple(found.shape)}" if isinstance(found, Tensor) else type(found).__name__
            raise Broken(f"labels of the {name} part are {got}, expected whole numbers ({len(part)},)")
        low, high = int(found.min()), int(found.max())
        if low < 0 or (names and high >= len(names)):
            raise Broken(
                f"labels of the {name} part are from {low} to {high}, and there are {len(names)} class names",
                likely="labels that begin at 1, or a class without a name",
            )


@check("io.columns", _CLAUSE, kinds=_KIND)
def columns(candidate: DatasetCandidate) -> None:
    """Names of columns are as many as values of an example, and all different."""
    names, shape = candidate.dataset.columns, candidate.dataset.x_shape
    if not names:
        raise NotApplicable("its columns have no names")
    if len(names) != shape[0] or len(shape) != 1 or len(set(names)) < len(names):
        raise Broken(
            f"there are {len(names)} names, {len(set(names))} of them different, for examples of shape {shape}"
        )


@check("io.scaling", _CLAUSE, kinds=_KIND)
def scaling(candidate: DatasetCandidate) -> None:
    """Where values are said to be scaled, those of the training part have mean 0 and deviation 1."""
    said, shape = candidate.dataset.scaling, candidate.dataset.x_shape
    if said is None:
        raise NotApplicable("no values are said to be scaled")
    width = shape[0] if len(shape) == 1 else 1
    if len(said) != 2 or {len(part) for part in said} != {width}:
        raise Broken(f"scaling has {[len(part) for part in said]} numbers, expected {width} means and deviations")
    mean, std = (torch.tensor(part, dtype=torch.float64) for part in said)
    if not bool(mean.isfinite().all() and std.isfinite().all() and (std > 0).all()):
        raise Broken("scaling has a deviation that is 0, or a number that is not finite")
    x = torch.cat([to_float(stored).double() for _, stored in candidate.chunks(candidate.dataset.train)])
    x = x.flatten(1) if width > 1 or len(shape) == 1 else x.flatten()[:, None]
    scaled = (mean != 0) | (std != 1)
    off = x.mean(0).abs()[scaled]
    spread = x.std(0, unbiased=False)[scaled]
    # A column that is constant has no deviation.
    if bool((off > 1e-3).any()) or bool((((spread - 1).abs() > 1e-2) & (spread > 1e-6)).any()):
        raise Broken(
            f"training values have means up to {float(off.max()):.4g} and deviations from {float(spread.min()):.4g} to "
            f"{float(spread.max()):.4g}, expected 0 and 1",
            likely="scaled by numbers of all parts, or twice, or not at all",
        )


@check("io.read", _CLAUSE, kinds=_KIND)
def read(candidate: DatasetCandidate) -> None:
    """What is read are the examples at the rows, in their order and as often as they are named, and a copy."""
    for name, part in candidate.parts():
        n = min(len(part), candidate.size(16, 64, 256))
        order = torch.randperm(len(part), generator=candidate.generator(f"rows {name}"))[:n]
        rows = torch.cat([order, order[:1]])
        found = part.read(rows)
        if tuple(found.shape) != (len(rows), *part.shape[1:]):
            raise Broken(f"read of {len(rows)} rows of the {name} part has shape {tuple(found.shape)}")
        alone = torch.cat([part.read(row[None]) for row in rows])
        if not torch.equal(found, alone) or ("x" in vars(part) and not torch.equal(found, part.x[rows])):
            raise Broken(f"read of the {name} part gives other examples than x[rows]", likely="rows that are sorted")
        before = found.clone()
        found.zero_()
        if not torch.equal(part.read(rows), before):
            raise Broken(f"what read of the {name} part gives is the data themselves", likely="a view; x[rows] is none")


@check("rows.disjoint", "contract: parts share no example", kinds=_KIND)
def disjoint(candidate: DatasetCandidate) -> None:
    """No example is in two parts: by row numbers, where they are known, and by values."""
    seen: dict[int, str] = {}
    for name, part in candidate.parts():
        if part.numbers is None:
            continue
        if tuple(part.numbers.shape) != (len(part),):
            raise Broken(f"there are {len(part.numbers)} row numbers for {len(part)} examples of the {name} part")
        for number in part.numbers.tolist():
            if number in seen:
                raise Broken(f"row {number} is in {seen[number]} and in {name}", likely="a permutation for each part")
            seen[number] = name
    train = _hashes(candidate, candidate.dataset.train)
    different = set(train)
    usual = 1 - len(different) / max(1, len(train))
    for name, part in list(candidate.parts())[1:]:
        held = _hashes(candidate, part)
        share = sum(one in different for one in held) / max(1, len(held))
        if share > 2 * usual + _DUPLICATES:
            raise Broken(
                f"{share:.0%} of the {name} part are training examples too, and {usual:.1%} of those are there twice",
                likely="the same rows in two parts, or a sample with replacement before the split",
            )


def _hashes(candidate: DatasetCandidate, part: Split) -> list[int]:
    found: list[int] = []
    for _, stored in candidate.chunks(part):
        found += [hash(row.numpy().tobytes()) for row in stored.flatten(1)]
    return found


@check("mode.repeat", _SAME, kinds=_KIND)
def repeat(candidate: DatasetCandidate) -> None:
    """Loaded again it is the same: fingerprints, values, labels and names of all parts, at other random states."""
    if candidate.given is not None:
        raise NotApplicable("the data were given as an object, which is not loaded")
    with other_randomness():
        other = candidate.load(state=1)
    _require_same(candidate.dataset, other, "loaded again", "torch.randn, numpy or random without a seed of its own")


@check("mode.side_effects", _SAME, kinds=_KIND)
def side_effects(candidate: DatasetCandidate) -> None:
    """Loading leaves random states of torch, numpy and Python alone, and torch's default dtype."""
    if candidate.given is not None:
        raise NotApplicable("the data were given as an object, which is not loaded")
    with other_randomness():
        before = random_states() | {"default dtype": torch.get_default_dtype()}
        candidate.plainly()
        after = random_states() | {"default dtype": torch.get_default_dtype()}
    changed = [name for name in before if before[name] != after[name]]
    if changed:
        likely = "manual_seed; use a generator of its own"
        raise Broken(f"loading changes the {' and the '.join(changed)}", likely=likely)


def _require_same(first: Dataset, other: Dataset, what: str, likely: str) -> None:
    for name in PARTS:
        one, two = getattr(first, name), getattr(other, name)
        rows = torch.arange(min(64, len(one)))
        if (
            one.shape != two.shape
            or one.fingerprint() != two.fingerprint()
            or not torch.equal(one.read(rows), two.read(rows))
        ):
            raise Broken(f"{what}, the {name} part has other examples", likely=likely)
        if (one.labels is None) != (two.labels is None) or (
            one.labels is not None and not torch.equal(one.labels, two.labels)
        ):
            raise Broken(f"{what}, the {name} part has other labels", likely=likely)
    if first.summary() != other.summary():
        raise Broken(f"{what}, it is described otherwise", likely=likely)


@check("deploy.spec", _SPEC, kinds=_KIND)
def round_trip(candidate: DatasetCandidate) -> None:
    """The spec that is read back from its JSON is equal, and loads the same data."""
    if candidate.specs is None:
        raise NotApplicable("the data set was given as an object, not as a spec")
    (spec,) = candidate.specs
    try:
        again = type(spec).model_validate_json(spec.model_dump_json())
    except Exception as error:
        raise Broken(f"its JSON cannot be read: {type(error).__name__}: {str(error)[:160]}") from error
    if again != spec:
        raise Broken("the spec that is read from its JSON is another", likely="a validator that changes the value")
    _require_same(
        candidate.dataset, candidate.load(again), "by the spec that is read again", "a value outside the spec"
    )


@check("deploy.summary", "contract: a run directory keeps a summary of its data", kinds=_KIND)
def summary(candidate: DatasetCandidate) -> None:
    """What a run directory keeps of it is JSON without NaN, and its fingerprint tells these data from others."""
    try:
        json.dumps(candidate.dataset.summary(), allow_nan=False)
    except (TypeError, ValueError) as error:
        raise Broken(
            f"summary() is no JSON: {error}", likely="numbers of numpy or torch in scaling or columns"
        ) from error
    prints = [part.fingerprint() for _, part in candidate.parts()]
    if not all(isinstance(one, str) and one for one in prints):
        raise Broken(f"a fingerprint is {prints[0]!r}, expected some digits")
    if len(set(prints)) < len(prints):
        raise Broken("two parts have the same fingerprint", likely="a digest that is the name of the data")


# --- capabilities ------------------------------------------------------------------------------------------------


def _spec(candidate: DatasetCandidate, capability: Any, what: str) -> Any:
    spec = candidate.specs[0] if candidate.specs else None
    if not isinstance(spec, capability):
        raise NotApplicable(f"its spec does not know {what}")
    return spec


@check("structure.manifold", _CAPABILITY, kinds=_KIND)
def manifold(candidate: DatasetCandidate) -> None:
    """Distances to a known curve or surface are finite, at least 0, and 0 at points that are said to lie on it."""
    spec = _spec(candidate, OnManifold, "a curve or surface on which its points lie")
    points = spec.along_manifold(500)
    width = candidate.dataset.x_shape[0]
    if tuple(points.shape) != (500, width) or not torch.equal(points, spec.along_manifold(500)):
        raise Broken(f"along_manifold(500) has shape {tuple(points.shape)}, or is random; expected (500, {width})")
    off = spec.distance_to_manifold(points)
    if tuple(off.shape) != (500,) or not bool((off >= 0).all()) or not float(off.max()) < 1e-4:
        raise Broken(
            f"points of along_manifold are up to {float(off.max()):.4g} away from it",
            likely="another size, or units after standardisation",
        )
    far = spec.distance_to_manifold(torch.full((1, width), 1e3))
    if not 1e2 < float(far) < 1e5:
        raise Broken(f"a point a thousand away on each axis is said to be {float(far):.4g} away")


@check("structure.betti", _CAPABILITY, kinds=_KIND)
def betti(candidate: DatasetCandidate) -> None:
    """Betti numbers are whole numbers, and there is one piece or more."""
    found = _spec(candidate, Shaped, "the topology of its points").betti
    whole = isinstance(found, tuple) and all(isinstance(one, int) and one >= 0 for one in found)
    if not whole or not found or found[0] < 1:
        raise Broken(f"betti is {found!r}, expected whole numbers (b0, b1, …), the first 1 or more")


@check("structure.names", _CAPABILITY, kinds=_KIND)
def names(candidate: DatasetCandidate) -> None:
    """Each example of each part has one name, and no two have the same."""
    from intel_core.reading.data_dir import data_dir_or_default

    found = _spec(candidate, Named, "names of its examples").names_of_parts(data_dir_or_default(None))
    if not any(found.values()):
        raise Skipped("it has no names for these examples")
    for name, part in candidate.parts():
        if len(found.get(name, ())) != len(part):
            raise Broken(f"there are {len(found.get(name, ()))} names for {len(part)} examples of the {name} part")
    everything = [one for part in found.values() for one in part]
    if len(set(everything)) < len(everything):
        raise Broken("two examples have the same name", likely="names without their folder")
