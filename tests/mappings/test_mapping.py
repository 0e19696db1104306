"""Mappings: the identity, one after another, on some dimensions, with auxiliary losses, and what cannot be built."""

import copy
from itertools import pairwise
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn

from intel_core import (
    Clustering,
    Compose,
    Declared,
    Diagnosable,
    Identity,
    Invertible,
    Levelled,
    Mapping,
    MappingSpec,
    OnDims,
    PluginError,
    Properties,
    Regularised,
    SpecError,
    build_mapping,
    fit,
    load_mapping,
    register,
)
from intel_core.helpers.parts_of_mapping import clustering_of, diagnose, parts_of


class Affine(nn.Module):
    """Mixes its dimensions, ``y_dim -> z_dim``; no two of its outputs are alike."""

    def __init__(self, y_dim: int, z_dim: int | None = None, seed: int = 0) -> None:
        super().__init__()
        self.y_dim, self.z_dim = y_dim, y_dim if z_dim is None else z_dim
        self.weight = nn.Parameter(torch.randn(self.z_dim, y_dim, generator=torch.Generator().manual_seed(seed)))

    def forward(self, y: Tensor) -> Tensor:
        return y @ self.weight.T + torch.arange(1, self.z_dim + 1)


class Costly(Affine):
    """Has auxiliary losses: the mean of each of its first inputs."""

    def __init__(self, y_dim: int, *names: str, weight: float = 0.5, seed: int = 0) -> None:
        super().__init__(y_dim, seed=seed)
        self.regularisers = dict.fromkeys(names, weight)
        self.calls = 0

    def map_with_regularisers(self, y: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
        self.calls += 1
        return self(y), {name: y[..., i].mean() for i, name in enumerate(self.regularisers)}


class Halves(nn.Module):
    """Two clusters by the sign of the first dimension, which it can report on."""

    n_clusters = 2

    def __init__(self, y_dim: int) -> None:
        super().__init__()
        self.y_dim = self.z_dim = y_dim

    def forward(self, y: Tensor) -> Tensor:
        return y

    def assign(self, y: Tensor) -> Tensor:
        return (y[..., 0] > 0).long()

    def proportions(self) -> Tensor:
        return torch.tensor([0.5, 0.5])

    def diagnose(self, y: Tensor, labels: Tensor | None) -> dict[str, Any]:
        return {"right": self.assign(y).float().mean().item(), "labelled": labels is not None}


class Plain:
    """No module at all, yet a mapping."""

    y_dim, z_dim = 2, 1

    def __call__(self, y: Tensor) -> Tensor:
        return y.sum(-1, keepdim=True)


def rows(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


@st.composite
def chosen_dims(draw: st.DrawFn) -> tuple[tuple[int, ...], int]:
    """Different dimensions in any order, and how many there are altogether."""
    y_dim = draw(st.integers(1, 7))
    order = draw(st.permutations(range(y_dim)))
    return tuple(order[: draw(st.integers(1, y_dim))]), y_dim


leading = st.lists(st.integers(0, 3), max_size=3).map(tuple)


# --- the protocols ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("protocol", "having", "lacking"),
    [
        (Mapping, Identity(2), nn.Linear(2, 2)),
        (Mapping, Plain(), lambda y: y),
        (Regularised, Costly(2, "a"), Identity(2)),
        (Clustering, Halves(2), Identity(2)),
        (Diagnosable, Halves(2), Identity(2)),
        (Declared, Identity(2), Halves(2)),
        (Invertible, Identity(2), Halves(2)),
        (Levelled, type("L", (), {"levels": ()})(), Identity(2)),
    ],
    ids=lambda value: getattr(value, "__name__", type(value).__name__),
)
def test_capabilities_are_found_by_what_a_mapping_can_do(protocol: type, having: object, lacking: object) -> None:
    assert isinstance(having, protocol)
    assert not isinstance(lacking, protocol)


def test_properties_promise_little_by_default() -> None:
    declared = {name: value for name, value in vars(Properties()).items() if value}
    assert declared == {"continuous": True}
    with pytest.raises(AttributeError, match="cannot assign"):
        Properties().continuous = False  # type: ignore[misc]


# --- identity and composition ----------------------------------------------------------------------------------


@given(y_dim=st.integers(1, 5), shape=leading)
def test_identity(y_dim: int, shape: tuple[int, ...]) -> None:
    y = rows(*shape, y_dim)
    assert torch.equal(Identity(y_dim)(y), y)
    assert isinstance(Identity(y_dim), Mapping)
    assert (Identity(y_dim).y_dim, Identity(y_dim).z_dim) == (y_dim, y_dim)


@given(widths=st.lists(st.integers(1, 4), min_size=2, max_size=5), shape=leading)
def test_a_composition_applies_the_first_part_first(widths: list[int], shape: tuple[int, ...]) -> None:
    parts = [Affine(a, b, seed=i) for i, (a, b) in enumerate(pairwise(widths))]
    whole = Compose(parts)
    y = rows(*shape, widths[0])
    z = y
    for part in parts:
        z = part(z)
    assert torch.equal(whole(y), z)
    assert (whole.y_dim, whole.z_dim) == (widths[0], widths[-1])
    assert isinstance(whole, Mapping)
    assert len(list(whole.parameters())) == len(parts)


def test_a_composition_of_plain_objects() -> None:
    whole = Compose([Affine(3, 2), Plain()])
    y = rows(4, 3)
    assert torch.equal(whole(y), Affine(3, 2)(y).sum(-1, keepdim=True))
    assert copy.deepcopy(whole).z_dim == 1
    assert parts_of(OnDims(Plain(), (2, 0), 3))[0][0].__class__ is Plain


# --- on some dimensions ----------------------------------------------------------------------------------------


@given(case=chosen_dims(), shape=leading)
def test_dimensions_stay_in_their_place(case: tuple[tuple[int, ...], int], shape: tuple[int, ...]) -> None:
    dims, y_dim = case
    inner = Affine(len(dims))
    mapping = OnDims(inner, dims, y_dim)
    y = rows(*shape, y_dim)
    before = y.clone()
    z = mapping(y)
    assert torch.equal(y, before)
    assert (mapping.y_dim, mapping.z_dim) == (y_dim, y_dim)
    mapped = inner(y[..., list(dims)])
    for d in range(y_dim):
        expected = mapped[..., dims.index(d)] if d in dims else y[..., d]
        assert torch.equal(z[..., d], expected)
    assert isinstance(mapping, Mapping)


@given(case=chosen_dims(), change=st.integers(-3, 3).filter(bool), shape=leading)
def test_where_the_number_of_dimensions_changes_the_rest_follows(
    case: tuple[tuple[int, ...], int], change: int, shape: tuple[int, ...]
) -> None:
    dims, y_dim = case
    inner = Affine(len(dims), max(1, len(dims) + change))
    mapping = OnDims(inner, dims, y_dim)
    y = rows(*shape, y_dim)
    rest = [d for d in range(y_dim) if d not in dims]
    assert mapping.z_dim == inner.z_dim + len(rest)
    if inner.z_dim != len(dims):
        assert torch.equal(mapping(y), torch.cat([inner(y[..., list(dims)]), y[..., rest]], dim=-1))


def test_gradients_reach_mapped_and_passed_dimensions() -> None:
    mapping = OnDims(Affine(2), (2, 0), 4)
    y = rows(5, 4).requires_grad_()
    mapping(y).square().sum().backward()
    assert bool((y.grad != 0).all())
    assert bool((mapping.inner.weight.grad != 0).any())


# --- auxiliary losses ------------------------------------------------------------------------------------------


def test_auxiliary_losses_of_a_composition() -> None:
    first, second = Costly(3, "a", "b", weight=0.25), Costly(3, "c", weight=4.0, seed=1)
    whole = Compose([first, Affine(3), second])
    y = rows(8, 3)
    z, losses = whole.map_with_regularisers(y)
    assert isinstance(whole, Regularised)
    assert whole.regularisers == {"a": 0.25, "b": 0.25, "c": 4.0}
    assert torch.equal(z, whole(y))
    assert losses["a"] == y[:, 0].mean()
    assert losses["b"] == y[:, 1].mean()
    assert losses["c"] == Affine(3)(first(y))[:, 0].mean()
    assert (first.calls, second.calls) == (1, 1)


@pytest.mark.parametrize(
    ("parts", "names"),
    [
        ([Costly(2, "a"), Costly(2, "a")], ["a0", "a1"]),
        ([Costly(2, "a", "b"), Identity(2), Costly(2, "a", "c")], ["a0", "a2", "b", "c"]),
        ([Costly(2, "a"), Costly(2, "a"), Costly(2, "a1")], ["a0", "a1", "a1_"]),
        ([Compose([Costly(2, "a"), Costly(2, "a")]), Costly(2, "a")], ["a", "a0", "a1"]),
        ([Compose([Costly(2, "a"), Costly(2, "a")]), Costly(2, "a"), Costly(2, "a")], ["a0", "a1", "a1_", "a2"]),
        ([OnDims(Costly(1, "a"), (1,), 2), Costly(2, "a")], ["a0", "a1"]),
        ([Identity(2)], []),
    ],
)
def test_no_auxiliary_loss_is_lost_where_parts_share_a_name(parts: list[Any], names: list[str]) -> None:
    whole = Compose(parts)
    assert sorted(whole.regularisers) == names
    assert set(whole.map_with_regularisers(rows(4, 2))[1]) == set(names)


def test_each_numbered_loss_keeps_its_weight_and_its_value() -> None:
    whole = Compose([Costly(2, "a", weight=1.0), Costly(2, "a", weight=2.0, seed=1), Costly(2, "a1", weight=3.0)])
    y = rows(6, 2)
    losses = whole.map_with_regularisers(y)[1]
    inputs = [y, whole.parts[0](y), whole.parts[1](whole.parts[0](y))]
    by_weight = {weight: losses[name] for name, weight in whole.regularisers.items()}
    assert by_weight == {float(i + 1): z[:, 0].mean() for i, z in enumerate(inputs)}


@given(case=chosen_dims())
def test_auxiliary_losses_of_some_dimensions(case: tuple[tuple[int, ...], int]) -> None:
    dims, y_dim = case
    inner = Costly(len(dims), "a")
    mapping = OnDims(inner, dims, y_dim)
    y = rows(5, y_dim)
    z, losses = mapping.map_with_regularisers(y)
    assert mapping.regularisers == {"a": 0.5}
    assert torch.equal(z, mapping(y))
    assert losses == {"a": y[:, dims[0]].mean()}
    plain = OnDims(Affine(len(dims)), dims, y_dim)
    assert plain.regularisers == {}
    assert torch.equal(plain.map_with_regularisers(y)[0], plain(y))


# --- looking inside --------------------------------------------------------------------------------------------


def test_parts_that_read_y_and_the_dimensions_they_read() -> None:
    halves = Halves(2)
    inner = OnDims(halves, (2, 0), 3)
    mapping = OnDims(Compose([inner, Affine(3)]), (4, 1, 3), 5)
    assert parts_of(mapping) == [(halves, (3, 4))]
    assert parts_of(halves) == [(halves, (0, 1))]


def test_diagnoses_come_from_the_right_dimensions() -> None:
    mapping = OnDims(Halves(1), (2,), 3)
    y = torch.tensor([[1.0, 1.0, -1.0], [1.0, 1.0, 1.0], [-1.0, -1.0, -1.0], [1.0, 1.0, -1.0]])
    assert diagnose(mapping, y, None) == {"right": 0.25, "labelled": False}
    assert diagnose(mapping, y, torch.zeros(4)) == {"right": 0.25, "labelled": True}
    assert diagnose(Affine(3), y, None) == {}


def test_the_clustering_part_of_a_mapping() -> None:
    halves = Halves(1)
    assert clustering_of(Compose([OnDims(halves, (2,), 3), Affine(3)])) == (halves, (2,))
    assert clustering_of(Compose([Affine(3), Halves(3)])) is None  # which does not read y


# --- building --------------------------------------------------------------------------------------------------


class MakeSpec(MappingSpec):
    """Builds whatever a test wants."""

    what: str = "affine"

    def build(self, y_dim: int) -> Any:
        makers = {
            "affine": lambda: Affine(y_dim),
            "narrow": lambda: Affine(y_dim, 1),
            "wide": lambda: Affine(y_dim, y_dim + 1),
            "other_width": lambda: Affine(y_dim + 1),
            "function": lambda: lambda y: y,
            "linear": lambda: nn.Linear(y_dim, y_dim),
            "nothing": lambda: None,
            "picky": lambda: _refuse(ValueError(f"I want 7 dimensions, not {y_dim}")),
            "spec_error": lambda: _refuse(SpecError("as I said")),
            "bug": lambda: _refuse(ZeroDivisionError("division by zero")),
        }
        return makers[self.what]()


def _refuse(error: Exception) -> None:
    raise error


@pytest.fixture(autouse=True)
def made() -> None:
    register("mappings", "make", MakeSpec)


def test_no_spec_at_all_is_the_identity() -> None:
    assert type(build_mapping([], 3)) is Identity
    assert build_mapping([], 3).z_dim == 3


def test_one_spec_is_the_mapping_itself() -> None:
    assert type(build_mapping([MakeSpec()], 3)) is Affine
    assert type(build_mapping([MakeSpec(dims=(0, 1, 2))], 3)) is OnDims


def test_several_specs_are_built_for_the_dimensions_they_get() -> None:
    mapping = build_mapping([MakeSpec(what="wide", dims=(1,)), MakeSpec(dims=(3, 0)), MakeSpec(what="narrow")], 3)
    assert type(mapping) is Compose
    assert [(part.y_dim, part.z_dim) for part in mapping.parts] == [(3, 4), (4, 4), (4, 1)]
    assert mapping(rows(2, 5, 3)).shape == (2, 5, 1)


@pytest.mark.parametrize(
    ("what", "error", "message"),
    [
        ("other_width", PluginError, r"^make:what=other_width: build\(3\) returned a mapping of y_dim=4$"),
        (
            "function",
            PluginError,
            r"^make:what=function: build\(\) returned function, which lacks y_dim, z_dim or a cal",
        ),
        ("linear", PluginError, r"build\(\) returned Linear, which lacks y_dim"),
        ("nothing", PluginError, r"build\(\) returned NoneType, which lacks y_dim"),
        ("picky", SpecError, r"^make:what=picky: I want 7 dimensions, not 3$"),
        ("spec_error", SpecError, r"^as I said$"),
        ("bug", ZeroDivisionError, "division by zero"),
    ],
)
def test_what_cannot_be_built(what: str, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        build_mapping([MakeSpec(what=what)], 3)


def test_a_spec_without_build_and_without_a_name() -> None:
    class Unfinished(MappingSpec):
        """Nothing."""

    with pytest.raises(PluginError, match=r"Unfinished does not define build\(y_dim\)"):
        build_mapping([Unfinished()], 2)

    class Picky(MappingSpec):
        """Registered nowhere."""

        def build(self, y_dim: int) -> Any:
            raise ValueError("no")

    with pytest.raises(SpecError, match=r"^Picky\(dims=None\): no$"):
        build_mapping([Picky()], 2)


@pytest.mark.parametrize("dims", [(3,), (0, 7), (1, 1), (0, 1, 2, 3)])
def test_dimensions_that_are_not_there(dims: tuple[int, ...]) -> None:
    with pytest.raises(SpecError, match=r"make:dims=.*: dims=\[.*\] must be different dimensions below 3, the number"):
        build_mapping([MakeSpec(dims=dims)], 3)


def test_dimensions_are_those_that_the_part_before_left() -> None:
    narrow = MakeSpec(what="narrow")
    with pytest.raises(SpecError, match="must be different dimensions below 1"):
        build_mapping([narrow, MakeSpec(dims=(1,))], 3)
    assert build_mapping([narrow, MakeSpec(dims=(0,))], 3).z_dim == 1


@pytest.mark.parametrize("y_dim", [0, -1])
def test_a_latent_space_without_dimensions(y_dim: int) -> None:
    for build in (lambda: build_mapping([], y_dim), lambda: load_mapping("identity", y_dim)):
        with pytest.raises(SpecError, match=f"a latent space needs at least 1 dimension, not {y_dim}"):
            build()


@pytest.mark.parametrize(
    ("text", "kind", "z_dim"),
    [
        ("identity", Identity, 3),
        ("intelvae-core/identity", Identity, 3),
        ("identity:dims=0-1", OnDims, 3),
        ("make:what=wide", Affine, 4),
        ("make:what=wide,dims=2", OnDims, 4),
        ("make:what=narrow,dims=[2,0]", OnDims, 2),
    ],
)
def test_load_mapping(text: str, kind: type, z_dim: int) -> None:
    mapping = load_mapping(text, y_dim=3)
    assert type(mapping) is kind
    assert (mapping.y_dim, mapping.z_dim) == (3, z_dim)
    assert mapping(rows(4, 3)).shape == (4, z_dim)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("identitty", "no mapping is called 'identitty'; did you mean 'identity'"),
        ("identity:k=2", "identity has no key 'k'; keys: dims"),
        ("make:what=picky", "make:what=picky: I want 7 dimensions, not 3"),
        ("make:dims=0-3", r"dims=\[0, 1, 2, 3\] must be different dimensions below 3"),
    ],
)
def test_texts_that_describe_no_mapping(text: str, message: str) -> None:
    with pytest.raises(SpecError, match=message):
        load_mapping(text, y_dim=3)


class Costs:
    """A mapping that is no module, with everything that one can have."""

    y_dim = z_dim = 2

    def __init__(self) -> None:
        self.regularisers = {"own": 0.5}
        self.strength = 1.0

    def __call__(self, y: Tensor) -> Tensor:
        return y * self.strength

    def map_with_regularisers(self, y: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
        return self(y), {"own": y.square().mean()}

    def set_strength(self, strength: float) -> None:
        self.strength = strength


class CostsSpec(MappingSpec):
    """See `Costs`."""

    def build(self, y_dim: int) -> Any:
        return Costs()


@pytest.mark.parametrize(
    "texts", [["costs"], ["costs", "identity"], ["identity", "costs"], ["costs:dims=1-2"]], ids=str
)
def test_what_is_no_module_keeps_its_losses_and_its_strength_wherever_it_stands(texts: list[str], tmp_path) -> None:
    register("mappings", "costs", CostsSpec)
    settings: Any = {"mapping": texts, "latent": 3 if "dims" in texts[0] else 2, "steps": 2, "log_every": 1}
    settings |= {"schedules": {"strength": "constant:value=0.5"}, "device": "cpu"}
    x = torch.randn(40, 3, generator=torch.Generator().manual_seed(0))
    run = fit(**settings, data=x, run_dir=tmp_path / "run")
    assert run.model.regularisers == {"own": 0.5}
    assert all("own" in record for record in run.records())
    y = torch.ones(5, run.model.y_dim)
    assert run.model.mapping(y).min() == 0.5
