"""The marks of `intel check`: they grow on a terminal, and elsewhere nothing is taken back."""

import io
import re
import sys

import pytest
from click.testing import CliRunner
from intel_cli.main import intel

pytestmark = pytest.mark.usefixtures("flawed")


class Terminal(io.StringIO):
    """A stream that says it is a terminal."""

    encoding = "utf-8"

    def isatty(self):
        return True


def screen(text):
    """What a terminal shows after it was sent that text, by the few sequences that are used here."""
    lines, column, kept = [[]], 0, 0
    for part in re.findall(r"\x1b\[[\d;]*[a-zA-Z]|\x1b[78]|.|\n", text):
        if part == "\n":
            lines.append([])
            column = 0
        elif part == "\r":
            column = 0
        elif part == "\x1b[K":
            del lines[-1][column:]
        elif part == "\x1b7":
            kept = column
        elif part == "\x1b8":
            column = kept
        elif not part.startswith("\x1b"):
            lines[-1][column : column + 1] = part
            column += 1
    return "\n".join("".join(line).rstrip() for line in lines)


def test_on_a_terminal_the_line_grows(monkeypatch):
    terminal = Terminal()
    args = ["check", "leaky", "--level", "quick", "--only", "rows,mode.repeat,io.dtype"]
    plain = CliRunner().invoke(intel, args).stdout
    monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setattr(sys, "stdout", terminal)
    with pytest.raises(SystemExit) as end:
        intel(args, prog_name="intel")
    assert end.value.code == 1
    sent = terminal.getvalue()
    assert "\x1b[32m✓" in sent
    assert "\x1b[31m" in sent
    assert "  rows.permute" in screen(sent.partition("rows.permute")[0] + "rows.permute")
    seconds = re.compile(r"[\d.]+ s$", re.MULTILINE)
    assert seconds.sub("", screen(sent)) == seconds.sub("", plain)


@pytest.mark.parametrize("only", ["rows,mode.repeat", "rows.replace_others,mode"], ids=["within", "between"])
def test_on_a_terminal_a_stop_leaves_no_trace(monkeypatch, only):
    args = ["check", "leaky", "--level", "quick", "--only", only, "-x"]
    plain = CliRunner().invoke(intel, args).stdout
    terminal = Terminal()
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("NO_COLOR", "1")
    monkeypatch.setattr(sys, "stdout", terminal)
    with pytest.raises(SystemExit):
        intel(args, prog_name="intel")
    seconds = re.compile(r"[\d.]+ s$", re.MULTILINE)
    assert seconds.sub("", screen(terminal.getvalue())) == seconds.sub("", plain)
    assert "\x1b[3" not in terminal.getvalue()


def test_a_narrow_terminal_is_never_overrun(monkeypatch):
    terminal = Terminal()
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "20")
    monkeypatch.setattr(sys, "stdout", terminal)
    with pytest.raises(SystemExit):
        intel(["check", "identity", "--level", "quick", "--only", "rows"], prog_name="intel")
    growing = terminal.getvalue().partition("\n")[2].partition("\n")[0]
    shown = [len(re.sub(r"\x1b\[[\d;]*[a-zA-Z]|\x1b[78]", "", part)) for part in growing.split("\x1b[K")]
    assert max(shown) < 20


def test_elsewhere_nothing_is_taken_back(quick, monkeypatch):
    args = ["identity", "--only", "rows"]
    dumb = Terminal()
    monkeypatch.setenv("TERM", "xterm")
    piped = quick(*args).stdout
    monkeypatch.setenv("TERM", "dumb")
    monkeypatch.setattr(sys, "stdout", dumb)
    with pytest.raises(SystemExit):
        intel(["check", *args, "--level", "quick"], prog_name="intel")
    for text in (piped, dumb.getvalue()):
        assert "\x1b" not in text
        assert "\r" not in text
        assert "rows       ✓✓✓✓\n" in text


@pytest.mark.parametrize("charset", ["latin-1", "ascii"])
def test_an_encoding_without_the_marks(charset):
    args = ["check", "nested", "--level", "quick", "--only", "rows,structure.clusters,thm1.inequality", "-v"]
    result = CliRunner(charset=charset).invoke(intel, args)
    assert result.exit_code == 1
    assert "rows       ....\n" in result.stdout
    assert "structure  F" in result.stdout
    assert "KL(q(z|x) || p(z))" in CliRunner(charset=charset).invoke(intel, ["check", "--list"]).stdout


def test_a_pipe_of_another_encoding(start):
    process = start("check", "--help", PYTHONIOENCODING="latin-1")
    printed, errors = process.communicate(timeout=60)
    assert process.returncode == 0
    assert errors == ""
    assert "  .  passed\n  F  failed" in printed
