"""Do data sets that read somebody's own files pass their checks, whatever the files hold?"""

from __future__ import annotations

import csv
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from intel_conformance import check_dataset
from PIL import Image

N = 90


def arrays(folder: Path, random: np.random.Generator) -> str:
    np.savez(folder / "mine.npz", x=random.normal(size=(N, 5)).astype("float32"), y=np.arange(N) % 3)
    return f"arrays:path={folder / 'mine.npz'}"


def pixels(folder: Path, random: np.random.Generator) -> str:
    np.save(folder / "pixels.npy", random.integers(0, 256, (N, 6, 6), dtype="uint8"))
    return f"arrays:path={folder / 'pixels.npy'}"


def table(folder: Path, random: np.random.Generator) -> str:
    with (folder / "mine.csv").open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["id", "a", "large", "b", "class"])
        for i, (a, large, b) in enumerate(random.normal(size=(N, 3)).tolist()):
            writer.writerow([i, a, 5000 + 1000 * large, b, "xyz"[i % 3]])
    return f"table:path={folder / 'mine.csv'},id=id,label=class"


def images(folder: Path, random: np.random.Generator) -> str:
    for name in ("cats", "dogs"):
        (folder / "pictures" / name).mkdir(parents=True)
        for i in range(N // 2):
            pixels = random.integers(0, 256, (12, 9, 3), dtype="uint8")
            Image.fromarray(pixels).save(folder / "pictures" / name / f"{i}.png")
    return f"images:path={folder / 'pictures'},size=8"


@pytest.mark.parametrize("make", [arrays, pixels, table, images], ids=lambda make: make.__name__)
def test_files_of_somebody_pass(make: Callable[[Path, np.random.Generator], str], tmp_path: Path) -> None:
    report = check_dataset(make(tmp_path, np.random.default_rng(0)))
    assert not [str(result) for result in report.results if result.bad]
    assert report.ok
    assert report.ran >= 8
