"""Which components does a run need, and are they here?"""

from __future__ import annotations

from collections.abc import Iterable
from collections.abc import Mapping as Dictionary

from intel_core.components import discovery as plugins
from intel_core.errors import PluginError

__all__ = ["require_components"]


def require_components(where: object, components: Iterable[Dictionary[str, str]]) -> None:
    """Refuse a run whose components are not installed.

    Args:
        where: the run, for messages.
        components: ``kind``, ``name``, ``distribution`` and ``version`` of each, as ``run.json`` has them.

    Raises:
        PluginError: naming the distribution and version that a missing component needs.
    """
    for needed in components:
        kind, name = needed["kind"], needed["name"]
        try:
            plugins.find(kind, name)
        except PluginError as error:
            if any(name == c.name for c in plugins.available(kind)):
                continue  # ambiguous or disabled: loading the spec gives the full error
            needs = f"{where} needs {plugins.singular(kind)} {name!r}"
            if needed["distribution"] == plugins.THIS_PROCESS:
                raise PluginError(
                    f"{needs}, which was registered only in the process that trained it; register it again: "
                    f"intel_core.register({kind!r}, {name!r}, ITS_CLASS) in Python, or intel --import FILE with a file "
                    "that does so, or install a plugin that offers it"
                ) from error
            raise PluginError(
                f"{needs} of {needed['distribution']} {needed['version']}, which is not installed: "
                f"pip install {needed['distribution']}"
            ) from error
