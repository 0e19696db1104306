"""How is a training recorded by Weights & Biases? As a run of its own, which goes on when the training does."""

from __future__ import annotations

from collections.abc import Mapping as Dictionary
from typing import Any, Literal

from intel_core.fitting.tracker import Ending, TrackedRun
from intel_core.runs.opening import require_own_folder

__all__ = ["WandbTracker"]


class WandbTracker:
    """Numbers over ``step``, settings as the config, verdict and final numbers in the summary, pictures as images.

    Args:
        run: the run, whose id is also that of the run there.
        project: its project.
        entity: user or team; by default that of the login.
        group: group of runs.
        mode: ``online``, ``offline`` or ``disabled``; by default ``WANDB_MODE``, else online.
    """

    def __init__(
        self,
        run: TrackedRun,
        *,
        project: str,
        entity: str | None = None,
        group: str | None = None,
        mode: Literal["online", "offline", "disabled"] | None = None,
    ) -> None:
        import wandb

        require_own_folder(run.folder / "wandb")  # a run directory may be a stranger's
        self._wandb: Any = wandb
        self._run = wandb.init(
            project=project,
            entity=entity,
            group=group,
            name=run.name,
            id=run.id,
            resume="allow",
            reinit="create_new",  # several seeds may be trained at once
            mode=mode,
            dir=str(run.folder),
            config=dict(run.settings) if run.is_new else None,
            settings=wandb.Settings(console="off"),  # what is printed is the command's own matter
        )
        # A training that goes on tells some steps again, which wandb's own count of steps does not take.
        self._run.define_metric("step", hidden=True)
        self._run.define_metric("*", step_metric="step")

    def log(self, step: int, numbers: Dictionary[str, float]) -> None:
        """See `Tracker`."""
        self._run.log({**numbers, "step": step})

    def end(self, ending: Ending) -> None:
        """See `Tracker`."""
        pictures = {f"pictures/{path.stem}": self._wandb.Image(str(path)) for path in ending.pictures}
        if pictures:
            self._run.log({**pictures, "step": ending.step})
        told = {"verdict": ending.verdict, "outcome": ending.outcome, "status": ending.status}
        self._run.summary.update({**ending.numbers, **{key: value for key, value in told.items() if value}})
        self._run.finish(exit_code=1 if ending.status in ("diverged", "failed") else 0)
