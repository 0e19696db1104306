"""What is installed, found without importing it; one broken plugin never takes another down."""

import inspect
import os
import re
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from intel_core import (
    Identity,
    Mapping,
    MappingSpec,
    PluginError,
    SpecError,
    available,
    format_spec,
    load_mapping,
    parse_spec,
    register,
)
from intel_core.components import discovery as plugins
from intel_core.components.discovery import Component, canonical_kind, find
from intel_core.components.loading import load, name_of
from intel_core.mappings.building import IdentitySpec
from intel_core.recipe.probing import probe

GOOD = """
from intel_core import MappingSpec


class {name}Spec(MappingSpec):
    \"\"\"A mapping of a made-up plugin.\"\"\"

    k: int = 1

    def build(self, y_dim):
        from intel_core import Identity

        return Identity(y_dim)
"""

SPIRAL_SPEC = '''
from intel_core import MappingSpec
from pydantic import Field
class SpiralSpec(MappingSpec):
    """One line that `intel plugins show spiral` prints."""
    turns: float = Field(1.0, gt=0, description="full turns over the radius")
    def build(self, y_dim: int) -> "Mapping":
        from intel_spiral.mapping import Spiral
        return Spiral(y_dim, turns=self.turns)
'''

SPIRAL = """
import torch
from torch import nn


class Spiral(nn.Module):
    def __init__(self, y_dim, turns):
        super().__init__()
        if y_dim != 2:
            raise ValueError(f"a spiral needs 2 dimensions, not {y_dim}")
        self.y_dim = self.z_dim = y_dim
        self.turns = turns

    def forward(self, y):
        angle = 2 * torch.pi * self.turns * torch.tanh(y.square().sum(-1))
        cos, sin = torch.cos(angle), torch.sin(angle)
        return torch.stack([cos * y[..., 0] - sin * y[..., 1], sin * y[..., 0] + cos * y[..., 1]], dim=-1)
"""


def add_good(site, dist: str = "made-good", name: str = "good", package: str = "made_good", **options) -> None:
    site.add_dist(
        dist,
        entry_points={"intelvae.mappings": {name: f"{package}.spec:{name.title()}Spec"}},
        modules={f"{package}/__init__.py": "", f"{package}/spec.py": GOOD.format(name=name.title())},
        **options,
    )


def names(kind: str = "mappings") -> set[str]:
    return {component.name for component in available(kind)}


def one(name: str, kind: str = "mappings") -> Component:
    (component,) = (c for c in available(kind) if c.name == name)
    return component


# --- finding ---------------------------------------------------------------------------------------------------


def test_what_ships_with_the_core() -> None:
    own = [c.name for c in available(plugins.KINDS) if c.distribution == "intelvae-core"]
    shipped = {kind: {c.name for c in available(kind) if c.distribution == "intelvae-core"} for kind in own}
    assert shipped == {
        "mappings": {"identity", "given"},
        "priors": {"standard"},
        "posteriors": {"gaussian"},
        "samplers": set(),
        "datasets": {"memory"},
        "likelihoods": {"bernoulli", "continuous_bernoulli", "gaussian", "laplace", "given"},
        "networks": {"mlp", "conv", "linear", "given"},
        "optimizers": {"adam"},
        "trackers": set(),
        "objectives": {"elbo", "iwae"},
        "schedules": {"constant", "linear", "cosine", "geometric"},
        "starts": {"none"},
        "inputs": {"array", "frame", "parts", "sparse_matrix", "torch"},
        "metrics": set(),
    }


def test_an_installed_component_is_described_by_its_metadata(site) -> None:
    add_good(site, version="2.3")
    assert one("good") == Component("mappings", "good", "made-good", "2.3", "made_good.spec:GoodSpec")
    assert one("good").qualified == "made-good/good"
    assert find("mapping", "good") == find("mappings", "made-good/good") == one("good")


def test_an_installation_shows_without_a_restart_and_an_uninstallation_too(site) -> None:
    assert "good" not in names()
    add_good(site)
    assert "good" in names()
    sys.path.remove(str(site.path))
    assert "good" not in names()


@pytest.mark.parametrize(
    ("word", "kind"), [("mapping", "mappings"), ("data", "datasets"), ("dataset", "datasets"), ("networks", "networks")]
)
def test_canonical_kind(word: str, kind: str) -> None:
    assert canonical_kind(word) == kind


@pytest.mark.parametrize(
    "call", [available, lambda kind: find(kind, "x"), lambda kind: load(kind, "x"), canonical_kind]
)
def test_unknown_kind(call) -> None:
    with pytest.raises(SpecError, match=r"no kind of component is called 'mapings'; did you mean 'mappings'\?"):
        call("mapings")


def test_unknown_name_and_the_nearest_one(site) -> None:
    add_good(site)
    with pytest.raises(
        PluginError, match=r"no mapping is called 'goood'; did you mean 'good'\? \(mappings: .*good.*\)"
    ):
        find("mappings", "goood")


@pytest.mark.parametrize("name", ["made-good/other", "other/good", "/good", "made-good/", "", "good/made-good"])
def test_a_qualified_name_that_is_none(site, name: str) -> None:
    add_good(site)
    with pytest.raises(PluginError, match="no mapping is called"):
        find("mappings", name)


@pytest.mark.parametrize("spelling", ["made-good", "Made_Good"])
def test_the_same_distribution_twice_is_one_component(site, spelling: str) -> None:
    add_good(site)
    add_good(site, spelling, folder="again", version="0.9")
    assert one("good").version == "1.0"
    assert one("good").status == "OK"
    assert parse_spec("mappings", "good:k=2").k == 2


@pytest.mark.parametrize("file", ["entry_points.txt", "METADATA"])
@pytest.mark.parametrize("content", [b"\xff\xfe[intelvae.mappings]\n", b"[intelvae.mappings]\nno value\n", b"", None])
def test_damaged_metadata_is_left_out_with_a_warning(site, file: str, content: bytes | None) -> None:
    add_good(site)
    info = site.add_dist("damaged", entry_points={"intelvae.mappings": {"damaged": "nowhere:Spec", "good": "x:Y"}})
    if content is None:
        (info / file).unlink()
    else:
        (info / file).write_bytes(content)
    plugins.refresh()
    if file == "entry_points.txt" and not content:  # then it offers nothing, which is no damage
        assert "good" in names()
    else:
        with pytest.warns(UserWarning, match=r"damaged-1\.0\.dist-info is damaged and left out \(\w+: "):
            found = available("mappings")
        assert {c.distribution for c in found if c.name == "good"} == {"made-good"}
        assert parse_spec("mappings", "good:k=2").k == 2


def test_damaged_metadata_of_a_stranger_is_none_of_our_business(site) -> None:
    info = site.add_dist("stranger")
    (info / "entry_points.txt").write_text("[console_scripts]\nno value\n")
    plugins.refresh()
    assert "identity" in names()


# --- isolation -------------------------------------------------------------------------------------------------

BROKEN = {
    "import": ("import no_such_module_anywhere", "ModuleNotFoundError: No module named 'no_such_module_anywhere'"),
    "syntax": ("def (", "SyntaxError: invalid syntax"),
    "raises": ("raise RuntimeError('at import')", "RuntimeError: at import"),
    "exits": ("import sys; sys.exit('please install libfoo')", "SystemExit: please install libfoo"),
    "exits_silently": ("raise SystemExit", "SystemExit:"),
    "panics": ("class Panic(BaseException): pass\nraise Panic('rust')", "Panic: rust"),
    "ends": ("raise GeneratorExit('at import')", "GeneratorExit: at import"),
    "missing": ("", "AttributeError: module 'made_bad.spec' has no attribute 'BadSpec'"),
    "not_a_class": ("BadSpec = 3", "SpecError: made_bad.spec:BadSpec is not a subclass of MappingSpec"),
    "other_kind": (
        "from intel_core.recipe.shipped import ELBOSpec as BadSpec",
        "SpecError: made_bad.spec:BadSpec is not a subclass of MappingSpec",
    ),
}


@pytest.mark.parametrize(("source", "cause"), BROKEN.values(), ids=BROKEN)
def test_a_broken_plugin_is_broken_alone(site, source: str, cause: str) -> None:
    add_good(site)
    bad = {"intelvae.mappings": {"bad": "made_bad.spec:BadSpec"}}
    site.add_dist("made-bad", "3.1", bad, {"made_bad/__init__.py": "", "made_bad/spec.py": source})
    assert {"bad", "good", "identity"} <= names()
    assert one("bad").status == "OK"  # nobody has tried yet
    probed = probe(one("bad"))
    assert probed.status == "BROKEN"
    assert cause in probed.reason
    assert probe(one("good")).status == "OK"
    for use in (lambda: parse_spec("mappings", "bad"), lambda: load("mappings", "made-bad/bad")):
        with pytest.raises(
            PluginError, match=r"^mapping 'bad' of made-bad 3\.1 is BROKEN .*uninstall made-bad"
        ) as caught:
            use()
        assert cause in str(caught.value)
        assert type(caught.value.__cause__).__name__ == cause.partition(":")[0]
    good = parse_spec("mappings", "good:k=3")
    assert format_spec(good) == "good:k=3"
    assert format_spec(IdentitySpec()) == "identity"


def test_ctrl_c_at_the_import_of_a_plugin_is_the_user_s(site) -> None:
    site.add_dist(
        "made-slow", "1.0", {"intelvae.mappings": {"slow": "made_slow:S"}}, {"made_slow.py": "raise KeyboardInterrupt"}
    )
    with pytest.raises(KeyboardInterrupt):
        load("mappings", "slow")


@pytest.mark.parametrize("group", ["kinds", "hooks", "commands"])
def test_what_is_no_component_may_exit_at_its_import_as_well(site, group: str) -> None:
    site.add_dist(
        "made-quits",
        "1.0",
        {f"intelvae.{group}": {"quits": "made_quits:S"}, "intelvae.quits": {"one": "made_quits:One"}},
        {"made_quits.py": "import sys; sys.exit('no licence')"},
    )
    probed = [probe(component) for component in available(group)]
    (bad,) = [component for component in probed if component.name == "quits"]
    assert (bad.status, bad.reason) == ("BROKEN", "SystemExit: no licence")
    assert all(component.status == "OK" for component in probed if component is not bad)
    if group == "kinds":
        assert [probe(component).status for component in available("quits")] == ["BROKEN"]
        with pytest.raises(PluginError, match=r"quit 'one' of made-quits 1\.0 is BROKEN \(SystemExit: no licence\)"):
            parse_spec("quits", "one")


def test_a_missing_module(site) -> None:
    site.add_dist("made-bad", entry_points={"intelvae.mappings": {"bad": "nowhere_at_all:Spec"}})
    with pytest.raises(PluginError, match=r"is BROKEN \(ModuleNotFoundError: No module named 'nowhere_at_all'\)"):
        parse_spec("mappings", "bad")


def test_a_broken_plugin_works_once_it_is_mended(site) -> None:
    info = site.add_dist("made-bad", entry_points={"intelvae.mappings": {"bad": "made_late:BadSpec"}})
    with pytest.raises(PluginError, match="BROKEN"):
        load("mappings", "bad")
    (info.parent / "made_late.py").write_text(GOOD.format(name="Bad"))
    plugins.refresh()
    assert load("mappings", "bad").__name__ == "BadSpec"
    assert probe(one("bad")).status == "OK"


def test_probing_leaves_what_is_not_to_be_imported_alone(site, monkeypatch: pytest.MonkeyPatch) -> None:
    add_good(site)
    monkeypatch.setenv("INTEL_DISABLE_PLUGINS", "good")
    assert probe(one("good")) == one("good")
    assert "made_good.spec" not in sys.modules


# --- two of one name -------------------------------------------------------------------------------------------


@pytest.fixture
def rivals(site):
    add_good(site, "rival-a", package="rival_a")
    add_good(site, "rival-b", package="rival_b")
    return site


@pytest.mark.usefixtures("rivals")
def test_two_distributions_with_one_name_are_both_listed() -> None:
    found = [c for c in available("mappings") if c.name == "good"]
    assert [(c.distribution, c.status) for c in found] == [("rival-a", "CONFLICT"), ("rival-b", "CONFLICT")]
    assert {c.reason for c in found} == {"say rival-a/good or rival-b/good"}
    assert [probe(c).status for c in found] == ["CONFLICT", "CONFLICT"]


@pytest.mark.usefixtures("rivals")
def test_the_bare_name_of_two_is_an_error_that_says_what_to_write() -> None:
    with pytest.raises(PluginError, match=r"'good' is offered by several distributions: say rival-a/good or rival-b/g"):
        parse_spec("mappings", "good:k=2")


@pytest.mark.usefixtures("rivals")
@pytest.mark.parametrize("dist", ["rival-a", "rival-b"])
def test_the_qualified_name_of_two_works_and_is_what_is_written(dist: str) -> None:
    spec = parse_spec("mappings", f"{dist}/good:k=2")
    assert type(spec).__module__ == f"{dist.replace('-', '_')}.spec"
    assert format_spec(spec) == f"{dist}/good:k=2"
    assert parse_spec("mappings", format_spec(spec)) == spec


@pytest.mark.usefixtures("rivals")
def test_disabling_one_of_two_settles_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("INTEL_DISABLE_PLUGINS", "rival-a")
    spec = parse_spec("mappings", "good")
    assert type(spec).__module__ == "rival_b.spec"
    assert format_spec(spec) == "good"


@pytest.mark.usefixtures("rivals")
def test_two_of_a_name_disturb_nothing_else() -> None:
    assert parse_spec("mappings", "identity") == IdentitySpec()


# --- API levels ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("level", "status", "advice"),
    [
        ("0", "OK", ""),
        ("1", "OK", ""),
        ("2", "TOO NEW", "needs plugin API 2, this core speaks 1: pip install -U intelvae-core"),
        ("17", "TOO NEW", "needs plugin API 17, this core speaks 1: pip install -U intelvae-core"),
        ("one", "OK", ""),
    ],
)
def test_the_api_level_is_checked_before_anything_is_imported(site, level: str, status: str, advice: str) -> None:
    groups = {"intelvae.mappings": {"levelled": "made_levelled:LevelledSpec"}, "intelvae.api": {level: "made_levelled"}}
    witness = site.path / "imported"
    source = f"open({str(witness)!r}, 'w').close()\n{GOOD.format(name='Levelled')}"
    site.add_dist("made-levelled", entry_points=groups, modules={"made_levelled.py": source})
    assert (one("levelled").status, one("levelled").reason) == (status, advice)
    if status == "OK":
        assert parse_spec("mappings", "levelled").k == 1
    else:
        assert probe(one("levelled")).status == status
        with pytest.raises(PluginError, match=rf"'levelled' of made-levelled 1\.0 is {status}: {advice}$"):
            parse_spec("mappings", "levelled")
    assert witness.exists() == (status == "OK")


@pytest.mark.parametrize("name", ["with:colon", "a/b", "esc\x1b[31mape", "two words", "a,b", "quo'te"])
def test_a_name_that_cannot_be_typed_is_listed_as_broken(site, name: str) -> None:
    source = GOOD.format(name="Odd")
    groups = {"intelvae.mappings": {name: "made_odd:OddSpec", "usual-1.0_x": "made_odd:OddSpec"}}
    site.add_dist("made-odd", entry_points=groups, modules={"made_odd.py": source})
    assert one("usual-1.0_x").status == "OK"
    odd = one(name)
    assert odd.status == probe(odd).status == "BROKEN"
    assert odd.reason == "its name has other characters than letters, digits and _-.+"


def test_a_plugin_of_an_api_long_gone(site, monkeypatch: pytest.MonkeyPatch) -> None:
    add_good(site)
    monkeypatch.setattr(plugins, "API_LEVEL", 3)
    assert one("good").status == "TOO OLD"
    with pytest.raises(PluginError, match=r"made for plugin API 1, this core speaks 3: pip install -U made-good$"):
        parse_spec("mappings", "good")


# --- switches --------------------------------------------------------------------------------------------------


def statuses() -> dict[str, str]:
    return {c.name: c.status for c in available("mappings") if c.name in ("good", "other", "identity")}


@pytest.mark.parametrize(
    ("variable", "value", "disabled"),
    [
        ("INTEL_DISABLE_PLUGINS", "good", {"good"}),
        ("INTEL_DISABLE_PLUGINS", "made-good", {"good"}),
        ("INTEL_DISABLE_PLUGINS", "made-good/good", {"good"}),
        ("INTEL_DISABLE_PLUGINS", " good , made-other ,", {"good", "other"}),
        ("INTEL_DISABLE_PLUGINS", "*", {"good", "other"}),
        ("INTEL_DISABLE_PLUGINS", "identity", {"identity"}),
        ("INTEL_DISABLE_PLUGINS", "", set()),
        ("INTEL_PLUGINS", "good", {"other"}),
        ("INTEL_PLUGINS", "made-good", {"other"}),
        ("INTEL_PLUGINS", "good,other", set()),
        ("INTEL_PLUGINS", "intelvae-core", {"good", "other"}),
        ("INTEL_PLUGINS", "", set()),
    ],
)
def test_switches(site, monkeypatch: pytest.MonkeyPatch, variable: str, value: str, disabled: set[str]) -> None:
    add_good(site)
    add_good(site, "made-other", "other", "made_other")
    monkeypatch.setenv(variable, value)
    assert {name for name, status in statuses().items() if status == "DISABLED"} == disabled
    assert len(statuses()) == 3
    for name in disabled:
        with pytest.raises(PluginError, match=rf"mapping '{name}' of .* is DISABLED: (by|not in) {variable}"):
            parse_spec("mappings", name)
    for name in {"good", "other", "identity"} - disabled:
        assert parse_spec("mappings", name)


def test_what_is_denied_stays_so_though_it_is_allowed(site, monkeypatch: pytest.MonkeyPatch) -> None:
    add_good(site)
    monkeypatch.setenv("INTEL_PLUGINS", "good")
    monkeypatch.setenv("INTEL_DISABLE_PLUGINS", "*")
    assert statuses() == {"good": "DISABLED", "identity": "OK"}


@pytest.mark.parametrize("variable", ["INTEL_PLUGINS", "INTEL_DISABLE_PLUGINS"])
def test_a_misspelt_switch_is_an_error(site, monkeypatch: pytest.MonkeyPatch, variable: str) -> None:
    add_good(site)
    monkeypatch.setenv(variable, "made-good,made-godo")
    with pytest.raises(
        PluginError, match=rf"{variable} names 'made-godo', which is not installed; did you mean 'made-"
    ):
        parse_spec("mappings", "identity")


def test_a_switch_may_name_a_hook_plugin(site, monkeypatch: pytest.MonkeyPatch) -> None:
    site.add_dist("made-hooks", entry_points={"intelvae.hooks": {"watcher": "made_hooks"}})
    monkeypatch.setenv("INTEL_DISABLE_PLUGINS", "watcher")
    assert [c.status for c in available("hooks")] == ["DISABLED"]


# --- what is imported ------------------------------------------------------------------------------------------


def in_a_new_process(site, code: str) -> str:
    path = os.pathsep.join([str(site.path), os.environ.get("PYTHONPATH", "")])
    command = [sys.executable, "-W", "error", "-c", textwrap.dedent(code)]
    done = subprocess.run(
        command, env={**os.environ, "PYTHONPATH": path}, cwd=site.path, capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


@pytest.mark.parametrize(
    "code",
    [
        "for kind in kinds(): available(kind)",
        "available('hooks'); find('mappings', 'good'); find('mappings', 'rude')",
        "parse_spec('objectives', 'iwae'); parse_spec('mappings', 'identity'); parse_spec('networks', 'conv')",
        "from intel_core import MappingSpec, RunSpec, DatasetSpec, NetworkSpec, hookimpl, register, make_dataset",
    ],
)
def test_listing_and_parsing_import_no_plugin_and_no_torch(site, code: str) -> None:
    add_good(site)
    add_good(site, "made-rude", "rude", "made_rude")
    printed = in_a_new_process(
        site,
        f"""
        import sys
        from intel_core import available, parse_spec
        from intel_core.components.discovery import find, kinds
        {code}
        print([name for name in ("torch", "numpy", "made_good", "made_rude") if name in sys.modules])
        """,
    )
    assert printed == "[]"


def test_parsing_imports_the_one_spec_and_probing_keeps_torch_out(site) -> None:
    add_good(site)
    modules = {"made_rude/__init__.py": "", "made_rude/spec.py": "import torch\n" + GOOD.format(name="Rude")}
    site.add_dist("made-rude", entry_points={"intelvae.mappings": {"rude": "made_rude.spec:RudeSpec"}}, modules=modules)
    printed = in_a_new_process(
        site,
        """
        import sys
        from intel_core import available, parse_spec
        from intel_core.recipe.probing import probe
        parse_spec("mappings", "good:k=2")
        print([name for name in ("torch", "made_good.spec", "made_rude") if name in sys.modules])
        probed = {c.name: probe(c) for c in available("mappings")}
        print(probed["good"].status, probed["rude"].status, probed["rude"].reason)
        print("torch" in sys.modules, [type(finder).__name__ for finder in sys.meta_path].count("_NoTorch"))
        """,
    )
    reason = (
        "BROKEN ImportError: importing a spec must not import torch; import what needs it in its methods, or under "
        "TYPE_CHECKING"
    )
    assert printed.splitlines() == ["['made_good.spec']", f"OK {reason}", "False 0"]


def test_the_metric_in_the_documentation_is_a_light_spec(site) -> None:
    text = (Path(__file__).parents[2] / "docs" / "plugins.md").read_text(encoding="utf-8")
    code = text.partition("## A metric")[2].partition("```python\n")[2].partition("```")[0]
    modules = {"made_balance.py": code}
    points = {"intelvae.metrics": {"balance": "made_balance:BalanceSpec"}}
    site.add_dist("made-balance", entry_points=points, modules=modules)
    printed = in_a_new_process(
        site,
        """
        from intel_core import parse_spec
        from intel_core.components.discovery import find
        from intel_core.recipe.probing import probe
        print(probe(find("metrics", "balance")).status)
        from intel_core import Subject, fit
        run = fit(mapping="identity", data="circle:n=40", steps=2, latent=2, run_dir="run")
        print(parse_spec("metrics", "balance:samples=50").measure(Subject(run)).protocol["samples"])
        """,
    )
    assert printed.split() == ["OK", "50"]


def test_public_names_are_all_there() -> None:
    import intel_core

    # Type checkers read the imports, Python reads the table of homes.
    typed = re.findall(r"^    from intel_core\.([\w.]+) import (\w+) as (\w+)$", inspect.getsource(intel_core), re.M)
    assert all(name == again for _, name, again in typed)
    tabled = [(module, name) for module, names in intel_core._HOMES.items() for name in names]
    assert sorted((module, name) for module, name, _ in typed) == sorted(tabled)
    assert sorted(name for _, name in tabled) == sorted(intel_core.__all__) == dir(intel_core)
    assert all(getattr(intel_core, name) is not None for name in intel_core.__all__)
    with pytest.raises(AttributeError, match="module 'intel_core' has no attribute 'Nothing'"):
        intel_core.Nothing  # noqa: B018


# --- register and name_of --------------------------------------------------------------------------------------


class HandmadeSpec(MappingSpec):
    """Made in this process."""

    k: int = 1

    def build(self, y_dim: int) -> Mapping:
        return Identity(y_dim)


def test_register_makes_a_class_known_in_this_process() -> None:
    register("mapping", "handmade", HandmadeSpec)
    spec = parse_spec("mappings", "handmade:k=4")
    assert spec == HandmadeSpec(k=4)
    assert format_spec(spec) == "handmade:k=4"
    assert one("handmade").distribution == "this-process"
    assert probe(one("handmade")).status == "OK"
    assert load_mapping("handmade", y_dim=3).z_dim == 3


def test_a_registration_ends_with_its_test() -> None:
    assert "handmade" not in names()


def test_register_of_a_taken_name_is_a_conflict() -> None:
    register("mappings", "identity", HandmadeSpec)
    with pytest.raises(PluginError, match=r"say intelvae-core/identity or this-process/identity"):
        parse_spec("mappings", "identity")
    assert format_spec(HandmadeSpec(k=2)) == "this-process/identity:k=2"
    assert parse_spec("mappings", "this-process/identity:k=2") == HandmadeSpec(k=2)
    assert format_spec(IdentitySpec()) == "intelvae-core/identity"


@pytest.mark.parametrize("thing", [int, 3, IdentitySpec()], ids=repr)
def test_register_takes_specs_of_its_kind_only(thing) -> None:
    with pytest.raises(SpecError, match="is not a subclass of ObjectiveSpec"):
        register("objectives", "odd", thing)


@pytest.mark.parametrize("name", ["", "a:b", "a/b", " a", "a,b", "a b"])
def test_register_takes_names_that_can_be_typed(name: str) -> None:
    with pytest.raises(SpecError, match="is no name for a component"):
        register("mappings", name, HandmadeSpec)


def test_name_of_what_is_not_registered() -> None:
    with pytest.raises(
        PluginError, match=r"HandmadeSpec is registered under no name; .*register\('mappings', NAME, Han"
    ):
        name_of("mappings", HandmadeSpec)


def test_name_of_a_class_that_its_package_exports_elsewhere(site) -> None:
    modules = {
        "made_twice/__init__.py": "from made_twice.inner import GoodSpec",
        "made_twice/inner.py": GOOD.format(name="Good"),
        "made_twice/rotten.py": "import no_such_module_anywhere",
    }
    entries = {"a_rotten": "made_twice.rotten:RottenSpec", "good": "made_twice:GoodSpec"}
    site.add_dist("made-twice", entry_points={"intelvae.mappings": entries}, modules=modules)
    spec = parse_spec("mappings", "good:k=7")
    assert type(spec).__module__ == "made_twice.inner"
    assert format_spec(spec) == "good:k=7"  # though its neighbour is broken


def test_name_of_a_class_that_another_package_offers(site) -> None:
    modules = {
        "made_library.py": GOOD.format(name="Good"),
        "made_front.py": "from made_library import GoodSpec",
        "made_unused.py": "raise SystemExit('imported')",
    }
    entries = {"a_unused": "made_unused:GoodSpec", "good": "made_front:GoodSpec"}
    site.add_dist("made-front", entry_points={"intelvae.mappings": entries}, modules=modules)
    assert format_spec(parse_spec("mappings", "good:k=7")) == "good:k=7"


# --- a stranger's plugin, as the documentation shows it ----------------------------------------------------------


@pytest.fixture
def spiral(site):
    modules = {
        "intel_spiral/__init__.py": "",
        "intel_spiral/spec.py": SPIRAL_SPEC,
        "intel_spiral/mapping.py": SPIRAL,
    }
    entries = {"intelvae.mappings": {"spiral": "intel_spiral.spec:SpiralSpec"}}
    site.add_dist("intel-spiral", "0.2", entries, modules)
    return site


@pytest.mark.usefixtures("spiral")
def test_a_stranger_s_mapping() -> None:
    import torch
    from torch import nn

    assert one("spiral").status == "OK"
    assert "intel_spiral" not in sys.modules
    spec = parse_spec("mappings", "spiral:turns=2")
    assert spec.turns == 2.0
    assert str(spec) == "spiral:turns=2.0"
    assert "intel_spiral.mapping" not in sys.modules
    mapping = load_mapping("spiral:turns=2", y_dim=2)
    assert isinstance(mapping, Mapping)
    assert type(mapping).__mro__[1] is nn.Module
    z = mapping(torch.randn(5, 3, 2))
    assert z.shape == (5, 3, 2)
    assert load_mapping("spiral:dims=1-2", y_dim=4).z_dim == 4


@pytest.mark.usefixtures("spiral")
@pytest.mark.parametrize(
    ("text", "y_dim", "message"),
    [
        ("spiral:turn=2", 2, r"spiral has no key 'turn'; did you mean 'turns'\? \(keys: dims, turns\)"),
        ("spiral:turns=0", 2, r"spiral: turns=0: input should be greater than 0"),
        ("spiral:turns=2", 3, r"spiral:turns=2\.0: a spiral needs 2 dimensions, not 3"),
        ("spiral:dims=[0,1,2]", 4, r"spiral:dims=\[0,1,2\]: a spiral needs 2 dimensions, not 3"),
    ],
)
def test_a_stranger_s_mapping_is_refused_in_its_own_name(text: str, y_dim: int, message: str) -> None:
    with pytest.raises(SpecError, match=message):
        load_mapping(text, y_dim)


@pytest.mark.usefixtures("spiral")
def test_a_run_with_a_stranger_s_mapping_needs_it_again(site, tmp_path: Path) -> None:
    import torch

    from intel_core import fit, load_run

    x = torch.randn(100, 2, generator=torch.Generator().manual_seed(0))
    run = fit(mapping="spiral:turns=2", data=x, steps=5, run_dir=tmp_path / "run", device="cpu")
    assert {"kind": "mappings", "name": "spiral", "distribution": "intel-spiral", "version": "0.2"} in run.info[
        "components"
    ]
    assert torch.equal(load_run(tmp_path / "run").sample(7), run.sample(7))
    sys.path.remove(str(site.path))
    with pytest.raises(
        PluginError, match=r"needs mapping 'spiral' of intel-spiral 0\.2, which is not installed: pip in"
    ):
        load_run(tmp_path / "run").sample(7)
