"""Does every installed mapping keep the contract, and what it declares? One table, the same tests for each row."""

from __future__ import annotations

import copy
import math
import pickle

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from intel_core import Invertible, Levelled, Locus, Regularised, format_spec, parse_spec
from intel_core.compose import clustering_of, properties_of
from intel_core.mapping import build_mapping
from intel_core.plugins import available

# text (several parts are composed), y_dim
TABLE = {
    "identity": 3,
    "circle": 2,
    "circle:eps=1e-3,form=smooth": 2,
    "circle:eps=0.1": 5,
    "circle:dims=1-2,eps=0.1": 4,
    "sphere:eps=1e-2": 3,
    "sphere:dims=0-2,form=smooth": 5,
    "torus:eps=1e-2": 5,
    "torus:planes=1": 4,
    "holes:h=1": 2,
    "holes:h=2": 2,
    "holes:h=5,size=equal,eps=1e-2": 2,
    "holes:h=3,spacing=width,scale=2,form=smooth": 4,
    "holes:h=8,spacing=width,size=equal": 2,
    "cluster:k=2": 1,
    "cluster:k=3": 2,
    "cluster:k=3,learnable=true": 4,
    "cluster:k=[2,3],c1=1": 5,
    "cluster:k=3,proportions=[0.1,0.8,0.1],form=smooth": 3,
    "sparse": 6,
    "sparse:floor=0.2,hidden=[],target=latent": 2,
    "sparse:normalisation=released": 50,
    "hierarchy:levels=3": 6,
    "hierarchy:levels=[1,2,3],activation=tanh,hidden=[8]": 6,
    "hierarchy:levels=2,form=affine": 4,
    "circle:eps=0.1 cluster:k=2": 2,
    "sparse hierarchy:levels=2": 4,
    "cluster:k=2 circle:dims=2-3": 4,
}
EVERY = pytest.mark.parametrize("row", TABLE)
BOTH = pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=["float32", "float64"])


def built(row: str):
    """The mapping of a row, its parameters moved off their symmetric start."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(3)
        mapping = build_mapping([parse_spec("mappings", text) for text in row.split()], TABLE[row])
        with torch.no_grad():
            for parameter in mapping.parameters():
                parameter.add_(0.3 * torch.randn_like(parameter))
    return mapping


def draws(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


def distance(place: Locus, y: Tensor) -> Tensor:
    """Of each row from a place; an asymptote or not."""
    away = y[..., list(place.dims)] - torch.tensor(place.point, dtype=y.dtype)
    if place.direction is not None:
        ray = torch.tensor(place.direction, dtype=y.dtype)
        away = away - (away @ ray).clamp(min=0).unsqueeze(-1) * ray
    return away.norm(dim=-1)


def on(place: Locus, y: Tensor) -> Tensor:
    """The rows of y, moved onto a place."""
    y = y.clone()
    point = torch.tensor(place.point, dtype=y.dtype).expand(*y.shape[:-1], -1)
    if place.direction is not None:
        ray = torch.tensor(place.direction, dtype=y.dtype)
        point = point + y[..., :1].abs() * ray
    y[..., list(place.dims)] = point
    return y


def smooth_points(mapping, n: int, margin: float) -> Tensor:
    y = draws(20 * n, mapping.y_dim, seed=5)
    declared = properties_of(mapping)
    for place in (*declared.seams, *declared.centres):
        y = y[distance(place, y) > margin]
    return y[:n]


def test_the_table_has_every_installed_mapping():
    named = {text.partition(":")[0] for row in TABLE for text in row.split()}
    assert {component.name for component in available("mappings")} == named


# --- the contract ----------------------------------------------------------------------------------------------


@EVERY
@BOTH
def test_any_leading_shape_and_the_same_dtype(row, dtype):
    mapping = built(row)
    for shape in ((), (0,), (1,), (7,), (2, 3), (3, 0, 2)):
        y = draws(*shape, mapping.y_dim).to(dtype)
        before = y.clone()
        z = mapping(y)
        assert z.shape == (*shape, mapping.z_dim)
        assert z.dtype == dtype
        assert torch.equal(y, before)


@EVERY
def test_float64_is_computed_in_float64(row):
    mapping = built(row)
    y = smooth_points(mapping, 50, 0.05)
    step = 1e-10 * torch.ones_like(y)
    moved = mapping(y + step) - mapping(y)
    along = torch.func.jvp(mapping, (y,), (step,))[1]
    # In float32 the step would be lost altogether.
    torch.testing.assert_close(moved, along, rtol=1e-2, atol=1e-13)


@EVERY
def test_each_row_is_mapped_alone(row):
    mapping = built(row)
    y = draws(33, mapping.y_dim)
    expected = mapping(y)
    for other in (0.0, 1e6, math.nan):
        changed = y.clone()
        changed[::2] = other
        torch.testing.assert_close(mapping(changed)[1::2], expected[1::2], rtol=1e-12, atol=1e-12)
    order = torch.randperm(33, generator=torch.Generator().manual_seed(1))
    torch.testing.assert_close(mapping(y[order]), expected[order], rtol=1e-12, atol=1e-12)


@pytest.fixture
def warn_always():
    torch.set_warn_always(True)  # else a warning that another test provoked would be silent here
    yield
    torch.set_warn_always(False)


@EVERY
@pytest.mark.usefixtures("warn_always")
def test_layout_does_not_matter(row):
    mapping = built(row)
    y = draws(6, mapping.y_dim)
    for view in (y.T.contiguous().T, torch.cat([y, y], -1)[:, : mapping.y_dim], y.expand(2, 6, -1)[1]):
        torch.testing.assert_close(mapping(view), mapping(y), rtol=1e-12, atol=1e-12)
    cube = draws(4, 6, mapping.y_dim)
    torch.testing.assert_close(mapping(cube.transpose(0, 1)), mapping(cube).transpose(0, 1), rtol=1e-12, atol=1e-12)


@EVERY
def test_training_and_evaluation_are_one_function(row):
    mapping = built(row)
    y = draws(20, mapping.y_dim)
    state = {key: value.clone() for key, value in mapping.state_dict().items()}
    torch.testing.assert_close(mapping.train()(y), mapping.eval()(y), rtol=0, atol=0)
    assert all(torch.equal(state[key], value) for key, value in mapping.state_dict().items())


@EVERY
@BOTH
def test_values_and_gradients_are_finite_everywhere(row, dtype):
    mapping = built(row)
    declared = properties_of(mapping)
    base = draws(8, mapping.y_dim)
    axes = torch.cat([torch.eye(mapping.y_dim), -torch.eye(mapping.y_dim)]).double()
    points = [torch.zeros(1, mapping.y_dim).double(), base, axes, base * 1e-3]
    points += [shape * size for size in (1e-30, 1e-15, 1e-7, 1e3, 1e6) for shape in (base, axes)]
    for place in (*declared.seams, *declared.centres):
        seam = on(place, base)
        points += [seam, *(seam + side * base * 1e-7 for side in (1, -1)), torch.nextafter(seam, seam + 1)]
    y = torch.cat(points).to(dtype).requires_grad_()
    z = mapping(y)
    assert torch.isfinite(z).all()
    weights = torch.randn(z.shape, generator=torch.Generator().manual_seed(0)).to(dtype)
    gradients = torch.autograd.grad((z * weights).sum(), [y, *mapping.parameters()])
    for gradient in gradients:
        assert torch.isfinite(gradient).all()


@EVERY
def test_gradients_away_from_the_declared_places(row):
    mapping = built(row).double()
    y = smooth_points(mapping, 40, 0.1)
    assert len(y) == 40
    jacobian = torch.func.vmap(torch.func.jacrev(mapping))(y)
    h = 1e-6
    steps = h * torch.eye(mapping.y_dim, dtype=torch.float64)
    central = (mapping(y[:, None] + steps) - mapping(y[:, None] - steps)) / (2 * h)
    torch.testing.assert_close(jacobian, central.transpose(1, 2), rtol=1e-5, atol=1e-5)


@EVERY
def test_parameters_get_the_gradient_that_finite_differences_show(row):
    mapping = built(row).double()
    names = [name for name, _ in mapping.named_parameters()]
    if not names:
        assert not any(parameter.requires_grad for parameter in mapping.parameters())
        return
    y = smooth_points(mapping, 30, 0.2)
    weights = draws(30, mapping.z_dim, seed=9)
    values = dict(mapping.named_parameters())

    def total(changed: dict[str, Tensor]) -> Tensor:
        return (torch.func.functional_call(mapping, changed, (y,)) * weights).sum()

    gradients = torch.func.grad(total)({name: value.detach() for name, value in values.items()})
    for name in names:
        direction = draws(*values[name].shape, seed=4)
        h = 1e-6
        sides = [total({**values, name: values[name].detach() + sign * h * direction}) for sign in (1, -1)]
        slope = float((sides[0] - sides[1]).detach()) / (2 * h)
        assert float((gradients[name] * direction).sum()) == pytest.approx(slope, rel=1e-4, abs=1e-5)


# --- deployment ------------------------------------------------------------------------------------------------


@EVERY
def test_a_saved_state_is_the_same_mapping(row):
    mapping, y = built(row), draws(30, TABLE[row])
    fresh = build_mapping([parse_spec("mappings", text) for text in row.split()], TABLE[row])
    fresh.load_state_dict(mapping.state_dict())
    assert torch.equal(fresh(y), mapping(y))
    assert torch.equal(copy.deepcopy(mapping)(y), mapping(y))
    assert torch.equal(pickle.loads(pickle.dumps(mapping))(y), mapping(y))


@EVERY
def test_specs_survive_their_text(row):
    for text in row.split():
        spec = parse_spec("mappings", text)
        assert parse_spec("mappings", format_spec(spec)) == spec


@EVERY
@BOTH
def test_vmap_over_rows_equals_the_batch(row, dtype):
    mapping, y = built(row), draws(9, TABLE[row]).to(dtype)
    tolerance = 1e-3 if dtype == torch.float32 else 1e-11  # steep where 1e-7 apart is 5e-3 apart
    torch.testing.assert_close(torch.func.vmap(mapping)(y), mapping(y), rtol=tolerance, atol=tolerance)


@EVERY
def test_compiles_into_one_graph(row):
    mapping, y = built(row), draws(9, TABLE[row]).float()
    torch.compiler.reset()
    compiled = torch.compile(mapping, backend="eager", fullgraph=True)
    torch.testing.assert_close(compiled(y), mapping(y))


@EVERY
def test_bfloat16_is_the_exact_map_of_rounded_inputs(row):
    mapping = built(row)
    y = draws(30, mapping.y_dim).bfloat16()
    z = mapping(y)
    assert z.dtype == torch.bfloat16
    torch.testing.assert_close(z.float(), mapping(y.float()), rtol=2e-2, atol=2e-2)
    assert mapping.bfloat16()(y).dtype == torch.bfloat16


# --- what is declared ------------------------------------------------------------------------------------------


@EVERY
def test_norm_bound_holds(row):
    mapping = built(row)
    bound = properties_of(mapping).norm_bound
    sizes = torch.tensor([1e-6, 1e-2, 1.0, 1e2, 1e6], dtype=torch.float64)[:, None, None]
    norms = mapping(draws(500, mapping.y_dim) * sizes).norm(dim=-1)
    if bound is None:
        assert norms.max() > 100 or " " in row  # a composition may be bounded without being able to tell
    else:
        assert norms.max() <= bound * (1 + 1e-12)
        assert norms.max() > 0.8 * bound


@EVERY
@given(seed=st.integers(0, 2**31), size=st.floats(-6, 0))
def test_hoelder_promise_holds(row, seed, size):
    mapping = built(row)
    promise = properties_of(mapping).hoelder
    if promise is None:
        return
    h = 10**size
    y = draws(60, mapping.y_dim, seed=seed)
    y[:20] *= h
    step = draws(60, mapping.y_dim, seed=seed + 1)
    step = h * step / step.norm(dim=-1, keepdim=True)
    moved = (mapping(y + step) - mapping(y)).norm(dim=-1)
    assert moved.max() <= promise.constant * h**promise.exponent * (1 + 1e-9)


@EVERY
def test_an_inverse_is_one_and_the_volume_change_is_right(row):
    mapping = built(row)
    if not isinstance(mapping, Invertible):
        assert not hasattr(mapping, "inverse")
        return
    assert properties_of(mapping).injective
    y = smooth_points(mapping, 30, 0.1)
    torch.testing.assert_close(mapping.inverse(mapping(y)), y, rtol=1e-5, atol=1e-5)
    jacobian = torch.func.vmap(torch.func.jacrev(mapping))(y)
    expected = torch.linalg.slogdet(jacobian).logabsdet
    torch.testing.assert_close(mapping.log_abs_det_jacobian(y), expected, rtol=1e-5, atol=1e-5)


@EVERY
def test_what_is_injective_keeps_its_orientation(row):
    mapping = built(row).double()
    if not properties_of(mapping).injective or mapping.z_dim != mapping.y_dim:
        return
    y = smooth_points(mapping, 200, 0.01)
    signs = torch.linalg.slogdet(torch.func.vmap(torch.func.jacrev(mapping))(y)).sign
    assert signs.unique().numel() == 1
    assert signs.abs().min() == 1


@EVERY
def test_clusters_have_the_mass_they_say(row):
    mapping = built(row)
    clusters, found = properties_of(mapping).clusters, clustering_of(mapping)
    if found is None:
        return
    part, dims = found
    assert clusters == part.n_clusters == len(part.proportions())
    index = part.assign(draws(20_000, mapping.y_dim)[:, list(dims)])
    counts = torch.bincount(index, minlength=part.n_clusters) / 20_000
    torch.testing.assert_close(counts.double(), part.proportions().detach().double(), rtol=0, atol=0.015)


@EVERY
def test_the_mean_hoyer_score_is_where_it_is_promised(row):
    mapping = built(row)
    promised = properties_of(mapping).sparsity
    if promised is not None:
        z = mapping(draws(20_000, mapping.y_dim))
        root = math.sqrt(mapping.z_dim)
        score = ((root - z.abs().sum(-1) / z.norm(dim=-1).clamp(min=1e-300)) / (root - 1)).mean()
        assert promised[0] <= score <= promised[1]


@EVERY
def test_places_are_where_they_say(row):
    mapping = built(row)
    declared = properties_of(mapping)
    assert all(place.codimension == 1 for place in declared.seams)
    assert all(place.codimension > 1 for place in declared.centres)
    for place in (*declared.seams, *declared.centres):
        assert max(place.dims) < mapping.y_dim
        assert len(place.point) == len(place.dims)
        if place.direction is not None:
            assert math.hypot(*place.direction) == pytest.approx(1)
    assert all(max(plane) < mapping.y_dim for plane in declared.planes)


@EVERY
def test_levels_are_a_partition(row):
    mapping = built(row)
    if isinstance(mapping, Levelled):
        assert sorted(d for level in mapping.levels for d in level) == list(range(mapping.y_dim))


@EVERY
def test_auxiliary_losses_come_with_the_same_z(row):
    mapping, y = built(row), draws(25, TABLE[row])
    if isinstance(mapping, Regularised):
        z, terms = mapping.map_with_regularisers(y)
        assert torch.equal(z, mapping(y))
        assert set(terms) == set(mapping.regularisers)
        assert all(term.shape == () and torch.isfinite(term) for term in terms.values())
        _, terms = mapping.map_with_regularisers(y[:0])
        assert all(term.shape == () and torch.isfinite(term) for term in terms.values())


@EVERY
def test_follows_its_input_to_another_device(row):
    """Without values, on the meta device: tensors that stayed elsewhere would be told."""
    mapping = built(row)
    moved = mapping.to("meta")
    assert moved(draws(4, mapping.y_dim).to("meta")).device.type == "meta"
