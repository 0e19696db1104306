"""What is to be trained, exactly? The spec of a whole run, and how its open choices are settled by the data."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    InstanceOf,
    PlainSerializer,
    PositiveFloat,
    PositiveInt,
    ValidationError,
    WithJsonSchema,
    field_validator,
    model_validator,
)

from intel_core.components import loading
from intel_core.components.loading import base_of
from intel_core.components.spec import format_spec, parse_spec
from intel_core.components.wording import describe_errors, refuse_truths
from intel_core.data.dataset import DatasetSpec
from intel_core.errors import SpecError, did_you_mean
from intel_core.mappings.building import IdentitySpec
from intel_core.mappings.contract import MappingSpec
from intel_core.model.contract import LikelihoodSpec, NetworkSpec, ObjectiveSpec
from intel_core.schedules import ScheduleSpec

if TYPE_CHECKING:
    pass

__all__ = [
    "RunSpec",
    "make_run_spec",
    "steps_per_epoch",
]

DEFAULT_STEPS = 4000
MOST_STEPS = 10**9
_NAME = r"[\w+-][\w.+-]{0,99}"


def _expected(base: type[BaseModel]) -> str:
    return f"expected a text such as name:key=value or name:@file.yaml, or a {base.__name__}"


def _reader(kind: str) -> BeforeValidator:
    def read(value: object) -> object:
        if isinstance(value, str):
            return parse_spec(kind, value)
        base = base_of(kind)
        if not isinstance(value, base):
            raise ValueError(_expected(base))
        return value

    return BeforeValidator(read)


def _schema(kind: str) -> WithJsonSchema:
    return WithJsonSchema({"type": "string", "description": f"one of the {kind}, as name:key=value,key=value"})


def _explicit(spec: Any) -> str:
    return format_spec(spec, explicit=True)


_WRITER = PlainSerializer(_explicit, return_type=str)
"""Components are written back as text with every field explicit."""


def _default(kind: str, text: str) -> Callable[[], Any]:
    return lambda: parse_spec(kind, text)


def _one_or_more(value: object) -> object:
    if not isinstance(value, str | MappingSpec | list | tuple):
        raise ValueError(_expected(MappingSpec))
    return [value] if isinstance(value, str | MappingSpec) else value


MappingText = Annotated[InstanceOf[MappingSpec], _reader("mappings"), _WRITER, _schema("mappings")]
DatasetText = Annotated[InstanceOf[DatasetSpec], _reader("datasets"), _WRITER, _schema("datasets")]
LikelihoodText = Annotated[InstanceOf[LikelihoodSpec], _reader("likelihoods"), _WRITER, _schema("likelihoods")]
NetworkText = Annotated[InstanceOf[NetworkSpec], _reader("networks"), _WRITER, _schema("networks")]
ObjectiveText = Annotated[InstanceOf[ObjectiveSpec], _reader("objectives"), _WRITER, _schema("objectives")]
ScheduleText = Annotated[InstanceOf[ScheduleSpec], _reader("schedules"), _WRITER, _schema("schedules")]


class RunSpec(BaseModel):
    """Everything that decides the result of a training run.

    Fields that may be left open (None) are settled from the data by `resolve`; a run directory keeps the resolved
    spec. The same resolved spec gives the same run, bit for bit on a CPU.

    >>> make_run_spec(mapping="identity", data="memory:examples=4,shape=[2]").mapping[0]
    IdentitySpec(dims=None)
    """

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    mapping: Annotated[tuple[MappingText, ...], BeforeValidator(_one_or_more)] = Field(
        default_factory=lambda: (IdentitySpec(),),
        description="mappings from y to z, the first applied first",
    )
    data: DatasetText = Field(default_factory=_default("datasets", "digits"), description="data set; digits by default")
    likelihood: LikelihoodText | None = Field(
        None,
        description="p(x|z); by default bernoulli for values in [0, 1], gaussian with learned variance otherwise",
    )
    objective: ObjectiveText = Field(
        default_factory=_default("objectives", "elbo"), description="bound that is maximised; elbo by default"
    )
    encoder: NetworkText | None = Field(
        None, description="encoder network; by default conv for images of 48x48 or more, else mlp"
    )
    decoder: NetworkText | None = Field(None, description="decoder network; by default as the encoder")
    latent: PositiveInt | None = Field(
        None, le=100_000, description="dimensions of y; by default 10 for images, else at most 2"
    )
    steps: PositiveInt | None = Field(None, le=MOST_STEPS, description=f"training steps; by default {DEFAULT_STEPS}")
    epochs: PositiveInt | None = Field(None, le=10**7, description="training epochs, instead of steps")
    batch_size: PositiveInt = Field(100, le=10**6, description="examples per step, of all processes together")
    learning_rate: PositiveFloat = Field(1e-3, le=100, description="step size of Adam")
    clip_norm: PositiveFloat | None = Field(None, description="largest norm of the whole gradient")
    schedules: dict[str, ScheduleText] = Field(
        default_factory=dict,
        description="factor per step of kl, lr, a mapping's strength or regulariser; by default kl warms up over half "
        "a run on vectors, and a mapping may advise others: the strength of cluster grows over half a run",
    )
    patience: PositiveInt | None = Field(
        None,
        description="stop after so many evaluations without gain, counted once all schedules have settled",
    )
    evaluate_every: PositiveInt | None = Field(None, description="steps between evaluations; by default 20 in a run")
    log_every: PositiveInt = Field(50, description="steps between logged lines")
    save_every: PositiveInt | None = Field(
        None, description="steps between checkpoints; by default one with each evaluation"
    )
    save_minutes: PositiveFloat | None = Field(
        10.0, le=10**6, description="longest time between checkpoints, in minutes; null for no limit"
    )
    keep_checkpoints: PositiveInt = Field(2, le=1000, description="newest checkpoints that are kept")
    restarts: PositiveInt = Field(
        1, le=1000, description="starts that are tried for a part of the run each; the best one is trained"
    )
    trial: float = Field(0.2, gt=0, le=1, description="length of a start's trial, as a share of the run")
    seed: int = Field(0, ge=0, lt=2**63, description="seed of every random stream of the run")
    device: str = Field("auto", description="cpu, cuda, cuda:1, mps, or auto")
    devices: PositiveInt = Field(
        1, le=1024, description="processes on each machine that share every batch, each on a device of its own"
    )
    nodes: PositiveInt = Field(1, le=4096, description="machines that share every batch")
    strategy: Literal["auto", "ddp"] = Field(
        "auto", description="how several processes share a batch; ddp: each computes some of its rows"
    )
    precision: Literal["auto", "float32", "bfloat16"] = Field(
        "auto", description="of what the networks multiply; auto: bfloat16 for convolutions where it is the faster one"
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

    @property
    def label(self) -> str:
        """A short name: data, mappings and seed."""
        parts = [self.data, *self.mapping]
        names = [loading.name_of(type(part).kind, type(part)).rpartition("/")[2] for part in parts]
        return "-".join([*names, f"seed{self.seed}"])


def make_run_spec(**settings: Any) -> RunSpec:
    """A run spec from keyword arguments, texts or spec objects.

    Raises:
        SpecError: naming the field, what was expected and the nearest spelling.

    >>> make_run_spec(laten=3)
    Traceback (most recent call last):
    intel_core.errors.SpecError: a run has no setting 'laten'; did you mean 'latent'?...
    """
    for key in settings:
        if key not in RunSpec.model_fields:
            raise SpecError(f"a run has no setting {key!r}{did_you_mean(key, RunSpec.model_fields, say='settings')}")
    refuse_truths(RunSpec, settings)
    try:
        return RunSpec.model_validate(settings)
    except ValidationError as error:
        raise SpecError(describe_errors(error)) from None
