"""Is the projection to the sphere right, and finite wherever it is asked?"""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from intel_core.helpers.geometry import project_to_sphere, widened

FORMS = ("paper", "smooth")
rows = st.lists(st.floats(-10, 10), min_size=2, max_size=5)


@given(row=rows, eps=st.floats(1e-6, 0.5))
def test_formula(row: list[float], eps: float) -> None:
    y = torch.tensor(row, dtype=torch.float64)
    norm = sum(value**2 for value in row) ** 0.5
    torch.testing.assert_close(project_to_sphere(y, eps), y / (norm + eps), rtol=1e-12, atol=1e-12)
    expected = y / (norm**2 + eps**2) ** 0.5
    torch.testing.assert_close(project_to_sphere(y, eps, "smooth"), expected, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("size", [0.0, 1e-35, 1e-30, 1e-20, 1e-7, 1.0, 1e6, 1e20, 1e37])
def test_extremes(form: str, dtype: torch.dtype, size: float) -> None:
    eps = 1e-7
    y = (torch.tensor([[3.0, -4.0, 0.0]], dtype=dtype) / 5 * size).requires_grad_()
    z = project_to_sphere(y, eps, form)  # type: ignore[arg-type]
    exact = size / (size + eps) if form == "paper" else size / (size**2 + eps**2) ** 0.5
    torch.testing.assert_close(float(z.detach().double().norm()), exact, rtol=1e-5, atol=1e-37)
    (gradient,) = torch.autograd.grad(z.sum(), y)
    assert torch.isfinite(gradient).all()
    if size <= 1e-20:  # far inside eps the map is y / eps
        torch.testing.assert_close(gradient, torch.full_like(y, 1 / eps))


@pytest.mark.parametrize("form", FORMS)
def test_gradients(form: str) -> None:
    y = torch.randn(20, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(0)).requires_grad_()
    assert torch.autograd.gradcheck(lambda y: project_to_sphere(y, 0.1, form), y)  # type: ignore[arg-type]


def test_only_half_precision_is_widened() -> None:
    assert widened(torch.ones(1, dtype=torch.float16)).dtype == torch.float32
    assert widened(torch.ones(1, dtype=torch.float64)).dtype == torch.float64
