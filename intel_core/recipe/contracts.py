"""Does what a plugin made keep its contract? Each part of a model, and the data, are tried before anything is trained.

What breaks its contract would otherwise end deep in torch, after minutes, without the name of the plugin. Two rows are
enough: networks are tried in evaluation mode, and nothing here changes a weight or a random state of the process.
"""

from __future__ import annotations

import contextlib
import math
from collections.abc import Callable, Iterator, Sequence
from numbers import Real
from pathlib import Path
from typing import get_args

import torch
from torch import Tensor, nn

from intel_core.components.discovery import singular
from intel_core.components.loading import name_of
from intel_core.components.spec import format_spec, parse_spec
from intel_core.components.wording import one_line
from intel_core.compute.precision import torch_as_usual
from intel_core.data.dataset import Dataset, DatasetSpec, Split, Support
from intel_core.errors import EnvironmentProblem, IntelError, PluginError, SpecError
from intel_core.mappings.contract import Mapping, MappingSpec, Regularised
from intel_core.model.likelihood import Likelihood
from intel_core.model.objectives import Objective, Terms
from intel_core.model.posterior import Posterior
from intel_core.model.vae import InteLVAE
from intel_core.reading.label_conditions import with_labels
from intel_core.recipe.runspec import RunSpec

__all__ = [
    "check_dataset",
    "check_likelihood",
    "check_mapping",
    "check_network",
    "check_objective",
    "check_schedules",
    "check_state",
    "check_texts",
    "load_dataset",
    "made_by",
    "require_count",
    "require_tensor",
]

_TAKEN = ("loss", "elbo", "log_likelihood", "kl", "kl_y", "iwae", "lr", "strength")
_STREAMED = torch.empty(0)
"""Stands for the examples of a split that has none in memory."""
_MOST_PARTICLES = 100
"""Objectives with more are not tried: that would take as long as a step."""


@contextlib.contextmanager
def made_by(what: str) -> Iterator[None]:
    """Tell in a line what a component's own code raises, with its name; errors that a user can mend pass as they are.

    Raises:
        PluginError: for any other exception, and where the code would end the process.
        EnvironmentProblem: if it needs a package that is not installed.
    """
    try:
        yield
    except (IntelError, Warning, MemoryError, torch.OutOfMemoryError):
        raise  # a warning is an error where the user has asked for that
    except ModuleNotFoundError as error:
        raise EnvironmentProblem(f"{what} needs the package {error.name!r}, which is not installed") from error
    except KeyboardInterrupt:
        raise
    except BaseException as error:  # SystemExit, and what other languages raise, too
        if "can't allocate memory" in str(error):
            raise
        raise PluginError(f"{what} raised {type(error).__name__}: {one_line(str(error))}") from error


def check_texts(spec: RunSpec) -> None:
    """Write every component of a run as text, as its directory will hold it.

    Raises:
        PluginError: if one is registered under no name, or its text would not be understood again.
    """
    for part in spec.components:
        name = name_of(part.kind, type(part))
        with made_by(f"{singular(part.kind)} {name}: writing its settings as text"):
            text = format_spec(part, explicit=True)
        try:
            read = parse_spec(part.kind, text)
            other = [key for key in type(part).model_fields if repr(getattr(read, key)) != repr(getattr(part, key))]
            lost = f"{', '.join(other)} would come back as something else" if read != part and other else ""
        except SpecError as error:
            lost = str(error).removeprefix(f"{name}: ")
        if lost:
            raise PluginError(
                f"{singular(part.kind)} {name} cannot be kept as text: {lost}; its spec needs another default there, "
                "such as None"
            )


def check_schedules(spec: RunSpec) -> None:
    """Ask the schedules of a resolved run for their weights at its beginning, in its middle and at its end.

    Raises:
        PluginError: if one is no number, negative, or infinite.
    """
    for name, schedule in spec.schedules.items():
        what = f"schedule {schedule} of {name}"
        for step in sorted({0, (spec.steps or 1) // 2, spec.steps or 1}):
            with made_by(f"{what}: at({step})"):
                weight: object = schedule.at(step)
            if not isinstance(weight, Real) or not 0 <= float(weight) < math.inf:
                raise PluginError(f"{what}: at({step}) is {str(weight)[:40]}, expected a finite number, 0 or more")
        with made_by(f"{what}: settled"):
            settled: object = schedule.settled
        if settled is not None and not isinstance(settled, int):
            raise PluginError(f"{what}: settled is {str(settled)[:40]}, expected a whole number of steps or None")


# --- networks ----------------------------------------------------------------------------------------------------


def check_network(what: str, network: object, shape: Sequence[int], expected: Sequence[int], meaning: str = "") -> None:
    """Try a network on two rows; lazy layers get their sizes by it.

    Args:
        what: role and name, for messages.
        network: what the plugin has built.
        shape: of one row.
        expected: shape of one row of the output.
        meaning: what the output holds, for messages.

    Raises:
        PluginError: if it is no module, its output has another shape or type, or its state is more than tensors.

    >>> check_network("encoder mine", nn.Linear(3, 5), (3,), (4,))
    Traceback (most recent call last):
    intel_core.errors.PluginError: encoder mine: gives shape (2, 5) for input of shape (2, 3), expected (2, 4)
    """
    if not isinstance(network, nn.Module):
        raise PluginError(f"{what}: what it builds is of type {type(network).__name__}, expected a torch.nn.Module")
    with _evaluating(network), torch.no_grad(), made_by(f"{what}: on input of shape {(2, *shape)} it"):
        out = network(torch.zeros(2, *shape))
    wanted = f" for input of shape {(2, *shape)}, expected {(2, *expected)}{f': {meaning}' if meaning else ''}"
    require_tensor(f"{what}: gives", out, (2, *expected), wanted)
    check_state(what, network)


@contextlib.contextmanager
def _evaluating(module: nn.Module) -> Iterator[None]:
    """Evaluation mode for a while; each module has its own mode back afterwards, those that have appeared too."""
    modes = {part: part.training for part in module.modules()}
    whole = module.training
    module.eval()
    try:
        yield
    finally:
        for part in module.modules():
            part.training = modes.get(part, whole)


def require_tensor(gives: str, value: object, shape: tuple[int, ...], wanted: str) -> None:
    """Hold what a plugin gives to a shape and to the usual number format; `wanted` follows what it is instead.

    Raises:
        PluginError: if it is anything else.
    """
    if not isinstance(value, Tensor):
        several = f" of {len(value)}" if isinstance(value, list | tuple | dict) else ""
        raise PluginError(f"{gives} a {type(value).__name__}{several}{wanted}")
    if value.shape != shape:
        raise PluginError(f"{gives} shape {tuple(value.shape)}{wanted}")
    usual = torch.get_default_dtype()  # float32 in every run
    if value.dtype != usual:
        raise PluginError(f"{gives} numbers of type {value.dtype}, expected {usual}")


def require_count(what: str, part: object, name: str) -> int:
    """The attribute of a part that says how many there are of something.

    Raises:
        PluginError: if it is missing or no whole number, 1 or more.
    """
    count = getattr(part, name, None)
    if not isinstance(count, int) or isinstance(count, bool) or count < 1:
        raise PluginError(f"{what}: {name} is {count!r}, expected a whole number, at least 1")
    return count


def check_state(what: str, part: object) -> None:
    """Weights are stored as tensors by name, and nothing else is.

    Raises:
        PluginError: if a module's state holds anything else.
    """
    if not isinstance(part, nn.Module):
        return
    with made_by(f"{what}: state_dict()"):
        state = part.state_dict()
    for name, value in state.items():
        if not isinstance(value, Tensor):
            raise PluginError(
                f"{what}: its state holds {name!r} of type {type(value).__name__}, and a run keeps tensors only; "
                "put numbers into a buffer (register_buffer)"
            )
        if nn.parameter.is_lazy(value):
            raise PluginError(f"{what}: the lazy parameter {name!r} has no shape yet after a call; give it one")


# --- mappings, likelihoods, objectives ---------------------------------------------------------------------------


@torch.no_grad()
def check_mapping(mapping: Mapping, specs: Sequence[MappingSpec]) -> None:
    """Try a mapping on two rows.

    Raises:
        PluginError: if its output, its auxiliary losses or its state break the contract.
    """
    what = f"mapping {' then '.join(str(part) for part in specs) or 'identity'}"
    y = torch.zeros(2, mapping.y_dim)
    with made_by(what):
        z = mapping(y)
    if not isinstance(z, Tensor) or z.shape != (2, mapping.z_dim):
        shape = tuple(z.shape) if isinstance(z, Tensor) else type(z).__name__
        raise PluginError(f"{what}: g of shape (2, {mapping.y_dim}) gives {shape}, expected (2, {mapping.z_dim})")
    if z.dtype != y.dtype:
        raise PluginError(f"{what}: g of numbers of type {y.dtype} gives {z.dtype}, expected the same type")
    check_state(what, mapping)
    if not isinstance(mapping, Regularised):
        return
    with made_by(what):
        declared = dict(mapping.regularisers)
        given = mapping.map_with_regularisers(y)[1]
    for name, weight in declared.items():
        if name in _TAKEN:
            raise PluginError(f"{what}: an auxiliary loss cannot be called {name!r}, that is another number")
        if not 0 <= weight < math.inf:
            raise PluginError(f"{what}: auxiliary loss {name!r} has weight {weight:g}, expected 0 or more")
    if set(given) != set(declared):
        raise PluginError(f"{what}: declares the auxiliary losses {sorted(declared)}, but returns {sorted(given)}")
    for name, term in given.items():
        _require_scalar(f"{what}: auxiliary loss {name!r}", term)


def _require_scalar(what: str, value: object) -> None:
    if not isinstance(value, Tensor) or value.dim() != 0 or not value.is_floating_point():
        shown = f"a tensor of shape {tuple(value.shape)}" if isinstance(value, Tensor) else f"a {type(value).__name__}"
        raise PluginError(f"{what} is {shown}, expected a scalar tensor of floats")


@torch.no_grad()
def check_likelihood(what: str, likelihood: Likelihood, x_shape: Sequence[int]) -> None:
    """Try a likelihood on two examples, with parameters for each and for three particles of each.

    Raises:
        PluginError: if it says not how many parameters it takes, or its answers have other shapes.
    """
    count = require_count(what, likelihood, "params_per_value")
    x, params = torch.zeros(2, *x_shape), torch.zeros(3, 2, x_shape[0] * count, *x_shape[1:])
    answers: dict[str, tuple[Callable[[], object], tuple[int, ...]]] = {
        "log_prob": (lambda: likelihood.log_prob(params[0], x), (2,)),
        "log_prob of three particles": (lambda: likelihood.log_prob(params, x), (3, 2)),
        "mean_log_prob": (lambda: likelihood.mean_log_prob(params[0], x), ()),
        "mean": (lambda: likelihood.mean(params[0]), (2, *x_shape)),
    }
    for name, (ask, shape) in answers.items():
        with made_by(f"{what}: {name}"):
            answer = ask()
        require_tensor(f"{what}: {name} gives", answer, shape, f" for 2 examples, expected {shape}")
    check_state(what, likelihood)


def check_objective(what: str, objective: Objective, model: InteLVAE) -> None:
    """Try an objective on a model and two examples.

    Raises:
        PluginError: if what it returns are no `Terms` of scalars, or nothing could be learned from its loss.
    """
    count = require_count(what, objective, "particles")
    if not callable(objective):
        raise PluginError(f"{what}: what it builds is of type {type(objective).__name__}, which cannot be called")
    if count > _MOST_PARTICLES:
        return
    like = next(model.parameters())
    x, noise = like.new_zeros(2, *model.x_shape), like.new_zeros(count, 2, model.noise_dim)
    conditions = like.new_zeros(2, model.condition_dim) if model.condition_dim else None
    with _evaluating(model), torch.enable_grad(), torch.random.fork_rng(devices=[]), made_by(what):
        terms: object = objective(model.on(conditions), x, noise, {"kl": 1.0})
    if not isinstance(terms, Terms) or not isinstance(terms.posterior, Posterior) or not isinstance(terms.others, dict):
        raise PluginError(
            f"{what}: returns a {type(terms).__name__}, expected intel_core.Terms(loss, log_likelihood, kl, others, "
            "posterior)"
        )
    for name, value in {**terms._asdict(), **terms.others}.items():
        if name not in ("others", "posterior"):
            _require_scalar(f"{what}: {name!r}", value)
    if not terms.loss.requires_grad:
        raise PluginError(f"{what}: the loss does not depend on the weights, so nothing can be learned from it")


# --- data --------------------------------------------------------------------------------------------------------


@torch_as_usual()
def load_dataset(spec: DatasetSpec, data_dir: Path | None, conditions: str = "data") -> Dataset:
    """The data that a spec loads, held to what a data set must be; with ``labels`` these are conditions, too.

    Raises:
        DataError: if it is missing or malformed, or has no labels.
        PluginError: if what the spec loads is no data set.
    """
    what = f"data set {spec}"
    with made_by(what):
        dataset = spec.load(data_dir)
    check_dataset(what, dataset)
    return with_labels(dataset) if conditions == "labels" else dataset


def check_dataset(what: str, dataset: object) -> None:
    """Hold data to the contract of `Dataset`: three splits of one shape and type, with labels for each example.

    Raises:
        PluginError: naming what differs.

    >>> check_dataset("data set mine", (1, 2))
    Traceback (most recent call last):
    intel_core.errors.PluginError: data set mine: load() returned a tuple, expected an intel_core.Dataset, which ...
    """
    if not isinstance(dataset, Dataset):
        raise PluginError(
            f"{what}: load() returned a {type(dataset).__name__}, expected an intel_core.Dataset, which "
            "intel_core.make_dataset makes of arrays"
        )
    if dataset.support not in get_args(Support):
        raise PluginError(f"{what}: support is {dataset.support!r}, expected one of {', '.join(get_args(Support))}")
    splits = {name: getattr(dataset, name) for name in ("train", "validation", "test")}
    for name, split in splits.items():
        if not isinstance(split, Split):
            raise PluginError(f"{what}: {name} is a {type(split).__name__}, expected an intel_core.Split")
        with made_by(f"{what}: {name}"):
            _check_split(f"{what}: {name}", split, dataset)
    shape = dataset.x_shape
    width = shape[0] if len(shape) == 1 else 1
    if dataset.scaling is not None and {len(part) for part in dataset.scaling} != {width}:
        raise PluginError(f"{what}: scaling holds {[len(p) for p in dataset.scaling]} numbers, expected {width} each")
    if dataset.columns and len(dataset.columns) != shape[0]:
        raise PluginError(f"{what}: there are {len(dataset.columns)} names of columns for examples of shape {shape}")


def _check_split(what: str, split: Split, dataset: Dataset) -> None:
    values = vars(split).get("x", _STREAMED)
    if not isinstance(values, Tensor) or values.dtype not in (torch.float32, torch.uint8):
        kind = values.dtype if isinstance(values, Tensor) else type(values).__name__
        raise PluginError(f"{what}: x is of type {kind}, expected a tensor of float32 or uint8")
    shape = split.shape
    if len(shape) not in (2, 4) or 0 in shape:
        raise PluginError(f"{what}: x has shape {shape}, expected (n, D) or (n, C, H, W), and no 0 in it")
    if shape[1:] != dataset.x_shape:
        raise PluginError(f"{what}: examples have shape {shape[1:]}, those to train on {dataset.x_shape}")
    if values.dtype == torch.float32 and values is not _STREAMED:
        low, high = (float(bound) for bound in torch.aminmax(values))
        if not math.isfinite(low) or not math.isfinite(high):
            raise PluginError(f"{what}: x holds NaN or infinity")
        if dataset.support != "real" and (low < 0 or high > 1):
            raise PluginError(f"{what}: x has values from {low:g} to {high:g}, but support is {dataset.support!r}")
    _check_labels(what, split, dataset.class_names)


def _check_labels(what: str, split: Split, class_names: Sequence[str]) -> None:
    labels, n = split.labels, len(split)
    if labels is None:
        return
    if not isinstance(labels, Tensor) or labels.is_floating_point() or labels.is_complex():
        kind = labels.dtype if isinstance(labels, Tensor) else type(labels).__name__
        raise PluginError(f"{what}: labels are of type {kind}, expected a tensor of whole numbers")
    if labels.shape != (n,):
        raise PluginError(f"{what}: labels of shape {tuple(labels.shape)} for {n} examples; expected ({n},)")
    if class_names and int(labels.max()) >= len(class_names):
        raise PluginError(f"{what}: a label is {int(labels.max())}, and there are {len(class_names)} class names")
