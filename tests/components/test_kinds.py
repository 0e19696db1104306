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

SAMPLERS = '''
from typing import ClassVar

from intel_core import ComponentSpec
from pydantic import Field


class SamplerSpec(ComponentSpec):
    """Base of every sampler's spec."""

    kind: ClassVar[str] = "samplers"


class GridSpec(SamplerSpec):
    """Points on a grid."""

    side: int = Field(3, ge=1, description="points to a side")


class Odd:
    pass
'''


def add_samplers(site, base: str = "samplers_of:SamplerSpec", kind: str = "samplers") -> None:
    site.add_dist(
        "made-samplers",
        entry_points={
            "intelvae.kinds": {kind: base},
            "intelvae.samplers": {"grid": "samplers_of:GridSpec", "odd": "samplers_of:Odd"},
        },
        modules={"samplers_of.py": SAMPLERS},
    )


def test_the_core_names_its_kinds_as_a_stranger_does() -> None:
    shipped = {component.name for component in available("kinds") if component.distribution == "intelvae-core"}
    assert shipped <= set(kinds())
    for kind in shipped:
        assert base_of(kind).kind == kind


def test_a_kind_of_a_stranger(site) -> None:
    assert "samplers" not in kinds()
    add_samplers(site)
    assert "samplers" in kinds()
    assert canonical_kind("sampler") == "samplers"
    assert [component.name for component in available("samplers")] == ["grid", "odd"]
    spec = parse_spec("sampler", "grid:side=5")
    assert (spec.side, str(spec), format_spec(spec)) == (5, "grid:side=5", "grid:side=5")
    assert name_of("samplers", type(spec)) == "grid"
    with pytest.raises(SpecError, match="grid has no key 'sides'; did you mean 'side'"):
        parse_spec("samplers", "grid:sides=5")
    with pytest.raises(PluginError, match="not a subclass of SamplerSpec"):
        load("samplers", "odd")
    with pytest.raises(PluginError, match="no sampler is called 'gird'; did you mean 'grid'"):
        load("samplers", "gird")


def test_a_kind_registered_in_this_process(site) -> None:
    add_samplers(site, kind="other")
    from samplers_of import GridSpec, SamplerSpec

    register("kinds", "samplers", SamplerSpec)
    register("samplers", "here", GridSpec)
    assert parse_spec("samplers", "here:side=2").side == 2


@pytest.mark.parametrize("base", ["samplers_of:Odd", "samplers_of:GridSpec", "intel_core:MappingSpec"])
def test_a_base_of_another_kind_is_refused(site, base: str) -> None:
    add_samplers(site, base=base, kind="samplings")
    with pytest.raises(PluginError, match="is not the base class of samplings"):
        base_of("samplings")


def test_a_stranger_who_takes_a_kind_of_the_core_takes_nothing_down(site) -> None:
    add_samplers(site, kind="mappings")
    assert base_of("mappings").__name__ == "MappingSpec"
    assert parse_spec("mappings", "identity").kind == "mappings"


def test_a_disabled_kind_says_so(site, monkeypatch: pytest.MonkeyPatch) -> None:
    add_samplers(site)
    monkeypatch.setenv("INTEL_DISABLE_PLUGINS", "made-samplers")
    with pytest.raises(PluginError, match="DISABLED"):
        load("samplers", "grid")


@pytest.mark.parametrize(("plural", "word"), [("mappings", "mapping"), ("studies", "study")])
def test_singular(plural: str, word: str) -> None:
    assert singular(plural) == word


def test_the_kind_in_the_documentation(site) -> None:
    """As the page has it, module and entry points."""
    text = (Path(__file__).parents[2] / "docs" / "plugins.md").read_text(encoding="utf-8")
    source = re.search(r"```python\n# my_samplers/spec.py\n(.*?)```", text, flags=re.DOTALL)
    entries = re.search(r"```toml\n(\[project.entry-points.\"intelvae.kinds\"\].*?)```", text, flags=re.DOTALL)
    assert source is not None
    assert entries is not None
    groups = tomllib.loads(entries.group(1))["project"]["entry-points"]
    modules = {"my_samplers/__init__.py": "", "my_samplers/spec.py": source.group(1)}
    site.add_dist("my-samplers", entry_points=groups, modules=modules)
    assert parse_spec("samplers", "grid:side=5").side == 5
