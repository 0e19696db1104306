"""The verdict: every outcome can be reached, and it says what to keep in mind and what would tell more."""

import json
from dataclasses import replace

import pytest

from intel_core.evaluation.bias.evidence import Clusters, Compared, Evidence, Levels, Retry, Shape, Sparse
from intel_core.evaluation.bias.verdict import HEADLINES, judge

CLUSTERS = Clusters("y0 and y1", (0.5, 0.5), (0.48, 0.52), 1000, loyalty=0.98, agreement=0.9, classes=2)
SHAPE = Shape("y0 and y1", "one piece with one loop", 0.95, 0.98, 0.99, 1.0, 1000, bound=1.0, norm=1.0)
SPARSE = Sparse("y0 to y9", 0.7, 0.25, 0.6, 1000, active=8, hoyer_active=0.6, floor_active=0.27)
LEVELS = Levels("y0 to y5", (1.0, 0.8, 0.5), (0.0, 0.4, 0.5), 1000)
BETTER = Compared("bound", -97.0, -98.0, 0.2, "nats per example")
FEWER = Compared("off the manifold", 0.02, 0.20, 0.01)


def judged(**evidence):
    """The verdict on a mapping that declares something, from the evidence given."""
    return judge(Evidence(declared=True, active=4, y_dim=10, **evidence))


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
    "fewer off the manifold": ({"shapes": (SHAPE,), "off_manifold": FEWER}, "took"),
    "more off the manifold": ({"shapes": (SHAPE,), "off_manifold": replace(FEWER, value=0.4)}, "partly"),
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
    found = judge(Evidence(declared=True, active=0, y_dim=10, clusters=(CLUSTERS,)))
    assert found.outcome == "not"
    assert "0 of its 10 dimensions tell rows apart" in found.findings[0].sentence


def test_the_identity_has_no_bias_to_take():
    found = judge(Evidence(declared=False, active=0, y_dim=10))
    assert found.outcome == "unknown"
    assert "no bias to judge" in found.caveats[0]
    assert found.ask == ()


def test_a_difference_without_an_error_decides_nothing():
    found = judged(clusters=(CLUSTERS,), likelihood=replace(BETTER, value=-200.0, error=None))
    assert found.outcome == "took"
    assert found.findings[-1].outcome == "unknown"


def test_no_gain_in_support_is_said_but_is_no_failure():
    found = judged(shapes=(SHAPE,), off_manifold=replace(FEWER, value=0.2))
    assert found.outcome == "took"
    assert found.findings[-1].outcome == "partly"


def test_caveats_name_the_seed_and_the_missing_run():
    alone, beside = judged(clusters=(CLUSTERS,)), judged(clusters=(CLUSTERS,), against=True)
    assert "one seed" in alone.caveats[0]
    assert any("--against" in text for text in alone.caveats)
    assert not any("--against" in text for text in beside.caveats)


def test_what_would_tell_more():
    assert judged().ask == ("diagnosis", "likelihood", "manifold")
    assert judged(clusters=(CLUSTERS,), off_manifold=FEWER, likelihood=BETTER).ask == ("likelihood",)
    measured = replace(BETTER, by="metric likelihood")
    assert judged(clusters=(CLUSTERS,), off_manifold=FEWER, likelihood=measured).ask == ()


def test_it_is_told_in_a_sentence_in_lines_and_as_json():
    found = judged(clusters=(replace(CLUSTERS, loyalty=0.6, retry=Retry(longer="--steps 5000")),))
    assert repr(found) == "<Verdict: The bias took effect in part (2 yes, 1 no).>"
    first, second, *rest = str(found).split("\n")
    assert first == "The bias took effect in part."
    assert second == f"  Are the clusters as large as the model assumed? yes: {found.findings[0].sentence}"
    assert rest[0].endswith("; next: `--steps 5000`")
    assert [line.strip() for line in rest[2:]] == list(found.caveats)
    told = json.loads(json.dumps(found.to_dict()))
    assert (told["outcome"], told["headline"]) == ("partly", "The bias took effect in part")
    assert [one["outcome"] for one in told["findings"]] == ["took", "not", "took"]
    assert [one["answer"] for one in told["findings"]] == ["yes", "no", "yes"]
    assert [one["next"] for one in told["findings"]] == ["", "--steps 5000", ""]
