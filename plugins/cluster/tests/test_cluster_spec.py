"""Is the spec what users type? Text form and back, resolved values, messages, and no torch on import."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from intel_cluster.spec import MAX_CLUSTERS, MAX_SECTORS, ClusterSpec

from intel_core import SpecError, format_spec, load_mapping, parse_spec


@pytest.mark.parametrize(
    ("text", "fields"),
    [
        ("cluster", {"k": 3, "c1": 5.0, "c2": 0.2, "learnable": False, "split": "auto", "form": "exact", "eps": 1e-3}),
        ("cluster:k=10", {"k": 10}),
        ("cluster:k=[2,3]", {"k": (2, 3)}),
        ("cluster:k=[4]", {"k": 4}),
        ("cluster:learnable=true", {"learnable": True, "c2": 0.5}),
        ("cluster:learnable=true,c2=0.2", {"learnable": True, "c2": 0.2}),
        ("cluster:c2=null", {"c2": 0.2}),
        ("cluster:k=2,proportions=[0.3,0.7]", {"proportions": (0.3, 0.7)}),
        ("cluster:k=2,split=line,form=smooth", {"split": "line", "form": "smooth"}),
        ("intelvae-cluster/cluster:phase=-1.5", {"phase": -1.5}),
        ("cluster:dims=2-3", {"dims": (2, 3)}),
    ],
)
def test_reading(text, fields):
    spec = parse_spec("mappings", text)
    assert isinstance(spec, ClusterSpec)
    assert {name: getattr(spec, name) for name in fields} == fields
    assert parse_spec("mappings", format_spec(spec)) == spec
    assert parse_spec("mappings", format_spec(spec, explicit=True)) == spec


def test_the_resolved_exponent_is_recorded():
    assert "c2=0.5" in format_spec(ClusterSpec(learnable=True), explicit=True)
    assert ClusterSpec(learnable=True).model_dump()["c2"] == 0.5
    assert format_spec(ClusterSpec()) == "cluster"


@st.composite
def specs(draw):
    k = draw(st.integers(2, 12) | st.lists(st.integers(2, 5), min_size=1, max_size=3))
    shares = None
    if isinstance(k, int) and draw(st.booleans()):
        raw = draw(st.lists(st.floats(0.01, 1), min_size=k, max_size=k))
        shares = [x / sum(raw) for x in raw]
    return ClusterSpec(
        k=k,
        proportions=shares,
        c1=draw(st.floats(0.01, 100)),
        c2=draw(st.none() | st.floats(0.01, 1)),
        learnable=draw(st.booleans()),
        phase=draw(st.floats(-1e3, 1e3)),
        eps=draw(st.floats(1e-12, 1)),
        form=draw(st.sampled_from(["exact", "smooth"])),
    )


@settings(max_examples=100, deadline=None)
@given(specs())
def test_round_trip(spec):
    assert parse_spec("mappings", format_spec(spec)) == spec
    assert parse_spec("mappings", format_spec(spec, explicit=True)) == spec
    assert ClusterSpec.model_validate_json(spec.model_dump_json()) == spec
    assert spec.build(6).y_dim == 6


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("cluster:k=1", "k=1: a plane is cut into 2 to 256 clusters, not 1"),
        ("cluster:k=257", "a plane is cut into 2 to 256 clusters, not 257"),
        ("cluster:k=[2,1]", r"k=\[2, 1\]: a plane is cut into 2 to 256"),
        ("cluster:k=[]", "an empty list cuts nothing"),
        ("cluster:k=[256,256]", "this makes 65536 clusters, at most 4096"),
        ("cluster:k=three", r"k=three: expected a whole number such as 3 or a list such as \[2,3\]"),
        ("cluster:k=2.5", "k=2.5: expected a whole number"),
        ("cluster:k=true", "k=true: expected a whole number"),
        ("cluster:k=[true,2]", "expected a whole number"),
        ("cluster:k=null", "k=null: expected a whole number"),
        ("cluster:K=3", "has no key 'K'; .*keys: .* k, "),
        ("cluster:c1=0", "c1=0: input should be greater than 0"),
        ("cluster:c2=0", "c2=0: input should be greater than 0"),
        ("cluster:c2=1.5", "c2=1.5: input should be less than or equal to 1"),
        ("cluster:eps=0", "eps=0: input should be greater than or equal to 0.000000000001"),
        ("cluster:phase=nan", "phase=nan: input should be a finite number"),
        ("cluster:form=steep", "form=steep: input should be 'exact' or 'smooth'"),
        ("cluster:split=plane", "split=plane: input should be 'auto', 'sectors' or 'line'"),
        ("cluster:k=3,split=line", "a line is split into 2 clusters, not k=3; write k=2"),
        ("cluster:k=[2,2],split=line", r"a line is split into 2 clusters, not k=\[2,2\]"),
        ("cluster:k=2,split=line,phase=1", "a line has no angles"),
        ("cluster:k=2,proportions=[0.5,0.6]", "proportions must sum to 1, these sum to 1.1"),
        ("cluster:k=2,proportions=[0.5]", "1 proportions for k=2 clusters"),
        ("cluster:k=2,proportions=[1.5,-0.5]", "proportions.1=-0.5: input should be greater than 0"),
        ("cluster:k=[2,2],proportions=[0.5,0.5]", r"single plane or line, not for the product k=\[2,2\]"),
    ],
)
def test_messages_for_texts(text, message):
    with pytest.raises(SpecError, match=message) as caught:
        parse_spec("mappings", text)
    assert len(str(caught.value).splitlines()) == 1


@pytest.mark.parametrize(
    ("text", "y_dim", "message"),
    [
        ("cluster:k=3", 1, "k=3 needs at least 2 latent dimensions, there is 1; k=2 works in one"),
        ("cluster:k=[2,2]", 1, r"k=\[2,2\] needs at least 4 latent dimensions, there is 1; k=2 works in one"),
        ("cluster:k=[2,2]", 3, r"k=\[2,2\] needs at least 4 latent dimensions, there are 3$"),
        ("cluster:k=2,split=sectors", 1, "needs at least 2 latent dimensions, there is 1; split=line works in one"),
        ("cluster:k=2,phase=1", 1, "a line has no angles"),
    ],
)
def test_messages_for_dimensions(text, y_dim, message):
    with pytest.raises(SpecError, match=message):
        load_mapping(text, y_dim)
    with pytest.raises(ValueError, match=message):
        parse_spec("mappings", text).build(y_dim)


def test_bounds_can_be_reached():
    assert load_mapping(f"cluster:k={MAX_SECTORS}", 2).n_clusters == MAX_SECTORS
    assert load_mapping("cluster:k=[64,64]", 4).n_clusters == MAX_CLUSTERS


def test_proportions_are_normalised():
    shares = load_mapping("cluster:k=3,proportions=[0.333,0.333,0.333]", 2).proportions()
    assert shares.tolist() == pytest.approx([1 / 3] * 3, rel=1e-12)


def test_on_chosen_dimensions():
    import torch

    mapping = load_mapping("cluster:k=2,dims=[2,0]", 3)
    y = torch.randn(10, 3, dtype=torch.float64)
    z = mapping(y)
    assert torch.equal(z[:, 1:], y[:, 1:])
    assert torch.equal(z[:, [2, 0]], ClusterSpec(k=2).build(2)(y[:, [2, 0]]))


def test_specs_are_frozen_and_hash():
    from pydantic import ValidationError

    with pytest.raises(ValidationError):
        ClusterSpec().k = 4
    assert len({ClusterSpec(), ClusterSpec(k=3), ClusterSpec(k=[2, 3])}) == 2
