"""Do learned proportions follow the posterior's mass, and only when they should?"""

import math

import pytest
import torch
from intel_cluster import ClusterMapping, ClusterSpec, LearnedClusterMapping
from intel_cluster.simplex import corners

from intel_core import Regularised, SpecError, fit, parse_spec
from intel_core.schedules import ConstantScheduleSpec

SPECS = [{"k": 3, "split": "sectors"}, {"k": 2}, {"k": 4}, {"k": [2, 3]}, {"k": [2, 3], "split": "sectors"}]


def learned(**spec):
    return ClusterSpec(learnable=True, **spec).build(4)


def draws(n=500, seed=0):
    return torch.randn(n, 4, generator=torch.Generator().manual_seed(seed))


def test_the_estimator_decides_the_class():
    assert isinstance(learned(k=2), LearnedClusterMapping)
    pathwise = learned(k=2, estimator="pathwise")
    assert type(pathwise) is ClusterMapping
    assert not isinstance(pathwise, Regularised)
    with pytest.raises(SpecError, match="learnable=true"):
        parse_spec("mappings", "cluster:k=2,learnable=false,estimator=pathwise")


@pytest.mark.parametrize("spec", SPECS, ids=str)
def test_the_loss_is_the_divergence_of_mass_and_proportions(spec):
    """In plain numbers; for several cuts the sum over them."""
    mapping, y = learned(**spec), draws()
    _, losses = mapping.map_with_regularisers(y)
    counts = torch.bincount(mapping.assign(y), minlength=mapping.n_clusters)
    shape = spec["k"] if isinstance(spec["k"], list) else [spec["k"]]
    table, shares = counts.reshape(shape).double(), mapping.proportions().reshape(shape).double()
    expected = 0.0
    for axis in range(len(shape)):
        others = [d for d in range(len(shape)) if d != axis]
        mass = (table.sum(others) if others else table) / len(y)
        p = shares.sum(others) if others else shares
        expected += sum(m * math.log(m / q) for m, q in zip(mass.tolist(), p.tolist(), strict=True) if m > 0)
    assert losses["proportions"].item() == pytest.approx(expected, rel=1e-4)


@pytest.mark.parametrize("spec", SPECS, ids=str)
def test_z_is_the_same_and_teaches_the_proportions_nothing(spec):
    mapping, y = learned(**spec), draws()
    z, _ = mapping.map_with_regularisers(y)
    assert torch.equal(z, mapping(y))
    assert not z.requires_grad
    moved = y.clone().requires_grad_()
    through, _ = mapping.map_with_regularisers(moved)
    plain = y.clone().requires_grad_()
    ours, theirs = (torch.autograd.grad(z.sin().sum(), at)[0] for z, at in ((through, moved), (mapping(plain), plain)))
    assert torch.equal(ours, theirs)


def test_gradient_is_proportions_minus_mass():
    mapping, y = learned(k=3, split="sectors"), draws()
    _, losses = mapping.map_with_regularisers(y)
    (gradient,) = torch.autograd.grad(losses["proportions"], [mapping.splits[0].u])
    mass = torch.bincount(mapping.assign(y), minlength=3) / len(y)
    torch.testing.assert_close(gradient, mapping.proportions().detach() - mass)


def test_proportions_wait_for_the_whole_displacement():
    mapping, y = learned(k=3), draws()
    mapping.set_strength(0.9)
    assert not mapping.map_with_regularisers(y)[1]["proportions"].requires_grad
    mapping.set_strength(1.0)
    assert mapping.map_with_regularisers(y)[1]["proportions"].requires_grad


def on_bisectors(mapping, chosen):
    """A point far inside the cluster of each row, wherever that is by now."""
    shares = mapping.splits[0].proportions().detach()
    angle = 2 * math.pi * (shares.cumsum(0) - shares / 2)[chosen]
    return torch.stack([angle.cos(), angle.sin(), angle, angle], dim=-1)


@pytest.mark.promptly(every=4)
@pytest.mark.parametrize("shares", [[0.6, 0.1, 0.3], [0.02, 0.98], [0.5, 0.5], [0.9, 0.1]], ids=str)
def test_steps_lead_to_the_mass_of_sectors(shares):
    """With posteriors that go where their cluster goes."""
    mapping = learned(k=len(shares), split="sectors")
    chosen = torch.repeat_interleave(torch.arange(len(shares)), torch.tensor([round(1000 * s) for s in shares]))
    optimizer = torch.optim.Adam(mapping.parameters(), lr=0.02)
    for _ in range(800):
        optimizer.zero_grad()
        mapping.map_with_regularisers(on_bisectors(mapping, chosen))[1]["proportions"].backward()
        optimizer.step()
    assert mapping.proportions().tolist() == pytest.approx(shares, abs=5e-3)


@pytest.mark.promptly(every=5)
@pytest.mark.parametrize(
    "shares", [[0.05, 0.1, 0.25, 0.6], [0.02, 0.98], [0.5, 0.5], [0.2, 0.8], [0.6, 0.1, 0.3]], ids=str
)
def test_steps_lead_to_the_mass_of_cells(shares):
    mapping, k = learned(k=len(shares)), len(shares)
    y = torch.zeros(1000, 4)
    chosen = torch.repeat_interleave(torch.arange(k), torch.tensor([round(1000 * s) for s in shares]))
    y[:, : k - 1] = 50 * corners(k)[chosen]
    optimizer = torch.optim.Adam(mapping.parameters(), lr=0.02)
    for _ in range(800):
        optimizer.zero_grad()
        mapping.map_with_regularisers(y)[1]["proportions"].backward()
        optimizer.step()
    assert mapping.proportions().tolist() == pytest.approx(shares, abs=5e-3)


def test_an_empty_cluster_gives_no_infinity():
    mapping = learned(k=2, split="simplex")
    with torch.no_grad():
        mapping.splits[0].b.fill_(-40.0)  # its share is 4e-350, which is 0 in float64
    _, losses = mapping.map_with_regularisers(draws())
    assert torch.isfinite(losses["proportions"])
    losses["proportions"].backward()
    assert torch.isfinite(mapping.splits[0].b.grad)


def test_a_run_is_advised_to_wait_and_a_user_may_say_otherwise(tmp_path):
    x = torch.randn(200, 4, generator=torch.Generator().manual_seed(0))
    two = ["cluster:k=2,learnable=true,dims=0-1", "cluster:k=3,learnable=true,dims=2-3"]
    run = fit(mapping=two, data=x, latent=4, steps=16, run_dir=tmp_path / "two")
    assert run.spec.schedules["strength"].at(0) == 1
    for name in ("proportions0", "proportions1"):  # numbered, as the composition numbers its auxiliary losses
        assert [run.spec.schedules[name].at(step) for step in (0, 8, 9, 16)] == [0, 0, 1, 1]  # behind the warm-up
    asked = {"strength": "linear:steps=8", "proportions": "constant"}
    run = fit(mapping=two[0], data=x, latent=2, steps=16, schedules=asked, run_dir=tmp_path / "one")
    assert [run.spec.schedules["proportions"].at(0), run.spec.schedules["strength"].at(4)] == [1, 0.5]
    image = ClusterSpec(k=2, learnable=True).advised_schedules(800, {"kl": ConstantScheduleSpec()})["proportions"]
    assert [image.at(step) for step in (100, 101)] == [0, 1]
    fixed = ClusterSpec(k=2, learnable=False).advised_schedules(100, {})
    assert list(fixed) == ["strength"]
    assert fixed["strength"].at(0) == pytest.approx(0.3)


@pytest.mark.slow
def test_a_run_reports_it_and_learns_an_unequal_share(tmp_path):
    """Two far apart groups, a quarter and three quarters: the learned shares find them."""
    generator = torch.Generator().manual_seed(0)
    x = 0.1 * torch.randn(2000, 2, generator=generator)
    x[:500, 0] -= 2
    x[500:, 0] += 2
    run = fit(
        mapping="cluster:k=2,learnable=true",
        start="none",
        data=x[torch.randperm(2000, generator=generator)],
        steps=2000,
        learning_rate=3e-3,
        run_dir=tmp_path / "run",
    )
    assert "proportions" in run.metrics["test"]
    assert sorted(run.metrics["mapping"]["proportions"]) == pytest.approx([0.25, 0.75], abs=0.06)
