"""Which names do users and authors of plugins need?

InteL-VAEs: inductive biases for VAEs as one deterministic mapping ``z = g(y)`` on a Gaussian latent.

Names are loaded on first use, so that ``from intel_core import MappingSpec`` does not import torch.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from intel_core.lazy import lazy_names

if TYPE_CHECKING:
    from intel_core.components.discovery import API_LEVEL as API_LEVEL
    from intel_core.components.discovery import available as available
    from intel_core.components.loading import register as register
    from intel_core.components.spec import ComponentSpec as ComponentSpec
    from intel_core.components.spec import format_spec as format_spec
    from intel_core.components.spec import parse_spec as parse_spec
    from intel_core.data.dataset import Dataset as Dataset
    from intel_core.data.dataset import DatasetSpec as DatasetSpec
    from intel_core.data.dataset import Split as Split
    from intel_core.errors import DataError as DataError
    from intel_core.errors import DivergenceError as DivergenceError
    from intel_core.errors import EnvironmentProblem as EnvironmentProblem
    from intel_core.errors import IntelError as IntelError
    from intel_core.errors import PluginError as PluginError
    from intel_core.errors import RunError as RunError
    from intel_core.errors import SpecError as SpecError
    from intel_core.evaluation.agreement import ClusterComparison as ClusterComparison
    from intel_core.evaluation.agreement import compare_clusters as compare_clusters
    from intel_core.evaluation.comparing import Comparison as Comparison
    from intel_core.evaluation.comparing import compare as compare
    from intel_core.evaluation.grouping import group_runs as group_runs
    from intel_core.evaluation.measurement import Measurement as Measurement
    from intel_core.evaluation.measurement import NotApplicableError as NotApplicableError
    from intel_core.evaluation.measurement import Number as Number
    from intel_core.evaluation.measuring import Measured as Measured
    from intel_core.evaluation.measuring import measure as measure
    from intel_core.evaluation.measuring import measurements as measurements
    from intel_core.evaluation.measuring import usual_metrics as usual_metrics
    from intel_core.evaluation.metric import MetricSpec as MetricSpec
    from intel_core.evaluation.run import Run as Run
    from intel_core.evaluation.run import load_run as load_run
    from intel_core.evaluation.sampler import FittedSampler as FittedSampler
    from intel_core.evaluation.sampler import SamplerSpec as SamplerSpec
    from intel_core.evaluation.subject import PriorDraws as PriorDraws
    from intel_core.evaluation.subject import Subject as Subject
    from intel_core.fitting.fit import fit as fit
    from intel_core.fitting.resume import resume as resume
    from intel_core.fitting.tracker import Ending as Ending
    from intel_core.fitting.tracker import TrackedRun as TrackedRun
    from intel_core.fitting.tracker import Tracker as Tracker
    from intel_core.fitting.tracker import TrackerSpec as TrackerSpec
    from intel_core.fitting.tracking import Tracking as Tracking
    from intel_core.mappings.building import build_mapping as build_mapping
    from intel_core.mappings.building import load_mapping as load_mapping
    from intel_core.mappings.compose import Compose as Compose
    from intel_core.mappings.compose import Identity as Identity
    from intel_core.mappings.compose import OnDims as OnDims
    from intel_core.mappings.contract import Annealed as Annealed
    from intel_core.mappings.contract import Clustering as Clustering
    from intel_core.mappings.contract import Declared as Declared
    from intel_core.mappings.contract import Diagnosable as Diagnosable
    from intel_core.mappings.contract import Invertible as Invertible
    from intel_core.mappings.contract import Levelled as Levelled
    from intel_core.mappings.contract import Mapping as Mapping
    from intel_core.mappings.contract import MappingSpec as MappingSpec
    from intel_core.mappings.contract import Regularised as Regularised
    from intel_core.mappings.properties import Hoelder as Hoelder
    from intel_core.mappings.properties import Locus as Locus
    from intel_core.mappings.properties import Properties as Properties
    from intel_core.model.contract import LikelihoodSpec as LikelihoodSpec
    from intel_core.model.contract import NetworkSpec as NetworkSpec
    from intel_core.model.contract import ObjectiveSpec as ObjectiveSpec
    from intel_core.model.contract import PosteriorSpec as PosteriorSpec
    from intel_core.model.contract import PriorSpec as PriorSpec
    from intel_core.model.likelihood import Likelihood as Likelihood
    from intel_core.model.objectives import Objective as Objective
    from intel_core.model.objectives import Terms as Terms
    from intel_core.model.posterior import DiagonalGaussian as DiagonalGaussian
    from intel_core.model.posterior import Posterior as Posterior
    from intel_core.model.posterior import PosteriorFamily as PosteriorFamily
    from intel_core.model.prior import ClosedForm as ClosedForm
    from intel_core.model.prior import FromEncoder as FromEncoder
    from intel_core.model.prior import Mixture as Mixture
    from intel_core.model.prior import Prior as Prior
    from intel_core.model.vae import InteLVAE as InteLVAE
    from intel_core.reading.arrays import make_dataset as make_dataset
    from intel_core.reading.capabilities import Examples as Examples
    from intel_core.reading.capabilities import OnManifold as OnManifold
    from intel_core.reading.capabilities import Shaped as Shaped
    from intel_core.reading.inputs import InputSpec as InputSpec
    from intel_core.recipe.optimizers import OptimizerSpec as OptimizerSpec
    from intel_core.recipe.own_vae import with_mapping as with_mapping
    from intel_core.recipe.runspec import RunSpec as RunSpec
    from intel_core.recipe.starts import FoundClusters as FoundClusters
    from intel_core.recipe.starts import StartData as StartData
    from intel_core.recipe.starts import StartSpec as StartSpec
    from intel_core.replicates.fitting import fit_replicates as fit_replicates
    from intel_core.replicates.resuming import resume_replicates as resume_replicates
    from intel_core.replicates.summary import Replicates as Replicates
    from intel_core.schedules import ScheduleSpec as ScheduleSpec
    from intel_core.training.hooks import hookimpl as hookimpl
    from intel_core.training.settings import TrainingSettings as TrainingSettings
    from intel_core.training.stopping import StopReason as StopReason
    from intel_core.training.trainer import Trainer as Trainer

__version__ = "0.1.0"

_HOMES = {
    "components.discovery": (
        "API_LEVEL",
        "available",
    ),
    "components.loading": ("register",),
    "components.spec": (
        "ComponentSpec",
        "format_spec",
        "parse_spec",
    ),
    "data.dataset": ("Dataset", "DatasetSpec", "Split"),
    "reading.capabilities": ("Examples", "OnManifold", "Shaped"),
    "reading.inputs": ("InputSpec",),
    "errors": (
        "DataError",
        "DivergenceError",
        "EnvironmentProblem",
        "IntelError",
        "PluginError",
        "RunError",
        "SpecError",
    ),
    "evaluation.agreement": ("ClusterComparison", "compare_clusters"),
    "evaluation.comparing": (
        "Comparison",
        "compare",
    ),
    "evaluation.grouping": ("group_runs",),
    "evaluation.measurement": (
        "Measurement",
        "NotApplicableError",
        "Number",
    ),
    "evaluation.measuring": (
        "Measured",
        "measure",
        "measurements",
        "usual_metrics",
    ),
    "evaluation.metric": ("MetricSpec",),
    "evaluation.sampler": ("FittedSampler", "SamplerSpec"),
    "evaluation.run": (
        "Run",
        "load_run",
    ),
    "evaluation.subject": (
        "PriorDraws",
        "Subject",
    ),
    "fitting.fit": ("fit",),
    "fitting.resume": ("resume",),
    "fitting.tracker": ("Ending", "TrackedRun", "Tracker", "TrackerSpec"),
    "fitting.tracking": ("Tracking",),
    "mappings.building": (
        "build_mapping",
        "load_mapping",
    ),
    "mappings.compose": (
        "Compose",
        "Identity",
        "OnDims",
    ),
    "mappings.contract": (
        "Annealed",
        "Clustering",
        "Declared",
        "Diagnosable",
        "Invertible",
        "Levelled",
        "Mapping",
        "MappingSpec",
        "Regularised",
    ),
    "mappings.properties": (
        "Hoelder",
        "Locus",
        "Properties",
    ),
    "model.contract": (
        "LikelihoodSpec",
        "NetworkSpec",
        "ObjectiveSpec",
        "PosteriorSpec",
        "PriorSpec",
    ),
    "model.likelihood": ("Likelihood",),
    "model.objectives": ("Objective", "Terms"),
    "model.posterior": ("DiagonalGaussian", "Posterior", "PosteriorFamily"),
    "model.prior": ("ClosedForm", "FromEncoder", "Mixture", "Prior"),
    "model.vae": ("InteLVAE",),
    "reading.arrays": ("make_dataset",),
    "recipe.optimizers": ("OptimizerSpec",),
    "recipe.own_vae": ("with_mapping",),
    "recipe.runspec": ("RunSpec",),
    "recipe.starts": ("FoundClusters", "StartData", "StartSpec"),
    "replicates.fitting": ("fit_replicates",),
    "replicates.resuming": ("resume_replicates",),
    "replicates.summary": ("Replicates",),
    "schedules": ("ScheduleSpec",),
    "training.hooks": ("hookimpl",),
    "training.settings": ("TrainingSettings",),
    "training.stopping": ("StopReason",),
    "training.trainer": ("Trainer",),
}

__getattr__, __dir__, __all__ = lazy_names(__name__, _HOMES)
