"""What tests of damaged and crafted run directories share: runs to damage, and who carries out commands on them."""

from __future__ import annotations

import json
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from intel_core import fit, fit_replicates


@pytest.fixture(scope="session")
def originals(tmp_path_factory: pytest.TempPathFactory, stop_at: Any) -> Path:
    """A folder of runs, finished and interrupted, and of replicates, and beside it something precious."""
    root = tmp_path_factory.mktemp("originals")
    rng = np.random.default_rng(0)
    frame = pd.DataFrame(rng.normal(size=(60, 3)), columns=["a", "b", "c"])
    frame["label"] = np.array(["x", "y"])[rng.integers(2, size=60)]
    frame.to_csv(root / "t.csv", index=False)
    settings: dict[str, Any] = {
        "data": f"table:path={root / 't.csv'},label=label", "mapping": "cluster:k=2", "steps": 20, "batch_size": 10,
        "log_every": 7, "evaluate_every": 5, "save_every": 5, "encoder": "mlp:hidden=[6]", "device": "cpu",
    }  # fmt: skip
    run = fit(**settings, run_dir=root / "runs" / "good")
    run.measure("units", "likelihood:particles=3")
    fit(**settings, run_dir=root / "runs" / "stopped", hooks=[stop_at(13)])
    fit_replicates(2, **settings, run_dir=root / "runs" / "group")
    fit(**settings, run_dir=root / "precious" / "run", hooks=[stop_at(13)])
    (root / "precious" / "key").write_text("do not read, do not change\n")
    return root


FIRST = [
    *("runs", "sample runs/good -n 3 -o s.csv", "encode runs/good -o e.npz", "explore runs/good --no-browser"),
    *("report runs/good -o page.html", "show runs/good -o show.png", "compare runs/good runs/stopped"),
    *(
        "evaluate runs/good --metric units",
        "train --resume runs/stopped",
        "train --config runs/good/run.json --dry-run",
    ),
]
Ask = Callable[[Path, list[list[str]]], tuple[list[dict[str, Any]], str]]


@pytest.fixture(scope="session")
def ask(originals: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ask]:
    """Carries out commands in a folder, in a process of its own: the answers, and the signal that it has died of."""
    command = [sys.executable, str(Path(__file__).with_name("answering.py"))]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        questions, lines = process.stdin, process.stdout
        root = Path(shutil.copytree(originals, tmp_path_factory.mktemp("first") / "root", symlinks=True))
        first = [line.split() for line in FIRST]
        questions.write(json.dumps({"folder": str(root), "commands": first}) + "\n")

        def asked(folder: Path, commands: list[list[str]]) -> tuple[list[dict[str, Any]], str]:
            questions.write(json.dumps({"folder": str(folder), "commands": commands}) + "\n")
            questions.flush()
            answers: list[dict[str, Any]] = []
            for line in lines:
                content = json.loads(line)
                if "ended" in content:
                    return answers, signal.Signals(content["ended"]).name if content["ended"] else ""
                answers.append(content)
            raise AssertionError("who answers has died")

        yield asked
        questions.close()
