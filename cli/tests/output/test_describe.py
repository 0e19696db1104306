"""A run is described in words before it begins."""

import types


def test_a_constant_kl_weight_is_said():
    from intel_cli.output.describe import warmup

    assert warmup(types.SimpleNamespace(schedules={}, steps=5)) == "1 throughout, no warm-up"
