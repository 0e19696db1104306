"""Are images that stay on disk the same as those in memory, and is what is wrong with one of them told by its name?"""

import json
import os
import shutil
import subprocess
import sys

import numpy as np
import pytest
import torch
from intel_datasets import images, streaming
from PIL import Image

from intel_core import DataError, EnvironmentProblem, SpecError, StopReason, fit, hookimpl, parse_spec, resume
from intel_core.compute import memory as compute_memory
from intel_core.randomness import stream
from intel_core.reading.streamed import StreamedSplit

N = 130
TRAIN = 104
SETTINGS = {
    "steps": 14, "batch_size": 20, "evaluate_every": 4, "log_every": 2, "device": "cpu", "encoder": "mlp:hidden=[8]",
}  # fmt: skip


def fill(folder, n=N, size=4, classes=("cat", "dog"), values=None):
    generator = np.random.default_rng(0)
    for i in range(n):
        place = folder / classes[i % 2] if classes else folder
        place.mkdir(parents=True, exist_ok=True)
        pixels = generator.integers(0, 256, (size, size)) if values is None else generator.choice(values, (size, size))
        Image.fromarray(pixels.astype(np.uint8)).save(place / f"{i:03}.png")
    return folder


@pytest.fixture
def folder(tmp_path):
    return fill(tmp_path / "pictures")


def train(folder, run_dir, stream, *hooks, **settings):
    data = f"images:path={folder},channels=1,stream={stream}"
    return fit(data=data, run_dir=run_dir, hooks=hooks, **(SETTINGS | settings))


def lines(run):
    return [{k: v for k, v in record.items() if k != "seconds"} for record in run.records()]


def same(a, b):
    first, second = a.model.state_dict(), b.model.state_dict()
    return all(torch.equal(first[name], second[name]) for name in first) and lines(a) == lines(b)


class Stop:
    @hookimpl
    def step_end(self, trainer):
        if trainer.step == 6:
            trainer.stop(StopReason("signal TEST", "signal"))


# --- the same data -------------------------------------------------------------------------------------------------


def test_streamed_images_are_those_in_memory(folder, load):
    text = f"images:path={folder},channels=1"
    kept, streamed = load(f"{text},stream=false"), load(f"{text},stream=true")
    assert isinstance(streamed.train, StreamedSplit)
    assert torch.equal(streamed.train.read(torch.arange(TRAIN)), kept.train.x)
    assert torch.equal(streamed.train.read(torch.tensor([5, 5, 1])), kept.train.x[[5, 5, 1]])
    for part in ("validation", "test"):
        assert torch.equal(getattr(streamed, part).x, getattr(kept, part).x)
    for part in ("train", "validation", "test"):
        assert torch.equal(getattr(streamed, part).labels, getattr(kept, part).labels)
    assert streamed.summary() == kept.summary()


@pytest.mark.parametrize("workers", ["0", "2"])
def test_a_streamed_run_is_the_run_in_memory_and_goes_on_in_either_way(folder, tmp_path, monkeypatch, workers):
    monkeypatch.setenv("INTEL_WORKERS", workers)
    kept, streamed = (train(folder, tmp_path / f"run-{stream}", stream) for stream in ("false", "true"))
    assert same(kept, streamed)
    assert kept.metrics["test"] == streamed.metrics["test"]
    begun = train(folder, tmp_path / "begun", "auto", Stop())
    assert begun.status == "interrupted"
    monkeypatch.setattr(streaming, "fits_beside", lambda size: False)  # as on a smaller machine
    assert isinstance(begun.dataset().train, StreamedSplit)
    assert same(resume(tmp_path / "begun"), kept)


def test_the_fingerprint_is_that_of_names_and_contents_wherever_they_lie(folder, tmp_path, load):
    def digest(place, more=""):
        return load(f"images:path={place},channels=1,stream=true{more}").summary()["fingerprint"]

    first = digest(folder)
    copy = tmp_path / "elsewhere"
    shutil.copytree(folder, copy)
    os.utime(copy / "cat" / "000.png", (1, 1))
    assert digest(copy) == first
    assert digest(copy, ",split_seed=1") != first
    assert digest(copy, ",size=3") != first
    trained = load(f"images:path={copy},channels=1,stream=true").train.rows.file(9)
    (copy / trained).rename(copy / trained.replace(".png", "0.png"))
    assert digest(copy) != first
    shutil.rmtree(copy)
    fill(copy, values=[3, 200])  # other pictures under the same names
    assert digest(copy) != first


def test_only_a_sample_is_looked_at_when_a_run_begins(folder, load, monkeypatch):
    read = []

    def reading(path, plain=images.read_image, **options):
        read.append(path)
        return plain(path, **options)

    monkeypatch.setattr(images, "read_image", reading)
    load(f"images:path={folder},channels=1,stream=true")
    assert len(read) <= 1 + 64 + (N - TRAIN)
    read.clear()
    load(f"images:path={folder},channels=1,stream=false")
    assert len(set(read)) == N


# --- whether -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("memory", "streams"), [(TRAIN * 16 * 4, False), (TRAIN * 16 * 4 - 1, True), (None, False)])
def test_auto_streams_what_would_take_more_than_a_quarter_of_the_memory(memory, streams, folder, load, monkeypatch):
    monkeypatch.setattr(compute_memory, "memory_there", lambda device: memory)
    data = load(f"images:path={folder},channels=1")
    assert isinstance(data.train, StreamedSplit) == streams
    assert not isinstance(load(f"images:path={folder},channels=1,stream=false").train, StreamedSplit)
    assert isinstance(load(f"images:path={folder},channels=1,stream=true").train, StreamedSplit)


def test_what_must_lie_in_memory_and_cannot_is_refused_with_advice(folder, load, monkeypatch):
    monkeypatch.setattr(compute_memory, "memory_there", lambda device: 16 * (N - TRAIN) - 1)
    with pytest.raises(
        EnvironmentProblem, match=r"26 images to validate and test on would take .* Give a size=… or smaller"
    ):
        load(f"images:path={folder},channels=1")
    monkeypatch.setattr(compute_memory, "memory_there", lambda device: 16 * (N - TRAIN))
    load(f"images:path={folder},channels=1")
    with pytest.raises(EnvironmentProblem, match=r"130 images would take .* Give stream=true, a size=…"):
        load(f"images:path={folder},channels=1,stream=false")


def test_a_wrong_choice_is_answered_with_the_choices():
    with pytest.raises(SpecError, match=r"stream=ture: input should be True, False or 'auto'"):
        parse_spec("datasets", "images:path=x,stream=ture")


# --- what is wrong with one of them --------------------------------------------------------------------------------


def unseen(folder, load):
    """A file that is not looked at when the data is loaded, but in the fourth or fifth step of seed 0."""
    files = load(f"images:path={folder},channels=1,stream=true").train.rows
    order = torch.randperm(TRAIN, generator=torch.Generator().manual_seed(stream(0, "order/0"))).tolist()
    return folder / files.file(next(row for row in order[60:100] if row not in files.sample()))


@pytest.mark.parametrize("workers", ["0", "1"])
def test_a_damaged_file_is_named_when_it_is_met_and_once_replaced_the_run_goes_on(
    workers, folder, tmp_path, load, monkeypatch
):
    monkeypatch.setenv("INTEL_WORKERS", workers)
    whole = train(folder, tmp_path / "whole", "true", steps=30)
    file = unseen(folder, load)
    content = file.read_bytes()
    file.write_bytes(content[: len(content) // 2])
    with pytest.raises(DataError, match=f"images: {file} cannot be read: .*; once it is replaced, resume") as caught:
        train(folder, tmp_path / "run", "true", steps=30, save_every=1)
    assert len(str(caught.value).splitlines()) == 1
    assert json.loads((tmp_path / "run" / "metrics.jsonl").read_text().splitlines()[-1])["step"] in (2, 3, 4)
    file.write_bytes(content)
    assert same(resume(tmp_path / "run"), whole)


def test_an_image_of_another_size_is_told_when_it_is_met(folder, tmp_path, load):
    file = unseen(folder, load)
    Image.new("L", (5, 7)).save(file)
    with pytest.raises(DataError, match=rf"cat/000.png is 4x4 but .*{file.name} is 5x7 .*size=64"):
        train(folder, tmp_path / "run", "true", steps=30)


@pytest.mark.parametrize(("values", "top"), [([0, 255], 255), ([0, 1], 1)])
def test_images_of_two_values_are_binary_and_one_that_is_not_is_told(values, top, tmp_path, load):
    folder = fill(tmp_path / "masks", classes=(), values=values)
    text = f"images:path={folder},channels=1,stream="
    kept, streamed = load(f"{text}false"), load(f"{text}true")
    assert kept.support == streamed.support == "binary"
    assert torch.equal(streamed.train.read(torch.arange(TRAIN)), kept.train.x)
    assert kept.train.x.unique().tolist() == kept.test.x.unique().tolist() == [0, 255]
    Image.new("L", (4, 4), 7).save(unseen(folder, load))
    assert load(f"{text}false").support == "unit"
    with pytest.raises(DataError, match=f"holds other values than 0 and {top}, which is all .*stream=false"):
        load(f"{text}true").train.read(torch.arange(TRAIN))


def test_constant_images_are_refused_though_only_a_sample_is_seen(tmp_path, load):
    fill(tmp_path / "grey", classes=(), values=[9])
    for choice in ("true", "false"):
        with pytest.raises(DataError, match="every value is 9; constant data cannot be modelled"):
            load(f"images:path={tmp_path / 'grey'},stream={choice}")


# --- how much memory -----------------------------------------------------------------------------------------------

MEMORY = """
import os, resource, sys
from pathlib import Path
from intel_core import fit
import intel_datasets.images
folder = Path(sys.argv[1])
for name, stream in (("few", "true"), ("many", "true"), ("many", "false")):
    child = os.fork()  # each from the same state of memory
    if child == 0:
        data = f"images:path={folder / name},validation=0.002,test=0.002,stream={stream}"
        run = folder / f"{name}-{stream}"
        fit(data=data, steps=20, batch_size=20, encoder="mlp:hidden=[2]", run_dir=run, device="cpu")
        who = (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)
        print(*[resource.getrusage(one).ru_maxrss / 1024 for one in who], flush=True)
        os._exit(0)
    assert os.waitpid(child, 0)[1] == 0
"""


@pytest.mark.slow
@pytest.mark.skipif(not hasattr(os, "link") or sys.platform != "linux", reason="measures as Linux does")
def test_the_peak_of_memory_does_not_grow_with_the_number_of_images(tmp_path):
    """3,000 images of 128x128 are 141 MiB; they are one file under many names."""
    pixels = np.random.default_rng(0).integers(0, 256, (128, 128, 3)).astype(np.uint8)
    Image.fromarray(pixels).save(tmp_path / "one.ppm")
    for name, n in (("few", 500), ("many", 3000)):
        (tmp_path / name).mkdir()
        for i in range(n):
            os.link(tmp_path / "one.ppm", tmp_path / name / f"{i}.ppm")
    command = [sys.executable, "-c", MEMORY, str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, env=os.environ | {"INTEL_WORKERS": "1"})
    assert done.returncode == 0, done.stderr
    few, many, kept = ([float(word) for word in line.split()] for line in done.stdout.splitlines())
    # Half of what the images would take: when a buffer is freed hangs on the other process, and is worth 40 MiB.
    assert many[0] - few[0] < 70, "the training process"
    assert many[1] - few[1] < 70, "the process that reads"
    assert kept[0] - many[0] > 100, "or nothing was measured"
