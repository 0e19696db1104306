"""Can a component be used? It is imported to see, without torch."""

from __future__ import annotations

import sys
from dataclasses import replace

from intel_core.components.discovery import PLAIN, Component
from intel_core.components.loading import load_component, told_as_broken, value_of
from intel_core.errors import PluginError

__all__ = ["probe"]


class _NoTorch:
    """A finder that refuses to import torch, so that listing plugins stays quick."""

    def find_spec(self, name: str, path: object = None, target: object = None) -> None:
        if name == "torch" or name.startswith("torch."):
            raise ImportError(
                "importing a spec must not import torch; import what needs it in its methods, or under TYPE_CHECKING",
                name="torch",
            )


def probe(component: Component) -> Component:
    """Try to import one component and tell its status; torch is not imported, even if the plugin asks for it.

    >>> from intel_core.components.discovery import find
    >>> probe(find("mappings", "identity")).status
    'OK'
    """
    if component.status not in ("OK", "CONFLICT"):
        return component
    guard = _NoTorch()
    sys.meta_path.insert(0, guard)
    try:
        if component.kind in PLAIN:
            with told_as_broken(component):
                value_of(component)
        else:
            load_component(component)
    except PluginError as error:
        cause = error.__cause__
        if component.kind in PLAIN and isinstance(cause, ImportError) and cause.name == "torch":
            return component  # only specs are promised to be light
        return replace(component, status="BROKEN", reason=f"{type(cause).__name__}: {cause}")
    finally:
        sys.meta_path.remove(guard)
    return component
