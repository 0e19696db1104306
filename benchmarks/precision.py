"""Is a model trained in bfloat16 as good? The ELBO after one epoch in both precisions, over several seeds.

    INTEL_DATA_DIR=... python benchmarks/precision.py [--examples 10000] [--seeds 3] [--json]

The paper's conv net on part of MNIST, identity mapping, batches of 100. The seeds are paired: initial weights, batches
and noise of one seed are the same in both precisions. Every model is judged on the test images in its own precision,
the one trained in bfloat16 in float32 as well.
"""

from __future__ import annotations

import argparse
import dataclasses
import functools
import json
import statistics
from typing import Any

from intel_core import parse_spec
from intel_core.compute.precision import apply_in
from intel_core.data.dataset import Dataset, Split
from intel_core.fitting.setting_up import make_trainer
from intel_core.reading.data_dir import data_dir_or_default
from intel_core.recipe.resolving import resolve
from intel_core.recipe.runspec import make_run_spec
from intel_core.training.hooks import hook_manager
from intel_core.training.scoring import evaluate


def elbos(dataset: Dataset, precision: str, seed: int) -> dict[str, float]:
    """Test ELBO after an epoch, nats per example, in the precision of training and in float32."""
    settings = {"mapping": "identity", "encoder": "conv", "likelihood": "bernoulli", "latent": 10, "epochs": 1}
    spec = make_run_spec(data="memory:examples=1,shape=[1]", precision=precision, seed=seed, **settings)
    spec = resolve(spec, dataset)
    trainer = make_trainer(spec, dataset, hook_manager())
    model = trainer.model
    assert spec.steps is not None
    trainer.advance(spec.steps)
    said: dict[str, float] = {}
    for name in (precision, "float32"):
        model.apply_network = functools.partial(apply_in, name)
        said[name] = evaluate(model, trainer.objective, dataset.test, 0)["elbo"]
    return said


def main() -> None:
    """Print a line per seed, then means and the spread over seeds."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--examples", type=int, default=10_000)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    whole: Dataset = parse_spec("datasets", "mnist:download=false").load(data_dir_or_default(None))
    dataset = dataclasses.replace(whole, train=Split(whole.train.x[: arguments.examples]))
    rows: list[dict[str, Any]] = []
    for seed in range(arguments.seeds):
        full, low = (elbos(dataset, precision, seed) for precision in ("float32", "bfloat16"))
        rows.append(
            {
                "seed": seed,
                "float32": full["float32"],
                "bfloat16": low["bfloat16"],
                "bfloat16, judged in float32": low["float32"],
            }
        )
        if not arguments.json:
            if seed == 0:
                print("seed  float32  bfloat16  judged in float32  difference")
            print(
                f"{seed:4d} {full['float32']:8.2f} {low['bfloat16']:9.2f} {low['float32']:18.2f} "
                f"{low['bfloat16'] - full['float32']:11.2f}",
                flush=True,
            )
    differences = [row["bfloat16"] - row["float32"] for row in rows]
    summary = {
        "mean difference": statistics.mean(differences),
        "standard deviation over seeds, float32": statistics.stdev(row["float32"] for row in rows),
        "standard deviation over seeds, bfloat16": statistics.stdev(row["bfloat16"] for row in rows),
    }
    if arguments.json:
        print(json.dumps({"rows": rows, **summary}, indent=1))
        return
    for name, value in summary.items():
        print(f"{name}: {value:.2f} nats")


if __name__ == "__main__":
    main()
