"""How much longer is a training step than the same step written by hand? Ratios of medians, measured in one run.

    python benchmarks/step_overhead.py [--json]

Both sides have the same networks, data, batches and optimiser (fused Adam); blocks of steps alternate, so that
whatever else the machine does falls on both. A third column writes the step with torch's default Adam.
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from intel_core.data.dataset import Dataset, Split
from intel_core.data.values import to_float
from intel_core.fitting.setting_up import make_trainer
from intel_core.recipe.resolving import resolve
from intel_core.recipe.runspec import make_run_spec
from intel_core.training.hooks import hook_manager
from intel_core.training.trainer import Trainer


@dataclass(frozen=True)
class Case:
    """One model and data shape to time."""

    name: str
    shape: tuple[int, ...]
    settings: dict[str, object]
    block: int
    rounds: int


CASES = [
    Case("small MLP, 2-D data", (2,), {"encoder": "mlp:hidden=[64,64]", "likelihood": "gaussian"}, 100, 61),
    Case("10-10-10 MLP, 2-D data", (2,), {"encoder": "mlp:hidden=[10,10,10]", "likelihood": "gaussian"}, 100, 61),
    Case("MLP 256-256, 28x28", (1, 28, 28), {"encoder": "mlp", "likelihood": "bernoulli"}, 20, 31),
    Case("the paper's conv net, 28x28", (1, 28, 28), {"encoder": "conv", "likelihood": "bernoulli"}, 2, 41),
]


class ByHand:
    """A vanilla VAE's training step as one writes it in a script."""

    def __init__(self, encoder: nn.Module, decoder: nn.Module, x: Tensor, y_dim: int, *, fused: bool) -> None:
        self.encoder, self.decoder = encoder, decoder
        parameters = [*encoder.parameters(), *decoder.parameters()]
        self.optimizer = torch.optim.Adam(parameters, lr=1e-3, eps=1e-7, fused=fused or None)
        self.x, self.y_dim = x, y_dim
        self.order: Tensor = torch.empty(0, dtype=torch.long)

    def steps(self, n: int) -> None:
        """Take n steps with batches of 100."""
        for _ in range(n):
            if len(self.order) < 100:
                self.order = torch.randperm(len(self.x))
            rows, self.order = self.order[:100], self.order[100:]
            x = to_float(self.x[rows])
            mean, log_variance = self.encoder(x).chunk(2, dim=-1)
            z = mean + torch.randn_like(mean) * torch.exp(0.5 * log_variance)
            params = self.decoder(z)
            if x.dim() == 2:
                x_mean, raw = params.chunk(2, dim=-1)
                x_log_variance = torch.log(torch.exp(raw) + 1e-6)
                density = -0.5 * ((x - x_mean).square() * torch.exp(-x_log_variance) + x_log_variance + 1.8378770664)
            else:
                density = -F.binary_cross_entropy_with_logits(params, x, reduction="none")
            kl = 0.5 * (mean.square() + torch.exp(log_variance) - 1 - log_variance)
            loss = kl.sum(-1).mean() - density.flatten(1).sum(-1).mean()
            self.optimizer.zero_grad()
            loss.backward()
            self.optimizer.step()


def trainer_of(case: Case, dataset: Dataset) -> Trainer:
    """The framework's trainer with its default logging, on the identity mapping."""
    settings = {
        "mapping": "identity",
        "data": "memory:examples=1,shape=[1]",
        "latent": 2 if len(case.shape) == 1 else 10,
    }
    spec = resolve(make_run_spec(**settings, **case.settings, steps=10**9, evaluate_every=10**9), dataset)
    return make_trainer(spec, dataset, hook_manager())


def timed(function: Callable[[int], object], n: int) -> float:
    """Seconds per step."""
    start = time.perf_counter()
    function(n)
    return (time.perf_counter() - start) / n


def noise(case: Case) -> Dataset:
    """Examples of a case's shape."""
    x = torch.rand(10_000, *case.shape, generator=torch.Generator().manual_seed(0))
    if len(case.shape) == 3:
        x = (x * 255).to(torch.uint8)
    split = Split(x)
    return Dataset("noise", split, split, split, "unit" if len(case.shape) == 3 else "real")


def measure(case: Case) -> dict[str, object]:
    """Median times per step and their ratios for one case."""
    dataset = noise(case)
    trainer = trainer_of(case, dataset)
    hands = []
    for fused in (True, False):
        model = trainer_of(case, dataset).model
        hands.append(ByHand(model.encoder, model.decoder, dataset.train.x, model.y_dim, fused=fused).steps)
    contestants = [lambda n: trainer.advance(trainer.step + n), *hands]
    times: list[list[float]] = [[] for _ in contestants]
    for function in contestants:
        function(case.block)
    for turn in range(case.rounds):
        for i in range(len(contestants)):
            which = (i + turn) % len(contestants)
            times[which].append(timed(contestants[which], case.block))
    ours, fused_hand, plain_hand = (statistics.median(column) for column in times)
    ratios = sorted(a / b for a, b in zip(times[0], times[1], strict=True))
    return {
        "case": case.name,
        "ms per step": ours * 1e3,
        "by hand, ms": fused_hand * 1e3,
        "ratio": ours / fused_hand,
        "ratio per round, quartiles": [ratios[len(ratios) // 4], ratios[3 * len(ratios) // 4]],
        "ratio to default Adam": ours / plain_hand,
    }


def main() -> None:
    """Print one line per case."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    rows = [measure(case) for case in CASES]
    if arguments.json:
        print(json.dumps(rows, indent=1))
        return
    print(f"{'step of':30s} {'ours':>10s} {'by hand':>10s} {'ratio':>7s} {'quartiles':>15s} {'to default Adam':>16s}")
    for row in rows:
        low, high = row["ratio per round, quartiles"]
        print(
            f"{row['case']:30s} {row['ms per step']:7.3f} ms {row['by hand, ms']:7.3f} ms {row['ratio']:7.3f} "
            f"{f'{low:.3f}-{high:.3f}':>15s} {row['ratio to default Adam']:16.3f}"
        )


if __name__ == "__main__":
    main()
