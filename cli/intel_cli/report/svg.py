"""How is a chart written as SVG, without a library and small enough for a page? Scales, ticks, frames and dots."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from markupsafe import Markup, escape

__all__ = ["Frame", "area", "clipped", "dots", "frame", "line", "short", "squared", "ticks", "window", "wrap"]

Pair = tuple[float, float]


def short(value: float) -> str:
    """A coordinate or a tick's text, as short as it may be.

    >>> short(-0.0), short(12.50), short(1e-7), short(20000)
    ('0', '12.5', '1e-07', '20000')
    """
    if value == 0:
        return "0"
    return f"{value:.0f}" if abs(value) >= 1e4 and value == int(value) else f"{value:.4g}"


def _place(value: float) -> str:
    text = f"{value:.1f}"
    return text[:-2] if text.endswith(".0") else text


def ticks(low: float, high: float, about: int = 5) -> list[float]:
    """Round numbers within a range.

    >>> ticks(0, 2500), ticks(-3.6, 3.6)
    ([0.0, 500.0, 1000.0, 1500.0, 2000.0, 2500.0], [-2.0, 0.0, 2.0])
    """
    raw = (high - low) / max(about, 1)
    if not raw > 0 or not math.isfinite(raw):
        return [low]
    power = 10.0 ** math.floor(math.log10(raw))
    step = next(power * f for f in (1, 2, 5, 10) if power * f >= raw * 0.999)
    first = math.ceil(low / step - 1e-9)
    return [round(k * step, 10) + 0.0 for k in range(first, math.floor(high / step + 1e-9) + 1)]


def window(points: Iterable[float], *, share: float = 0.0, margin: float = 0.06) -> Pair:
    """A range that holds all points but for a share of them at either end, with a margin.

    >>> window([0.0, 1.0], margin=0.0)
    (0.0, 1.0)
    """
    finite = sorted(p for p in points if math.isfinite(p))
    if not finite:
        return (0.0, 1.0)
    cut = int(share * len(finite))
    low, high = finite[cut], finite[-1 - cut]
    room = (high - low) * margin or max(abs(high), 1.0) * 0.05
    return (low - room if margin else low, high + room if margin else high)


def squared(x: Pair, y: Pair) -> tuple[Pair, Pair]:
    """Two ranges about the same middles, both as wide as the wider one.

    >>> squared((0.0, 4.0), (1.0, 2.0))
    ((0.0, 4.0), (-0.5, 3.5))
    """
    half = max(x[1] - x[0], y[1] - y[0]) / 2
    first, second = (((a + b) / 2 - half, (a + b) / 2 + half) for a, b in (x, y))
    return first, second


@dataclass(frozen=True)
class Frame:
    """A rectangle of axes: which values it shows and where they are drawn."""

    x: Pair
    y: Pair
    width: float
    height: float
    left: float = 44
    top: float = 10
    right: float = 18
    bottom: float = 34

    def at(self, x: float, y: float) -> Pair:
        """Where a point is drawn."""
        across = (x - self.x[0]) / (self.x[1] - self.x[0]) * (self.width - self.left - self.right)
        down = (self.y[1] - y) / (self.y[1] - self.y[0]) * (self.height - self.top - self.bottom)
        return self.left + across, self.top + down

    def corners(self) -> list[float]:
        """Where its corners are drawn (left, top, right, bottom), then the values at them (x, x, y, y)."""
        return [self.left, self.top, self.width - self.right, self.height - self.bottom, *self.x, *self.y]

    def holds(self, x: float, y: float) -> bool:
        """Whether a point is within."""
        return self.x[0] <= x <= self.x[1] and self.y[0] <= y <= self.y[1]


def line(box: Frame, points: Iterable[Pair], classes: str) -> Markup:
    """A line through points, broken where one is not finite and clipped to far outside the frame."""
    pieces, pen = [], "M"
    reach = 5 * max(box.width, box.height)
    for x, y in points:
        if not (math.isfinite(x) and math.isfinite(y)):
            pen = "M"
            continue
        a, b = (max(-reach, min(reach, v)) for v in box.at(x, y))
        pieces.append(f"{pen}{_place(a)} {_place(b)}")
        pen = "L"
    return Markup('<path class="{}" d="{}"/>').format(classes, "".join(pieces))


def area(box: Frame, corners: Iterable[Pair], classes: str) -> Markup:
    """A filled polygon; corners that are not finite are left out."""
    places = [box.at(x, y) for x, y in corners if math.isfinite(x) and math.isfinite(y)]
    path = "L".join(f"{_place(a)} {_place(b)}" for a, b in places)
    return Markup('<path class="{}" d="M{}Z"/>').format(classes, path) if places else Markup("")


def dots(box: Frame, points: Iterable[Pair], classes: str) -> Markup:
    """Points as one path of lines without length, whose round or square caps are the dots: a dozen bytes each."""
    places = [box.at(x, y) for x, y in points if math.isfinite(x) and math.isfinite(y) and box.holds(x, y)]
    return Markup('<path class="dots {}" d="{}"/>').format(
        classes, "".join(f"M{_place(a)} {_place(b)}h0" for a, b in places)
    )


def frame(box: Frame, names: tuple[str, str], *, grid: bool = True, about: Pair = (5, 5)) -> Markup:
    """Ticks, a grid and the axes' names; they are hidden from screen readers, which get the picture's description."""
    right, bottom = box.width - box.right, box.height - box.bottom
    parts: list[Markup] = []
    for value in ticks(*box.x, int(about[0])):
        a = _place(box.at(value, box.y[0])[0])
        if grid:
            parts.append(Markup('<path class="grid" d="M{} {}V{}"/>').format(a, _place(box.top), _place(bottom)))
        parts.append(
            Markup('<text x="{}" y="{}" text-anchor="middle">{}</text>').format(a, _place(bottom + 14), short(value))
        )
    for value in ticks(*box.y, int(about[1])):
        b = box.at(box.x[0], value)[1]
        if grid:
            parts.append(
                Markup('<path class="grid" d="M{} {}H{}"/>').format(_place(box.left), _place(b), _place(right))
            )
        parts.append(
            Markup('<text x="{}" y="{}" text-anchor="end">{}</text>').format(
                _place(box.left - 5), _place(b + 3.5), short(value)
            )
        )
    middle = (box.left + right) / 2
    parts.append(
        Markup('<text class="axis" x="{}" y="{}" text-anchor="middle">{}</text>').format(
            _place(middle), _place(box.height - 4), escape(names[0])
        )
    )
    if names[1]:
        centre = _place((box.top + bottom) / 2)
        parts.append(
            Markup(
                '<text class="axis" x="11" y="{0}" text-anchor="middle" transform="rotate(-90 11 {0})">{1}</text>'
            ).format(centre, escape(names[1]))
        )
    return Markup('<g aria-hidden="true">{}</g>').format(Markup("").join(parts))


def clipped(box: Frame, content: Sequence[Markup]) -> Markup:
    """What is cut off at the frame: an inner picture of that size, in the same coordinates."""
    size = box.width - box.left - box.right, box.height - box.top - box.bottom
    place = [_place(v) for v in (box.left, box.top, *size)]
    return Markup('<svg x="{0}" y="{1}" width="{2}" height="{3}" viewBox="{0} {1} {2} {3}">{4}</svg>').format(
        *place, Markup("").join(content)
    )


def wrap(box: Frame, content: Sequence[Markup], label: str, classes: str = "chart") -> Markup:
    """The whole picture with its description."""
    return Markup('<svg class="{}" viewBox="0 0 {} {}" role="img" aria-label="{}">{}</svg>').format(
        classes, _place(box.width), _place(box.height), label, Markup("").join(content)
    )
