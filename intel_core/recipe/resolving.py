"""Which settings of a run depend on its data? All that the spec leaves open; they are filled in here."""

from __future__ import annotations

from collections import Counter

from intel_core.compute.precision import pick_precision
from intel_core.data.batches import steps_per_epoch
from intel_core.data.dataset import Dataset
from intel_core.errors import DataError, PluginError, SpecError
from intel_core.likelihoods.specs import BernoulliSpec, GaussianSpec
from intel_core.mappings.contract import MappingSpec
from intel_core.model.contract import LikelihoodSpec, NetworkSpec
from intel_core.networks.specs import ConvSpec, MLPSpec
from intel_core.recipe.contracts import made_by
from intel_core.recipe.runspec import RunSpec
from intel_core.schedules import ConstantScheduleSpec, LinearScheduleSpec, ScheduleSpec
from intel_core.training.settings import DEFAULT_STEPS, MOST_STEPS, TrainingSettings

__all__ = ["affordable_evaluations", "is_affordable", "resolve", "usual_evaluations"]

WARMUP_SHARE = 0.5
"""Share of the training over which the KL term is warmed up on vectors, unless the user says otherwise."""
EVALUATION_SHARE = 0.1
"""Share of the training that evaluations may take, unless the user says how often there is to be one."""
_STEP = 3
"""A step on an example, forwards and backwards, takes about as long as so many evaluations of one."""


def resolve(spec: RunSpec, dataset: Dataset) -> RunSpec:
    """The same spec with every open setting filled in from the data and, for the precision, from the device.

    Raises:
        DataError: if the likelihood cannot explain the values of x.
        SpecError: if the epochs are more steps than a run can have, `trial` is set although there is one start only, or
            the precision depends on a device that is not here.
    """
    if spec.restarts == 1 and spec.trial != RunSpec.model_fields["trial"].default:
        raise SpecError(f"trial={spec.trial:g} is the length of each start's trial; say restarts=N for N starts")
    shape = dataset.x_shape
    encoder = spec.encoder or spec.decoder or _default_network(shape)
    per_epoch = steps_per_epoch(len(dataset.train), spec.batch_size)
    steps = spec.steps or (spec.epochs * per_epoch if spec.epochs else DEFAULT_STEPS)
    if steps > MOST_STEPS:
        raise SpecError(
            f"epochs={spec.epochs:,} of {per_epoch:,} steps each are {steps:,} steps; at most {MOST_STEPS:,}"
        )
    schedules = dict(spec.schedules)
    schedules.setdefault("kl", _default_kl_weight(shape, steps))
    for name, schedule in _advised(spec.mapping, steps, schedules).items():
        schedules.setdefault(name, schedule)
    likelihood = spec.likelihood or _default_likelihood(dataset)
    if dataset.support not in likelihood.supports:
        raise DataError(
            f"likelihood {likelihood} explains values in {' or '.join(_VALUES[s] for s in likelihood.supports)}, "
            f"but {dataset.name} has {_VALUES[dataset.support]}; use gaussian or laplace"
        )
    decoder = spec.decoder or encoder
    usual, examples = usual_evaluations(steps), min(spec.batch_size, len(dataset.train))
    return spec.model_copy(
        update={
            "encoder": encoder,
            "decoder": decoder,
            "precision": pick_precision(spec.precision, spec.device, encoder, decoder),
            "likelihood": likelihood,
            "latent": spec.latent or (10 if len(shape) == 3 else min(2, shape[0])),
            "steps": steps,
            "epochs": None,
            "schedules": schedules,
            "evaluate_every": spec.evaluate_every or affordable_evaluations(steps, examples, len(dataset.validation)),
            "save_every": spec.save_every or spec.evaluate_every or usual,
            "name": spec.name or spec.label,
        }
    ).settled()


def usual_evaluations(steps: int) -> int:
    """After how many steps a run is evaluated where nobody says so: twenty times in all.

    >>> usual_evaluations(4000)
    200
    """
    return TrainingSettings(steps=steps).settled().evaluate_every or steps


def affordable_evaluations(steps: int, examples: int, validation: int) -> int:
    r"""As `usual_evaluations`, or more rarely, so that evaluations take a tenth of the training at most.

    With n evaluations of V examples in S steps of B examples, each of which takes as long as three evaluations,
    :math:`nV \le 0.1 \cdot 3 S B`. Nothing hangs on a clock. There is one at the end in any case.

    Args:
        steps: of the run.
        examples: of a step.
        validation: examples of an evaluation.

    >>> [affordable_evaluations(steps, 100, 5000) for steps in (4000, 400, 30)]
    [200, 200, 30]
    """
    usual = usual_evaluations(steps)
    if is_affordable(usual, examples, validation):
        return usual
    count = int(steps * examples * _STEP * EVALUATION_SHARE / validation)
    return -(-steps // max(1, count))


def is_affordable(steps: int, examples: int, evaluated: int) -> bool:
    """Whether it takes at most a tenth of so many steps to evaluate so many examples.

    >>> is_affordable(200, 100, 5000), is_affordable(30, 100, 5000)
    (True, False)
    """
    return steps * examples * _STEP * EVALUATION_SHARE >= evaluated


def _advised(mapping: tuple[MappingSpec, ...], steps: int, settled: dict[str, ScheduleSpec]) -> dict[str, ScheduleSpec]:
    """The schedules that the mappings advise; if several use one name for a loss, it is numbered as in a composition.

    All mappings share one strength: if two disagree about its schedule, it is ignored, and the strength is always 1.
    """
    advice = [_advice(part, steps, settled) for part in mapping]
    strengths = {of_part["strength"] for of_part in advice if "strength" in of_part}
    if len(strengths) > 1:
        advice = [{name: s for name, s in of_part.items() if name != "strength"} for of_part in advice]
    count = Counter(name for of_part in advice for name in of_part)
    return {
        name if count[name] == 1 or name == "strength" else f"{name}{i}": schedule
        for i, of_part in enumerate(advice)
        for name, schedule in of_part.items()
    }


def _advice(part: MappingSpec, steps: int, settled: dict[str, ScheduleSpec]) -> dict[str, ScheduleSpec]:
    """What one mapping advises.

    Raises:
        PluginError: if it is no dictionary of schedules.
    """
    with made_by(f"mapping {part}: advised_schedules()"):
        advice: object = part.advised_schedules(steps, dict(settled))
    if not isinstance(advice, dict) or not all(isinstance(one, ScheduleSpec) for one in advice.values()):
        shown = "other things than schedules" if isinstance(advice, dict) else f"a {type(advice).__name__}"
        raise PluginError(
            f"mapping {part}: advised_schedules() returned {shown}, expected a dictionary of ScheduleSpecs"
        )
    return advice


def _default_kl_weight(shape: tuple[int, ...], steps: int) -> ScheduleSpec:
    """A warm-up for vectors, where the posterior collapses without one; none for images, as in the paper."""
    if len(shape) == 3:
        return ConstantScheduleSpec()
    return LinearScheduleSpec(steps=max(1, int(steps * WARMUP_SHARE)))


_VALUES = {"binary": "{0, 1}", "unit": "[0, 1]", "real": "real numbers"}


def _default_network(shape: tuple[int, ...]) -> NetworkSpec:
    if len(shape) == 3 and min(shape[1:]) >= 48:
        return ConvSpec(channels=(64, 128, 256), last_stride=2)
    return MLPSpec() if len(shape) == 3 or shape[0] > 16 else MLPSpec(hidden=(64, 64))


def _default_likelihood(dataset: Dataset) -> LikelihoodSpec:
    return GaussianSpec() if dataset.support == "real" else BernoulliSpec()
