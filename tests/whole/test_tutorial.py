"""Is every command of the tutorial, every file and every line that it shows, as it says?

The page is followed from top to bottom in a fresh environment. A block is one of

- ``sh``: the set-up, which is done from wheels and without a network;
- ``console``: commands after ``$``, and what they print; ``...`` is anything, decimal numbers may be a little off, and
  how many checks there are may change;
- ``diff file=F``: an edit of a file;
- ``python file=F``: a new file; ``python in=F``: lines that are in a file.
"""

import re
import shlex
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "tutorial.md"
_NUMBER = r"(?<![\w.])-?\d+\.\d+(?![\w.])"


def blocks() -> Iterator[tuple[str, str]]:
    """What stands after the fence, and the block."""
    for match in re.finditer(r"^```(\S[^\n]*)\n(.*?)^```$", PAGE.read_text(encoding="utf-8"), re.DOTALL | re.MULTILINE):
        yield match[1], match[2]


def commands(block: str) -> Iterator[tuple[str, str]]:
    """Each command and what it is said to print."""
    for part in re.split(r"^\$ ", block, flags=re.MULTILINE)[1:]:
        command, _, printed = part.partition("\n")
        yield command, printed


def tidy(text: str) -> str:
    """Without the width of tables, the number of checks and the spaces at ends of lines."""
    text = re.sub(r"\b\d+(?= (of|planned|passed|skipped|not applicable)\b)", "N", text)
    lines = [re.sub(r"([━─✓-])\1+", r"\1", re.sub(r" +", " ", line)).rstrip() for line in text.splitlines()]
    return "\n".join(lines).strip()


def compare(printed: str, expected: str) -> None:
    printed, expected = tidy(printed), tidy(expected)
    pieces = re.split(rf"(\.\.\.|{_NUMBER})", expected)
    numbers = [float(piece) for piece in pieces if re.fullmatch(_NUMBER, piece)]
    ways = [r".*?" if p == "..." else rf"({_NUMBER})" if re.fullmatch(_NUMBER, p) else re.escape(p) for p in pieces]
    found = re.fullmatch("".join(ways), printed, re.DOTALL)
    assert found is not None, f"expected\n{expected}\n\nprinted\n{printed}"
    for number, text in zip(numbers, found.groups(), strict=True):
        assert float(text) == pytest.approx(number, rel=0.1, abs=0.02), f"{text} instead of {number} in\n{printed}"


def edit(path: Path, diff: str) -> None:
    lines = diff.splitlines(keepends=True)
    assert {line[0] for line in lines} <= set(" +-")
    before, after = ("".join(line[1:] for line in lines if line[0] in signs) for signs in (" -", " +"))
    text = path.read_text(encoding="utf-8")
    assert text.count(before) == 1, f"{path.name} does not have once\n{before}"
    path.write_text(text.replace(before, after), encoding="utf-8")


def change(kind: str, block: str, folder: Path) -> None:
    """Do what a block says of a file."""
    language, _, place = kind.partition(" ")
    what, _, name = place.partition("=")
    path = folder / name
    if (language, what) == ("diff", "file"):
        edit(path, block)
    elif (language, what) == ("python", "file"):
        path.write_text(block, encoding="utf-8")
    else:
        assert (language, what) == ("python", "in"), kind
        assert block in path.read_text(encoding="utf-8"), f"{name} does not have\n{block}"


def test_edits_apply_and_end_in_a_module(tmp_path: Path) -> None:
    commands_ = pytest.importorskip("intel_cli.commands.new_plugin")
    files = commands_.project_files("spiral")
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text, encoding="utf-8")
    kinds = []
    for kind, block in blocks():
        kinds.append(kind.partition(" ")[0])
        if kind not in ("sh", "console"):
            change(kind, block, tmp_path)
    assert set(kinds) == {"sh", "console", "diff", "python"}
    mapping = (tmp_path / "intel_spiral" / "mapping.py").read_text(encoding="utf-8")
    assert mapping == files["intel_spiral/mapping.py"].replace(
        "            injective=True,\n", "            injective=True,\n            clusters=1,\n"
    )


def test_commands_exist() -> None:
    from click.testing import CliRunner

    intel = pytest.importorskip("intel_cli.main").intel
    for kind, block in blocks():
        for command, _ in commands(block) if kind == "console" else ():
            words = shlex.split(command.partition(" 2>")[0])
            if words[0] == "intel":
                told = CliRunner().invoke(intel, [*words[1 : 3 if words[1] == "plugins" else 2], "--help"])
                assert told.exit_code == 0
                assert not [word for word in words if word.startswith("-") and word not in told.stdout]


@pytest.mark.slow
def test_the_tutorial_is_true(wheel_of, environment, tmp_path: Path) -> None:
    folder = tmp_path / "first"
    folder.mkdir()
    variables = {**environment.variables(), "LC_ALL": "C.UTF-8", "PYTHONDONTWRITEBYTECODE": "1"}
    offline = "--no-index --no-build-isolation --disable-pip-version-check"
    for name, options in (("pip", offline), ("pytest", "-p no:cacheprovider")):
        script = environment.bin / name
        script.write_text(f'#!/bin/sh\nexec "{environment.bin}/python" -m {name} "$@" {options}\n')
        script.chmod(0o755)

    def told(command: str) -> str:
        nonlocal folder
        script = f"{command}\nstatus=$?\npwd > {shlex.quote(str(tmp_path / 'where'))}\nexit $status"
        options = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "text": True, "timeout": 600}
        done = subprocess.run(["bash", "-c", script], cwd=folder, env=variables, **options)  # type: ignore[call-overload]
        folder = Path((tmp_path / "where").read_text().strip())
        failing = "FAILED" in done.stdout or "Error: " in done.stdout
        assert (done.returncode == 0) != failing, f"$ {command}\n{done.stdout}"
        return str(done.stdout)

    for kind, block in blocks():
        if kind == "sh":
            (line,) = [line for line in block.splitlines() if line.startswith("pip install")]
            wheels = [word for word in line.split() if word.startswith(".")]
            environment.install(*(wheel_of((ROOT / word).resolve()) for word in wheels))
        elif kind == "console":
            for command, expected in commands(block):
                compare(told(command), expected)
        else:
            change(kind, block, folder)
