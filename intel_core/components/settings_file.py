"""How are settings read from a file? Keys and values in YAML or JSON, each given once."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml

from intel_core.components.wording import clip, one_line
from intel_core.errors import SpecError

__all__ = ["read_settings"]

_MOST_BYTES, _MOST_VALUES, _DEEPEST, _LONGEST_NUMBER = 2**22, 100_000, 50, 1000


class _Bounded(yaml.SafeLoader):
    """Refuses a key that is given twice, merge keys, and more or deeper values than settings have, aliases counted."""

    def __init__(self, text: str) -> None:
        super().__init__(text)
        self._values, self._depth = 0, 0
        self._sizes: dict[int, int] = {}

    def compose_node(self, parent: yaml.Node | None, index: Any) -> yaml.Node | None:
        is_alias, begun = self.check_event(yaml.AliasEvent), self._values
        self._depth, self._values = self._depth + 1, self._values + 1
        if self._depth > _DEEPEST:
            raise ValueError(f"values are nested more than {_DEEPEST} deep")
        node = super().compose_node(parent, index)
        if node is not None and node.tag == "tag:yaml.org,2002:int" and len(node.value) > _LONGEST_NUMBER:
            raise ValueError(f"there is a whole number of {len(node.value):,} characters")
        if is_alias:  # a node counts again wherever it is named; one that holds itself, not yet counted, has no end
            self._values += self._sizes.get(id(node), _MOST_VALUES)
        if self._values > _MOST_VALUES:
            raise ValueError(f"there are more than {_MOST_VALUES:,} values, or an alias that holds itself")
        self._depth, self._sizes[id(node)] = self._depth - 1, self._values - begun
        return node

    def flatten_mapping(self, node: yaml.MappingNode) -> None:
        if any(key.tag == "tag:yaml.org,2002:merge" for key, _ in node.value):
            raise ValueError("merge keys (<<) are not read; write the settings out")
        super().flatten_mapping(node)

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
        with path.open(encoding="utf-8") as stream:
            text = stream.read(_MOST_BYTES + 1)
        if len(text) > _MOST_BYTES:
            raise SpecError(f"{shown} cannot be read: settings of more than {_MOST_BYTES >> 20} MiB")
        content = _Bounded(text).get_single_data()
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
