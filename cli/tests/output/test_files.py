"""Tables are written whatever the names in them are."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import torch
from intel_cli.output.files import save_examples, save_rows

ODD = "caf\udce9"
"""A name whose bytes are no UTF-8, as Python holds it."""


def test_columns_whose_names_are_no_utf8_are_written_out(tmp_path: Path) -> None:
    run = SimpleNamespace(info={"data": {"columns": [ODD, "b"]}})
    save_examples(cast("Any", run), torch.ones(1, 2), tmp_path / "s.csv")
    assert (tmp_path / "s.csv").read_text() == "caf\\udce9,b\n1,1\n"


def test_rows_and_classes_whose_names_are_no_utf8_are_written_out(tmp_path: Path) -> None:
    named = {"names": np.array([ODD]), "labels": np.array([0]), "class_names": np.array([ODD]), "z": np.ones((1, 1))}
    save_rows(tmp_path / "e.csv", named)
    assert (tmp_path / "e.csv").read_text() == "name,label,z0\ncaf\\udce9,caf\\udce9,1\n"
