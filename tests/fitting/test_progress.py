"""Is the progress of a training from Python shown where somebody sees it, and nowhere else?"""

from __future__ import annotations

import gc
import io
import sys
import types
from pathlib import Path
from typing import Any

import pytest
import torch

from intel_core import IntelError, SpecError, StopReason, fit, fit_replicates, hookimpl, resume, resume_replicates
from intel_core.fitting.progress import ProgressLine, progress_hooks


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


class StopsAt10:
    @hookimpl
    def logged(self, trainer: Any) -> None:
        if trainer.step == 10:
            trainer.stop(StopReason("signal TEST", "signal"))


class Fails:
    @hookimpl
    def step_end(self) -> None:
        raise SpecError("no more")


def trained(folder: Path, **more: Any) -> Any:
    x = torch.randn(60, 2, generator=torch.Generator().manual_seed(0))
    return fit(data=x, steps=100, log_every=50, evaluate_every=50, run_dir=folder, **more)


def test_a_terminal_sees_one_line_that_is_written_over(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shown = Terminal()
    monkeypatch.setattr(sys, "stderr", shown)
    trained(tmp_path / "run")
    said = shown.getvalue()
    assert said.startswith("\rstep 0 of 100")
    assert said.rstrip().endswith(" s")
    assert said.count("\n") == 1
    last = said.rpartition("\r")[2]
    assert "step 100 of 100, validation -" in last


@pytest.mark.parametrize(("progress", "lines"), [(True, True), (False, False), ("auto", False)])
def test_elsewhere_it_is_shown_on_request_only(
    progress: Any, lines: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shown = io.StringIO()
    monkeypatch.setattr(sys, "stderr", shown)
    trained(tmp_path / "run", progress=progress)
    assert bool(shown.getvalue()) == lines


def test_a_notebook_sees_it(monkeypatch: pytest.MonkeyPatch) -> None:
    shell = type("ZMQInteractiveShell", (), {})()
    monkeypatch.setitem(sys.modules, "IPython", types.SimpleNamespace(get_ipython=lambda: shell))
    monkeypatch.setattr(sys, "stderr", io.StringIO())
    assert [type(hook) for hook in progress_hooks("auto")] == [ProgressLine]
    monkeypatch.setitem(sys.modules, "IPython", types.SimpleNamespace(get_ipython=lambda: None))
    assert progress_hooks("auto") == []


def test_seeds_at_once_are_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shown = io.StringIO()
    monkeypatch.setattr(sys, "stderr", shown)
    x = torch.randn(60, 2, generator=torch.Generator().manual_seed(0))
    fit_replicates(2, data=x, steps=60, log_every=50, run_dir=tmp_path / "group", progress=True)
    assert shown.getvalue().count("\n") == 1
    assert "step 60 of 60" in shown.getvalue()


def test_another_word_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SpecError, match='expected True, False or "auto"'):
        trained(tmp_path / "run", progress="yes")
    assert not (tmp_path / "run").exists()


def test_numbers_do_not_hang_on_it(tmp_path: Path) -> None:
    shown, plain = trained(tmp_path / "a", progress=True), trained(tmp_path / "b", progress=False)
    assert all(torch.equal(v, plain.model.state_dict()[k]) for k, v in shown.model.state_dict().items())


def test_a_run_that_is_not_kept_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    x = torch.randn(60, 2, generator=torch.Generator().manual_seed(0))
    run = fit(data=x, steps=3, keep=False)
    assert run.encode(x).z.shape == (60, 2)
    assert run.records()
    folder = run.path
    assert folder.is_dir()
    del run
    gc.collect()
    assert not folder.exists()
    with pytest.raises(IntelError):
        fit(data=x, steps=3, keep=False, encoder="mlp:hidden=[8]", hooks=[Fails()])
    with pytest.raises(IntelError, match="no tracker is called 'nosuch'"):
        fit(data=x, steps=3, keep=False, track="nosuch")
    assert not list(tmp_path.iterdir())


def test_a_run_that_is_not_kept_has_no_directory_of_its_own(tmp_path: Path) -> None:
    with pytest.raises(SpecError, match="keep=False leaves no run directory; leave out run_dir="):
        trained(tmp_path / "run", keep=False)


@pytest.mark.parametrize(("progress", "lines"), [(True, True), (False, False), ("auto", False)])
@pytest.mark.parametrize("seeds", [1, 2])
def test_a_run_that_is_continued_shows_it_as_a_new_one(
    seeds: int, progress: Any, lines: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    x = torch.randn(60, 2, generator=torch.Generator().manual_seed(0))
    settings: dict[str, Any] = {"data": x, "steps": 20, "log_every": 5, "run_dir": tmp_path / "run", "progress": False}
    if seeds == 1:
        fit(**settings, hooks=[StopsAt10()])
    else:
        fit_replicates(seeds, **settings, watchers=[StopsAt10()])
    shown = io.StringIO()
    monkeypatch.setattr(sys, "stderr", shown)
    (resume if seeds == 1 else resume_replicates)(tmp_path / "run", data=x, progress=progress)
    assert bool(shown.getvalue()) == lines
    if lines:
        assert shown.getvalue().startswith("\rstep 10 of 20")
        assert "step 20 of 20" in shown.getvalue()
    with pytest.raises(SpecError, match="progress='yes'"):
        resume(tmp_path / "run" / ("" if seeds == 1 else "seed-0"), data=x, progress="yes")
