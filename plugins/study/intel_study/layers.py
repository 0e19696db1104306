"""Which settings has a run whose settings come in layers? Each layer replaces what the ones below it say.

As options replace the settings of a file: schedules are replaced by their names, and steps and epochs replace each
other. Nothing here imports torch.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from intel_core.errors import DataError, IntelError, PluginError, SpecError
from intel_core.recipe.words import spelled_out

__all__ = ["cell_settings", "layered", "told_of"]

_LENGTH = ("steps", "epochs")


def layered(*layers: Mapping[str, Any]) -> dict[str, Any]:
    """The settings of all layers, the last one uppermost.

    Raises:
        SpecError: if two words of one layer say the same thing.

    >>> layered({"steps": 9, "warmup": 5}, {"epochs": 2, "schedule": "lr=constant"})
    {'schedules': {'kl': 'linear:steps=5', 'lr': 'constant'}, 'epochs': 2}
    """
    found: dict[str, Any] = {}
    for layer in layers:
        given = spelled_out(dict(layer))
        if any(given.get(word) is not None for word in _LENGTH):
            for word in _LENGTH:
                found.pop(word, None)
        below = found.get("schedules")
        if isinstance(below, dict) and isinstance(given.get("schedules"), dict):
            given["schedules"] = {**below, **given["schedules"]}
        found |= given
    return found


def cell_settings(study: Any, problem: str, arm: str) -> dict[str, Any]:
    """The settings of the runs of an arm in a problem, but for the seed.

    Raises:
        SpecError: if a layer cannot be understood, or says the seed; naming the layer.
    """
    of_arm = study.arms[arm]
    layers = {
        "base": study.base,
        f"problem {problem}": study.problems.get(problem, {}),
        f"arm {arm}": of_arm.settings,
        f"arm {arm}, problem {problem}": of_arm.by_problem.get(problem, {}),
    }
    for where, layer in layers.items():
        with told_of(where):
            spelled = layered(layer)
            for word, instead in (("seed", "seeds of the study"), ("name", "names of arms and problems")):
                if word in spelled:
                    raise SpecError(f"{word} is no setting here; a run has it from the {instead}")
    return layered(*layers.values())


@contextmanager
def told_of(where: str) -> Iterator[None]:
    """Errors within say where they belong, in front; all become errors of the study file."""
    try:
        yield
    except PluginError as error:
        raise PluginError(f"{where}: {error}") from error
    except DataError as error:
        raise SpecError(f"{where}: {error}") from error
    except IntelError as error:
        raise type(error)(f"{where}: {error}") from error
