"""How long is a training step of a small VAE beside one in JAX? Milliseconds a step and ratios, measured in one run.

    python benchmarks/small_run.py [--rounds 21] [--json]

The same model on all sides: dense nets of 64-64 or 10-10 ReLU, latent 2, points in a plane, a Gaussian likelihood whose
variance is learned, batches of 100 shuffled rows, noise drawn at each step, Adam, float32, one thread. `ours` is the
framework's trainer with its default logging. In JAX (with optax) a step is one compiled function, called from Python
for each batch (`loop`), or the whole block is one compiled scan (`scan`), which nothing can watch on its way. `torch`
is the loop one writes in PyTorch with its fused Adam. Last, 100 seeds at once: our stack against `vmap` of the scan.
Blocks of steps alternate, so that whatever else the machine does falls on all sides; compiling is not counted. JAX is
needed for this file alone: pip install jax optax.
"""

from __future__ import annotations

import argparse
import itertools
import json
import os
import statistics
import time
from collections.abc import Callable
from typing import Any

os.environ["XLA_FLAGS"] = "--xla_cpu_multi_thread_eigen=false intra_op_parallelism_threads=1"
os.environ.setdefault("JAX_PLATFORMS", "cpu")

import jax  # the variables come first
import jax.numpy as jnp
import optax
import replicates
import step_overhead
import torch

from intel_core.replicates.stacked_runs import StackedRuns
from intel_core.training.hooks import hook_manager

BLOCK, COUNT, BLOCK_OF_STACK = 300, 100, 10
CASES = {"64-64": (64, 64), "10-10": (10, 10)}


def of_jax(hidden: tuple[int, ...], x: Any) -> dict[str, Callable[[int], object]]:
    """The two ways of JAX: functions that take a number of steps."""
    optimizer = optax.adam(1e-3, eps=1e-7)

    def network(key: Any, sizes: tuple[int, ...]) -> list[tuple[Any, Any]]:
        keys = jax.random.split(key, len(sizes) - 1)
        glorot = jax.nn.initializers.glorot_uniform()
        pairs = zip(keys, itertools.pairwise(sizes), strict=True)
        return [(glorot(key, pair), jnp.zeros(pair[1])) for key, pair in pairs]

    def apply(layers: list[tuple[Any, Any]], h: Any) -> Any:
        for weight, bias in layers[:-1]:
            h = jax.nn.relu(h @ weight + bias)
        return h @ layers[-1][0] + layers[-1][1]

    def loss_of(parameters: Any, batch: Any, noise: Any) -> Any:
        mean, log_variance = jnp.split(apply(parameters[0], batch), 2, axis=-1)
        y = mean + noise * jnp.exp(0.5 * log_variance)
        x_mean, raw = jnp.split(apply(parameters[1], y), 2, axis=-1)
        x_log_variance = jnp.logaddexp(raw, jnp.log(1e-6))
        density = -0.5 * ((batch - x_mean) ** 2 * jnp.exp(-x_log_variance) + x_log_variance + jnp.log(2 * jnp.pi))
        kl = 0.5 * (mean**2 + jnp.expm1(log_variance) - log_variance)
        return (kl.sum() - density.sum()) / len(batch)

    def step(state: Any, rows: Any) -> tuple[Any, Any]:
        parameters, moments, key = state
        key, now = jax.random.split(key)
        loss, gradient = jax.value_and_grad(loss_of)(parameters, x[rows], jax.random.normal(now, (100, 2)))
        change, moments = optimizer.update(gradient, moments)
        return (optax.apply_updates(parameters, change), moments, key), loss

    keys = jax.random.split(jax.random.PRNGKey(0), 2)
    parameters = [network(keys[0], (2, *hidden, 4)), network(keys[1], (2, *hidden[::-1], 4))]
    state = (parameters, optimizer.init(parameters), jax.random.PRNGKey(1))
    compiled = jax.jit(step)
    scanned = jax.jit(lambda state, order: jax.lax.scan(step, state, order))

    def order(n: int) -> Any:
        shuffled = torch.cat([torch.randperm(len(x)) for _ in range(-(-100 * n // len(x)))])
        return jnp.asarray(shuffled[: 100 * n].view(n, 100).numpy())

    def loop(n: int) -> object:
        now = state
        for rows in list(order(n)):
            now, loss = compiled(now, rows)
        return loss.block_until_ready()

    many = jax.tree.map(lambda leaf: jnp.broadcast_to(leaf, (COUNT, *jnp.shape(leaf))), state)
    stacked = jax.jit(jax.vmap(lambda state, order: jax.lax.scan(step, state, order)))

    def vmap(n: int) -> object:
        orders = jnp.stack([order(n) for _ in range(COUNT)])
        return stacked(many, orders)[1].block_until_ready()

    return {"loop": loop, "scan": lambda n: scanned(state, order(n))[1].block_until_ready(), "vmap": vmap}


def measure(name: str, rounds: int) -> dict[str, Any]:
    """Median milliseconds a step of each side, and the ratios of ours to JAX's."""
    hidden = CASES[name]
    case = step_overhead.Case(
        name, (2,), {"encoder": f"mlp:hidden={list(hidden)}".replace(" ", ""), "likelihood": "gaussian"}, BLOCK, rounds
    )
    data = step_overhead.noise(case)
    trainer, model = step_overhead.trainer_of(case, data), step_overhead.trainer_of(case, data).model
    by_hand = step_overhead.ByHand(model.encoder, model.decoder, data.train.x, model.y_dim, fused=True)
    group = StackedRuns(replicates.replicates(case, data, COUNT), hook_manager())
    for one in group.replicates:
        one.begin()
    theirs = of_jax(hidden, jnp.asarray(data.train.x.numpy()))
    vmap = theirs.pop("vmap")
    alone = {"ours": lambda n: trainer.advance(trainer.step + n), "torch": by_hand.steps, **theirs}
    medians = timed(alone, BLOCK, rounds)
    stacks = timed({"ours": lambda n: group.advance(group.step + n), "vmap": vmap}, BLOCK_OF_STACK, rounds)
    medians |= {f"{side}, a run of {COUNT}": found / COUNT for side, found in stacks.items()}
    speed = {f"{side} to ours": medians[side] / medians["ours"] for side in alone if side != "ours"}
    return {"networks": name, "ms": medians, "speed": speed | {"vmap to ours": stacks["vmap"] / stacks["ours"]}}


def timed(sides: dict[str, Callable[[int], object]], block: int, rounds: int) -> dict[str, float]:
    """Median milliseconds a step of each side, in alternating blocks."""
    times: dict[str, list[float]] = {side: [] for side in sides}
    for turn in range(-1, rounds):  # the first is for warming up
        for side in sorted(sides, reverse=turn % 2 == 0):
            start = time.perf_counter()
            sides[side](block)
            if turn >= 0:
                times[side].append((time.perf_counter() - start) / block * 1e3)
    return {side: statistics.median(found) for side, found in times.items()}


def main() -> None:
    """Print one line per case."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=21)
    parser.add_argument("--json", action="store_true")
    asked = parser.parse_args()
    torch.set_num_threads(1)
    rows = [measure(name, asked.rounds) for name in CASES]
    if asked.json:
        print(json.dumps(rows, indent=1))
        return
    print(f"jax {jax.__version__}, torch {torch.__version__}; load average {os.getloadavg()[0]:.1f}")
    for row in rows:
        shown = ", ".join(f"{side} {value:.3f} ms" for side, value in row["ms"].items())
        print(
            f"{row['networks']}: {shown}; " + ", ".join(f"{side} {value:.2f}" for side, value in row["speed"].items())
        )


if __name__ == "__main__":
    main()
