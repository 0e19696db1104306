"""Which trackers can a training choose by name?"""

from __future__ import annotations

import importlib.util
from typing import Literal

from pydantic import Field

from intel_core.errors import EnvironmentProblem
from intel_core.fitting.tracker import TrackedRun, Tracker, TrackerSpec

__all__ = ["MlflowSpec", "TensorBoardSpec", "WandbSpec"]


class TensorBoardSpec(TrackerSpec):
    """Event files for TensorBoard."""

    folder: str | None = Field(
        None, min_length=1, description="folder for a folder of each run; by default in the run's own"
    )

    def begin(self, run: TrackedRun) -> Tracker:
        """Event files in ``RUN/tensorboard``, or in a folder of the run's name and id."""
        _require("tensorboard", "tensorboard")
        from intel_trackers.tensorboard import TensorBoardTracker

        return TensorBoardTracker(run, self.folder)


class WandbSpec(TrackerSpec):
    """Weights & Biases, online or offline."""

    project: str = Field("intelvae", min_length=1, max_length=128, description="project")
    entity: str | None = Field(None, min_length=1, description="user or team; by default that of the login")
    group: str | None = Field(None, min_length=1, description="group of runs, e.g. of the seeds of one experiment")
    mode: Literal["online", "offline", "disabled"] | None = Field(
        None, description="offline writes files for `wandb sync`; by default WANDB_MODE, else online"
    )

    def begin(self, run: TrackedRun) -> Tracker:
        """A run of the same name, whose files lie in ``RUN/wandb``."""
        _require("wandb", "wandb")
        from intel_trackers.weights_and_biases import WandbTracker

        return WandbTracker(run, project=self.project, entity=self.entity, group=self.group, mode=self.mode)


class MlflowSpec(TrackerSpec):
    """A run in MLflow's tracking store."""

    experiment: str = Field("intelvae", min_length=1, max_length=250, description="experiment")
    uri: str | None = Field(
        None, min_length=1, description="tracking store; by default MLFLOW_TRACKING_URI, else that of mlflow"
    )

    def begin(self, run: TrackedRun) -> Tracker:
        """A run of the same name, with a tag by which it is found again."""
        _require("mlflow", "mlflow")
        from intel_trackers.mlflow import MlflowTracker

        return MlflowTracker(run, self.experiment, self.uri)


def _require(package: str, extra: str) -> None:
    if importlib.util.find_spec(package) is None:
        raise EnvironmentProblem(f"the package {package} is not installed: pip install 'intelvae-trackers[{extra}]'")
