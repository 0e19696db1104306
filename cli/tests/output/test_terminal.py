"""What strangers have named cannot control a terminal, and a stream that breaks ends nothing."""

import io
import json
import os
import pty
import re
import subprocess
import sys

import pytest
from intel_cli.output.terminal import Output, guarded, visible

NASTY = "x\x1b]0;pwned\x07\x1b[2J\x1b[31m\u202etxt.exe\u2066\r\x9b1m"
TRAINED_FAST = ("--steps", "20", "--evaluate-every", "2", "--network", "mlp:hidden=[8]", "--no-pictures")


def has_controls(text):
    """Whether a terminal would obey anything in a text but its ends of lines."""
    return re.search("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]", text.replace("\r\n", "\n")) is not None


def intel(*args, **settings):
    return subprocess.run([sys.executable, "-m", "intel_cli", *args], check=False, timeout=120, **settings)


def on_a_terminal(*args):
    """What the command writes to a terminal, both streams, and how it ends."""
    leader, follower = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, "-m", "intel_cli", *args], stdout=follower, stderr=follower, stdin=subprocess.DEVNULL
    )
    os.close(follower)
    written = b""
    while True:
        try:
            piece = os.read(leader, 65536)
        except OSError:  # the last one who had the terminal open has gone
            break
        if not piece:
            break
        written += piece
    os.close(leader)
    return process.wait(timeout=60), written.decode(errors="replace")


# --- names -------------------------------------------------------------------------------------------------------


def test_what_a_terminal_would_obey_is_written_out():
    shown = visible(NASTY)
    assert not has_controls(shown)
    assert shown.startswith(r"x\x1b]0;pwned\x07\x1b[2J\x1b[31m\u202etxt.exe\u2066")
    assert visible("two\nlines\tand ünïcödé → 漢字 🙂") == "two\nlines\tand ünïcödé → 漢字 🙂"
    assert visible("\udce9") == r"\udce9"
    assert visible("a\nError: b", one_line=True) == r"a\nError: b"


@pytest.mark.promptly("table")
@pytest.mark.parametrize("how", [[], ["--json"]], ids=["table", "json"])
def test_a_column_named_by_a_stranger_is_shown_written_out_on_a_terminal(here, how):
    rows = "".join(f"{i % 7},{i}\n" for i in range(60))
    (here / "t.csv").write_text(f'"a{NASTY.replace(chr(13), "")}",b\n{rows}', encoding="utf-8")
    code, written = on_a_terminal("train", "--data", "t.csv", "--steps", "5", "--dry-run", *how)
    assert "pwned" in written or code == 0
    assert not has_controls(written)


def test_an_error_that_quotes_a_name_is_one_too(here):
    code, written = on_a_terminal("train", "--data", f"./{NASTY}")
    assert code == 3
    assert "pwned" in written
    assert not has_controls(written)


def test_a_table_shows_names_written_out_and_stays_in_shape():
    from intel_cli.output.safe_console import SafeConsole
    from rich.table import Table
    from rich.text import Text

    out = io.StringIO()
    console = SafeConsole(file=out, width=120, force_terminal=True, color_system=None)
    table = Table("name", "other")
    table.add_row(NASTY, "1")
    table.add_row("plain", Text("b\x1b[2J"))
    console.print(table)
    console.print("link", style="link https://example.org")
    assert not has_controls(out.getvalue())
    assert len({len(line) for line in out.getvalue().splitlines()[:-1]}) == 1


def test_json_is_still_json_and_says_the_same():
    from intel_cli.output.telling import json_text

    text = json_text({NASTY: [NASTY, "\udce9\x7f"]})
    assert not has_controls(text)
    assert json.loads(text) == {NASTY: [NASTY, "\udce9\x7f"]}


@pytest.mark.slow
def test_colours_of_this_command_s_own_reach_a_terminal():
    _, written = on_a_terminal("check", "identity", "--level", "quick")
    assert "\x1b[" in written


def test_styles_of_a_command_of_others_are_left_out(call, here, monkeypatch):
    from intel_core.components import discovery

    (here / "loud.py").write_text(
        "import click\n\n\n@click.command()\ndef loud():\n"
        "    click.secho('hello', fg='red')\n    click.echo('\\x1b[2J')\n"
    )
    info = here / "loud-1.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: loud\nVersion: 1\n")
    (info / "entry_points.txt").write_text("[intelvae.commands]\nloud = loud:loud\n")
    monkeypatch.syspath_prepend(here)
    discovery.refresh()
    assert call("loud").stdout == "hello\n\n"


# --- streams -----------------------------------------------------------------------------------------------------


class Full(io.StringIO):
    """Takes nothing."""

    def write(self, text):
        raise OSError(28, "No space left on device")


def test_what_cannot_be_written_is_swallowed_and_remembered():
    stream = Output(Full())
    print("x", file=stream)
    assert stream.failure.errno == 28
    assert not Output(None).isatty()
    print("x", file=Output(None))


def test_a_character_that_the_encoding_lacks_is_replaced(monkeypatch):
    raw = io.BytesIO()
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(raw, "cp1252"))
    with guarded():
        print("a → b")
    assert raw.getvalue() == b"a ? b\n"


@pytest.mark.promptly("args1-ascii", "args2-ascii")
@pytest.mark.parametrize("encoding", ["ascii", pytest.param("cp1252", marks=pytest.mark.slow)])
@pytest.mark.parametrize("args", [["show", "identity", "-o", "s.png"], ["plugins", "list", "mappings"], ["--help"]])
def test_any_encoding_of_the_output_will_do(here, encoding, args):
    done = intel(*args, capture_output=True, env={**os.environ, "PYTHONIOENCODING": encoding})
    assert (done.returncode, done.stderr) == (0, b"")


FULL = pytest.mark.skipif(not os.path.exists("/dev/full"), reason="there is no /dev/full")


@FULL
@pytest.mark.parametrize("args", [["plugins", "list"], ["--version"], ["--help"]])
def test_results_that_cannot_be_written_are_told_in_a_line(here, args):
    with open("/dev/full", "w") as full:
        done = intel(*args, stdout=full, stderr=subprocess.PIPE, text=True)
    assert done.stderr == "Error: the output cannot be written: No space left on device\n"
    assert done.returncode == 5


def test_a_reader_that_has_read_enough_is_told_nothing(here):
    process = subprocess.Popen(
        [sys.executable, "-m", "intel_cli", "schema"], stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    process.stdout.close()
    assert process.stderr.read() == b""
    assert process.wait(timeout=60) == 5
    process.stderr.close()


def finished(folder):
    return json.loads((folder / "metrics.json").read_text())["status"] == "finished"


@pytest.mark.slow
@FULL
def test_training_outlives_a_full_log(here):
    with open("/dev/full", "w") as full:
        done = intel(
            "train", "--data", "toy_points", *TRAINED_FAST, "--run-dir", "r", stdout=full, stderr=full, env=toys()
        )
    assert done.returncode == 5  # of the summary, once everything is kept
    assert finished(here / "r")


@pytest.mark.slow
def test_training_outlives_the_reader_of_its_progress(here):
    process = subprocess.Popen(
        [sys.executable, "-m", "intel_cli", "train", "--data", "toy_points", *TRAINED_FAST, "--run-dir", "r"],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        env=toys(),
    )
    process.stderr.readline()
    process.stderr.close()
    assert process.wait(timeout=120) == 0
    assert finished(here / "r")


SLOW = pytest.mark.slow


@pytest.mark.slow
@pytest.mark.parametrize(
    "closed", [pytest.param("2>&-", marks=SLOW), pytest.param(">&- 2>&-", marks=SLOW), "<&- >&- 2>&-"]
)
def test_training_needs_no_streams_at_all(here, closed):
    command = f'"{sys.executable}" -m intel_cli train --data toy_points {" ".join(TRAINED_FAST)} --run-dir r {closed}'
    done = subprocess.run(["bash", "-c", command], check=False, env=toys(), timeout=120)
    assert done.returncode == 0
    assert finished(here / "r")


def toys():
    """The environment in which the toys of these tests are installed."""
    return {**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path), "OMP_NUM_THREADS": "1"}
