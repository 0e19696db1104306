"""How is a sampler fitted to a run, kept with it and found again? ``RUN/samplers/`` holds JSON and safetensors.

A fit belongs to the weights that made the encodings: it is made again if the run has others now, or if another version
of the sampler's distribution is installed.
"""

from __future__ import annotations

import datetime
import hashlib
import json
import re
import time
from collections.abc import Callable
from pathlib import Path

import torch
from pydantic import BaseModel, ConfigDict, JsonValue, ValidationError
from torch import Tensor

from intel_core import files
from intel_core.components import discovery as plugins
from intel_core.components import loading
from intel_core.components.spec import format_spec, parse_spec
from intel_core.compute.precision import torch_as_usual
from intel_core.data.dataset import Dataset, Split
from intel_core.errors import DataError, EnvironmentProblem, IntelError, PluginError, RunError
from intel_core.evaluation.sampler import FittedSampler, SamplerSpec
from intel_core.model.prior import Prior
from intel_core.recipe.contracts import made_by
from intel_core.runs import checkpoint, opening
from intel_core.runs.stored_run import StoredRun

__all__ = ["PRIOR", "KeptSampler", "Sampler", "sampler_of", "sampler_spec"]

PRIOR = "prior"
"""The word for the run's own prior, for which nothing is fitted."""
_FOLDER = "samplers"
_MOST_ENCODED = 50_000
_MOST_BYTES = 2**28
_ROWS = 1000


class KeptSampler(BaseModel):
    """What is kept of a fit beside its tensors.

    Attributes:
        sampler: the sampler's whole spec as text.
        distribution: the distribution that offers it.
        version: the version of that distribution.
        weights: hash of the weights whose encodings it was fitted to.
        sha256: of the file with the tensors.
        created: when it was fitted.
        seconds: how long that took.
        examples: how many training examples it was fitted to, and how many others chose its open settings.
        facts: what the sampler says of the fit.
    """

    model_config = ConfigDict(extra="ignore", frozen=True)  # a later version may keep more

    sampler: str
    distribution: str
    version: str
    weights: str
    sha256: str
    created: str
    seconds: float
    examples: tuple[int, int]
    facts: dict[str, JsonValue] = {}


class Sampler:
    """A fitted distribution of y, from which a run draws in the place of its prior.

    Attributes:
        text: the spec as a user writes it, which is how it is named everywhere.
        kept: what is known of the fit.
        prior: the distribution.
        is_new: whether it was fitted just now.
    """

    def __init__(self, text: str, kept: KeptSampler, prior: Prior, *, is_new: bool) -> None:
        self.text, self.kept, self.prior, self.is_new = text, kept, prior, is_new

    def __str__(self) -> str:
        return self.text


def sampler_spec(given: str | SamplerSpec) -> SamplerSpec | None:
    """The sampler that a word or a spec means; None for ``"prior"``.

    Raises:
        SpecError: if a text describes none.

    >>> sampler_spec("prior") is None
    True
    """
    if isinstance(given, SamplerSpec):
        return given
    if given.strip() == PRIOR:
        return None
    spec = parse_spec("samplers", given)
    assert isinstance(spec, SamplerSpec)
    return spec


@torch_as_usual()
def sampler_of(
    run: StoredRun,
    given: str | SamplerSpec,
    load: Callable[[], Dataset],
    *,
    told: Callable[[str], None] | None = None,
) -> Sampler | None:
    """The fitted sampler of a run, kept or fitted now; None for ``"prior"``.

    Args:
        run: the run.
        given: ``"prior"``, a sampler's text such as ``"pooled:components=20"``, or its spec.
        load: gives the data of the run; called only if it must be fitted.
        told: called with a line before a fit.

    Raises:
        SpecError: if there is no such sampler.
        DataError: if the data are needed and cannot be loaded.
        RunError: if they are other data, the fit fails, or it cannot be kept.
        EnvironmentProblem: if the sampler needs a package that is not installed.
    """
    spec = sampler_spec(given)
    if spec is None:
        return None
    text = format_spec(spec, explicit=True)
    component = plugins.find("samplers", loading.name_of("samplers", type(spec)))
    weights = checkpoint.weights_digest(run.model)
    key = f"{component.qualified} {component.version}|{text}|{weights}"
    plain = re.sub(r"\W+", "-", component.name)
    name = f"{plain}-{hashlib.sha256(key.encode()).hexdigest()[:12]}"
    known = _read(run, spec, name, weights)
    if known is not None:
        return Sampler(str(spec), *known, is_new=False)
    opening.require_own_folder(run.path / _FOLDER)  # before the work, not after it
    dataset = load()
    run.require_its_data(dataset)
    y, held_out = _encoded(run, dataset.train, spec.seed), _encoded(run, dataset.validation, spec.seed)
    if told is not None:
        told(f"Fitting {spec} to the encodings of {len(y):,} training examples of {run.path}")
    start = time.perf_counter()
    fitted = _fit(spec, component, y, held_out)
    prior = _built(f"sampler {spec}", spec, fitted.tensors, run.model.y_dim)
    content = checkpoint.to_bytes(fitted.tensors)
    kept = KeptSampler(
        sampler=text,
        distribution=component.distribution,
        version=component.version,
        weights=weights,
        sha256=hashlib.sha256(content).hexdigest(),
        created=datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="seconds"),
        seconds=round(time.perf_counter() - start, 3),
        examples=(len(y), len(held_out)),
        facts=fitted.facts,
    )
    _write(run.path / _FOLDER, name, kept, content)
    return Sampler(str(spec), kept, prior, is_new=True)


def _fit(spec: SamplerSpec, component: plugins.Component, y: Tensor, held_out: Tensor) -> FittedSampler:
    with made_by(f"sampler {spec} of {component.distribution} {component.version}"):
        fitted: object = spec.fit(y, held_out)
    if not isinstance(fitted, FittedSampler):
        raise PluginError(f"sampler {spec}: fit() returned a {type(fitted).__name__}, expected a FittedSampler")
    return fitted


def _built(what: str, spec: SamplerSpec, tensors: dict[str, Tensor], y_dim: int) -> Prior:
    """The distribution that tensors describe, held to its shape on three draws.

    Raises:
        RunError: if they describe none for so many dimensions.
        EnvironmentProblem: if a package is needed that is not installed.
    """
    if any(not bool(torch.isfinite(value).all()) for value in tensors.values() if value.is_floating_point()):
        raise RunError(f"{what} is damaged: it holds numbers that are not finite")
    try:
        prior = spec.prior(tensors)
        with torch.no_grad():
            y = prior.draw(torch.zeros(3, prior.noise_dim))
    except IntelError:
        raise
    except ModuleNotFoundError as error:
        raise EnvironmentProblem(f"{what} needs the package {error.name!r}, which is not installed") from error
    except Exception as error:  # whatever a plugin makes of tensors that it has not written
        said = f"{type(error).__name__}: {error}".partition("\n")[0]
        raise RunError(f"{what} is damaged: {said[:200]}") from error
    if tuple(y.shape) != (3, y_dim) or not bool(torch.isfinite(y).all()):
        raise RunError(f"{what} draws y of shape {tuple(y.shape)}, expected (3, {y_dim}) and finite numbers")
    return prior


def _encoded(run: StoredRun, split: Split, seed: int) -> Tensor:
    """One draw of q(y|x) of each example of a part, or of 50,000 of them chosen at random."""
    n = len(split)
    rows = torch.arange(n)
    if n > _MOST_ENCODED:
        rows = torch.randperm(n, generator=torch.Generator().manual_seed(seed))[:_MOST_ENCODED].sort().values
    if not n:
        raise DataError(f"{run.path}: a sampler needs training and validation examples, and one part has none")
    y = run.encode(split.part(rows), seed=seed, standardised=True).y
    if not bool(torch.isfinite(y).all()):
        raise RunError(f"{run.path} encodes some examples as numbers that are not finite")
    return y


def _read(run: StoredRun, spec: SamplerSpec, name: str, weights: str) -> tuple[KeptSampler, Prior] | None:
    """What was fitted to these weights, if it is there and whole; what is damaged is fitted again."""
    try:
        kept = KeptSampler.model_validate(opening.read_json(run.path, f"{_FOLDER}/{name}.json"))
        content = opening.read_bytes(run.path, f"{_FOLDER}/{name}.safetensors", _MOST_BYTES)
        if kept.weights != weights or hashlib.sha256(content).hexdigest() != kept.sha256:
            return None
        prior = _built(f"{run.path / _FOLDER / name}", spec, checkpoint.read_tensors(content), run.model.y_dim)
    except EnvironmentProblem:
        raise  # it may be whole; fitting it again would need the same
    except (OSError, ValueError, RunError, ValidationError):
        return None
    return kept, prior


def _write(folder: Path, name: str, kept: KeptSampler, content: bytes) -> None:
    """The tensors first: without the JSON beside them they are not looked at."""
    files.write_bytes(folder / f"{name}.safetensors", content)
    files.write_text(folder / f"{name}.json", json.dumps(kept.model_dump(mode="json"), indent=2) + "\n")
