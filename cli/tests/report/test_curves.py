"""Learning curves share an axis only where two runs log the same quantity."""

from typing import Any

import pytest
from intel_cli.report.curves import Chart, charts

SPARSE, VANILLA = {"sparsity": -0.5, "iwae": -19.0}, {"iwae": -24.0}


def records(elbo: float, **more: float) -> list[dict[str, Any]]:
    """A run whose loss is −ELBO and three times its own terms."""
    loss = -elbo + 3 * more.get("sparsity", 0.0)
    return [
        {
            "kind": kind,
            "step": step,
            "elbo": elbo + step,
            "loss": loss - step,
            "log_likelihood": elbo,
            "kl": 2.0,
            **more,
        }
        for step in (0, 10, 20)
        for kind in ("train", "validation")
    ]


def by_name(**settings: Any) -> dict[str, Chart]:
    return {one.name: one for one in charts(records(-20.0, **SPARSE), records(-25.0, **VANILLA), **settings)}


def test_losses_with_other_terms_are_not_drawn_on_one_axis() -> None:
    drawn = by_name(added={"sparsity": 3.0})
    beside = [name for name, chart in drawn.items() if "without the bias, validation" in chart.data["lines"]]
    assert beside == ["ELBO", "Log-likelihood", "KL"]
    assert {*drawn} - {*beside} == {"Loss", "Sparsity", "IWAE bound"}


def test_the_loss_and_its_own_terms_say_what_they_are() -> None:
    drawn = by_name(added={"sparsity": 3.0})
    assert "with 3 × sparsity" in drawn["Loss"].about
    assert "drawn alone" in drawn["Loss"].about
    assert "the loss contains 3 times as much" in drawn["Sparsity"].about
    assert "without any other term of the loss" in drawn["ELBO"].about


def test_the_elbo_alone_has_the_values_of_the_elbo() -> None:
    lines = by_name(added={"sparsity": 3.0})["ELBO"].data["lines"]
    assert lines["validation"] == [[0, -20.0], [10, -10.0], [20, 0.0]]
    assert lines["without the bias, validation"] == [[0, -25.0], [10, -15.0], [20, -5.0]]


@pytest.mark.parametrize("shared", [(), ("iwae",)])
def test_terms_of_one_objective_are_shared(shared: tuple[str, ...]) -> None:
    chart = by_name(added={"sparsity": 3.0}, shared=shared)["IWAE bound"]
    assert ("without the bias, validation" in chart.data["lines"]) is bool(shared)


def test_a_loss_that_is_the_elbo_has_no_chart_of_its_own() -> None:
    assert [one.name for one in charts(records(-20.0), records(-25.0))] == ["ELBO", "Log-likelihood", "KL"]


def test_a_run_with_the_bound_in_z_shows_both_terms_and_what_the_mapping_saves() -> None:
    drawn = {one.name: one for one in charts(records(-20.0, kl_y=5.25), records(-25.0))}
    assert [*drawn] == ["ELBO", "Log-likelihood", "KL in z", "KL in y and in z"]
    both = drawn["KL in y and in z"]
    assert both.data["lines"] == {"KL in y": [[s, 5.25] for s in (0, 10, 20)], "KL in z": [[s, 2] for s in (0, 10, 20)]}
    assert "the mapping saves the difference, 3.25 nats at the end on validation data" in both.about
    assert "KL in y ends at 5.25, KL in z ends at 2; the mapping saves 3.25 nats" in both.svg
    assert 'class="saved"' in both.svg
    assert drawn["KL in z"].about == "what z carries: the bound of this run has this term"
    assert "without the bias, validation" in drawn["KL in z"].data["lines"]  # identity's KL in z is its KL in y


def test_both_terms_are_shown_while_there_is_no_validation_yet() -> None:
    trained = [record for record in records(-20.0, kl_y=5.25) if record["kind"] == "train"]
    both = {one.name: one for one in charts(trained)}["KL in y and in z"]
    assert "on training data" in both.about
    diverged = [record | {"kl_y": float("nan")} for record in trained]
    assert "KL in y and in z" not in {one.name for one in charts(diverged)}
