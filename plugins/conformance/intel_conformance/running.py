"""How is a component of another kind checked? As mappings are: one check after another, one report."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from collections.abc import Mapping as Dictionary
from typing import Any, Literal

from intel_conformance.catalogue import choose
from intel_conformance.kinds import Kind, candidate_of, checks_of
from intel_conformance.levels import Level, level_of
from intel_conformance.report import Report, Result
from intel_conformance.runner import Planned, plan, run_all

__all__ = [
    "check_component",
    "check_dataset",
    "check_likelihood",
    "check_metric",
    "check_network",
    "check_posterior",
    "check_prior",
    "iter_component_checks",
]


def iter_component_checks(
    kind: Kind,
    what: Any,
    *,
    level: Level = "standard",
    only: Sequence[str] = (),
    skip: Sequence[str] = (),
    **settings: Any,
) -> Iterator[Planned]:
    """The checks of a component that are to run, one by one; see `check_prior`."""
    checks = choose(level_of(level), only, skip, checks_of(kind))
    yield from plan(checks, candidate_of(kind, what, level=level, **settings))


def check_component(
    kind: Kind,
    what: Any,
    *,
    level: Level = "standard",
    only: Sequence[str] = (),
    skip: Sequence[str] = (),
    expected_failures: Dictionary[str, str] | None = None,
    y_dim: int | None = None,
    seed: int = 0,
    device: str = "cpu",
    dtypes: Sequence[str] = ("float32", "float64"),
    on_fail: Literal["collect", "raise", "stop"] = "collect",
    callback: Callable[[Result], None] | None = None,
) -> Report:
    """`check_prior` or one of its likes, by the name of the kind."""
    settings: dict[str, Any] = {"level": level, "y_dim": y_dim, "seed": seed, "device": device, "dtypes": dtypes}
    return run_all(
        lambda: iter_component_checks(kind, what, only=only, skip=skip, **settings),
        lambda: candidate_of(kind, what, **settings),
        expected_failures,
        level,
        among=checks_of(kind),
        on_fail=on_fail,
        callback=callback,
        kind=kind,
    )


def check_prior(what: Any, **settings: Any) -> Report:
    """Check whether a prior keeps the contract, and whether its density is that of its draws.

    A prior that an encoder makes (`intel_core.FromEncoder`) is checked through a small encoder with fixed weights.

    Args:
        what: a spec or its text (``mog:k=3`` or ``prior:mog:k=3``), a prior, or a function that builds one from a
            number of dimensions.
        settings: as of `intel_conformance.check_mapping`.

    Raises:
        SpecError: if there is no such prior, check, level or dtype.
        PluginError: if the plugin cannot be loaded, or does not build a prior.

    >>> check_prior("standard", level="quick", only=["io"]).ok
    True
    """
    return check_component("prior", what, **settings)


def check_posterior(what: Any, **settings: Any) -> Report:
    """Check whether a family of posteriors keeps the contract, and whether log q is the density of its draws.

    Args:
        what: a spec or its text (``sylvester`` or ``posterior:sylvester``), a family, or a function that builds one
            from a number of dimensions.
        settings: as of `intel_conformance.check_mapping`.

    Raises:
        SpecError: if there is no such posterior, check, level or dtype.
        PluginError: if the plugin cannot be loaded, or does not build a family.

    >>> check_posterior("gaussian", level="quick", only=["density.jacobian"]).ok
    True
    """
    return check_component("posterior", what, **settings)


def check_likelihood(what: Any, **settings: Any) -> Report:
    """Check whether a likelihood keeps the contract, and whether it is the normalised density of its draws.

    Args:
        what: a spec or its text (``poisson`` or ``likelihood:poisson``), an `intel_core.Likelihood`, or a function
            without arguments that builds one.
        settings: as of `intel_conformance.check_mapping`; there is no `y_dim`.

    Raises:
        SpecError: if there is no such likelihood, check, level or dtype.
        PluginError: if the plugin cannot be loaded, or does not build a likelihood.

    >>> check_likelihood("laplace", level="quick", only=["density.mass"]).ok
    True
    """
    return check_component("likelihood", what, **settings)


def check_network(what: Any, **settings: Any) -> Report:
    """Check whether networks have the shapes that they are asked for, whether all weights learn, and whether rows mix.

    Args:
        what: a spec or its text, ``mlp`` or ``network:mlp``.
        settings: as of `intel_conformance.check_mapping`; there is no `y_dim`.

    Raises:
        SpecError: if there is no such network, check, level or dtype.
        PluginError: if the plugin cannot be loaded, or does not build networks.

    >>> check_network("linear", level="quick", only=["io.shape", "grad.reach"]).ok
    True
    """
    return check_component("network", what, **settings)


def check_dataset(what: Any, **settings: Any) -> Report:
    """Check whether data are what they are said to be, and the same each time they are loaded.

    Args:
        what: a spec or its text (``digits`` or ``data:digits``), an `intel_core.Dataset`, or a function without
            arguments that loads one. Files that a spec does not name lie in ``INTEL_DATA_DIR``.
        settings: as of `intel_conformance.check_mapping`; there is no `y_dim`.

    Raises:
        DataError: if the data are missing or malformed.
        SpecError: if there is no such data set, check or level.
        PluginError: if the plugin cannot be loaded, or does not load a data set.

    >>> import torch
    >>> from intel_core import make_dataset
    >>> check_dataset(make_dataset("three", torch.linspace(-1, 1, 30)[:, None]), only=["io"]).ok
    True
    """
    return check_component("dataset", what, **settings)


def check_metric(what: Any, **settings: Any) -> Report:
    """Check whether a metric measures the same each time, returns what can be kept and compared, and changes nothing.

    Small models are trained until there is one to which it applies: of points and images in three classes, with each
    installed mapping, and of data whose curve or surface is known.

    Args:
        what: a spec or its text, ``hoyer`` or ``metric:hoyer``.
        settings: as of `intel_conformance.check_mapping`; there is no `y_dim`.

    Raises:
        SpecError: if there is no such metric, check or level.
        PluginError: if the plugin cannot be loaded.
    """
    return check_component("metric", what, **settings)
