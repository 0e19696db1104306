"""What does the model card of a run say? What it is, its numbers, whether its bias took, and how to use it."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import yaml

if TYPE_CHECKING:
    from intel_core.evaluation.bias.verdict import Verdict
    from intel_core.evaluation.run import Run

__all__ = ["card"]

_NUMBERS = {
    "elbo": "ELBO",
    "log_likelihood": "expected log-likelihood",
    "kl": "KL divergence",
    "active_units": "active units",
}


def card(run: Run, info: dict[str, Any], verdict: Verdict | None, source: str) -> str:
    """A model card in Markdown, with the front matter of the Hugging Face Hub.

    Args:
        run: a finished run.
        info: its ``run.json`` as it is handed on.
        verdict: whether its bias took; None if its data are not here.
        source: what ``intel pull`` is to be told.
    """
    spec, test = info["spec"], run.metrics["test"]
    mapping = " then ".join(str(one) for one in spec["mapping"]) or "identity"
    lines = [f"# {_plain(info['name'])}", ""]
    of = f"{info['data']['train']:,} examples of shape {info['data']['shape']}"
    lines += [
        f"An [InteL-VAE](https://arxiv.org/abs/2106.13746) with the mapping `{_code(mapping)}` between y and z, "
        f"trained on {_plain(info['data']['name'])}: {of}."
    ]
    lines += ["", "## Did the bias take?", ""]
    if verdict is None:
        lines += ["This was not asked: the data were not there when the run was handed on."]
    else:
        lines += _fenced(str(verdict).replace(str(run.path), "RUN"))
    lines += ["", "## Numbers", "", "On the test data, in nats per example:", "", "| | |", "|---|---|"]
    lines += [f"| {said} | {_number(test[name])} |" for name, said in _NUMBERS.items() if name in test]
    packages = sorted({one["distribution"] for one in info["components"]} | {"intelvae-hub", "intelvae-cli"})
    lines += ["", "## How to use it", ""]
    lines += _fenced(f"pip install {' '.join(_plain(one) for one in packages)}\nintel pull {source} --run-dir pulled")
    lines += [""]
    lines += _fenced(
        "from intel_core import load_run\n\n"
        'run = load_run("pulled")\n'
        "run.sample(16)     # new examples, in the units of the data\n"
        "run.encode(x)      # q(y|x) and z of examples x",
        "python",
    )
    lines += ["", "or `intel sample pulled`, `intel encode pulled`, `intel report pulled`."]
    if given := [one["kind"] for one in info["components"] if one["name"] == "given"]:
        lines += [
            "",
            f"Its {' and '.join(given)} are modules of its author's own, which no file describes: they are given to "
            "`load_run` as objects.",
        ]
    lines += ["", "## Settings", "", "| setting | value |", "|---|---|"]
    lines += [f"| {name} | {_cell(value)} |" for name, value in spec.items() if value not in (None, [], {}, "")]
    versions = ", ".join(f"{name} {version}" for name, version in info["versions"].items() if "intelvae" not in name)
    lines += [
        "",
        f"Trained with {_plain(versions)}; intelvae-core {_plain(info['versions'].get('intelvae-core', '?'))}.",
        "",
    ]
    return f"---\n{_front(info, test, mapping)}---\n\n" + "\n".join(lines)


def _front(info: dict[str, Any], test: dict[str, Any], mapping: str) -> str:
    """The YAML that the Hub reads."""
    name, data = str(info["name"]), info["data"]
    image = len(data["shape"]) == 3
    task = "unconditional-image-generation" if image else "feature-extraction"
    metrics = [
        {
            "type": name,
            "name": f"test {said} (nats per example)" if name != "active_units" else said,
            "value": test[name],
        }
        for name, said in _NUMBERS.items()
        if name in test and math.isfinite(test[name])
    ]
    result = {
        "task": {"type": task},
        "dataset": {"name": str(data["name"]), "type": str(data["name"])},
        "metrics": metrics,
    }
    parts = {part.partition(":")[0] for part in mapping.split(" then ")}
    front: dict[str, Any] = {
        "library_name": "intelvae",
        "pipeline_tag": task,
        "tags": ["vae", "intel-vae", "representation-learning", *sorted(parts - {"identity"})],
        "model-index": [{"name": name, "results": [result]}],
    }
    return yaml.safe_dump(front, sort_keys=False, allow_unicode=True)


def _fenced(text: str, language: str = "") -> list[str]:
    """A block in which nothing is markup, whatever the text holds."""
    fence = "```"
    while fence in text:
        fence += "`"
    return [fence + language, *text.splitlines(), fence]


def _plain(text: object) -> str:
    """Text in which nothing is markup or ends the line."""
    said = " ".join(str(text).split())
    return "".join(f"\\{sign}" if sign in "\\`*_[]<>#|" else sign for sign in said)


def _code(text: str) -> str:
    return " ".join(text.split()).replace("`", "'")


def _cell(value: object) -> str:
    said = ", ".join(map(str, value)) if isinstance(value, list) else str(value)
    if isinstance(value, dict):
        said = ", ".join(f"{key}={inner}" for key, inner in value.items())
    return f"`{_code(said)}`".replace("|", "\\|")


def _number(value: float) -> str:
    return f"{value:.5g}"
