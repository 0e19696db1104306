"""Is the spec what users type? Text form and back, resolved values, messages, and no torch on import."""

from typing import get_args

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from intel_hierarchy.spec import MAX_LEVELS, HierarchySpec

from intel_core import SpecError, format_spec, load_mapping, parse_spec

ACTIVATIONS = ("relu", "leaky_relu", "elu", "tanh", "softplus", "gelu", "identity")


@pytest.mark.parametrize(
    ("text", "fields"),
    [
        ("hierarchy", {"levels": 3, "form": "dense", "activation": "relu", "hidden": (), "bound": None}),
        ("hierarchy:levels=5", {"levels": 5}),
        ("hierarchy:levels=[8,8,16,32]", {"levels": (8, 8, 16, 32)}),
        ("hierarchy:form=affine", {"hidden": (32,), "bound": 2.0}),
        ("hierarchy:form=affine,hidden=[]", {"hidden": ()}),
        ("hierarchy:form=affine,bound=0.5,hidden=null", {"hidden": (32,), "bound": 0.5}),
        ("hierarchy:hidden=16", {"hidden": (16,)}),
        ("hierarchy:hidden=[64,32],activation=tanh", {"hidden": (64, 32), "activation": "tanh"}),
        ("intelvae-hierarchy/hierarchy:levels=2,dims=2-5", {"dims": (2, 3, 4, 5)}),
    ],
)
def test_reading(text, fields):
    spec = parse_spec("mappings", text)
    assert isinstance(spec, HierarchySpec)
    assert {name: getattr(spec, name) for name in fields} == fields
    assert parse_spec("mappings", format_spec(spec)) == spec
    assert parse_spec("mappings", format_spec(spec, explicit=True)) == spec


def test_resolved_values_are_recorded():
    text = format_spec(HierarchySpec(form="affine"), explicit=True)
    assert "hidden=[32]" in text
    assert "bound=2.0" in text
    assert format_spec(HierarchySpec()) == "hierarchy"


@st.composite
def specs(draw):
    form = draw(st.sampled_from(["dense", "affine"]))
    return HierarchySpec(
        levels=draw(st.integers(2, 6) | st.lists(st.integers(1, 5), min_size=2, max_size=5)),
        form=form,
        activation=draw(st.sampled_from(ACTIVATIONS)),
        hidden=draw(st.none() | st.lists(st.integers(1, 8), max_size=3)),
        bound=draw(st.none() | st.floats(0.01, 20)) if form == "affine" else None,
    )


@settings(max_examples=100, deadline=None)
@given(specs())
def test_round_trip(spec):
    assert parse_spec("mappings", format_spec(spec)) == spec
    assert parse_spec("mappings", format_spec(spec, explicit=True)) == spec
    assert HierarchySpec.model_validate_json(spec.model_dump_json()) == spec
    y_dim = sum(spec.levels) if isinstance(spec.levels, tuple) else 7
    assert spec.build(y_dim).y_dim == y_dim


@settings(max_examples=200, deadline=None)
@given(st.integers(2, 30), st.integers(0, 100))
def test_a_number_of_levels_is_cut_evenly(count, more):
    y_dim = count + more
    sizes = HierarchySpec(levels=count).sizes(y_dim)
    assert len(sizes) == count
    assert sum(sizes) == y_dim
    assert sizes[0] - sizes[-1] in (0, 1)
    assert list(sizes) == sorted(sizes, reverse=True)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("hierarchy:levels=1", "levels=1: a hierarchy has 2 to 256 levels, not 1"),
        ("hierarchy:levels=257", "a hierarchy has 2 to 256 levels, not 257"),
        ("hierarchy:levels=[8]", r"levels=\[8\]: a hierarchy has 2 to 256 levels, not 1"),
        ("hierarchy:levels=[]", "a hierarchy has 2 to 256 levels, not 0"),
        ("hierarchy:levels=[4,0,4]", "a level has 1 to 65536 dimensions, not 0"),
        ("hierarchy:levels=[4,70000]", "a level has 1 to 65536 dimensions, not 70000"),
        ("hierarchy:levels=three", r"levels=three: expected a number of levels such as 3 or a list of their sizes"),
        ("hierarchy:levels=2.5", "levels=2.5: expected a number of levels"),
        ("hierarchy:levels=true", "levels=true: expected a number of levels"),
        ("hierarchy:levels=[true,2]", "expected a number of levels"),
        ("hierarchy:levels=null", "levels=null: expected a number of levels"),
        ("hierarchy:level=3", "has no key 'level'; did you mean 'levels'"),
        ("hierarchy:form=sparse", "form=sparse: input should be 'dense' or 'affine'"),
        ("hierarchy:activation=sin", "activation=sin: input should be 'relu', 'leaky_relu', "),
        ("hierarchy:hidden=wide", "hidden=wide: expected the width of a hidden layer such as 32 or a list"),
        ("hierarchy:hidden=true", "hidden=true: expected the width"),
        ("hierarchy:hidden=0", "hidden.0=0: input should be greater than or equal to 1"),
        ("hierarchy:hidden=[8,-1]", "hidden.1=-1: input should be greater than or equal to 1"),
        (f"hierarchy:hidden={[1] * 17}", "at most 16 items"),
        ("hierarchy:bound=2", "bound limits the scales of form=affine; form=dense has none"),
        ("hierarchy:form=affine,bound=0", "bound=0: input should be greater than 0"),
        ("hierarchy:form=affine,bound=21", "bound=21: input should be less than or equal to 20"),
        ("hierarchy:form=affine,bound=nan", "bound=nan: input should be a finite number"),
    ],
)
def test_messages_for_texts(text, message):
    with pytest.raises(SpecError, match=message) as caught:
        parse_spec("mappings", text)
    assert len(str(caught.value).splitlines()) == 1


@pytest.mark.parametrize(
    ("text", "y_dim", "message"),
    [
        ("hierarchy:levels=[8,8,16,32]", 50, r"levels=\[8,8,16,32\] sum to 64 latent dimensions, there are 50"),
        ("hierarchy:levels=[1,1]", 1, r"levels=\[1,1\] sum to 2 latent dimensions, there is 1"),
        ("hierarchy:levels=5", 4, "5 levels need at least 5 latent dimensions, there are 4"),
        ("hierarchy", 1, "3 levels need at least 3 latent dimensions, there is 1"),
        ("hierarchy:levels=3,dims=0-1", 8, "3 levels need at least 3 latent dimensions, there are 2"),
    ],
)
def test_messages_for_dimensions(text, y_dim, message):
    with pytest.raises(SpecError, match=message) as caught:
        load_mapping(text, y_dim)
    assert len(str(caught.value).splitlines()) == 1


def test_bounds_can_be_reached():
    assert len(load_mapping(f"hierarchy:levels={MAX_LEVELS}", MAX_LEVELS).levels) == MAX_LEVELS


def test_every_activation_that_can_be_asked_for_is_there():
    from intel_hierarchy.network import ACTIVATIONS as THERE

    assert get_args(HierarchySpec.model_fields["activation"].annotation) == tuple(THERE) == ACTIVATIONS


def test_on_chosen_dimensions():
    import torch

    torch.manual_seed(0)
    mapping = load_mapping("hierarchy:levels=2,dims=[3,1]", 4)
    y = torch.randn(10, 4, dtype=torch.float64)
    z = mapping(y)
    assert torch.equal(z[:, [0, 2]], y[:, [0, 2]])
    assert torch.equal(z[:, [3, 1]], mapping.inner(y[:, [3, 1]]))
    assert torch.equal(z[:, 3], y[:, 3])  # the top level
    assert (z[:, 1] >= 0).all()


def test_specs_are_frozen_and_hash():
    from pydantic import ValidationError

    with pytest.raises(ValidationError):
        HierarchySpec().levels = 4
    assert len({HierarchySpec(), HierarchySpec(levels=3), HierarchySpec(levels=[2, 3])}) == 2
