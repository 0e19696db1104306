"""What is a start? A spec that says, from the data, to which cluster each training example belongs at first.

Importing this module does not import torch, so a plugin's spec module stays light.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING, ClassVar, NamedTuple

from pydantic import Field, JsonValue
from typing_extensions import Self

from intel_core.components.spec import ComponentSpec
from intel_core.errors import PluginError

if TYPE_CHECKING:
    from torch import Tensor

    from intel_core.data.dataset import Dataset, Split

__all__ = ["USUAL_AFTER", "FoundClusters", "NoStartSpec", "StartData", "StartSpec"]

USUAL_AFTER = 0.25
"""Share of a training after which its encodings are good enough to be clustered."""


class StartData(NamedTuple):
    """What a start is found from.

    Attributes:
        y: posterior means of the training examples, ``(n, y_dim)``, float32 on the CPU, finite.
        train: the training examples themselves.
        clusters: the number K of clusters of the mapping, or of components of the prior.
        seed: for whatever is random in the search.
    """

    y: Tensor
    train: Split
    clusters: int
    seed: int


class FoundClusters(NamedTuple):
    """What a start has found.

    Attributes:
        cluster: the cluster of each training example, ``(n,)``, integers in ``[0, K)``; -1 for an example without one.
        certain: which of them are known, rather than found, ``(n,)``; None for none.
        facts: what a reader must know of it, e.g. by what the best of several fits was chosen.
    """

    cluster: Tensor
    certain: Tensor | None = None
    facts: Mapping[str, JsonValue] = MappingProxyType({})


class StartSpec(ComponentSpec):
    r"""Base of every start's spec, registered under the entry-point group ``intelvae.starts``.

    A mapping with clusters says what clusters look like in z, not which examples form them; training alone finds
    poor ones, since few gradients tell a cluster as a whole where to go. With a start, a training has three phases:

    1. For a share ``after`` of its steps, a mapping with a strength has strength 0: a plain VAE. A start that does not
       look at encodings may do without.
    2. Then `find` names a cluster for each example, the mapping takes the shares that were found (if its shares are
       learned), and the loss has the further term :math:`w \cdot CE`, where CE is the cross-entropy of those clusters
       under scores of y that are linear and largest in the cluster's cell (`intel_core.helpers.cluster_scores`).
       w falls from ``pull`` to 0, in a straight line over the share ``hold`` of the steps.
    3. What is left is the objective alone.

    A prior that is a `intel_core.Mixture` can have a start in place of such a mapping. It is one Gaussian in the first
    phase and takes means, deviations and shares of the clusters, as far as it learns them
    (`intel_core.helpers.shares.TakesClusters`); the scores are its log p(c|y).

    Labels are used by a start only if it is the one that says so.

    Early stopping, and the trials of restarts, judge models of `takes_until` and later: an earlier one has no clusters,
    or those of a moment.
    """

    kind: ClassVar[str] = "starts"
    is_none: ClassVar[bool] = False
    """Whether it is the absence of a start."""

    after: float | None = Field(
        None,
        ge=0,
        le=0.95,
        description="share of the training before it; 0.25 if unset, or 0 where it does not look at encodings",
    )
    hold: float = Field(
        0.75, gt=0, le=1, description="share of the training over which the pull towards the found clusters falls to 0"
    )
    pull: float = Field(10.0, ge=0, le=1e6, description="weight of that pull when it begins, per nat of cross-entropy")

    @property
    def share_before(self) -> float:
        """`after`, or what it is where it is left open."""
        return USUAL_AFTER if self.after is None else self.after

    @property
    def lasting_pull(self) -> float:
        """Weight of the mean cross-entropy of the examples that are `FoundClusters.certain`, to the very end."""
        return 0.0

    def settled(self, dataset: Dataset) -> Self:
        """The same for some data, where other settings fit them better; by default as it is.

        An `after` that is left open is `USUAL_AFTER`: encodings have to be learned before they are clustered.
        """
        return self

    def check(self, dataset: Dataset, clusters: int) -> None:
        """Refuse, before anything is trained, data in which `find` cannot find so many clusters; by default none are.

        Raises:
            IntelError: in a line that says why.
        """

    def find(self, given: StartData) -> FoundClusters:
        """The cluster of each training example.

        Raises:
            IntelError: in a line, if there are none to be found.
        """
        raise PluginError(f"{type(self).__name__} does not define find(given)")

    def begins(self, steps: int) -> int:
        """The step, counted from 0, before which the clusters are found.

        >>> StartSpec(after=0.25).begins(1000)
        250
        """
        return int(self.share_before * steps)

    def takes_until(self, steps: int) -> int:
        """The step by which the start has done its work: half of the pull, and of its time, is over.

        >>> StartSpec(after=0.25, hold=0.5).takes_until(1000)
        500
        """
        return min(steps, self.begins(steps) + math.ceil(self.hold * steps / 2))

    def pull_at(self, step: int, steps: int) -> float:
        """The weight w of the pull at a step; 0 before the start.

        >>> start = StartSpec(after=0.25, hold=0.5, pull=10)
        >>> [start.pull_at(step, 1000) for step in (249, 250, 500, 750, 999)]
        [0.0, 10.0, 5.0, 0.0, 0.0]
        """
        begin, length = self.begins(steps), self.hold * steps
        return self.pull * max(0.0, 1 - (step - begin) / length) if step >= begin else 0.0


class NoStartSpec(StartSpec):
    """No start: all steps alike, and the mapping's clusters are found by training alone."""

    is_none: ClassVar[bool] = True
    after: float | None = Field(0.0, ge=0, le=0, description="nothing comes before it")
    hold: float = Field(0.0, ge=0, le=0, description="nothing is held")
    pull: float = Field(0.0, ge=0, le=0, description="nothing is pulled")
