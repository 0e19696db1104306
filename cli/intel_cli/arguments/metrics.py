"""Which metrics are meant? Those that --metric names, and the usual ones if it is not given."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import click

from intel_cli.arguments.completion import ComponentName
from intel_cli.output import telling

if TYPE_CHECKING:
    from intel_core.evaluation.metric import MetricSpec

__all__ = ["metric_option", "read_metrics"]


def metric_option(said: str) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """The option --metric with the help text of a command; `read_metrics` parses its values."""
    return click.option(
        "--metric",
        "--metrics",
        "metrics",
        multiple=True,
        type=ComponentName("metrics"),
        metavar="SPEC",
        help=said,
    )


def read_metrics(texts: Sequence[str], *, everything: bool = False) -> list[MetricSpec]:
    """The metrics that some texts name, or the usual ones if no text is given.

    Raises:
        SpecError: if a text describes no metric, or none is installed.
    """
    from intel_core.components.spec import parse_spec
    from intel_core.errors import SpecError
    from intel_core.evaluation.metric import MetricSpec

    if texts and everything:
        raise SpecError("--all asks for every metric; leave out --metric, or --all")
    if everything:
        texts = _every_one()
    if not texts:
        from intel_core.evaluation.measuring import usual_metrics

        usual = usual_metrics()
        if not usual:
            raise SpecError("no metric is installed: pip install intelvae-metrics")
        return usual
    # Several names may be given in one word, since a name has no comma; after a colon, commas belong to the settings.
    split = [part for text in texts for part in _parts(text)]
    specs = [parse_spec("metrics", part) for part in split]
    return [spec for spec in dict.fromkeys(specs) if isinstance(spec, MetricSpec)]


def _every_one() -> list[str]:
    """The names of all metrics that can be loaded; each of the others is reported in one line."""
    from intel_core.components import discovery as plugins
    from intel_core.components import loading
    from intel_core.errors import PluginError

    names = []
    for component in plugins.available("metrics"):
        name = component.qualified if component.status == "CONFLICT" else component.name
        try:
            loading.load("metrics", name)
        except PluginError as error:
            if component.status != "DISABLED":  # which the user has asked for
                telling.note(f"Warning: {error}")
        else:
            names.append(name)
    return names


def _parts(text: str) -> list[str]:
    """The specs in a text: names with commas between, the last of which may have settings.

    >>> _parts("units,hoyer"), _parts("units,frechet:n=5000,few=true")
    (['units', 'hoyer'], ['units', 'frechet:n=5000,few=true'])
    """
    names, colon, settings = text.partition(":")
    *others, last = names.split(",")
    return [*others, f"{last}{colon}{settings}"]
