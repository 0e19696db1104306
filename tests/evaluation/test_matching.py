"""Which numbers belong to things without an order, and how those of two runs are matched."""

import pytest

from intel_core import Measurement, Number
from intel_core.evaluation.matching import match, question_of, unordered_names


def measured(values: dict[str, float], **details: object) -> Measurement:
    return Measurement(numbers={n: Number(value=v) for n, v in values.items()}, protocol={}, details=details)


def clusters(*shares: float, **details: object) -> Measurement:
    return measured({f"data in cluster {i}": share for i, share in enumerate(shares)}, **details)


@pytest.mark.parametrize(
    ("names", "unordered"),
    [
        (("data in cluster 0", "data in cluster 1"), True),
        (("cluster_1_share", "cluster_2_share"), True),
        (("cluster0", "cluster1"), True),
        (("mass of component 3", "mass of component 7"), True),
        (("learned share 0", "learned share 1"), True),
        (("kl of y0", "kl of y1"), True),
        (("level 0 change", "level 1 change"), False),
        (("share of 0", "share of 1"), False),
        (("share of class 1", "share of class 2"), False),
        (("accuracy at 10", "accuracy at 20"), False),
        (("b0 of z", "b1 of z"), False),
        (("W1", "W2"), False),
        (("nearer than 0.1", "nearer than 1.2"), False),
        (("share 3", "purity"), False),
    ],
)
def test_what_has_an_order_is_told_by_the_name(names: tuple[str, ...], unordered: bool) -> None:
    found = unordered_names({name: Number(value=0.5) for name in names})
    assert list(found) == (list(names) if unordered else [])


@pytest.mark.parametrize("said", [True, False])
def test_a_metric_that_says_it_is_believed(said: bool) -> None:
    names = ("level 0", "level 1", "share 0", "share 1")
    assert bool(unordered_names({name: Number(value=0.5, unordered=said) for name in names})) is said


def test_by_size_the_largest_is_the_first() -> None:
    found = match([clusters(0.1, 0.9), clusters(0.7, 0.3)])
    assert [[one.value for one in numbers.values()] for numbers in found.numbers] == [[0.9, 0.1], [0.7, 0.3]]
    assert list(found.numbers[0]) == ["data in cluster 0", "data in cluster 1"]
    assert "by size" in found.how


def test_all_numbers_of_a_cluster_move_together() -> None:
    one = {"data in cluster 0": 0.1, "learned share 0": 0.15, "data in cluster 1": 0.9, "learned share 1": 0.85}
    two = {
        "data in cluster 0": 0.6,
        "learned share 0": 0.5,
        "data in cluster 1": 0.4,
        "learned share 1": 0.5,
        "nmi": 1.0,
    }
    first, second = match([measured(one), measured(two)]).numbers
    assert {name: number.value for name, number in first.items()} == {
        "data in cluster 0": 0.9, "learned share 0": 0.85, "data in cluster 1": 0.1, "learned share 1": 0.15,
    }  # fmt: skip
    assert {name: number.value for name, number in second.items()} == two


def test_of_more_clusters_than_the_first_run_has_the_rest_keep_numbers_of_their_own() -> None:
    first = clusters(0.5, 0.5, contingency=[[10, 0, 0], [0, 10, 0]], classes=["a", "b", "c"])
    second = clusters(0.2, 0.5, 0.3, contingency=[[0, 0, 4], [0, 10, 0], [6, 0, 0]], classes=["a", "b", "c"])
    found = match([first, second]).numbers[1]
    assert {name: number.value for name, number in found.items()} == {
        "data in cluster 0": 0.3, "data in cluster 1": 0.5, "data in cluster 2": 0.2,
    }  # fmt: skip


@pytest.mark.parametrize(
    "details",
    [
        {"contingency": [[1, 0], [0, 1]], "classes": [0, 9]},
        {"contingency": [[1, 0]], "classes": [0, 1]},
        {"contingency": [[0, 0], [0, 0]], "classes": [0, 1]},
        {"contingency": "none", "classes": [0, 1]},
        {"contingency": [[1, None], [0, 1]], "classes": [0, 1]},
        {"classes": [0, 1]},
    ],
)
def test_without_counts_of_the_same_labels_everywhere_size_decides(details: dict[str, object]) -> None:
    labelled = clusters(0.3, 0.7, contingency=[[3, 0], [0, 7]], classes=[0, 1])
    found = match([labelled, clusters(0.6, 0.4, **details)])
    assert [one.value for one in found.numbers[0].values()] == [0.7, 0.3]
    assert "by size" in found.how


def test_a_single_run_keeps_its_numbering() -> None:
    found = match([clusters(0.1, 0.9)])
    assert [one.value for one in found.numbers[0].values()] == [0.1, 0.9]
    assert found.how == ""
    assert found.unordered == {"data in cluster 0", "data in cluster 1"}


def test_things_of_two_kinds_are_matched_apart() -> None:
    one = {
        "cluster 0": 0.1,
        "cluster 1": 0.9,
        "weight of component 0": 3.0,
        "weight of component 1": 2.0,
        "weight of component 2": 9.0,
    }
    first, _ = match([measured(one), measured(one)]).numbers
    assert [number.value for number in first.values()] == [0.9, 0.1, 9.0, 3.0, 2.0]


def test_shares_of_classes_are_a_question_of_their_own() -> None:
    names = ["uncertain", *(f"share of {name}" for name in ("T-shirt", "coat", "bag"))]
    assert [question_of(name, names) for name in names] == ["", *["share of …"] * 3]
