"""Pictures as PDF and SVG, the same bytes each time; of several seeds one below the other, with the classes by name."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from intel_cli.pictures import MOST_SEEDS, save_latents
from intel_cli.pictures.latent import Latent, latent_rows
from intel_cli.pictures.points import by_cluster

from intel_core import load_mapping, load_run

NAMES = ("samples", "reconstructions", "latent")
BEGINS = {"png": b"\x89PNG", "pdf": b"%PDF", "svg": b"<?xml"}


@pytest.mark.promptly("svg")
@pytest.mark.parametrize("kind", BEGINS)
def test_a_report_draws_the_pictures_in_a_format(ok: Any, trained: Path, here: Path, kind: str) -> None:
    run = Path(shutil.copytree(trained / "points", here / "run"))
    for path in run.glob("*.png"):
        path.unlink()
    told = json.loads(ok("report", run, "--format", kind, "--json").stdout)
    assert told["pictures"] == [str(run / f"{name}.{kind}") for name in NAMES]
    first = {name: (run / f"{name}.{kind}").read_bytes() for name in NAMES}
    assert all(content.startswith(BEGINS[kind]) for content in first.values())
    said = ok("report", run, "--format", kind).stdout
    assert all(str(run / f"{name}.{kind}") in said for name in NAMES)
    assert first == {name: (run / f"{name}.{kind}").read_bytes() for name in NAMES}


def test_without_a_format_nothing_is_drawn_and_a_wrong_one_is_told(
    ok: Any, refused: Any, trained: Path, here: Path
) -> None:
    run = Path(shutil.copytree(trained / "points", here / "run"))
    before = {path.name for path in run.iterdir()}
    assert "pictures" not in json.loads(ok("report", run, "--json").stdout)
    assert {path.name for path in run.iterdir()} - before <= {"report.html", "evaluation"}
    refused("report", run, "--format", "jpg", says="'png', 'pdf', 'svg'")


@pytest.mark.slow
def test_seeds_are_drawn_one_below_the_other(ok: Any, here: Path, tiny: Any) -> None:
    ok("train", "--data", "toy_points", *tiny, "--replicates", 2, "--quiet", "--run-dir", "group")
    assert (here / "group" / "latent.png").is_file()
    assert not list((here / "group" / "seed-0").glob("*.png"))
    told = json.loads(ok("report", "group", "--format", "pdf", "--json").stdout)
    expected = ["latent.pdf", *(f"seed-{seed}/{name}.pdf" for seed in (0, 1) for name in NAMES)]
    assert [Path(path).relative_to("group").as_posix() for path in told["pictures"]] == expected
    assert all((here / "group" / path).read_bytes().startswith(b"%PDF") for path in expected)
    ok("train", "--data", "toy_points", *tiny, "--replicates", 2, "--quiet", "--no-pictures", "--run-dir", "bare")
    assert not list((here / "bare").rglob("*.png"))


def test_drawing_that_fails_costs_no_run(ok: Any, here: Path, tiny: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    def failing(*args: object) -> None:
        raise RuntimeError("no ink")

    monkeypatch.setattr("intel_cli.pictures.save_latents", failing)
    result = ok("train", "--data", "toy_points", *tiny, "--replicates", 2, "--quiet", "--run-dir", "group")
    assert result.stderr == "Warning: no picture was drawn: RuntimeError: no ink\n"
    assert load_run(here / "group" / "seed-1").status == "finished"


def test_the_legend_has_the_names_of_the_classes_once() -> None:
    labels = torch.arange(40) % 2
    runs = [
        Latent(f"seed {seed}", load_mapping("identity", 2), torch.randn(40, 2, generator=generator(seed)), labels)
        for seed in range(3)
    ]
    made = latent_rows(runs, ["adelie", "gentoo"])
    said = [text.get_text() for text in made.legends[0].get_texts()]
    assert [text for text in said if text in ("adelie", "gentoo")] == ["adelie", "gentoo"]
    assert len(said) == len(set(said))
    titles = [axes.get_title() for axes in made.axes]
    assert [title.partition(":")[0] for title in titles[::2]] == ["seed 0", "seed 1", "seed 2"]


def test_a_cluster_has_the_same_colour_whichever_others_are_empty() -> None:
    mapping: Any = load_mapping("halves", 2)
    both = by_cluster(mapping, torch.tensor([0, 1, 1]))
    one = by_cluster(mapping, torch.tensor([1, 1, 1]))
    assert [group.name for group in both] == ["cluster 1", "cluster 2"]
    assert one[0].name == "cluster 2"
    assert one[0].style == both[1].style


def test_of_many_seeds_the_first_are_drawn(trained: Path, here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    drawn: list[int] = []
    monkeypatch.setattr("intel_cli.pictures.latent_rows", lambda rows, names: drawn.append(len(rows)))
    monkeypatch.setattr("intel_cli.pictures.save", lambda made, path: None)
    run = load_run(trained / "points")
    save_latents(here / "latent.png", [run] * (MOST_SEEDS + 2), run.dataset())
    assert drawn == [MOST_SEEDS]


def generator(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)
