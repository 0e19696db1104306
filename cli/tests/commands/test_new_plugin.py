"""Is what `intel plugins new` writes whole: installable, typed, tested, and passing its own tests as it is?"""

import json
import sys
from pathlib import Path

import pytest
from intel_cli.commands.new_plugin import project_files

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

ROOT = Path(__file__).parents[3]
FILES = {
    ".github/workflows/test.yml",
    ".gitignore",
    "LICENSE",
    "README.md",
    "intel_spiral/__init__.py",
    "intel_spiral/mapping.py",
    "intel_spiral/py.typed",
    "intel_spiral/spec.py",
    "pyproject.toml",
    "tests/test_spiral.py",
}
LONG = "a_name_as_long_as_a_name_can_b"


def written(folder: Path) -> dict[str, str]:
    files = [path for path in folder.rglob("*") if path.is_file()]
    return {str(path.relative_to(folder).as_posix()): path.read_text(encoding="utf-8") for path in files}


@pytest.fixture
def spiral(ok, here: Path) -> Path:
    ok("plugins", "new", "spiral")
    return here / "intelvae-spiral"


@pytest.fixture
def project(spiral: Path) -> Path:
    return spiral


# --- what is written -------------------------------------------------------------------------------------------


def test_all_files_are_there(ok, here, spiral):
    files = written(spiral)
    assert set(files) == FILES
    assert [path for path, text in files.items() if not text.endswith("\n")] == ["intel_spiral/py.typed"]
    assert [item.name for item in here.iterdir()] == ["intelvae-spiral"]
    marked = {path for path, text in files.items() if "# CHANGE" in text}
    assert marked == {"intel_spiral/spec.py", "intel_spiral/mapping.py", "tests/test_spiral.py"}
    assert files == project_files("spiral")


def test_the_project_is_described(spiral):
    described = tomllib.loads((spiral / "pyproject.toml").read_text(encoding="utf-8"))
    project = described["project"]
    assert project["name"] == "intelvae-spiral"
    assert project["dependencies"] == ["intelvae-core>=0.1"]
    assert project["license"] == "MIT"
    assert "authors" not in project
    assert project["entry-points"] == {
        "intelvae.mappings": {"spiral": "intel_spiral.spec:SpiralSpec"},
        "intelvae.api": {"1": "intel_spiral"},
    }
    assert project["optional-dependencies"]["test"] == ["intelvae-conformance[testing]>=0.1"]


def test_a_name_of_several_words(ok, here):
    ok("plugins", "new", "my_map2", "--dir", "deep/down")
    files = written(here / "deep" / "down" / "intelvae-my-map2")
    assert {"intel_my_map2/spec.py", "tests/test_my_map2.py"} <= set(files)
    assert "class MyMap2Spec(MappingSpec)" in files["intel_my_map2/spec.py"]
    assert 'my_map2 = "intel_my_map2.spec:MyMap2Spec"' in files["pyproject.toml"]
    assert not [path for path, text in files.items() if "spiral:" in text or "Spiral" in text]


@pytest.mark.parametrize(
    ("licence", "first", "last"),
    [
        ("MIT", "MIT License", "SOFTWARE."),
        ("Apache-2.0", "Apache License", "limitations under the License."),
        ("BSD-3-Clause", "BSD 3-Clause License", "SUCH DAMAGE."),
    ],
)
def test_licences(licence, first, last):
    files = project_files("spiral", licence, 'Ada "Countess" Lovelace', year=1843)
    text = files["LICENSE"].strip()
    assert text.splitlines()[0].strip() == first
    assert text.endswith(last)
    (line,) = [line for line in text.splitlines() if "1843" in line]
    assert line.strip().startswith("Copyright ")
    assert line.endswith(' Ada "Countess" Lovelace')
    project = tomllib.loads(files["pyproject.toml"])["project"]
    assert (project["license"], project["license-files"]) == (licence, ["LICENSE"])
    assert project["authors"] == [{"name": 'Ada "Countess" Lovelace'}]
    assert f"{licence}, see" in files["README.md"]


def test_no_licence():
    files = project_files("spiral", "none")
    assert set(files) == FILES - {"LICENSE"}
    assert "license" not in tomllib.loads(files["pyproject.toml"])["project"]
    assert "icence" not in files["README.md"]


def test_steps_that_follow(ok, call, here):
    lines = ok("plugins", "new", "spiral").stdout.partition("Next:\n")[2].splitlines()
    steps = [line.partition("  #")[0].strip() for line in lines]
    assert steps[0] == "cd intelvae-spiral"
    assert steps[1] == "pip install -e '.[test]'"
    assert steps[2] == "pytest"
    for step in steps[3:]:
        command, *args = step.split()
        assert command == "intel"
        assert call(args[0], "--help").exit_code == 0
        known = ok(args[0], "--help").stdout
        assert not [arg for arg in args if arg.startswith("--") and arg not in known]


def test_json(ok, here):
    made = json.loads(ok("plugins", "new", "spiral", "--json").stdout)
    assert set(made) == {"name", "kind", "distribution", "package", "path", "files", "next"}
    assert set(made["files"]) == FILES
    assert made["path"] == "intelvae-spiral"


# --- what is refused -------------------------------------------------------------------------------------------

NONSENSE = {
    "dash": (["my-map"], "did you mean 'my_map'?"),
    "capitals": (["MyMap"], "did you mean 'my_map'?"),
    "accent": (["möbius"], "did you mean 'mobius'?"),
    "digit": (["2d"], "a letter first"),
    "empty": ([""], "lower-case letters"),
    "path": (["../up"], "did you mean 'up'?"),
    "newline": (["a\nb"], "did you mean 'a_b'?"),
    "keyword": (["class"], "has a meaning already"),
    "soft keyword": (["match"], "has a meaning already"),
    "the base class": (["mapping"], "has a meaning already"),
    "yaml": (["null"], "has a meaning already"),
    "intel": (["intel"], "stands before it anyway"),
    "prefix": (["intel_spiral"], "did you mean 'spiral'?"),
    "distribution": (["intelvae-spiral"], "did you mean 'spiral'?"),
    "long": (["a" * 5000], "it has 5000 characters"),
    "mapping of another": (["halves"], "toys 1.2 has a mapping of that name"),
    "identity": (["identity"], "intelvae-core"),
    "core": (["core"], "intelvae-core"),
    "command": (["cli"], "intelvae-cli"),
    "licence": (["spiral", "--license", "GPL"], "'GPL' is not one of"),
    "author": (["spiral", "--author", "a\nb"], "no author's name"),
    "nobody": (["spiral", "--author", " "], "no author's name"),
    "nothing": ([], "Missing argument"),
}


@pytest.mark.parametrize("case", NONSENSE, ids=str)
def test_nonsense(refused, case):
    args, expected = NONSENSE[case]
    (line,) = refused("plugins", "new", *args, says=expected)
    assert len(line) < 250


def test_an_error_as_json(call, here):
    result = call("plugins", "new", "my-map", "--json")
    assert result.exit_code == 2
    assert "my_map" in json.loads(result.stdout)["error"]


def test_a_package_of_that_name_is_not_hidden(call, here, monkeypatch):
    (here / "intel_taken").mkdir()
    (here / "intel_taken" / "__init__.py").touch()
    monkeypatch.syspath_prepend(here)
    result = call("plugins", "new", "taken")
    assert result.exit_code == 2
    assert "a package intel_taken is installed" in result.stderr


@pytest.mark.parametrize("kind", ["folder", "full folder", "file", "dangling link"])
def test_nothing_is_overwritten(call, here, kind):
    target = here / "intelvae-spiral"
    if kind == "file":
        target.write_text("mine")
    elif kind == "dangling link":
        target.symlink_to(here / "nowhere")
    else:
        target.mkdir()
        if kind == "full folder":
            (target / "mine").write_text("mine")
    before = sorted(here.rglob("*"))
    result = call("plugins", "new", "spiral")
    assert result.exit_code == 2
    assert "is there already" in result.stderr
    assert sorted(here.rglob("*")) == before


def test_a_place_that_is_no_folder(call, here):
    (here / "file").write_text("mine")
    result = call("plugins", "new", "spiral", "--dir", "file")
    assert result.exit_code == 2
    assert "cannot be written" in result.stderr


def test_half_a_project_is_never_left(call, here, monkeypatch):
    def full(self, *args, **kwargs):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "write_text", full)
    result = call("plugins", "new", "spiral")
    assert result.exit_code == 5
    assert "No space left on device" in result.stderr
    assert not list(here.iterdir())


# --- what it is worth ------------------------------------------------------------------------------------------


def test_the_spec_is_light(spiral, installed, python):
    code = "import sys, intel_spiral, intel_spiral.spec; print('torch' in sys.modules)"
    assert python(spiral.parent, "-c", code, env=installed) == "False\n"
    listed = python(spiral.parent, "-m", "intel_cli", "plugins", "list", "mappings", "--json", env=installed)
    (entry,) = [entry for entry in json.loads(listed) if entry["name"] == "spiral"]
    assert entry["status"] == "OK"
    assert entry["summary"] == "The plane, flattened to a band and wound into a spiral with two arms."


@pytest.mark.parametrize("name", ["spiral", LONG])
def test_lint(ok, here, name, python):
    ok("plugins", "new", name)
    (project,) = here.iterdir()
    python(project, "-m", "ruff", "check", "--no-cache", ".")
    python(project, "-m", "ruff", "format", "--no-cache", "--check", ".")


@pytest.mark.slow
def test_types(spiral, python):
    """Its cache, which holds torch, is kept between runs."""
    found = python(spiral, "-m", "mypy", "--cache-dir", str(ROOT / ".mypy_cache" / "new_plugin"))
    assert "no issues found in 3 source files" in found


def test_its_own_tests_pass_but_the_long_ones(spiral, installed, forked):
    """Those that take seconds are left to the test below."""
    words = ["-m", "pytest", "-q", "-p", "no:cacheprovider", "-k", "conformance and not inequality and not compile"]
    process = forked(*words, cwd=spiral, env=installed)
    printed, errors = process.communicate()
    assert process.returncode == 0, printed + errors
    last = printed.strip().splitlines()[-1]
    assert " passed" in last
    assert "failed" not in last


@pytest.mark.slow
def test_its_own_tests_pass_where_it_is_installed(ok, here, wheel_of, environment, python):
    name = "my_map"
    ok("plugins", "new", name)
    (project,) = here.glob("intelvae-*")
    ours = (ROOT, ROOT / "plugins" / "conformance", ROOT / "cli", project)
    environment.install(*(wheel_of(folder) for folder in ours))
    code = f"import intel_core, intel_{name}; print(intel_core.__file__, intel_{name}.__file__)"
    assert environment.python("-c", code).count(str(environment.place)) == 2
    last = environment.python("-m", "pytest", "-q", "-p", "no:cacheprovider", cwd=project).splitlines()[-1]
    assert " passed" in last
    assert "failed" not in last
    assert f"{name} " in environment.python("-m", "intel_cli", "plugins", "list", "mappings")
