"""Which settings of a run depend on its data? All that the spec leaves open; they are filled in here."""

from __future__ import annotations

import math
from collections import Counter
from typing import Literal

from intel_core.components import discovery as plugins
from intel_core.components.spec import parse_spec
from intel_core.compute.precision import pick_precision
from intel_core.data.batches import steps_per_epoch
from intel_core.data.dataset import Dataset
from intel_core.errors import DataError, PluginError, SpecError
from intel_core.helpers.advice import AdvisesEncoder, AdvisesLatent, ChecksData, CompletedByData
from intel_core.helpers.own_prior import mixture_of
from intel_core.helpers.parts_of_mapping import clustering_of
from intel_core.helpers.pushforward import image_of
from intel_core.helpers.trial_build import trial_build
from intel_core.likelihoods.specs import BernoulliSpec, GaussianSpec
from intel_core.mappings.building import build_mapping
from intel_core.mappings.contract import Annealed, Mapping, MappingSpec
from intel_core.model.contract import LikelihoodSpec, NetworkSpec
from intel_core.model.prior import Mixture
from intel_core.networks.specs import ConvSpec, MLPSpec
from intel_core.recipe.contracts import made_by
from intel_core.recipe.contradictions import refuse_contradictions, refuse_unfit_start
from intel_core.recipe.given import GivenNetworkSpec
from intel_core.recipe.runspec import RunSpec
from intel_core.recipe.starts import NoStartSpec, StartSpec
from intel_core.schedules import ConstantScheduleSpec, LinearScheduleSpec, ScheduleSpec
from intel_core.training.settings import DEFAULT_STEPS, MOST_STEPS, TrainingSettings

__all__ = [
    "affordable_evaluations",
    "affordable_examples",
    "is_affordable",
    "resolve",
    "usual_evaluations",
    "usual_saves",
]

WARMUP_SHARE = 0.5
"""Share of the training over which the KL term is warmed up on vectors, unless the user says otherwise."""
EVALUATION_SHARE = 0.1
"""Share of the training that evaluations may take, unless the user says how often there is to be one."""
USUAL_START = "mixture"
"""The start of a mapping with clusters, unless the user says otherwise."""
STEPS_OF_A_SAVE, FEWEST_SAVES = 500, 4
"""Steps between checkpoints at least, unless there are fewer checkpoints then, or the user says otherwise."""
_STEP = 3
"""A step on an example, forwards and backwards, takes about as long as so many evaluations of one."""


def resolve(spec: RunSpec, dataset: Dataset) -> RunSpec:
    """The same spec with every open setting filled in from the data and, for the precision, from the device.

    Raises:
        DataError: if the likelihood cannot explain the values of x.
        SpecError: if the epochs are more steps than a run can have, `trial` is set although there is one start only,
            or ends before clusters are found, or the precision depends on a device that is not here.
    """
    refuse_contradictions(spec)
    shape = dataset.x_shape
    likelihood = spec.likelihood or _default_likelihood(dataset)
    if isinstance(likelihood, CompletedByData):
        with made_by(f"likelihood {likelihood}: for_data()"):
            likelihood = likelihood.for_data(dataset)
    encoder = spec.encoder or _both_ways(spec.decoder) or _default_encoder(shape, likelihood)
    per_epoch = steps_per_epoch(len(dataset.train), spec.batch_size)
    steps = spec.steps or (spec.epochs * per_epoch if spec.epochs else DEFAULT_STEPS)
    if steps > MOST_STEPS:
        raise SpecError(
            f"epochs={spec.epochs:,} of {per_epoch:,} steps each are {steps:,} steps; at most {MOST_STEPS:,}"
        )
    latent = spec.latent or _default_latent(spec.mapping, shape)
    # What cannot be built is told where the model is.
    mapping, _ = trial_build(lambda: build_mapping(spec.mapping, latent))
    prior, _ = trial_build(lambda: spec.prior.build(latent, shape))
    start, strength = _start(spec, mapping, mixture_of(prior), steps, dataset)
    if spec.restarts > 1 and spec.trial is not None and spec.trial <= start.share_before:
        raise SpecError(
            f"trial={spec.trial:g} ends before the clusters of start {start} are found, at {start.share_before:g} of "
            "the run, so that it says nothing of them; leave it out, or say more"
        )
    schedules = dict(spec.schedules)
    schedules.setdefault("kl", _default_kl_weight(shape, steps))
    for name, schedule in strength.items():
        schedules.setdefault(name, schedule)
    for name, schedule in _advised(spec.mapping, steps, schedules).items():
        schedules.setdefault(name, schedule)
    if dataset.support not in likelihood.supports:
        raise DataError(
            f"likelihood {likelihood} explains values in {' or '.join(_VALUES[s] for s in likelihood.supports)}, "
            f"but {dataset.name} has {_VALUES[dataset.support]}; use gaussian or laplace"
        )
    if isinstance(likelihood, ChecksData):
        with made_by(f"likelihood {likelihood}: check_data()"):
            likelihood.check_data(dataset)
    decoder = spec.decoder or _both_ways(encoder) or _default_encoder(shape, likelihood)
    examples = min(spec.batch_size, len(dataset.train))
    return spec.model_copy(
        update={
            "encoder": encoder,
            "decoder": decoder,
            "precision": pick_precision(spec.precision, spec.device, encoder, decoder),
            "likelihood": likelihood,
            "latent": latent,
            "start": start,
            "kl": _where_kl(spec, mapping),
            "steps": steps,
            "epochs": None,
            "schedules": schedules,
            "evaluate_every": spec.evaluate_every or affordable_evaluations(steps, examples, len(dataset.validation)),
            "save_every": spec.save_every or spec.evaluate_every or usual_saves(steps),
            "name": spec.name or spec.label,
        }
    ).settled()


def _both_ways(network: NetworkSpec | None) -> NetworkSpec | None:
    """The network's spec if it describes encoders and decoders; a module of the caller's own is one of them."""
    return None if isinstance(network, GivenNetworkSpec) else network


def _default_latent(mapping: tuple[MappingSpec, ...], shape: tuple[int, ...]) -> int:
    """10 dimensions for images, 2 for vectors, or what a mapping advises; the largest advice of several."""
    usual = 10 if len(shape) == 3 else min(2, shape[0])
    advised = []
    for part in mapping:
        if isinstance(part, AdvisesLatent) and part.dims is None:
            with made_by(f"mapping {part}: advised_latent()"):
                advised.append(int(part.advised_latent(usual, math.prod(shape))))
    return max([usual, *advised])


def _where_kl(spec: RunSpec, mapping: Mapping | None) -> Literal["y", "z"]:
    """Where the KL term is taken: in z where the mapping knows that, and prior and posterior are the usual ones."""
    if spec.kl != "auto":
        return spec.kl
    is_usual = spec.prior.is_usual and spec.posterior.is_usual
    return "z" if is_usual and mapping is not None and image_of(mapping) is not None else "y"


def _start(
    spec: RunSpec, mapping: Mapping | None, mixture: Mixture | None, steps: int, dataset: Dataset
) -> tuple[StartSpec, dict[str, ScheduleSpec]]:
    """How clusters are found at first, and the schedule of strength that goes with it.

    By default a start is used if the mapping has clusters, and reads y itself; none where no start is installed, and
    none for a prior that is a mixture, which can have one.

    Raises:
        SpecError: if mapping and prior have no clusters, or more than there are training examples.
        DataError: if the start says that it cannot find them in such data.
    """
    start = spec.start
    if start is not None and start.is_none:
        return start, {}
    found_in = None if mapping is None else clustering_of(mapping)
    has_clusters = found_in is not None
    clusters = found_in[0].n_clusters if found_in else mixture.k if mixture else None
    if start is None:
        is_there = any(component.name == USUAL_START and component.is_live for component in plugins.available("starts"))
        found = parse_spec("starts", USUAL_START) if has_clusters and is_there else NoStartSpec()
        assert isinstance(found, StartSpec)
        start = found
    elif mapping is not None and clusters is None:
        refuse_unfit_start(spec, mapping)
    if clusters is not None and not start.is_none:
        _require_findable(start, dataset, clusters)
    with made_by(f"start {start}: settled()"):
        start = start.settled(dataset)
    begins = start.begins(steps)
    if start.is_none or not begins or not has_clusters or mapping is None or not isinstance(mapping, Annealed):
        return start, {}
    # Strength 0 up to the step before which the clusters are found, 1 from there on.
    return start, {"strength": LinearScheduleSpec(steps=1, delay=begins - 1)}


def _require_findable(start: StartSpec, dataset: Dataset, clusters: int) -> None:
    if clusters > len(dataset.train):
        raise SpecError(
            f"{clusters} clusters are more than the {len(dataset.train)} training examples; use fewer clusters"
        )
    with made_by(f"start {start}: check()"):
        start.check(dataset, clusters)


def usual_evaluations(steps: int) -> int:
    """After how many steps a run is evaluated where nobody says so: twenty times in all.

    >>> usual_evaluations(4000)
    200
    """
    return TrainingSettings(steps=steps).settled().evaluate_every or steps


def usual_saves(steps: int) -> int:
    """After how many steps a checkpoint is written where nobody says so: as often as `usual_evaluations`, but no more
    often than every 500 steps, or four times in all, since a disk takes about as long for one as a small net for fifty.

    >>> [usual_saves(steps) for steps in (100_000, 4000, 1000, 30)]
    [5000, 500, 250, 8]
    """
    return max(usual_evaluations(steps), min(STEPS_OF_A_SAVE, -(-steps // FEWEST_SAVES)))


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
    count = affordable_examples(steps, examples) // validation
    return -(-steps // max(1, count))


def is_affordable(steps: int, examples: int, evaluated: int) -> bool:
    """Whether it takes at most a tenth of so many steps to evaluate so many examples.

    >>> is_affordable(200, 100, 5000), is_affordable(30, 100, 5000)
    (True, False)
    """
    return affordable_examples(steps, examples) >= evaluated


def affordable_examples(steps: int, examples: int) -> int:
    """How many examples can be evaluated in a tenth of the time that so many steps take.

    >>> affordable_examples(200, 100), affordable_examples(6, 100)
    (6000, 180)
    """
    return int(steps * examples * _STEP * EVALUATION_SHARE)


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


def _default_encoder(shape: tuple[int, ...], likelihood: LikelihoodSpec) -> NetworkSpec:
    """The usual one for the shape, or what the likelihood advises instead."""
    usual = _default_network(shape)
    if not isinstance(likelihood, AdvisesEncoder):
        return usual
    with made_by(f"likelihood {likelihood}: advised_encoder()"):
        return likelihood.advised_encoder(usual)


def _default_likelihood(dataset: Dataset) -> LikelihoodSpec:
    return GaussianSpec() if dataset.support == "real" else BernoulliSpec()
