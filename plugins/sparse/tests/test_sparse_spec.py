"""Is the spec what users type? Text form and back, messages, and no torch on import."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from intel_sparse.spec import SparseSpec

from intel_core import SpecError, format_spec, load_mapping, parse_spec


@pytest.mark.parametrize(
    ("text", "fields"),
    [
        (
            "sparse",
            {"gamma": 1.0, "hidden": (10, 10), "floor": 0.0, "target": "gates", "normalisation": "released"},
        ),
        ("sparse:gamma=30", {"gamma": 30.0}),
        ("sparse:gamma=0", {"gamma": 0.0}),
        ("sparse:hidden=[64]", {"hidden": (64,)}),
        ("sparse:hidden=[]", {"hidden": ()}),
        ("sparse:floor=0.2,target=latent,normalisation=released", {"floor": 0.2, "target": "latent"}),
        ("intelvae-sparse/sparse:normalisation=released", {"normalisation": "released"}),
        ("sparse:dims=2-4", {"dims": (2, 3, 4)}),
    ],
)
def test_reading(text, fields):
    spec = parse_spec("mappings", text)
    assert isinstance(spec, SparseSpec)
    assert {name: getattr(spec, name) for name in fields} == fields
    assert parse_spec("mappings", format_spec(spec)) == spec
    assert parse_spec("mappings", format_spec(spec, explicit=True)) == spec


@settings(max_examples=60, deadline=None)
@given(
    st.builds(
        SparseSpec,
        gamma=st.floats(0, 1e6),
        hidden=st.lists(st.integers(1, 20), max_size=3),
        floor=st.floats(0, 1, exclude_max=True),
        target=st.sampled_from(["gates", "latent"]),
        normalisation=st.sampled_from(["paper", "released"]),
    )
)
def test_round_trip(spec):
    assert parse_spec("mappings", format_spec(spec)) == spec
    assert parse_spec("mappings", format_spec(spec, explicit=True)) == spec
    assert SparseSpec.model_validate_json(spec.model_dump_json()) == spec
    assert spec.build(3).z_dim == 3


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("sparse:gamma=-1", "gamma=-1: input should be greater than or equal to 0"),
        ("sparse:gamma=1e7", "gamma=1e7: input should be less than or equal to 1000000"),
        ("sparse:gamma=nan", "gamma=nan: input should be a finite number"),
        ("sparse:gamma=much", "gamma=much: input should be a valid number"),
        ("sparse:hidden=[0]", "hidden.0=0: input should be greater than or equal to 1"),
        ("sparse:floor=1", "floor=1: input should be less than 1"),
        ("sparse:floor=-0.1", "floor=-0.1: input should be greater than or equal to 0"),
        ("sparse:target=z", "target=z: input should be 'gates' or 'latent'"),
        ("sparse:normalisation=none", "normalisation=none: input should be 'paper' or 'released'"),
        ("sparse:gama=3", "has no key 'gama'"),
    ],
)
def test_messages_for_texts(text, message):
    with pytest.raises(SpecError, match=message) as caught:
        parse_spec("mappings", text)
    assert len(str(caught.value).splitlines()) == 1


def test_one_dimension_is_too_few():
    with pytest.raises(SpecError, match="sparsity needs at least 2 latent dimensions, there is 1") as caught:
        load_mapping("sparse", 1)
    assert len(str(caught.value).splitlines()) == 1
    with pytest.raises(SpecError, match="at least 2"):
        load_mapping("sparse:dims=[3]", 5)


def test_what_is_asked_is_what_is_built():
    mapping = load_mapping("sparse:gamma=30,hidden=[7],floor=0.2,target=latent,normalisation=released", 4)
    assert mapping.regularisers == {"sparsity": 30.0}
    assert [layer.out_features for layer in mapping.selector] == [7, 4]
    assert (mapping.floor, mapping.target, mapping.normalisation) == (0.2, "latent", "released")
