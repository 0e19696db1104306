"""Each rule has two ends, does not claim what chance makes, and says its numbers."""

from collections import Counter
from dataclasses import replace

import pytest
import torch

from intel_core.evaluation.bias.evidence import Clusters, Compared
from intel_core.evaluation.bias.rules import of_clusters, of_likelihood

CLUSTERS = Clusters("y0 and y1", (0.5, 0.5), (0.48, 0.52), 1000, loyalty=0.98, agreement=0.9, classes=2)
BETTER = Compared("bound", -97.0, -98.0, 0.2, "nats per example")


def test_sentences_hold_their_numbers():
    sentence = of_clusters(replace(CLUSTERS, seen=(0.9, 0.1)))[0].sentence
    assert "50%, 50%" in sentence
    assert "90%, 10%" in sentence
    assert "40% of the data would have to move" in sentence
    (price,) = of_likelihood(replace(BETTER, value=-99.0))
    assert "−1.00 ± 0.20" in price.sentence
    assert "worse than chance explains" in price.sentence


def test_an_empty_cluster_is_named():
    first = of_clusters(replace(CLUSTERS, declared=(0.9, 0.1), seen=(0.995, 0.005)))[0]
    assert "Nearly empty: cluster 2" in first.sentence
    assert first.outcome == "partly"


def test_few_examples_are_not_held_to_what_many_are():
    seen = (0.2, 0.2, 0.15, 0.15, 0.1, 0.05, 0.05, 0.05, 0.03, 0.02)
    uneven = replace(CLUSTERS, declared=(0.1,) * 10, seen=seen)
    assert of_clusters(replace(uneven, n=20))[0].outcome == "took"
    assert of_clusters(replace(uneven, n=20_000))[0].outcome == "not"


@pytest.mark.parametrize(("k", "n"), [(2, 180), (10, 180), (64, 180), (256, 180), (256, 2000)])
def test_data_drawn_from_the_declared_shares_fill_them(k, n):
    generator = torch.Generator().manual_seed(k + n)
    answers = Counter()
    for _ in range(50):
        seen = torch.bincount(torch.randint(k, (n,), generator=generator), minlength=k) / n
        answers[of_clusters(Clusters("y", (1 / k,) * k, tuple(seen.tolist()), n))[0].outcome] += 1
    assert answers["took"] >= 49


@pytest.mark.parametrize(("k", "n", "expected"), [(10, 180, "not"), (256, 2000, "not"), (4096, 180, "unknown")])
def test_data_in_a_fifth_of_the_clusters_do_not_unless_too_few_tell(k, n, expected):
    draws = torch.randint(k // 5, (n,), generator=torch.Generator().manual_seed(0))
    seen = torch.bincount(draws, minlength=k) / n
    found = of_clusters(Clusters("y", (1 / k,) * k, tuple(seen.tolist()), n))[0]
    assert found.outcome == expected
    assert ("So few examples" in found.sentence) == (expected == "unknown")


@pytest.mark.parametrize(("doubtful", "said"), [(0.0, False), (4.9, False), (58.2, True)])
def test_a_likelihood_that_its_own_metric_doubts_is_doubted(doubtful: float, said: bool) -> None:
    (found,) = of_likelihood(replace(BETTER, doubtful=doubtful))
    assert ("raise particles" in found.sentence) == said
    assert ("For 58% of the examples" in found.sentence) == said
