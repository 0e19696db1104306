"""How long does the command take to say what is wrong with its settings?

Each line but the first three is a command that cannot succeed. It runs in a process of its own, beside a small run that
is trained first. Shown are the processor time of that process (user and system), the smallest of some tries, so that
other work on the machine counts for little, and which large libraries were imported before the error was told.

    python benchmarks/errors.py [--tries 3] [--only WORD]
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
from pathlib import Path

LIBRARIES = ("torch", "sklearn", "scipy", "pandas", "matplotlib", "torchvision", "numba", "PIL")
COMMAND = f"""
import atexit, os, sys
atexit.register(lambda: os.write(3, " ".join(n for n in {LIBRARIES!r} if n in sys.modules).encode()))
from intel_cli.main import main
main()
"""
TRAIN = ("train", "--data", "digits", "--mapping", "identity", "--steps", "20", "--run-dir", "runs/small")
CONFIG = "steps: 10\nlaten: 3\n"
HELP = (("--help",), ("train", "--help"), ("--version",))
ERRORS = (
    # A word or a number that no data can make right.
    ("train", "--mapping", "nonsense"),
    ("train", "--mapping", "cluster:k=banana"),
    ("train", "--mapping", "cluster:q=3"),
    ("train", "--mapping", "sphere", "--latent", "1"),
    ("train", "--latent", "0"),
    ("train", "--steps", "-3"),
    ("train", "--steps", "many"),
    ("train", "--steps", "5", "--epochs", "5"),
    ("train", "--data", "nosuch"),
    ("train", "--data", "nosuch.csv"),
    ("train", "--data", "mnist:classes=[12]"),
    ("train", "--prior", "mog:kk=3"),
    ("train", "--posterior", "gausian"),
    ("train", "--likelihood", "bernouli"),
    ("train", "--objective", "iwae:particles=0"),
    ("train", "--network", "nonsense"),
    ("train", "--schedule", "kl=nonsense"),
    ("train", "--schedule", "nonsense=linear:steps=3"),
    ("train", "--start", "foo"),
    ("train", "--device", "nonsense"),
    ("train", "--precision", "float7"),
    ("train", "--seed", "-1"),
    ("train", "--replicates", "0"),
    ("train", "--config", "wrong.yaml"),
    ("train", "--config", "nosuch.yaml"),
    ("train", "--name", "a b"),
    ("train", "--resume", "nosuch"),
    ("train", "--data-dir", "nosuch", "--data", "mnist"),
    ("train", "--run-dir", "runs/small"),
    # What depends on the data, or on what a mapping is.
    ("train", "--start", "mixture", "--mapping", "identity"),
    ("train", "--data", "circle", "--likelihood", "bernoulli"),
    ("train", "--trial", "0.5"),
    # Runs that are not there, and questions that a run cannot answer.
    ("report", "nosuch"),
    ("compare", "nosuch", "neither"),
    ("encode", "nosuch", "-o", "out.npz"),
    ("sample", "nosuch"),
    ("evaluate", "nosuch"),
    ("explore", "nosuch"),
    ("sample", "runs/small", "--cluster", "99"),
    ("evaluate", "runs/small", "--metric", "nonsense"),
    ("evaluate", "runs/small", "--metric", "frechet:few=maybe"),
    ("compare", "runs/small", "--metric", "nonsense"),
    ("compare", "runs/small", "--markdown", "--json"),
    ("report", "runs/small", "-o", "nosuch/page.html"),
    ("show", "mapping:nonsense"),
    ("show", "cluster:k=banana"),
    ("check", "nonsense"),
    ("check", "cluster:k=banana"),
    ("plugins", "show", "nonsense"),
    ("schema", "nonsense"),
    ("nonsense",),
    ("train", "--nonsense"),
)


def measure(arguments: tuple[str, ...], folder: Path) -> tuple[float, int, str]:
    """Processor seconds, exit code, and the large libraries that a command imports."""
    reader, writer = os.pipe()
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    process = subprocess.Popen(
        ["bash", "-c", 'exec 3>&"$0"; exec "$@"', str(writer), sys.executable, "-c", COMMAND, *arguments],
        cwd=folder,
        env=environment,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        pass_fds=(writer,),
    )
    os.close(writer)
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    with os.fdopen(reader) as pipe:
        imported = pipe.read()
    return usage.ru_utime + usage.ru_stime, process.returncode, imported


def main() -> None:
    """Print a line for each command."""
    options = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    options.add_argument("--tries", type=int, default=3)
    options.add_argument("--only", default="", help="commands that hold this word")
    chosen = options.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "wrong.yaml").write_text(CONFIG)
        measure((*TRAIN, "--no-pictures", "--quiet"), folder)
        print(f"{'seconds':>7} {'exit':>4}  {'command':58} imports")
        for arguments in (*HELP, *ERRORS):
            said = " ".join(arguments)
            if chosen.only not in said:
                continue
            tries = [measure(arguments, folder) for _ in range(chosen.tries)]
            seconds, code, imported = min(tries)
            print(f"{seconds:7.2f} {code:4d}  intel {said:52} {imported}", flush=True)


if __name__ == "__main__":
    main()
