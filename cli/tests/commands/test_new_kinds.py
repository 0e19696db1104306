"""Is what `intel plugins new --kind` writes whole for every kind: linted, typed, listed, and passing its own tests?"""

import json
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
KINDS = (
    "prior",
    "posterior",
    "likelihood",
    "network",
    "dataset",
    "metric",
    "start",
    "tracker",
    "optimizer",
    "schedule",
)
each_kind = pytest.mark.parametrize("kind", KINDS)


@pytest.fixture
def project(ok, here: Path, kind: str) -> Path:
    ok("plugins", "new", "--kind", kind, "my_own")
    return here / "intelvae-my-own"


@each_kind
def test_it_is_linted_and_marked(project, kind, python):
    python(project, "-m", "ruff", "check", "--no-cache", ".")
    python(project, "-m", "ruff", "format", "--no-cache", "--check", ".")
    marked = [path for path in project.rglob("*.py") if "# CHANGE" in path.read_text(encoding="utf-8")]
    assert len(marked) >= 2
    texts = [path.read_text(encoding="utf-8") for path in project.rglob("*") if path.is_file()]
    assert not [text for text in texts if re.search(r"@[a-z_]+@", text)]


@pytest.mark.promptly("network", "dataset")
@each_kind
def test_it_is_listed_and_light(project, kind, installed, python):
    code = "import sys, intel_my_own, intel_my_own.spec; print('torch' in sys.modules)"
    assert python(project.parent, "-c", code, env=installed) == "False\n"
    listed = python(project.parent, "-m", "intel_cli", "plugins", "list", f"{kind}s", "--json", env=installed)
    (entry,) = [entry for entry in json.loads(listed) if entry["name"] == "my_own"]
    assert entry["status"] == "OK"
    assert entry["summary"].endswith(".")
    shown = python(project.parent, "-m", "intel_cli", "plugins", "show", f"{kind}:my_own", env=installed)
    assert shown.startswith(f"my_own  ({kind})")


@pytest.mark.promptly("dataset", "tracker", "optimizer")
@each_kind
def test_its_own_tests_pass(project, kind, installed, forked):
    process = forked("-m", "pytest", "-q", "-p", "no:cacheprovider", cwd=project, env=installed)
    printed, errors = process.communicate()
    assert process.returncode == 0, printed + errors
    last = printed.strip().splitlines()[-1]
    assert " passed" in last
    assert "failed" not in last


@pytest.mark.slow
@each_kind
def test_its_types(project, kind, python):
    assert "no issues found" in python(project, "-m", "mypy", "--cache-dir", str(ROOT / ".mypy_cache" / "new_plugin"))


@each_kind
def test_as_json(ok, here, kind):
    made = json.loads(ok("plugins", "new", "--kind", kind, "other", "--json").stdout)
    assert made["kind"] == kind
    assert f"intel_{'other'}/spec.py" in made["files"]


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["--kind", "prior", "standard"], "has a prior of that name"),
        (["--kind", "prior", "My-Prior"], "is no name for a prior"),
        (["--kind", "prio", "x"], "'prio' is not one of"),
        (["prior"], "has a meaning already"),
    ],
)
def test_nonsense(refused, words, says):
    refused("plugins", "new", *words, says=says)
