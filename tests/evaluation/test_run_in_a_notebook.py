"""Can a run be looked at in a notebook: traversals of y, and a table with a curve and samples?"""

from __future__ import annotations

import base64
import io
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from intel_core import DataError, fit


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Any:
    folder = tmp_path_factory.mktemp("runs") / "run"
    return fit(data="digits", mapping="circle:dims=[0,1]", latent=3, steps=20, evaluate_every=5, run_dir=folder)


@pytest.fixture(scope="module")
def x(run: Any) -> torch.Tensor:
    return run.dataset().test.x[:4]  # type: ignore[no-any-return]


def test_one_dimension_moves_and_the_others_stay(run: Any, x: torch.Tensor) -> None:
    found = run.traverse(x, [2, 0], values=[-1.5, 0.25])
    assert found.shape == (4, 2, 2, 1, 8, 8)
    y = run.encode(x).mean
    for place, dim in enumerate([2, 0]):
        for column, value in enumerate([-1.5, 0.25]):
            moved = y.clone()
            moved[:, dim] = value
            with torch.no_grad():
                expected = run.decode(run.model.mapping(moved))
            torch.testing.assert_close(found[:, place, column], expected)


def test_all_dimensions_by_default_and_one_example(run: Any, x: torch.Tensor) -> None:
    assert run.traverse(x[0]).shape == (1, 3, 7, 1, 8, 8)
    assert torch.equal(run.traverse(x, 1, values=2.0), run.traverse(x, [1], values=[2.0]))
    for one in (torch.tensor(1), torch.tensor([1]), np.array(1), np.int64(1), np.array([1])):
        assert torch.equal(run.traverse(x, one, values=one), run.traverse(x, 1, values=1.0))


@pytest.mark.parametrize("dims", [[3], [-1]])
def test_a_dimension_that_is_not_there_is_named(run: Any, x: torch.Tensor, dims: list[int]) -> None:
    with pytest.raises(DataError, match=f"y has the dimensions 0 to 2, not {dims[0]}"):
        run.traverse(x, dims)


def test_a_notebook_shows_settings_curve_and_samples(run: Any) -> None:
    shown = run._repr_html_()
    assert "circle:dims=[0,1]" in shown
    assert f"{run.metrics['test']['elbo']:.2f} nats" in shown
    assert len(re.findall(r"[\d.]+,[\d.]+", re.findall(r"points='(.*?)'", shown)[0])) == 4
    found = re.findall(r"base64,(.*?)'", shown)[0]
    picture = torch.tensor(list(Image.open(io.BytesIO(base64.b64decode(found))).tobytes())).view(16, 64)
    expected = run.sample(16, seed=0).mul(255).round()[9, 0]  # second row, second column
    assert torch.equal(picture[8:16, 8:16], expected.long())


def test_texts_of_a_run_cannot_break_out(tmp_path: Path) -> None:
    folder = tmp_path / "<b>run"
    fit(data=torch.randn(40, 2), steps=2, latent=2, run_dir=folder)
    from intel_core import load_run

    assert "<b>run" not in load_run(folder)._repr_html_()


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"dims": "y0"}, "^dims='y0': expected numbers of dimensions$"),
        ({"dims": 0.5}, "^dims=0.5: expected numbers of dimensions$"),
        ({"values": "big"}, r"^values='big': expected numbers such as \[-2, 0, 2\]$"),
        ({"values": [0, "1"]}, "^values="),
    ],
)
def test_what_is_no_number_is_told(run: Any, x: torch.Tensor, given: dict[str, Any], said: str) -> None:
    with pytest.raises(DataError, match=said):
        run.traverse(x, **given)
