"""What is this run, in words? Its data, model, length and KL warm-up in a few lines."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

from intel_cli.output.starts import planned, started
from intel_cli.output.terminal import visible
from intel_core.helpers.advice import SaysOfLatent
from intel_core.reading.streamed import StreamedSplit
from intel_core.recipe.resolving import affordable_evaluations, is_affordable, usual_evaluations
from intel_core.schedules import LinearScheduleSpec

if TYPE_CHECKING:
    from intel_core.data.dataset import Dataset
    from intel_core.recipe.runspec import RunSpec
    from intel_core.training.trainer import Trainer

__all__ = ["facts", "header", "mapping_of", "objective_of", "warmup"]

_VALUES = {"binary": "0 or 1", "unit": "in [0, 1]", "real": "real numbers"}


def header(trainer: Trainer) -> str:
    """A few aligned lines for the start of a run."""
    where = str(trainer.folder) if trainer.folder is not None else spec_of(trainer).name or ""
    begin = f"Continuing {where} at step {trainer.step:,}" if trainer.step else f"Training {where}"
    lines = [f"  {name:<9} {text}" for name, text in facts(trainer).items()]
    return "\n".join([begin, *lines])


def spec_of(trainer: Trainer) -> RunSpec:
    """The whole spec of a run: a run's trainer has it for its settings."""
    return cast("RunSpec", trainer.settings)


def mapping_of(spec: RunSpec) -> str:
    """The mapping g, its parts in the order in which they are applied."""
    return " → ".join(str(part) for part in spec.mapping) or "identity"


def facts(trainer: Trainer) -> dict[str, str]:
    """Data, model, training and KL warm-up of a resolved run, a sentence each."""
    spec, data, model = spec_of(trainer), trainer.dataset, trainer.model
    parameters = sum(parameter.numel() for parameter in model.parameters())
    epochs = trainer.steps / trainer.steps_per_epoch
    said = {
        "data": f"{data.name}: {len(data.train):,} train, {len(data.validation):,} validation, {len(data.test):,} "
        f"test; shape {'×'.join(map(str, data.x_shape))}, values {_VALUES[data.support]}{_streamed(data)}",
        "model": f"{_rivals(spec)}y ({model.y_dim} dims) → {mapping_of(spec)} → z ({model.z_dim} dims); "
        f"{spec.likelihood}; {spec.networks}; {parameters:,} parameters on {trainer.device}{_computed(spec)}",
        "training": f"{trainer.steps:,} steps of {trainer.batch_size:,} examples{_shared(trainer)}, "
        f"{trainer.steps_per_epoch:,} per epoch, {epochs:.4g} epochs; objective {objective_of(spec)}; "
        f"learning rate {spec.learning_rate:g}; seed {spec.seed}",
        **_cramped(trainer),
        **_evaluated(trainer),
        **({"start": planned(trainer)} if started(trainer) is not None else {}),
        "KL weight": warmup(spec),
        **({"strength": _strength(trainer)} if "strength" in spec.schedules else {}),
        "units": units(trainer),
    }
    return {name: visible(text, one_line=True) for name, text in said.items()}


def objective_of(spec: RunSpec) -> str:
    """The bound of a run, and where its KL term is taken, if not in y."""
    return f"{spec.objective}{', KL in z' if spec.kl == 'z' else ''}"


def _cramped(trainer: Trainer) -> dict[str, str]:
    """What mappings say of too few dimensions; empty if there are enough."""
    y_dim = trainer.model.y_dim
    said = [
        text
        for part in spec_of(trainer).mapping
        if isinstance(part, SaysOfLatent) and part.dims is None and (text := part.said_of_latent(y_dim))
    ]
    return {"latent": "; ".join(said)} if said else {}


def _strength(trainer: Trainer) -> str:
    """How the strength of a mapping changes; a start's own schedule is said in words."""
    spec, start = spec_of(trainer), started(trainer)
    begins = 0 if start is None else start.begins
    if begins and spec.schedules["strength"] == LinearScheduleSpec(steps=1, delay=begins - 1):
        return f"0 for {begins:,} steps, which are those of a plain VAE, and 1 from then on"
    return warmup(spec, "strength")


def _rivals(spec: RunSpec) -> str:
    """The prior and the posterior; empty in the usual case, so that only the unusual is mentioned."""
    prior = "" if spec.prior.is_usual else f"prior {spec.prior}; "
    return prior if spec.posterior.is_usual else f"{prior}posterior {spec.posterior}; "


def _evaluated(trainer: Trainer) -> dict[str, str]:
    """Which evaluations are left out because they would cost more than a tenth of the training; empty if none is."""
    spec, validation = spec_of(trainer), len(trainer.dataset.validation)
    usual, every = usual_evaluations(trainer.steps), spec.evaluate_every or trainer.steps
    if every <= usual or every != affordable_evaluations(trainer.steps, trainer.batch_size, validation):
        return {}
    count, all_of_them = -(-trainer.steps // every), -(-trainer.steps // usual)
    often = "once, at the end," if count == 1 else f"every {every:,} steps, {count} times,"
    return {
        "evaluated": f"{often} on {validation:,} validation examples; {all_of_them} times would take more than a tenth "
        f"of the training (--evaluate-every {usual} asks for them){_long_end(trainer)}"
    }


def _long_end(trainer: Trainer) -> str:
    """Whether the final numbers, which cover all data, take more than a tenth of the training."""
    end = len(trainer.dataset.validation) + len(trainer.dataset.test)
    is_short = is_affordable(trainer.steps, trainer.batch_size, end)
    return "" if is_short else "; the final numbers, on all validation and test data, take longer than that"


def _streamed(data: Dataset) -> str:
    """Empty in the usual case, so that only the unusual is mentioned."""
    return ", read from disk as it is needed" if isinstance(data.train, StreamedSplit) else ""


def _shared(trainer: Trainer) -> str:
    """Empty in the usual case, so that only the unusual is mentioned."""
    return f" shared by {trainer.processes.size} processes" if trainer.processes.size > 1 else ""


def _computed(spec: RunSpec) -> str:
    """Empty in the usual case, so that only the unusual is mentioned."""
    lowered = ", networks in bfloat16" if spec.precision == "bfloat16" else ""
    return lowered + (", compiled" if spec.compile else "")


def units(trainer: Trainer) -> str:
    """Nats per example, and whether they are those of a normalised likelihood."""
    if trainer.dataset.support == "unit" and str(spec_of(trainer).likelihood) == "bernoulli":
        return "nats per example; bernoulli on grey values is the cross-entropy, not a normalised likelihood"
    return "nats per example"


def warmup(spec: RunSpec, name: str = "kl") -> str:
    """How the weight of the KL term, or another, changes during a run."""
    schedule, steps = spec.schedules.get(name), spec.steps or 0
    if schedule is None or schedule.settled == 0:
        return f"{schedule.at(0) if schedule is not None else 1:g} throughout, no warm-up"
    if schedule.settled is None:
        return f"{schedule}, which never settles"
    start, end = schedule.at(0), schedule.at(schedule.settled)
    text = f"warm-up from {start:g} to {end:g} over the first {schedule.settled:,} of {steps:,} steps ({schedule})"
    if schedule.settled > steps:
        text += f"; the run ENDS BEFORE the warm-up, at weight {schedule.at(steps):.2g}"
    return text
