"""A kind of component that a stranger adds: found, listed, parsed and written as the project's own are."""

import re
import sys
from pathlib import Path

import pytest

from intel_core import PluginError, SpecError, available, format_spec, parse_spec, register
from intel_core.components.discovery import canonical_kind, kinds, singular
from intel_core.components.loading import base_of, load, name_of

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

LAYOUTS = '''
from typing import ClassVar

from intel_core import ComponentSpec
from pydantic import Field


class LayoutSpec(ComponentSpec):
    """Base of every layout's spec."""

    kind: ClassVar[str] = "layouts"


class GridSpec(LayoutSpec):
    """Points on a grid."""

    side: int = Field(3, ge=1, description="points to a side")


class Odd:
    pass
'''


def add_layouts(site, base: str = "layouts_of:LayoutSpec", kind: str = "layouts") -> None:
    site.add_dist(
        "made-layouts",
        entry_points={
            "intelvae.kinds": {kind: base},
            "intelvae.layouts": {"grid": "layouts_of:GridSpec", "odd": "layouts_of:Odd"},
        },
        modules={"layouts_of.py": LAYOUTS},
    )


def test_the_core_names_its_kinds_as_a_stranger_does() -> None:
    shipped = {component.name for component in available("kinds") if component.distribution == "intelvae-core"}
    assert shipped <= set(kinds())
    for kind in shipped:
        assert base_of(kind).kind == kind


def test_a_kind_of_a_stranger(site) -> None:
    assert "layouts" not in kinds()
    add_layouts(site)
    assert "layouts" in kinds()
    assert canonical_kind("layout") == "layouts"
    assert [component.name for component in available("layouts")] == ["grid", "odd"]
    spec = parse_spec("layout", "grid:side=5")
    assert (spec.side, str(spec), format_spec(spec)) == (5, "grid:side=5", "grid:side=5")
    assert name_of("layouts", type(spec)) == "grid"
    with pytest.raises(SpecError, match="grid has no key 'sides'; did you mean 'side'"):
        parse_spec("layouts", "grid:sides=5")
    with pytest.raises(PluginError, match="not a subclass of LayoutSpec"):
        load("layouts", "odd")
    with pytest.raises(PluginError, match="no layout is called 'gird'; did you mean 'grid'"):
        load("layouts", "gird")


def test_a_kind_registered_in_this_process(site) -> None:
    add_layouts(site, kind="other")
    from layouts_of import GridSpec, LayoutSpec

    register("kinds", "layouts", LayoutSpec)
    register("layouts", "here", GridSpec)
    assert parse_spec("layouts", "here:side=2").side == 2


@pytest.mark.parametrize("base", ["layouts_of:Odd", "layouts_of:GridSpec", "intel_core:MappingSpec"])
def test_a_base_of_another_kind_is_refused(site, base: str) -> None:
    add_layouts(site, base=base, kind="placings")
    with pytest.raises(PluginError, match="is not the base class of placings"):
        base_of("placings")


def test_a_stranger_who_takes_a_kind_of_the_core_takes_nothing_down(site) -> None:
    add_layouts(site, kind="mappings")
    assert base_of("mappings").__name__ == "MappingSpec"
    assert parse_spec("mappings", "identity").kind == "mappings"


def test_a_disabled_kind_says_so(site, monkeypatch: pytest.MonkeyPatch) -> None:
    add_layouts(site)
    monkeypatch.setenv("INTEL_DISABLE_PLUGINS", "made-layouts")
    with pytest.raises(PluginError, match="DISABLED"):
        load("layouts", "grid")


@pytest.mark.parametrize(("plural", "word"), [("mappings", "mapping"), ("studies", "study")])
def test_singular(plural: str, word: str) -> None:
    assert singular(plural) == word


def test_the_kind_in_the_documentation(site) -> None:
    """As the page has it, module and entry points."""
    text = (Path(__file__).parents[2] / "docs" / "plugins.md").read_text(encoding="utf-8")
    source = re.search(r"```python\n# my_layouts/spec.py\n(.*?)```", text, flags=re.DOTALL)
    entries = re.search(r"```toml\n(\[project.entry-points.\"intelvae.kinds\"\].*?)```", text, flags=re.DOTALL)
    assert source is not None
    assert entries is not None
    groups = tomllib.loads(entries.group(1))["project"]["entry-points"]
    modules = {"my_layouts/__init__.py": "", "my_layouts/spec.py": source.group(1)}
    site.add_dist("my-layouts", entry_points=groups, modules=modules)
    assert parse_spec("layouts", "grid:side=5").side == 5
