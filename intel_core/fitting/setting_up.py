"""How does a resolved spec become a trainer? Its model on a device, the optimiser, and how its steps are executed."""

from __future__ import annotations

from collections.abc import Iterable

import pluggy
from torch import nn

from intel_core.compute.device import pick_device
from intel_core.compute.execution import execution
from intel_core.data.dataset import Dataset
from intel_core.errors import SpecError
from intel_core.fitting.accumulating import Accumulated, require_parts
from intel_core.fitting.beginning import begin_at_data
from intel_core.fitting.divergence import Investigator
from intel_core.fitting.elbo_gradient import differentiated
from intel_core.fitting.hook_plugins import make_hooks
from intel_core.fitting.optimizing import make_optimizer
from intel_core.fitting.starting import StartedObjective
from intel_core.fitting.untrained import Untrained
from intel_core.fitting.watching import watch_evaluations, watching_schedules
from intel_core.model.prior import FromEncoder
from intel_core.model.vae import InteLVAE
from intel_core.recipe.building import build_model
from intel_core.recipe.contracts import check_objective, made_by
from intel_core.recipe.runspec import RunSpec
from intel_core.training.process_group import ALONE, ProcessGroup
from intel_core.training.trainer import Trainer

__all__ = ["hooks_of_run", "make_trainer"]


def hooks_of_run(hooks: Iterable[object], processes: ProcessGroup = ALONE) -> pluggy.PluginManager:
    """The hooks of a run, given and installed ones; of several processes only the first calls them."""
    manager = make_hooks(hooks) if processes.is_first else make_hooks(installed=False)
    manager.register(Investigator(), name="investigator")
    if processes.is_first:
        manager.register(Untrained(), name="untrained")
    return manager


def make_trainer(
    spec: RunSpec,
    dataset: Dataset,
    hooks: pluggy.PluginManager,
    processes: ProcessGroup = ALONE,
    *,
    model: InteLVAE | None = None,
    kind: type[Trainer] = Trainer,
) -> Trainer:
    """A trainer at its first step.

    Args:
        spec: a resolved run spec.
        dataset: its data.
        hooks: called at the moments that `intel_core.training.hooks.RunHooks` names.
        processes: the processes that share each batch.
        model: the model, on its device; by default the model that the spec describes, on the device that it names.
        kind: the class of the trainer.

    Raises:
        SpecError: if the model cannot be built or trained as the spec says.
        PluginError: if a part breaks its contract (`intel_core.recipe.contracts`).
    """
    if spec.compile and processes.size > 1:
        raise SpecError("compile=true is for one process: between several, a network's layers wait for each other")
    if model is None:
        conditions = dataset.train.conditions
        model = build_model(spec, dataset.x_shape, 0 if conditions is None else conditions.shape[1])
        begin_at_data(model, dataset, spec.seed)
        if not any(parameter.requires_grad for parameter in model.parameters()):
            raise SpecError(f"there is nothing to train: {spec.encoder} and {spec.decoder} have no weights")
        model = model.to(processes.device or pick_device(spec.device))
    _check_shared(spec, model, processes)
    what = f"objective {spec.objective}"
    with made_by(what):
        objective = spec.objective.build()
    check_objective(what, objective, model)
    if processes.size == 1 and not spec.compile:
        objective = differentiated(objective, model)
    if (parts := spec.optimizer.accumulate) is not None:
        if spec.objective.needs_whole_batch:
            raise SpecError(f"objective {spec.objective} needs all rows of a batch at once; leave out accumulate")
        require_parts(parts, min(spec.batch_size, len(dataset.train)) // processes.size, model)
        objective = Accumulated(objective, parts)
    if spec.start is not None and not spec.start.is_none:
        objective = StartedObjective(objective, spec.start, model)
    trainer = kind(
        model,
        dataset,
        objective,
        spec,
        hooks=hooks,
        optimizer=make_optimizer(spec, model),
        processes=processes,
        during=execution(model, compiled=spec.compile),
    )
    if watching := watching_schedules(spec):
        watch_evaluations(trainer, watching)
    if isinstance(objective, StartedObjective):
        objective.serve(trainer)
    return trainer


def _check_shared(spec: RunSpec, model: InteLVAE, processes: ProcessGroup) -> None:
    """Refuse what several processes would compute wrongly, because each sees a part of the batch only."""
    if processes.size == 1:
        return
    if spec.objective.needs_whole_batch:
        raise SpecError(f"objective {spec.objective} needs all rows of a batch at once; train it with one process")
    batch_norm = nn.modules.batchnorm._BatchNorm
    if isinstance(model.prior, FromEncoder) and any(isinstance(part, batch_norm) for part in model.encoder.modules()):
        raise SpecError(
            f"prior {spec.prior} has inputs of its own, which batch normalisation would count once for each process; "
            "train with one process, or with networks without batch normalisation"
        )
