"""Does the worked example work as a stranger's plugin would: built, installed beside the core's wheel, and used?"""

import sys
import textwrap
from pathlib import Path

import pytest
import torch

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

ROOT = Path(__file__).parents[2]
TREFOIL = ROOT / "docs" / "examples" / "intelvae-trefoil"
INSTALLED = (ROOT, ROOT / "plugins" / "conformance", TREFOIL)

FOUND = """
    import sys
    from intel_core import available
    import intel_core, intel_trefoil
    for package in (intel_core, intel_trefoil):
        assert package.__file__.startswith(sys.prefix), package.__file__
    assert [(c.name, c.distribution, c.api, c.status) for c in available("mappings")] == [
        ("given", "intelvae-core", 1, "OK"), ("identity", "intelvae-core", 1, "OK"),
        ("trefoil", "intelvae-trefoil", 1, "OK")]
    assert "torch" not in sys.modules
    """

CHECKED = """
    from intel_conformance import check_mapping
    report = check_mapping("trefoil:eps=0.2", level="quick")
    report.raise_if_failed()
    print(report.ran, report.y_dim, report.z_dim)
    """

TRAINED = """
    import torch
    from intel_core import fit, load_run
    x = torch.randn(200, 3, generator=torch.Generator().manual_seed(0))
    run = fit(mapping="trefoil", data=x, steps=30, latent=2, run_dir="run", device="cpu")
    assert run.status == "finished"
    again = load_run("run")
    assert str(again.spec.mapping[0]) == "trefoil"
    assert torch.equal(again.sample(50), run.sample(50))
    assert all(a.shape == (200, n) for a, n in zip(again.encode(x), (2, 2, 2, 3, 3), strict=False))
    """


@pytest.mark.slow
def test_it_installs_beside_the_core(wheel_of, environment) -> None:
    environment.install(*map(wheel_of, INSTALLED))
    code = textwrap.dedent(FOUND) + textwrap.dedent(CHECKED) + textwrap.dedent(TRAINED)
    ran, y_dim, z_dim = environment.python("-W", "error::UserWarning", "-c", code).split()
    assert int(ran) > 25
    assert (y_dim, z_dim) == ("2", "3")


@pytest.mark.slow
def test_its_own_tests_pass(wheel_of, environment) -> None:
    environment.install(*map(wheel_of, INSTALLED))
    words = [
        "-m",
        "pytest",
        "-q",
        "-p",
        "no:cacheprovider",
        "-c",
        str(TREFOIL / "pyproject.toml"),
        str(TREFOIL / "tests"),
    ]
    last = environment.python(*words).splitlines()[-1]
    assert " passed" in last
    assert "failed" not in last


def test_it_is_what_the_command_writes_but_for_the_mapping() -> None:
    """The example begins with `intel plugins new`, so that it cannot fall behind."""
    commands = pytest.importorskip("intel_cli.commands.new_plugin")
    begun = commands.project_files("trefoil", author="the InteL-VAE authors")
    own = {"README.md", "intel_trefoil/spec.py", "intel_trefoil/mapping.py", "tests/test_trefoil.py", "pyproject.toml"}
    for path, text in begun.items():
        found = (TREFOIL / path).read_text(encoding="utf-8")
        if path not in own and path != "LICENSE":  # the year
            assert found == text, path
    there, here = (tomllib.loads(text) for text in (begun["pyproject.toml"], (TREFOIL / "pyproject.toml").read_text()))
    here["project"]["description"] = there["project"]["description"]
    assert here == there


def test_on_the_circle_it_is_the_trefoil(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(TREFOIL)
    from intel_trefoil import TrefoilSpec

    t = torch.linspace(-3, 3, 101, dtype=torch.float64)
    z = TrefoilSpec(eps=1e-6).build(2)(torch.stack([torch.cos(t), torch.sin(t)], -1))
    knot = [torch.sin(t) + 2 * torch.sin(2 * t), torch.cos(t) - 2 * torch.cos(2 * t), -torch.sin(3 * t)]
    torch.testing.assert_close(z, torch.stack(knot, -1), atol=1e-9, rtol=0)


def test_four_points_meet_at_the_origin(monkeypatch: pytest.MonkeyPatch) -> None:
    """|w| = 1/2 where ‖y‖ = eps / sqrt(3)."""
    monkeypatch.syspath_prepend(TREFOIL)
    from intel_trefoil import TrefoilSpec

    angle = 2 * torch.pi * torch.arange(3, dtype=torch.float64) / 3
    y = torch.stack([torch.cos(angle), torch.sin(angle)], -1) * 0.3 / 3**0.5
    z = TrefoilSpec(eps=0.3).build(2)(torch.cat([y, torch.zeros(1, 2, dtype=torch.float64)]))
    assert float(z.abs().max()) < 1e-15
