"""Which real and generated examples are compared, and how are both made comparable?"""

from __future__ import annotations

from typing import NamedTuple

import torch
from pydantic import JsonValue
from torch import Tensor

from intel_core.data.dataset import Split
from intel_core.data.values import to_float
from intel_core.errors import RunError
from intel_core.evaluation.measurement import NotApplicableError
from intel_core.evaluation.subject import Subject

__all__ = ["Sides", "grey_notes", "is_images", "require_images", "sides", "take", "treated"]


class Sides(NamedTuple):
    """Three sets of n examples each, all treated by one rule (see `treated`).

    Attributes:
        real: real examples of the test part.
        other: further real examples, none of which is in `real`; a perfect generator would give such examples.
        generated: means of p(x|z) at draws of the prior.
        protocol: how they were chosen and treated.
    """

    real: Tensor
    other: Tensor
    generated: Tensor
    protocol: dict[str, JsonValue]


def is_images(subject: Subject) -> bool:
    """Whether the data are images ``(n, C, H, W)`` with values in [0, 1]."""
    return len(subject.dataset.x_shape) == 3 and subject.dataset.support != "real"


def require_images(subject: Subject, what: str, instead: str = "") -> None:
    """Refuse data that are not images with values in [0, 1].

    Raises:
        NotApplicableError: naming the data and `what` needs images, with `instead` as advice.
    """
    if not is_images(subject):
        shape = list(subject.dataset.x_shape)
        kind = "no images" if len(shape) != 3 else "images with values outside [0, 1]"
        advice = f"; {instead}" if instead else ""
        raise NotApplicableError(
            f"{what} needs images in [0, 1], {subject.dataset.name} has {kind} (shape {shape}){advice}"
        )


def grey_notes(subject: Subject) -> tuple[str, ...]:
    """What a reader must know if real examples are binary and generated ones are probabilities."""
    if subject.dataset.support != "binary":
        return ()
    return ("Real examples are binary, generated ones are means: a network can tell them apart by that alone.",)


def take(split: Split, rows: Tensor) -> Tensor:
    """Examples at some rows as they are stored, also from a part that is on disk and has ``read(rows)``.

    >>> take(Split(torch.arange(6.0).reshape(3, 2)), torch.tensor([2, 0])).tolist()
    [[4.0, 5.0], [0.0, 1.0]]
    """
    read = getattr(split, "read", None)
    taken: Tensor = read(rows) if read is not None else split.x[rows]
    return taken


def treated(x: Tensor, images: bool) -> Tensor:
    """Examples as they are compared: bytes divided by 255, images clipped to [0, 1]; the same for real and generated.

    Nothing is rescaled image by image, and nothing is cast to bytes, where values outside [0, 255] would wrap around.

    >>> treated(torch.tensor([[-0.5, 0.25, 1.5]]), images=True).tolist()
    [[0.0, 0.25, 1.0]]
    >>> treated(torch.tensor([[0, 255]], dtype=torch.uint8), images=True).tolist()
    [[0.0, 1.0]]
    """
    values = to_float(x)
    return values.clamp(0, 1) if images else values


def sides(subject: Subject, n: int, *, seed: int) -> Sides:
    """Up to `n` real examples, as many other real ones, and as many generated ones.

    Real examples are those of the test part in an order drawn with `seed`. The other ones are the rest of the test part
    and, if these are too few, examples of the validation and then of the training part.

    Raises:
        RunError: if generated examples are not finite.
    """
    parts = {name: subject.split(name) for name in ("test", "validation", "train")}
    n = min(n, len(parts["test"]), sum(map(len, parts.values())) // 2)
    images = is_images(subject)
    chosen: list[Tensor] = []
    source: dict[str, JsonValue] = {}
    needed = 2 * n
    for name, split in parts.items():
        rows = torch.randperm(len(split), generator=subject.generator(seed, f"real/{name}"))[:needed]
        if len(rows):
            chosen.append(treated(take(split, rows), images))
            source[name] = len(rows) - (n if name == "test" else 0)
        needed -= len(rows)
    real = torch.cat(chosen)
    generated = treated(subject.generated(n, seed=seed), images)
    if not bool(torch.isfinite(generated).all()):
        raise RunError(f"{subject.run.path} generates examples that are not finite numbers")
    protocol: dict[str, JsonValue] = {
        "data": subject.dataset.name,
        "fingerprint": subject.run.fingerprint,
        "real": f"{n} of the test part's {len(parts['test'])} examples, in an order drawn with the seed",
        "floor": "as many other real examples, of " + ", ".join(f"{name} ({m})" for name, m in source.items() if m),
        "generated": f"{n} means of p(x|z) at draws of the prior",
        "n": n,
        "preprocessing": "clipped to [0, 1], real and generated alike" if images else "none; in the model's units",
        "seed": seed,
    }
    return Sides(real[:n], real[n:], generated, protocol)
