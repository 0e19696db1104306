"""How does a spec become a mapping? Specs are built one after another, each for the dimensions that the last left."""

from __future__ import annotations

from collections.abc import Sequence

from intel_core.components.spec import parse_spec
from intel_core.errors import IntelError, PluginError, SpecError
from intel_core.mappings.contract import Mapping, MappingSpec

__all__ = ["IdentitySpec", "build_mapping", "load_mapping"]


class IdentitySpec(MappingSpec):
    """z = y: the vanilla VAE."""

    def build(self, y_dim: int) -> Mapping:
        """The identity."""
        from intel_core.mappings.compose import Identity

        return Identity(y_dim)


def load_mapping(text: str, y_dim: int) -> Mapping:
    """The mapping that a text describes, ready to use.

    Args:
        text: e.g. ``"cluster:k=3"``; see `intel_core.parse_spec`.
        y_dim: number of dimensions of y.

    Raises:
        SpecError: if the text describes no mapping, or none for `y_dim` dimensions.

    >>> load_mapping("identity", y_dim=2).z_dim
    2
    """
    spec = parse_spec("mappings", text)
    assert isinstance(spec, MappingSpec)
    return build_mapping([spec], y_dim)


def build_mapping(specs: Sequence[MappingSpec], y_dim: int) -> Mapping:
    """The composition of some specs, the first applied first; no spec at all is the identity.

    Raises:
        SpecError: if a spec does not fit the dimensions it gets.
        PluginError: if a plugin returns something that is not a `Mapping` of those dimensions.
    """
    from intel_core.mappings.compose import Compose, Identity

    if y_dim < 1:
        raise SpecError(f"a latent space needs at least 1 dimension, not {y_dim}")
    parts: list[Mapping] = []
    width = y_dim
    for spec in specs:
        part = _build_one(spec, width)
        parts.append(part)
        width = part.z_dim
    if not parts:
        return Identity(y_dim)
    return parts[0] if len(parts) == 1 else Compose(parts)


def _build_one(spec: MappingSpec, y_dim: int) -> Mapping:
    from intel_core.mappings.compose import OnDims

    if spec.dims is None:
        return _build_checked(spec, y_dim)
    if max(spec.dims) >= y_dim or len(set(spec.dims)) < len(spec.dims):
        raise SpecError(
            f"{spec}: dims={list(spec.dims)} must be different dimensions below {y_dim}, the number there is"
        )
    return OnDims(_build_checked(spec, len(spec.dims)), spec.dims, y_dim)


def _build_checked(spec: MappingSpec, y_dim: int) -> Mapping:
    try:
        mapping = spec.build(y_dim)
    except IntelError:
        raise
    except ValueError as error:
        raise SpecError(f"{spec}: {error}") from error
    if not isinstance(mapping, Mapping):
        raise PluginError(f"{spec}: build() returned {type(mapping).__name__}, which lacks y_dim, z_dim or a call")
    if mapping.y_dim != y_dim:
        raise PluginError(f"{spec}: build({y_dim}) returned a mapping of y_dim={mapping.y_dim}")
    return mapping
