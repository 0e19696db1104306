"""How fast is training on images that are read from disk, to the same images in memory? Ratios, measured in one run.

    INTEL_DATA_DIR=... python benchmarks/streaming.py [--workers 1] [--rounds 5] [--device cpu] [--only celeba]

Both sides are trainers of one spec and take the same steps in blocks that alternate; before a block of the streamed
side its workers are started and let fill their queues, and after it they are ended, so that they do not work beside
the other side. Folders of PNG are generated; CelebA is measured where INTEL_DATA_DIR has it. The small MLP is the hard
case: the less a step computes, the more images per second it wants. "Processor time" is the ratio of that of the two
training processes alone: what is above 1 is the price of fetching batches, whatever else the machine does.
"""

from __future__ import annotations

import argparse
import os
import statistics
import tempfile
import time
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from intel_core import parse_spec
from intel_core.compute.device import pick_device
from intel_core.data.dataset import Dataset
from intel_core.fitting.setting_up import make_trainer
from intel_core.reading.ahead import Streamed, worker_count
from intel_core.recipe.resolving import resolve
from intel_core.recipe.runspec import make_run_spec
from intel_core.training.hooks import hook_manager
from intel_core.training.trainer import Trainer

IMAGES = 2000
_WARM = 8
SMALL, CONV = "mlp:hidden=[64]", "conv:channels=[64,128,256],last_stride=2"


def make_folder(folder: Path, size: int, channels: int) -> None:
    """PNG files that compress about as photographs do: smooth shapes with a little noise."""
    folder.mkdir()
    generator = np.random.default_rng(0)
    grid = np.linspace(0, 6, size)
    for i in range(IMAGES):
        a, b, c = generator.uniform(0.5, 2, 3)
        smooth = 110 + 100 * np.sin(a * grid + c)[:, None] * np.cos(b * grid)[None, :]
        pixels = smooth[..., None] + generator.normal(0, 4, (size, size, channels))
        array = pixels.clip(0, 255).astype(np.uint8)
        Image.fromarray(array[..., 0] if channels == 1 else array).save(folder / f"{i:05}.png")


def trainer_of(dataset: Dataset, network: str, batch: int, device: str) -> Trainer:
    """A trainer with more steps than will be taken."""
    spec = make_run_spec(data="digits", encoder=network, batch_size=batch, steps=10**7, device=device, log_every=10**7)
    spec = resolve(spec, dataset)
    return make_trainer(spec, dataset, hook_manager())


def block(trainer: Trainer, steps: int) -> tuple[float, float, float]:
    """Seconds for some steps, how many of them went by waiting for data, and processor time of this process."""
    with trainer.batches:
        trainer.advance(trainer.step + min(_WARM, steps))
        if isinstance(trainer.batches, Streamed):
            time.sleep(0.3)
        _wait_for(trainer)
        before = trainer.batches.waited if isinstance(trainer.batches, Streamed) else 0.0
        started, spent = time.perf_counter(), time.process_time()
        trainer.advance(trainer.step + steps)
        _wait_for(trainer)
        seconds, spent = time.perf_counter() - started, time.process_time() - spent
        after = trainer.batches.waited if isinstance(trainer.batches, Streamed) else 0.0
    trainer._window.clear()
    return seconds, after - before, spent


def _wait_for(trainer: Trainer) -> None:
    if trainer.device.type == "cuda":
        torch.cuda.synchronize(trainer.device)


def decoding(dataset: Dataset) -> float:
    """Images per second that one process reads and does nothing with."""
    rows = torch.arange(min(500, len(dataset.train)))
    started = time.perf_counter()
    dataset.train.read(rows)
    return len(rows) / (time.perf_counter() - started)


def measure(name: str, text: str, network: str, steps: int, arguments: argparse.Namespace) -> None:
    """One line of the table."""
    where = Path(os.environ["INTEL_DATA_DIR"]) if "INTEL_DATA_DIR" in os.environ else None
    kept, streamed = (parse_spec("datasets", f"{text},stream={stream}").load(where) for stream in ("false", "true"))
    sides = [trainer_of(dataset, network, arguments.batch, arguments.device) for dataset in (kept, streamed)]
    rounds = [[block(side, steps) for side in sides] for _ in range(arguments.rounds)]
    images = steps * sides[0].batch_size
    in_memory, from_disk = (images / statistics.median(times[side][0] for times in rounds) for side in (0, 1))
    ratio = statistics.median(times[0][0] / times[1][0] for times in rounds)
    waiting = statistics.median(times[1][1] / times[1][0] for times in rounds)
    spent = statistics.median(times[1][2] / times[0][2] for times in rounds)
    numbers = (
        f"{decoding(streamed):>9.0f} {in_memory:>9.0f} {from_disk:>9.0f} {ratio:>7.2f} {waiting:>8.0%} {spent:>8.2f}"
    )
    print(
        f"{name:<30} {numbers}",
        flush=True,
    )


def main() -> None:
    """Measure every case."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--workers", type=int)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--batch", type=int, default=100)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--only", choices=("folders", "celeba"))
    arguments = parser.parse_args()
    if arguments.workers is not None:
        os.environ["INTEL_WORKERS"] = str(arguments.workers)
    fast = pick_device(arguments.device).type == "cuda"
    print(
        f"{arguments.device}; {os.cpu_count()} cores; threads {torch.get_num_threads()}; workers {worker_count()}; "
        f"batch {arguments.batch}; load average {os.getloadavg()[0]:.1f}"
    )
    print(f"{'':<30} {'decoding,':>9} {'in':>9} {'':>9} {'':>7} {'share':>8} {'processor':>9}")
    print(f"{'images/s':<30} {'1 process':>9} {'memory':>9} {'streamed':>9} {'ratio':>7} {'waiting':>8} {'time':>8}")
    with tempfile.TemporaryDirectory() as folder:
        for size, channels in ((28, 1), (64, 3)) if arguments.only != "celeba" else ():
            make_folder(Path(folder) / str(size), size, channels)
            text = f"images:path={folder}/{size},channels={channels}"
            measure(f"PNG {size}x{size}x{channels}, MLP", text, SMALL, 100, arguments)
            if size == 64:
                measure(f"PNG {size}x{size}x{channels}, conv", text, CONV, 100 if fast else 2, arguments)
        root = Path(os.environ.get("INTEL_DATA_DIR", "."))
        if (root / "celeba").is_dir() and arguments.only != "folders":
            measure("CelebA 178x218 to 64x64, MLP", "celeba:size=64", SMALL, 40, arguments)
            measure("CelebA 178x218 to 64x64, conv", "celeba:size=64", CONV, 100 if fast else 2, arguments)
    print(f"load average at the end {os.getloadavg()[0]:.1f}")


if __name__ == "__main__":
    main()
