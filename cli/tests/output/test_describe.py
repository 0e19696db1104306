"""A run is described in words before it begins."""

import types


def test_a_constant_kl_weight_is_said():
    from intel_cli.output.describe import warmup

    assert warmup(types.SimpleNamespace(schedules={}, steps=5)) == "1 throughout, no warm-up"


def test_a_plan_says_which_evaluations_are_left_out(ok):
    short = ("train", "--data", "toy_points", "--steps", "3", "--batch-size", "4", "--dry-run")
    said = ok(*short).stdout
    assert "# evaluated once, at the end, on 12 validation examples; 3 times would take more than a tenth" in said
    assert "evaluate_every: 3\n" in said
    assert "evaluated" not in ok(*short, "--evaluate-every", "1").stdout
    assert "evaluated" not in ok("train", "--data", "toy_points", "--dry-run").stdout
