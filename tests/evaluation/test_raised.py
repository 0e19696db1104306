"""What a metric raises is told in one line, with the line of its author's code."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from intel_core import Measured, Measurement, MetricSpec, Number, Run, Subject, fit, measure
from intel_core.components import discovery as plugins
from intel_core.components import loading
from intel_core.evaluation.raised import one_line, place_of


def indexing() -> Any:
    things: list[int] = []
    return things[3]  # here


def misspelling() -> Any:
    numbers: Any = {"number": {"a": Number(value=0.5)}, "protocol": {}}
    return Measurement(**numbers)  # here


def reading() -> Any:
    return json.loads("{")  # here


def concatenating() -> Any:
    return torch.cat([torch.zeros(2, 3), torch.zeros(2, 2)])  # here


def line_of(function: Callable[[], Any]) -> int:
    """The line of a function that is marked."""
    first = function.__code__.co_firstlineno
    lines = Path(__file__).read_text().splitlines()
    return next(number for number, text in enumerate(lines[first:], first + 1) if text.endswith("# here"))


def caught(function: Callable[[], Any]) -> Exception:
    with pytest.raises(Exception) as error:
        function()
    return error.value


@pytest.mark.parametrize(
    ("function", "says"),
    [
        (indexing, "IndexError: list index out of range"),
        (misspelling, "ValidationError: Measurement.numbers: Field required; Measurement.number: Extra inputs are not"),
        (reading, "JSONDecodeError: Expecting property name"),
        (concatenating, "RuntimeError: Sizes of tensors must match"),
    ],
)
def test_the_place_is_the_last_line_outside_of_libraries(function: Callable[[], Any], says: str) -> None:
    said = one_line(caught(function))
    assert said.startswith(says)
    assert said.endswith(f"(test_raised.py, line {line_of(function)})")
    assert "\n" not in said


def test_what_an_installed_plugin_raises_has_a_place_if_it_is_known_to_be_of_the_author(tmp_path: Path) -> None:
    file = tmp_path / "site-packages" / "their_metrics.py"
    code = "def go():\n    return [][1]\nclass Theirs: pass\n"
    names: dict[str, Any] = {"__name__": "their_metrics.specs"}
    exec(compile(code, str(file), "exec"), names)
    error = caught(names["go"])
    assert place_of(error, names["Theirs"]()) == "their_metrics.py, line 2"
    assert place_of(error).startswith("test_raised.py")


def test_without_an_author_there_is_no_place_and_a_long_message_is_cut() -> None:
    assert place_of(KeyError("x"), SimpleNamespace()) == ""
    assert one_line(KeyError()) == "KeyError: no message"
    assert len(one_line(ValueError("x" * 5000))) < 400


class IndexingSpec(MetricSpec):
    """Looks for what is not there."""

    def measure(self, subject: Subject) -> Measurement:
        found: Measurement = indexing()
        return found


class FloatSpec(MetricSpec):
    """Returns a number alone."""

    def measure(self, subject: Subject) -> Any:
        return 0.5


def test_a_failed_measurement_tells_the_place_and_who_asks_gets_the_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(plugins, "registered", dict(plugins.registered))
    for name, spec in (("indexing", IndexingSpec), ("float", FloatSpec)):
        loading.register("metrics", name, spec)
    run: Run = fit(mapping="identity", data=torch.randn(200, 2), steps=2, keep=False, progress=False)
    errors: list[BaseException] = []
    said: list[Measured] = list(measure(Subject(run), [IndexingSpec(), FloatSpec()], failed=errors.append))
    place = re.escape(f"(test_raised.py, line {line_of(indexing)})")
    assert re.fullmatch(f"IndexError: list index out of range {place}", said[0].reason)
    assert said[1].reason == "measure() returned float, expected a Measurement"
    assert [type(error).__name__ for error in errors] == ["IndexError", "PluginError"]
