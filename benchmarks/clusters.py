"""Do the clusters of a mapping find those of the data, and at which price? Images, digits and tables, several seeds.

    INTEL_DATA_DIR=... python benchmarks/clusters.py [--data mnist --arm ours] [--seeds 10] [--first-seed 0] [--jobs 2]
        [--runs runs/clusters] [--rows docs/results/clusters.json] [--out docs/results/clusters.md]

Every arm of a data set has the same networks, latent dimensions, batch and number of steps: 20 epochs of MNIST and
Fashion-MNIST, and the default budget elsewhere. A table has 3,000 rows of 12 columns from four Gaussians of shares
50, 30, 14 and 6 %, each with a covariance of its own. Labels score and nothing else.

NMI, ARI and accuracy (clusters matched one to one with classes by the Hungarian method) are of the whole test part.
ELBO: of the test part, nats per example. Smallest: share that the model gives its smallest cluster. log p(x): by
importance sampling with 500 draws of 1,000 test examples. Fréchet: between 5,000 samples of the arm's own prior and as
many test images, in the last hidden layer of a LeNet. ± is the standard deviation over seeds.

The arms `k-means` and `mixture` are fitted to the values of the training examples by scikit-learn, those `of means` to
the posterior means of the arm `identity`. Cells that are in the file of rows already are not computed again.
"""

from __future__ import annotations

import argparse
import math
import os
import statistics
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from cached import trained
from rows import added, kept, put_into, shown
from scipy.optimize import linear_sum_assignment
from sklearn.cluster import KMeans
from sklearn.metrics import adjusted_rand_score, normalized_mutual_info_score
from sklearn.mixture import GaussianMixture

from intel_core import Subject, make_dataset, measure, parse_spec
from intel_core.helpers.parts_of_mapping import clusterings_of

SHARES = (0.5, 0.3, 0.14, 0.06)
ROWS, COLUMNS = 3000, 12


def table_of(seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Rows of four Gaussians, standardised, and which one each is from."""
    random = np.random.default_rng(seed)
    label = random.choice(len(SHARES), ROWS, p=SHARES)
    x = np.zeros((ROWS, COLUMNS))
    for k in range(len(SHARES)):
        mean = 1.3 * random.normal(size=COLUMNS)
        root = random.normal(size=(COLUMNS, COLUMNS)) / math.sqrt(COLUMNS) + 0.3 * np.eye(COLUMNS)
        here = label == k
        x[here] = mean + random.normal(size=(int(here.sum()), COLUMNS)) @ root.T
    return ((x - x.mean(0)) / x.std(0)).astype(np.float32), label


IMAGES: dict[str, dict[str, Any]] = {
    "mnist": {"epochs": 20},
    "mnist, 40 epochs": {"epochs": 40},
    "mnist, 2 dimensions": {"epochs": 20, "latent": 2},
    "mnist, 50 dimensions": {"epochs": 20, "latent": 50},
    "fashion_mnist": {"epochs": 20},
    "digits": {},
}
"""Settings of the runs by data set; the name of the data comes before a comma."""
TABLES = {f"table {i}": i for i in range(5)}
DATA = (*IMAGES, *TABLES)
K = {name: 10 if name in IMAGES else len(SHARES) for name in DATA}
ARMS: dict[str, dict[str, Any]] = {
    "identity": {"mapping": "identity"},
    "ours": {"mapping": "cluster:k={k}"},
    "ours, no start": {"mapping": "cluster:k={k}", "start": "none"},
    "ours, k-means start": {"mapping": "cluster:k={k}", "start": "kmeans"},
    "paper's constants": {"mapping": "cluster:k={k},preset=paper", "start": "none"},
    "mog": {"mapping": "identity", "prior": "mog:k={k},preset=learned"},
    "gmvae": {"mapping": "first:keep={latent}", "prior": "gmvae:k={k},w=5", "latent": "{latent}+5"},
    "mog, our start": {"mapping": "identity", "prior": "mog:k={k},preset=learned", "start": "mixture"},
    "gmvae, our start": {
        "mapping": "first:keep={latent}",
        "prior": "gmvae:k={k},w=5",
        "latent": "{latent}+5",
        "start": "mixture",
    },
}
"""What is trained."""
FITTED = ("k-means", "mixture", "k-means of means", "mixture of means")
"""What scikit-learn fits."""


def settings_of(data: str, arm: str, seed: int) -> dict[str, Any]:
    """The settings of a run, the same for all arms but for the arm's own."""
    same: dict[str, Any] = {"network": "mlp", "seed": seed, "evaluate_every": 10**9, "latent": 10}
    if data in IMAGES:
        same |= {"data": data.partition(",")[0], **IMAGES[data]}
    else:
        x, label = table_of(TABLES[data])
        same |= {
            "data": make_dataset(data, x, torch.from_numpy(label)),
            "latent": 6,
            "network": "mlp:hidden=[64,64]",
        }
    own = {}
    for key, value in ARMS[arm].items():
        text = value.replace("{k}", str(K[data])).replace("{latent}", str(same["latent"]))
        own[key] = sum(map(int, text.split("+"))) if key == "latent" else text
    return same | own


def trained_arm(data: str, arm: str, seed: int, runs: Path) -> Any:
    """The run of a cell, kept in a folder of its own."""
    settings = settings_of(data, arm, seed)
    name = settings["data"] if isinstance(settings["data"], str) else data.replace(" ", "-")
    return trained(runs, as_data=name, **settings)


def cell(job: tuple[str, str, int, Path]) -> dict[str, Any]:
    """One data set, one arm, one seed, in a process of its own."""
    data, arm, seed, runs = job
    torch.set_num_threads(1)
    row: dict[str, Any] = {"data": data, "arm": arm, "seed": seed}
    if arm in FITTED:
        return row | _fitted(data, arm, seed, runs)
    run = trained_arm(data, arm, seed, runs)
    dataset = _dataset(data, run)
    row |= {"elbo": run.metrics["test"]["elbo"], "steps": run.metrics["step"], "seconds": run.metrics["seconds"]}
    test = dataset.test
    cluster = _cluster(run, test.x)
    if cluster is not None:
        shares = next(iter(clusterings_of(run.model.mapping)), None)
        if shares is not None:
            row["smallest"] = float(shares[0].proportions().detach().min())
        row |= _scores(cluster, test.labels.numpy(), K[data])
    metrics = ["likelihood:particles=500,limit=1000"] + (
        ["frechet:n=5000"] if data in IMAGES and data != "digits" else []
    )
    for metric in metrics:
        for measured in measure(Subject(run, dataset=dataset), [parse_spec("metrics", metric)]):
            if measured.status == "measured" and measured.measurement is not None:
                for name, number in measured.measurement.numbers.items():
                    row[f"{metric.partition(':')[0]} {name}"] = number.value
    return row


def _dataset(data: str, run: Any) -> Any:
    if data in IMAGES:
        return run.dataset(None)
    x, label = table_of(TABLES[data])
    return make_dataset(data, x, torch.from_numpy(label))


def _cluster(run: Any, x: torch.Tensor) -> np.ndarray | None:
    """The cluster of the posterior mean of each example: of the mapping, or of a mixture prior."""
    y = run.encode(x, standardised=True).mean
    found = clusterings_of(run.model.mapping)
    if found:
        part, dims = found[0]
        return part.assign(y[:, list(dims)]).numpy()
    prior = run.model.current_prior()
    if hasattr(prior, "log_responsibilities"):
        return prior.log_responsibilities(y).argmax(-1).numpy()
    return None


def _fitted(data: str, arm: str, seed: int, runs: Path) -> dict[str, Any]:
    """Clusters that scikit-learn finds in the values, or in the means of a plain VAE."""
    of_means = arm.endswith("of means")
    run = trained_arm(data, "identity", seed, runs)
    dataset = _dataset(data, run)
    train, test = dataset.train.x, dataset.test.x
    if of_means:
        fit, ask = (run.encode(x, standardised=True).mean.double().numpy() for x in (train, test))
    else:
        scale = 255 if train.dtype == torch.uint8 else 1
        fit, ask = (x.flatten(1).double().numpy() / scale for x in (train, test))
    some = fit[np.random.default_rng(seed).permutation(len(fit))[:20_000]]
    if arm.startswith("k-means"):
        cluster = KMeans(K[data], n_init=10, random_state=seed).fit(some).predict(ask)
    else:
        shape = "full" if some.shape[1] <= 64 else "diag"
        model = GaussianMixture(K[data], covariance_type=shape, n_init=5, reg_covar=1e-3, random_state=seed)
        cluster = model.fit(some).predict(ask)
    return _scores(cluster, dataset.test.labels.numpy(), K[data])


def _scores(cluster: np.ndarray, label: np.ndarray, k: int) -> dict[str, float]:
    table = np.zeros((k, k), dtype=int)
    np.add.at(table, (cluster, label), 1)
    matched = linear_sum_assignment(-table)
    return {
        "nmi": float(normalized_mutual_info_score(label, cluster)),
        "ari": float(adjusted_rand_score(label, cluster)),
        "accuracy": float(table[matched].sum() / len(label)),
    }


# --- the table -------------------------------------------------------------------------------------------------

SHOWN: dict[str, tuple[str, int]] = {
    "accuracy": ("accuracy", 2),
    "NMI": ("nmi", 2),
    "ARI": ("ari", 2),
    "ELBO": ("elbo", 1),
    "log p(x)": ("likelihood log p", 1),
    "Fréchet": ("frechet frechet distance", 0),
    "smallest": ("smallest", 3),
}


def against_identity(rows: list[dict[str, Any]], of: list[dict[str, Any]]) -> str:
    """The mean difference of the ELBO from that of identity with the same seed, and its standard deviation."""
    plain = {row["seed"]: row["elbo"] for row in rows if row["arm"] == "identity"}
    gaps = [row["elbo"] - plain[row["seed"]] for row in of if "elbo" in row and row["seed"] in plain]
    if not gaps or of[0]["arm"] == "identity":
        return ""
    spread = f" ± {statistics.stdev(gaps):.1f}" if len(gaps) > 1 else ""
    return f"{statistics.mean(gaps):+.1f}{spread}"


def tables(rows: list[dict[str, Any]]) -> str:
    """Markdown: a table for each data set."""
    text = []
    for data in DATA:
        here = [row for row in rows if row["data"] == data]
        if not here:
            continue
        columns = {name: c for name, c in SHOWN.items() if any(row.get(c[0]) is not None for row in here)}
        head = ["arm", "seeds", *columns, "ELBO − identity's"]
        text += [f"### {data}, k = {K[data]}", "", f"| {' | '.join(head)} |", "|---" * len(head) + "|"]
        for arm in (*ARMS, *FITTED):
            mine = [row for row in here if row["arm"] == arm]
            if mine:
                cells = [shown(mine, key, digits) for key, digits in columns.values()]
                text.append(f"| {arm} | {len(mine)} | {' | '.join(cells)} | {against_identity(here, mine)} |")
        text.append("")
    return "\n".join(text)


def _order(row: dict[str, Any]) -> tuple[int, int, int]:
    return DATA.index(row["data"]), [*ARMS, *FITTED].index(row["arm"]), row["seed"]


def main(compute: Callable[[tuple[str, str, int, Path]], dict[str, Any]] = cell) -> None:
    """Compute what is missing, write the rows as they come, print the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", action="append", choices=DATA, help="may be repeated; all by default")
    parser.add_argument("--arm", action="append", choices=[*ARMS, *FITTED], help="may be repeated; all by default")
    parser.add_argument("--seeds", type=int, default=10)
    parser.add_argument("--first-seed", type=int, default=0)
    parser.add_argument("--jobs", type=int, default=min(2, os.cpu_count() or 1))
    parser.add_argument("--runs", type=Path, default=Path("runs/clusters"))
    parser.add_argument("--rows", type=Path, default=Path("docs/results/clusters.json"))
    parser.add_argument("--out", type=Path, help="file for the tables, between its lines of text")
    arguments = parser.parse_args()
    rows = kept(arguments.rows)
    done = {(row["data"], row["arm"], row["seed"]) for row in rows}
    seeds = range(arguments.first_seed, arguments.first_seed + arguments.seeds)
    cells = [
        (data, arm, seed)
        for seed in seeds
        for data in arguments.data or DATA
        for arm in arguments.arm or [*ARMS, *FITTED]
    ]
    jobs = [(*wanted, arguments.runs) for wanted in cells if wanted not in done]
    added(rows, arguments.rows, jobs, compute, _order, arguments.jobs)
    text = tables(rows)
    print(text)
    if arguments.out is not None:
        put_into(arguments.out, "tables", text)


if __name__ == "__main__":
    main()
