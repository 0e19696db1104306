"""What is wrong with settings is told before torch is imported, which takes several times as long as telling it."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

WRONG = (
    "train --mapping nonsense",
    "train --mapping cluster:k=banana",
    "train --latent 0",
    "train --steps -3",
    "train --steps 5 --epochs 5",
    "train --data nosuch",
    "train --data nosuch.csv",
    "train --prior mog:kk=3",
    "train --posterior gausian",
    "train --likelihood bernouli",
    "train --objective iwae:particles=0",
    "train --network nonsense",
    "train --track tensorbord",
    "train --schedule kl=nonsense",
    "train --start foo",
    "train --trial 0.5",
    "train --replicates 0",
    "train --config wrong.yaml",
    "train --config nosuch.yaml",
    "train --run-dir taken",
    "train --resume nosuch",
    "report nosuch",
    "report taken",
    "report nosuch -o nowhere/page.html",
    "compare nosuch neither",
    "compare nosuch --metric nonsense",
    "compare nosuch --markdown --json",
    "encode nosuch",
    "sample nosuch",
    "explore nosuch",
    "export nosuch",
    "push nosuch somewhere",
    "push nosuch ftp://somewhere",
    "evaluate nosuch",
    "evaluate nosuch --metric nonsense",
    "evaluate nosuch --from nonsense",
    "show mapping:nonsense",
    "show cluster:k=banana",
    "show prior:nonsense",
    "check nonsense",
    "check cluster:k=banana",
    "plugins show nonsense",
    "schema nonsense",
)
RUN = """
import contextlib, io, json, sys
from intel_cli.main import intel
told = {}
for text in json.loads(sys.argv[1]):
    with contextlib.redirect_stderr(io.StringIO()) as errors:
        try:
            intel(text.split(), prog_name="intel")
        except SystemExit as end:
            code = end.code
    heavy = [name for name in ("torch", "sklearn", "matplotlib") if name in sys.modules]
    told[text] = {"code": code, "said": errors.getvalue(), "imported": heavy}
    if heavy:
        break  # whichever follow would be blamed for it
print(json.dumps(told))
"""


@pytest.fixture(scope="module")
def told(tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict[str, object]]:
    """Of each command in a fresh process its exit code, what it says, and the large libraries imported by then."""
    folder = tmp_path_factory.mktemp("wrong")
    (folder / "wrong.yaml").write_text("steps: 10\nlaten: 3\n")
    (folder / "taken").mkdir()
    (folder / "taken" / "notes.txt").write_text("mine")
    done = subprocess.run(
        [sys.executable, "-c", RUN, json.dumps(WRONG)], cwd=folder, capture_output=True, text=True, check=True
    )
    found: dict[str, dict[str, object]] = json.loads(done.stdout.splitlines()[-1])
    return found


@pytest.mark.parametrize("command", WRONG)
def test_a_mistake_is_told_without_torch(told: dict[str, dict[str, object]], command: str) -> None:
    assert command in told, "an earlier command imported it"
    assert told[command]["imported"] == []
    assert told[command]["code"] in (2, 3)
    assert str(told[command]["said"]).startswith(("Error: ", "Usage: ")), told[command]["said"]


def test_the_taken_directory_is_left_as_it_is(tmp_path: Path) -> None:
    (tmp_path / "taken").mkdir()
    (tmp_path / "taken" / "notes.txt").write_text("mine")
    command = [sys.executable, "-m", "intel_cli.main", "train", "--run-dir", "taken"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert "already exists and is not empty" in done.stderr
    assert [path.name for path in tmp_path.rglob("*")] == ["taken", "notes.txt"]
