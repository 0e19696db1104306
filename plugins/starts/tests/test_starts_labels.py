"""Are labels taken as clusters, a few of them or all, and is what cannot be taken told in a line?"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from intel_starts import LabelsStartSpec, classes_by_labels, spread_labels

from intel_core import DataError, PluginError, fit, hookimpl
from intel_core.data.dataset import Dataset, Split
from intel_core.fitting.starting import StartedObjective
from intel_core.recipe.starts import FoundClusters, StartData

N, K = 120, 3
TRUE = torch.arange(N) % K
Y = torch.nn.functional.one_hot(TRUE, K).float() + 0.1 * torch.randn(N, K, generator=torch.Generator().manual_seed(0))
X = torch.cat([Y, -Y], dim=1)


def find(spec: LabelsStartSpec, labels: torch.Tensor | None, k: int = K, seed: int = 0) -> FoundClusters:
    return spec.find(StartData(Y, Split(torch.zeros(N, 2), labels), k, seed))


# --- all labels --------------------------------------------------------------------------------------------------


def test_all_labels_are_the_clusters() -> None:
    found = find(LabelsStartSpec(), TRUE)
    assert torch.equal(found.cluster, TRUE)
    assert found.certain is not None
    assert bool(found.certain.all())


def test_classes_are_numbered_in_their_order_whatever_their_numbers() -> None:
    assert torch.equal(find(LabelsStartSpec(), torch.tensor([7, 3, 90])[TRUE]).cluster, torch.tensor([1, 0, 2])[TRUE])


@pytest.mark.parametrize("spread", [True, False])
def test_minus_one_is_no_label(spread: bool) -> None:
    labels = torch.where(torch.arange(N) % 5 == 0, -1, TRUE)
    found = find(LabelsStartSpec(spread=spread), labels)
    assert found.certain is not None
    assert torch.equal(found.certain, labels >= 0)
    assert torch.equal(found.cluster, TRUE if spread else labels)


# --- a few -------------------------------------------------------------------------------------------------------


@pytest.mark.slow
@settings(max_examples=40)
@given(st.integers(K, N), st.integers(0, 2**63 - 1), st.booleans())
def test_so_many_labels_are_used_equally_many_of_each_class(count: int, seed: int, spread: bool) -> None:
    found = find(LabelsStartSpec(count=count, spread=spread), TRUE, seed=seed)
    assert found.certain is not None
    of_class = torch.bincount(TRUE[found.certain], minlength=K)
    assert int(of_class.sum()) == count == found.facts["labels"]
    assert int(of_class.max() - of_class.min()) <= 1
    assert torch.equal(found.cluster[found.certain], TRUE[found.certain])
    if spread:
        assert bool((found.cluster >= 0).all())
    else:
        assert torch.equal(found.cluster >= 0, found.certain)


def test_of_a_small_class_all_labels_are_used() -> None:
    labels = torch.cat([torch.zeros(100), torch.ones(18), torch.full((2,), 2)]).long()
    found = find(LabelsStartSpec(count=60, spread=False), labels)
    assert torch.bincount(found.cluster[found.cluster >= 0]).tolist() in ([40, 18, 2],)


def test_the_seed_chooses_which() -> None:
    first, again, other = (find(LabelsStartSpec(count=6), TRUE, seed=seed).certain for seed in (1, 1, 2))
    assert first is not None
    assert again is not None
    assert other is not None
    assert torch.equal(first, again)
    assert not torch.equal(first, other)


def test_one_label_per_class_reaches_all_of_clear_clusters() -> None:
    assert torch.equal(find(LabelsStartSpec(count=K), TRUE).cluster, TRUE)


# --- spreading ---------------------------------------------------------------------------------------------------


@settings(max_examples=30)
@given(st.integers(2, 60), st.integers(1, 4), st.integers(1, 5), st.integers(1, 60), st.integers(0, 1000))
@pytest.mark.filterwarnings("error")
def test_every_row_gets_a_label_and_given_ones_stay(n: int, d: int, k: int, known: int, seed: int) -> None:
    random = np.random.default_rng(seed)
    values = np.round(random.normal(size=(n, d)))
    labels = np.where(np.arange(n) < known, random.integers(0, k, n), -1)
    found = spread_labels(values, labels, 20, seed)
    assert (found >= 0).all()
    assert (found[labels >= 0] == labels[labels >= 0]).all()
    assert set(found.tolist()) <= set(labels[labels >= 0].tolist())


def test_a_part_that_no_label_reaches_takes_the_nearest() -> None:
    values = np.concatenate([np.random.default_rng(0).normal(m, 0.01, (30, 1)) for m in (0.0, 100.0, 300.0)])
    labels = np.full(90, -1)
    labels[[0, 30]] = 0, 1
    assert spread_labels(values, labels, 90, 0).reshape(3, 30).mean(1).tolist() == [0.0, 1.0, 1.0]


def test_with_few_labels_clusters_know_where_classes_end() -> None:
    """Long clusters, with the only labels at one end, nearer to the other class than to their own far end."""
    random = np.random.default_rng(0)
    x = np.concatenate([random.normal(size=(300, 2)) * (2.0, 0.15) + (0, height) for height in (0.0, 3.0)])
    true = np.repeat([0, 1], 300)
    labels = np.full(600, -1)
    labels[[int(x[:300, 0].argmin()), 300 + int(x[300:, 0].argmax())]] = 0, 1
    found, facts = classes_by_labels(x, labels, 600, 0)
    assert facts == {"by": "clusters", "labels_agree": 1.0}
    assert (found == true).mean() > 0.98


def test_classes_that_are_no_clusters_are_left_to_the_neighbours() -> None:
    """Four clusters, of which the labels join other pairs than lie together."""
    random = np.random.default_rng(0)
    places = np.array([(0.0, 0.0), (0.6, 0.0), (5.0, 0.0), (5.6, 0.0)])
    x = np.concatenate([place + 0.1 * random.normal(size=(100, 2)) for place in places])
    true = np.repeat([0, 1, 0, 1], 100)
    labels = np.where(random.random(400) < 0.2, true, -1)
    found, facts = classes_by_labels(x, labels, 400, 0)
    assert facts["by"] == "neighbours"
    assert facts["labels_agree"] < 0.9  # type: ignore[operator]
    assert (found == true).all()


# --- what cannot be taken ----------------------------------------------------------------------------------------

REFUSED: dict[str, tuple[Any, int, LabelsStartSpec, str]] = {
    "no labels": (None, K, LabelsStartSpec(), "the data have no labels; use start=mixture"),
    "too few classes": (TRUE.clamp(max=1), K, LabelsStartSpec(), "have 2 classes and the mapping has 3 clusters"),
    "too many classes": (TRUE, 2, LabelsStartSpec(), "have 3 classes and the mapping has 2 clusters; use cluster:k=3"),
    "all unlabelled": (torch.full((N,), -1), K, LabelsStartSpec(), "no training example has a label"),
    "fractions": (TRUE * 0.5, K, LabelsStartSpec(), "no classes"),
    "several an example": (torch.stack([TRUE, TRUE], dim=1), K, LabelsStartSpec(), "no classes"),
    "too few": (TRUE, K, LabelsStartSpec(count=2), r"count=2, expected 3 \(one per class\) to 120"),
    "too many": (TRUE, K, LabelsStartSpec(count=121), "count=121, expected 3"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_labels_that_cannot_be_taken_are_told_before_the_first_step(case: str, tmp_path: Path) -> None:
    labels, k, spec, said = REFUSED[case]
    with pytest.raises(DataError, match=said) as caught:
        find(spec, labels, k)
    assert "\n" not in str(caught.value)
    data = Dataset("own", *[Split(X, labels)] * 3, "real")
    # Labels that are no classes are already told as what a plugin has made wrongly.
    with pytest.raises((DataError, PluginError), match="labels" if said == "no classes" else said):
        fit(mapping=f"cluster:k={k}", data=data, start=spec, steps=8, run_dir=tmp_path / "r")
    assert not (tmp_path / "r").exists()


def test_the_words_of_a_table_are_classes_too(tmp_path: Path) -> None:
    table = tmp_path / "table.csv"
    rows = zip(X.tolist(), TRUE.tolist(), strict=True)
    table.write_text("a,b,kind\n" + "".join(f"{x[0]},{x[1]},{('cat', 'dog', 'eel')[k]}\n" for x, k in rows))
    run = fit(
        mapping="cluster:k=3", data=f"table:path={table},label=kind", start="labels:count=9", steps=12, latent=2,
        run_dir=tmp_path / "run",
    )  # fmt: skip
    assert run.metrics["start"]["labels"] == 9
    with pytest.raises(DataError, match="no labels"):
        fit(mapping="cluster:k=3", data=X, start="labels", steps=12, run_dir=tmp_path / "other")


# --- semi-supervised ---------------------------------------------------------------------------------------------


def test_labelled_examples_are_pulled_to_the_end_and_only_they(tmp_path: Path) -> None:
    """With `weight` the labelled examples' mean cross-entropy stays in the loss; with 0 nothing is left after hold."""
    added: dict[int, float] = {}

    class Listener:
        @hookimpl
        def run_start(self, trainer: Any) -> None:
            honest = trainer.objective.objective

            def noting(*given: Any) -> Any:
                terms = honest(*given)
                added[trainer.step] = -float(terms.loss.detach())
                return terms

            trainer.objective.objective = noting
            pull = StartedObjective._pull

            def noting_pull(self: Any, *given: Any) -> Any:
                value = pull(self, *given)
                added[trainer.step] = float(value.detach())
                return value

            trainer.objective._pull = noting_pull.__get__(trainer.objective)

    own = {"mapping": "cluster:k=3", "data": X, "labels": TRUE, "steps": 20, "batch_size": 84, "latent": 3}
    for weight in (2.0, 0.0):
        added.clear()
        start = f"labels:count=30,after=0.2,hold=0.4,weight={weight}"
        run = fit(**own, start=start, hooks=[Listener()], run_dir=tmp_path / f"run-{weight}")  # type: ignore[arg-type]
        pulled = [step for step, value in added.items() if value > 0]
        assert pulled == list(range(4, 20 if weight else 12))
    assert run.status == "finished"
