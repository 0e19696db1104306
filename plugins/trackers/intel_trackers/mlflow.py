"""How is a training recorded by MLflow? As a run of an experiment, in a file, a database or on a server."""

from __future__ import annotations

import math
import time
from collections.abc import Mapping as Dictionary
from itertools import islice
from typing import Any

from intel_core.fitting.tracker import Ending, TrackedRun

__all__ = ["MlflowTracker"]

_TAG = "intelvae.id"
_AT_ONCE = 100
"""Parameters of one request, as many as a server takes."""
_MOST_NUMBERS = 1000
_STATUS = {"finished": "FINISHED", "interrupted": "KILLED", "diverged": "FAILED", "failed": "FAILED"}


class MlflowTracker:
    """Numbers as metrics, settings as parameters, verdict as a tag and a text, pictures as artifacts.

    Args:
        run: the run, which is found again by the tag ``intelvae.id``.
        experiment: its experiment, which is made if it is not there.
        uri: the tracking store; by default that of mlflow.
    """

    def __init__(self, run: TrackedRun, experiment: str, uri: str | None = None) -> None:
        from mlflow import MlflowClient
        from mlflow.entities import Metric, Param

        self._client: Any = MlflowClient(tracking_uri=uri)
        self._metric: Any = Metric
        known = self._client.get_experiment_by_name(experiment)
        number = known.experiment_id if known is not None else self._client.create_experiment(experiment)
        found = self._client.search_runs([number], f"tags.`{_TAG}` = '{run.id}'", max_results=1)
        if found:
            self._id = found[0].info.run_id
            self._client.update_run(self._id, status="RUNNING")
            return
        self._id = self._client.create_run(number, run_name=run.name, tags={_TAG: run.id}).info.run_id
        params = (Param(name, str(value)[:6000]) for name, value in run.settings.items())
        while batch := list(islice(params, _AT_ONCE)):
            self._client.log_batch(self._id, params=batch)
        self._client.set_tag(self._id, "run_dir", str(run.folder))

    def log(self, step: int, numbers: Dictionary[str, float]) -> None:
        """See `Tracker`."""
        now = int(time.time() * 1000)
        metrics = (self._metric(name, value, now, step) for name, value in numbers.items() if not math.isnan(value))
        while batch := list(islice(metrics, _MOST_NUMBERS)):
            self._client.log_batch(self._id, metrics=batch)

    def end(self, ending: Ending) -> None:
        """See `Tracker`."""
        self.log(ending.step, ending.numbers)
        for key, value in (("status", ending.status), ("outcome", ending.outcome)):
            if value:
                self._client.set_tag(self._id, f"intelvae.{key}", value)
        if ending.verdict:
            self._client.log_text(self._id, ending.verdict, "verdict.txt")
        for picture in ending.pictures:
            self._client.log_artifact(self._id, str(picture), "pictures")
        self._client.set_terminated(self._id, status=_STATUS[ending.status])
