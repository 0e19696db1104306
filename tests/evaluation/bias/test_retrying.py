"""What a verdict advises can be typed, and changes what it is about."""

import shlex
from pathlib import Path
from typing import Any

import pytest
import torch

from intel_core import fit, parse_spec
from intel_core.evaluation.bias.retrying import retries, with_setting


@pytest.mark.parametrize(
    ("text", "name", "value", "expected"),
    [
        ("cluster:k=4", "learnable", "true", "cluster:k=4,learnable=true"),
        ("cluster:k=4,learnable=false", "learnable", "true", "cluster:k=4,learnable=true"),
        (
            "cluster:k=3,proportions=[0.2,0.3,0.5]",
            "learnable",
            "true",
            "cluster:proportions=[0.2,0.3,0.5],learnable=true",
        ),
        ("cluster:k=3,proportions=[0.2,0.3,0.5]", "k", "4", ""),
        ("sparse", "gamma", "10", "sparse:gamma=10.0"),
        ("circle", "learnable", "true", ""),
        ("nowhere", "k", "3", ""),
    ],
)
def test_a_setting_is_changed_where_the_mapping_has_it(text: str, name: str, value: str, expected: str) -> None:
    found = with_setting(text, name, value)
    if expected:
        assert parse_spec("mappings", found) == parse_spec("mappings", expected)
    else:
        assert found == ""


@pytest.mark.slow
def test_all_mappings_of_a_run_are_in_the_advice(tmp_path: Path) -> None:
    run = fit(
        mapping=["cluster:k=[2,3],dims=0-3,learnable=false", "sparse"], data="digits", latent=6, steps=3,
        run_dir=tmp_path / "run",
    )  # fmt: skip
    cluster, sparse = retries(run)
    again = ["intel", "train", "--config", str(tmp_path / "run" / "run.json")]
    texts = shlex.split(cluster.learnable)
    assert texts[:4] == again
    texts = texts[4:]
    assert texts[0] == texts[2] == "--mapping"
    first = parse_spec("mappings", texts[1])
    assert first.learnable is True  # type: ignore[attr-defined]
    assert texts[3] == "sparse"
    assert cluster.stronger == ""
    assert cluster.of_k(4) == ""
    assert shlex.split(sparse.stronger)[-1] == "sparse:gamma=10.0"
    assert shlex.split(cluster.longer) == [*again, "--steps", "6"]
    assert shlex.split(cluster.starts) == [*again, "--restarts", "4"]


@pytest.mark.promptly("3-")
@pytest.mark.parametrize(("warmup", "expected"), [(0, "--warmup 2"), (3, "")])
def test_a_warmup_is_advised_to_a_run_that_had_none(tmp_path: Path, warmup: int, expected: str) -> None:
    run = fit(mapping="cluster:k=4", data="digits", steps=4, warmup=warmup, run_dir=tmp_path / "run")
    assert retries(run)[0].warmup.endswith(expected)
    assert bool(retries(run)[0].warmup) == bool(expected)


@pytest.mark.slow
def test_a_run_whose_shares_are_learned_is_not_told_to_learn_them(tmp_path: Path) -> None:
    run = fit(mapping="cluster:k=4,learnable=true", data="digits", steps=3, run_dir=tmp_path / "run")
    (found,) = retries(run)
    assert found.learnable == ""
    assert found.of_k(4) == ""
    assert found.of_k(10).endswith(" --mapping cluster:k=10")


def test_every_command_that_a_verdict_names_can_be_pasted(tmp_path: Path) -> None:
    """In a folder whose name has a space; folders that exist are not named as new ones."""
    settings: dict[str, Any] = {"data": "digits", "latent": 4, "steps": 3}
    run = fit(mapping="cluster:k=2,learnable=false", run_dir=tmp_path / "my run", **settings)
    plain = fit(run_dir=tmp_path / "plain", **settings)
    (tmp_path / "my run-seeds").mkdir()
    (alone,), (beside,) = retries(run), retries(run, plain)
    commands = [alone.learnable, alone.of_k(3), alone.longer, alone.starts, alone.warmup, *alone.seeds]
    for command in (*commands, *alone.without, *beside.seeds):
        words = shlex.split(command)
        assert words[0] == "intel"
        if words[1] == "train":
            assert words[2:4] == ["--config", str((plain if "plain/" in command else run).path / "run.json")]
    assert [shlex.split(one)[-1] for one in beside.seeds] == [
        str(tmp_path / "my run-seeds2"), str(tmp_path / "plain-seeds"), str(tmp_path / "my run-seeds2")
    ]  # fmt: skip
    assert shlex.split(alone.without[0])[-1] == shlex.split(alone.without[1])[-1] == str(tmp_path / "my run-identity")


def test_arrays_of_a_python_process_are_retried_with_options_alone(tmp_path: Path) -> None:
    run = fit(data=torch.rand(40, 3), mapping="cluster:k=2", steps=2, latent=2, run_dir=tmp_path / "run")
    (found,) = retries(run)
    assert found.longer == "--steps 4"
    assert not found.run
