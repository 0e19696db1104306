"""A value that is not finite ends the run, and the message says when and where it came up first."""

import json
import re

import numpy as np
import pytest
import safetensors.torch
import torch
from torch import nn

from intel_core import Dataset, DivergenceError, InteLVAE, RunError, Split, fit, hookimpl, load_run, parse_spec
from intel_core.fitting import divergence, setting_up
from intel_core.fitting.divergence import Investigator
from intel_core.randomness import stream
from intel_core.recipe.resolving import resolve
from intel_core.recipe.runspec import make_run_spec
from intel_core.runs import checkpoint
from intel_core.training.hooks import hook_manager

SEED, BATCH, N = 4, 4, 400  # 100 steps in an epoch, so that every row comes up once in the first 100 steps
NAN, INF = float("nan"), float("inf")


class Poison(nn.Module):
    """The identity, but for rows that begin with a large number."""

    def __init__(self, value, above=30.0):
        super().__init__()
        self.value, self.above = value, above

    def forward(self, x):
        return torch.where((x[..., :1] > self.above).expand_as(x), torch.full_like(x, self.value), x)


class _Spoiled(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x, bad):
        ctx.save_for_backward(bad)
        return x.clone()

    @staticmethod
    def backward(ctx, gradient):
        (bad,) = ctx.saved_tensors
        return torch.where(bad, torch.full_like(gradient, NAN), gradient), None


class PoisonedGradient(nn.Module):
    """The identity, whose gradient alone is NaN for rows that begin with a large number."""

    def forward(self, x):
        return _Spoiled.apply(x, (x[..., :1] > 30.0).expand_as(x))


class Flagged(nn.Module):
    """A layer whose first output is 50 for the marked row, as if it were sure of it."""

    def __init__(self, features):
        super().__init__()
        self.layer = nn.Linear(3, features)

    def forward(self, x):
        out = self.layer(x)
        marked = (x[:, :1] > 0.5) & (torch.arange(out.shape[1]) == 0)
        return torch.where(marked, torch.full_like(out, 50.0), out)


class Mapped(nn.Module):
    """A mapping made of one layer."""

    def __init__(self, layer):
        super().__init__()
        self.y_dim = self.z_dim = 2
        self.layer = layer

    def forward(self, y):
        return self.layer(y)


class Regularised(Mapped):
    """A mapping with an auxiliary loss; both are made of layers."""

    regularisers = {"size": 0.1}  # noqa: RUF012

    def __init__(self, layer, term=None):
        super().__init__(layer)
        self.term = term or nn.Identity()

    def map_with_regularisers(self, y):
        return self.layer(y), {"size": self.term(y).square().mean()}


class Computed(Regularised):
    """The same without any layer: the mapping computes by itself."""

    def map_with_regularisers(self, y):
        z = torch.where((y[..., :1] > 30.0).expand_as(y), torch.full_like(y, NAN), y)
        return z, {"size": y.square().mean()}


def first_row_of(step):
    """The row that comes up first in a step of the first epoch, from the documented stream."""
    order = torch.randperm(N, generator=torch.Generator().manual_seed(stream(SEED, "order/0")))
    return int(order[step * BATCH])


def make_trainer(folder, step, *, encoder=None, mapping=None, decoder=None, hooks=(), save=None, **settings):
    """A trainer whose marked row comes up in a step, counted from 0."""
    torch.manual_seed(0)
    generator = torch.Generator().manual_seed(1)
    x = torch.randn(N, 3, generator=generator)
    x[:, 0] = 0
    clean = Split(x[:20].clone())
    x[first_row_of(step), 0] = 1
    dataset = Dataset("marked", Split(x), clean, clean, "real")
    model = InteLVAE(
        encoder or Flagged(4),
        mapping or Mapped(nn.Identity()),
        decoder or nn.Linear(2, 3),
        parse_spec("likelihoods", "gaussian:variance=fixed").build(),
        (3,),
    )
    settings = {"steps": 90, "batch_size": BATCH, "log_every": 50, "seed": SEED, "device": "cpu"} | settings
    settings.setdefault("evaluate_every", 1000)
    spec = resolve(make_run_spec(data="memory:examples=1,shape=[3]", latent=2, **settings), dataset)
    trainer = setting_up.make_trainer(spec, dataset, hook_manager([*hooks, Investigator()]), model=model)
    trainer.folder, trainer.save = folder, save
    return trainer


def failure(trainer):
    with pytest.raises(DivergenceError) as caught:
        trainer.train()
    message = str(caught.value)
    step = re.search(r"at step (\d+)", message)
    return message, int(step[1]) - 1 if step else None  # messages count steps taken, from 1


# --- in the forward pass -----------------------------------------------------------------------------------------

# Parts of the model with something wrong in them; the term and the layer that the message has to name.
FORWARD = {
    "encoder": (
        lambda: {"encoder": nn.Sequential(Flagged(5), Poison(NAN), nn.Linear(5, 4))},
        "nan",
        "encoder.1 (Poison)",
    ),
    "infinity": (lambda: {"encoder": nn.Sequential(Flagged(4), Poison(INF))}, "inf|nan", "encoder.1 (Poison)"),
    "mapping": (lambda: {"mapping": Mapped(Poison(NAN))}, "log_likelihood is nan", "mapping.layer (Poison)"),
    "regularised mapping": (
        lambda: {"mapping": Regularised(Poison(NAN))},
        "log_likelihood is nan",
        "mapping.layer (Poison)",
    ),
    "computed mapping": (lambda: {"mapping": Computed(nn.Identity())}, "log_likelihood is nan", "mapping (Computed)"),
    "auxiliary loss": (lambda: {"mapping": Regularised(nn.Identity(), Poison(INF))}, "size is inf", "mapping.term"),
    "decoder": (
        lambda: {"decoder": nn.Sequential(nn.Identity(), Poison(NAN), nn.Linear(2, 3))},
        "log_likelihood is nan",
        "decoder.1 (Poison)",
    ),
    "last layer": (
        lambda: {"decoder": nn.Sequential(Poison(INF), nn.Linear(2, 3))},
        "log_likelihood is (-inf|nan)",
        "decoder.0 (Poison)",
    ),
    "likelihood": (
        lambda: {"decoder": nn.Sequential(Poison(1e30), nn.Linear(2, 3))},
        "log_likelihood is -inf",
        "likelihood",
    ),
    "kl": (
        lambda: {
            "encoder": nn.Sequential(Flagged(4), Poison(200.0)),
            "decoder": nn.Sequential(Zero(), nn.Linear(2, 3)),
        },
        "kl is inf",
        "KL",
    ),
}


class Zero(nn.Module):
    """A decoder's first layer that listens to nothing."""

    def forward(self, z):
        return torch.zeros_like(z)


@pytest.mark.parametrize("name", FORWARD)
def test_step_term_and_layer_are_named(name, tmp_path):
    parts, term, layer = FORWARD[name]
    message, step = failure(make_trainer(tmp_path, 23, **parts()))
    assert step == 23
    assert re.search(term, message)
    assert layer in message
    assert "diverged-batch" in message


@pytest.mark.promptly(every=2)
@pytest.mark.parametrize("step", [0, 49, 89, *(pytest.param(n, marks=pytest.mark.slow) for n in (3, 48, 50, 73))])
@pytest.mark.parametrize("log_every", [1, 7, 50, 1000])
def test_the_step_is_the_right_one_however_rarely_lines_are_logged(step, log_every, tmp_path):
    message, found = failure(make_trainer(tmp_path, step, mapping=Mapped(Poison(NAN)), log_every=log_every))
    assert found == step, message


@pytest.mark.parametrize("step", [9, 10, 11, 19, 20, 57, 89])
def test_the_step_is_right_though_older_ones_cannot_be_replayed(step, tmp_path, monkeypatch):
    monkeypatch.setattr(divergence, "_SNAPSHOT_EVERY", 10)
    message, found = failure(make_trainer(tmp_path, step, mapping=Mapped(Poison(NAN)), log_every=5))
    assert found == step, message


@pytest.mark.parametrize("objective", ["elbo", "iwae:particles=3"])
def test_kept_batch_reproduces_the_failure(objective, tmp_path):
    trainer = make_trainer(tmp_path, 23, mapping=Mapped(Poison(NAN)), objective=objective)
    failure(trainer)
    batch = safetensors.torch.load_file(tmp_path / "diverged-batch.safetensors")
    order = torch.randperm(N, generator=torch.Generator().manual_seed(stream(SEED, "order/0")))
    assert torch.equal(batch["x"], trainer.dataset.train.x[order[23 * BATCH : 24 * BATCH]])
    generator = torch.Generator().manual_seed(stream(SEED, "noise"))
    draws = [torch.randn(trainer.objective.particles, BATCH, 2, generator=generator) for _ in range(24)]
    assert torch.equal(batch["noise"], draws[23])
    fresh = make_trainer(tmp_path, 23, mapping=Mapped(Poison(NAN)), objective=objective)
    assert not torch.isfinite(fresh.objective(fresh.model, batch["x"], batch["noise"], {}).loss)
    healthy = make_trainer(tmp_path, 23, objective=objective)
    assert torch.isfinite(healthy.objective(healthy.model, batch["x"], batch["noise"], {}).loss)


def test_training_without_a_folder_diverges_with_the_same_message(tmp_path):
    message, step = failure(make_trainer(None, 23, mapping=Mapped(Poison(NAN))))
    assert step == 23
    assert "kept" not in message


def test_data_on_a_large_scale_are_named_as_what_to_mend():
    x = np.random.default_rng(0).normal(size=(300, 3)).astype(np.float32) * 50 + 2000
    with pytest.raises(DivergenceError, match=r"values of the data reach 2,\d+.*: standardise them first"):
        fit(data=x, steps=50, standardize=False)


def test_a_run_that_diverged_says_so(tmp_path):
    x = np.random.default_rng(0).normal(size=(300, 3)).astype(np.float32) * 50 + 2000
    with pytest.raises(DivergenceError):
        fit(data=x, steps=50, standardize=False, run_dir=tmp_path / "run")
    run = load_run(tmp_path / "run")
    assert run.status == "diverged"
    assert "training diverged at step" in run.metrics["problem"]
    with pytest.raises(RunError, match="diverged at step 1, before its first checkpoint"):
        run.model  # noqa: B018


def test_a_failure_that_does_not_come_again_is_called_that(tmp_path):
    class Once(nn.Module):
        calls = 0

        def forward(self, y):
            self.calls += 1
            return y * NAN if self.calls == 7 else y

    message, step = failure(make_trainer(tmp_path, 0, mapping=Mapped(Once())))
    assert step is None
    assert "second try" in message


def test_healthy_training_does_not_diverge(tmp_path):
    trainer = make_trainer(tmp_path, 23)
    trainer.train()
    assert trainer.step == 90
    assert not list(tmp_path.iterdir())


# --- in the gradient alone ---------------------------------------------------------------------------------------

GRADIENT = {
    "encoder": lambda: {"encoder": nn.Sequential(Flagged(5), PoisonedGradient(), nn.Linear(5, 4))},
    "mapping": lambda: {"mapping": Mapped(PoisonedGradient())},
    "decoder": lambda: {"decoder": nn.Sequential(nn.Identity(), PoisonedGradient(), nn.Linear(2, 3))},
}


@pytest.mark.promptly(every=2)
@pytest.mark.parametrize("clip", [None, 1.0])
@pytest.mark.parametrize("step", [0, 49, *(pytest.param(n, marks=pytest.mark.slow) for n in (23, 88))])
@pytest.mark.parametrize("where", GRADIENT)
def test_gradient_that_is_not_finite_is_found_in_its_own_step(where, step, clip, tmp_path):
    message, found = failure(make_trainer(tmp_path, step, clip_norm=clip, **GRADIENT[where]()))
    assert found == step, message
    assert "gradient" in message
    batch = safetensors.torch.load_file(tmp_path / "diverged-batch.safetensors")
    assert float(batch["x"][:, 0].max()) == 1


@pytest.mark.parametrize("clip", [None, 1.0])
@pytest.mark.parametrize("where", GRADIENT)
def test_gradient_is_blamed_on_the_part_in_which_it_breaks(where, clip, tmp_path):
    """NaN spreads from there to every layer before, and by clipping to all others; those are not to blame."""
    message, _ = failure(make_trainer(tmp_path, 23, clip_norm=clip, **GRADIENT[where]()))
    assert re.search(rf"first in {where}\b", message), message


@pytest.mark.parametrize("where", GRADIENT)
def test_gradient_that_breaks_in_the_last_step_is_seen(where, tmp_path):
    """All terms were finite, but the weights are not any more."""
    message, step = failure(make_trainer(tmp_path, 89, **GRADIENT[where]()))
    assert step == 89
    assert "gradient" in message


@pytest.mark.parametrize("step", [9, 19, 29])
def test_gradient_that_breaks_just_before_a_snapshot_is_seen_in_its_own_step(step, tmp_path, monkeypatch):
    monkeypatch.setattr(divergence, "_SNAPSHOT_EVERY", 10)
    message, found = failure(make_trainer(tmp_path, step, log_every=10, mapping=Mapped(PoisonedGradient())))
    assert found == step, message
    assert "gradient" in message


# --- in a whole run ----------------------------------------------------------------------------------------------


class Saver:
    """Keeps checkpoints and evaluations as a run does."""

    def __init__(self, folder):
        self.folder, self.evaluated_losses = folder, []

    def __call__(self, trainer):
        return checkpoint.save(self.folder / "checkpoints", trainer.step, *trainer.state())

    @hookimpl
    def evaluated(self, trainer, record):
        self.evaluated_losses.append(record["loss"])


@pytest.mark.parametrize("parts", [FORWARD["mapping"][0], GRADIENT["mapping"]], ids=["forward", "gradient"])
@pytest.mark.parametrize("patience", [None, 2])
def test_nothing_broken_is_evaluated_or_saved_before_the_next_line_is_logged(parts, patience, tmp_path):
    """Evaluations come every 6 steps, lines every 1000: neither a checkpoint nor early stopping may hide it."""
    saver = Saver(tmp_path)
    trainer = make_trainer(
        tmp_path, 23, save=saver, hooks=[saver], evaluate_every=6, log_every=1000, patience=patience,
        schedules={"kl": "constant"}, **parts(),
    )  # fmt: skip
    _, step = failure(trainer)
    assert step == 23
    assert np.isfinite(saver.evaluated_losses).all()
    for path in checkpoint.listed(tmp_path / "checkpoints"):
        _, tensors, _ = checkpoint.load(path)
        assert all(torch.isfinite(value).all() for value in tensors["model"].values()), path.name


class FirstBroken:
    """Notes the first step, counted from 0, whose loss is not finite."""

    def __init__(self):
        self.step = None

    @hookimpl
    def run_start(self, trainer):
        objective = trainer.objective

        class Watched:
            particles = objective.particles

            def __call__(_, model, x, noise, weights):
                terms = objective(model, x, noise, weights)
                if model.training and self.step is None and not torch.isfinite(terms.loss):
                    self.step = trainer.step
                return terms

        trainer.objective = Watched()


@pytest.mark.parametrize("log_every", [1, 50])
@pytest.mark.parametrize("likelihood", ["gaussian", "gaussian:variance=fixed"])
def test_huge_learning_rate_ends_a_run_with_a_readable_directory(likelihood, log_every, tmp_path):
    x, watcher = np.random.default_rng(0).normal(size=(100, 3)).astype(np.float32), FirstBroken()
    with pytest.raises(DivergenceError) as caught:
        fit(
            data=x, run_dir=tmp_path / "run", hooks=[watcher], likelihood=likelihood, learning_rate=100.0, steps=300,
            log_every=log_every, evaluate_every=7, encoder="mlp:hidden=[8,8]", batch_size=16, device="cpu",
        )  # fmt: skip
    assert watcher.step is not None
    assert f"at step {watcher.step + 1}:" in str(caught.value)
    assert "learning rate" in str(caught.value)
    assert (tmp_path / "run" / "diverged-batch.safetensors").exists()
    assert not (tmp_path / "run" / "model.safetensors").exists()

    def refuse(name):
        raise AssertionError(f"{name} is not JSON")

    for line in (tmp_path / "run" / "metrics.jsonl").read_text().splitlines():
        json.loads(line, parse_constant=refuse)


# --- hooks ---------------------------------------------------------------------------------------------------------


def test_a_hook_is_told_and_may_say_more(tmp_path):
    told = []

    class Teller:
        @hookimpl
        def diverged(self, trainer, broken):
            told.append((trainer.step, broken))

    class Better(Teller):
        @hookimpl
        def diverged(self, broken):
            raise DivergenceError(f"{broken} broke, as I expected")

    x = np.random.default_rng(0).normal(size=(300, 3)).astype(np.float32) * 50 + 2000
    settings = {"data": x, "steps": 50, "standardize": False}
    with pytest.raises(DivergenceError, match="training diverged at step"):
        fit(**settings, hooks=[Teller()], run_dir=tmp_path / "told")
    assert len(told) == 1
    with pytest.raises(DivergenceError, match="broke, as I expected"):
        fit(**settings, hooks=[Better()], run_dir=tmp_path / "better")
    assert (tmp_path / "better" / "diverged-batch.safetensors").is_file()


def test_a_snapshot_holds_what_hooks_have_changed(tmp_path, monkeypatch):
    """One that changes the weights when a line is logged is replayed with the weights as they were then."""
    monkeypatch.setattr(divergence, "_SNAPSHOT_EVERY", 10)

    class Breaking:
        @hookimpl
        def logged(self, trainer):
            if trainer.step == 20:
                with torch.no_grad():
                    next(trainer.model.decoder.parameters()).fill_(1e38)

    trainer = make_trainer(tmp_path, 89, hooks=[Breaking()], log_every=10)
    message, step = failure(trainer)
    assert step == 20, message


def test_no_more_is_replayed_than_a_snapshot_is_old(tmp_path, monkeypatch):
    monkeypatch.setattr(divergence, "_SNAPSHOT_EVERY", 10)
    replayed = []
    original = divergence.find_culprit

    def counting(trainer, snapshot, until):
        replayed.append(until - snapshot.step)
        return original(trainer, snapshot, until)

    monkeypatch.setattr(divergence, "find_culprit", counting)
    failure(make_trainer(tmp_path, 70, mapping=Mapped(Poison(NAN)), log_every=5))
    assert len(replayed) == 1
    assert replayed[0] <= 15


def test_the_model_is_as_it_was_after_a_replay(tmp_path):
    trainer = make_trainer(tmp_path, 23, mapping=Mapped(Poison(NAN)))
    failure(trainer)
    assert "map" not in vars(trainer.model)
    assert not any(module._forward_hooks for module in trainer.model.modules())
