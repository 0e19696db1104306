"""What do the tests of studies share? A study that is trained in a moment, and how it is written to a file."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from intel_study.design import Study
from intel_study.reading import study_of

SMALL: dict[str, Any] = {
    "base": {"data": "circle:n=300", "latent": 2, "steps": 40, "network": "mlp:hidden=[4]", "batch_size": 20},
    "arms": {"plain": {"settings": {"mapping": "identity"}}, "ring": {"settings": {"mapping": "circle"}}},
    "seeds": 2,
    "metrics": ["manifold:n=200,places=100"],
    "reference": "plain",
}


@pytest.fixture
def small() -> dict[str, Any]:
    """The content of a small study's file."""
    return json.loads(json.dumps(SMALL))


@pytest.fixture
def study_with(small: dict[str, Any]) -> Callable[..., Study]:
    """The small study with other things said at its outermost level."""
    return lambda **others: study_of({**small, **others})


@pytest.fixture
def file_with(small: dict[str, Any], tmp_path: Path) -> Callable[..., Path]:
    """A file of the small study with other things said."""

    def write(name: str = "mine", **others: Any) -> Path:
        path = tmp_path / f"{name}.json"
        path.write_text(json.dumps({**small, **others}), encoding="utf-8")
        return path

    return write
