"""Is the likelihood by columns the product of its parts, as SciPy says, and are its columns found by name?"""

import numpy as np
import pandas as pd
import pytest
import scipy.stats
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from intel_likelihoods import MixedSpec
from intel_likelihoods.categories import Categorical
from intel_likelihoods.counts import NegativeBinomial, Poisson
from intel_likelihoods.mixed import Mixed
from intel_likelihoods.student import StudentT

from intel_core import DataError, SpecError, fit, load_run, make_dataset, parse_spec
from intel_core.likelihoods.densities import Bernoulli, Gaussian

RNG = np.random.default_rng(0)
N = 120
FRAME = pd.DataFrame(
    {
        "red": RNG.integers(0, 2, N),
        "height": 170 + 10 * RNG.normal(size=N),
        "visits": RNG.poisson(4, size=N),
        "smoker": RNG.integers(0, 2, N),
    }
)
FRAME.insert(3, "blue", 1 - FRAME["red"])
PARTS = {"poisson": ["visits"], "bernoulli": ["smoker"], "categorical": ["red", "blue"]}
SMALL = {"steps": 4, "batch_size": 20, "latent": 2, "device": "cpu", "standardize": ["height"]}


def mixed(dtype=torch.float64):
    """Five kinds of columns, in an order that is not that of the parts."""
    parts = [
        (Gaussian("learned", 1.0, 1e-3), [4, 0]),
        (Categorical((2,)), [1, 6]),
        (NegativeBinomial(None, "learned"), [2]),
        (Bernoulli(), [5]),
        (StudentT("fixed", 2.0, 0.0, 3.0), [3]),
    ]
    return Mixed(parts).to(dtype)


def example(seed, particles=()):
    generator = torch.Generator().manual_seed(seed)
    x = torch.randn(6, 7, dtype=torch.float64, generator=generator)
    x[:, [1, 6]] = torch.eye(2, dtype=torch.float64)[torch.randint(0, 2, (6,), generator=generator)]
    x[:, 2] = torch.randint(0, 9, (6,), generator=generator).double()
    x[:, 5] = torch.randint(0, 2, (6,), generator=generator).double()
    return x, torch.randn(*particles, 6, 14, dtype=torch.float64, generator=generator)


@settings(deadline=None, max_examples=30)
@given(seed=st.integers(0, 2**32 - 1))
def test_the_density_is_the_product_that_scipy_gives(seed):
    x, params = example(seed)
    first, second = params[:, :7].numpy(), params[:, 7:].numpy()
    values = x.numpy()
    expected = np.zeros(6)
    for column in (0, 4):
        deviation = np.sqrt(1e-6 + np.exp(second[:, column]))
        expected += scipy.stats.norm.logpdf(values[:, column], first[:, column], deviation)
    chosen = np.where(values[:, 1] == 1, first[:, 1], first[:, 6])
    expected += chosen - np.logaddexp(first[:, 1], first[:, 6])
    mean, theta = np.exp(first[:, 2]), np.exp(np.logaddexp(second[:, 2], np.log(1e-4)))
    expected += scipy.stats.nbinom.logpmf(values[:, 2], theta, theta / (theta + mean))
    expected += scipy.stats.bernoulli.logpmf(values[:, 5], 1 / (1 + np.exp(-first[:, 5])))
    expected += scipy.stats.t.logpdf(values[:, 3], 3.0, first[:, 3], 2.0)
    np.testing.assert_allclose(mixed().log_prob(params, x).numpy(), expected, rtol=1e-9)


def test_it_is_normalised_over_all_values_of_a_row():
    part = Mixed([(Bernoulli(), [2]), (Categorical(), [0, 3]), (Poisson(None), [1])])
    params = torch.tensor([[0.3, 0.7, -1.2, 0.4]], dtype=torch.float64)
    rows = [[float(a), float(n), float(b), float(1 - a)] for a in (0, 1) for n in range(60) for b in (0, 1)]
    x = torch.tensor(rows, dtype=torch.float64)
    assert float(part.log_prob(params.expand(len(x), 4), x).exp().sum()) == pytest.approx(1.0, abs=1e-12)


def test_particles_means_draws_and_gradients():
    likelihood = mixed()
    x, params = example(3, particles=(5,))
    whole = likelihood.log_prob(params, x)
    assert whole.shape == (5, 6)
    for particle in range(5):
        torch.testing.assert_close(whole[particle], likelihood.log_prob(params[particle], x))
    assert float(likelihood.mean_log_prob(params[0], x)) == pytest.approx(float(whole[0].mean()))
    mean = likelihood.mean(params[0])
    torch.testing.assert_close(mean[:, [4, 0]], params[0][:, [4, 0]])
    torch.testing.assert_close(mean[:, 1] + mean[:, 6], torch.ones(6, dtype=torch.float64))
    torch.testing.assert_close(mean[:, 5], torch.sigmoid(params[0][:, 5]))
    row = params[0][:1].expand(20_000, 14)
    draws = likelihood.sample(row, torch.Generator().manual_seed(0))
    torch.testing.assert_close(draws.mean(0)[[0, 1, 2, 4, 5, 6]], mean[0][[0, 1, 2, 4, 5, 6]], atol=0.1, rtol=0.05)
    assert set(draws[:, 5].tolist()) <= {0.0, 1.0}
    assert torch.autograd.gradcheck(lambda p: likelihood.log_prob(p, x), params[0].clone().requires_grad_())


@pytest.mark.parametrize("columns", [([0, 1], [1]), ([0], [2]), ([], [])])
def test_each_column_is_in_one_part(columns):
    with pytest.raises(ValueError, match=r"the columns of the parts are .*, expected each of 0, 1, … once"):
        Mixed([(Gaussian("fixed", 1.0, 0.0), columns[0]), (Bernoulli(), columns[1])])


# --- as a setting of a run ---------------------------------------------------------------------------------------


def test_columns_are_found_by_their_names_and_the_run_keeps_their_positions(tmp_path):
    run = fit(data=FRAME, likelihood=MixedSpec(parts=PARTS), run_dir=tmp_path / "run", **SMALL)
    kept = run.spec.likelihood
    assert [of for _, of in kept.parts] == [(2,), (4,), (0, 3), (1,)]
    assert kept.parts[3][0].startswith("gaussian:variance=learned")
    again = load_run(tmp_path / "run")
    assert torch.equal(again.sample(5, noise=True), run.sample(5, noise=True))
    draws = again.sample(500, noise=True)
    assert 150 < float(draws[:, 1].mean()) < 190
    assert torch.equal(draws[:, 0] + draws[:, 3], torch.ones(500))
    assert torch.equal(draws[:, 2], draws[:, 2].round())
    assert again.took(dataset=FRAME).headline
    assert str(again.spec.encoder).startswith("log_mlp")


def test_a_text_a_table_and_positions_say_the_same(tmp_path):
    text = 'mixed:parts={"poisson":["visits"],"bernoulli":["smoker"],"categorical":["red","blue"]}'
    FRAME.to_csv(tmp_path / "t.csv", index=False)
    settings = {key: value for key, value in SMALL.items() if key != "standardize"}
    runs = [
        fit(data=FRAME, likelihood=text, run_dir=tmp_path / "frame", **SMALL),
        fit(
            data=f"table:path={tmp_path / 't.csv'},standardize=height",
            likelihood=text,
            run_dir=tmp_path / "table",
            **settings,
        ),
        fit(
            data=FRAME.to_numpy(),
            likelihood=MixedSpec(parts={"poisson": 2, "bernoulli": 4, "categorical": [0, 3]}),
            run_dir=tmp_path / "array",
            **settings,
            standardize=[1],
        ),
    ]
    assert runs[0].metrics["test"] == runs[1].metrics["test"] == runs[2].metrics["test"]
    assert [run.info["data"]["scaling"]["mean"][0] for run in runs] == [0.0] * 3


def test_a_replicate_group_has_it_too(tmp_path):
    from intel_core import fit_replicates

    group = fit_replicates(2, data=FRAME, likelihood=MixedSpec(parts=PARTS), run_dir=tmp_path / "group", **SMALL)
    alone = fit(data=FRAME, likelihood=MixedSpec(parts=PARTS), run_dir=tmp_path / "run", seed=1, **SMALL)
    assert group.runs[1].metrics["test"]["elbo"] == pytest.approx(alone.metrics["test"]["elbo"], rel=1e-4)


@pytest.mark.parametrize(
    ("parts", "change", "said"),
    [
        ({"poisson": ["visit"]}, {}, r"^likelihood mixed: data has no column 'visit'; did you mean 'visits'\?"),
        ({"poisson": [7]}, {}, "^likelihood mixed: there is no column 7 in data; its 5 are 0 to 4$"),
        ({"poisson": ["visits"], "bernoulli": [2]}, {}, "^likelihood mixed: column 'visits' of data is in two parts$"),
        (
            {"poisson": ["smoker", "height"]},
            {"standardize": False},
            r"explains counts 0, 1, 2, …, but columns 'smoker', '",
        ),
        (
            {"poisson": ["visits"]},
            {"standardize": True},
            "'visits' of data were standardised; standardize=.* names the",
        ),
        (
            {"bernoulli": ["visits"]},
            {},
            "bernoulli explains binary or unit values, but column 'visits' of data has real",
        ),
        (
            {"categorical": ["red", "smoker"]},
            {},
            "explains groups of 2 columns in which one is 1 .* but in columns 'red'",
        ),
    ],
)
def test_what_does_not_fit_the_data_is_told_with_the_column(parts, change, said, tmp_path):
    with pytest.raises(DataError, match=said):
        fit(data=FRAME, likelihood=MixedSpec(parts=parts), run_dir=tmp_path / "run", **(SMALL | change))
    assert not (tmp_path / "run").exists()


def test_columns_without_a_likelihood_are_refused_if_there_is_no_rest(tmp_path):
    with pytest.raises(
        DataError, match=r"^likelihood mixed: no part explains columns 'height', 'smoker' of data; rest="
    ):
        fit(
            data=FRAME,
            likelihood=MixedSpec(parts={"poisson": ["visits"], "categorical": ["red", "blue"]}, rest=None),
            run_dir=tmp_path / "run",
            **SMALL,
        )


def test_images_and_columns_without_names_are_told(tmp_path):
    with pytest.raises(DataError, match=r"^likelihood mixed is for tables, but x has examples of shape \(1, 4, 4\)$"):
        MixedSpec().for_data(make_dataset("x", RNG.random((20, 4, 4))))
    with pytest.raises(
        DataError, match=r"^likelihood mixed: the columns of x have no names; say their positions, from 0"
    ):
        MixedSpec(parts={"bernoulli": ["a"]}).for_data(make_dataset("x", RNG.random((20, 4))))


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("mixed:parts=poisson", "expected likelihoods with their columns"),
        ('mixed:parts={"poison":["a"]}', "no likelihood is called 'poison'; did you mean 'poisson'"),
        ('mixed:parts={"poisson":["a"],"bernoulli":["a"]}', "column 'a' is in two parts"),
        ('mixed:parts={"mixed":["a"]}', "a part of mixed cannot be mixed itself"),
        ('mixed:parts={"poisson":[]}', "poisson has no columns"),
        ("mixed:rest=nothing", "no likelihood is called 'nothing'"),
    ],
)
def test_a_text_that_says_nothing_is_refused(text, said):
    with pytest.raises(SpecError, match=said):
        parse_spec("likelihoods", text)


def test_a_spec_whose_columns_are_not_settled_is_not_built():
    with pytest.raises(ValueError, match="columns that are named need the data"):
        MixedSpec(parts=PARTS).build()
