"""How do pictures look? Fonts, sizes, colours that colour-blind readers can tell apart, and saving.

Matplotlib is imported when something is drawn: a page that draws as SVG takes only the colours from here.
"""

from __future__ import annotations

import io
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from intel_core.files import write_bytes

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["BLUE", "GREY", "INK", "LIGHT", "class_style", "figure", "plain_axes", "save", "styled"]

INK = "#222222"
GREY = "#777777"
LIGHT = "#BBBBBB"
BLUE = "#0072B2"
_OKABE_ITO = ("#0072B2", "#E69F00", "#009E73", "#CC79A7", "#D55E00", "#56B4E9", "#000000", "#B8A500")
_TEN = (*_OKABE_ITO, "#882255", "#5D3A9B")
_MARKERS = ("o", "^", "s", "D", "v", "P", "X", "<", ">", "*")

_STYLE: Any = {
    "font.family": "sans-serif",
    "font.size": 9,
    "axes.titlesize": 9,
    "axes.labelsize": 9,
    "axes.edgecolor": GREY,
    "axes.labelcolor": INK,
    "axes.linewidth": 0.6,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "xtick.labelsize": 8,
    "ytick.labelsize": 8,
    "xtick.color": GREY,
    "ytick.color": GREY,
    "xtick.labelcolor": INK,
    "ytick.labelcolor": INK,
    "xtick.major.width": 0.6,
    "ytick.major.width": 0.6,
    "legend.fontsize": 8,
    "legend.frameon": False,
    "savefig.facecolor": "white",
    "pdf.fonttype": 42,  # fonts that a journal can embed
    "svg.hashsalt": "intel",
    "figure.dpi": 100,
}


@contextmanager
def styled() -> Iterator[None]:
    """Use the fonts and lines of this module for what is drawn inside the block."""
    import matplotlib as mpl

    with mpl.rc_context(_STYLE):
        yield


def figure(width: float, height: float, *, arranged: bool = True) -> Figure:
    """A figure of a given size in inches, with automatic layout unless stated otherwise."""
    from matplotlib.figure import Figure

    return Figure(figsize=(width, height), layout="constrained" if arranged else None)


def save(made: Figure, path: Path) -> None:
    """Write a .png, .pdf or .svg file, whole or not at all, and the same bytes each time.

    Raises:
        RunError: if the disk does not take it.
    """
    kind = path.suffix[1:].lower()
    # What a picture is made of must not change with the clock.
    dates: dict[str, Any] = {"pdf": {"CreationDate": None}, "svg": {"Date": None}}
    content = io.BytesIO()
    with styled():
        made.savefig(content, dpi=200 if kind == "png" else 300, format=kind, metadata=dates.get(kind))
    write_bytes(path, content.getvalue())


def class_style(index: int, classes: int) -> dict[str, Any]:
    """Colour and marker of a class; where colours repeat, the markers differ."""
    colours = _OKABE_ITO if classes <= len(_OKABE_ITO) else _TEN
    turn = index // len(colours)
    # Above eight classes neighbours in the palette differ in marker too, which survives a grey print.
    marker = _MARKERS[(turn + (index % 2 if classes > len(_OKABE_ITO) else 0)) % len(_MARKERS)]
    return {"color": colours[index % len(colours)], "marker": marker}


def plain_axes(axes: Axes) -> None:
    """Remove ticks and frame, for images."""
    axes.set_xticks([])
    axes.set_yticks([])
    for spine in axes.spines.values():
        spine.set_visible(False)
