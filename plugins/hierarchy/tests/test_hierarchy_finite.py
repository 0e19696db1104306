"""Is everything finite everywhere? Values and gradients at the origin, on kinks, tiny and huge."""

import itertools
import math

import pytest
import torch
from intel_hierarchy import HierarchySpec

ACTIVATIONS = ("relu", "leaky_relu", "elu", "tanh", "softplus", "gelu", "identity")
SIZES = (0.0, 1e-45, 1e-38, 1e-30, 1e-7, 1e-3, 1.0, 20.0, 1e3, 1e6)
D = 6


def places(dtype):
    """The origin with both signs of zero, random directions and axes at all sizes, and rows of mixed sizes."""
    generator = torch.Generator().manual_seed(0)
    random = torch.randn(50, D, dtype=torch.float64, generator=generator)
    axes = torch.cat([torch.eye(D, dtype=torch.float64), -torch.eye(D, dtype=torch.float64)])
    mixed = random * torch.tensor(SIZES, dtype=torch.float64)[torch.randint(len(SIZES), (50, D), generator=generator)]
    y = torch.cat([size * torch.cat([random, axes]) for size in SIZES] + [mixed]).to(dtype)
    return torch.cat([y, torch.full((1, D), -0.0, dtype=dtype)])


SPECS = [
    *(
        HierarchySpec(levels=3, activation=activation, hidden=hidden, form=form)
        for activation, hidden, form in itertools.product(ACTIVATIONS, ((), (5, 4)), ("dense", "affine"))
    ),
    HierarchySpec(levels=D, form="affine", bound=20.0),
    HierarchySpec(levels=D, form="affine", bound=1e-6),
]


@pytest.mark.parametrize("scale", [1.0, 30.0], ids=["start", "large-weights"])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("spec", SPECS, ids=str)
def test_values_and_gradients(spec, dtype, scale):
    torch.manual_seed(0)
    mapping = spec.build(D)
    with torch.no_grad():
        for parameter in mapping.parameters():
            parameter.mul_(scale)
    y = places(dtype).requires_grad_()
    parameters = list(mapping.parameters())
    z = mapping(y)
    assert z.isfinite().all()
    for cotangent in (torch.ones_like(z), torch.tensor([1.0, -1.0] * (D // 2), dtype=dtype).expand_as(z)):
        for one in torch.autograd.grad(z, [y, *parameters], cotangent, retain_graph=True):
            assert one.isfinite().all()
    if spec.form == "affine":
        log_det = mapping.log_abs_det_jacobian(y)
        assert log_det.isfinite().all()
        assert (log_det.abs() <= spec.bound * D).all()
        assert all(one.isfinite().all() for one in torch.autograd.grad(log_det.sum(), [y, *parameters[:2]]))
        assert mapping.inverse(places(dtype)).isfinite().all()


@pytest.mark.parametrize("spec", SPECS, ids=str)
def test_in_the_range_of_float16(spec):
    mapping = spec.build(D)
    y = torch.randn(50, D, generator=torch.Generator().manual_seed(0)).half().requires_grad_()
    z = mapping(torch.cat([y, torch.zeros(1, D).half()]))
    wide = mapping(torch.cat([y, torch.zeros(1, D).half()]).float())
    assert (z.isfinite() == (wide.abs() < 65520)).all()


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
@pytest.mark.parametrize("form", ["dense", "affine"])
def test_a_bad_row_spoils_no_other(form, bad):
    mapping = HierarchySpec(form=form).build(D)
    y = torch.randn(8, D, generator=torch.Generator().manual_seed(1))
    spoilt = y.clone()
    spoilt[3] = bad
    keep = [i for i in range(8) if i != 3]
    assert torch.equal(mapping(spoilt)[keep], mapping(y)[keep])
