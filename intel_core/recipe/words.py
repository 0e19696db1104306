"""Which other words stand for settings of a run? The same in `fit`, in a settings file and on the command line."""

from __future__ import annotations

from collections.abc import Mapping as Dictionary
from typing import Any

from intel_core.components.spec import ComponentSpec
from intel_core.errors import SpecError
from intel_core.training.settings import MOST_STEPS

__all__ = ["SHORT_WORDS", "elsewhere", "is_word_of_conditions", "names_of_conditions", "spelled_out"]

SHORT_WORDS = {
    "network": "encoder and decoder in one",
    "lr": "learning_rate",
    "warmup": "schedules of kl: raised from 0 to 1 over so many steps, 0 for none",
    "schedule": "schedules, as a text NAME=SPEC or a list of such texts",
}
"""Words that `spelled_out` understands beside the fields of `RunSpec`, and what each stands for."""
_ELSEWHERE = {
    "replicates": "fit_replicates(R, …) or --replicates R",
    "run_dir": "fit(run_dir=…) or --run-dir",
    "data_dir": "fit(data_dir=…), --data-dir or INTEL_DATA_DIR",
    "hooks": "fit(hooks=[…])",
    "labels": "fit(data=…, labels=…), or label=… among the settings of the data",
    "config": "--config on the command line",
    "resume": "resume(folder) or --resume",
    "dry_run": "--dry-run on the command line",
    "pictures": "--no-pictures on the command line",
    "no_pictures": "--no-pictures on the command line",
    "quiet": "--quiet on the command line",
}
"""What is no part of a run, because its result does not hang on it, and where it is said instead."""


def is_word_of_conditions(value: object) -> bool:
    """Whether this is one of the words that the setting `conditions` knows, and no name or value of a condition."""
    return isinstance(value, str) and value in ("data", "labels")


def names_of_conditions(settings: dict[str, Any]) -> tuple[str, ...]:
    """The columns that the setting `conditions` names, which is then taken out of the settings.

    >>> settings = {"conditions": "batch, age"}
    >>> names_of_conditions(settings), settings
    (('batch', 'age'), {})
    """
    value = settings.get("conditions")
    if isinstance(value, str) and not is_word_of_conditions(value):
        value = [part.strip() for part in value.split(",")]
    if not isinstance(value, list | tuple) or not value or not all(isinstance(name, str) and name for name in value):
        return ()
    del settings["conditions"]
    return tuple(value)


def elsewhere(word: str) -> str | None:
    """Where something is said that is no setting of a run; None for any other word.

    >>> elsewhere("run-dir")
    'fit(run_dir=…) or --run-dir'
    """
    return _ELSEWHERE.get(word.replace("-", "_"))


def spelled_out(settings: Dictionary[str, Any]) -> dict[str, Any]:
    """The settings by the names of their fields: short words replaced, hyphens as on the command line understood.

    A short word gives way to the field itself: ``network`` stands for what ``encoder`` and ``decoder`` do not say.

    Raises:
        SpecError: where two words say the same thing, or a value cannot be understood.

    >>> spelled_out({"lr": 0.01, "network": "linear", "decoder": "mlp", "batch-size": 20})
    {'decoder': 'mlp', 'batch_size': 20, 'learning_rate': 0.01, 'encoder': 'linear'}
    >>> spelled_out({"warmup": 5, "schedule": "lr=cosine:steps=9"})
    {'schedules': {'lr': 'cosine:steps=9', 'kl': 'linear:steps=5'}}
    """
    out: dict[str, Any] = {}
    for key, value in settings.items():
        word = key.replace("-", "_")
        if word in out:
            raise SpecError(f"{key} and {word} are one setting; give one of them")
        out[word] = value
    short = {word: out.pop(word) for word in SHORT_WORDS if word in out}
    short = {word: value for word, value in short.items() if value is not None and not _is_empty(value)}
    if "lr" in short:
        if "learning_rate" in out:
            raise SpecError("lr and learning_rate are one setting; give one of them")
        out["learning_rate"] = short["lr"]
    if "network" in short:
        if not isinstance(short["network"], str | ComponentSpec):
            raise SpecError("network is one text for both networks; give modules of your own as encoder= and decoder=")
        out |= {name: short["network"] for name in ("encoder", "decoder") if out.get(name) is None}
    schedules = dict(_schedules(short.get("schedule", ())))
    if "warmup" in short:
        if "kl" in schedules or "kl" in (out.get("schedules") or ()):
            raise SpecError("warmup and the schedule of kl say the same thing; give one of them")
        schedules["kl"] = _warmup(short["warmup"])
    if schedules:
        given = out.get("schedules") or {}
        out["schedules"] = {**given, **schedules} if isinstance(given, dict) else given
    return out


def _is_empty(value: Any) -> bool:
    return isinstance(value, list | tuple) and not value


def _schedules(texts: Any) -> dict[str, str]:
    if isinstance(texts, dict):
        return texts
    schedules: dict[str, str] = {}
    for text in texts if isinstance(texts, list | tuple) else [texts]:
        name, equals, spec = text.partition("=") if isinstance(text, str) else ("", "", "")
        if not equals or not name.strip() or ":" in name:
            raise SpecError(f"schedule {text!r} is not NAME=SPEC, e.g. kl=linear:steps=1000")
        if name.strip() in schedules:
            raise SpecError(f"schedule gives {name.strip()!r} twice")
        schedules[name.strip()] = spec
    return schedules


def _warmup(steps: Any) -> str:
    if isinstance(steps, bool) or not isinstance(steps, int):
        raise SpecError(f"warmup={steps!r}: expected a number of training steps, 0 for none")
    if not 0 <= steps <= MOST_STEPS:
        shown = f"={steps} is negative" if -MOST_STEPS < steps < 0 else f": at most {MOST_STEPS:,}"
        raise SpecError(f"warmup{shown}; it counts training steps, 0 for none")
    return f"linear:steps={steps}" if steps else "constant"
