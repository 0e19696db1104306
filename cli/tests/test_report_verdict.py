"""The verdict: every outcome can be reached, every rule has two ends, and no evidence says so."""

from collections import Counter
from dataclasses import replace

import numpy as np
import pytest
import scipy.stats
import torch
from intel_cli.report.evidence import near_each_other, paired
from intel_cli.report.took import (
    HEADLINES,
    Clusters,
    Compared,
    Evidence,
    Levels,
    Shape,
    Sparse,
    _at_most,
    _mean_deviation,
    verdict,
)

CLUSTERS = Clusters("y0 and y1", (0.5, 0.5), (0.48, 0.52), 1000, loyalty=0.98, agreement=0.9, classes=2)
SHAPE = Shape("y0 and y1", "Betti numbers 1, 1", 0.95, 0.98, 0.99, 1.0, 1000, bound=1.0, norm=1.0)
SPARSE = Sparse("y0 to y9", 0.7, 0.25, 0.6, 1000, active=8, hoyer_active=0.6, floor_active=0.27)
LEVELS = Levels("y0 to y5", (1.0, 0.8, 0.5), (0.0, 0.4, 0.5), 1000)
BETTER = Compared("bound", -97.0, -98.0, 0.2, "nats per example")
FEWER = Compared("off support", 0.02, 0.20, 0.01)


def judged(**evidence):
    return verdict(Evidence(declared=True, active=4, y_dim=10, **evidence))


def outcome(**evidence):
    return judged(**evidence).outcome


WHOLE = {
    "clusters as declared": ({"clusters": (CLUSTERS,)}, "took"),
    "one cluster has everything": ({"clusters": (replace(CLUSTERS, seen=(1.0, 0.0), loyalty=1.0),)}, "not"),
    "clusters somewhat uneven": ({"clusters": (replace(CLUSTERS, seen=(0.7, 0.3)),)}, "partly"),
    "torn posteriors": ({"clusters": (replace(CLUSTERS, loyalty=0.6),)}, "partly"),
    "clusters of another factor": ({"clusters": (replace(CLUSTERS, agreement=0.05),)}, "partly"),
    "clusters without labels": ({"clusters": (replace(CLUSTERS, agreement=None),)}, "took"),
    "circle filled": ({"shapes": (SHAPE,)}, "took"),
    "circle filled in one place": ({"shapes": (replace(SHAPE, filled=0.2),)}, "not"),
    "circle half filled": ({"shapes": (replace(SHAPE, filled=0.65),)}, "partly"),
    "beside the circle": ({"shapes": (replace(SHAPE, inside=0.3),)}, "partly"),
    "sparse": ({"sparse": (SPARSE,)}, "took"),
    "as dense as a Gaussian": ({"sparse": (replace(SPARSE, hoyer=0.26, hoyer_active=0.27),)}, "not"),
    "sparse in dead dimensions alone": ({"sparse": (replace(SPARSE, hoyer_active=0.28),)}, "partly"),
    "gates open": ({"sparse": (replace(SPARSE, shut=0.0),)}, "partly"),
    "levels": ({"levels": (LEVELS,)}, "took"),
    "one level alone": ({"levels": (replace(LEVELS, kl=(2.0, 0.0, 0.0)),)}, "not"),
    "levels apart": ({"levels": (replace(LEVELS, above=(0.0, 0.0, 0.01)),)}, "not"),
    "one level apart": ({"levels": (replace(LEVELS, above=(0.0, 0.5, 0.0)),)}, "partly"),
    "two parts, one of them not": ({"clusters": (CLUSTERS,), "sparse": (replace(SPARSE, hoyer=0.2),)}, "partly"),
    "two parts, both": ({"clusters": (CLUSTERS,), "sparse": (SPARSE,)}, "took"),
    "at no cost": ({"clusters": (CLUSTERS,), "likelihood": BETTER}, "took"),
    "at a price": ({"clusters": (CLUSTERS,), "likelihood": replace(BETTER, value=-99.0)}, "partly"),
    "within its error": ({"clusters": (CLUSTERS,), "likelihood": replace(BETTER, value=-98.3)}, "took"),
    "fewer off support": ({"shapes": (SHAPE,), "off_support": FEWER}, "took"),
    "more off support": ({"shapes": (SHAPE,), "off_support": replace(FEWER, value=0.4)}, "partly"),
    "nothing known": ({}, "unknown"),
    "a comparison alone": ({"likelihood": BETTER}, "unknown"),
}


@pytest.mark.parametrize("case", WHOLE)
def test_outcomes(case):
    evidence, expected = WHOLE[case]
    found = judged(**evidence)
    assert found.outcome == expected
    assert found.headline == HEADLINES[expected]


def test_every_outcome_is_reached():
    assert {expected for _, expected in WHOLE.values()} == set(HEADLINES)


def test_a_collapsed_posterior_did_not_take_whatever_else_is_said():
    found = verdict(Evidence(declared=True, active=0, y_dim=10, clusters=(CLUSTERS,)))
    assert found.outcome == "not"
    assert "collapsed" in found.findings[0].sentence


def test_the_identity_has_no_bias_to_take():
    found = verdict(Evidence(declared=False, active=0, y_dim=10))
    assert found.outcome == "unknown"
    assert "no bias to take" in found.caveats[0]
    assert found.ask == ()


def test_sentences_hold_their_numbers():
    found = judged(clusters=(replace(CLUSTERS, seen=(0.9, 0.1)),), likelihood=replace(BETTER, value=-99.0))
    assert "50%, 50%" in found.findings[0].sentence
    assert "90%, 10%" in found.findings[0].sentence
    assert "40% of the data would have to move" in found.findings[0].sentence
    assert "−1.00 ± 0.20" in found.findings[-1].sentence
    assert "worse than chance explains" in found.findings[-1].sentence


def test_an_empty_cluster_is_named():
    many = replace(CLUSTERS, declared=(0.9, 0.1), seen=(0.995, 0.005), agreement=None)
    assert "Nearly empty: cluster 2" in judged(clusters=(many,)).findings[0].sentence
    assert outcome(clusters=(many,)) == "partly"


def test_few_examples_are_not_held_to_what_many_are():
    uneven = replace(CLUSTERS, declared=(0.1,) * 10, seen=(0.2, 0.2, 0.15, 0.15, 0.1, 0.05, 0.05, 0.05, 0.03, 0.02))
    assert outcome(clusters=(replace(uneven, n=20, agreement=None),)) == "took"
    assert outcome(clusters=(replace(uneven, n=20_000, agreement=None),)) == "not"


@pytest.mark.parametrize(("k", "n"), [(2, 180), (10, 180), (64, 180), (256, 180), (256, 2000)])
def test_data_drawn_from_the_declared_shares_fill_them(k, n):
    generator = torch.Generator().manual_seed(k + n)
    answers = Counter()
    for _ in range(50):
        seen = torch.bincount(torch.randint(k, (n,), generator=generator), minlength=k) / n
        answers[outcome(clusters=(Clusters("y", (1 / k,) * k, tuple(seen.tolist()), n, loyalty=1.0),))] += 1
    assert answers["took"] >= 49


@pytest.mark.parametrize(("k", "n", "expected"), [(10, 180, "not"), (256, 2000, "not"), (4096, 180, "unknown")])
def test_data_in_a_fifth_of_the_clusters_do_not_unless_too_few_tell(k, n, expected):
    draws = torch.randint(k // 5, (n,), generator=torch.Generator().manual_seed(0))
    seen = torch.bincount(draws, minlength=k) / n
    found = judged(clusters=(Clusters("y", (1 / k,) * k, tuple(seen.tolist()), n),))
    assert found.outcome == expected
    assert ("So few examples" in found.findings[0].sentence) == (expected == "unknown")


@pytest.mark.parametrize(
    ("n", "p"), [(1, 0.3), (7, 0.5), (20, 1 / 256), (180, 0.1), (2000, 0.9), (10**6, 0.5), (9, 1.0)]
)
def test_what_chance_makes(n, p):
    counts = np.arange(n + 1)
    mass = scipy.stats.binom.pmf(counts, n, p)
    assert _mean_deviation(n, p) == pytest.approx((mass * abs(counts / n - p)).sum(), rel=1e-6, abs=1e-12)
    assert _at_most(n, p, 0.4 * n) == pytest.approx(scipy.stats.binom.cdf(0.4 * n, n, p), rel=1e-6, abs=1e-12)


def test_a_difference_without_an_error_decides_nothing():
    found = judged(clusters=(CLUSTERS,), likelihood=replace(BETTER, value=-200.0, error=None))
    assert found.outcome == "took"
    assert found.findings[-1].outcome == "unknown"


def test_no_gain_in_support_is_said_but_is_no_failure():
    found = judged(shapes=(SHAPE,), off_support=replace(FEWER, value=0.2))
    assert found.outcome == "took"
    assert found.findings[-1].outcome == "partly"


def test_caveats_name_the_seed_and_the_missing_run():
    alone, beside = judged(clusters=(CLUSTERS,)), judged(clusters=(CLUSTERS,), against=True)
    assert "one seed" in alone.caveats[0]
    assert any("--against" in text for text in alone.caveats)
    assert not any("--against" in text for text in beside.caveats)


def test_what_would_tell_more():
    assert judged().ask == ("diagnosis", "likelihood", "support")
    assert judged(clusters=(CLUSTERS,), off_support=FEWER, likelihood=BETTER).ask == ("likelihood",)
    measured = replace(BETTER, by="metric likelihood")
    assert judged(clusters=(CLUSTERS,), off_support=FEWER, likelihood=measured).ask == ()


# --- the numbers behind it -------------------------------------------------------------------------------------


def test_neighbourhoods_see_what_is_not_filled_and_what_is_beside():
    turn = torch.rand(500, generator=torch.Generator().manual_seed(0)) * 6.2832
    circle = torch.stack([turn.cos(), turn.sin()], 1)
    arc = circle[circle[:, 0] > 0]
    filled, inside = near_each_other(circle, arc)
    assert 0.4 < filled < 0.65
    assert inside > 0.95
    filled, inside = near_each_other(circle, torch.cat([circle, torch.zeros(500, 2)]))
    assert filled == 1
    assert inside == 0.5


def test_paired_bounds_know_their_error():
    mine = torch.tensor([1.0, 2.0, 3.0, 4.0], dtype=torch.float64)
    found = paired(mine, mine - torch.tensor([1.0, 1.0, 1.0, 3.0], dtype=torch.float64))
    assert found.value - found.vanilla == 1.5
    assert found.error == pytest.approx(0.5)


@pytest.mark.parametrize(("doubtful", "said"), [(0.0, False), (4.9, False), (58.2, True)])
def test_a_likelihood_that_its_own_metric_doubts_is_doubted(doubtful: float, said: bool) -> None:
    found = judged(clusters=(CLUSTERS,), likelihood=replace(BETTER, doubtful=doubtful))
    sentences = " ".join(finding.sentence for finding in found.findings)
    assert ("raise particles" in sentences) == said
    assert ("For 58% of the examples" in sentences) == said
