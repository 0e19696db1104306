"""Help, versions and completion import next to nothing, so that they answer at once."""

import re
import subprocess
import sys

import pytest

HEAVY = {"torch", "numpy", "pydantic", "rich", "matplotlib", "yaml", "pluggy", "intel_core.components.spec"}
REPORT = """
import os, sys
from intel_cli.main import main
sys.argv = ["intel", *sys.argv[1:]]
try:
    main()
finally:
    print("IMPORTED", *sys.modules)
"""


def imported(*args, path="", **env):
    """What a process of the command has imported at its end, and what it has printed."""
    done = subprocess.run(
        [sys.executable, "-c", REPORT, *args],
        env={"PATH": "/usr/bin:/bin", "PYTHONPATH": str(path), **env},
        capture_output=True,
        text=True,
        check=False,
    )
    printed, _, names = done.stdout.partition("IMPORTED")
    return set(names.split()), printed + done.stderr, done.returncode


@pytest.mark.parametrize(
    "args",
    [
        ("--help",),
        ("train", "--help"),
        ("show", "--help"),
        ("report", "--help"),
        ("explore", "--help"),
        ("plugins", "list", "--help"),
        ("plugins", "new", "--help"),
        ("--version",),
        ("sample", "-h"),
    ],
    ids=" ".join,
)
def test_help_imports_nothing_heavy(args):
    modules, printed, status = imported(*args)
    assert status == 0
    assert not modules & HEAVY
    assert "train" in printed or "intel" in printed


@pytest.mark.parametrize("group", [(), ("plugins",)], ids=" ".join)
def test_every_command_is_described_to_the_end(ok, group):
    said = re.split(r"Commands(?: of [\w-]+)?:", ok(*group, "--help").stdout, maxsplit=1)[1]
    lines = said.partition("\n\n")[0].strip().splitlines()
    assert len(lines) > 2
    assert [line for line in lines if line.endswith("...")] == []


def test_help_on_schema_names_every_kind(ok):
    from intel_core.components import discovery as plugins

    said = " ".join(ok("schema", "--help").stdout.split())
    assert [kind for kind in plugins.kinds() if plugins.singular(kind) not in said] == []


@pytest.mark.parametrize(
    ("args", "expected"),
    [
        (("explore", "run", "--port", "abc"), "'abc' is not a valid integer."),
        (("check", "circle", "--latent", "0"), "0 is not in the range 1<=x<=4096."),
        (("compare", "run", "--json", "--markdown"), "choose one"),
        (("sample", "run", "--seed", "-3"), "-3 is not in the range"),
        (("encode", "run", "--seed", "-3"), "-3 is not in the range"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, tuple) else "",
)
def test_a_wrong_option_is_told_in_two_lines(call, args, expected):
    result = call(*args)
    assert result.exit_code == 2
    assert expected in result.stderr
    assert len(result.stderr.strip().splitlines()) == 2


def test_version_names_core_command_and_torch(ok):
    lines = ok("--version").stdout.splitlines()
    assert [line.split()[0] for line in lines] == ["intelvae-core", "intelvae-cli", "torch", "python"]


def test_completion_reads_metadata_only(toys, rotten):
    environment = {"_INTEL_COMPLETE": "bash_complete", "COMP_WORDS": "intel train --mapping h", "COMP_CWORD": "3"}
    modules, printed, _ = imported(path=f"{toys}:{rotten}", **environment)
    assert "halves" in printed
    assert not modules & HEAVY
    assert "toys" not in modules


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["train", "--data", "toy_"], "toy_points"),
        (["train", "--data", "./my"], "file"),
        (["plugins", "show", "hal"], "halves"),
        (["--no-plugin", "hal"], "halves"),
        (["sample", "runs/fir"], "runs/first"),
        (["show", "hal"], "halves"),
        (["show", "halves", "runs/fir"], "runs/first"),
        (["show", "nothing/"], "dir"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else value,
)
def test_completions(here, words, expected):
    from click.shell_completion import BashComplete
    from intel_cli.main import intel

    (here / "runs" / "first").mkdir(parents=True)
    (here / "runs" / "first" / "run.json").write_text("{}")
    items = BashComplete(intel, {}, "intel", "_INTEL_COMPLETE").get_completions(words[:-1], words[-1])
    assert expected in {item.value for item in items} | {item.type for item in items}


def test_completion_of_a_misspelt_switch_is_silent(monkeypatch):
    from click.shell_completion import BashComplete
    from intel_cli.main import intel

    monkeypatch.setenv("INTEL_DISABLE_PLUGINS", "nonsense")
    assert not BashComplete(intel, {}, "intel", "_INTEL_COMPLETE").get_completions(["train", "--mapping"], "id")


def test_train_help_ends_with_three_examples(ok):
    examples = ok("train", "--help").stdout.partition("Examples:")[2].strip().splitlines()
    assert len(examples) == 3
    assert all(line.strip().startswith("intel train ") for line in examples)


def test_plugins_list_never_imports_torch(toys, rotten):
    modules, printed, status = imported("plugins", "list", path=f"{toys}:{rotten}")
    assert status == 0
    assert "torch" not in modules
    assert "must not import torch" in printed
    assert "Traceback" not in printed


def test_runs_never_imports_torch(trained, toys):
    modules, printed, status = imported("runs", str(trained), path=toys)
    assert status == 0
    assert "torch" not in modules
    assert "halves" in printed
