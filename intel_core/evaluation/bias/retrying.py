"""By which commands could a run be trained again, to mend what a verdict finds? Texts to be typed or pasted."""

from __future__ import annotations

import shlex
from dataclasses import replace
from pathlib import Path

from intel_core.components.spec import format_spec, parse_spec
from intel_core.errors import SpecError
from intel_core.evaluation.bias.evidence import Retry
from intel_core.helpers.advice import AdvisesLatent
from intel_core.helpers.parts_of_mapping import elements
from intel_core.mappings.building import IdentitySpec
from intel_core.mappings.contract import MappingSpec
from intel_core.reading.arrays import MemorySpec
from intel_core.runs.stored_run import StoredRun
from intel_core.schedules import ConstantScheduleSpec

__all__ = ["retries", "with_setting"]

_STARTS = 4
_SEEDS = 5
_STRONGER = 10


def retries(run: StoredRun, against: StoredRun | None = None) -> list[Retry]:
    """What could be tried for each elementary mapping of a run, in the order of `elements`.

    These are commands, which begin with the settings of the run. Where the data were arrays of a Python process, which
    no command can read, they are options alone.

    No mapping is known by name: a spec is read by the names of its settings, ``learnable`` for learned shares of
    clusters, ``k`` for their number, ``gamma`` for the weight of a loss.
    """
    spec, parts = run.spec, elements(run.model.mapping)
    steps = spec.steps or int(run.metrics.get("step", 0))
    again = _again(run)
    common = replace(
        _whole(run, against),
        longer=f"{again}--steps {2 * steps}",
        starts=f"{again}--restarts {max(_STARTS, 2 * run.restarts)}",
        warmup=f"{again}--warmup {max(1, steps // 2)}" if _is_constant(spec.schedules.get("kl")) else "",
    )
    specs = list(spec.mapping)
    if len(specs) != len(parts):  # a mapping that is a composition itself: which setting is whose is not known
        return [common] * len(parts)
    texts = [format_spec(one) for one in specs]
    return [_for_part(common, again, specs, texts, i) for i in range(len(specs))]


def _again(run: StoredRun) -> str:
    """The beginning of a command that trains with the settings of a run; empty where no command can read its data."""
    if isinstance(run.spec.data, MemorySpec):
        return ""
    return f"intel train --config {shlex.quote(str(run.path / 'run.json'))} "


def _whole(run: StoredRun, against: StoredRun | None) -> Retry:
    """How the run itself could be repeated: with other seeds, and without the bias."""
    again, bias = _again(run), _biased(run)
    option, ending = ("--prior standard", "standard") if bias == "prior" else (_without(run), "identity")
    if not again:
        return Retry(without=(option,))
    seeds: tuple[str, ...] = (f"{again}--replicates {_SEEDS}",)
    if against is not None:
        runs = [(one, shlex.quote(str(_free(one.path, "seeds")))) for one in (run, against)]
        commands = [f"{_again(one)}--replicates {_SEEDS} --run-dir {folder}" for one, folder in runs]
        (_, mine), (_, others) = runs
        seeds = (*commands, f"intel compare {others} {mine}")
    plain = _free(run.path, ending)
    report = f"intel report {shlex.quote(str(run.path))} --against {shlex.quote(str(plain))}"
    train = f"{again}{option} --run-dir {shlex.quote(str(plain))}"
    return Retry(run=True, seeds=seeds, without=(train, report))


def _without(run: StoredRun) -> str:
    """The options of the same run without its mapping, and without what only comes with that."""
    asked = run.info.get("asked") or {}
    begun = str(asked.get("start") or "none").partition(":")[0] != "none"
    advised = asked.get("latent") is None and any(isinstance(part, AdvisesLatent) for part in run.spec.mapping)
    latent = f" --latent {run.spec.latent}" if advised else ""
    return f"--mapping identity{' --start none' if begun else ''}{latent}"


def _biased(run: StoredRun) -> str:
    """Where the bias is: in the mapping, or in the prior alone."""
    is_identity = all(isinstance(part, IdentitySpec) for part in run.spec.mapping)
    return "prior" if is_identity and not run.spec.prior.is_usual else "mapping"


def _free(path: Path, ending: str) -> Path:
    """A folder beside a run that does not exist yet."""
    folder, number = path.with_name(f"{path.name}-{ending}"), 2
    while folder.exists():
        folder, number = path.with_name(f"{path.name}-{ending}{number}"), number + 1
    return folder


def _is_constant(schedule: object) -> bool:
    """Whether the weight of the KL term is the same all along."""
    return schedule is None or isinstance(schedule, ConstantScheduleSpec)


def _for_part(common: Retry, again: str, specs: list[MappingSpec], texts: list[str], place: int) -> Retry:
    spec, text = specs[place], texts[place]

    def options(changed: str) -> str:
        """All mappings of the run, this one changed; empty where it cannot be."""
        every = [changed if i == place else other for i, other in enumerate(texts)]
        return again + " ".join(f"--mapping {shlex.quote(one)}" for one in every) if changed else ""

    learnable = getattr(spec, "learnable", None) is False
    k, gamma = getattr(spec, "k", None), getattr(spec, "gamma", None)
    counted = isinstance(k, int) and not isinstance(k, bool)
    weighted = isinstance(gamma, int | float) and not isinstance(gamma, bool)
    stronger = f"{_STRONGER * (gamma or 0.1):g}" if weighted else ""
    return replace(
        common,
        learnable=options(with_setting(text, "learnable", "true")) if learnable else "",
        stronger=options(with_setting(text, "gamma", stronger)) if weighted else "",
        of_k=lambda n: options(with_setting(text, "k", str(n))) if counted and n != k else "",
    )


def with_setting(text: str, name: str, value: str) -> str:
    """A mapping's text with one setting changed; empty where the mapping refuses it.

    >>> with_setting("sparse", "gamma", "10"), with_setting("identity", "gamma", "10")
    ('sparse:gamma=10.0', '')
    """
    try:
        if name not in type(parse_spec("mappings", text)).model_fields:
            return ""
        bare, _, body = text.partition(":")
        kept = [pair for pair in _pairs(body) if pair.partition("=")[0] != name]
        parsed = parse_spec("mappings", f"{bare}:{','.join([*kept, f'{name}={value}'])}")
    except SpecError:
        return ""
    return format_spec(parsed)


def _pairs(body: str) -> list[str]:
    """The settings of a text; commas inside brackets separate none.

    >>> _pairs("k=4,proportions=[0.5,0.5]")
    ['k=4', 'proportions=[0.5,0.5]']
    """
    pairs, depth = [""], 0
    for sign in body:
        depth += (sign in "[{(") - (sign in "]})")
        if sign == "," and depth == 0:
            pairs.append("")
        else:
            pairs[-1] += sign
    return [pair for pair in pairs if pair]
