"""`intel plugins list` and `show`: the state of each component, and its settings."""

import json
import os

import pytest


def test_plugins_list_tells_every_status(ok, call, with_rotten):
    rows = {(row["distribution"], row["name"]): row for row in json.loads(ok("plugins", "list", "--json").stdout)}
    status = {key: row["status"] for key, row in rows.items()}
    assert status["toys", "halves"] == "OK"
    assert status["intelvae-core", "identity"] == "OK"
    assert status["one", "twice"] == status["two", "twice"] == "CONFLICT"
    assert status["futuristic", "future"] == "TOO NEW"
    for name in ("crash", "heavy", "plain", "gone", "bad_hook"):
        assert status["rotten", name] == "BROKEN"
        assert rows["rotten", name]["reason"]
    assert rows["toys", "halves"]["summary"] == "Two half planes, pulled apart."
    assert call("plugins", "list", "--check").exit_code == 1
    assert call("plugins", "list", "networks", "--check").exit_code == 0
    table = ok("plugins", "list", "mappings").stdout
    assert "BROKEN" in table
    assert "no licence found" in table
    assert "toy_points" not in table


def test_plugins_can_be_left_out(ok, call, monkeypatch):
    rows = json.loads(ok("--no-plugin", "toys", "--no-plugin", "iwae", "plugins", "list", "--json").stdout)
    disabled = {row["name"] for row in rows if row["status"] == "DISABLED"}
    assert {"halves", "toy_points", "iwae"} <= disabled
    assert "identity" not in disabled
    result = call("--no-plugin", "halves", "train", "--data", "toy_points", "--mapping", "halves")
    assert result.exit_code == 2
    assert "DISABLED" in result.stderr
    monkeypatch.setenv("INTEL_DISABLE_PLUGINS", "iwae")
    assert call("--no-plugin", "halves", "train", "--objective", "iwae", "--data", "toy_points").exit_code == 2
    assert "INTEL_DISABLE_PLUGINS" in os.environ
    assert os.environ["INTEL_DISABLE_PLUGINS"] == "iwae"


def test_plugins_show(ok):
    text = ok("plugins", "show", "halves").stdout
    for said in ("Two half planes", "toys 1.2", "plugin API 1", "gap", "number >= 0, <= 100", "5.0", "how far apart"):
        assert said in text
    assert "Example: intel train --mapping halves:gap=5.0" in text
    both = json.loads(ok("plugins", "show", "linear", "--json").stdout)
    assert {entry["kind"] for entry in both} == {"networks", "schedules"}
    one = json.loads(ok("plugins", "show", "intelvae-core/linear", "--kind", "schedule", "--json").stdout)
    assert one[0]["example"] == "intel train --schedule kl=linear:steps=1000"
    assert "takes no settings" in ok("plugins", "show", "bernoulli").stdout


def test_the_examples_of_plugins_show_can_be_parsed(ok, with_rotten):
    from intel_core import parse_spec

    for row in json.loads(ok("plugins", "list", "--json").stdout):
        if row["status"] == "OK" and row["distribution"] in ("toys", "intelvae-core") and row["name"] != "memory":
            (entry,) = json.loads(ok("plugins", "show", row["name"], "--kind", row["kind"], "--json").stdout)
            parse_spec(row["kind"], entry["example"].split()[-1].removeprefix("kl="))


GALLERIES = '''
"""A kind of component that this project does not know."""

from typing import ClassVar

from intel_core.components.spec import ComponentSpec
from pydantic import Field


class GallerySpec(ComponentSpec):
    """What describes a gallery."""

    kind: ClassVar[str] = "galleries"


class RoomSpec(GallerySpec):
    """A small gallery."""

    size: int = Field(8, ge=1, description="how many rooms")
'''


@pytest.fixture
def galleries(site):
    entries = {
        "intelvae.kinds": {"galleries": "galleries:GallerySpec"},
        "intelvae.galleries": {"room": "galleries:RoomSpec"},
    }
    site.add_dist("intel-galleries", entry_points=entries, modules={"galleries.py": GALLERIES})


def test_the_kinds_themselves_are_listed(ok, galleries):
    rows = {row["name"]: row for row in json.loads(ok("plugins", "list", "kinds", "--json").stdout)}
    assert {"mappings", "metrics", "galleries"} <= set(rows)
    assert {row["status"] for row in rows.values()} == {"OK"}
    assert rows["galleries"]["summary"] == "What describes a gallery."


def test_a_kind_that_another_distribution_adds_is_like_any_other(ok, call, galleries):
    for kind in ("galleries", "gallery"):
        (row,) = json.loads(ok("plugins", "list", kind, "--json").stdout)
        assert (row["kind"], row["name"], row["summary"]) == ("galleries", "room", "A small gallery.")
        assert json.loads(ok("schema", kind, "room").stdout)["properties"]["size"]["minimum"] == 1
    text = ok("plugins", "show", "room").stdout
    assert text.startswith("room  (gallery)\n")
    assert text.endswith("Example: room:size=8\n")
    assert "name the gallery as well" in call("schema", "gallery").stderr
    assert "galleries" in " ".join(ok("plugins", "list", "--help").stdout.split())
    assert "gallery" in " ".join(ok("schema", "--help").stdout.split())
    assert "no schema is called 'commands'" in call("schema", "commands").stderr


def test_a_kind_whose_components_name_files_has_a_schema_of_its_own(site, ok):
    said = '\n    @classmethod\n    def file_schema(cls):\n        return {"title": "Gallery"}\n'
    source = GALLERIES.replace('"galleries"\n', '"galleries"\n' + said, 1)
    entries = {"intelvae.kinds": {"galleries": "galleries:GallerySpec"}}
    site.add_dist("intel-galleries", entry_points=entries, modules={"galleries.py": source})
    assert json.loads(ok("schema", "gallery").stdout)["title"] == "Gallery"


@pytest.mark.parametrize(
    "words", [["plugins", "list"], ["plugins", "show", "room", "--kind"], ["schema"]], ids=" ".join
)
def test_kinds_are_completed(galleries, words):
    from click.shell_completion import BashComplete
    from intel_cli.main import intel

    items = BashComplete(intel, {}, "intel", "_INTEL_COMPLETE").get_completions(words, "gal")
    assert [item.value for item in items] == ["galleries"]


def test_names_that_cannot_be_typed_are_listed_with_the_reason_and_escaped(site, ok):
    names = ("with:colon", "a/b", "esc\x1b[31mape")
    site.add_dist("odd", entry_points={"intelvae.metrics": dict.fromkeys(names, "odd:Odd")}, modules={"odd.py": ""})
    listed = ok("plugins", "list", "metrics").stdout
    assert "\x1b" not in listed
    assert listed.count("BROKEN") == 3
    assert "its name has other characters than" in " ".join(listed.split())
    rows = {row["name"]: row for row in json.loads(ok("plugins", "list", "metrics", "--json").stdout)}
    assert {rows[name]["status"] for name in names} == {"BROKEN"}
