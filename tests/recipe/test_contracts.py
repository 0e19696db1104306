"""What breaks its contract is told in a line, with its name, before anything is trained or written."""

import dataclasses
import math
import re
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from pydantic import ConfigDict
from torch import nn

from intel_core import (
    Dataset,
    DatasetSpec,
    EnvironmentProblem,
    IntelError,
    LikelihoodSpec,
    MappingSpec,
    NetworkSpec,
    ObjectiveSpec,
    PluginError,
    ScheduleSpec,
    Split,
    fit,
    load_run,
    make_dataset,
    register,
)
from intel_core.likelihoods.densities import Gaussian
from intel_core.model.objectives import ELBO, Terms

X = np.random.default_rng(0).normal(size=(60, 3)).astype(np.float32)
SMALL = {"steps": 3, "batch_size": 10, "latent": 2, "device": "cpu"}


def refused(folder: Path, **settings: object) -> str:
    """What is said of settings that break a contract; nothing is left in the folder."""
    with pytest.raises(PluginError) as caught:
        fit(**{"data": X, **SMALL, **settings}, run_dir=folder / "run")
    assert not (folder / "run").exists()
    said = str(caught.value)
    assert "\n" not in said
    assert len(said) < 300
    return said


# --- networks ----------------------------------------------------------------------------------------------------


class Several(nn.Linear):
    def forward(self, x):
        return super().forward(x), x


class Extra(nn.Linear):
    def get_extra_state(self):
        return {"version": 1}

    def set_extra_state(self, state):
        pass


class Halved(nn.Linear):
    def forward(self, x):
        return super().forward(x).half()


class Wrong(nn.Linear):
    def forward(self, x):
        return super().forward(x) @ torch.zeros(1, 1)


class Quits(nn.Linear):
    def forward(self, x):
        raise SystemExit("no licence")


class Later(nn.Module):
    """A part of it is lazy and not called."""

    def __init__(self, into):
        super().__init__()
        self.now, self.later = nn.LazyLinear(into), nn.LazyLinear(into)

    def forward(self, x):
        return self.now(x)


ENCODERS = {
    "wide": (
        lambda s, o: nn.Linear(*s, o + 1),
        r"^encoder wide: gives shape \(2, 5\) for input of shape \(2, 3\), exp",
    ),
    "several": (lambda s, o: Several(*s, o), r"^encoder several: gives a tuple of 2 for input .*means, then log-varia"),
    "no-module": (
        lambda s, o: lambda x: x,
        r"^encoder no-module: what it builds is of type function, expected a torch",
    ),
    "none": (lambda s, o: None, r"^encoder none: what it builds is of type NoneType, expected a torch\.nn\.Module$"),
    "extra": (lambda s, o: Extra(*s, o), r"^encoder extra: its state holds '_extra_state' of type dict, and a run ke"),
    "half": (
        lambda s, o: Halved(*s, o),
        r"^encoder half: gives numbers of type torch\.float16, expected torch\.float32$",
    ),
    "double": (
        lambda s, o: nn.Linear(*s, o).double(),
        r"^encoder double: on input of shape \(2, 3\) it raised RuntimeE",
    ),
    "wrong": (lambda s, o: Wrong(*s, o), r"^encoder wrong: on input of shape \(2, 3\) it raised RuntimeError: "),
    "quits": (lambda s, o: Quits(*s, o), r"^encoder quits: .* it raised SystemExit: no licence$"),
    "building": (lambda s, o: {}["key"], r"^encoder building raised KeyError: 'key'$"),
    "later": (
        lambda s, o: Later(o),
        r"^encoder later: the lazy parameter 'later\.weight' has no shape yet after a call",
    ),
}


def network(name, build_encoder):
    class Own(NetworkSpec):
        """Encodes in a way of its own; decodes linearly."""

        def build_encoder(self, x_shape, out_features):
            return build_encoder(x_shape, out_features)

        def build_decoder(self, in_features, out_shape):
            return nn.Linear(in_features, *out_shape)

    register("networks", name, Own)
    return name


@pytest.mark.parametrize("name", ENCODERS)
def test_a_network_that_breaks_its_contract_is_told_by_name(name, tmp_path):
    build, said = ENCODERS[name]
    network(name, build)
    assert re.search(said, refused(tmp_path, encoder=name))


def test_a_decoder_is_held_to_what_the_likelihood_wants(tmp_path):
    class Flat(NetworkSpec):
        """Too few parameters."""

        def build_decoder(self, in_features, out_shape):
            return nn.Linear(in_features, 3)

    register("networks", "flat", Flat)
    said = refused(tmp_path, encoder="linear", decoder="flat")
    assert said.startswith(
        "decoder flat: gives shape (2, 3) for input of shape (2, 2), expected (2, 6): the parameters of"
    )


def test_lazy_layers_get_their_sizes_and_train_like_those_that_have_them(tmp_path):
    network("eager", lambda shape, out: nn.Sequential(nn.Linear(*shape, 8), nn.BatchNorm1d(8), nn.Linear(8, out)))
    network("lazy", lambda shape, out: nn.Sequential(nn.LazyLinear(8), nn.LazyBatchNorm1d(), nn.LazyLinear(out)))
    runs = {name: fit(data=X, network=name, **SMALL, run_dir=tmp_path / name) for name in ("eager", "lazy")}
    assert runs["lazy"].info["parameters"] == runs["eager"].info["parameters"]
    assert torch.equal(load_run(tmp_path / "lazy").encode(X).mean, runs["lazy"].encode(X).mean)
    assert all(module.training for module in runs["lazy"].model.encoder.train().modules())


def test_trying_a_network_changes_none_of_its_numbers(tmp_path):
    counted = []

    class Counting(nn.Linear):
        def forward(self, x):
            counted.append((len(x), self.training, torch.is_grad_enabled()))
            return super().forward(x)

    network("counting", lambda shape, out: Counting(*shape, out))
    before = torch.get_rng_state()
    fit(data=X, encoder="counting", **SMALL, run_dir=tmp_path / "run")
    assert torch.equal(before, torch.get_rng_state())
    assert counted[0] == (2, False, False)
    assert counted[-1][0] > 2 or counted[2][1]


def test_networks_without_weights_leave_nothing_to_train(tmp_path):
    class Fixed(NetworkSpec):
        """No weights."""

        def build_encoder(self, x_shape, out_features):
            return nn.AdaptiveAvgPool1d(out_features)

        build_decoder = lambda self, in_features, out_shape: nn.AdaptiveAvgPool1d(*out_shape)  # noqa: E731

    register("networks", "fixed", Fixed)
    with pytest.raises(IntelError, match=r"^there is nothing to train: fixed and fixed have no weights$"):
        fit(data=X, network="fixed", likelihood="gaussian:variance=fixed", **SMALL, run_dir=tmp_path / "run")


# --- mappings, likelihoods, objectives ---------------------------------------------------------------------------


class Faulty(nn.Module):
    def __init__(self, y_dim, fault):
        super().__init__()
        self.y_dim = self.z_dim = y_dim
        self.fault = fault
        if fault == "weights":
            self.regularisers = {"loss": 1.0}
        elif fault in ("terms", "none"):
            self.regularisers = {"own": 1.0}

    def forward(self, y):
        if self.fault == "raises":
            raise IndexError("oh")
        return y.double() if self.fault == "double" else y[:, :1] if self.fault == "narrow" else y

    def map_with_regularisers(self, y):
        return y, {"own": None if self.fault == "none" else y.sum(-1)}


class FaultySpec(MappingSpec):
    """Goes wrong in a chosen way."""

    fault: str = "raises"

    def build(self, y_dim):
        if self.fault == "building":
            raise TypeError("ah")
        return Faulty(y_dim, self.fault)


@pytest.mark.parametrize(
    ("fault", "said"),
    [
        ("raises", r"^mapping faulty:fault=raises raised IndexError: oh$|^mapping faulty raised IndexError: oh$"),
        ("building", r"^mapping faulty:fault=building raised TypeError: ah$"),
        ("double", r"^mapping faulty:fault=double: g of numbers of type torch.float32 gives torch.float64, expected"),
        ("narrow", r"^mapping faulty:fault=narrow: g of shape \(2, 2\) gives \(2, 1\), expected \(2, 2\)$"),
        ("weights", r"an auxiliary loss cannot be called 'loss', that is another number$"),
        ("terms", r"auxiliary loss 'own' is a tensor of shape \(2,\), expected a scalar tensor of floats$"),
        ("none", r"auxiliary loss 'own' is a NoneType, expected a scalar tensor of floats$"),
    ],
)
def test_a_mapping_that_breaks_its_contract_is_told_by_name(fault, said, tmp_path):
    register("mappings", "faulty", FaultySpec)
    assert re.search(said, refused(tmp_path, mapping=f"faulty:fault={fault}"))


def likelihood(name, **changes):
    own = type("Own", (Gaussian,), changes)

    class Spec(LikelihoodSpec):
        """A Gaussian, changed."""

        def build(self):
            return own("fixed", 1.0, 0.0)

    register("likelihoods", name, Spec)
    return name


@pytest.mark.parametrize(
    ("name", "changes", "said"),
    [
        (
            "countless",
            {"params_per_value": property(lambda self: 0, lambda self, n: None)},
            "params_per_value is 0, exp",
        ),
        (
            "summed",
            {"log_prob": lambda self, params, x: params.sum()},
            r"log_prob gives shape \(\) for 2 examples, exp",
        ),
        ("meanless", {"mean": lambda self, params: params[:1]}, r"mean gives shape \(1, 3\) for 2 examples, expected"),
        (
            "rows",
            {"mean_log_prob": lambda self, p, x: self.log_prob(p, x)},
            r"mean_log_prob gives shape \(2,\) for 2 ex",
        ),
        (
            "flat",
            {"log_prob": lambda self, p, x: (p - x).flatten(1).sum(1)},
            r"log_prob of three particles gives shape",
        ),
        ("raising", {"log_density": lambda self, params, x: {}[0]}, "log_prob raised KeyError: 0$"),
    ],
)
def test_a_likelihood_that_breaks_its_contract_is_told_by_name(name, changes, said, tmp_path):
    assert re.search(f"^likelihood {name}: {said}", refused(tmp_path, likelihood=likelihood(name, **changes)))


def objective(name, call, particles=1):
    class Own(ELBO):
        def __call__(self, model, x, noise, weights):
            return call(super().__call__(model, x, noise, weights))

    Own.particles = particles

    class Spec(ObjectiveSpec):
        """The ELBO, changed."""

        def build(self):
            return Own()

    register("objectives", name, Spec)
    return name


@pytest.mark.parametrize(
    ("name", "call", "said"),
    [
        ("a-loss", lambda terms: terms.loss, r"returns a Tensor, expected intel_core\.Terms\("),
        ("a-tuple", tuple, r"returns a tuple, expected intel_core\.Terms\("),
        (
            "rows",
            lambda terms: terms._replace(kl=terms.posterior.kl().sum(-1)),
            r"'kl' is a tensor of shape \(2,\), exp",
        ),
        ("floats", lambda terms: terms._replace(loss=0.5), "'loss' is a float, expected a scalar tensor"),
        (
            "named",
            lambda terms: terms._replace(others={"own": terms.posterior.mean}),
            r"'own' is a tensor of shape \(2,",
        ),
        ("cut-off", lambda terms: terms._replace(loss=terms.loss.detach()), "the loss does not depend on the weights"),
        ("raising", lambda terms: {}["x"], "raised KeyError: 'x'$"),
    ],
)
def test_an_objective_that_breaks_its_contract_is_told_by_name(name, call, said, tmp_path):
    assert re.search(f"^objective {name}:? ?{said}", refused(tmp_path, objective=objective(name, call)))


@pytest.mark.parametrize("particles", [0, None, 1.5, True])
def test_an_objective_says_how_many_particles_it_takes(particles, tmp_path):
    said = refused(tmp_path, objective=objective("uncounted", Terms._make, particles))
    assert said.startswith(f"objective uncounted: particles is {particles!r}, expected a whole number, at least 1")


class Advising(MappingSpec):
    """Advises in a chosen way."""

    fault: str = "raises"

    def build(self, y_dim):
        return Faulty(y_dim, "")

    def advised_schedules(self, steps, settled):
        if self.fault == "raises":
            raise KeyError("no")
        return {"exits": lambda: sys.exit("bye"), "none": lambda: None, "number": lambda: {"kl": 0.5}}[self.fault]()


@pytest.mark.parametrize(
    ("fault", "said"),
    [
        ("raises", r"raised KeyError: 'no'$"),
        ("exits", r"raised SystemExit: bye$"),
        ("none", r"returned a NoneType, expected a dictionary of ScheduleSpecs$"),
        ("number", r"returned other things than schedules, expected a dictionary of ScheduleSpecs$"),
    ],
)
def test_advice_that_breaks_its_contract_is_told_by_name(fault, said, tmp_path):
    register("mappings", "advising", Advising)
    found = refused(tmp_path, mapping=f"advising:fault={fault}")
    assert re.search(rf"^mapping advising(:fault={fault})?: advised_schedules\(\) {said}", found), found


@pytest.mark.parametrize(
    ("weight", "said"),
    [
        (lambda step: None, r"at\(0\) is None, expected a finite number, 0 or more$"),
        (lambda step: -1.0, r"at\(0\) is -1\.0, expected"),
        (lambda step: step * math.inf if step else 0.0, r"at\(1\) is inf, expected"),
        (lambda step: 1 / (3 - step), r"at\(3\) raised ZeroDivisionError: "),
    ],
)
def test_a_schedule_that_breaks_its_contract_is_told_by_name(weight, said, tmp_path):
    class Own(ScheduleSpec):
        """A weight of its own."""

        def at(self, step):
            return weight(step)

    register("schedules", "own", Own)
    assert re.search(f"^schedule own of kl: {said}", refused(tmp_path, schedules={"kl": "own"}))


def test_a_spec_that_exits_as_it_is_made_is_told_by_name(tmp_path):
    class Exiting(MappingSpec):
        """Exits."""

        k: int = 1

        def model_post_init(self, context):
            raise SystemExit("no licence")

    register("mappings", "exiting", Exiting)
    assert refused(tmp_path, mapping="exiting:k=2") == "exiting: its spec raised SystemExit: no licence"


# --- data --------------------------------------------------------------------------------------------------------

SOUND = make_dataset("sound", X, np.arange(60) % 3, class_names=("a", "b", "c"))


def changed(split="train", **fields):
    return dataclasses.replace(SOUND, **{split: dataclasses.replace(getattr(SOUND, split), **fields)})


DATASETS = {
    "an array": (
        X,
        r"load\(\) returned a ndarray, expected an intel_core\.Dataset, which intel_core\.make_dataset makes",
    ),
    "a pair": ((X, X), r"load\(\) returned a tuple, expected"),
    "nothing": (None, r"load\(\) returned a NoneType, expected"),
    "a tensor for a split": (
        dataclasses.replace(SOUND, test=torch.zeros(9, 3)),
        r"test is a Tensor, expected an intel_",
    ),
    "arrays in a split": (changed(x=X), r"train: x is of type ndarray, expected a tensor of float32 or uint8$"),
    "doubles": (
        changed(x=SOUND.train.x.double()),
        r"train: x is of type torch\.float64, expected a tensor of float32 or",
    ),
    "cubes": (changed(x=torch.zeros(9, 3, 3)), r"train: x has shape \(9, 3, 3\), expected \(n, D\) or \(n, C, H, W\)"),
    "an empty part": (
        changed("validation", x=torch.zeros(0, 3), labels=None),
        r"validation: x has shape \(0, 3\), exp",
    ),
    "other columns": (
        changed("test", x=torch.zeros(9, 4)),
        r"test: examples have shape \(4,\), those to train on \(3,\)$",
    ),
    "NaN": (changed("test", x=torch.full((6, 3), math.nan)), r"test: x holds NaN or infinity$"),
    "another support": (
        dataclasses.replace(SOUND, support="unit"),
        r"train: x has values from -.* but support is 'unit'$",
    ),
    "no support": (
        dataclasses.replace(SOUND, support="reals"),
        r"support is 'reals', expected one of binary, unit, real$",
    ),
    "few labels": (changed(labels=torch.zeros(5, dtype=torch.long)), r"train: labels of shape \(5,\) for 48 examples"),
    "float labels": (
        changed(labels=torch.zeros(48)),
        r"train: labels are of type torch\.float32, expected a tensor of w",
    ),
    "array labels": (
        changed(labels=np.zeros(48, int)),
        r"train: labels are of type ndarray, expected a tensor of whole",
    ),
    "a label too many": (changed(labels=torch.full((48,), 7)), r"train: a label is 7, and there are 3 class names$"),
    "scaling": (
        dataclasses.replace(SOUND, scaling=((0.0,), (1.0,))),
        r"scaling holds \[1, 1\] numbers, expected 3 each$",
    ),
    "columns": (
        dataclasses.replace(SOUND, columns=("a",)),
        r"there are 1 names of columns for examples of shape \(3,\)$",
    ),
}


def dataset(load):
    class Own(DatasetSpec):
        """Of a stranger."""

        def load(self, data_dir):
            return load()

    register("datasets", "own", Own)
    return "own"


@pytest.mark.parametrize("fault", DATASETS)
def test_a_data_set_that_breaks_its_contract_is_told_by_name(fault, tmp_path):
    data, said = DATASETS[fault]
    assert re.search(f"^data set own: {said}", refused(tmp_path, data=dataset(lambda: data)))


@pytest.mark.parametrize("kind", [KeyError, SystemExit, RecursionError])
def test_what_loading_raises_is_the_data_set_s_fault(kind, tmp_path):
    def load():
        raise kind("gone")

    assert refused(tmp_path, data=dataset(load)).startswith(f"data set own raised {kind.__name__}: ")


def test_a_package_that_a_data_set_lacks_is_the_machine_s_fault(tmp_path):
    with pytest.raises(
        EnvironmentProblem, match=r"^data set own needs the package 'no_such_package', which is not inst"
    ):
        fit(data=dataset(lambda: __import__("no_such_package")), run_dir=tmp_path / "run")


def test_a_sound_data_set_of_a_stranger_trains_and_is_loaded_again(tmp_path):
    name = dataset(lambda: SOUND)
    run = fit(data=name, **SMALL, run_dir=tmp_path / "run")
    run.require_its_data(load_run(tmp_path / "run").dataset())
    dataset(lambda: Dataset("own", *[Split(X)] * 3, "real"))
    with pytest.raises(PluginError, match="data set own: train: x is of type ndarray"):
        load_run(tmp_path / "run").dataset()


# --- settings as text --------------------------------------------------------------------------------------------


class Odd:
    """No JSON."""


@pytest.mark.parametrize(
    ("kind", "default", "said"),
    [
        (float, math.inf, r"most=Infinity: input should be a finite number"),
        (float, math.nan, r"most=NaN: input should be a finite number"),
        (float, -math.inf, r"most=-Infinity: input should be a finite number"),
        (int, None, r"most=null: input should be a valid integer"),
        (tuple[float, ...], (1.0, math.inf), r"most\.1=Infinity: input should be a finite number"),
        (Odd, Odd(), r"writing its settings as text raised PydanticSerializationError"),
    ],
)
def test_a_default_that_does_not_survive_as_text_is_found_before_training(kind, default, said, tmp_path):
    namespace = {
        "__doc__": "Bounded.",
        "__annotations__": {"most": kind},
        "most": default,
        "model_config": ConfigDict(arbitrary_types_allowed=True),
        "build": lambda self, y_dim: nn.Identity(),
    }
    register("mappings", "bounded", type("Bounded", (MappingSpec,), namespace))
    found = refused(tmp_path, mapping="bounded")
    assert found.startswith("mapping bounded")
    assert re.search(said, found), found


def test_a_spec_that_allows_infinity_is_stored_and_read_back(tmp_path):
    class Open(MappingSpec):
        """No bound, or none that is set."""

        model_config = ConfigDict(allow_inf_nan=True)
        most: float = math.inf
        least: float = math.nan

        def build(self, y_dim):
            return Faulty(y_dim, "")

    register("mappings", "open", Open)
    fit(data=X, mapping="open", **SMALL, run_dir=tmp_path / "run")
    (read,) = load_run(tmp_path / "run").spec.mapping
    assert read.most == math.inf
    assert math.isnan(read.least)
