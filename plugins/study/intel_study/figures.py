"""Which pictures has a study? Samples of every arm, one number against another, a number over the problems.

Numbers are drawn from the results alone; samples from what the runs of the first seed have left. Nothing here imports
torch.
"""

from __future__ import annotations

import io
import statistics
from pathlib import Path
from typing import Any

from intel_core import files
from intel_study.design import Figure
from intel_study.jobs import slug
from intel_study.results import Results

__all__ = ["draw"]

_COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#56B4E9", "#E69F00", "#000000", "#999999")
_MARKERS = "osD^vP*X"


def draw(results: Results, folder: Path, samples: Path | None) -> dict[int, Path]:
    """Draw what can be drawn, and return the pictures by their place in the study.

    Pictures of samples that were drawn before stay where the samples are not here.
    """
    found: dict[int, Path] = {}
    for place, figure in enumerate(results.study.figures):
        path = folder / f"figure-{place + 1}-{slug(figure.title or figure.kind, longest=40).lower()}.png"
        if figure.kind == "samples":
            drawn = _samples(results, figure, samples) if samples is not None else None
        elif figure.kind == "numbers":
            drawn = _numbers(results, figure)
        else:
            drawn = _problems(results, figure)
        if drawn is not None:
            stream = io.BytesIO()
            drawn.savefig(stream, dpi=130, format="png", metadata={"Software": None})
            files.write_bytes(path, stream.getvalue())
        if path.is_file():
            found[place] = path
    return found


def _chosen(results: Results, figure: Figure) -> tuple[list[str], list[str]]:
    problems = list(figure.problems or results.study.problem_names)
    return problems, list(figure.arms or results.study.arms)


def _samples(results: Results, figure: Figure, folder: Path) -> Any:
    import numpy as np
    from matplotlib.figure import Figure as Canvas

    problems, arms = _chosen(results, figure)
    seed = results.seeds[0]
    there: dict[tuple[str, str], dict[str, Any]] = {}
    for cell in results.cells:
        path = folder / f"{slug(cell.problem, cell.arm)}-seed{cell.seed}-{cell.digest}.npz"
        if cell.seed == seed and path.is_file():
            with np.load(path, allow_pickle=False) as content:
                there[cell.problem, cell.arm] = {name: content[name] for name in ("data", "samples")}
    problems = [problem for problem in problems if any((problem, arm) in there for arm in arms)]
    arms = [arm for arm in arms if any((problem, arm) in there for problem in problems)]
    if not problems:
        return None
    columns = 1 + len(arms)
    canvas = Canvas(figsize=(1.9 * columns, 1.9 * len(problems) + 0.3), layout="constrained")
    grid = canvas.subplots(len(problems), columns, squeeze=False)
    for row, problem in zip(grid, problems, strict=True):
        data = next(there[problem, arm]["data"] for arm in arms if (problem, arm) in there)
        for axes, arm in zip(row, [None, *arms], strict=True):
            axes.set(xticks=[], yticks=[])
            drawn = data if arm is None else there.get((problem, arm), {}).get("samples")
            if drawn is not None:
                _show(axes, drawn[: figure.samples], data)
        row[0].set_ylabel(problem, fontsize=8)
    for axes, title in zip(grid[0], ["data", *(results.study.label(arm) for arm in arms)], strict=True):
        axes.set_title(title, fontsize=8)
    return canvas


def _show(axes: Any, values: Any, data: Any) -> None:
    """Points of the plane, the first two columns of a table, or a square of images."""
    import numpy as np

    if values.ndim == 4:
        side = max(1, int(len(values) ** 0.5))
        side = min(side, 8)
        tiles = values[: side * side].transpose(0, 2, 3, 1)
        rows = [np.concatenate(list(tiles[i * side : (i + 1) * side]), axis=1) for i in range(side)]
        whole = np.concatenate(rows, axis=0)
        axes.imshow(whole.squeeze(-1) if whole.shape[-1] == 1 else whole, cmap="gray_r", vmin=0, vmax=255)
        return
    flat, true = values.reshape(len(values), -1), data.reshape(len(data), -1)
    if flat.shape[1] == 1:
        axes.hist(flat[:, 0], bins=60, color=_COLOURS[0])
        return
    axes.scatter(flat[:, 0], flat[:, 1], s=0.6, linewidths=0, color=_COLOURS[0], rasterized=True)
    low, high = true[:, :2].min(0), true[:, :2].max(0)
    middle, half = (low + high) / 2, float((high - low).max()) * 0.6 or 1.0
    axes.set(xlim=(middle[0] - half, middle[0] + half), ylim=(middle[1] - half, middle[1] + half))
    axes.set_aspect("equal")


def _numbers(results: Results, figure: Figure) -> Any:
    from matplotlib.figure import Figure as Canvas

    problems, arms = _chosen(results, figure)
    canvas = Canvas(figsize=(4.6 * len(problems) + 2.2, 3.8), layout="constrained")
    grid = canvas.subplots(1, len(problems), squeeze=False)[0]
    drawn = False
    for axes, problem in zip(grid, problems, strict=True):
        for place, arm in enumerate(arms):
            x, y = (results.values(problem, arm, name) for name in (figure.x, figure.y))
            both = sorted(set(x) & set(y))
            if not both:
                continue
            drawn = True
            look: dict[str, Any] = {
                "color": _COLOURS[place % len(_COLOURS)],
                "marker": _MARKERS[place // len(_COLOURS) % 8],
            }
            axes.scatter([x[s].value for s in both], [y[s].value for s in both], s=12, alpha=0.55, linewidths=0, **look)
            means = [statistics.fmean(of[s].value for s in both) for of in (x, y)]
            axes.scatter(*[[mean] for mean in means], s=42, label=results.study.label(arm), **look)
        axes.set(xlabel=_axis(results, figure.x), ylabel=_axis(results, figure.y), title=problem)
        axes.spines[["top", "right"]].set_visible(False)
    if not drawn:
        return None
    handles = {label: handle for axes in grid for handle, label in zip(*axes.get_legend_handles_labels(), strict=True)}
    canvas.legend(handles.values(), handles, fontsize=7, frameon=False, loc="outside right center")
    return canvas


def _problems(results: Results, figure: Figure) -> Any:
    from matplotlib.figure import Figure as Canvas

    problems, arms = _chosen(results, figure)
    problems = [problem for problem in problems if not figure.at or problem in figure.at]
    at = figure.at or {problem: float(i) for i, problem in enumerate(problems)}
    canvas = Canvas(figsize=(8.2, 3.8), layout="constrained")
    axes = canvas.subplots()
    drawn = False
    for place, arm in enumerate(arms):
        points = []
        for problem in problems:
            values = [number.value for number in results.values(problem, arm, figure.y).values()]
            if values:
                spread = statistics.stdev(values) if len(values) > 1 else 0.0
                points.append((at[problem], statistics.fmean(values), spread))
        if points:
            drawn = True
            x, y, error = zip(*sorted(points), strict=True)
            axes.errorbar(
                x, y, error, label=results.study.label(arm), color=_COLOURS[place % len(_COLOURS)],
                marker=_MARKERS[place % 8], markersize=4, capsize=2, linewidth=1.2,
            )  # fmt: skip
    if not drawn:
        return None
    axes.set(xlabel=figure.xlabel, ylabel=_axis(results, figure.y))
    if not figure.at:
        axes.set_xticks([at[problem] for problem in problems], problems, fontsize=7, rotation=20, ha="right")
    axes.spines[["top", "right"]].set_visible(False)
    canvas.legend(fontsize=7, frameon=False, loc="outside right center")
    return canvas


def _axis(results: Results, name: str) -> str:
    column = results.study.column(name)
    unit = column.unit or next((n.unit for c in results.cells if (n := c.number(column.of)) is not None), "")
    label = column.label or name
    return f"{label} ({unit})" if unit else label
