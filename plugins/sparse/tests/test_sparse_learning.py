"""Does the loss, with its sign, make z sparse, and is what was learned kept?"""

import json

import pytest
import torch
from intel_sparse import SparseSpec, gaussian_floor, hoyer, hoyer_score, sparsity_loss

from intel_core import fit, load_mapping, load_run

D = 10


def learn(sign=1.0, steps=400, **options):
    """Adam on the sparsity loss alone, on Gaussian y; the score of other Gaussian y."""
    torch.manual_seed(0)
    mapping = SparseSpec(**options).build(D)
    generator = torch.Generator().manual_seed(1)
    optimiser = torch.optim.Adam(mapping.parameters(), lr=1e-2)
    for _ in range(steps):
        y = torch.randn(200, D, generator=generator)
        _, losses = mapping.map_with_regularisers(y)
        optimiser.zero_grad()
        (sign * mapping.regularisers["sparsity"] * losses["sparsity"]).backward()
        optimiser.step()
    held_out = torch.randn(2000, D, generator=torch.Generator().manual_seed(2))
    return mapping, hoyer_score(mapping(held_out)), held_out


@pytest.mark.parametrize("normalisation", ["paper", "released"])
@pytest.mark.parametrize("target", ["gates", "latent"])
def test_minimised_the_loss_makes_z_sparse(target, normalisation):
    options = {"gamma": 3.0, "target": target, "normalisation": normalisation}
    _, before, _ = learn(steps=0, **options)
    _, after, _ = learn(**options)
    assert before == pytest.approx(gaussian_floor(D), abs=0.03)
    assert after > gaussian_floor(D) + 0.5


@pytest.mark.parametrize("normalisation", ["paper", "released"])
def test_maximised_as_the_paper_writes_it_would_make_z_dense(normalisation):
    mapping, score, held_out = learn(sign=-1.0, gamma=3.0, normalisation=normalisation)
    assert score == pytest.approx(gaussian_floor(D), abs=0.02)
    assert hoyer(mapping.gates(held_out)).mean().item() < 0.01


def favourites(mapping, y):
    """The share of rows whose largest gate is the most favoured dimension's."""
    return torch.bincount(mapping.gates(y).argmax(-1), minlength=D).max().item() / len(y)


def test_only_the_released_normalisation_is_certain_to_vary_the_dimensions():
    """With the paper's, a few rows of large gates make the mean even; most choose one and the same dimension."""
    mapping, _, held_out = learn(gamma=3.0, normalisation="released")
    assert favourites(mapping, held_out) < 0.25
    assert float(sparsity_loss(mapping.gates(held_out), "released").detach()) < -2
    mapping, _, held_out = learn(gamma=3.0, normalisation="paper")
    assert favourites(mapping, held_out) > 0.9
    gates = mapping.gates(held_out).detach()
    assert float(sparsity_loss(gates, "paper")) < -2
    assert float(sparsity_loss(gates, "released")) > -0.5


def test_every_parameter_learns_and_a_reload_has_the_same_gates():
    torch.manual_seed(0)
    start = SparseSpec(gamma=3.0).build(D).state_dict()
    mapping, _, held_out = learn(gamma=3.0)
    for name, value in mapping.state_dict().items():
        assert (value - start[name]).abs().max() > 0.05, name
    fresh = SparseSpec(gamma=3.0).build(D)
    assert not torch.allclose(fresh.gates(held_out), mapping.gates(held_out), atol=0.1)
    fresh.load_state_dict(mapping.state_dict())
    assert torch.equal(fresh.gates(held_out), mapping.gates(held_out))


def test_a_floor_keeps_the_score_below_its_ceiling():
    mapping, score, _ = learn(gamma=3.0, floor=0.2)
    _, high = mapping.properties.sparsity
    assert gaussian_floor(D) + 0.05 < score < high


def data(n=200):
    return torch.rand(n, 6, generator=torch.Generator().manual_seed(0))


def test_a_run_logs_the_term_and_keeps_the_gates(tmp_path):
    x, labels = data(), torch.arange(200) % 3
    run = fit(mapping="sparse:gamma=1", data=x, labels=labels, latent=4, steps=30, run_dir=tmp_path / "run")
    lines = [json.loads(line) for line in (tmp_path / "run" / "metrics.jsonl").read_text().splitlines()]
    terms = [line["sparsity"] for line in lines if line["kind"] == "validation"]
    assert terms
    assert all(-2 < term <= 2 and term != 0 for term in terms)
    told = json.loads((tmp_path / "run" / "metrics.json").read_text())["mapping"]
    assert told["gaussian_floor"] == pytest.approx(gaussian_floor(4))
    assert len(told["gates_by_class"]) == 3
    y = torch.randn(20, 4, generator=torch.Generator().manual_seed(3))
    again = load_run(tmp_path / "run").model.mapping.cpu()
    torch.testing.assert_close(again.gates(y), run.model.mapping.cpu().gates(y), rtol=0, atol=0)
    assert not torch.allclose(again.gates(y), load_mapping("sparse:gamma=1", 4).gates(y), atol=1e-3)


def test_with_weight_0_the_term_is_reported_and_not_optimised(tmp_path):
    run = fit(mapping="sparse:gamma=0", data=data(), latent=4, steps=10, run_dir=tmp_path / "run")
    assert run.model.regularisers == {"sparsity": 0.0}
    line = json.loads((tmp_path / "run" / "metrics.jsonl").read_text().splitlines()[0])
    assert line["sparsity"] != 0
    # the KL term warms up with a weight in [0, 1]; beyond it the loss has no other term
    beyond = line["loss"] + line["log_likelihood"]
    assert -1e-5 <= beyond <= line["kl"] + 1e-5


def test_particles_of_an_importance_weighted_bound_are_one_batch(tmp_path):
    fit(
        mapping="sparse:gamma=1", data=data(), objective="iwae:particles=3", latent=4, steps=5, run_dir=tmp_path / "run"
    )
    line = json.loads((tmp_path / "run" / "metrics.jsonl").read_text().splitlines()[0])
    assert line["sparsity"] != 0
