"""The loop: its seeds, its batches, its log, early stopping, clipping."""

import json
import random
import subprocess
import sys
import weakref

import numpy as np
import pytest
import safetensors.torch
import torch
from torch import nn

from intel_core import (
    Identity,
    IntelError,
    InteLVAE,
    Split,
    StopReason,
    fit,
    hookimpl,
    make_dataset,
    parse_spec,
    register,
)
from intel_core.mappings.contract import MappingSpec
from intel_core.model.objectives import ELBO
from intel_core.randomness import stream
from intel_core.recipe.building import build_model
from intel_core.recipe.resolving import resolve
from intel_core.recipe.runspec import make_run_spec
from intel_core.training.scoring import evaluate

N = 60  # of which 48 are trained on, 6 watched and 6 kept for the end
DATA = np.random.default_rng(0).normal(size=(N, 3)).astype(np.float32) * [1.0, 2.0, 0.5]
BASE = {
    "steps": 24, "batch_size": 16, "log_every": 10, "evaluate_every": 6, "device": "cpu", "latent": 2,
    "encoder": "mlp:hidden=[8]", "likelihood": "gaussian:variance=fixed",
}  # fmt: skip
CONFIGURATIONS = {
    "elbo": {},
    "iwae": {"objective": "iwae:particles=3", "clip_norm": 1.0},
    "learned variance": {"likelihood": "gaussian", "schedules": {"lr": "cosine:start=1,end=0.1,steps=20"}},
    "early stopping": {"patience": 2, "schedules": {"kl": "linear:steps=4"}},
}


def train(folder, *hooks, data=DATA, **settings):
    return fit(data=data, hooks=hooks, run_dir=folder, **(BASE | settings))


def same_weights(a, b):
    first, second = a.model.state_dict(), b.model.state_dict()
    assert first.keys() == second.keys()
    return all(torch.equal(first[name], second[name]) for name in first)


def lines(run, kind=None):
    """What was logged, times left out."""
    return [
        {key: value for key, value in record.items() if key != "seconds"}
        for record in run.records()
        if kind in (None, record["kind"])
    ]


class Watcher:
    """Notes the batches and terms of every training step."""

    def __init__(self, after_step=None):
        self.x, self.noise, self.terms, self.gradients, self.evaluations = [], [], [], [], []
        self.after_step = after_step

    @hookimpl
    def run_start(self, trainer):
        objective = trainer.objective

        class Watched:
            particles = objective.particles

            def __call__(_, model, x, noise, weights):
                terms = objective(model, x, noise, weights)
                if model.training:
                    self.x.append(x.clone())
                    self.noise.append(noise.clone())
                    numbers = {"loss": terms.loss, "log_likelihood": terms.log_likelihood, "kl": terms.kl}
                    self.terms.append({name: float(v.detach()) for name, v in (numbers | terms.others).items()})
                return terms

        trainer.objective = Watched()

    @hookimpl
    def step_end(self, trainer):
        norms = [p.grad.norm() for p in trainer.model.parameters() if p.grad is not None]
        self.gradients.append(float(torch.stack(norms).norm()))
        if self.after_step is not None:
            self.after_step(trainer)

    @hookimpl
    def evaluated(self, trainer, record):
        state = {name: value.clone() for name, value in trainer.model.state_dict().items()}
        self.evaluations.append((record["step"], record["loss"], state))


# --- seeds -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("settings", CONFIGURATIONS.values(), ids=CONFIGURATIONS)
def test_same_seed_same_run_and_other_seed_other_run(settings, tmp_path):
    first = train(tmp_path / "1", seed=5, **settings)
    torch.manual_seed(77)
    torch.randn(5)
    again, other = train(tmp_path / "2", seed=5, **settings), train(tmp_path / "3", seed=6, **settings)
    assert same_weights(first, again)
    assert lines(first) == lines(again)
    assert not same_weights(first, other)


SCRIPT = """
import json, random, sys
import numpy as np, torch
random.seed(1), np.random.seed(2), torch.manual_seed(3), torch.rand(7)
torch.set_num_threads({threads})
from intel_core import fit
fit(data=np.load(sys.argv[1]), run_dir=sys.argv[2], **json.loads(sys.argv[3]))
"""


@pytest.mark.slow
def test_same_seed_same_run_in_another_process(tmp_path):
    settings = BASE | CONFIGURATIONS["iwae"] | {"seed": 5}
    run = train(tmp_path / "here", **settings)
    np.save(tmp_path / "x.npy", DATA)
    script = SCRIPT.format(threads=torch.get_num_threads())
    command = [sys.executable, "-c", script, str(tmp_path / "x.npy"), str(tmp_path / "there"), json.dumps(settings)]
    subprocess.run(command, check=True, timeout=120)
    here, there = (safetensors.torch.load_file(tmp_path / p / "model.safetensors") for p in ("here", "there"))
    assert all(torch.equal(here[name], there[name]) for name in here)
    records = [json.loads(line) for line in (tmp_path / "there" / "metrics.jsonl").read_text().splitlines()]
    assert [{k: v for k, v in record.items() if k != "seconds"} for record in records] == lines(run)


@pytest.mark.parametrize("settings", CONFIGURATIONS.values(), ids=CONFIGURATIONS)
def test_global_random_state_is_left_untouched(settings, tmp_path):
    before = torch.get_rng_state(), np.random.get_state()[1].copy(), random.getstate()  # noqa: NPY002
    run = train(tmp_path / "run", **settings)
    run.sample(3, noise=True)
    run.encode(DATA[:4])
    assert torch.equal(before[0], torch.get_rng_state())
    assert np.array_equal(before[1], np.random.get_state()[1])  # noqa: NPY002
    assert before[2] == random.getstate()


def test_accelerators_are_not_reseeded(tmp_path, monkeypatch):
    """torch.manual_seed seeds every accelerator as well, whose state nobody puts back."""
    seeded = []
    monkeypatch.setattr(torch.cuda, "manual_seed_all", seeded.append)
    train(tmp_path / "run", steps=2)
    assert seeded == []


def test_logging_and_evaluating_do_not_change_the_run(tmp_path):
    often = train(tmp_path / "often", log_every=1, evaluate_every=1)
    rarely = train(tmp_path / "rarely", log_every=1000, evaluate_every=1000, keep_checkpoints=1)
    assert same_weights(often, rarely)
    assert often.metrics["test"] == rarely.metrics["test"]


class Scaled(nn.Module):
    """A mapping with a random initial parameter."""

    def __init__(self, y_dim):
        super().__init__()
        self.y_dim = self.z_dim = y_dim
        self.scale = nn.Parameter(torch.rand(y_dim))

    def forward(self, y):
        return y * self.scale


class ScaledSpec(MappingSpec):
    """A mapping with a random initial parameter."""

    def build(self, y_dim):
        return Scaled(y_dim)


def test_exchanging_one_part_leaves_the_initial_weights_of_the_others():
    register("mappings", "scaled", ScaledSpec)
    dataset = make_dataset("d", DATA)

    def initial(**settings):
        settings = {"data": f"memory:examples={N},shape=[3]"} | settings
        return build_model(resolve(make_run_spec(**settings), dataset), dataset.x_shape)

    plain, mapped = initial(), initial(mapping="scaled")
    wider = initial(mapping="scaled", encoder="mlp:hidden=[9]", decoder="mlp")
    same_decoder = initial(decoder="mlp:hidden=[64,64]", encoder="linear")
    for a, b in zip(plain.encoder.parameters(), mapped.encoder.parameters(), strict=True):
        assert torch.equal(a, b)
    for a, b in zip(plain.decoder.parameters(), same_decoder.decoder.parameters(), strict=True):
        assert torch.equal(a, b)
    assert torch.equal(mapped.mapping.scale, wider.mapping.scale)


# --- batches -----------------------------------------------------------------------------------------------------


def _rows(batches):
    return [tuple(row) for batch in batches for row in batch.tolist()]


@pytest.mark.parametrize(("batch", "per_epoch"), [(16, 3), (10, 4), (48, 1), (47, 1), (1, 48)])
def test_epochs_count_full_batches_and_batches_of_an_epoch_are_disjoint(batch, per_epoch, tmp_path):
    watcher = Watcher()
    run = train(tmp_path / "run", watcher, steps=None, epochs=3, batch_size=batch)
    assert len(watcher.x) == 3 * per_epoch == run.metrics["step"] == run.spec.steps
    assert run.metrics["epoch"] == 3
    assert all(x.shape == (batch, 3) for x in watcher.x)
    training = set(_rows([make_dataset("d", DATA).train.x]))
    epochs = [_rows(watcher.x[i * per_epoch : (i + 1) * per_epoch]) for i in range(3)]
    for rows in epochs:
        assert len(set(rows)) == len(rows) == per_epoch * batch
        assert set(rows) <= training
    assert epochs[0] != epochs[1]


def test_every_example_is_visited_though_batches_do_not_fill_an_epoch(tmp_path):
    watcher = Watcher()
    train(tmp_path / "run", watcher, steps=None, epochs=12, batch_size=20)  # 40 of 48 in each epoch
    counts = {row: _rows(watcher.x).count(row) for row in _rows([make_dataset("d", DATA).train.x])}
    assert min(counts.values()) >= 5
    assert sum(counts.values()) == 12 * 40


def test_batch_larger_than_the_data_is_the_whole_data(tmp_path):
    watcher = Watcher()
    run = train(tmp_path / "run", watcher, batch_size=1000, steps=5)
    assert all(x.shape == (48, 3) for x in watcher.x)
    assert all(noise.shape == (1, 48, 2) for noise in watcher.noise)
    assert run.metrics["epoch"] == 5
    assert len({tuple(_rows([x])) for x in watcher.x}) == 5  # in another order each time


def test_batches_and_noise_follow_the_documented_streams(tmp_path):
    watcher = Watcher()
    train(tmp_path / "run", watcher, objective="iwae:particles=3", seed=9, steps=7)
    x = make_dataset("d", DATA).train.x
    noise = torch.Generator().manual_seed(stream(9, "noise"))
    for step in range(7):
        order = torch.randperm(48, generator=torch.Generator().manual_seed(stream(9, f"order/{step // 3}")))
        start = 16 * (step % 3)
        assert torch.equal(watcher.x[step], x[order[start : start + 16]])
        assert torch.equal(watcher.noise[step], torch.randn(3, 16, 2, generator=noise))
    assert len({tuple(n.flatten().tolist()) for n in watcher.noise}) == 7


def test_bytes_are_trained_on_as_values_between_zero_and_one(tmp_path):
    watcher = Watcher()
    images = np.random.default_rng(0).integers(0, 256, size=(20, 1, 3, 3), dtype=np.uint8)
    train(tmp_path / "run", watcher, data=images, likelihood="continuous_bernoulli", steps=3, batch_size=4)
    values = {v for x in watcher.x for v in x.flatten().tolist()}
    assert values <= {float(np.float32(b) / np.float32(255)) for b in range(256)}
    assert len(values) > 20


def test_steps_and_epochs_together_are_refused(tmp_path):
    with pytest.raises(IntelError, match="steps or epochs"):
        train(tmp_path / "run", epochs=2)


# --- the log -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("settings", CONFIGURATIONS.values(), ids=CONFIGURATIONS)
@pytest.mark.parametrize("log_every", [1, 7, 24, 100])
def test_logged_lines_are_means_over_the_steps_since_the_last_one(log_every, settings, tmp_path):
    watcher = Watcher()
    run = train(tmp_path / "run", watcher, **(settings | {"log_every": log_every, "patience": None}))
    ends = [s for s in range(1, 25) if s % log_every == 0 or s == 24]
    found = lines(run, "train")
    assert [line["step"] for line in found] == ends
    for line, start, end in zip(found, [0, *ends], ends, strict=False):
        window = watcher.terms[start:end]
        for name in watcher.terms[0]:
            assert line[name] == pytest.approx(np.mean([terms[name] for terms in window]), rel=1e-5)
        assert line["elbo"] == pytest.approx(line["log_likelihood"] - line["kl"], rel=1e-6)
        assert line["epoch"] == pytest.approx(end / 3, abs=1e-4)


def test_no_step_is_kept_in_memory_until_a_line_is_logged(tmp_path):
    means, alive = [], []

    class Counting:
        @hookimpl
        def run_start(self, trainer):
            objective = trainer.objective

            class Watched:
                particles = objective.particles

                def __call__(_, *arguments):
                    terms = objective(*arguments)
                    means.append(weakref.ref(terms.posterior.mean))
                    return terms

            trainer.objective = Watched()

        @hookimpl
        def step_end(self, trainer):
            alive.append(sum(mean() is not None for mean in means))

    train(tmp_path / "run", Counting(), log_every=10**6)
    assert len(alive) > 10
    assert max(alive) <= 2


def test_final_numbers_are_those_of_the_saved_model(tmp_path):
    run = train(tmp_path / "run", objective="iwae:particles=4", seed=3)
    dataset, objective = make_dataset("d", DATA), run.spec.objective.build()
    for name in ("validation", "test"):
        assert run.metrics[name] == evaluate(run.model, objective, getattr(dataset, name), 3)
    last = lines(run, "validation")[-1]
    assert {key: last[key] for key in run.metrics["validation"]} == run.metrics["validation"]


def test_evaluations_come_when_asked_for_and_at_the_end(tmp_path):
    watcher = Watcher()
    run = train(tmp_path / "run", watcher, steps=17, evaluate_every=5)
    assert [step for step, _, _ in watcher.evaluations] == [5, 10, 15, 17]
    assert [line["step"] for line in lines(run, "validation")] == [5, 10, 15, 17]


# --- early stopping ----------------------------------------------------------------------------------------------

FROZEN = {"lr": "constant:value=0"}  # no evaluation gains anything over the first


@pytest.mark.parametrize(
    ("kl", "patience", "stops", "best"),
    [("constant", 2, 12, 4), ("constant", 1, 8, 4), ("linear:steps=20", 2, 28, 20), ("linear:steps=18", 3, 32, 20)],
)
def test_early_stopping_waits_for_the_warm_up(kl, patience, stops, best, tmp_path):
    run = train(tmp_path / "run", steps=500, evaluate_every=4, patience=patience, schedules=FROZEN | {"kl": kl})
    assert (run.metrics["step"], run.metrics["best_step"]) == (stops, best)
    assert run.status == "finished"
    assert "no gain" in run.metrics["stop_reason"]


def test_patience_begins_anew_with_every_gain(tmp_path):
    """The decoder's bias decides the loss: worse, worse, best of all, then three times worse again."""
    plan = [5.0, 3.0, 4.0, 4.5, 2.0, 3.0, 3.0, 3.0, 1.0]

    def follow(trainer):
        if trainer.step % 4 == 0:
            with torch.no_grad():
                trainer.model.decoder[-1].bias.fill_(plan[trainer.step // 4 - 1])

    run = train(
        tmp_path / "run", Watcher(follow), steps=36, evaluate_every=4, patience=3,
        schedules=FROZEN | {"kl": "constant"},
    )  # fmt: skip
    assert (run.metrics["step"], run.metrics["best_step"]) == (32, 20)
    assert float(run.model.decoder[-1].bias.detach()[0]) == 2.0


def test_early_stopping_returns_the_best_weights(tmp_path):
    """Training is spoiled after 40 steps, so the best evaluation is one of those before."""

    def spoil(trainer):
        if trainer.step >= 40:
            with torch.no_grad():
                trainer.model.decoder[-1].bias.add_(1.0)

    watcher = Watcher(spoil)
    run = train(tmp_path / "run", watcher, steps=500, evaluate_every=8, patience=3, schedules={"kl": "linear:steps=8"})
    counted = [e for e in watcher.evaluations if e[0] >= 8]
    step, loss, weights = min(counted, key=lambda e: e[1])
    assert step < 40 < run.metrics["step"] == counted[-1][0]
    assert run.metrics["best_step"] == step
    assert run.metrics["validation"]["loss"] == loss
    assert all(torch.equal(value, weights[name]) for name, value in run.model.state_dict().items())
    saved = safetensors.torch.load_file(tmp_path / "run" / "model.safetensors")
    assert all(torch.equal(value, weights[name]) for name, value in saved.items())


def test_best_weights_are_returned_at_the_last_step_too_and_only_with_patience(tmp_path):
    def spoil(trainer):
        if trainer.step == 20:
            with torch.no_grad():
                trainer.model.decoder[-1].bias.add_(100.0)

    patient = train(tmp_path / "patient", Watcher(spoil), patience=50, schedules={"kl": "constant"})
    plain = train(tmp_path / "plain", Watcher(spoil), schedules={"kl": "constant"})
    assert patient.metrics["best_step"] == 18
    assert "best_step" not in plain.metrics
    assert patient.metrics["validation"]["loss"] < 100 < plain.metrics["validation"]["loss"]


# --- collapse ----------------------------------------------------------------------------------------------------


def _encoding_model(gains, offset=0.0):
    """An encoder whose means are gains times the first value of x, plus an offset."""
    encoder, latent = nn.Linear(1, 2 * len(gains)), len(gains)
    with torch.no_grad():
        encoder.weight.zero_()
        encoder.weight[:latent, 0] = torch.tensor(gains)
        encoder.bias[:latent] = offset
    likelihood = parse_spec("likelihoods", "gaussian:variance=fixed").build()
    return InteLVAE(encoder, Identity(latent), nn.Linear(latent, 1), likelihood, (1,))


@pytest.mark.parametrize(
    ("gains", "offset", "active"),
    [
        ([0.0, 0.0, 0.0], 0.0, 0),  # ignores x: collapsed
        ([0.0, 0.0], 1000.0, 0),
        ([1.0, 0.11, 0.09, 0.0], 0.0, 2),  # variances 1, 0.0121, 0.0081 and 0: active is above 0.01
        ([0.11, 0.09], 1000.0, 1),
        ([2.0, -3.0, 0.5], -1.0, 3),
    ],
)
def test_active_units_see_a_collapse(gains, offset, active):
    x = torch.linspace(-1, 1, 2500).unsqueeze(1)
    x = x / x.std(correction=0)
    assert evaluate(_encoding_model(gains, offset), ELBO(), Split(x), 0)["active_units"] == active


def test_a_model_that_ignores_x_is_reported_as_collapsed(tmp_path):
    run = train(tmp_path / "run", schedules={"kl": "constant:value=1000"}, steps=400, learning_rate=0.02)
    assert run.metrics["test"]["active_units"] == 0
    assert run.metrics["test"]["kl"] == pytest.approx(0, abs=0.05)


# --- gradients ---------------------------------------------------------------------------------------------------


def test_gradients_are_clipped_as_a_whole(tmp_path):
    free, clipped, loose = Watcher(), Watcher(), Watcher()
    unclipped = train(tmp_path / "free", free)
    train(tmp_path / "clipped", clipped, clip_norm=0.01)
    never = train(tmp_path / "loose", loose, clip_norm=1e6)
    assert min(free.gradients) > 0.1
    assert clipped.gradients == pytest.approx([0.01] * 24, rel=1e-3)
    assert same_weights(unclipped, never)


REASONS = {"a word": "enough", "words like a signal's": "signal TEST", "a signal": StopReason("signal TEST", "signal")}


@pytest.mark.parametrize("name", REASONS)
def test_stop_ends_the_run_after_the_current_step(name, tmp_path):
    """Whether it is to be continued follows from the kind of the reason, never from its words."""
    reason = REASONS[name]
    run = train(tmp_path / "run", Watcher(lambda trainer: trainer.stop(reason) if trainer.step == 13 else None))
    assert (run.metrics["step"], run.metrics["stop_reason"]) == (13, str(reason))
    assert run.status == ("interrupted" if name == "a signal" else "finished")


def test_a_reason_to_stop_is_given_by_a_call(tmp_path):
    """Between several processes nothing else would reach the others, who would wait for ever."""

    class Assigns:
        @hookimpl
        def step_end(self, trainer):
            trainer.stop_reason = "enough"

    with pytest.raises(AttributeError, match="stop_reason"):
        train(tmp_path / "run", Assigns())


# --- names -------------------------------------------------------------------------------------------------------


class Declaring(nn.Module):
    """The identity with auxiliary losses of any names and weights, declared and returned."""

    def __init__(self, y_dim, declared, returned):
        super().__init__()
        self.y_dim = self.z_dim = y_dim
        self.regularisers, self.returned = declared, returned

    def forward(self, y):
        return y

    def map_with_regularisers(self, y):
        return y, {name: y.square().mean() for name in self.returned}


class DeclaringSpec(MappingSpec):
    """The identity with auxiliary losses."""

    declared: dict[str, float]
    returned: tuple[str, ...]

    def build(self, y_dim):
        return Declaring(y_dim, self.declared, self.returned)


@pytest.mark.parametrize(
    ("declared", "returned"),
    [
        *(({name: 1.0}, (name,)) for name in ("kl", "lr", "loss", "log_likelihood", "elbo", "iwae")),
        ({"a": -1.0}, ("a",)),
        ({"a": 1.0}, ("a", "b")),
        ({"a": 1.0, "b": 1.0}, ("a",)),
    ],
)
def test_auxiliary_losses_that_mean_nothing_are_refused(declared, returned, tmp_path):
    """Names of other numbers, negative weights, and losses that are not those declared."""
    register("mappings", "declaring", DeclaringSpec)
    spec = DeclaringSpec(declared=declared, returned=returned)
    with pytest.raises(IntelError):
        train(tmp_path / "run", mapping=spec, objective="iwae:particles=2", steps=2)


def test_a_proper_auxiliary_loss_is_taken(tmp_path):
    register("mappings", "declaring", DeclaringSpec)
    run = train(tmp_path / "run", mapping=DeclaringSpec(declared={"a": 1.0}, returned=("a",)), steps=2)
    assert run.metrics["test"]["a"] > 0


def test_batch_of_one_that_batch_norm_cannot_take_is_refused(tmp_path):
    """Three halvings leave one pixel of 8x8, and one number has no variance."""
    images = np.random.default_rng(0).integers(0, 256, size=(40, 1, 8, 8), dtype=np.uint8)
    with pytest.raises(IntelError):
        train(tmp_path / "run", data=images, encoder="conv", likelihood="bernoulli", batch_size=1, steps=2)


def test_a_caller_without_gradients_trains_all_the_same(tmp_path):
    x = torch.randn(50, 2, generator=torch.Generator().manual_seed(0))
    fit(mapping="identity", data=x, steps=5, run_dir=tmp_path / "with")
    with torch.no_grad():
        fit(mapping="identity", data=x, steps=5, run_dir=tmp_path / "without")
    files = [(tmp_path / name / "model.safetensors").read_bytes() for name in ("with", "without")]
    assert files[0] == files[1]
