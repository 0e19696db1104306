"""What can be asked of a trained run? Everything that is stored of it, any metric, and whether its bias took."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from intel_core.components.spec import parse_spec
from intel_core.compute.device import pick_device
from intel_core.compute.precision import torch_as_usual
from intel_core.data.dataset import Dataset
from intel_core.errors import DataError, RunError, SpecError
from intel_core.evaluation.bias.gathering import gather
from intel_core.evaluation.bias.verdict import Verdict, judge
from intel_core.evaluation.clusters import ClusteredEncoding, clusters_of, draws_within, members
from intel_core.evaluation.encoding_table import frame_maker
from intel_core.evaluation.given_data import as_its_data, data_to_compare
from intel_core.evaluation.measuring import Measured, measure, usual_metrics
from intel_core.evaluation.metric import MetricSpec
from intel_core.evaluation.pooling import PRIOR, Sampler, sampler_of
from intel_core.evaluation.run_as_html import as_html
from intel_core.evaluation.sampler import SamplerSpec
from intel_core.evaluation.subject import Subject
from intel_core.model.prior import Prior
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
        labels: Any = None,
        data_dir: Path | None = None,
    ) -> Verdict:
        """Whether the bias of the mapping took effect, as ``intel report`` says it: a headline, findings and caveats.

        What the mapping declares (clusters, a shape, sparsity, levels) is compared with encoded test data, up to 5,000
        examples. With `against`, the likelihoods of both runs are compared in nats per example, and also their stored
        measurements of `manifold`. Measurements that `measure` has stored are used if there are any.

        Args:
            against: a run on the same data without the bias, or its directory.
            dataset: the data, if they are in memory (a run on arrays cannot load them again): the array that `fit` was
                given, or what `make_dataset` makes of it; loaded otherwise. Without data the outcome is ``unknown``.
            labels: those that `fit` was given beside the array; without them nothing is compared with labels.
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
        if other is not None and not isinstance(other, StoredRun):
            raise RunError(
                f"took is given a {type(other).__name__}, expected a run to compare with, or its directory; data are "
                "said as dataset=…"
            )
        given = self._given(dataset, labels, data_dir)
        return judge(gather(self, other, dataset=given, data_dir=data_dir).evidence)

    @torch_as_usual()
    def encode(self, x: Any, *, conditions: Any = None, seed: int = 0, standardised: bool = False) -> ClusteredEncoding:
        """Means and samples of q(y|x), and z, for examples in the units of the data; and the cluster of each example.

        The clusters, ``encoding.cluster`` and ``encoding.cluster_probability``, are computed when they are asked for.
        ``encoding.to_frame()`` is everything as a data frame, with the index of the frame that was given.

        Args:
            x: whatever `fit` takes as data, ``(n, *x_shape)`` or one example, read as the training data were; columns
                are found by their names. Or a `Split` of a data set.
            conditions: of a run with conditions, those of the examples, where x does not tell them:
                ``{"batch": "a", "age": ages}``, a data frame, or of a single one its values.
            seed: of the samples, and of the draws by which the mass in a cluster is counted.
            standardised: whether the values are standardised already, as ``run.dataset().test.x`` is.

        Raises:
            DataError: if the shape or the values do not fit the model, or a column is missing.

        The examples are in the units of the data. Where the training data were standardised (a table), they are
        standardised here by the same numbers, unless `standardised` says that they are already.

        >>> import tempfile, torch
        >>> from intel_core import fit
        >>> x = torch.randn(40, 2)
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     run = fit(data=x, steps=2, latent=2, batch_size=8, run_dir=f"{folder}/run", device="cpu")
        ...     encoding = run.encode(x)
        ...     encoding.mean.shape, encoding.cluster  # the identity has no clusters
        (torch.Size([40, 2]), None)
        """
        part = self.units.part(x, conditions, standardised=standardised)
        encoding = ClusteredEncoding(*super().encode(part, seed=seed, standardised=True))
        encoding.find = torch_as_usual()(lambda: members(self.model, part.x, encoding.mean, seed, part.conditions))
        encoding.frame = frame_maker(x, self.units.reader)
        return encoding

    @torch_as_usual()
    def traverse(
        self,
        x: Any,
        dims: int | Sequence[int] | None = None,
        *,
        values: float | Sequence[float] = (-3.0, -2.0, -1.0, 0.0, 1.0, 2.0, 3.0),
        conditions: Any = None,
        standardised: bool = False,
    ) -> Tensor:
        """What single dimensions of y do: decodings in which one takes given values and the others stay.

        They begin at the posterior means of examples, and pass through g: the mean of p(x|z) at z = g(y).

        Args:
            x: examples as for `encode`.
            dims: dimensions of y, or one; all by default.
            values: of these dimensions, or one; the prior N(0, I) has deviation 1.
            conditions: as for `encode`.
            standardised: as in `reconstruct`.

        Returns:
            ``(n, len(dims), len(values), *x_shape)``, in the units of the data.

        Raises:
            DataError: as `encode`, and if there is no such dimension.
        """
        part = self.units.part(x, conditions, standardised=standardised)
        mean, known = self.encode(part).mean, part.conditions
        taken = _several("values", values, int | float, "numbers such as [-2, 0, 2]")
        chosen = list(range(self.model.y_dim)) if dims is None else _several("dims", dims, int, "numbers of dimensions")
        for dim in chosen:
            if not 0 <= dim < self.model.y_dim:
                raise DataError(f"dims: y has the dimensions 0 to {self.model.y_dim - 1}, not {dim}")
        y = mean[:, None, None].repeat(1, len(chosen), len(taken), 1)
        for place, dim in enumerate(chosen):
            y[:, place, :, dim] = torch.tensor(taken, dtype=y.dtype)
        z = self._by_rows(lambda model, part: (model.mapping(part),), y.flatten(0, 2))[0]
        known = None if known is None else known.repeat_interleave(len(chosen) * len(taken), 0)
        decoded = self.decode(z, conditions=known, standardised=standardised)
        return decoded.view(*y.shape[:3], *decoded.shape[1:])

    def _repr_html_(self) -> str:
        return as_html(self)

    @torch_as_usual()
    def sample(
        self,
        n: int,
        *,
        conditions: Any = None,
        seed: int = 0,
        noise: bool = False,
        standardised: bool = False,
        prior: Prior | None = None,
        sampler: str | SamplerSpec = PRIOR,
        cluster: int | None = None,
        dataset: Any = None,
        data_dir: Path | None = None,
    ) -> Tensor:
        """`n` new examples in the units of the data, as ``intel sample`` gives them; images in [0, 1].

        y is drawn from the run's prior, or from a sampler that is fitted to the encodings of its training data when it
        is first asked for (see `sampler`); z = g(y), and x is the mean of p(x|z), or a draw from it with `noise`.

        Args:
            n: how many.
            conditions: of a run with conditions: ``{"batch": "a"}``, values for all or for each; by default those of
                training examples.
            seed: of the draw.
            noise: draw from p(x|z) instead of taking its mean.
            standardised: leave the values standardised, as the model knows them.
            prior: what y is drawn from instead.
            sampler: as of `sampler`.
            cluster: the number of a cluster of the mapping, or of a mixture prior, as `encode` gives it: only draws of
                y that lie in it are decoded.
            dataset: as of `sampler`.
            data_dir: as of `sampler`.

        Raises:
            DataError: if n is not positive.
            SpecError: if there is no such cluster.
            RunError: if hardly anything enters it.
            EnvironmentProblem: if so many cannot fit into memory.
        """
        fitted = self.sampler(sampler, dataset=dataset, data_dir=data_dir)
        if fitted is not None and prior is not None:
            raise SpecError("prior and sampler both say what y is drawn from; give one of them")
        chosen = prior if fitted is None else fitted.prior
        if cluster is None:
            return super().sample(
                n, conditions=conditions, seed=seed, noise=noise, standardised=standardised, prior=chosen
            )

        def within(generator: torch.Generator) -> Tensor:
            def draw(n: int) -> Tensor:
                return self.draw_y(n, generator, chosen)

            return draws_within(clusters_of(self.model), cluster, n, draw, str(self.path))

        return self._sample(n, within, seed, noise, standardised, conditions)

    def sampler(
        self,
        sampler: str | SamplerSpec,
        *,
        dataset: Any = None,
        data_dir: Path | None = None,
        told: Callable[[str], None] | None = None,
    ) -> Sampler | None:
        """What is fitted to the encodings of the training data, to draw from instead of the prior; None for "prior".

        It is kept in ``RUN/samplers/``, and fitted again only if the weights have changed.

        Args:
            sampler: ``"prior"``, or a sampler such as ``"pooled"`` or ``"pooled:components=20"``.
            dataset: the data, if they are in memory, as for `took`; otherwise loaded when it must be fitted.
            data_dir: the folder of data files; by default ``INTEL_DATA_DIR``.
            told: called with a line before a fit.

        Raises:
            SpecError: if there is no such sampler.
            DataError: if the data are needed and cannot be loaded.
            RunError: if they are other data, or the run directory cannot be written.
        """

        def load() -> Dataset:
            return self.dataset(data_dir) if dataset is None else as_its_data(self, dataset, data_dir=data_dir)

        return sampler_of(self, sampler, load, told=told)

    @torch_as_usual()
    def measure(
        self,
        *metrics: str | MetricSpec,
        dataset: Any = None,
        labels: Any = None,
        data_dir: Path | None = None,
        again: bool = False,
        sampler: str | SamplerSpec = PRIOR,
    ) -> list[Measured]:
        """Measure the run; each result is stored in its directory, and read from there the next time.

        A metric that fails ends none of the others: its result says so, and a warning.

        Args:
            metrics: specs, or texts such as ``"likelihood:particles=100"``; without any, every installed metric that
                takes seconds.
            dataset: the data, if they are in memory, as for `took`; otherwise loaded when a metric needs them.
            labels: those of the data, as for `took`.
            data_dir: the folder of data files; by default ``INTEL_DATA_DIR``.
            again: measure again what is stored already, as a metric of this process is whose file has changed.
            sampler: what examples are drawn from, see `sampler`; the results are named ``frechet from pooled``, and
                metrics that look at no samples do not apply.

        Raises:
            SpecError: if a text cannot be understood.
            RunError: if the directory cannot be written.
        """
        specs = [_metric(one) for one in metrics] or usual_metrics()
        subject = Subject(self, dataset=self._given(dataset, labels, data_dir), data_dir=data_dir)
        subject.draw_from(sampler)
        found = list(measure(subject, specs, again=again))
        for one in found:
            if one.status == "failed":
                warnings.warn(f"{one.name} cannot be measured: {one.reason}", stacklevel=3)
        return found

    def _given(self, dataset: Any, labels: Any, data_dir: Path | None) -> Dataset | None:
        """The data that a caller has in memory, if any."""
        if dataset is None:
            if labels is not None:
                raise DataError("labels= goes with dataset=, the data that it names the classes of")
            return None
        return data_to_compare(self, dataset, labels, data_dir)


def _several(name: str, given: Any, kind: Any, expected: str) -> list[Any]:
    """One or several numbers as a list.

    Raises:
        DataError: if they are something else.
    """
    is_one = isinstance(given, str) or not isinstance(given, Iterable) or getattr(given, "ndim", 1) == 0
    found = [given] if is_one else given
    numbers = [one.item() if getattr(one, "ndim", 1) == 0 else one for one in found]  # of numpy and torch
    if not all(isinstance(one, kind) and not isinstance(one, bool) for one in numbers):
        raise DataError(f"{name}={given!r:.60}: expected {expected}")
    return numbers


def _metric(given: str | MetricSpec) -> MetricSpec:
    spec = parse_spec("metrics", given) if isinstance(given, str) else given
    assert isinstance(spec, MetricSpec)
    return spec


def load_run(
    path: str | Path,
    *,
    device: str = "cpu",
    encoder: object = None,
    decoder: object = None,
    mapping: object = None,
    likelihood: object = None,
) -> Run:
    """A run from its directory.

    Args:
        path: the run directory.
        device: where to compute: ``cpu``, ``cuda``, ``cuda:1``, ``mps``, or ``auto``, as in `fit`.
        encoder: for a run that was trained with a module of one's own: that module, or its class or a function that
            makes it, whose weights become the trained ones.
        decoder: as `encoder`.
        mapping: as `encoder`; a list of them if there were several.
        likelihood: as `encoder`.

    Raises:
        RunError: if it is not a run directory.
        SpecError: if no device has such a name; `EnvironmentProblem`, if this machine has none; if a part is given that
            the run directory describes itself.
    """
    parts = {"encoder": encoder, "decoder": decoder, "mapping": mapping, "likelihood": likelihood}
    run = Run(RunFolder(Path(path)), device=str(pick_device(device)), parts=parts)
    if any(part is not None for part in parts.values()):
        _ = run.spec  # so that a part that does not belong there is told at once
    return run
