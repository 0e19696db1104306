"""Which cases of a parametrised test does the mark `promptly` leave to `make test`?"""

from __future__ import annotations

from itertools import product
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]


def prompt_cases(request: pytest.FixtureRequest, mark: pytest.MarkDecorator, cases: dict[str, Any]) -> set[str]:
    shared: Any = request.config.pluginmanager.get_plugin(str(ROOT / "conftest.py"))
    found: set[str] = shared.prompt_cases("test_it", mark.mark, cases)
    return found


def case(slow: bool = False, **indices: int) -> Any:
    marker = pytest.mark.slow.mark if slow else None
    return SimpleNamespace(callspec=SimpleNamespace(indices=indices), get_closest_marker=lambda _: marker)


def test_names_are_taken_as_they_are(request: pytest.FixtureRequest) -> None:
    assert prompt_cases(request, pytest.mark.promptly("a", "c"), {}) == {"a", "c"}


def test_of_one_parametrisation_every_so_many(request: pytest.FixtureRequest) -> None:
    cases = {str(i): case(x=i, y=i) for i in range(7)}
    assert prompt_cases(request, pytest.mark.promptly(every=3), cases) == {"0", "3", "6"}
    cases["1"] = cases["2"] = case(slow=True, x=0, y=0)
    assert prompt_cases(request, pytest.mark.promptly(every=3), cases) == {"0", "5"}


@pytest.mark.parametrize("every", [2, 3])
def test_of_two_each_value_is_met(request: pytest.FixtureRequest, every: int) -> None:
    cases = {f"{i}-{j}": case(i=i, j=j) for i, j in product(range(6), range(4))}
    found = prompt_cases(request, pytest.mark.promptly(every=every), cases)
    assert len(found) == len(cases) / every
    assert {name[0] for name in found} == set("012345")
    assert {name[-1] for name in found} == set("0123")


@pytest.mark.parametrize(
    "mark", [pytest.mark.promptly(), pytest.mark.promptly("a", every=2), pytest.mark.promptly(evry=2)], ids=str
)
def test_nonsense_ends_the_collection(request: pytest.FixtureRequest, mark: pytest.MarkDecorator) -> None:
    with pytest.raises(pytest.UsageError, match="takes names of cases, or every=3"):
        prompt_cases(request, mark, {"a": case(x=0)})
