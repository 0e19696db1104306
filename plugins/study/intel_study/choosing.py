"""Which seeds, arms and problems of a study are asked for on the command line?

Nothing here imports torch.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence

from intel_core.errors import SpecError, did_you_mean
from intel_study.design import Study, consecutive

__all__ = ["chosen", "with_seeds"]


def with_seeds(study: Study, count: int | None, first: int | None) -> Study:
    """The study with other seeds: fewer of its own, more after them, or others from one on.

    Raises:
        SpecError: if they are no seeds.

    >>> study = Study(arms={"a": {}}, seeds={"first": 10, "count": 5})
    >>> with_seeds(study, 2, None).seeds, with_seeds(study, 7, None).seeds[-1], with_seeds(study, None, 20).seeds[0]
    ((10, 11), 16, 20)
    """
    if count is None and first is None:
        return study
    own = study.seeds
    try:
        if first is not None:
            seeds = consecutive(first, len(own) if count is None else count)
        elif count is not None and 1 <= count <= len(own):
            seeds = own[:count]
        else:
            more = consecutive(max(own) + 1, (count or 0) - len(own)) if (count or 0) > len(own) else ()
            seeds = (*own, *more)
            if count is not None and count < 1:
                consecutive(0, count)
    except ValueError as error:
        raise SpecError(f"--seeds, --first-seed: {error}") from None
    return study.model_copy(update={"seeds": seeds})


def chosen(study: Study, only: Sequence[str]) -> set[tuple[str, str]]:
    """Problem and arm of everything that some words name: arms, problems, or ``ARM@PROBLEM``; all without words.

    Raises:
        SpecError: if a word names nothing, with the nearest name.

    >>> study = Study(arms={"a": {}, "b": {}}, problems={"x": {}, "y": {}})
    >>> sorted(chosen(study, ["a@x", "y"]))
    [('x', 'a'), ('y', 'a'), ('y', 'b')]
    """
    everything = {(problem, arm) for problem in study.problem_names for arm in study.arm_names(problem)}
    if not only:
        return everything
    found: set[tuple[str, str]] = set()
    for word in only:
        arm, at, problem = word.partition("@")
        if at:
            _require(arm, study.arms, "arm", word)
            _require(problem, study.problems, "problem", word)
            here = everything & {(problem, arm)}
        else:
            here = {pair for pair in everything if word in pair}
            if not here:
                names = [*study.arms, *study.problems]
                raise SpecError(f"--only {word}: no arm and no problem has that name{did_you_mean(word, names)}")
        if not here:
            raise SpecError(f"--only {word}: that arm takes no part in that problem")
        found |= here
    return found


def _require(name: str, known: Collection[str], what: str, word: str) -> None:
    if name not in known:
        raise SpecError(f"--only {word}: no {what} is called {name!r}{did_you_mean(name, known, say=f'{what}s')}")
