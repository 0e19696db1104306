"""Which mapping is meant? Specs that are built here, or a run that was trained."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from intel_core.components import discovery as plugins
from intel_core.components.spec import parse_spec
from intel_core.errors import RunError, SpecError
from intel_core.mappings.contract import MappingSpec
from intel_core.runs.folder import RunFolder, named_run

if TYPE_CHECKING:
    from intel_core.mappings.contract import Mapping

__all__ = ["Chosen", "chosen_mapping"]

_SURFACE = 4
"""Up to this number of dimensions is tried, since the image of some mappings is a surface only there."""
_MANY = 20
"""Number of dimensions for a mapping that promises sparsity, which two or three dimensions cannot show."""


@dataclass(frozen=True)
class Chosen:
    """A mapping, and where it comes from.

    Attributes:
        mapping: g.
        specs: its specs as text, the first applied first.
        name: what to call a file of it.
        run: the run directory it was read from, if any.
        latent_chosen: whether the number of dimensions was chosen here rather than given.
    """

    mapping: Mapping
    specs: tuple[str, ...]
    name: str
    run: Path | None
    latent_chosen: bool


def chosen_mapping(texts: Sequence[str], latent: int | None, seed: int) -> Chosen:
    """The mapping that a user's arguments stand for.

    Args:
        texts: specs, or one run directory.
        latent: number of dimensions of y; if None, the smallest number that the specs accept.
        seed: seed of the parameters of a mapping that is not trained.

    Raises:
        SpecError: if a text describes no mapping, or none for so many dimensions.
        RunError: if a run cannot be read, or is given together with anything else.
    """
    runs = [text for text in texts if _is_run(text)]
    if not runs:
        return _from_specs(texts, latent, seed)
    others = [text for text in texts if text != runs[0]] or list(texts[1:])
    if others:
        raise RunError(
            f"{runs[0]!r} is a run, whose mapping is complete; show it alone, without {', '.join(map(repr, others))}"
        )
    return _from_run(named_run(Path(runs[0])), latent)


def _is_run(text: str) -> bool:
    """Whether a text means a run; where a mapping and a folder have the same name, the mapping is meant."""
    head = text.strip().partition(":")[0].strip()
    if head in {name for c in plugins.available("mappings") for name in (c.name, c.qualified)} or "\0" in text:
        return False
    try:
        path = named_run(Path(text).expanduser())
        return (path / "run.json").is_file() or path.is_dir() or text.startswith(("./", "../", "/", "~", "runs/"))
    except (OSError, RuntimeError):  # a name that no file can have, or the home of nobody
        return False


def _from_run(path: Path, latent: int | None) -> Chosen:
    RunFolder(path.expanduser()).read_description()
    from intel_core.evaluation.run import load_run

    run = load_run(path.expanduser())
    mapping = run.model.mapping
    if latent not in (None, mapping.y_dim):
        raise RunError(f"{path} has {mapping.y_dim} latent dimensions, not {latent}; leave out --latent")
    specs = tuple(str(spec) for spec in run.spec.mapping) or ("identity",)
    return Chosen(mapping, specs, f"{run.path.resolve().name}-mapping", run.path, latent_chosen=False)


def _from_specs(texts: Sequence[str], latent: int | None, seed: int) -> Chosen:
    specs = []
    for text in texts:
        spec = parse_spec("mappings", text)
        assert isinstance(spec, MappingSpec)
        specs.append(spec)
    # With its settings, so that two pictures do not take one name; a file's name has no colon or bracket.
    heads = [re.sub(r"[^\w.+=-]+", "-", text.strip().rpartition("/")[2]).strip("-") for text in texts]
    from intel_core.helpers.fewest_dims import build_seeded

    mapping = build_seeded(specs, latent, seed) if latent is not None else _smallest(specs, seed)
    return Chosen(mapping, tuple(t.strip() for t in texts), "-".join(heads)[:100], None, latent_chosen=latent is None)


def _smallest(specs: Sequence[MappingSpec], seed: int) -> Mapping:
    """The mapping in the smallest number of dimensions that it accepts, or a few more if its image is then a surface.

    A sphere or a torus can also be built in two dimensions, but there both are circles.
    """
    from intel_core.helpers.fewest_dims import build_seeded, in_the_fewest
    from intel_core.mappings.compose import properties_of

    smallest: Mapping | None = None
    for mapping in in_the_fewest(specs, seed):
        if smallest is not None and mapping.y_dim > _SURFACE:
            break
        betti = properties_of(mapping).betti
        if betti is not None and len(betti) > 2:
            return mapping
        smallest = smallest or mapping
        if betti is None:
            break
    assert smallest is not None
    if properties_of(smallest).sparsity is not None and smallest.y_dim < _MANY:
        with contextlib.suppress(SpecError):
            return build_seeded(specs, _MANY, seed)
    return smallest
