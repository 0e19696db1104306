"""Does somebody's own VAE, with encode and decode, train with a mapping between y and z, by `Trainer` and by `fit`?"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.distributions import Independent, MultivariateNormal, Normal

from intel_core import InteLVAE, SpecError, Trainer, TrainingSettings, fit, load_run, make_dataset, with_mapping
from intel_core.model.objectives import ELBO

X = torch.randn(120, 6, generator=torch.Generator().manual_seed(0))


class Net(nn.Module):
    """As such modules are often written; `tail` is used by nobody."""

    def __init__(self, z_dim: int = 2, values: int = 6) -> None:
        super().__init__()
        self.hidden, self.mean, self.spread = nn.Linear(6, 8), nn.Linear(8, 2), nn.Linear(8, 2)
        self.parts = nn.ModuleDict({"first": nn.Linear(z_dim, 8), "last": nn.Linear(8, values)})
        self.tail = nn.Linear(3, 3)

    def encode(self, x: Tensor) -> Any:
        hidden = self.hidden(x.flatten(1)).tanh()
        return self.mean(hidden), self.spread(hidden)

    def decode(self, z: Tensor) -> Any:
        out: Tensor = self.parts["last"](self.parts["first"](z).tanh())
        return out


class Distributed(Net):
    def encode(self, x: Tensor) -> Any:
        mean, log_variance = super().encode(x)
        return Independent(Normal(mean, (0.5 * log_variance).exp()), 1)


def made(kind: type[Net] = Net, **more: Any) -> Any:
    torch.manual_seed(0)
    return kind(**more)


@pytest.mark.parametrize("kind", [Net, Distributed])
def test_y_is_what_the_module_encodes_and_x_what_it_decodes_from_g_of_y(kind: type[Net]) -> None:
    vae = made(kind)
    model = with_mapping(vae, "cluster:k=3", x_shape=[6])
    mean, log_variance = Net.encode(vae, X)
    assert torch.equal(model.encode(X).mean, mean)
    torch.testing.assert_close(model.encode(X).std, (0.5 * log_variance).exp())
    y = torch.randn(5, 2)
    assert torch.equal(model.decode(model.map(y)[0]), vae.decode(model.mapping(y)))


def test_weights_are_shared_and_each_half_has_its_own_only() -> None:
    vae = made()
    model = with_mapping(vae, "identity", x_shape=[6])
    names = {name for name, _ in model.named_parameters()}
    assert {name.split(".")[2] for name in names if name.startswith("encoder")} == {"hidden", "mean", "spread"}
    assert {name.split(".")[2] for name in names if name.startswith("decoder")} == {"parts"}
    own = {id(parameter) for parameter in vae.parameters()}
    assert {id(p) for name, p in model.named_parameters() if "vae" in name} == own - {
        id(p) for p in vae.tail.parameters()
    }


def test_a_trainer_trains_the_module_itself() -> None:
    vae = made()
    vae.eval()
    model = with_mapping(vae, ["cluster:k=2,dims=[0]", "circle:dims=0-1"], x_shape=[6])
    assert not vae.mean.training, "it is left in the mode in which it was"
    before, tail = vae.mean.weight.detach().clone(), vae.tail.weight.detach().clone()
    trainer = Trainer(model, make_dataset("mine", X), ELBO(), TrainingSettings(steps=150, batch_size=24))
    at_first = trainer.judge(seed=0)["elbo"]
    trainer.train()
    assert trainer.judge(seed=0)["elbo"] > at_first
    assert not torch.equal(before, vae.mean.weight)
    assert torch.equal(tail, vae.tail.weight)


def test_fit_keeps_a_run_that_is_read_again_and_judged(tmp_path: Path, recwarn: pytest.WarningsRecorder) -> None:
    vae = made()
    model = with_mapping(vae, "cluster:k=3", x_shape=[6])
    before = vae.mean.weight.detach().clone()
    parts = {"encoder": model.encoder, "decoder": model.decoder}
    settings: dict[str, Any] = {"likelihood": "gaussian:variance=shared", "latent": 2, "standardize": False}
    run = fit(data=X, mapping="cluster:k=3", steps=60, log_every=2, run_dir=tmp_path / "run", **settings, **parts)
    assert not [str(one.message) for one in recwarn if "no gradient" in str(one.message)]
    assert torch.equal(before, vae.mean.weight)
    assert run.info["spec"]["encoder"] == "given:of=Net.encode"
    again = load_run(run.path, **parts)
    assert torch.equal(again.encode(X).mean, run.encode(X).mean)
    assert again.took(dataset=X).findings, "the questions of a report are answered"


def test_where_the_mapping_forgets_something_the_bound_is_that_of_fit(tmp_path: Path) -> None:
    model = with_mapping(made(), "circle", x_shape=[6])
    run = fit(data=X, mapping="circle", latent=2, steps=1, encoder=model.encoder, decoder=model.decoder,
              likelihood="gaussian:variance=shared", run_dir=tmp_path / "run")  # fmt: skip
    assert run.spec.kl == "z"
    assert type(model.prior) is type(run.model.prior)
    assert (model.prior.image is None) == (run.model.prior.image is None)
    assert type(model.family) is type(run.model.family)


def test_flat_images_are_understood_and_weights_may_be_tied() -> None:
    class Tied(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.weight, self.spread = nn.Parameter(torch.randn(2, 16)), nn.Parameter(torch.zeros(2))

        def encode(self, x: Tensor) -> Normal:
            return Normal(x.flatten(1) @ self.weight.T, self.spread.exp())

        def decode(self, z: Tensor) -> Tensor:
            return z @ self.weight

    vae = Tied()
    model = with_mapping(vae, "identity", x_shape=[1, 4, 4], likelihood="bernoulli")
    assert model.decode(torch.zeros(3, 2)).shape == (3, 1, 4, 4)
    assert sum(parameter is vae.weight for parameter in model.parameters()) == 1


class Skips(Net):
    """Needs in encode a part whose weights do not reach what it returns."""

    def encode(self, x: Tensor) -> Any:
        self.tail(x[:, :3])
        return super().encode(x)


def test_a_part_that_is_called_for_nothing_stays() -> None:
    model = with_mapping(made(Skips), "identity", x_shape=[6])
    assert "tail" in dict(model.encoder.vae.named_children())  # type: ignore[union-attr]
    assert model.encode(X).mean.shape == (120, 2)


def test_own_modules_and_objects_beside_texts() -> None:
    class Squash(nn.Module):
        def forward(self, y: Tensor) -> Tensor:
            return torch.tanh(y)

    model = with_mapping(made(), Squash(), x_shape=[6], likelihood="gaussian:variance=fixed")
    assert isinstance(model, InteLVAE)
    assert float(model.map(torch.full((1, 2), 9.0))[0].max()) <= 1


@pytest.mark.parametrize("x_shape", [6, np.int64(6), torch.Size([6]), np.array([6])])
def test_a_number_is_the_shape_of_a_vector(x_shape: Any) -> None:
    assert with_mapping(made(), "identity", x_shape=x_shape).x_shape == (6,)


def returning(what: Any) -> type[Net]:
    class Other(Net):
        def encode(self, x: Tensor) -> Any:
            return what(*super().encode(x))

    return Other


def only(method: str) -> nn.Module:
    module = nn.Linear(2, 2)
    setattr(module, method, lambda x: x)
    return module


@pytest.mark.parametrize(
    ("vae", "more", "said"),
    [
        (only("decode"), {}, r"Linear has no method encode.* fit\(encoder=…, decoder=…\)"),
        (only("encode"), {}, "Linear has no method decode"),
        (3, {}, "takes a torch.nn.Module with encode and decode, not a int"),
        (made(returning(lambda mean, spread: mean)), {}, "Other.encode returns a Tensor, expected means and log-var"),
        (made(returning(lambda mean, spread: (mean, spread, mean))), {}, "returns a tuple of 3, expected means"),
        (made(returning(lambda mean, spread: (mean, spread[:, :1]))), {}, r"shapes \(2, 2\) and \(2, 1\) for 2 ex"),
        (
            made(returning(lambda mean, spread: MultivariateNormal(mean, torch.eye(2)))),
            {},
            "returns a MultivariateNormal, expected means",
        ),
        (made(), {"x_shape": [5]}, r"Net.encode on input of shape \(2, 5\) raised RuntimeError"),
        (made(), {"x_shape": "6"}, "x_shape='6': expected the shape of one example"),
        (made(), {"x_shape": 6.0}, r"x_shape=6\.0: expected the shape of one example"),
        (made(), {"x_shape": True}, "x_shape=True: expected the shape of one example"),
        (made(), {"x_shape": None}, "x_shape=None: expected the shape of one example"),
        (made(), {"x_shape": []}, r"x_shape=\[\]: expected the shape of one example"),
        (made(), {"x_shape": [0]}, r"x_shape=\[0\]: expected the shape of one example"),
        (made(z_dim=3), {}, r"Net.decode on z of shape \(2, 2\), as the mapping gives it, raised RuntimeError"),
        (made(values=7), {}, r"Net.decode returns shape \(2, 7\) for 2 examples, expected \(2, 6\)"),
        (made(), {"likelihood": "gaussian"}, r"expected \(2, 12\), 2 numbers for each value"),
        (made(), {"mapping": "cluster:k=3,dims=[4]"}, "dims"),
        (made(), {"mapping": "clustr:k=3"}, "did you mean 'cluster'"),
        (made(), {"mapping": 3}, "mapping: expected a text"),
        (made(), {"likelihood": 3}, "likelihood: expected a text"),
    ],
)
def test_what_does_not_fit_is_one_line(vae: Any, more: dict[str, Any], said: str) -> None:
    with pytest.raises(SpecError, match=said) as caught:
        with_mapping(vae, **{"mapping": "identity", "x_shape": [6], **more})
    assert "\n" not in str(caught.value)
