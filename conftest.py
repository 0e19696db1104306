"""What all tests share: one thread per process, hypothesis profiles, made-up distributions, and environments."""

import functools
import gc
import json
import os
import socket
import subprocess
import sys
import threading
import time
import venv
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

# On small tensors torch's threads would only fight over the cores; before anything imports torch.
os.environ.setdefault("OMP_NUM_THREADS", "1")
# And where a test asks for several, those that wait for each other leave the core to other workers.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

from hypothesis import HealthCheck, settings  # the variable comes first

from intel_core import StopReason, hookimpl
from intel_core.components import discovery as plugins
from intel_core.compute import heap


def _in_memory() -> str | None:
    """Where temporary files need not be waited for, as checkpoints on a disk are, if there is room for 4 GiB."""
    place = "/dev/shm"
    if sys.platform != "linux" or not os.access(place, os.W_OK):
        return None
    found = os.statvfs(place)
    return place if found.f_bavail * found.f_frsize > 2**32 and not found.f_flag & os.ST_NOEXEC else None


if (_place := _in_memory()) is not None:
    os.environ.setdefault("PYTEST_DEBUG_TEMPROOT", _place)

settings.register_profile("ci", derandomize=True, deadline=None, max_examples=60)
settings.register_profile("thorough", derandomize=True, deadline=None, max_examples=200)  # of `make test-all`
settings.register_profile(
    "nightly", derandomize=False, deadline=None, max_examples=2000, suppress_health_check=[HealthCheck.too_slow]
)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "ci"))


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Iterator[None]:
    """Thousands of tests are no garbage: none is looked for among them, neither now nor while they run."""
    gc.disable()
    try:
        return (yield)
    finally:
        gc.enable()
        gc.freeze()


@pytest.hookimpl(tryfirst=True)  # before what ``-m "not slow"`` leaves out is chosen
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Of a test with the mark ``promptly`` the cases that it names are run by ``make test``, the others are slow.

    ``promptly(every=3)`` names a third of those that are not slow already; of two parametrisations the cases lie on
    diagonals, so that each value of either is met.
    """
    cases: dict[tuple[Path, str], dict[str, Any]] = {}
    marks: dict[tuple[Path, str], pytest.Mark] = {}
    for item in items:
        if (mark := item.get_closest_marker("promptly")) is not None:
            test = (item.path, item.nodeid.partition("[")[0])
            case = item.nodeid.partition("[")[2][:-1]
            cases.setdefault(test, {})[case] = item
            marks[test] = mark
    for test, found in cases.items():
        named = prompt_cases(test[1], marks[test], found)
        if (missing := named - set(found)) and not any("::" in argument for argument in config.args):
            raise pytest.UsageError(f"{test[1]} has no case {sorted(missing)[0]!r}, which is to run promptly")
        for case, item in found.items():
            if case not in named:
                item.add_marker("slow")


def prompt_cases(test: str, mark: pytest.Mark, found: dict[str, Any]) -> set[str]:
    """The cases that a mark ``promptly`` names."""
    every = mark.kwargs.get("every")
    if bool(mark.args) == (every is not None) or set(mark.kwargs) - {"every"}:
        raise pytest.UsageError(f"{test}: promptly() takes names of cases, or every=3")
    if every is None:
        return set(mark.args)
    quick = {case: item for case, item in found.items() if item.get_closest_marker("slow") is None}
    indices = [item.callspec.indices for item in quick.values()]
    # Arguments that are parametrised together have one index, which counts once.
    columns = {tuple(of[name] for of in indices) for name in (indices[0] if indices else ())}
    if len(columns) == 1:
        return set(list(quick)[::every])
    return {case for case, *of in zip(quick, *columns, strict=True) if sum(of) % every == 0}


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
    """A folder of its own for made-up distributions, forgotten after the test."""
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


class StopAt:
    """A hook that interrupts a run at a step, as a signal would."""

    def __init__(self, step: int) -> None:
        self.step = step

    @hookimpl
    def step_end(self, trainer: Any) -> None:
        """Stop at the step."""
        if trainer.step == self.step:
            trainer.stop(StopReason("signal TEST", "signal"))


@pytest.fixture(scope="session")
def stop_at() -> type[StopAt]:
    """What interrupts a run at a step: ``hooks=[stop_at(13)]``."""
    return StopAt


@pytest.fixture(autouse=True)
def _freed_memory_kept() -> None:
    """A test does not wait for memory that the one before has returned to the system, unless for blocks of 64 MiB."""
    if (library := heap._glibc()) is not None:
        library.mallopt(-3, 64 * 2**20)  # M_MMAP_THRESHOLD
        library.mallopt(heap._TRIM_THRESHOLD, heap._NEVER)  # which the end of a run takes back


@pytest.fixture(autouse=True)
def _own_registrations(monkeypatch: pytest.MonkeyPatch) -> None:
    """What a test registers is forgotten after it."""
    monkeypatch.setattr(plugins, "registered", dict(plugins.registered))


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


@pytest.fixture(autouse=True)
def _torch_left_as_it_was() -> Iterator[None]:
    """A setting of torch that a test leaves behind would be met by those after it; a default device slows them too."""
    yield
    if (torch := sys.modules.get("torch")) is None or not hasattr(torch, "get_default_dtype"):
        return
    left = {
        "a default device, or another mode": torch._C._len_torch_function_stack(),
        f"the default dtype {torch.get_default_dtype()}": torch.get_default_dtype() != torch.float32,
        "no gradients": not torch.is_grad_enabled(),
        "the detection of anomalies": torch.is_anomaly_enabled(),
        "deterministic algorithms": torch.are_deterministic_algorithms_enabled(),
    }
    assert not any(left.values()), f"the test leaves behind: {[what for what, is_left in left.items() if is_left]}"


class Forked:
    """A process that was forked where torch is imported already; of `subprocess.Popen` what tests need of it."""

    def __init__(self, server: socket.socket, words: list[str], cwd: Path, env: dict[str, str], session: bool) -> None:
        self._server = server
        self.returncode: int | None = None
        pipes = [os.pipe() for _ in range(3)]
        asked = {"words": words, "cwd": str(cwd), "env": env, "session": session}
        socket.send_fds(server, [json.dumps(asked).encode()], [pipes[0][0], pipes[1][1], pipes[2][1]])
        self.pid: int = json.loads(server.recv(64))
        for file in (pipes[0][0], pipes[1][1], pipes[2][1]):
            os.close(file)
        self.stdin, self.stdout, self.stderr = (
            os.fdopen(file, mode) for file, mode in ((pipes[0][1], "w"), (pipes[1][0], "r"), (pipes[2][0], "r"))
        )

    def poll(self) -> int | None:
        """How it has ended, or None."""
        if self.returncode is None:
            self._server.send(json.dumps({"wait": self.pid}).encode())
            self.returncode = json.loads(self._server.recv(64))
        return self.returncode

    def wait(self, timeout: float = 240) -> int:
        """Wait for its end."""
        deadline = time.monotonic() + timeout
        while (code := self.poll()) is None:
            if time.monotonic() > deadline:
                raise subprocess.TimeoutExpired(str(self.pid), timeout)
            time.sleep(0.005)
        return code

    def send_signal(self, number: int) -> None:
        """Send it a signal, unless it has ended."""
        if self.poll() is None:
            os.kill(self.pid, number)

    def kill(self) -> None:
        """Kill it."""
        self.send_signal(9)

    def communicate(self, timeout: float = 240) -> tuple[str, str]:
        """What it still prints on both streams until its end."""
        said = ["", ""]

        def read(at: int, stream: Any) -> None:
            said[at] = stream.read()

        self.stdin.close()
        readers = [threading.Thread(target=read, args=one) for one in enumerate((self.stdout, self.stderr))]
        for reader in readers:
            reader.start()
        try:
            self.wait(timeout)
        except subprocess.TimeoutExpired:
            self.kill()
            raise
        finally:
            for reader in readers:
                reader.join(timeout)
            self.stdout.close()
            self.stderr.close()
        return said[0], said[1]


@pytest.fixture(scope="session")
def forked() -> Iterator[Callable[..., Any]]:
    """Begins ``python WORDS`` as `subprocess.Popen` does, with pipes, but without waiting for torch to be imported.

    ``forked(*words, cwd=…, env=…, start_new_session=…)``. Where nothing can be forked it is `subprocess.Popen`.
    """
    if sys.platform != "linux":

        def popen(*words: str, cwd: Path, env: dict[str, str] | None = None, start_new_session: bool = False) -> Any:
            pipes: Any = dict.fromkeys(("stdin", "stdout", "stderr"), subprocess.PIPE)
            options: Any = {"cwd": cwd, "env": env, "start_new_session": start_new_session, "text": True, **pipes}
            return subprocess.Popen([sys.executable, *words], **options)

        yield popen
        return
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    script = str(Path(__file__).parent / "tests" / "forking.py")
    process = subprocess.Popen(
        [sys.executable, script, str(theirs.fileno())], pass_fds=[theirs.fileno()], stdin=subprocess.DEVNULL
    )
    theirs.close()

    def fork(*words: str, cwd: Path, env: dict[str, str] | None = None, start_new_session: bool = False) -> Forked:
        return Forked(ours, list(words), cwd, dict(os.environ if env is None else env), start_new_session)

    yield fork
    ours.close()
    process.wait(timeout=60)


_PIP = ("-m", "pip", "--quiet", "--disable-pip-version-check")


def _build(project: Path, folder: Path) -> Path:
    """What ``pip wheel`` asks of the project's build backend, which is hatchling for all of them."""
    from hatchling.build import build_wheel

    assert 'build-backend = "hatchling.build"' in (project / "pyproject.toml").read_text(encoding="utf-8")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(project)
        return folder / build_wheel(str(folder))


class Environment:
    """A virtual environment with everything that is installed here but this project's own distributions.

    Args:
        folder: where it is made.
        name: of the environment in it.
    """

    def __init__(self, folder: Path, name: str = "venv") -> None:
        self.folder, self.place = folder, folder / name
        self.bin = self.place / "bin"
        venv.create(self.place, with_pip=False, symlinks=True)
        (site_packages,) = self.place.glob("lib/python*/site-packages")
        (site_packages / "seed.pth").write_text(f"{_seed(folder / 'seed')}\n")

    def pip(self, *arguments: str) -> None:
        """Run pip on this environment, without an index."""
        command = [sys.executable, "-m", "pip", "--python", str(self.bin / "python"), *_PIP[2:]]
        done = subprocess.run([*command, *arguments], capture_output=True, text=True, timeout=300)
        assert done.returncode == 0, done.stderr

    def install(self, *wheels: Path) -> None:
        """Install some wheels and nothing else."""
        self.pip("install", "--no-deps", "--no-index", *map(str, wheels))

    def variables(self) -> dict[str, str]:
        """The environment's variables: its commands come first, and nobody's settings."""
        clean = {key: value for key, value in os.environ.items() if not key.startswith(("PYTHON", "INTEL_", "PIP_"))}
        return {**clean, "PATH": f"{self.bin}{os.pathsep}{os.environ['PATH']}", "VIRTUAL_ENV": str(self.place)}

    def python(self, *arguments: str, cwd: Path | None = None) -> str:
        """What a Python process of this environment prints; it must succeed."""
        command = [str(self.bin / "python"), *arguments]
        options = {"capture_output": True, "text": True, "timeout": 600}
        done = subprocess.run(command, cwd=cwd or self.folder, env=self.variables(), **options)  # type: ignore[call-overload]
        assert done.returncode == 0, f"{done.stdout[-4000:]}\n{done.stderr[-4000:]}"
        return str(done.stdout).strip()


def _seed(folder: Path) -> Path:
    """Everything that is installed here but this project's own distributions, without copying it."""
    folder.mkdir()
    for place in dict.fromkeys(sys.path):
        if Path(place).name in ("site-packages", "dist-packages"):
            for item in Path(place).iterdir():
                ours = item.name.lower().startswith(("intel", "_editable", "__editable"))
                if not ours and item.suffix != ".pth" and not (folder / item.name).exists():
                    (folder / item.name).symlink_to(item)
    return folder


@pytest.fixture(scope="session")
def wheel_of(tmp_path_factory: pytest.TempPathFactory) -> Callable[[Path], Path]:
    """Builds the wheel of a project, once."""
    return functools.cache(lambda project: _build(project, tmp_path_factory.mktemp("wheel")))


@pytest.fixture
def environment(tmp_path: Path) -> Environment:
    """A fresh environment."""
    if os.name == "nt":
        pytest.skip("needs symbolic links")
    return Environment(tmp_path)
