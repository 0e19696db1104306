"""In which cluster is each example, how surely, and what is drawn from one? Held against values known exactly."""

import copy
import pickle

import pytest
import torch
from torch import nn

from intel_core import MappingSpec, fit, make_dataset, register
from intel_core.components import discovery
from intel_core.errors import RunError, SpecError
from intel_core.evaluation.clusters import clusters_of, draws_within
from intel_core.mappings.compose import Identity


class Thirds(Identity):
    """The plane in three: left of -0.5, right of it, and a cell beyond all draws."""

    n_clusters = 3

    def assign(self, y):
        return (y[..., 0] > -0.5).long() + (y[..., 0] > 50).long()

    def proportions(self):
        return torch.tensor([0.3085375, 0.6914625, 0.0])


class ThirdsSpec(MappingSpec):
    """For these tests."""

    def build(self, y_dim):
        return Thirds(y_dim)


@pytest.fixture(scope="module")
def x():
    return torch.randn(150, 3, generator=torch.Generator().manual_seed(0))


@pytest.fixture(scope="module")
def run(x, tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(discovery, "registered", dict(discovery.registered))
        register("mappings", "thirds", ThirdsSpec)
        folder = tmp_path_factory.mktemp("runs") / "run"
        yield fit(data=x, mapping="thirds", latent=2, steps=60, start="none", run_dir=folder, device="cpu")


@pytest.fixture(scope="module")
def plain(x, tmp_path_factory):
    return fit(data=x, latent=2, steps=2, run_dir=tmp_path_factory.mktemp("runs") / "plain", device="cpu")


def test_the_probability_of_a_cluster_is_the_mass_of_the_posterior_in_it(run, x):
    encoding = run.encode(x)
    normal = torch.distributions.Normal(encoding.mean[:, 0], encoding.std[:, 0])
    right = 1 - normal.cdf(torch.tensor(-0.5))
    mass = torch.stack([1 - right, right], 1)
    clear = (right - 0.5).abs() > 0.15  # four standard errors of the count
    assert int(clear.sum()) > 50
    assert torch.equal(encoding.cluster[clear], mass.argmax(1)[clear])
    error = (encoding.cluster_probability - mass.max(1).values).abs()[clear]
    assert float(error.max()) < 4 * 0.5 / 200**0.5


def test_an_example_has_the_same_cluster_alone_and_among_others(run, x):
    together = run.encode(x)
    alone = [run.encode(row) for row in x[:9]]
    assert [int(one.cluster) for one in alone] == together.cluster[:9].tolist()
    assert [float(one.cluster_probability) for one in alone] == together.cluster_probability[:9].tolist()


def test_no_examples_have_no_clusters(run, x):
    assert len(run.encode(x[:0]).cluster) == 0


def test_an_encoding_is_still_five_tensors(run, x):
    mean, std, y, z, z_mean = run.encode(x)
    assert mean.shape == std.shape == y.shape == z.shape == z_mean.shape == (150, 2)


def test_an_encoding_can_be_copied_and_pickled(run, x):
    encoding = run.encode(x[:20])
    for again in (copy.deepcopy(encoding), pickle.loads(pickle.dumps(encoding))):
        assert torch.equal(again.mean, encoding.mean)
        assert torch.equal(again.cluster, encoding.cluster)
        assert torch.equal(again.cluster_probability, encoding.cluster_probability)


def test_a_run_without_clusters_has_none(plain, x):
    assert plain.encode(x).cluster is None
    assert plain.encode(x).cluster_probability is None
    with pytest.raises(SpecError, match="plain has no clusters: neither its mapping nor its prior makes some"):
        plain.sample(3, cluster=0)


@pytest.mark.parametrize("cluster", [0, 1])
def test_draws_of_a_cluster_lie_in_it_and_are_those_of_the_prior_there(run, cluster):
    generator = torch.Generator().manual_seed(1)
    clusters = clusters_of(run.model)
    y = draws_within(clusters, cluster, 5000, lambda n: run.draw_y(n, generator), "run")
    assert y.shape == (5000, 2)
    assert bool((clusters.assign(y) == cluster).all())
    # The mean of a standard normal number below -0.5 is -phi(-0.5) / Phi(-0.5) = -1.141; above it 0.509.
    assert float(y[:, 0].mean()) == pytest.approx([-1.141, 0.509][cluster], abs=0.05)
    assert float(y[:, 1].mean()) == pytest.approx(0, abs=0.06)


def test_samples_of_a_cluster_are_decoded_draws_of_it(run):
    first, again, other = (run.sample(6, cluster=c, seed=s) for c, s in ((0, 1), (0, 1), (1, 1)))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)
    assert first.shape == (6, 3)


def test_a_cluster_that_nothing_enters_is_told_in_a_line(run):
    with pytest.raises(
        RunError, match=r"hardly anything enters cluster 2 of .*run: 0 of 200,000 draws of y; draw from"
    ):
        run.sample(4, cluster=2)


@pytest.mark.parametrize("cluster", [3, -1, True, 0.5])
def test_a_number_that_is_no_cluster_names_those_that_are(run, cluster):
    with pytest.raises(SpecError, match=f"has no cluster {cluster}; its 3 clusters are 0 to 2"):
        run.sample(4, cluster=cluster)


def test_without_a_cluster_samples_are_what_they_were(run):
    generator = torch.Generator().manual_seed(1)
    assert run.sample(5, seed=3).shape == (5, 3)
    assert not torch.equal(run.draw_y(5, generator), run.draw_y(5, generator))


def test_components_of_a_mixture_prior_are_clusters_where_the_mapping_has_none(x, tmp_path):
    pytest.importorskip("intel_priors")
    run = fit(data=x, prior="mog:k=3,means=line", latent=2, steps=20, run_dir=tmp_path / "run", device="cpu")
    clusters = clusters_of(run.model)
    assert (clusters.n, clusters.of_prior) == (3, True)
    prior = run.model.current_prior()
    with torch.no_grad():
        shares = prior.log_responsibilities(run.encode(x).mean).exp()
    assert torch.equal(run.encode(x).cluster, shares.argmax(1))
    torch.testing.assert_close(run.encode(x).cluster_probability, shares.max(1).values)
    generator = torch.Generator().manual_seed(0)
    y = draws_within(clusters, 2, 50, lambda n: run.draw_y(n, generator), "run")
    with torch.no_grad():
        assert bool((prior.log_responsibilities(y).argmax(1) == 2).all())


def test_clusters_of_a_later_part_of_a_composition_are_found(x):
    from intel_core.mappings.compose import Compose
    from intel_core.model.vae import InteLVAE

    class Shift(Identity):
        def forward(self, y):
            return y + 1

    model = InteLVAE(nn.Linear(3, 4), Compose([Shift(2), Thirds(2)]), nn.Linear(2, 3), None)
    clusters = clusters_of(model)
    assert clusters.n == 3
    assert clusters.assign(torch.tensor([[-1.6, 0.0], [-1.4, 0.0]])).tolist() == [0, 1]


def test_shares_under_another_prior_are_counted(run):
    assert clusters_of(run.model).shares().tolist() == pytest.approx([0.3085, 0.6915, 0], abs=1e-3)


def test_data_in_memory_are_encoded_as_a_split_too(run, x):
    split = make_dataset("x", x, standardize=False).test
    assert len(run.encode(split).cluster) == len(split)
