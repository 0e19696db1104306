"""What exactly is to be trained? The spec of a whole run."""

from __future__ import annotations

import re
from collections.abc import Callable, Container
from typing import Annotated, Any, Literal, get_args

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    InstanceOf,
    PositiveInt,
    ValidationError,
    field_validator,
    model_validator,
)

from intel_core.components import loading
from intel_core.components.fields import AS_TEXT, expected, from_text, text_schema
from intel_core.components.spec import ComponentSpec, parse_spec, texts_as_data
from intel_core.components.wording import describe_errors, refuse_truths
from intel_core.data.dataset import DatasetSpec
from intel_core.errors import DataError, IntelError, SpecError, did_you_mean
from intel_core.mappings.building import IdentitySpec
from intel_core.mappings.contract import MappingSpec
from intel_core.model.contract import LikelihoodSpec, NetworkSpec, ObjectiveSpec, PosteriorSpec, PriorSpec
from intel_core.recipe.given import PARTS, as_given
from intel_core.recipe.optimizers import OptimizerSpec
from intel_core.recipe.start_files import start_text
from intel_core.recipe.starts import StartSpec
from intel_core.recipe.words import SHORT_WORDS, elsewhere, names_of_conditions, spelled_out
from intel_core.training.settings import TrainingSettings

__all__ = [
    "FORMER",
    "RunSpec",
    "kind_of_setting",
    "make_run_spec",
    "stored_run_spec",
    "stored_settings",
]

_NAME = r"[\w+-][\w.+-]{0,99}"
FORMER = {"start": "none", "kl": "y"}
"""What runs had before these were settings."""
_RETIRED = ("strategy",)
"""Settings that runs no longer have, but that run directories of earlier versions may hold."""


def _default(kind: str, text: str) -> Callable[[], Any]:
    return lambda: parse_spec(kind, text)


def _one_or_more(value: object) -> object:
    if not isinstance(value, str | MappingSpec | list | tuple):
        raise ValueError(expected("mappings"))
    return [value] if isinstance(value, str | MappingSpec) else value


MappingText = Annotated[InstanceOf[MappingSpec], from_text("mappings"), AS_TEXT, text_schema("mappings")]
DatasetText = Annotated[InstanceOf[DatasetSpec], from_text("datasets"), AS_TEXT, text_schema("datasets")]
LikelihoodText = Annotated[InstanceOf[LikelihoodSpec], from_text("likelihoods"), AS_TEXT, text_schema("likelihoods")]
NetworkText = Annotated[InstanceOf[NetworkSpec], from_text("networks"), AS_TEXT, text_schema("networks")]
PriorText = Annotated[InstanceOf[PriorSpec], from_text("priors"), AS_TEXT, text_schema("priors")]
PosteriorText = Annotated[InstanceOf[PosteriorSpec], from_text("posteriors"), AS_TEXT, text_schema("posteriors")]
ObjectiveText = Annotated[InstanceOf[ObjectiveSpec], from_text("objectives"), AS_TEXT, text_schema("objectives")]
OptimizerText = Annotated[InstanceOf[OptimizerSpec], from_text("optimizers"), AS_TEXT, text_schema("optimizers")]
StartText = Annotated[
    InstanceOf[StartSpec],
    from_text("starts"),
    BeforeValidator(start_text),  # the last one is the first to see the value
    AS_TEXT,
    text_schema("starts"),
]


class _Components(BaseModel):
    """What is trained, and on which data; a base class of its own so that these settings come first."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    mapping: Annotated[tuple[MappingText, ...], BeforeValidator(_one_or_more)] = Field(
        default_factory=lambda: (IdentitySpec(),),
        description="mappings from y to z, the first applied first",
    )
    data: DatasetText = Field(default_factory=_default("datasets", "digits"), description="data set; digits by default")
    prior: PriorText = Field(
        default_factory=_default("priors", "standard"), description="p(y); N(0, I), called standard, by default"
    )
    posterior: PosteriorText = Field(
        default_factory=_default("posteriors", "gaussian"),
        description="q(y|x); a Gaussian with independent dimensions, called gaussian, by default",
    )
    likelihood: LikelihoodText | None = Field(
        None,
        description="p(x|z); by default bernoulli for values in [0, 1], gaussian with learned variance otherwise",
    )
    objective: ObjectiveText = Field(
        default_factory=_default("objectives", "elbo"), description="bound that is maximised; elbo by default"
    )
    optimizer: OptimizerText = Field(
        default_factory=_default("optimizers", "adam"), description="what takes the steps; adam by default"
    )
    kl: Literal["auto", "y", "z"] = Field(
        "auto",
        description="where the KL term is taken: y, as in the paper, or z, a tighter bound for mappings that forget "
        "something of y and know the density of z; auto: z for these, else y",
    )
    encoder: NetworkText | None = Field(
        None, description="encoder network; by default conv for images of 48x48 or more, else mlp"
    )
    decoder: NetworkText | None = Field(None, description="decoder network; by default as the encoder")
    latent: PositiveInt | None = Field(
        None,
        le=100_000,
        description="dimensions of y; by default 10 for images, else at most 2, or what a mapping with clusters needs",
    )
    conditions: Literal["data", "labels"] = Field(
        "data",
        description="what encoder and decoder see beside x and z: what the data name as conditions, if anything, or "
        "labels, too; or the names of columns of a table",
    )
    start: StartText | None = Field(
        None,
        description="how the clusters of a mapping, or of a mixture prior, are found in the data at first; by default "
        "mixture for a mapping with clusters, else none",
    )


class RunSpec(TrainingSettings, _Components):
    """Everything that decides the result of a training run.

    Fields that are left open (None) are filled in from the data by `resolve`; a run directory keeps the resolved spec.
    The same resolved spec gives the same run, bit for bit on a CPU.

    >>> make_run_spec(mapping="identity", data="memory:examples=4,shape=[2]").mapping[0]
    IdentitySpec(dims=None)
    """

    epochs: PositiveInt | None = Field(None, le=10**7, description="training epochs, instead of steps")
    keep_checkpoints: PositiveInt = Field(2, le=1000, description="newest checkpoints that are kept")
    restarts: PositiveInt = Field(
        1, le=1000, description="starts that are tried for a part of the run each; the best one is trained"
    )
    trial: float | None = Field(
        None,
        gt=0,
        le=1,
        description="length of a start's trial, as a share of the run; by default 0.2, or until clusters that were "
        "found in the data have been learned",
    )
    device: str = Field("auto", description="cpu, cuda, cuda:1, mps, or auto")
    devices: PositiveInt = Field(
        1, le=1024, description="processes on each machine that share every batch, each on a device of its own"
    )
    nodes: PositiveInt = Field(1, le=4096, description="machines that share every batch")
    precision: Literal["auto", "float32", "bfloat16"] = Field(
        "auto", description="number format of the networks; auto: bfloat16 for convolutions if the device supports it"
    )
    compile: bool = Field(
        False, description="compile the networks for training by torch.compile, which takes up to a minute at the start"
    )
    name: str | None = Field(
        None, description="name of the run; its folder is runs/NAME", json_schema_extra={"pattern": _NAME}
    )

    @field_validator("name")
    @classmethod
    def _check_name(cls, name: str | None) -> str | None:
        if name is not None and re.fullmatch(_NAME, name) is None:
            raise ValueError("expected up to 100 letters, digits and . _ + -, the first no dot; no space and no slash")
        return name

    @model_validator(mode="after")
    def _check(self) -> RunSpec:
        if self.steps is not None and self.epochs is not None:
            raise ValueError("give steps or epochs, not both")
        return self

    def settled(self) -> RunSpec:
        """As `TrainingSettings.settled`.

        Raises:
            SpecError: if it counts in epochs, which `resolve` turns into steps once the data are known.
        """
        if self.epochs is not None:
            raise SpecError("the run spec is not resolved; call resolve(spec, dataset) first")
        return self.model_copy(update=super().settled().model_dump(include={"steps", "evaluate_every", "save_every"}))

    @property
    def components(self) -> list[ComponentSpec]:
        """Every component that takes part."""
        latent = [*self.mapping, self.prior, self.posterior]
        parts = [*latent, self.data, self.likelihood, self.encoder, self.decoder, self.objective]
        parts += [self.optimizer, self.start]
        return [part for part in (*parts, *self.schedules.values()) if part is not None]

    @property
    def networks(self) -> str:
        """Encoder and decoder as a text, once if they are described alike."""
        return str(self.encoder) if self.encoder == self.decoder else f"{self.encoder} and {self.decoder}"

    @property
    def label(self) -> str:
        """A short name: data, mappings, a prior and a posterior that are not the usual ones, and seed."""
        rivals = [part for part in (self.prior, self.posterior) if not part.is_usual]
        parts = [self.data, *self.mapping, *rivals]
        names = [loading.name_of(type(part).kind, type(part)).rpartition("/")[2] for part in parts]
        return "-".join([*names, f"seed{self.seed}"])


def make_run_spec(**settings: Any) -> RunSpec:
    """A run spec from keyword arguments, texts or spec objects; see `intel_core.recipe.words` for short ones.

    Encoder, decoder, mapping and likelihood may be objects of the caller's own (`intel_core.recipe.given`).

    Raises:
        SpecError: naming the field, what was expected and the nearest spelling; if the text of a component is wrong,
            the component's own error.

    >>> make_run_spec(laten=3)
    Traceback (most recent call last):
    intel_core.errors.SpecError: a run has no setting 'laten'; did you mean 'latent'?...
    """
    settings = spelled_out(settings)
    for key in settings:
        if key not in RunSpec.model_fields:
            if where := elsewhere(key):
                raise SpecError(f"{key} is no setting of a run; say it by {where}")
            known = [*RunSpec.model_fields, *SHORT_WORDS, "labels", "data"]
            raise SpecError(f"a run has no setting {key!r}{did_you_mean(key, known, say='settings')}")
    refuse_truths(RunSpec, settings)
    taker = settings.get("optimizer", "")
    if not isinstance(taker, str | OptimizerSpec):
        name = taker.__name__ if isinstance(taker, type) else type(taker).__name__
        raise SpecError(
            f"optimizer: {name} is an object; expected a text such as 'adamw' or 'torch:of=RAdam', or a spec, which "
            "builds the optimiser of a model that is yet to be made"
        )
    settings |= {role: as_given(role, settings[role]) for role in PARTS if role in settings}
    names = names_of_conditions(settings)
    try:
        spec = RunSpec.model_validate(settings)
    except ValidationError as error:
        problem = _problem(error)
    else:
        return spec.model_copy(update={"data": _with_conditions(spec.data, names)}) if names else spec
    raise problem


def _with_conditions(data: DatasetSpec, names: tuple[str, ...]) -> DatasetSpec:
    """A data set of named columns, some of which are conditions.

    Raises:
        SpecError: if it has no named columns.
    """
    if "conditions" not in type(data).model_fields:
        raise SpecError(
            f"conditions={','.join(names)}: data set {loading.name_of('datasets', type(data))} has no named columns; "
            "conditions=labels takes its labels"
        )
    return data.model_copy(update={"conditions": names})


def _problem(error: ValidationError) -> IntelError:
    """The error for the user: that of the first wrong component, with its cause, or else all errors in one line."""
    for detail in error.errors(include_url=False):
        cause = (detail.get("ctx") or {}).get("error")
        if isinstance(cause, SpecError | DataError):
            return cause
    return SpecError(describe_errors(error))


def kind_of_setting(name: str) -> str | None:
    """The kind of the components that a setting of a run holds; None where it holds none.

    >>> kind_of_setting("mapping"), kind_of_setting("encoder"), kind_of_setting("schedules"), kind_of_setting("seed")
    ('mappings', 'networks', 'schedules', None)
    """
    field = RunSpec.model_fields.get(name)
    return None if field is None else _kind_within(field.annotation)


def _kind_within(annotation: Any) -> str | None:
    """The kind of the first component's class in an annotation, which may be a tuple, a dictionary or optional."""
    if parts := get_args(annotation):
        return next((kind for kind in map(_kind_within, parts) if kind is not None), None)
    is_component = isinstance(annotation, type) and issubclass(annotation, ComponentSpec)
    return str(annotation.kind) if is_component else None


def stored_run_spec(settings: dict[str, Any], resolved: Container[str] | None = None) -> RunSpec:
    """The run spec that a run directory holds, of this version or an earlier one.

    In those, runs had no start, and the KL term was that in y.

    Args:
        settings: as they are stored.
        resolved: the names of all settings of a run, if `settings` are only those that were asked for: what is missing
            there was not yet a setting. By default the names in `settings`.

    Raises:
        SpecError: as `make_run_spec`.
    """
    with texts_as_data():
        there = settings if resolved is None else resolved
        former = {name: value for name, value in FORMER.items() if name not in there}
        return make_run_spec(**{**former, **stored_settings(settings)})


def stored_settings(settings: dict[str, Any]) -> dict[str, Any]:
    """The settings that a run directory holds, asked for or resolved, without those that runs no longer have.

    Raises:
        SpecError: if a text is ``name:@FILE``: what a run directory holds is data, and names no files to be read.
    """
    for key, value in settings.items():
        if key != "name" and any(text.partition(":")[2].lstrip().startswith("@") for text in _texts(value)):
            raise SpecError(f"{key} names a file of settings (name:@FILE), which the texts in a run directory must not")
    return {key: value for key, value in settings.items() if key not in _RETIRED}


def _texts(value: object) -> list[str]:
    """The texts in a setting, which may be one, several, or several by name."""
    parts = value.values() if isinstance(value, dict) else value if isinstance(value, list | tuple) else (value,)
    return [part for part in parts if isinstance(part, str)]
