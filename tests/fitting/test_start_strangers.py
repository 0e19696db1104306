"""Does a start work with the mappings, and the starts, of strangers, and is what breaks a contract named in a line?"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, NoReturn

import numpy as np
import pytest
import safetensors.torch
import torch
from torch import Tensor, nn

from intel_core import IntelError, MappingSpec, PluginError, SpecError, fit, hookimpl, register
from intel_core.fitting.starting import FILE
from intel_core.helpers.parts_of_mapping import clustering_of
from intel_core.recipe.starts import FoundClusters, StartData, StartSpec

N = 90
LABELS = torch.arange(N) % 3
X = 2 * torch.nn.functional.one_hot(LABELS, 3) + 0.2 * torch.randn(N, 3, generator=torch.Generator().manual_seed(0))
BASE: dict[str, Any] = {
    "data": X, "labels": LABELS, "latent": 2, "steps": 24, "batch_size": 12, "evaluate_every": 8, "device": "cpu",
    "encoder": "mlp:hidden=[8]", "standardize": False,
}  # fmt: skip
STARTS = ("mixture:fits=2", "kmeans:fits=2", "labels", "labels:count=6", "labels:count=6,spread=false", "file")
each_start = pytest.mark.parametrize("start", STARTS)
# One that fits, and one that draws.
some_promptly = pytest.mark.promptly("mixture:fits=2", "labels:count=6")


class Strips(nn.Module):
    """A stranger's mapping that is `Clustering` and nothing else: three strips of the first dimension, z one longer."""

    n_clusters = 3

    def __init__(self, y_dim: int) -> None:
        super().__init__()
        self.y_dim, self.z_dim = y_dim, y_dim + 1

    def forward(self, y: Tensor) -> Tensor:
        return torch.cat([y, y[..., :1].abs()], dim=-1)

    def assign(self, y: Tensor) -> Tensor:
        return (y[..., 0] > -0.5).long() + (y[..., 0] > 0.5).long()

    def proportions(self) -> Tensor:
        return torch.tensor([0.3085, 0.3829, 0.3085])


class StripsSpec(MappingSpec):
    """See `Strips`."""

    def build(self, y_dim: int) -> Strips:
        return Strips(y_dim)


class Broken(Strips):
    """Its clusters break, one way or another, at the start."""

    fault = ""

    def assign(self, y: Tensor) -> Tensor:
        if self.fault == "assign":
            raise ZeroDivisionError("a bug in assign")
        return super().assign(y)

    def set_proportions(self, shares: Tensor) -> None:
        if self.fault == "set_proportions":
            raise ZeroDivisionError("a bug in set_proportions")


class BrokenSpec(MappingSpec):
    """See `Broken`."""

    def build(self, y_dim: int) -> Broken:
        return Broken(y_dim)


@pytest.fixture(autouse=True)
def _registered() -> None:
    register("mappings", "strips", StripsSpec)
    register("mappings", "broken", BrokenSpec)


def named(start: str, folder: Path) -> str:
    """The start; that of a file gets one."""
    if start != "file":
        return start
    np.save(folder / "groups.npy", LABELS.numpy())
    return f"file:path={folder / 'groups.npy'}"


def pulls(trainer_hooks: list[float]) -> object:
    """A hook that notes the share of examples which are encoded in the cluster that was found for them, at the end."""

    class Noting:
        @hookimpl
        def run_end(self, trainer: Any) -> None:
            found = clustering_of(trainer.model.mapping)
            assert found is not None
            part, dims = found
            with torch.no_grad():
                y = trainer.model.eval().encode(trainer.dataset.train.x).mean[:, list(dims)]
            clusters = trainer.objective.clusters
            has = clusters >= 0
            trainer_hooks.append(float((part.assign(y)[has] == clusters[has]).double().mean()))

    return Noting()


# --- mappings ----------------------------------------------------------------------------------------------------

MAPPINGS: dict[str, dict[str, Any]] = {
    "only clusters": {"mapping": "strips"},
    "a product": {"mapping": "cluster:k=[2,3]", "latent": 4, "start_k": 6},
    "dimensions in another order": {"mapping": "cluster:k=3,dims=[3,1]", "latent": 4},
    "sectors": {"mapping": "cluster:k=3,split=sectors"},
    "fixed shares": {"mapping": "cluster:k=3,learnable=false"},
    "another mapping behind it": {"mapping": ["cluster:k=3,dims=0-1", "circle:dims=2-3"], "latent": 4},
}


@pytest.mark.promptly(every=2)
@each_start
def test_examples_come_to_the_clusters_of_a_stranger(start: str, tmp_path: Path) -> None:
    shares: list[float] = []
    run = fit(**BASE | {"steps": 150, "learning_rate": 0.01}, mapping="strips", start=named(start, tmp_path),
              run_dir=tmp_path / "run", hooks=[pulls(shares)])  # fmt: skip
    assert shares[0] > 0.9
    assert "strength" not in run.spec.schedules


@pytest.mark.promptly(every=2)
@pytest.mark.parametrize("name", MAPPINGS)
def test_every_arrangement_has_a_start_by_default(name: str, tmp_path: Path) -> None:
    own = dict(MAPPINGS[name])
    k = own.pop("start_k", 3)
    run = fit(**BASE | own, run_dir=tmp_path / "run")
    assert str(run.spec.start).startswith("mixture")
    found = safetensors.torch.load_file(tmp_path / "run" / FILE)
    assert found["weight"].shape[0] == k
    assert run.metrics["start"]["scores_agree"] > 0.97


def test_clusters_behind_another_mapping_have_no_start(tmp_path: Path) -> None:
    """What it cuts is not y, so that nothing could be pulled towards a cluster there."""
    behind = BASE | {"mapping": ["circle", "cluster:k=3"]}
    assert str(fit(**behind, run_dir=tmp_path / "run").spec.start) == "none"
    with pytest.raises(SpecError, match=r"that cuts y itself into clusters, and in circle then .* comes first"):
        fit(**behind, start="mixture", run_dir=tmp_path / "other")
    with pytest.raises(SpecError, match=r"a mapping or a prior with clusters, not for circle; e\.g\. --mapping"):
        fit(**BASE, mapping="circle", start="mixture", run_dir=tmp_path / "other")


@pytest.mark.parametrize("fault", ["assign", "set_proportions"])
def test_a_mapping_whose_clusters_break_is_told_in_a_line(
    fault: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Broken, "fault", fault)
    with pytest.raises(PluginError, match=f"{fault}.* of the mapping raised ZeroDivisionError: a bug in {fault}"):
        fit(**BASE, mapping="broken", start="kmeans:fits=1", run_dir=tmp_path / "run")


# --- starts ------------------------------------------------------------------------------------------------------


def stopping() -> NoReturn:
    raise SystemExit(3)


def raising() -> NoReturn:
    raise ZeroDivisionError("a bug\nof two lines")


FAULTS: dict[str, tuple[Callable[[], Any], str]] = {
    "nothing": (lambda: None, "returned a NoneType, expected FoundClusters"),
    "a list": (lambda: FoundClusters([0] * 72), "clusters as a list, expected a tensor of whole numbers"),  # type: ignore[arg-type]
    "too few": (lambda: FoundClusters(torch.zeros(3).long()), r"clusters of shape \[3\] and type torch.int64"),
    "a matrix": (lambda: FoundClusters(torch.zeros(72, 1).long()), r"clusters of shape \[72, 1\]"),
    "floats": (lambda: FoundClusters(torch.zeros(72)), "type torch.float32, expected integers"),
    "complex": (lambda: FoundClusters(torch.zeros(72, dtype=torch.complex64)), "expected integers"),
    "truths": (lambda: FoundClusters(torch.zeros(72).bool()), "expected integers"),
    "beyond K": (lambda: FoundClusters(torch.full((72,), 3)), "outside of 0 to 2, or -1 for none"),
    "below -1": (lambda: FoundClusters(torch.full((72,), -2)), "outside of 0 to 2, or -1 for none"),
    "none at all": (lambda: FoundClusters(torch.full((72,), -1)), "no example a cluster"),
    "certain of few": (lambda: FoundClusters(torch.zeros(72).long(), torch.ones(2)), "which clusters are certain"),
    "facts": (lambda: FoundClusters(torch.zeros(72).long(), None, {"x": object()}), "facts raised TypeError"),
    "raises": (raising, r"start faulty.* raised ZeroDivisionError: a bug"),
    "exits": (stopping, r"start faulty.* raised SystemExit"),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_start_that_breaks_its_contract_is_named_in_a_line(fault: str, tmp_path: Path) -> None:
    make, said = FAULTS[fault]

    class Faulty(StartSpec):
        """Finds what the test says."""

        def find(self, given: StartData) -> FoundClusters:
            assert len(given.y) == 72
            found: FoundClusters = make()
            return found

    register("starts", "faulty", Faulty)
    with pytest.raises(PluginError, match=said) as caught:
        fit(**BASE, mapping="cluster:k=3", start="faulty", run_dir=tmp_path / "run")
    assert "\n" not in str(caught.value)
    assert "faulty" in str(caught.value)


def test_a_start_whose_check_breaks_is_named_before_the_first_step(tmp_path: Path) -> None:
    class Faulty(StartSpec):
        """Its check breaks."""

        def check(self, dataset: Any, clusters: int) -> None:
            raising()

    register("starts", "faulty", Faulty)
    with pytest.raises(PluginError, match=r"start faulty.*check.* raised ZeroDivisionError"):
        fit(**BASE, mapping="cluster:k=3", start="faulty", run_dir=tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_a_strangers_start_is_given_what_it_needs(tmp_path: Path) -> None:
    seen: list[StartData] = []

    class Own(StartSpec):
        """By the sign of the first encoding."""

        def find(self, given: StartData) -> FoundClusters:
            seen.append(given)
            return FoundClusters((given.y[:, 0] > given.y[:, 0].median()).to(torch.uint8), facts={"why": "the sign"})

    register("starts", "own", Own)
    run = fit(**BASE, mapping="cluster:k=2", start="own:after=0.5", run_dir=tmp_path / "run")
    (given,) = seen
    assert given.y.shape == (72, 2)
    assert not given.y.requires_grad
    assert given.clusters == 2
    assert run.metrics["start"]["why"] == "the sign"
    assert run.metrics["start"]["step"] == 12


# --- one number of threads or another, memory or disk ------------------------------------------------------------


@some_promptly
@each_start
def test_the_number_of_threads_of_the_machine_changes_nothing(start: str, tmp_path: Path) -> None:
    own = BASE | {"mapping": "cluster:k=3", "start": named(start, tmp_path)}
    before = torch.get_num_threads()
    folders = []
    try:
        for threads in (1, 2):
            torch.set_num_threads(threads)
            folders.append(fit(**own, run_dir=tmp_path / str(threads)).path)
    finally:
        torch.set_num_threads(before)
    for name in ("model.safetensors", FILE):
        assert (folders[0] / name).read_bytes() == (folders[1] / name).read_bytes()


@some_promptly
@each_start
def test_streamed_from_disk_it_is_the_run_in_memory(start: str, tmp_path: Path) -> None:
    from dataclasses import replace

    from intel_core import make_dataset
    from intel_core.reading.streamed import StreamedSplit

    data = make_dataset("data", X, LABELS, standardize=False)

    class Counting:
        """The training examples, read by number."""

        shape, itemsize = tuple(data.train.x.shape), 4

        def read(self, rows: Any) -> Tensor:
            return data.train.x[list(rows)]

        def fingerprint(self) -> str:
            return data.train.fingerprint()

    np.save(tmp_path / "groups.npy", data.train.labels.numpy())  # type: ignore[union-attr]
    own = {key: value for key, value in BASE.items() if key not in ("data", "labels", "standardize")}
    own |= {"mapping": "cluster:k=3", "start": f"file:path={tmp_path / 'groups.npy'}" if start == "file" else start}
    streamed = replace(data, train=StreamedSplit(Counting(), data.train.labels))  # type: ignore[arg-type]
    one = fit(**own, data=data, run_dir=tmp_path / "memory").path
    other = fit(**own, data=streamed, run_dir=tmp_path / "disk").path
    for name in ("model.safetensors", FILE):
        assert (one / name).read_bytes() == (other / name).read_bytes()


def test_more_clusters_than_training_examples_are_refused(tmp_path: Path) -> None:
    with pytest.raises(IntelError, match="80 clusters are more than the 72 training examples"):
        fit(**BASE | {"latent": 79}, mapping="cluster:k=80", run_dir=tmp_path / "run")
