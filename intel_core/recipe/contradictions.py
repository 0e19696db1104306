"""Which settings of a run contradict each other, whatever the data are?

`refuse_contradictions` needs no torch, so that the command tells of a mistake at once. `refuse_what_no_data_mends`
builds the mapping, and is called before the data are read.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from intel_core.errors import PluginError, SpecError

if TYPE_CHECKING:
    from intel_core.mappings.contract import Mapping
    from intel_core.recipe.runspec import RunSpec

__all__ = ["USUAL_TRIAL", "refuse_contradictions", "refuse_unfit_start", "refuse_what_no_data_mends"]

USUAL_TRIAL = 0.2
"""Share of the run that the trial of one of several restarts takes, unless the user or a start says otherwise."""


def refuse_contradictions(spec: RunSpec) -> None:
    """Refuse settings that only make sense beside others.

    Raises:
        SpecError: if `trial` is set although there is one start only.
    """
    if spec.restarts == 1 and spec.trial not in (None, USUAL_TRIAL):
        raise SpecError(f"trial={spec.trial:g} is the length of each start's trial; say restarts=N for N starts")


def refuse_unfit_start(spec: RunSpec, mapping: Mapping) -> None:
    """Refuse a start where neither the mapping, which is `mapping`, nor the prior has clusters that it could find.

    Raises:
        SpecError: if the mapping has no clusters, or another one comes before that which has.
    """
    from intel_core.helpers.parts_of_mapping import clusterings_of

    start, named = spec.start, " then ".join(str(part) for part in spec.mapping) or "identity"
    if clusterings_of(mapping):
        raise SpecError(
            f"start {start} is for a mapping that cuts y itself into clusters, and in {named} another one comes "
            "first; let the clusters come first, or use --start none"
        )
    raise SpecError(
        f"start {start} is for a mapping or a prior with clusters, not for {named}; e.g. --mapping cluster:k=10, "
        "or --start none"
    )


def refuse_what_no_data_mends(spec: RunSpec) -> None:
    """Refuse a device that is not here, a mapping that cannot have so many dimensions, and a start without clusters.

    All of this is found later as well, where the model is built; here it is found before data are read.

    Raises:
        SpecError: as these do where they are built.
        EnvironmentProblem: if this machine has no such device.
    """
    from intel_core.compute.device import pick_device
    from intel_core.helpers.parts_of_mapping import clustering_of

    pick_device(spec.device)
    has_start = spec.start is not None and not spec.start.is_none and spec.prior.is_usual
    if spec.latent is None and not has_start:
        return
    mapping = _built(spec)
    if has_start and mapping is not None and clustering_of(mapping) is None:
        refuse_unfit_start(spec, mapping)


def _built(spec: RunSpec) -> Mapping | None:
    """The mapping, in some number of dimensions if none is given; None if something other than that number is wrong."""
    from intel_core.helpers.fewest_dims import build_seeded, in_the_fewest
    from intel_core.helpers.trial_build import trial_build

    latent = spec.latent
    if latent is None:
        return trial_build(lambda: next(in_the_fewest(spec.mapping, spec.seed)))[0]
    mapping, error = trial_build(lambda: build_seeded(spec.mapping, latent, spec.seed))
    if isinstance(error, SpecError) and not isinstance(error, PluginError):  # a plugin's is told where the model is
        raise error
    return mapping
