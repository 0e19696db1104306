"""What does a run do with it: keep its tensors, train, stop, go on? The checks belong to the group ``deploy``."""

from __future__ import annotations

import contextlib
import tempfile
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any, ClassVar

import torch
from torch import Tensor

from intel_conformance.candidate import Candidate, annealed
from intel_conformance.check import check
from intel_conformance.closeness import same_kernel, worst_difference
from intel_conformance.outcomes import Broken, NotApplicable, Skipped, Unsupported, first_line
from intel_core.components import discovery
from intel_core.components.loading import name_of, register
from intel_core.errors import EnvironmentProblem, IntelError, PluginError
from intel_core.mappings.compose import as_module, bare
from intel_core.mappings.contract import Mapping, MappingSpec, Regularised
from intel_core.schedules import ConstantScheduleSpec

_NAME = "checked-mapping"
_STEPS = 4
_EXAMPLES = 96


@check("deploy.tensors", "contract: a torch module, whose state is its parameters and buffers")
def tensors(candidate: Candidate) -> None:
    """The state holds tensors and nothing else, learned ones are real numbers that have their own memory."""
    mapping = candidate.fresh()
    state = mapping.state_dict()
    others = [name for name, value in state.items() if not isinstance(value, Tensor)]
    if others:
        raise Broken(
            f"its state holds {others[0]!r} of type {type(state[others[0]]).__name__}, and a run keeps tensors only",
            likely="get_extra_state(); put numbers into a buffer (register_buffer)",
        )
    for name, parameter in mapping.named_parameters():
        if parameter.requires_grad and not parameter.is_floating_point():
            raise Broken(
                f"the parameter {name} is {parameter.dtype}; runs train and keep real numbers",
                likely="two real parameters, joined by torch.complex in forward",
            )
    taken: list[tuple[int, int, str]] = []
    for name, parameter in mapping.named_parameters():
        if parameter.numel():
            first = parameter.data_ptr()
            last = first + parameter.element_size() * sum(
                (length - 1) * step for length, step in zip(parameter.shape, parameter.stride(), strict=True)
            )
            beside = next((known for low, high, known in taken if first <= high and low <= last), None)
            if beside is not None:
                raise Broken(
                    f"the parameters {beside} and {name} share memory: a step changes both",
                    likely="views of one tensor; give each parameter its own, or split one parameter in forward",
                )
            taken.append((first, last, name))
    if candidate.given is not None:
        return
    ours = {value.data_ptr(): name for name, value in _all(mapping) if value.numel()}
    for other in (candidate.fresh(), candidate.another()):
        for name, value in _all(other):
            if value.numel() and value.data_ptr() in ours and (value.requires_grad or name in state):
                raise Broken(
                    f"two instances share the tensor {name}: training one of them changes the other",
                    likely="a parameter or a buffer of the class, of the module or of the spec; make it in __init__",
                )


def _all(mapping: torch.nn.Module) -> list[tuple[str, Tensor]]:
    return [*mapping.named_parameters(), *mapping.named_buffers()]


@check("deploy.fit", "contract: a part of a run, which is trained, interrupted and continued", level="standard")
def fit(candidate: Candidate) -> None:
    """A run of four steps trains it; interrupted after two and continued, it ends with the same mapping."""
    from intel_core.fitting.fit import fit as run_fit
    from intel_core.fitting.resume import resume

    if str(candidate.device) != "cpu":
        raise NotApplicable("tried on the CPU only")
    x = torch.randn(_EXAMPLES, 3, generator=candidate.generator("examples"))
    with _as_specs(candidate) as specs, tempfile.TemporaryDirectory() as folder, _recorded() as told:
        small: dict[str, Any] = {"encoder": "mlp:hidden=[4]", "decoder": "mlp:hidden=[4]", "precision": "float32"}
        small["log_every"] = 1
        settings = {"mapping": specs, "latent": candidate.y_dim, "data": x, "steps": _STEPS, "start": "none", **small}
        try:
            whole = run_fit(run_dir=Path(folder) / "whole", device="cpu", **settings)
            run_fit(run_dir=Path(folder) / "parted", hooks=[_stops()], device="cpu", **settings)
            parted = resume(Path(folder) / "parted", data=x)
        except EnvironmentProblem as error:
            raise Skipped(str(error)) from error
        except Exception as error:
            said = first_line(error, 300)
            name = "" if isinstance(error, IntelError) else f"{type(error).__name__}: "
            raise Broken(f"a run of {_STEPS} steps ended with: {name}{said}", likely="see the message") from error
        y = candidate.draw("trained", 40).float()
        with torch.no_grad():
            z, again = (candidate.call(as_module(run.model.mapping).eval(), y) for run in (whole, parted))
    if (worst := worst_difference(again, z, same_kernel(z))) is not None:
        raise Broken(
            f"after a run that was interrupted and continued, z is off by {worst[0]:.3g} from that of a run that was "
            "not",
            likely="something that changes in training, and is neither a parameter nor a buffer",
            off=worst[0],
        )
    untrained = [text for text in told if text.startswith("mapping.") and "no gradient" in text]
    if untrained:
        raise Unsupported(
            f"the run warned: {untrained[0]}", likely="a hook that throws gradients away, detach(), or an unused part"
        )


@contextlib.contextmanager
def _recorded() -> Iterator[list[str]]:
    """What is warned of meanwhile, which is not shown."""
    told: list[str] = []
    with warnings.catch_warnings(record=True) as seen:
        warnings.simplefilter("always")
        yield told
        told += [str(one.message) for one in seen]


def _stops() -> object:
    """A hook that asks a run to end after two steps, as Ctrl-C does."""
    from intel_core.training.hooks import hookimpl
    from intel_core.training.stopping import StopReason

    class Stops:
        @hookimpl
        def step_end(self, trainer: Any) -> None:
            if trainer.step == _STEPS // 2:
                trainer.stop(StopReason("signal SIGTERM", "signal"))

    return Stops()


class _CheckedSpec(MappingSpec):
    """What is being checked."""

    made_by: ClassVar[Candidate]

    def build(self, y_dim: int) -> Mapping:
        """As the candidate builds it."""
        return self.made_by.fresh(moved=False)


@contextlib.contextmanager
def _as_specs(candidate: Candidate) -> Iterator[list[Any]]:
    """The specs of a candidate; one that stands for what has none, or no name."""
    try:
        for spec in candidate.specs or ():
            name_of(spec.kind, type(spec))
        named = candidate.specs is not None
    except PluginError:
        named = False
    if named:
        yield list(candidate.specs or ())
        return
    _CheckedSpec.made_by = candidate
    register("mappings", _NAME, _CheckedSpec)
    try:
        yield [_CheckedSpec()]
    finally:
        discovery.registered.pop(("mappings", _NAME), None)


@check("structure.schedules", "declared: advised_schedules, names of auxiliary losses")
def schedules(candidate: Candidate) -> None:
    """Schedules are advised for weights that it has, and auxiliary losses have names of their own."""
    mapping = candidate.mapping()
    part = bare(mapping)
    losses = list(part.regularisers) if isinstance(part, Regularised) else []
    for name in losses:
        if name in _TAKEN:
            raise Broken(f"an auxiliary loss cannot be called {name!r}, that is another number of a run")
    usual = MappingSpec.advised_schedules
    advising = [spec for spec in candidate.specs or () if type(spec).advised_schedules is not usual]
    if not losses and not advising:
        raise NotApplicable("it has no auxiliary losses, and advises no schedules")
    known = [*(["strength"] if annealed(mapping) else []), *losses]
    for spec in advising:
        for steps in (1, 1000):
            for name in spec.advised_schedules(steps, {"kl": ConstantScheduleSpec()}):
                if name not in known:
                    raise Broken(
                        f"advised_schedules has a schedule of {name!r}, expected one of {', '.join(known) or 'none'}",
                        likely="strength is for mappings with set_strength; kl and lr are the run's own",
                    )


_TAKEN = ("loss", "elbo", "log_likelihood", "kl", "kl_y", "iwae", "lr", "strength")
"""Names that a run has for numbers and schedules of its own."""
