"""How much faster is training than pythae's, with the same networks? Ratios of medians, measured in one run.

    INTEL_DATA_DIR=... python benchmarks/throughput.py [--json]

Both sides have networks of the same layers, batches of 100, learning rate, threads and Adam, which pythae builds as its
own configuration does. pythae ships no such networks: its user writes them, the conv net in torch's layers as in
plain_nets.py. Rows of their own tell what is left where that user has our conv net, or torch's fused Adam. Each trains
by its own loop, pythae's `BaseTrainer` and ours, in a process of its own as its user would, since we ask the process to
keep freed memory; some steps in turn, so that whatever else the machine does falls on both. pythae is needed for this
file alone: pip install -c constraints.txt pythae.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import json
import logging
import multiprocessing
import os
import random
import statistics
import sys
import tempfile
import time
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from multiprocessing.connection import Connection
from typing import Any

import plain_nets
import torch
from torch import Tensor, nn

from intel_core import parse_spec
from intel_core.compute.heap import freed_memory_kept
from intel_core.compute.precision import bfloat16_pays
from intel_core.data.dataset import Dataset, Split
from intel_core.data.values import to_float
from intel_core.fitting.setting_up import make_trainer
from intel_core.reading.data_dir import data_dir_or_default
from intel_core.recipe.building import build_model
from intel_core.recipe.resolving import resolve
from intel_core.recipe.runspec import make_run_spec
from intel_core.training.hooks import hook_manager

BATCH = 100
GFLOP = 0.105
"""Of the paper's conv net for 28x28, forward and backward: per image and step."""


@dataclass(frozen=True)
class Case:
    """One model and its data: `steps` of each contestant in turn, `rounds` times over."""

    data: Dataset
    settings: dict[str, Any]
    steps: int
    rounds: int


def rate_of_ours(case: Case, precision: str) -> Callable[[], float]:
    """A function that trains some steps more and returns steps per second."""
    spec = make_run_spec(data="memory:examples=1,shape=[1]", steps=10**9, precision=precision, **case.settings)
    spec = resolve(spec.model_copy(update={"evaluate_every": 10**9}), case.data)
    trainer = make_trainer(spec, case.data, hook_manager())

    @freed_memory_kept()
    def run() -> float:
        trainer.advance(trainer.step + 1)  # as in a run, where the heap has long grown to what a step needs
        start = time.perf_counter()
        trainer.advance(trainer.step + case.steps)
        return case.steps / (time.perf_counter() - start)

    return run


def rate_of_pythae(case: Case, folder: str, *, fused: bool = False, our_networks: bool = False) -> Callable[[], float]:
    """The same of pythae: one epoch of its trainer's own loop over as many examples as the steps need."""
    from pythae.data.datasets import BaseDataset
    from pythae.models import VAE, VAEConfig
    from pythae.models.base.base_utils import ModelOutput
    from pythae.models.nn import BaseDecoder, BaseEncoder
    from pythae.trainers import BaseTrainer, BaseTrainerConfig

    images = len(case.data.x_shape) == 3
    spec = make_run_spec(data="memory:examples=1,shape=[1]", steps=1, precision="float32", **case.settings)
    ours = build_model(resolve(spec, case.data), case.data.x_shape)
    networks = (ours.encoder, ours.decoder)
    if images and not our_networks:
        networks = (plain_nets.encoder(2 * ours.y_dim), plain_nets.decoder(ours.z_dim))

    class Encoder(BaseEncoder):  # type: ignore[misc]
        def __init__(self) -> None:
            super().__init__()
            self.net = networks[0]

        def forward(self, x: Tensor) -> ModelOutput:
            mean, log_variance = self.net(x).chunk(2, -1)
            return ModelOutput(embedding=mean, log_covariance=log_variance)

    class Decoder(BaseDecoder):  # type: ignore[misc]
        def __init__(self) -> None:
            super().__init__()
            # Its cross-entropy takes probabilities.
            self.net = nn.Sequential(networks[1], nn.Sigmoid()) if images else networks[1]

        def forward(self, z: Tensor) -> ModelOutput:
            return ModelOutput(reconstruction=self.net(z))

    config = VAEConfig(
        input_dim=case.data.x_shape, latent_dim=ours.y_dim, reconstruction_loss="bce" if images else "mse"
    )
    model = VAE(config, Encoder(), Decoder())
    x = to_float(case.data.train.x[: case.steps * BATCH])
    training = BaseTrainerConfig(
        output_dir=folder,
        num_epochs=1,
        learning_rate=1e-3,
        per_device_train_batch_size=BATCH,
        optimizer_cls="Adam",
        optimizer_params={"eps": 1e-7, "fused": fused or None},
        no_cuda=True,
    )
    trainer = BaseTrainer(model, BaseDataset(x, torch.zeros(len(x))), None, training)
    trainer.prepare_training()

    def run() -> float:
        with open(os.devnull, "w") as nowhere, contextlib.redirect_stderr(nowhere):  # its progress bars
            start = time.perf_counter()
            trainer.train_step(1)
            return case.steps / (time.perf_counter() - start)

    return run


def serve(pipe: Connection, make: Callable[..., Callable[[], float]], case: Case, settings: dict[str, Any]) -> None:
    """Run rounds of one contestant for as long as another process asks for them."""
    warnings.simplefilter("ignore")
    logging.disable(logging.WARNING)
    run = make(case, **settings)
    with contextlib.suppress(EOFError):
        while pipe.recv():
            pipe.send(run())


@contextlib.contextmanager
def alone(make: Callable[..., Callable[[], float]], case: Case, **settings: Any) -> Iterator[Callable[[], float]]:
    """A contestant in a process of its own: calling it runs one round there."""
    context = multiprocessing.get_context("spawn")
    here, there = context.Pipe()
    process = context.Process(target=serve, args=(there, make, case, settings), daemon=True)
    process.start()
    there.close()

    def run() -> float:
        here.send(True)
        return float(here.recv())

    try:
        yield run
    finally:
        here.close()
        process.join()


def alternate(contestants: dict[str, Callable[[], float]], rounds: int) -> dict[str, list[float]]:
    """What each contestant says in each round, after one that does not count; in another order each time.

    A fixed cycle would let the same one go before another always, whose threads may not have gone to sleep yet.
    """
    names = list(contestants)
    for name in names:
        contestants[name]()
    said: dict[str, list[float]] = {name: [] for name in names}
    order = random.Random(0)
    for _ in range(rounds):
        order.shuffle(names)
        for name in names:
            said[name].append(contestants[name]())
    return said


def matrix_rate(dtype: torch.dtype, size: int = 1024) -> float:
    """GFLOP per second of one matrix product."""
    matrix = torch.full((size, size), 0.5, dtype=dtype)
    start = time.perf_counter()
    torch.mm(matrix, matrix)
    return 2 * size**3 / (time.perf_counter() - start) / 1e9


def mnist() -> Dataset:
    """MNIST as bytes, from the folder that INTEL_DATA_DIR names."""
    dataset: Dataset = parse_spec("datasets", "mnist:download=false").load(data_dir_or_default(None))
    return dataset


def plane(n: int = 20_000) -> Dataset:
    """Points in a plane."""
    split = Split(torch.randn(n, 2, generator=torch.Generator().manual_seed(0)))
    return Dataset("points", split, split, split, "real")


def ratio(said: dict[str, list[float]], name: str, to: str = "pythae") -> tuple[float, list[float]]:
    """A ratio of medians, and the quartiles of the ratios over the rounds."""
    rounds = sorted(a / b for a, b in zip(said[name], said[to], strict=True))
    quartiles = [rounds[len(rounds) // 4], rounds[3 * len(rounds) // 4]]
    return statistics.median(said[name]) / statistics.median(said[to]), quartiles


def measure() -> list[dict[str, Any]]:
    """One row for each measure: what it is, what was reached, what must be."""
    rows: list[dict[str, Any]] = []
    with tempfile.TemporaryDirectory() as folder, contextlib.ExitStack() as processes:

        def ours(case: Case, precision: str) -> Callable[[], float]:
            return processes.enter_context(alone(rate_of_ours, case, precision=precision))

        def theirs(case: Case, **given: bool) -> Callable[[], float]:
            return processes.enter_context(alone(rate_of_pythae, case, folder=folder, **given))

        conv = {"encoder": "conv", "likelihood": "bernoulli", "latent": 10}
        images = Case(mnist(), conv, steps=4, rounds=15)
        lowered = bfloat16_pays(torch.device("cpu"))
        contestants = {
            "pythae": theirs(images),
            "pythae, our networks": theirs(images, our_networks=True),
            "float32": ours(images, "float32"),
            **({"bfloat16": ours(images, "bfloat16")} if lowered else {}),
            "float32 peak": lambda: matrix_rate(torch.float32),
            "bfloat16 peak": lambda: matrix_rate(torch.bfloat16),
        }
        said = alternate(contestants, images.rounds)
        chosen = "bfloat16" if lowered else "float32"
        rates = {name: statistics.median(values) for name, values in said.items()}
        for name, label, least in ((chosen, f"default, {chosen}", 1.6), ("float32", "float32", 1.05)):
            reached, quartiles = ratio(said, name)
            detail = f"{rates[name] * BATCH:.0f} and {rates['pythae'] * BATCH:.0f} images/s"
            rows.append(row(f"images/s to pythae's, conv net, {label}", reached, ">=", least, quartiles, detail))
        reached, quartiles = ratio(said, chosen, "pythae, our networks")
        detail = f"{rates[chosen] * BATCH:.0f} and {rates['pythae, our networks'] * BATCH:.0f} images/s"
        rows.append(row("images/s to pythae's, given our conv net", reached, "", None, quartiles, detail))
        peak = rates[f"{chosen} peak"]
        share = rates[chosen] * BATCH * GFLOP / peak
        detail = f"{rates[chosen] * BATCH * GFLOP:.0f} of {peak:.0f} GFLOP/s"
        rows.append(row(f"share of the matrix peak, conv net, {chosen}", share, "", None, None, detail))
        gain, quartiles = ratio(said, "bfloat16 peak", "float32 peak")
        detail = f"{rates['bfloat16 peak']:.0f} and {rates['float32 peak']:.0f} GFLOP/s"
        rows.append(row("matrix peak of bfloat16 to float32's", gain, "", None, quartiles, detail))
        small = {"encoder": "mlp:hidden=[64,64]", "likelihood": "gaussian:variance=fixed", "latent": 2}
        points = Case(plane(), small, steps=100, rounds=21)
        contestants = {
            "pythae": theirs(points),
            "pythae, fused": theirs(points, fused=True),
            "ours": ours(points, "auto"),
        }
        said = alternate(contestants, points.rounds)
        rates = {name: statistics.median(values) for name, values in said.items()}
        for name, label, least in (("pythae", "", 2.5), ("pythae, fused", ", given fused Adam", None)):
            reached, quartiles = ratio(said, "ours", name)
            detail = f"{rates['ours']:.0f} and {rates[name]:.0f} steps/s"
            sign = ">=" if least is not None else ""
            rows.append(row(f"steps/s to pythae's, small MLP{label}", reached, sign, least, quartiles, detail))
    return rows


def row(
    measure: str, reached: float, sign: str, bound: float | None, quartiles: list[float] | None, detail: str
) -> dict[str, Any]:
    """One measure as `make bench` wants it."""
    return {
        "measure": measure, "reached": reached, "sign": sign, "bound": bound, "quartiles": quartiles, "detail": detail
    }  # fmt: skip


def main() -> None:
    """Print one line per measure."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    warnings.simplefilter("ignore")
    try:
        with contextlib.redirect_stderr(io.StringIO()):
            import pythae.trainers  # noqa: F401
    except ImportError as error:
        sys.exit(f"not measured: pythae is not installed ({error}); pip install -c constraints.txt pythae")
    logging.disable(logging.WARNING)
    rows = measure()
    if arguments.json:
        print(json.dumps(rows, indent=1))
        return
    for one in rows:
        must = f"must be {one['sign']} {one['bound']}" if one["bound"] is not None else ""
        print(f"{one['measure']:50s} {one['reached']:6.3f}  {must:18s} {one['detail']}")


if __name__ == "__main__":
    main()
