"""Do runs find the same clusters, and those of the labels? Against scikit-learn, for mappings and mixture priors."""

from __future__ import annotations

import shutil
from itertools import permutations
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from sklearn.metrics import adjusted_rand_score, normalized_mutual_info_score

from intel_core import MappingSpec, fit, group_runs, load_run, register
from intel_core.components import discovery
from intel_core.evaluation.agreement import ClusterComparison, compare_clusters, labeling_of
from intel_core.helpers.contingency import agreement_of
from intel_core.mappings.compose import Identity


class Halves(Identity):
    n_clusters = 2

    def assign(self, y: torch.Tensor) -> torch.Tensor:
        return (y[..., 0] > 0).long()

    def proportions(self) -> torch.Tensor:
        return torch.tensor([0.5, 0.5])


class HalvesSpec(MappingSpec):
    """For these tests."""

    def build(self, y_dim: int) -> Any:
        return Halves(y_dim)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """Runs on a table with labels: two with clusters of the mapping, one with those of a prior, one without any."""
    folder = tmp_path_factory.mktemp("runs")
    random = np.random.default_rng(0)
    kind = random.integers(0, 3, 200)
    x = random.normal(size=(200, 3)) + 3 * np.eye(3)[kind]
    rows = [",".join([*(f"{v:.4f}" for v in row), "abc"[k]]) for row, k in zip(x, kind, strict=True)]
    (folder / "t.csv").write_text("\n".join(["p,q,r,kind", *rows]))
    settings = {"data": f"table:path={folder / 't.csv'},label=kind", "latent": 2, "steps": 60, "device": "cpu"}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(discovery, "registered", dict(discovery.registered))
        register("mappings", "halves", HalvesSpec)
        for seed in (0, 1):
            fit(mapping="halves", start="none", seed=seed, run_dir=folder / f"halves{seed}", **settings)
        fit(mapping="identity", prior="mog:k=3", start="none", run_dir=folder / "mog", **settings)
        fit(mapping="identity", run_dir=folder / "plain", **settings)
        yield folder


def compared(folder: Path, *names: str) -> ClusterComparison:
    found = compare_clusters(group_runs([load_run(folder / name) for name in names]))
    assert found is not None
    return found


def test_pairs_of_runs_and_labels_are_scored_as_by_scikit_learn(folder: Path) -> None:
    found = compared(folder, "halves0", "halves1", "mog", "plain")
    *runs, plain = [load_run(folder / name) for name in ("halves0", "halves1", "mog", "plain")]
    test = runs[0].dataset().test
    clusters = [run.encode(test.x, standardised=True).cluster.numpy() for run in runs]
    kind = test.labels.numpy()
    assert found.examples == len(kind)
    scored = {(one.of, one.beside): one for one in found.agreements}
    halves, mog = (group.name for group in group_runs([*runs, plain])[:2])
    pairs = {
        (halves, ""): [(clusters[0], kind), (clusters[1], kind)],
        (mog, ""): [(clusters[2], kind)],
        (halves, halves): [(clusters[0], clusters[1])],
        (halves, mog): [(clusters[0], clusters[2]), (clusters[1], clusters[2])],
    }
    assert scored.keys() == pairs.keys()
    for name, each in pairs.items():
        assert scored[name].nmi == pytest.approx([normalized_mutual_info_score(*pair) for pair in each])
        assert scored[name].rand == pytest.approx([adjusted_rand_score(*pair) for pair in each])


def test_sizes_are_means_of_the_largest_the_second_and_so_on(folder: Path) -> None:
    found = compared(folder, "halves0", "halves1")
    test = load_run(folder / "halves0").dataset().test.x
    ordered = [
        sorted(torch.bincount(load_run(folder / name).encode(test, standardised=True).cluster, minlength=2).tolist())
        for name in ("halves0", "halves1")
    ]
    expected = (np.mean(ordered, axis=0) / len(test))[::-1]
    assert found.sizes[0].shares == pytest.approx(expected)
    assert found.sizes[0].runs == 2


def test_runs_without_clusters_are_left_out_and_of_none_nothing_is_said(folder: Path) -> None:
    found = compared(folder, "plain", "mog")
    assert len(found.sizes) == 1
    assert all(one.beside == "" for one in found.agreements)
    assert compare_clusters(group_runs([load_run(folder / "plain")])) is None


def test_data_that_are_gone_are_told(folder: Path, tmp_path: Path) -> None:
    shutil.copytree(folder / "halves0", tmp_path / "run")
    text = (tmp_path / "run" / "run.json").read_text().replace("t.csv", "gone.csv")
    (tmp_path / "run" / "run.json").write_text(text)
    found = compare_clusters(group_runs([load_run(tmp_path / "run")]))
    assert found is not None
    assert not found.agreements
    assert "are not compared" in found.notes[0]
    assert "gone.csv" in found.notes[0]


def test_of_many_groups_each_is_held_against_the_first(folder: Path, tmp_path: Path) -> None:
    runs = []
    for i in range(7):
        path = shutil.copytree(folder / "halves0", tmp_path / str(i))
        text = (path / "run.json").read_text().replace('"learning_rate": 0.001', f'"learning_rate": 0.00{i + 1}')
        (path / "run.json").write_text(text)
        runs.append(load_run(path))
    for count, pairs in ((4, 6), (7, 6)):
        found = compare_clusters(group_runs(runs[:count]))
        assert found is not None
        between = [one for one in found.agreements if one.beside not in ("", one.of)]
        assert len(between) == pairs
        assert all(one.rand == (1.0,) for one in between)


def test_relabelled_clusters_are_the_same_clusters(folder: Path) -> None:
    run = load_run(folder / "mog")
    mine = labeling_of(run, run.dataset().test.x)
    assert mine is not None
    for order in permutations(range(3)):
        assert agreement_of(mine, mine._replace(cluster=torch.tensor(order)[mine.cluster])) == pytest.approx((1, 1))
