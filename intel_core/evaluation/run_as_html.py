"""How does a notebook show a run? Settings, final numbers, the bound's curve and some samples, without any library."""

from __future__ import annotations

import base64
import html
import struct
import zlib
from collections.abc import Sequence
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from intel_core.errors import IntelError

if TYPE_CHECKING:
    from intel_core.runs.stored_run import StoredRun

__all__ = ["as_html"]

_SAMPLES, _COLUMNS = 16, 8
_WIDTH, _HEIGHT = 280, 110
_LARGEST_SIDE = 128


def as_html(run: StoredRun) -> str:
    """A small table, a curve and samples. What cannot be had, such as weights that are missing, is left out."""
    rows = [("run", str(run.path)), ("status", run.status), *_settings(run), *_numbers(run)]
    cells = "".join(f"<tr><th style='text-align:left'>{_text(k)}</th><td>{_text(v)}</td></tr>" for k, v in rows)
    parts = [f"<table>{cells}</table>", _curve(run), _samples(run)]
    return "<div style='display:flex;gap:1.5em;align-items:flex-start;flex-wrap:wrap'>" + "".join(parts) + "</div>"


def _text(value: str) -> str:
    return html.escape(value if len(value) <= 120 else f"{value[:120]}…")


def _settings(run: StoredRun) -> list[tuple[str, str]]:
    try:
        spec = run.spec
    except IntelError as error:
        return [("settings", str(error))]
    mapping = " then ".join(str(part) for part in spec.mapping) or "identity"
    shown = [("mapping", mapping), ("data", str(spec.data)), ("latent", str(spec.latent)), ("networks", spec.networks)]
    shown += [("prior", str(spec.prior))] if not spec.prior.is_usual else []
    shown += [("posterior", str(spec.posterior))] if not spec.posterior.is_usual else []
    return [*shown, ("likelihood", str(spec.likelihood)), ("steps", f"{spec.steps:,}"), ("seed", str(run.seed))]


def _numbers(run: StoredRun) -> list[tuple[str, str]]:
    test = run.metrics.get("test") or {}
    words = {"elbo": "test ELBO", "log_likelihood": "log-likelihood", "kl": "KL"}
    return [(word, f"{test[name]:.2f} nats") for name, word in words.items() if isinstance(test.get(name), int | float)]


def _curve(run: StoredRun) -> str:
    """The validation ELBO by step."""
    points = [
        (float(record["step"]), float(record["elbo"]))
        for record in run.records()
        if record.get("kind") == "validation" and isinstance(record.get("elbo"), int | float)
    ]
    if len(points) < 2:
        return ""
    low, high = min(y for _, y in points), max(y for _, y in points)
    scale, last = (high - low) or 1.0, points[-1][0] or 1.0
    line = " ".join(f"{x / last * _WIDTH:.1f},{(high - y) / scale * _HEIGHT:.1f}" for x, y in points)
    return (
        f"<figure style='margin:0'><svg width='{_WIDTH}' height='{_HEIGHT + 4}' viewBox='0 -2 {_WIDTH} {_HEIGHT + 4}'>"
        f"<polyline points='{line}' fill='none' stroke='currentColor' stroke-width='1.5'/></svg>"
        f"<figcaption>validation ELBO, {low:.2f} to {high:.2f} nats, {int(last):,} steps</figcaption></figure>"
    )


def _samples(run: StoredRun) -> str:
    try:
        x = run.sample(_SAMPLES, seed=0) if run.status != "diverged" else torch.empty(0)
    except IntelError:
        return ""
    if x.dim() != 4 or x.shape[1] not in (1, 3) or max(x.shape[2:]) > _LARGEST_SIDE:
        return ""
    picture = base64.b64encode(_png(_sheet(x))).decode()
    return (
        f"<figure style='margin:0'><img style='image-rendering:pixelated;width:{_WIDTH}px' alt='samples' "
        f"src='data:image/png;base64,{picture}'/><figcaption>{_SAMPLES} samples</figcaption></figure>"
    )


def _sheet(x: Tensor) -> Tensor:
    """Images ``(n, C, H, W)`` in [0, 1] side by side, as bytes ``(rows, columns, C)``."""
    n, channels, height, width = x.shape
    tiles = x.clamp(0, 1).mul(255).round().to(torch.uint8).view(n // _COLUMNS, _COLUMNS, channels, height, width)
    return tiles.permute(0, 3, 1, 4, 2).reshape(n // _COLUMNS * height, _COLUMNS * width, channels)


def _png(pixels: Tensor) -> bytes:
    """Bytes ``(H, W, 1 or 3)`` as a PNG file."""
    height, width, channels = pixels.shape
    rows = b"".join(b"\0" + pixels[row].contiguous().numpy().tobytes() for row in range(height))
    header = struct.pack(">IIBBBBB", width, height, 8, 2 if channels == 3 else 0, 0, 0, 0)
    chunks: Sequence[tuple[bytes, bytes]] = ((b"IHDR", header), (b"IDAT", zlib.compress(rows, 9)), (b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body)) for name, body in chunks
    )
