"""Cells that are turned towards clusters are the same cells elsewhere: same shares, same volume, same round trip."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from intel_cluster import ClusterSpec
from torch import Tensor

from intel_core import Trainer, fit, load_run, parse_spec, resume
from intel_core.helpers.shares import Turns
from intel_core.helpers.turning import own_axes
from intel_core.mappings.building import build_mapping

SPECS: dict[str, tuple[str, int]] = {
    "two in a line": ("cluster:k=2", 1),
    "two": ("cluster:k=2", 3),
    "three": ("cluster:k=3", 2),
    "three with room": ("cluster:k=3,proportions=[0.5,0.3,0.2]", 5),
    "ten": ("cluster:k=10", 12),
    "sectors": ("cluster:k=5,split=sectors,proportions=[0.3,0.1,0.2,0.2,0.2]", 4),
    "ten sectors": ("cluster:k=10", 2),
    "a product": ("cluster:k=[2,3]", 4),
    "smooth": ("cluster:k=4,form=smooth,learnable=false", 3),
}
every = pytest.mark.parametrize("name", SPECS)


def made(name: str, seed: int = 0) -> Any:
    """A mapping that is turned at random, in float64, and its shares somewhere."""
    text, y_dim = SPECS[name]
    mapping: Any = build_mapping([parse_spec("mappings", text)], y_dim).double()
    generator = torch.Generator().manual_seed(seed)
    mapping.turn_towards(torch.randn(mapping.n_clusters, y_dim, generator=generator))
    return mapping


def rows(mapping: Any, n: int = 200, seed: int = 1) -> Tensor:
    return torch.randn(n, mapping.y_dim, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def close(one: Tensor, other: Tensor, tolerance: float) -> None:
    torch.testing.assert_close(one.detach().double(), other.detach().double(), rtol=0, atol=tolerance)


def straight(mapping: Any) -> tuple[Any, Tensor]:
    """The same mapping along its own axes, and these as rows."""
    found = own_axes(mapping)
    return found.mapping, torch.eye(mapping.y_dim).double() if found.axes is None else found.axes


@every
def test_it_is_the_straight_mapping_between_two_rotations(name: str) -> None:
    mapping, y = made(name), rows(made(name))
    plain, axes = straight(mapping)
    close(axes @ axes.T, torch.eye(mapping.y_dim), 1e-12)
    turned = y @ axes.T
    close(mapping(y), (plain(turned) @ axes).detach(), 1e-12)
    assert torch.equal(mapping.assign(y), plain.assign(turned))
    close(mapping.log_abs_det_jacobian(y), plain.log_abs_det_jacobian(turned).detach(), 1e-12)
    assert torch.equal(mapping.proportions(), plain.proportions())


@every
def test_the_inverse_and_the_volume_are_those_of_g(name: str) -> None:
    mapping, y = made(name), rows(made(name), 20)
    close(mapping.inverse(mapping(y)), y, 1e-9)
    for row in y[:5]:
        jacobian = torch.autograd.functional.jacobian(mapping, row)
        close(mapping.log_abs_det_jacobian(row), torch.linalg.slogdet(jacobian)[1], 1e-9)


@every
def test_shares_of_draws_are_those_that_are_told(name: str) -> None:
    mapping = made(name)
    counts = torch.bincount(mapping.assign(rows(mapping, 200_000)), minlength=mapping.n_clusters)
    close(counts / 200_000, mapping.proportions().detach(), 0.006)


@every
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32, torch.float64])
def test_other_precisions_turn_by_the_same_directions(name: str, dtype: torch.dtype) -> None:
    mapping = made(name)
    y = rows(mapping)
    exact, told = mapping(y), mapping.directions().clone()
    moved = copy.deepcopy(mapping).to(dtype)
    assert torch.equal(moved.directions(), told)
    coarse = {torch.float16: 2e-2, torch.bfloat16: 2e-1, torch.float32: 1e-5, torch.float64: 1e-12}[dtype]
    near = (moved(y.to(dtype)).double() - mapping(y.to(dtype).double())).detach().abs().amax(-1)
    assert float(near.median()) < coarse
    assert moved(y.to(dtype)).dtype == dtype
    assert exact.dtype == torch.float64


@every
def test_a_state_that_is_saved_brings_its_directions_back(name: str) -> None:
    mapping, (text, y_dim) = made(name), SPECS[name]
    fresh: Any = build_mapping([parse_spec("mappings", text)], y_dim).double()
    fresh.load_state_dict(mapping.state_dict())
    y = rows(mapping)
    assert torch.equal(fresh(y), mapping(y))
    fresh.turn_back()
    assert fresh.directions() is None
    plain: Any = build_mapping([parse_spec("mappings", text)], y_dim).double()
    plain.load_state_dict(fresh.state_dict())
    assert torch.equal(plain(y), fresh(y))


@settings(max_examples=30)
@given(st.integers(2, 8), st.integers(0, 4), st.integers(0, 1000))
def test_clusters_at_turned_corners_get_their_cells(k: int, room: int, seed: int) -> None:
    """The corners, turned by any rotation and moved by any vector, are found again."""
    from intel_cluster.simplex import corners

    generator = torch.Generator().manual_seed(seed)
    mapping: Any = ClusterSpec(k=k).build(k - 1 + room).double()
    rotation = torch.linalg.qr(torch.randn(mapping.y_dim, mapping.y_dim, generator=generator, dtype=torch.float64)).Q
    at = 2 * corners(k) @ rotation[:, : k - 1].T
    mapping.turn_towards(at + torch.randn(mapping.y_dim, generator=generator, dtype=torch.float64))
    assert mapping.assign(at).tolist() == list(range(k))


def scattered(k: int, y_dim: int, seed: int) -> Tensor:
    """Centres around 0 in some plane, at equal angles, in any order."""
    generator = torch.Generator().manual_seed(seed)
    angle = (torch.randperm(k, generator=generator) + 0.3) * 2 * torch.pi / k
    plane = torch.linalg.qr(torch.randn(y_dim, 2, generator=generator, dtype=torch.float64)).Q
    return 2 * torch.stack([torch.cos(angle), torch.sin(angle)], 1).double() @ plane.T


@pytest.mark.parametrize("y_dim", [2, 5])
@pytest.mark.parametrize("learnable", [True, False])
@pytest.mark.parametrize("seed", range(5))
def test_sectors_lie_in_the_order_of_the_clusters(y_dim: int, learnable: bool, seed: int) -> None:
    centres = scattered(10, y_dim, seed)
    mapping: Any = ClusterSpec(k=10, split="sectors", learnable=learnable).build(y_dim).double()
    mapping.turn_towards(centres)
    assert mapping.assign(centres).tolist() == list(range(10))


@pytest.mark.parametrize("learnable", [True, False])
def test_each_sector_keeps_its_share_in_another_order(learnable: bool) -> None:
    shares = torch.tensor([0.4, 0.1, 0.2, 0.25, 0.05])
    spec = ClusterSpec(k=5, split="sectors", learnable=learnable, proportions=tuple(shares.tolist()))
    mapping: Any = spec.build(2).double()
    mapping.turn_towards(scattered(5, 2, 3))
    assert mapping.splits[0].order.tolist() != list(range(5))
    close(mapping.proportions(), shares, 1e-7)
    counts = torch.bincount(mapping.assign(rows(mapping, 200_000)), minlength=5)
    close(counts / 200_000, shares, 0.006)


def test_an_order_that_names_a_cluster_twice_is_refused() -> None:
    mapping: Any = ClusterSpec(k=4).build(2)
    state = mapping.state_dict()
    state["splits.0.order"] = torch.tensor([0, 1, 1, 3])
    with pytest.raises(ValueError, match="names not each cluster once"):
        mapping.load_state_dict(state)


def test_sectors_that_a_start_has_turned_keep_their_shares_and_cells_learn_on() -> None:
    for text, y_dim, learns in (("cluster:k=5,split=sectors", 2, False), ("cluster:k=5", 4, True)):
        mapping: Any = build_mapping([parse_spec("mappings", text)], y_dim)
        for turned in (False, True):
            if turned:
                mapping.turn_towards(torch.randn(5, y_dim))
            _, losses = mapping.map_with_regularisers(torch.randn(50, y_dim))
            (gradient,) = torch.autograd.grad(losses["proportions"], list(mapping.parameters()))
            assert bool(gradient.any()) == (learns or not turned)


def test_a_training_from_sectors_that_were_put_in_order_is_resumed_exactly(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    generator = torch.Generator().manual_seed(0)
    x = 4 * torch.eye(5)[torch.arange(300) % 5] + 0.3 * torch.randn(300, 5, generator=generator)
    words: dict[str, Any] = {"mapping": "cluster:k=5,split=sectors", "data": x, "latent": 2, "steps": 60, "seed": 0}
    words |= {"start": "kmeans", "encoder": "mlp:hidden=[16]", "save_every": 20}
    whole: Any = fit(**words, run_dir=tmp_path / "whole").model.mapping
    honest = Trainer.take_step

    def killed(trainer: Trainer, *rest: Any, **more: Any) -> Any:
        if trainer.step == 50:
            raise InterruptedError
        return honest(trainer, *rest, **more)

    monkeypatch.setattr(Trainer, "take_step", killed)
    with pytest.raises(InterruptedError):
        fit(**words, run_dir=tmp_path / "run")
    monkeypatch.undo()
    again: Any = resume(tmp_path / "run", data=x).model.mapping
    assert whole.splits[0].order.tolist() != list(range(5))
    assert all(torch.equal(value, again.state_dict()[name]) for name, value in whole.state_dict().items())
    y = torch.randn(50, 2, generator=generator)
    assert torch.equal(load_run(tmp_path / "run").model.mapping.assign(y), whole.assign(y))


def test_centres_that_are_all_the_same_leave_a_bijection() -> None:
    mapping: Any = ClusterSpec(k=4).build(5).double()
    mapping.turn_towards(torch.ones(4, 5))
    y = rows(mapping)
    close(mapping.inverse(mapping(y)), y, 1e-9)


def test_places_are_told_only_while_they_lie_along_axes() -> None:
    mapping = made("three")
    assert not mapping.properties.seams
    assert not mapping.properties.planes
    assert mapping.properties.clusters == 3
    mapping.turn_back()
    assert mapping.properties.planes == ((0, 1),)
    assert mapping.properties.seams


@pytest.mark.parametrize("text", ["cluster:k=3,preset=paper", "cluster:k=3,turn=false", "cluster:k=9,turn=false"])
def test_without_a_turn_nothing_is_turned_and_nothing_more_is_saved(text: str) -> None:
    mapping: Any = build_mapping([parse_spec("mappings", text)], 3)
    before = {name: value.clone() for name, value in mapping.state_dict().items()}
    mapping.turn_towards(torch.randn(mapping.n_clusters, 3))
    assert mapping.directions() is None
    assert mapping.state_dict().keys() == before.keys()
    assert not any("turn" in name or "order" in name for name in before)


def test_texts_of_runs_from_before_there_was_a_setting_mean_what_they_meant() -> None:
    now = ClusterSpec(k=4).model_dump()
    without_order = {name: value for name, value in now.items() if name != "order"}
    assert ClusterSpec.model_validate(without_order).order is False
    assert ClusterSpec.model_validate(without_order).turn is True
    without_turn = {name: value for name, value in without_order.items() if name != "turn"}
    without_preset = {name: value for name, value in without_turn.items() if name != "preset"} | {"split": "auto"}
    for earlier in (without_turn, without_preset):
        assert (ClusterSpec.model_validate(earlier).turn, ClusterSpec.model_validate(earlier).order) == (False, False)
    assert ClusterSpec.model_validate(without_preset).split == "sectors"
    assert (ClusterSpec().turn, ClusterSpec().order) == (True, True)
    assert (ClusterSpec(preset="paper").turn, ClusterSpec(preset="paper").order) == (False, False)


def test_weights_of_turned_sectors_without_an_order_are_read(tmp_path: Path) -> None:
    """As they were written before sectors had one."""
    x = torch.randn(200, 4, generator=torch.Generator().manual_seed(0))
    run = fit(
        mapping="cluster:k=5,order=false", data=x, start="kmeans:fits=1", latent=2, steps=20, seed=0,
        encoder="mlp:hidden=[4]", run_dir=tmp_path / "run",
    )  # fmt: skip
    assert not any("order" in name for name in run.model.state_dict())
    path = tmp_path / "run" / "run.json"
    path.write_text(path.read_text().replace(",order=false", ""))
    y = torch.randn(50, 2, generator=torch.Generator().manual_seed(1))
    assert torch.equal(load_run(tmp_path / "run").model.mapping(y), run.model.mapping(y))


def test_a_start_turns_the_cells_of_a_run_and_a_later_reader_sees_the_same(tmp_path: Path) -> None:
    generator = torch.Generator().manual_seed(0)
    true = torch.arange(300) % 3
    x = 4 * torch.eye(4)[true + 1] + 0.3 * torch.randn(300, 4, generator=generator)
    run = fit(
        mapping="cluster:k=3", data=x, start="kmeans", latent=4, steps=80, seed=0, encoder="mlp:hidden=[16]",
        run_dir=tmp_path / "run",
    )  # fmt: skip
    mapping: Any = run.model.mapping
    assert isinstance(mapping, Turns)
    assert mapping.directions() is not None
    y = torch.randn(50, 4, generator=generator)
    assert torch.equal(load_run(tmp_path / "run").model.mapping(y), mapping(y))
    assert torch.allclose(mapping.turn.rows @ mapping.turn.rows.T, torch.eye(2), atol=1e-6)
