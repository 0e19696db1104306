"""InteL-VAEs: inductive biases for VAEs as one deterministic mapping ``z = g(y)`` on a Gaussian latent.

Names are loaded on first use, so that ``from intel_core import MappingSpec`` does not import torch.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from intel_core.comparing import Comparison, compare, group_runs
    from intel_core.compose import Compose, Identity, OnDims
    from intel_core.data import Dataset, DatasetSpec, Shaped, Split, Supported, make_dataset
    from intel_core.errors import DataError, DivergenceError, IntelError, PluginError, RunError, SpecError
    from intel_core.hooks import hookimpl
    from intel_core.mapping import (
        Annealed,
        Clustering,
        Declared,
        Diagnosable,
        Invertible,
        Levelled,
        Mapping,
        MappingSpec,
        Regularised,
        build_mapping,
        load_mapping,
    )
    from intel_core.measuring import Measured, Prior, Subject, measure, measurements, usual_metrics
    from intel_core.metrics import Measurement, MetricSpec, NotApplicableError, Number
    from intel_core.model import InteLVAE
    from intel_core.parts import LikelihoodSpec, NetworkSpec, ObjectiveSpec
    from intel_core.plugins import API_LEVEL, available, register
    from intel_core.properties import Hoelder, Locus, Properties
    from intel_core.replicates import Replicates, fit_replicates
    from intel_core.run import Run, load_run
    from intel_core.runspec import RunSpec
    from intel_core.schedules import ScheduleSpec
    from intel_core.spec import ComponentSpec, format_spec, parse_spec
    from intel_core.train import fit, resume

__version__ = "0.1.0"

_HOMES = {
    "comparing": ("Comparison", "compare", "group_runs"),
    "compose": ("Compose", "Identity", "OnDims"),
    "data": ("Dataset", "DatasetSpec", "Shaped", "Split", "Supported", "make_dataset"),
    "errors": ("DataError", "DivergenceError", "IntelError", "PluginError", "RunError", "SpecError"),
    "hooks": ("hookimpl",),
    "mapping": (
        "Annealed",
        "Clustering",
        "Declared",
        "Diagnosable",
        "Invertible",
        "Levelled",
        "Mapping",
        "MappingSpec",
        "Regularised",
        "build_mapping",
        "load_mapping",
    ),
    "measuring": ("Measured", "Prior", "Subject", "measure", "measurements", "usual_metrics"),
    "metrics": ("Measurement", "MetricSpec", "NotApplicableError", "Number"),
    "model": ("InteLVAE",),
    "parts": ("LikelihoodSpec", "NetworkSpec", "ObjectiveSpec"),
    "plugins": ("API_LEVEL", "available", "register"),
    "properties": ("Hoelder", "Locus", "Properties"),
    "replicates": ("Replicates", "fit_replicates"),
    "run": ("Run", "load_run"),
    "runspec": ("RunSpec",),
    "schedules": ("ScheduleSpec",),
    "spec": ("ComponentSpec", "format_spec", "parse_spec"),
    "train": ("fit", "resume"),
}
_HOME_OF = {name: module for module, names in _HOMES.items() for name in names}

__all__ = [
    "API_LEVEL",
    "Annealed",
    "Clustering",
    "Comparison",
    "ComponentSpec",
    "Compose",
    "DataError",
    "Dataset",
    "DatasetSpec",
    "Declared",
    "Diagnosable",
    "DivergenceError",
    "Hoelder",
    "Identity",
    "InteLVAE",
    "IntelError",
    "Invertible",
    "Levelled",
    "LikelihoodSpec",
    "Locus",
    "Mapping",
    "MappingSpec",
    "Measured",
    "Measurement",
    "MetricSpec",
    "NetworkSpec",
    "NotApplicableError",
    "Number",
    "ObjectiveSpec",
    "OnDims",
    "PluginError",
    "Prior",
    "Properties",
    "Regularised",
    "Replicates",
    "Run",
    "RunError",
    "RunSpec",
    "ScheduleSpec",
    "Shaped",
    "SpecError",
    "Split",
    "Subject",
    "Supported",
    "available",
    "build_mapping",
    "compare",
    "fit",
    "fit_replicates",
    "format_spec",
    "group_runs",
    "hookimpl",
    "load_mapping",
    "load_run",
    "make_dataset",
    "measure",
    "measurements",
    "parse_spec",
    "register",
    "resume",
    "usual_metrics",
]


def __getattr__(name: str) -> Any:
    home = _HOME_OF.get(name)
    if home is None:
        raise AttributeError(f"module 'intel_core' has no attribute {name!r}")
    return getattr(importlib.import_module(f"intel_core.{home}"), name)


def __dir__() -> list[str]:
    return sorted([*globals(), *_HOME_OF])
