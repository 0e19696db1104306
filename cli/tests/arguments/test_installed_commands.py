"""Are commands of other distributions found, described, isolated and switched off like those of this one?"""

import json
import re
import subprocess
import sys
from importlib import metadata
from pathlib import Path

import pytest
import tomllib

from intel_core.components import discovery

DOCS = Path(__file__).parents[3] / "docs" / "plugins.md"
HELLO = '''
"""A module about greetings."""

import click


@click.command(short_help="Say hello, briefly.")
@click.argument("name")
@click.option("--json", "as_json", is_flag=True)
def hello(name, as_json):
    """Say hello at some length."""
    from intel_core.errors import RunError

    if name == "nobody":
        raise RunError("there is nobody here")
    if name == "bug":
        raise ZeroDivisionError
    click.echo(f"hello {name}")


@click.group()
def family():
    """Greet more than one. The second sentence is not shown."""


@family.command()
def all():
    """Greet all."""
    click.echo("hello all")


built = click.Command("built", callback=lambda: click.echo("built"))
text = "no command"
'''


@pytest.fixture
def greetings(site):
    """A distribution with commands of every sort: described in several ways, broken in two."""
    entries = {
        "hello": "greetings.commands:hello",
        "family": "greetings.commands:family",
        "built": "greetings.commands:built",
        "text": "greetings.commands:text",
        "crash": "greetings.crash:crash",
        "gone": "greetings.nowhere:gone",
        "quits": "greetings.quits:quits",
    }
    modules = {
        "greetings/__init__.py": "",
        "greetings/commands.py": HELLO,
        "greetings/crash.py": "raise RuntimeError('no licence\\nfound')\n",
        "greetings/quits.py": "import sys\nsys.exit('install libfoo')\n",
    }
    site.add_dist("greetings", entry_points={"intelvae.commands": entries}, modules=modules)
    yield
    for name in [name for name in sys.modules if name.partition(".")[0] == "greetings"]:
        del sys.modules[name]


def section(text, title):
    """The names and descriptions in a section of a help text."""
    body = text.partition(f"{title}:\n")[2].partition("\n\n")[0]
    return dict(re.split(r"\s{2,}", line.strip(), maxsplit=1) for line in body.splitlines() if line[2:3] != " ")


def test_commands_of_others_have_a_section_of_their_own_and_are_not_imported(ok, greetings):
    assert section(ok("--help").stdout, "Commands of greetings") == {
        "hello": "Say hello, briefly.",
        "family": "Greet more than one.",
        "built": "A module about greetings.",
        "text": "A module about greetings.",
        "crash": "from greetings 1.0",
        "gone": "from greetings 1.0",
        "quits": "from greetings 1.0",
    }
    assert "greetings" not in sys.modules


def test_the_shipped_commands_are_in_the_order_of_a_users_work(ok):
    listed = list(section(ok("--help").stdout, "Commands of intelvae-cli"))
    assert listed[:4] == ["show", "check", "train", "evaluate"]
    shipped = {entry.name for entry in metadata.entry_points(group="intelvae.commands", module="intel_cli")}
    registered = {c.name for c in discovery.available("commands") if c.distribution == "intelvae-cli"}
    assert set(listed) == registered >= shipped


def test_the_line_of_a_shipped_command_is_the_one_that_click_makes_of_it(ok):
    from intel_cli.arguments.groups import load_command

    said = ok("--help").stdout
    for component in discovery.available("commands"):
        line = section(said, f"Commands of {component.distribution}")[component.name]
        assert line == load_command(component).get_short_help_str(80)


@pytest.mark.parametrize(
    ("args", "printed"),
    [(("hello", "you"), "hello you\n"), (("family", "all"), "hello all\n"), (("built",), "built\n")],
    ids=lambda value: value[0] if isinstance(value, tuple) else "",
)
def test_it_is_run_by_its_name(ok, greetings, args, printed):
    assert ok(*args).stdout == printed


def test_its_errors_are_told_as_those_of_any_other(call, greetings):
    done = call("hello", "nobody", "--json")
    assert done.exit_code == 2
    assert done.stderr == "Error: there is nobody here\n"
    assert json.loads(done.stdout) == {"error": "there is nobody here"}
    wrong = call("hello")
    assert wrong.exit_code == 2
    assert "Missing argument" in wrong.stderr
    assert wrong.stderr.endswith("intel hello --help explains the options.\n")
    assert "Traceback" in call("--debug", "hello", "nobody").stderr
    assert isinstance(call("hello", "bug").exception, ZeroDivisionError)


def test_a_misspelt_one_is_suggested(call, greetings):
    assert "did you mean 'hello'?" in call("helo").stderr


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("crash", "RuntimeError: no licence found"),
        ("gone", "ModuleNotFoundError: No module named 'greetings.nowhere'"),
        ("text", "TypeError: greetings.commands:text is no click command"),
        ("quits", "SystemExit: install libfoo"),
    ],
)
def test_a_broken_one_is_told_in_a_line_and_harms_no_other(call, ok, greetings, name, reason):
    done = call(name, "--whatever")
    assert done.exit_code == 2
    assert done.stderr == (
        f"Error: command {name!r} of greetings 1.0 is BROKEN ({reason}); mend it, or: pip uninstall greetings\n"
    )
    ok("runs")
    rows = {row["name"]: row for row in json.loads(ok("plugins", "list", "commands", "--json").stdout)}
    assert rows[name]["status"] == "BROKEN"
    assert " ".join(rows[name]["reason"].split()).endswith(reason.partition(": ")[2])
    assert (rows["hello"]["status"], rows["hello"]["summary"]) == ("OK", "Say hello, briefly.")


def test_one_name_of_two_distributions_is_a_conflict(call, ok, greetings, site):
    site.add_dist("manners", entry_points={"intelvae.commands": {"hello": "greetings.commands:hello"}})
    assert call("hello", "you").exit_code == 2
    assert "say greetings/hello or manners/hello" in call("hello", "you").stderr
    assert ok("manners/hello", "you").stdout == "hello you\n"
    said = ok("--help").stdout
    assert "greetings/hello" in section(said, "Commands of greetings")
    assert section(said, "Commands of manners") == {"manners/hello": "Say hello, briefly."}


def test_a_name_of_the_shipped_commands_is_one_too(call, greetings, site):
    site.add_dist("takeover", entry_points={"intelvae.commands": {"runs": "greetings.commands:built"}})
    assert "say intelvae-cli/runs or takeover/runs" in call("runs").stderr
    assert call("intelvae-cli/runs").exit_code == 0
    assert call("--no-plugin", "takeover", "runs").exit_code == 0


def test_a_later_level_of_the_plugin_api_is_told(call, ok, site):
    site.add_dist("future", entry_points={"intelvae.commands": {"warp": "warp:warp"}, "intelvae.api": {"99": "warp"}})
    assert section(ok("--help").stdout, "Commands of future")["warp"].startswith("TOO NEW: needs plugin API 99")
    assert "TOO NEW" in call("warp").stderr


@pytest.mark.parametrize("word", ["hello", "greetings", "greetings/hello"])
@pytest.mark.parametrize("how", ["option", "variable"])
def test_it_can_be_left_out(call, greetings, monkeypatch, how, word):
    if how == "variable":
        monkeypatch.setenv("INTEL_DISABLE_PLUGINS", word)
    switch = ("--no-plugin", word) if how == "option" else ()
    done = call(*switch, "hello", "you")
    assert done.exit_code == 2
    assert "is DISABLED: by INTEL_DISABLE_PLUGINS or --no-plugin" in done.stderr
    assert "Say hello" not in call(*switch, "--help").stdout


def test_a_wildcard_and_an_allow_list_are_about_components(ok, greetings, monkeypatch):
    monkeypatch.setenv("INTEL_DISABLE_PLUGINS", "*")
    ok("runs")
    ok("hello", "you")
    monkeypatch.delenv("INTEL_DISABLE_PLUGINS")
    monkeypatch.setenv("INTEL_PLUGINS", "intelvae-core")
    ok("runs")
    ok("hello", "you")


@pytest.mark.parametrize(("begun", "expected"), [("hel", ["hello"]), ("cr", ["crash"]), ("--deb", ["--debug"])])
def test_completion_imports_none(greetings, begun, expected):
    from click.shell_completion import BashComplete
    from intel_cli.main import intel

    items = BashComplete(intel, {}, "intel", "_INTEL_COMPLETE").get_completions([], begun)
    assert [item.value for item in items] == expected
    assert "greetings" not in sys.modules


def test_completion_behind_a_broken_one_is_silent(greetings):
    from click.shell_completion import BashComplete
    from intel_cli.main import intel

    assert BashComplete(intel, {}, "intel", "_INTEL_COMPLETE").get_completions(["crash"], "--") is not None


def blocks():
    """The files of the example in the documentation, by their names."""
    text = DOCS.read_text(encoding="utf-8").partition("## A command\n")[2].partition("\n## ")[0]
    return dict(re.findall(r"^`(\S+)`\n\n```\w+\n(.*?)^```", text, flags=re.MULTILINE | re.DOTALL))


def test_the_example_in_the_documentation_works(ok, call, site, trained):
    files = blocks()
    project = tomllib.loads(files.pop("pyproject.toml"))["project"]
    site.add_dist(project["name"], entry_points=project["entry-points"], modules=files)
    assert "intel_cli" not in "".join(files.values())
    assert section(ok("--help").stdout, "Commands of intel-shape") == {
        "shape": "Tell how many dimensions the latent of a run has."
    }
    assert json.loads(ok("shape", trained / "points", "--json").stdout) == {"y_dim": 2, "z_dim": 2}
    assert ok("shape", trained / "points").stdout == "y has 2 dimensions, z has 2\n"
    assert "is not a run directory" in json.loads(call("shape", "nowhere", "--json").stdout)["error"]


def test_a_misspelt_switch_is_told_before_any_command():
    command = [sys.executable, "-m", "intel_cli", "--no-plugin", "halvs", "--help"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert "'halvs', which is not installed" in done.stderr
