"""With which options could a run be trained again, to mend what a verdict finds? Texts for `intel train`."""

from __future__ import annotations

import shlex

from intel_core.components.spec import format_spec, parse_spec
from intel_core.errors import SpecError
from intel_core.evaluation.bias.evidence import Retry
from intel_core.helpers.parts_of_mapping import elements
from intel_core.mappings.contract import MappingSpec
from intel_core.runs.stored_run import StoredRun
from intel_core.schedules import ConstantScheduleSpec

__all__ = ["retries", "with_setting"]

_STARTS = 4
_STRONGER = 10


def retries(run: StoredRun) -> list[Retry]:
    """What could be tried for each elementary mapping of a run, in the order of `elements`.

    No mapping is known by name: a spec is read by the names of its settings, ``learnable`` for learned shares of
    clusters, ``k`` for their number, ``gamma`` for the weight of a loss.
    """
    spec, parts = run.spec, elements(run.model.mapping)
    steps = spec.steps or int(run.metrics.get("step", 0))
    common = Retry(
        longer=f"--steps {2 * steps}",
        starts=f"--restarts {max(_STARTS, 2 * run.restarts)}",
        warmup=f"--warmup {max(1, steps // 2)}" if _is_constant(spec.schedules.get("kl")) else "",
    )
    specs = list(spec.mapping)
    if len(specs) != len(parts):  # a mapping that is a composition itself: which setting is whose is not known
        return [common] * len(parts)
    texts = [format_spec(one) for one in specs]
    return [_for_part(common, specs, texts, i) for i in range(len(specs))]


def _is_constant(schedule: object) -> bool:
    """Whether the weight of the KL term is the same all along."""
    return schedule is None or isinstance(schedule, ConstantScheduleSpec)


def _for_part(common: Retry, specs: list[MappingSpec], texts: list[str], place: int) -> Retry:
    spec, text = specs[place], texts[place]

    def options(changed: str) -> str:
        """All mappings of the run, this one changed; empty where it cannot be."""
        every = [changed if i == place else other for i, other in enumerate(texts)]
        return " ".join(f"--mapping {shlex.quote(one)}" for one in every) if changed else ""

    learnable = getattr(spec, "learnable", None) is False
    k, gamma = getattr(spec, "k", None), getattr(spec, "gamma", None)
    counted = isinstance(k, int) and not isinstance(k, bool)
    weighted = isinstance(gamma, int | float) and not isinstance(gamma, bool)
    stronger = f"{_STRONGER * (gamma or 0.1):g}" if weighted else ""
    return Retry(
        longer=common.longer,
        starts=common.starts,
        warmup=common.warmup,
        learnable=options(with_setting(text, "learnable", "true")) if learnable else "",
        stronger=options(with_setting(text, "gamma", stronger)) if weighted else "",
        of_k=lambda n: options(with_setting(text, "k", str(n))) if counted and n != k else "",
    )


def with_setting(text: str, name: str, value: str) -> str:
    """A mapping's text with one setting changed; empty where the mapping refuses it.

    >>> with_setting("cluster:k=4", "learnable", "true"), with_setting("identity", "learnable", "true")
    ('cluster:k=4,learnable=true', '')
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
