"""Are clusters found that the data have, in tables of all shapes, and always the same ones?"""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from intel_starts import KMeansStartSpec, MixtureStartSpec, best_mixture, joined_mixture, nearest_centres
from sklearn.mixture import GaussianMixture

from intel_core import DataError, fit, make_dataset, parse_spec
from intel_core.data.dataset import Split
from intel_core.helpers.contingency import contingency_table, normalised_mutual_information
from intel_core.helpers.parts_of_mapping import clustering_of
from intel_core.recipe.starts import FoundClusters, StartData

SHARES = (0.5, 0.3, 0.14, 0.06)
FINDERS = {"mixture": best_mixture, "joined": joined_mixture, "kmeans": nearest_centres}
SPECS: dict[str, Any] = {
    "mixture": MixtureStartSpec(of="values", choose="likelihood", fits=4),
    "joined": MixtureStartSpec(of="values", choose="neighbours", fits=4),
    "kmeans": KMeansStartSpec(of="values", fits=4),
}
each_finder = pytest.mark.parametrize("finder", FINDERS)


def unequal(seed: int, n: int = 1500, d: int = 8) -> tuple[np.ndarray, torch.Tensor]:
    """Gaussian clusters of unequal shares, each with a covariance of its own, and to which each row belongs."""
    random = np.random.default_rng(seed)
    counts = [round(share * n) for share in SHARES]
    parts = [
        random.normal(size=(m, d)) @ (random.normal(size=(d, d)) * 0.5) + random.normal(size=d) * 1.6 for m in counts
    ]
    x = np.concatenate(parts)
    return (x - x.mean(0)) / x.std(0), torch.repeat_interleave(torch.arange(4), torch.tensor(counts))


def agreement(found: FoundClusters, true: torch.Tensor, k: int = 4) -> float:
    return normalised_mutual_information(contingency_table(found.cluster, true, k, int(true.max()) + 1))


def given_data(x: torch.Tensor, clusters: int, y: torch.Tensor | None = None, seed: int = 0) -> StartData:
    return StartData(torch.zeros(len(x), 2) if y is None else y, Split(x), clusters, seed)


# --- what is found -----------------------------------------------------------------------------------------------


@pytest.mark.slow
def test_a_mixture_finds_unequal_clusters_better_than_k_means() -> None:
    mixtures, centres = [], []
    for seed in range(5):
        x, true = unequal(seed)
        mixtures.append(agreement(best_mixture(x, 4, 16, 20_000, seed), true))
        centres.append(agreement(nearest_centres(x, 4, 16, 20_000, seed), true))
    assert np.mean(mixtures) > 0.9
    assert np.mean(mixtures) > np.mean(centres) + 0.05
    assert sum(a > b for a, b in zip(mixtures, centres, strict=True)) >= 4


def test_of_several_mixtures_the_most_likely_is_taken() -> None:
    """Here from fits that are made one by one."""
    x, _ = unequal(3, n=400)
    found = best_mixture(x, 7, 6, 20_000, 0)
    random = np.random.default_rng(0)
    models = [
        GaussianMixture(
            7, reg_covar=0.03, max_iter=200, random_state=int(random.integers(2**32)), init_params=begins
        ).fit(x)
        for begins in ("kmeans", "k-means++") * 3
    ]
    parts = [model.predict(x) for model in models]
    likelihoods = [float(model.lower_bound_) for model in models]
    best = int(np.argmax(likelihoods))
    assert torch.equal(found.cluster, torch.from_numpy(parts[best]))
    assert found.facts["log_likelihood"] == pytest.approx(likelihoods[best], abs=1e-4)
    others = [torch.from_numpy(part) for index, part in enumerate(parts) if index != best]
    assert found.facts["agreement"] == pytest.approx(np.mean([agreement(found, o, 7) for o in others]), abs=1e-4)


def bent(seed: int, sizes: tuple[int, ...] = (400, 240, 110, 50)) -> tuple[np.ndarray, torch.Tensor]:
    """Clusters along arcs of circles, in five dimensions, of unequal sizes, and to which each row belongs."""
    random = np.random.default_rng(seed)
    parts = []
    for number, size in enumerate(sizes):
        angle = random.uniform(0, 1.6 * np.pi, size) + random.uniform(0, 2 * np.pi)
        arc = np.zeros((size, 5))
        arc[:, :2] = 3 * np.stack([np.cos(angle), np.sin(angle)], axis=1)
        arc[:, 2] = 1.5 * number
        parts.append(arc + 0.06 * random.normal(size=(size, 5)))
    x = np.concatenate(parts)
    return x / x.std(), torch.repeat_interleave(torch.arange(len(sizes)), torch.tensor(sizes))


@pytest.mark.slow
def test_clusters_that_are_not_gaussian_are_found_by_their_neighbours() -> None:
    for seed in range(3):
        x, true = bent(seed)
        found = joined_mixture(x, 4, 8, 20_000, seed)
        assert agreement(found, true) > 0.75
        assert agreement(best_mixture(x, 4, 8, 20_000, seed), true) < 0.2
        assert agreement(joined_mixture(x, 4, 8, 500, seed), true) > 0.5  # the others ask their neighbours


@pytest.mark.slow
def test_of_several_joined_mixtures_the_most_typical_is_taken() -> None:
    x, true = bent(0)
    fits = [joined_mixture(x, 4, 1, 20_000, seed) for seed in range(8)]
    typical = joined_mixture(x, 4, 8, 20_000, 0)
    assert typical.facts["agreement"] > 0.8
    assert agreement(typical, true) >= np.median([agreement(fit, true) for fit in fits])


def test_a_second_view_counts_only_where_it_tells_the_same_clusters() -> None:
    x, true = bent(1)
    random = np.random.default_rng(0)
    clear = np.eye(4)[true] + 0.1 * random.normal(size=(len(x), 4))
    noise = random.normal(size=(len(x), 4))
    blurred = x + 0.1 * random.normal(size=x.shape)
    alone = joined_mixture(blurred, 4, 4, 20_000, 0)
    helped = joined_mixture(blurred, 4, 4, 20_000, 0, also=lambda rows: clear[rows])
    misled = joined_mixture(blurred, 4, 4, 20_000, 0, also=lambda rows: noise[rows])
    assert (alone.facts["views"], helped.facts["views"], misled.facts["views"]) == (1, 2, 1)
    assert agreement(helped, true) > agreement(alone, true) + 0.05
    assert agreement(misled, true) > agreement(alone, true) - 0.05


@pytest.mark.promptly("mixture", "kmeans")
@each_finder
def test_columns_of_other_units_and_constant_ones_change_nothing(finder: str) -> None:
    x, true = unequal(0)
    wide = np.concatenate([x, np.full((len(x), 2), 7.0)], axis=1)
    found, more = (FINDERS[finder](values, 4, 4, 20_000, 0) for values in (x, wide))
    assert agreement(found, more.cluster) > 0.99
    units = torch.from_numpy(wide * 10.0 ** np.arange(10)).float()
    in_units = SPECS[finder].find(given_data(units, 4))
    plain = SPECS[finder].find(given_data(torch.from_numpy(x).float(), 4))
    assert agreement(in_units, plain.cluster) > 0.99
    if finder == "mixture":
        assert agreement(found, true) > 0.9


@each_finder
def test_always_the_same_and_with_another_seed_perhaps_others(finder: str) -> None:
    x, _ = unequal(1, n=300)
    find = FINDERS[finder]
    assert torch.equal(find(x, 6, 2, 200, 0).cluster, find(x, 6, 2, 200, 0).cluster)
    assert any(not torch.equal(find(x, 6, 1, 200, 0).cluster, find(x, 6, 1, 200, seed).cluster) for seed in (1, 2, 3))


@each_finder
def test_all_rows_are_assigned_though_some_are_fitted(finder: str) -> None:
    x, true = unequal(0, n=4000)
    assert agreement(FINDERS[finder](x, 4, 4, 500, 0), true) > {"mixture": 0.9, "joined": 0.6, "kmeans": 0.5}[finder]


# --- tables of all shapes ----------------------------------------------------------------------------------------


def rows(name: str) -> tuple[np.ndarray, int]:
    random = np.random.default_rng(0)
    match name:
        case "fewer different rows than clusters":
            return np.repeat(np.array([[0.0, 0], [1, 1]]), 30, axis=0), 5
        case "all rows the same":
            return np.ones((50, 3)), 3
        case "as many rows as clusters":
            return random.normal(size=(6, 2)), 6
        case "fewer rows than columns":
            return random.normal(size=(20, 30)), 3
        case "one column":
            return random.normal(size=(80, 1)), 4
        case "fifty clusters":
            return random.normal(size=(400, 10)), 50
        case "more clusters than rows are fitted":
            return random.normal(size=(300, 3)), 120
        case "far from 0":
            return random.normal(size=(100, 2)) + 1e9, 3
        case _:
            return np.concatenate([random.normal(size=(99, 2)), [[1e6, 1e6]]]), 3


SHAPES = (
    *("fewer different rows than clusters", "all rows the same", "as many rows as clusters", "one column"),
    *("fewer rows than columns", "fifty clusters", "more clusters than rows are fitted", "far from 0", "an outlier"),
)


@each_finder
@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.filterwarnings("error")
def test_some_clusters_are_found_in_any_table(finder: str, shape: str) -> None:
    x, k = rows(shape)
    found = (
        SPECS[finder].model_copy(update={"fits": 2, "examples": 100}).find(given_data(torch.from_numpy(x).float(), k))
    )
    assert found.cluster.shape == (len(x),)
    assert 0 <= int(found.cluster.min()) <= int(found.cluster.max()) < k
    assert all(np.isfinite(value) for value in found.facts.values())


@settings(max_examples=30)
@given(st.integers(2, 40), st.integers(1, 6), st.integers(2, 8), st.integers(0, 2**63 - 1), st.floats(1e-6, 1e6))
def test_small_tables_of_any_scale(n: int, d: int, k: int, seed: int, scale: float) -> None:
    x = np.round(np.random.default_rng(seed % 1000).normal(size=(n, d))) * scale
    k = min(k, n)
    for spec in SPECS.values():
        found = spec.model_copy(update={"fits": 1}).find(given_data(torch.from_numpy(x).float(), k, seed=seed))
        assert found.cluster.shape == (n,)
        assert 0 <= int(found.cluster.min()) <= int(found.cluster.max()) < k


@each_finder
def test_more_clusters_than_examples_are_refused(finder: str) -> None:
    with pytest.raises(DataError, match="4 clusters cannot be found in 3 training examples"):
        SPECS[finder].find(given_data(torch.zeros(3, 2), 4))


# --- of what -----------------------------------------------------------------------------------------------------


def test_few_columns_are_clustered_themselves_and_everything_else_by_its_encodings() -> None:
    true = torch.arange(60) % 2
    by_x, by_y = true[:, None] + 0.01 * torch.randn(60, 1), (true.flip(0)[:, None] * 1.0).repeat(1, 2)
    spec = MixtureStartSpec(fits=1)
    narrow, wide = by_x.repeat(1, 32), by_x.repeat(1, 33)
    for x, of, expected in (
        (narrow, "auto", true), (wide, "auto", true.flip(0)), (by_x[:, :, None, None], "auto", true.flip(0)),
        (narrow, "encodings", true.flip(0)), (wide, "values", true), (by_x[:, :, None, None], "values", true),
    ):  # fmt: skip
        found = spec.model_copy(update={"of": of}).find(given_data(x, 2, by_y))
        assert agreement(found, expected, 2) > 0.99, (tuple(x.shape), of)


def test_values_that_would_fill_the_memory_are_refused_in_a_line() -> None:
    x = torch.zeros(1, 1).expand(300_000, 1000)
    with pytest.raises(DataError, match="of=encodings"):
        MixtureStartSpec(of="values").find(given_data(x, 3))
    with pytest.raises(DataError, match="of=encodings"):  # K covariances of so many columns
        MixtureStartSpec(of="values").find(given_data(torch.zeros(100, 5000), 10))


# --- in a run ----------------------------------------------------------------------------------------------------


def test_a_run_takes_over_the_clusters_of_an_unequal_table(tmp_path: Any) -> None:
    """What a user gets: the mapping's shares are near those of the table."""
    x, _ = unequal(0)
    own = {"data": x, "standardize": False, "latent": 4, "steps": 200, "encoder": "mlp:hidden=[32]", "seed": 0}
    run = fit(mapping="cluster:k=4", **own, run_dir=tmp_path / "run")
    shares = sorted(clustering_of(run.model.mapping)[0].proportions().tolist())  # type: ignore[index]
    assert shares[0] == pytest.approx(0.06, abs=0.03)
    assert shares[-1] == pytest.approx(0.5, abs=0.08)


# --- when ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "columns", "after"),
    [
        ("mixture", 12, 0.0),
        ("kmeans", 32, 0.0),
        ("mixture", 33, 0.25),
        ("mixture:of=values", 33, 0.0),
        ("mixture:of=encodings", 12, 0.25),
        ("mixture:after=0.25", 12, 0.25),
        ("labels", 12, 0.25),
    ],
)
def test_only_encodings_have_to_be_learned_before_they_are_clustered(text: str, columns: int, after: float) -> None:
    x = np.random.default_rng(0).normal(size=(60, columns)).astype(np.float32)
    settled = parse_spec("starts", text).settled(make_dataset("x", x, torch.arange(60) % 3))
    assert settled.begins(1000) == 1000 * after
