"""What plugins may do during a run, and what happens when they fail."""

import warnings
from pathlib import Path
from typing import Any

import pytest
import torch

from intel_core import PluginError, SpecError, fit, hookimpl, resume
from intel_core.fitting.hook_plugins import make_hooks
from intel_core.training.hooks import RunHooks

X = torch.randn(100, 2, generator=torch.Generator().manual_seed(0))
HOOKS = [moment for moment in vars(RunHooks) if not moment.startswith("_") and moment != "diverged"]
"""The moments of every run; one that diverges has tests of its own."""

RUDE = """
from intel_core import hookimpl

calls = []

@hookimpl
def run_start(trainer):
    calls.append("run_start")

@hookimpl
def step_end(trainer):
    calls.append("step_end")
    if trainer.step == 3:
        raise RuntimeError("enough of this")

@hookimpl
def run_end(trainer):
    calls.append("run_end")
"""

POLITE = """
from intel_core import hookimpl

calls = []

@hookimpl
def logged(record):
    calls.append(record["step"])
"""


def train(tmp_path: Path, *hooks: object, **settings: Any):
    options = {"steps": 12, "log_every": 4, "evaluate_every": 6, "batch_size": 20, "device": "cpu"} | settings
    return fit(mapping="identity", data=X, run_dir=tmp_path / "run", hooks=hooks, **options)


def add_hooks(site, name: str, source: str | None, **groups: dict[str, str]) -> str:
    package = name.replace("-", "_")
    entries = {"intelvae.hooks": {"watch": package}} | groups
    site.add_dist(name, entry_points=entries, modules={} if source is None else {f"{package}.py": source})
    return package


def calls_of(package: str) -> list[Any]:
    return __import__(package).calls


class Witness:
    """Writes down every call."""

    def __init__(self) -> None:
        self.calls: list[tuple[str, int]] = []
        self.records: list[dict[str, Any]] = []
        self.paths: list[Path] = []

    @hookimpl
    def run_start(self, trainer) -> None:
        self.calls.append(("run_start", trainer.step))

    @hookimpl
    def step_end(self, trainer) -> None:
        self.calls.append(("step_end", trainer.step))

    @hookimpl
    def logged(self, trainer, record) -> None:
        self.calls.append(("logged", trainer.step))
        self.records.append(record)

    @hookimpl
    def evaluated(self, record, trainer) -> None:
        self.calls.append(("evaluated", trainer.step))
        self.records.append(record)

    @hookimpl
    def saved(self, path, trainer) -> None:
        self.calls.append(("saved", trainer.step))
        self.paths.append(Path(path))
        assert (Path(path) / "state.json").is_file()

    @hookimpl
    def run_end(self, trainer) -> None:
        self.calls.append(("run_end", trainer.step))


# --- the caller's own objects ----------------------------------------------------------------------------------


def test_hooks_are_called_at_their_moments(tmp_path: Path) -> None:
    witness = Witness()
    run = train(tmp_path, witness)
    expected = [("run_start", 0)]
    for step in range(1, 13):
        expected.append(("step_end", step))
        expected += [("logged", step)] if step % 4 == 0 else []
        expected += [("evaluated", step), ("saved", step)] if step % 6 == 0 else []
    assert witness.calls == [*expected, ("run_end", 12)]
    assert witness.records == run.records()
    assert [record["kind"] for record in witness.records] == ["train", "validation", "train", "train", "validation"]
    assert [path.name for path in witness.paths] == ["step-0000000006", "step-0000000012"]
    assert {path.parent for path in witness.paths} == {run.path / "checkpoints"}


def test_a_hook_takes_only_the_arguments_it_needs(tmp_path: Path) -> None:
    class Frugal:
        seen = 0

        @hookimpl
        def logged(self, record) -> None:
            self.seen += record["step"]

        @hookimpl
        def run_end(self) -> None:
            self.seen *= 1000

    frugal = Frugal()
    train(tmp_path, frugal)
    assert frugal.seen == (4 + 8 + 12) * 1000


def test_hooks_do_not_change_the_run(tmp_path: Path) -> None:
    with_hooks = train(tmp_path / "a", Witness())
    without = train(tmp_path / "b")
    assert torch.equal(with_hooks.sample(20), without.sample(20))


def test_several_objects_are_all_called(tmp_path: Path) -> None:
    witnesses = [Witness(), Witness()]
    train(tmp_path, *witnesses)
    assert witnesses[0].calls == witnesses[1].calls != []


def test_a_hook_may_stop_the_run(tmp_path: Path) -> None:
    class Stopper:
        @hookimpl
        def step_end(self, trainer) -> None:
            if trainer.step == 5:
                trainer.stop("seen enough")

    witness = Witness()
    run = train(tmp_path, Stopper(), witness)
    assert (run.metrics["step"], run.metrics["stop_reason"]) == (5, "seen enough")
    assert run.status == "finished"
    assert witness.calls[-1] == ("run_end", 5)
    assert ("step_end", 6) not in witness.calls
    assert run.sample(3).shape == (3, 2)


def test_a_hook_may_stop_the_run_at_its_start(tmp_path: Path) -> None:
    class Stopper:
        @hookimpl
        def run_start(self, trainer) -> None:
            trainer.stop("not today")

    run = train(tmp_path, Stopper())
    assert (run.metrics["step"], run.metrics["stop_reason"]) == (0, "not today")


@pytest.mark.parametrize("moment", HOOKS)
def test_an_exception_of_the_caller_s_own_hook_is_the_caller_s(tmp_path: Path, moment: str) -> None:
    class Failing:
        pass

    def fail(self) -> None:
        raise LookupError(f"mine, in {moment}")

    fail.__name__ = moment
    setattr(Failing, moment, hookimpl(fail))
    with pytest.raises(LookupError, match=f"mine, in {moment}"):
        train(tmp_path, Failing(), restarts=2)


@pytest.mark.parametrize(
    ("name", "hint"),
    [
        ("step_ended", "; did you mean 'step_end'?"),
        ("xyzzy", "; hooks: diverged, evaluated, logged, run_end, run_start"),
    ],
)
def test_an_unknown_hook(name: str, hint: str) -> None:
    odd = type("Odd", (), {name: hookimpl(lambda self: None)})()
    with pytest.raises(PluginError) as caught:
        make_hooks([Witness(), odd], installed=False)
    assert str(caught.value).startswith(f"Odd-1 implements unknown hook {name!r}{hint}")


def test_an_unknown_argument() -> None:
    class Odd:
        @hookimpl
        def logged(self, recrod) -> None: ...

    said = (
        r"^hooks: Odd\.logged takes unknown argument 'recrod'; did you mean 'record'\? \(arguments: record, trainer\)$"
    )
    with pytest.raises(PluginError, match=said):
        make_hooks([Odd()], installed=False)


def test_arguments_that_pluggy_leaves_alone_are_none_of_ours() -> None:
    class Lenient:
        @hookimpl
        def logged(self, record, mine=3, *, own=None) -> None: ...

        @hookimpl(specname="evaluated")
        def judged(self, trainer) -> None: ...

    assert make_hooks([Lenient()], installed=False).get_plugins()


def test_an_object_without_hooks() -> None:
    class Forgotten:
        def logged(self, record) -> None: ...

    with pytest.raises(PluginError, match=r"Forgotten-0 is no hook plugin: nothing in it is marked .*hookimpl"):
        make_hooks([Forgotten()], installed=False)


def test_one_object_twice() -> None:
    witness = Witness()
    with pytest.raises(PluginError, match="Witness-1 is given twice"):
        make_hooks([witness, witness], installed=False)


# --- installed plugins -----------------------------------------------------------------------------------------


def test_an_installed_plugin_is_called(site, tmp_path: Path) -> None:
    package = add_hooks(site, "polite-hooks", POLITE)
    train(tmp_path)
    assert calls_of(package) == [4, 8, 12]


def test_an_installed_object_is_called(site, tmp_path: Path) -> None:
    source = """
    from intel_core import hookimpl
    calls = []
    class Watcher:
        @hookimpl
        def logged(self, trainer, record):
            calls.append((trainer.step, record["step"]))
    watcher = Watcher()
    """
    add_hooks(
        site, "object-hooks", source.replace("\n    ", "\n"), **{"intelvae.hooks": {"watch": "object_hooks:watcher"}}
    )
    train(tmp_path)
    assert calls_of("object_hooks") == [(4, 4), (8, 8), (12, 12)]


def test_a_plugin_that_raises_is_reported_and_not_called_again(site, tmp_path: Path) -> None:
    rude, polite = add_hooks(site, "rude-hooks", RUDE), add_hooks(site, "polite-hooks", POLITE)
    with pytest.warns(
        UserWarning, match=r"^hook plugin rude-hooks/watch raised RuntimeError in step_end: enough of"
    ) as w:
        run = train(tmp_path)
    assert len(w) == 1
    assert (run.status, run.metrics["step"]) == ("finished", 12)
    assert calls_of(rude) == ["run_start", "step_end", "step_end", "step_end"]
    assert calls_of(polite) == [4, 8, 12]


@pytest.mark.promptly(
    "RuntimeError-run_start",
    "RuntimeError-step_end",
    "RuntimeError-logged",
    "RuntimeError-evaluated",
    "RuntimeError-saved",
    "RuntimeError-run_end",
    "SystemExit-run_start",
    "SystemExit-step_end",
    "SystemExit-logged",
    "SystemExit-evaluated",
    "SystemExit-saved",
    "SystemExit-run_end",
    "MemoryError-step_end",
    "RecursionError-step_end",
)
@pytest.mark.parametrize("moment", [moment for moment in HOOKS if moment != "tried"])
@pytest.mark.parametrize("error", ["SystemExit", "RuntimeError", "AssertionError", "MemoryError", "RecursionError"])
def test_a_plugin_that_raises_anywhere_does_not_lose_the_run(site, tmp_path: Path, moment: str, error: str) -> None:
    source = f"from intel_core import hookimpl\n@hookimpl\ndef {moment}():\n    raise {error}('leave')\n"
    add_hooks(site, "leaving-hooks", source)
    with pytest.warns(UserWarning, match=f"^hook plugin leaving-hooks/watch raised {error} in {moment}: leave"):
        run = train(tmp_path)
    assert (run.status, run.metrics["step"]) == ("finished", 12)


@pytest.mark.promptly(
    "KeyboardInterrupt-run_start",
    "KeyboardInterrupt-step_end",
    "KeyboardInterrupt-logged",
    "KeyboardInterrupt-evaluated",
    "KeyboardInterrupt-saved",
    "KeyboardInterrupt-run_end",
    "SystemExit-step_end",
    "GeneratorExit-step_end",
)
@pytest.mark.parametrize("moment", [moment for moment in HOOKS if moment != "tried"])
@pytest.mark.parametrize("error", [KeyboardInterrupt, SystemExit, GeneratorExit])
def test_a_run_that_a_hook_ends_goes_on_as_if_nothing_had_been(
    site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, moment: str, error: type[BaseException]
) -> None:
    """A plugin's KeyboardInterrupt is the user's; the other two come from the caller's own object."""

    def fail(self) -> None:
        raise error("now")

    fail.__name__ = moment
    if error is KeyboardInterrupt:
        source = f"from intel_core import hookimpl\n@hookimpl\ndef {moment}():\n    raise KeyboardInterrupt\n"
        add_hooks(site, "interrupting-hooks", source)
        hooks: list[object] = []
    else:
        hooks = [type("Failing", (), {moment: hookimpl(fail)})()]
    with pytest.raises(error):
        train(tmp_path, *hooks)
    if error is KeyboardInterrupt:
        monkeypatch.setenv("INTEL_DISABLE_PLUGINS", "interrupting-hooks")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of a run that begins again
        run = resume(tmp_path / "run", data=X)
    assert run.status == "finished"
    assert torch.equal(run.sample(20), train(tmp_path / "whole").sample(20))


def test_a_plugin_s_failure_is_forgotten_by_the_next_run(site, tmp_path: Path) -> None:
    package = add_hooks(site, "rude-hooks", RUDE)
    for name in "ab":
        with pytest.warns(UserWarning, match="rude-hooks/watch raised"):
            train(tmp_path / name)
    assert calls_of(package).count("step_end") == 6


def test_a_plugin_may_end_the_run_with_an_error_of_the_user_s(site, tmp_path: Path) -> None:
    source = RUDE.replace("RuntimeError", "SpecError").replace("import hookimpl", "import SpecError, hookimpl")
    add_hooks(site, "strict-hooks", source)
    with pytest.raises(SpecError, match="enough of this"):
        train(tmp_path)


BROKEN = {
    "missing": (None, "ModuleNotFoundError: No module named 'broken_hooks'"),
    "syntax": ("def (", "SyntaxError: invalid syntax"),
    "raises": ("raise RuntimeError('at import')", "RuntimeError: at import"),
    "unknown": (POLITE.replace("def logged", "def log"), "implements unknown hook 'log'; did you mean 'logged'?"),
    "argument": (POLITE.replace("record)", "recrod)"), "unknown argument 'recrod'; did you mean 'record'?"),
    "unmarked": (POLITE.replace("@hookimpl", ""), "nothing in it is marked with intel_core.hookimpl"),
}


@pytest.mark.parametrize(("source", "cause"), BROKEN.values(), ids=BROKEN)
def test_a_plugin_that_cannot_be_loaded_is_left_out(site, tmp_path: Path, source: str | None, cause: str) -> None:
    add_hooks(site, "broken-hooks", source)
    polite = add_hooks(site, "polite-hooks", POLITE)
    with pytest.warns(UserWarning, match=r"^hook plugin broken-hooks/watch is BROKEN \(.*left out$") as caught:
        run = train(tmp_path)
    assert len(caught) == 1
    assert cause in str(caught[0].message)
    assert run.status == "finished"
    assert calls_of(polite) == [4, 8, 12]


@pytest.mark.parametrize(("source", "cause"), BROKEN.values(), ids=BROKEN)
def test_a_plugin_that_cannot_be_loaded_is_an_error_where_that_is_wanted(
    site, monkeypatch: pytest.MonkeyPatch, source: str | None, cause: str
) -> None:
    add_hooks(site, "broken-hooks", source)
    monkeypatch.setenv("INTEL_STRICT_PLUGINS", "1")
    with pytest.raises(PluginError, match="hook plugin broken-hooks/watch is BROKEN") as caught:
        make_hooks()
    assert cause in str(caught.value)


def test_a_plugin_of_a_later_api_is_not_imported(site) -> None:
    package = add_hooks(site, "late-hooks", "raise SystemExit", **{"intelvae.api": {"2": "late_hooks"}})
    with pytest.warns(UserWarning, match=rf"{package[:4]}-hooks/watch is BROKEN .*needs plugin API 2"):
        make_hooks()


def test_a_disabled_plugin_is_not_imported(site, monkeypatch: pytest.MonkeyPatch) -> None:
    add_hooks(site, "rude-hooks", "raise SystemExit")
    monkeypatch.setenv("INTEL_DISABLE_PLUGINS", "rude-hooks")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        make_hooks()


def test_two_plugins_of_one_name_are_both_called(site, tmp_path: Path) -> None:
    packages = [add_hooks(site, "first-hooks", POLITE), add_hooks(site, "second-hooks", POLITE)]
    train(tmp_path)
    assert [calls_of(package) for package in packages] == [[4, 8, 12], [4, 8, 12]]
