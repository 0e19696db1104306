"""What does the page show of a run? Planes with their points, decodings, and places to start from; without the web."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import torch

from intel_cli.explore.choices import Choices
from intel_cli.output.describe import mapping_of
from intel_cli.pictures.points import label_name
from intel_cli.report.clusters import cluster_rows, examples_of
from intel_cli.report.images import address, limits_of, sheet
from intel_cli.report.planes import Backdrop, chosen_planes
from intel_cli.report.svg import Frame, dots, frame, window, wrap
from intel_core.data.values import to_float
from intel_core.errors import DataError
from intel_core.evaluation.clusters import clusters_of, draws_within
from intel_core.helpers.own_prior import own_prior
from intel_core.helpers.turning import own_axes
from intel_core.randomness import stream

if TYPE_CHECKING:
    from collections.abc import Sequence

    from torch import Tensor

    from intel_core.data.dataset import Dataset
    from intel_core.evaluation.run import Run

__all__ = ["Scene"]

_MOST_ENCODED = 5000
_LIMIT = 1e3
"""Larger than any coordinate that a draw of the prior has."""


class Scene:
    """A run and all that is drawn of it; only one thread may call it at a time.

    Args:
        run: the run.
        dataset: its data; without them only the prior is shown.
    """

    def __init__(self, run: Run, dataset: Dataset | None) -> None:
        self.run = run
        self.dataset = dataset
        known = run.units.conditions
        self.choices = Choices(() if known is None else known.columns)
        part = None if dataset is None else dataset.test.part(torch.arange(min(_MOST_ENCODED, len(dataset.test))))
        self._x = None if part is None else part.x
        self._labels = labels = None if part is None else part.labels
        self._conditions = None if part is None else part.conditions
        encoding = None if part is None else run.encode(part, standardised=True)
        self.mean = None if encoding is None else encoding.mean
        self._clusters = clusters_of(run.model)
        names = () if dataset is None else dataset.class_names
        self._examples = None if part is None else examples_of(part, names, torch.arange(len(part)), encoding)
        prior = own_prior(run.model)
        # All that the page shows and asks of y is along the mapping's own axes, if it has turned from those of y.
        self._turned = own_axes(run.model.mapping, prior)
        shown = None if self.mean is None else self._turned.into(self.mean)
        self._behind = Backdrop(self._turned.mapping, shown, labels, names, prior)
        self._planes = [plane for plane, _ in chosen_planes(self._turned.mapping, shown)]
        self._images = len(run.model.x_shape) == 3
        some = None if self._x is None else to_float(self._x[:200]).cpu()
        self._limits = limits_of(some, run.info["data"].get("support", "unit")) if some is not None else (0.0, 1.0)

    def start(self) -> dict[str, Any]:
        """What the page needs before anything is drawn."""
        run = self.run
        return {
            "name": str(run.info["name"]),
            "mapping": mapping_of(run.spec),
            "prior": "" if run.spec.prior.is_usual else str(run.spec.prior),
            "y_dim": run.model.y_dim,
            "z_dim": run.model.z_dim,
            "planes": [list(plane) for plane in self._planes],
            "clusters": 0 if self._clusters is None else self._clusters.n,
            "examples": 0 if self._x is None else len(self._x),
            "conditions": self.choices.shown(),
            "chosen": self.choices.of(run.draw_conditions(1), 0),
            "legend": [{"name": e.name, "style": e.style, "count": e.count} for e in self._behind.legend],
            "what": self._behind.what,
            "output": self._output(),
        }

    def plane(self, dims: list[int]) -> dict[str, Any]:
        """Both panels of one or two dimensions of y, as SVG with their axes.

        Raises:
            DataError: if there are no such dimensions.
        """
        y_dim = self.run.model.y_dim
        if len(set(dims)) != min(2, y_dim) or len(dims) != len(set(dims)) or not all(0 <= d < y_dim for d in dims):
            raise DataError(f"a plane is {min(2, y_dim)} different dimensions of 0 to {y_dim - 1}, not {dims}")
        made = self._behind.plane(tuple(dims))
        return {
            "dims": dims,
            "z_dims": list(made.z_dims),
            "y": str(made.y),
            "z": str(made.z),
            "y_frame": made.y_box.corners(),
            "z_frame": made.z_box.corners(),
        }

    @torch.no_grad()
    def decode(self, y: list[float], chosen: Sequence[float] = ()) -> dict[str, Any]:
        """The image z = g(y) of one y, and the mean of p(x|z), or p(x|z, c) with the chosen conditions.

        Raises:
            DataError: if y is not so many finite numbers, or conditions are not chosen as `Choices` says.
        """
        conditions = self.choices.values(chosen)
        model = self.run.model
        if len(y) != model.y_dim or not all(math.isfinite(v) and abs(v) <= _LIMIT for v in y):
            raise DataError(f"y must be {model.y_dim} numbers between {-_LIMIT:g} and {_LIMIT:g}")
        at = self._turned.back(torch.tensor([y], device=self.run.model_device))
        z = model.mapping(at)
        x = self.run.decode(z.cpu(), conditions=conditions, standardised=True)
        cluster = None if self._clusters is None else int(self._clusters.assign(at)[0])
        return {
            "z": self._told(z[0]),
            "cluster": cluster,
            **self._shown(x),
        }

    def example(self, index: int) -> dict[str, Any]:
        """The posterior mean of a test example, its label, and the example itself.

        Raises:
            DataError: if there is no such example.
        """
        if self._x is None or self.mean is None or not 0 <= index < len(self._x):
            count = 0 if self._x is None else len(self._x)
            raise DataError(f"there is no test example {index}; there are {count:,}, counted from 0")
        label = ""
        if self._labels is not None and self.dataset is not None:
            label = label_name(int(self._labels[index]), self.dataset.class_names)
        shown = self._shown(to_float(self._x[index : index + 1]).cpu())
        chosen = self.choices.of(self._conditions, index)
        return {"y": self._told(self.mean[index]), "label": label, "chosen": chosen, **shown}

    def draw(self, seed: int, cluster: int | None = None) -> dict[str, Any]:
        """A draw of y from the prior, or from its part in one cluster.

        Raises:
            SpecError: if there is no such cluster.
            RunError: if hardly anything enters it.
        """
        if cluster is not None:
            generator = torch.Generator(self.run.model_device).manual_seed(stream(seed, "explore"))
            clusters, path = self._clusters, str(self.run.path)
            y = draws_within(clusters, cluster, 1, lambda n: self.run.draw_y(n, generator), path)[0]
            return {"y": self._told(y)}
        generator = torch.Generator().manual_seed(stream(seed, "explore"))
        prior = own_prior(self.run.model)
        y = torch.randn(self.run.model.y_dim, generator=generator) if prior is None else prior.draws(1, generator)[0]
        return {"y": self._told(y)}

    def _told(self, point: Tensor) -> list[float]:
        """Coordinates of a y or a z along the axes that the page shows."""
        return [float(f"{v:.4g}") for v in self._turned.into(point).tolist()]

    def clusters(self) -> dict[str, Any]:
        """Each cluster: its share of the test examples and of the prior, samples and its most probable examples."""
        rows = [] if self._clusters is None else cluster_rows(self.run, self._clusters, self._examples)
        told = [
            {
                "index": row.index,
                "size": row.size,
                "prior": row.prior,
                "label": row.label,
                "note": row.note,
                "samples": str(row.samples),
                "nearest": str(row.nearest),
            }
            for row in rows
        ]
        return {
            "rows": told,
            "images": self._images,
            "examples": 0 if self._examples is None else len(self._examples.x),
        }

    def _shown(self, x: Tensor) -> dict[str, Any]:
        if self._images:
            return {"image": address(sheet(x, 1, self._limits), 1)}
        return {"values": [float(f"{v:.5g}") for v in self.run.original_units(x)[0].tolist()]}

    def _output(self) -> dict[str, Any]:
        """How decodings are shown: as an image, a point in the plane of the data, or a profile."""
        shape = self.run.model.x_shape
        if self._images:
            return {"kind": "image", "width": shape[2], "height": shape[1]}
        x = None if self._x is None else self.run.original_units(to_float(self._x[:1500]).cpu())
        low, high = (-3.0, 3.0) if x is None else window(x.flatten().tolist(), share=0.001)
        if shape[0] == 2:
            cloud = [] if x is None else [(a, b) for a, b in x.tolist()]
            half = max([1e-6, *(abs(v) for v in (low, high))]) * 1.15
            box = Frame((-half, half), (-half, half), 340, 326, left=40)
            label = "The plane of the data: test examples in grey, and what y decodes to."
            svg = wrap(box, [frame(box, ("x0", "x1"), grid=False), dots(box, cloud, "prior")], label, "chart plane")
            return {"kind": "plane", "svg": str(svg), "frame": box.corners()}
        last = float(max(shape[0] - 1, 1))
        box = Frame((0.0, last), (low, high), 340, 240, left=44)
        label = "The values of x that y decodes to, in their order."
        svg = wrap(box, [frame(box, ("value of x", ""), grid=False)], label, "chart")
        return {"kind": "profile", "svg": str(svg), "frame": box.corners()}
