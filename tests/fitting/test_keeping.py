"""What a checkpoint vouches for is on the disk before it: the log lines up to its step."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from intel_core import fit
from intel_core.runs import checkpoint
from intel_core.runs.folder import RunFolder


def test_every_line_reaches_the_disk_before_the_checkpoint_of_its_step(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    done: list[str] = []

    def told(home: Any, name: str, word: str) -> None:
        real = getattr(home, name)

        def call(*arguments: Any) -> Any:
            done.append(word)
            return real(*arguments)

        monkeypatch.setattr(home, name, call)

    told(RunFolder, "append", "line")
    told(RunFolder, "sync_log", "sync")
    told(checkpoint, "save", "save")
    x = torch.randn(60, 3, generator=torch.Generator().manual_seed(0))
    settings: dict[str, Any] = {"steps": 20, "log_every": 4, "evaluate_every": 10, "save_every": 5, "device": "cpu"}
    fit(data=x, encoder="mlp:hidden=[4]", run_dir=tmp_path / "run", **settings)
    assert done.count("save") == 4
    for index, word in enumerate(done):
        if word == "save":
            assert done[index - 1] == "sync"
