"""Each rule has two ends, does not claim what chance makes, and says its numbers."""

import re
from collections import Counter
from collections.abc import Callable
from dataclasses import replace

import pytest
import torch

from intel_core.evaluation.bias.beside import of_likelihood, of_manifold
from intel_core.evaluation.bias.evidence import Clusters, Compared, Levels, Retry, Shape, Sparse
from intel_core.evaluation.bias.finding import Finding
from intel_core.evaluation.bias.rules import of_clusters, of_levels, of_shape, of_sparsity

CLUSTERS = Clusters("y0 and y1", (0.5, 0.5), (0.48, 0.52), 1000, loyalty=0.98, agreement=0.9, classes=2)
BETTER = Compared("bound", -97.0, -98.0, 0.2, "nats per example")


def test_a_sentence_says_the_case_its_number_a_yardstick_and_what_to_do() -> None:
    unequal = replace(CLUSTERS, seen=(0.9, 0.1), retry=Retry(learnable="--mapping cluster:k=2,learnable=true"))
    finding = of_clusters(unequal)[0]
    assert finding.outcome == "not"
    assert finding.told.startswith(
        "The clusters are unequal and the model assumed equal ones: 40% of the 1,000 rows are in the wrong cluster, "
        "1% would be by chance; the clusters hold 90%, 10% of them."
    )
    assert finding.told.endswith("; next: `--mapping cluster:k=2,learnable=true`")


def test_clusters_that_were_not_assumed_equal_are_not_called_so() -> None:
    said = of_clusters(replace(CLUSTERS, declared=(0.3, 0.7), seen=(0.9, 0.1)))[0].sentence
    assert said.startswith("The clusters do not have the sizes that the model assumed (30%, 70%): 60% of")


@pytest.mark.parametrize(
    ("value", "outcome", "answer", "said"),
    [
        (-99.0, "not", "yes", "modelled worse than without the bias: the log-likelihood"),
        (-97.0, "took", "no, better", "modelled better than without the bias: the log-likelihood"),
        (-98.1, "took", "not shown", "No difference is shown, since it could be chance"),
        (-98.3, "took", "not shown", "(by chance up to 0.40, two standard errors)"),
        (-97.7, "took", "not shown", "No difference is shown, since it could be chance"),
    ],
)
def test_a_likelihood_is_called_by_the_sign_and_the_error_of_its_difference(
    value: float, outcome: str, answer: str, said: str
) -> None:
    """+0.22 ± 0.09 was "not worse"."""
    (price,) = of_likelihood(replace(BETTER, value=value))
    assert (price.outcome, price.answer) == (outcome, answer)
    assert said in price.sentence
    assert f"a difference of {value + 98:+.2f} ± 0.20".replace("-", "−") in price.sentence


@pytest.mark.parametrize(
    ("value", "outcome", "answer", "said"),
    [
        (0.02, "took", "yes", "Fewer samples miss the data than without the bias: 0.02 with"),
        (0.4, "not", "no", "More samples miss the data than without the bias"),
        (0.2, "partly", "not shown", "No difference is shown"),
        (0.215, "partly", "not shown", "+0.015 ± 0.010 (by chance up to 0.020, two standard errors)"),
    ],
)
def test_samples_that_miss_the_data_are_called_by_the_sign_and_the_error_as_well(
    value: float, outcome: str, answer: str, said: str
) -> None:
    (found,) = of_manifold(Compared("off the manifold", value, 0.20, 0.01))
    assert (found.outcome, found.answer) == (outcome, answer)
    assert said in found.sentence


def test_an_empty_cluster_is_named_by_the_number_that_encode_and_sample_give_it():
    first = of_clusters(replace(CLUSTERS, declared=(0.9, 0.1), seen=(0.995, 0.005)))[0]
    assert "almost nothing is in cluster 1 (of 0 to 1)" in first.sentence
    assert first.outcome == "partly"


@pytest.mark.parametrize(
    "findings",
    [
        of_clusters(CLUSTERS),
        of_shape(Shape("y0 and y1", "one piece with one loop", 0.95, 0.98, 0.99, 1.0, 1000, bound=1.0, norm=1.0)),
        of_sparsity(Sparse("y0 to y9", 0.7, 0.25, 0.6, 1000, active=8, hoyer_active=0.6, floor_active=0.27)),
        of_levels(Levels("y0 to y5", (1.0, 0.8, 0.5), (0.0, 0.4, 0.5), 1000)),
        of_likelihood(BETTER),
    ],
)
def test_words_of_the_paper_are_not_needed_to_read_a_finding(findings: list[Finding]) -> None:
    for finding in findings:
        text = f"{finding.question} {finding.sentence}"
        assert not re.search(r"posterior|prior\b|Betti|coordinates|gates|would have to move|\bz\b", text), text
        assert re.search(r"\d", finding.sentence), finding
        assert finding.question.endswith("?")
        assert finding.next == ""  # nothing is wrong with any of them


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
    assert ("So few rows" in found.sentence) == (expected == "unknown")


@pytest.mark.parametrize(("doubtful", "said"), [(0.0, False), (4.9, False), (58.2, True)])
def test_a_likelihood_that_its_own_metric_doubts_is_doubted(doubtful: float, said: bool) -> None:
    (found,) = of_likelihood(
        replace(BETTER, doubtful=doubtful, remedy="intel evaluate a b --metric likelihood:particles=5000")
    )
    assert ("--metric likelihood:particles=5000" in found.told) == said
    assert ("For 58% of the rows" in found.sentence) == said


@pytest.mark.parametrize("odd", [{"error": float("nan")}, {"value": float("-inf")}, {"value": float("nan")}])
@pytest.mark.parametrize("rule", [of_likelihood, of_manifold])
def test_a_number_that_has_overflowed_shows_nothing(
    rule: Callable[[Compared], list[Finding]], odd: dict[str, float]
) -> None:
    (found,) = rule(replace(BETTER, **odd))
    assert found.outcome == "unknown"
    assert "not known how much of the difference is chance" in found.sentence
