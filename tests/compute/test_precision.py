"""In bfloat16 the networks alone are lowered; a run in it is repeatable, resumes, and says what it was."""

import json
import time

import numpy as np
import pytest
import torch

from intel_core import IntelError, SpecError, StopReason, fit, hookimpl, load_run, make_dataset, resume
from intel_core.compute import precision
from intel_core.model.objectives import ELBO
from intel_core.networks.specs import ConvSpec, MLPSpec
from intel_core.recipe.building import build_model
from intel_core.recipe.resolving import resolve
from intel_core.recipe.runspec import make_run_spec
from intel_core.training.scoring import evaluate

IMAGES = np.random.default_rng(1).integers(0, 256, size=(200, 12, 12), dtype=np.uint8)
BASE = {
    "mapping": "identity", "encoder": "conv:channels=[4,6]", "latent": 3, "steps": 24, "batch_size": 16,
    "evaluate_every": 8, "log_every": 5, "device": "cpu", "precision": "bfloat16",
}  # fmt: skip


def train(folder, *hooks, **settings):
    return fit(data=IMAGES, hooks=hooks, run_dir=folder, **(BASE | settings))


def weights(run):
    return run.model.state_dict()


def same(first, second):
    return first.keys() == second.keys() and all(torch.equal(first[name], second[name]) for name in first)


def numbers(run):
    return {name: run.metrics[name] for name in ("validation", "test")}


class Seen:
    """The dtypes that a run works with."""

    @hookimpl
    def run_start(self, trainer):
        self.trainer, self.inner, self.found = trainer, [], []
        trainer.model.encoder[0].register_forward_hook(lambda module, x, out: self.inner.append(out.dtype))
        trainer.model.mapping.register_forward_hook(lambda module, y, z: self.found.extend([y[0].dtype, z.dtype]))
        objective = trainer.objective

        class Watched:
            particles = objective.particles

            def __call__(_, *arguments):
                terms = objective(*arguments)
                values = [terms.loss, terms.log_likelihood, terms.kl, *terms.posterior]
                self.found.extend(value.dtype for value in values)
                return terms

        trainer.objective = Watched()


def test_the_networks_alone_are_lowered(tmp_path):
    seen = Seen()
    run = train(tmp_path / "run", seen, steps=3)
    assert set(seen.inner) == {torch.bfloat16}
    assert set(seen.found) == {torch.float32}
    assert {value.dtype for value in weights(run).values() if value.is_floating_point()} == {torch.float32}
    moments = [state["exp_avg"] for state in seen.trainer.optimizer.state.values()]
    assert {moment.dtype for moment in moments} == {torch.float32}


def test_float32_is_what_it_was(tmp_path):
    seen = Seen()
    train(tmp_path / "run", seen, steps=3, precision="float32")
    assert {*seen.inner, *seen.found} == {torch.float32}


def test_same_seed_same_run(tmp_path):
    first, again = train(tmp_path / "1"), train(tmp_path / "2")
    other = train(tmp_path / "3", seed=1)
    assert same(weights(first), weights(again))
    assert numbers(first) == numbers(again)
    assert not same(weights(first), weights(other))
    assert not same(weights(first), weights(train(tmp_path / "4", precision="float32")))


class StopAt:
    def __init__(self, step):
        self.step = step

    @hookimpl
    def step_end(self, trainer):
        if trainer.step == self.step:
            trainer.stop(StopReason("signal SIGINT", "signal"))


def test_an_interrupted_run_resumes_bit_for_bit(tmp_path):
    whole = train(tmp_path / "whole")
    train(tmp_path / "parts", StopAt(11))
    resumed = resume(tmp_path / "parts", data=IMAGES)
    assert same(weights(whole), weights(resumed))
    assert numbers(whole) == numbers(resumed)


def test_a_run_read_back_computes_as_it_was_trained(tmp_path):
    run = train(tmp_path / "run")
    assert json.loads((tmp_path / "run" / "run.json").read_text())["spec"]["precision"] == "bfloat16"
    back = load_run(tmp_path / "run")
    assert torch.equal(run.sample(5), back.sample(5))
    assert torch.equal(run.encode(IMAGES[:5]).mean, back.encode(IMAGES[:5]).mean)
    split = make_dataset("data", IMAGES).test
    assert evaluate(run.model, ELBO(), split, 0) == evaluate(back.model, ELBO(), split, 0)


def test_close_to_float32(tmp_path):
    low, full = (train(tmp_path / name, precision=name) for name in ("bfloat16", "float32"))
    assert low.metrics["test"]["elbo"] == pytest.approx(full.metrics["test"]["elbo"], rel=0.02)


def test_particles_keep_their_shape(tmp_path):
    run = train(tmp_path / "run", objective="iwae:particles=3", steps=4)
    assert run.model.decode(torch.zeros(3, 2, 3)).shape == (3, 2, 1, 12, 12)
    assert run.model.decode(torch.zeros(3, 2, 3)).dtype == torch.float32


# --- auto ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("pays", [True, False])
def test_auto_lowers_convolutions_where_it_pays(pays, monkeypatch):
    monkeypatch.setattr(precision, "bfloat16_pays", lambda device: pays)
    pick = precision.pick_precision
    assert pick("auto", "cpu", ConvSpec(), ConvSpec()) == ("bfloat16" if pays else "float32")
    assert pick("auto", "cpu", MLPSpec(), MLPSpec()) == "float32"
    assert pick("float32", "cpu", ConvSpec()) == "float32"
    assert pick("bfloat16", "cpu", MLPSpec()) == "bfloat16"


@pytest.mark.parametrize("amx", [True, False])
@pytest.mark.parametrize("instruction", [True, False])
def test_a_processor_is_asked_for_what_it_has_and_never_timed(amx, instruction, monkeypatch):
    """The AVX512-BF16 instruction alone does not count: how fast it is only a clock could tell."""
    monkeypatch.delenv(precision.AUTO_PRECISION, raising=False)
    monkeypatch.setattr(torch.cpu, "_is_avx512_bf16_supported", lambda: instruction)
    monkeypatch.setattr(torch.cpu, "_is_amx_tile_supported", lambda: amx)
    monkeypatch.setattr(time, "perf_counter", None)
    assert precision.bfloat16_pays(torch.device("cpu")) is amx


@pytest.mark.parametrize("wanted", ["float32", "bfloat16"])
@pytest.mark.parametrize("amx", [True, False])
def test_a_variable_overrules_the_processor(wanted, amx, monkeypatch):
    monkeypatch.setenv(precision.AUTO_PRECISION, wanted)
    monkeypatch.setattr(torch.cpu, "_is_amx_tile_supported", lambda: amx)
    assert precision.pick_precision("auto", "cpu", ConvSpec(), ConvSpec()) == wanted
    assert precision.pick_precision("auto", "cpu", MLPSpec(), MLPSpec()) == "float32"


def test_a_variable_that_names_no_format_is_refused(monkeypatch):
    monkeypatch.setenv(precision.AUTO_PRECISION, "bfloat")
    with pytest.raises(SpecError, match="INTEL_AUTO_PRECISION='bfloat' is no number format; did you mean 'bfloat16'"):
        precision.pick_precision("auto", "cpu", ConvSpec())


def test_resolving_settles_it_for_good(monkeypatch):
    dataset = make_dataset("data", IMAGES)
    settings = {key: value for key, value in BASE.items() if key != "precision"}
    monkeypatch.setattr(precision, "bfloat16_pays", lambda device: True)
    spec = resolve(make_run_spec(data="memory:examples=1,shape=[1]", **settings), dataset)
    assert spec.precision == "bfloat16"
    monkeypatch.setattr(precision, "bfloat16_pays", lambda device: False)
    assert resolve(spec, dataset).precision == "bfloat16"


def test_a_run_of_before_there_was_a_choice_is_in_float32():
    spec = resolve(make_run_spec(data="memory:examples=1,shape=[1]", **BASE), make_dataset("data", IMAGES))
    asked = [spec.model_copy(update={"precision": name}) for name in ("auto", "float32")]
    former, now = (build_model(one, (1, 12, 12)) for one in asked)
    x = torch.rand(3, 1, 12, 12, generator=torch.Generator().manual_seed(0))
    assert torch.equal(former.encode(x).mean, now.encode(x).mean)
    assert not torch.equal(former.encode(x).mean, build_model(spec, (1, 12, 12)).encode(x).mean)


def test_another_word_is_refused():
    with pytest.raises(IntelError, match="'auto', 'float32' or 'bfloat16'"):
        make_run_spec(precision="float16")
