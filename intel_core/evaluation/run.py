"""What can be asked of a trained run? Everything that is stored of it, any metric, and whether its bias took."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from intel_core.components.spec import parse_spec
from intel_core.compute.device import pick_device
from intel_core.compute.precision import torch_as_usual
from intel_core.evaluation.bias.gathering import gather
from intel_core.evaluation.bias.verdict import Verdict, judge
from intel_core.evaluation.given_data import as_its_data
from intel_core.evaluation.measuring import Measured, measure, usual_metrics
from intel_core.evaluation.metric import MetricSpec
from intel_core.evaluation.subject import Subject
from intel_core.runs.folder import RunFolder
from intel_core.runs.stored_run import StoredRun

__all__ = [
    "Run",
    "load_run",
]


class Run(StoredRun):
    """A trained model and everything known about it; `fit` and `load_run` return one."""

    @torch_as_usual()
    def took(
        self,
        against: StoredRun | str | Path | None = None,
        *,
        dataset: Any = None,
        data_dir: Path | None = None,
    ) -> Verdict:
        """Whether the bias of the mapping took effect, as ``intel report`` says it: a headline, findings and caveats.

        What the mapping declares (clusters, a shape, sparsity, levels) is compared with encoded test data, up to 5,000
        examples. With `against`, the likelihoods of both runs are compared in nats per example, and also their stored
        measurements of `manifold`. Measurements that `measure` has stored are used if there are any.

        Args:
            against: a run on the same data without the bias, or its directory.
            dataset: the data, if they are in memory (a run on arrays cannot load them again): the array that `fit` was
                given, or with labels what `make_dataset` makes of it; loaded otherwise. Without data the outcome is
                ``unknown``.
            data_dir: where data files lie; by default ``INTEL_DATA_DIR``.

        Raises:
            RunError: if a run has no weights, or the data are not those it was trained on.

        >>> import tempfile, torch
        >>> from intel_core import fit, make_dataset
        >>> x = torch.randn(40, 2)
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     run = fit(data=x, steps=2, latent=2, batch_size=8, run_dir=f"{folder}/run", device="cpu")
        ...     run.took(dataset=make_dataset("noise", x)).outcome, run.took(dataset=x).outcome
        ('unknown', 'unknown')
        """
        other = load_run(against) if isinstance(against, str | Path) else against
        given = None if dataset is None else as_its_data(self, dataset)
        return judge(gather(self, other, dataset=given, data_dir=data_dir).evidence)

    @torch_as_usual()
    def measure(
        self,
        *metrics: str | MetricSpec,
        dataset: Any = None,
        data_dir: Path | None = None,
        again: bool = False,
    ) -> list[Measured]:
        """Measure the run; each result is stored in its directory, and read from there the next time.

        Args:
            metrics: specs, or texts such as ``"likelihood:particles=100"``; without any, every installed metric that
                takes seconds.
            dataset: the data, if they are in memory, as for `took`; otherwise loaded when a metric needs them.
            data_dir: the folder of data files; by default ``INTEL_DATA_DIR``.
            again: measure again what is stored already.

        Raises:
            SpecError: if a text cannot be understood.
            RunError: if the directory cannot be written.
        """
        specs = [_metric(one) for one in metrics] or usual_metrics()
        dataset = None if dataset is None else as_its_data(self, dataset)
        return list(measure(Subject(self, dataset=dataset, data_dir=data_dir), specs, again=again))


def _metric(given: str | MetricSpec) -> MetricSpec:
    spec = parse_spec("metrics", given) if isinstance(given, str) else given
    assert isinstance(spec, MetricSpec)
    return spec


def load_run(path: str | Path, *, device: str = "cpu") -> Run:
    """A run from its directory.

    Args:
        path: the run directory.
        device: where to compute: ``cpu``, ``cuda``, ``cuda:1``, ``mps``, or ``auto``, as in `fit`.

    Raises:
        RunError: if it is not a run directory.
        SpecError: if no device has such a name; `EnvironmentProblem`, if this machine has none.
    """
    return Run(RunFolder(Path(path)), device=str(pick_device(device)))
