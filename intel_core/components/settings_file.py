"""How are settings read from a file? Keys and values in YAML or JSON, each given once."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

from intel_core.errors import SpecError

if TYPE_CHECKING:
    pass
from intel_core.components.wording import clip, one_line

__all__ = [
    "read_settings",
]


class _OnceEach(yaml.SafeLoader):
    """Refuses a key that is given twice, of which YAML's loader would take the last."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        lines: dict[str, int] = {}
        for key, _ in node.value:
            line = key.start_mark.line + 1
            if isinstance(key, yaml.ScalarNode):
                if key.value in lines:
                    raise ValueError(f"{clip(key.value)} is given twice, in lines {lines[key.value]} and {line}")
                lines[key.value] = line
        return super().construct_mapping(node, deep)


def read_settings(path: Path) -> dict[str, Any]:
    """Keys and values from a YAML or JSON file.

    Raises:
        SpecError: if there is no such file, or it does not hold a mapping from keys to values.
    """
    shown = clip(str(path), 200)
    try:
        path = path.expanduser()
        if not path.is_file():
            raise SpecError(f"{shown} is no file" if path.exists() else f"no file {shown}")
        content = _OnceEach(path.read_text(encoding="utf-8")).get_single_data()
    except SpecError:
        raise
    except Exception as error:  # yaml raises AttributeError, IndexError and KeyError too, for values like !!int ""
        problem = error.strerror if isinstance(error, OSError) else one_line(str(error))
        raise SpecError(f"{shown} cannot be read: {problem or type(error).__name__}") from None
    if content is None:
        return {}
    if not isinstance(content, dict):
        raise SpecError(f"{shown} does not hold keys and values, but {type(content).__name__}")
    for key in content:
        if not isinstance(key, str):
            raise SpecError(f"{shown}: key {clip(key)} is no word; write it in quotes")
    return content
