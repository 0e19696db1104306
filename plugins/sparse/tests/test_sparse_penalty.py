"""Is `lsp` a plain VAE with the sparsity loss of its latent, and nothing else?"""

import pytest
import torch
from intel_sparse import gaussian_floor, hoyer_score, sparsity_loss

from intel_core import SpecError, fit, fit_replicates, format_spec, load_mapping, load_run, parse_spec

X = (torch.rand(200, 12, generator=torch.Generator().manual_seed(0)) > 0.5).float()
BASE = {"data": X, "steps": 60, "batch_size": 50, "device": "cpu", "latent": 6}


def test_it_is_the_identity_with_the_loss_of_the_absolute_values():
    mapping = load_mapping("lsp:gamma=30", 4)
    y = torch.randn(3, 50, 4)
    z, losses = mapping.map_with_regularisers(y)
    assert torch.equal(z, y)
    assert torch.equal(mapping(y), y)
    assert torch.equal(mapping.inverse(z), y)
    assert mapping.properties.injective
    assert mapping.regularisers == {"sparsity": 30.0}
    torch.testing.assert_close(losses["sparsity"], sparsity_loss(y.abs().reshape(-1, 4)))
    assert not list(mapping.parameters())


def test_both_normalisations_can_be_had():
    y = torch.randn(50, 4)
    for how in ("paper", "released"):
        term = load_mapping(f"lsp:normalisation={how}", 4).map_with_regularisers(y)[1]["sparsity"]
        assert torch.equal(term, sparsity_loss(y.abs(), how))


@pytest.mark.parametrize("text", ["lsp", "lsp:gamma=0", "lsp:gamma=30,normalisation=paper", "lsp:dims=0-2"])
def test_text_and_back(text):
    spec = parse_spec("mappings", text)
    assert parse_spec("mappings", format_spec(spec, explicit=True)) == spec
    assert load_mapping(text, 5).z_dim == 5


def test_one_dimension_is_too_few():
    with pytest.raises(SpecError, match="sparsity needs at least 2 latent dimensions, there is 1"):
        load_mapping("lsp", 1)


def test_without_weight_it_is_the_vanilla_vae_and_with_weight_it_is_sparser(tmp_path):
    plain = fit(**BASE, run_dir=tmp_path / "plain")
    reported = fit(**BASE, mapping="lsp:gamma=0", run_dir=tmp_path / "reported")
    for name, value in plain.model.state_dict().items():
        assert torch.equal(reported.model.state_dict()[name], value)
    pulled = fit(**BASE, mapping="lsp:gamma=300", learning_rate=1e-2, run_dir=tmp_path / "pulled")
    assert pulled.metrics["test"]["sparsity"] < reported.metrics["test"]["sparsity"] - 0.1


def test_it_samples_and_its_replicates_are_stacked(tmp_path):
    group = fit_replicates(2, **BASE, mapping="lsp:gamma=30", run_dir=tmp_path / "group")
    assert group.summary["stacked"], group.summary.get("why_not")
    assert load_run(group.runs[0].path).sample(3).shape == (3, 12)


def test_what_it_reports():
    mapping, y = load_mapping("lsp", 5), torch.randn(40, 5)
    assert mapping.diagnose(y, None) == {"hoyer": hoyer_score(y), "gaussian_floor": gaussian_floor(5)}
    assert mapping.diagnose(y[:0], None) == {"gaussian_floor": gaussian_floor(5)}
