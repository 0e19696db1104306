"""What all tests share: hypothesis profiles, and a folder of made-up distributions."""

import os
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

from intel_core import plugins

settings.register_profile("ci", derandomize=True, deadline=None)
settings.register_profile(
    "nightly", derandomize=False, deadline=None, max_examples=2000, suppress_health_check=[HealthCheck.too_slow]
)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "ci"))


class Site:
    """A folder that Python imports from, like site-packages, into which tests install what they need."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def add_dist(
        self,
        name: str,
        version: str = "1.0",
        entry_points: dict[str, dict[str, str]] | None = None,
        modules: dict[str, str] | None = None,
        *,
        folder: str = ".",
    ) -> Path:
        """Install a distribution; `folder` is a folder of its own on sys.path. Returns its dist-info folder."""
        root = (self.path / folder).resolve()
        info = root / f"{name.replace('-', '_')}-{version}.dist-info"
        info.mkdir(parents=True)
        if str(root) not in sys.path:
            sys.path.append(str(root))
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n")
        sections = [
            "\n".join([f"[{group}]", *(f"{key} = {value}" for key, value in entries.items())])
            for group, entries in (entry_points or {}).items()
        ]
        (info / "entry_points.txt").write_text("\n\n".join(sections) + "\n")
        for path, source in (modules or {}).items():
            (root / path).parent.mkdir(parents=True, exist_ok=True)
            (root / path).write_text(source)
        files = [*(modules or {}), *(f"{info.name}/{file}" for file in ("METADATA", "entry_points.txt", "RECORD"))]
        (info / "RECORD").write_text("".join(f"{file},,\n" for file in files))
        plugins.refresh()
        return info


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    folder = tmp_path / "site"
    folder.mkdir()
    path = list(sys.path)
    sys.path.append(str(folder))
    yield Site(folder)
    sys.path[:] = path
    for name, module in list(sys.modules.items()):
        if str(getattr(module, "__file__", None) or "").startswith(str(folder)):
            del sys.modules[name]
    plugins.refresh()


@pytest.fixture(autouse=True)
def _own_registrations(monkeypatch: pytest.MonkeyPatch) -> None:
    """What a test registers is forgotten after it."""
    monkeypatch.setattr(plugins, "_registered", dict(plugins._registered))


@pytest.fixture(autouse=True)
def _no_switches(monkeypatch: pytest.MonkeyPatch) -> None:
    """The switches of whoever runs the tests are not theirs."""
    for variable in (
        "INTEL_PLUGINS",
        "INTEL_DISABLE_PLUGINS",
        "INTEL_STRICT_PLUGINS",
        "INTEL_DATA_DIR",
        "INTEL_WORKERS",
    ):
        monkeypatch.delenv(variable, raising=False)
