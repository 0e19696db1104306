"""Is the spec what users type? Text form and back, resolved values, messages, and no torch on import."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from intel_cluster.spec import MOST_CELLS, MOST_CLUSTERS, ClusterSpec

from intel_core import SpecError, format_spec, load_mapping, parse_spec


@pytest.mark.parametrize(
    ("text", "fields"),
    [
        ("cluster", {"k": 3, "c1": 0.5, "c2": 0.5, "learnable": True, "split": "auto", "form": "exact", "eps": 0.1}),
        ("cluster", {"turn": True}),
        ("cluster:preset=paper", {"c1": 5.0, "c2": 0.2, "learnable": False, "split": "sectors", "eps": 1e-3}),
        ("cluster:preset=paper,learnable=true,eps=0.1", {"c2": 0.2, "learnable": True, "split": "sectors", "eps": 0.1}),
        ("cluster:preset=default,k=4", {"preset": "default", "k": 4, "c2": 0.5}),
        ("cluster:k=10", {"k": 10}),
        ("cluster:k=[2,3]", {"k": (2, 3)}),
        ("cluster:k=[4]", {"k": 4}),
        ("cluster:learnable=false,c2=0.2", {"learnable": False, "c2": 0.2}),
        ("cluster:c2=null", {"c2": 0.5}),
        ("cluster:k=2,proportions=[0.3,0.7]", {"proportions": (0.3, 0.7), "learnable": False}),
        ("cluster:k=2,proportions=[0.3,0.7],learnable=true", {"proportions": (0.3, 0.7), "learnable": True}),
        ("cluster:k=2,split=simplex,form=smooth", {"split": "simplex", "form": "smooth"}),
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
    assert "c2=0.5" in format_spec(ClusterSpec(), explicit=True)
    assert ClusterSpec().model_dump()["c2"] == 0.5
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
        learnable=draw(st.none() | st.booleans()),
        preset=draw(st.sampled_from(["default", "paper"])),
        phase=draw(st.floats(-1e3, 1e3)),
        eps=draw(st.none() | st.floats(1e-12, 1)),
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
        ("cluster:k=1", "k=1: a cut makes 2 to 256 clusters, not 1"),
        ("cluster:k=257", "a cut makes 2 to 256 clusters, not 257"),
        ("cluster:k=[2,1]", r"k=\[2, 1\]: a cut makes 2 to 256"),
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
        ("cluster:split=plane", "split=plane: input should be 'auto', 'simplex' or 'sectors'"),
        ("cluster:k=2,split=line", "split=line is split=simplex now"),
        ("cluster:split=simplex,phase=1", "a simplex has no phase; write split=sectors"),
        ("cluster:preset=sharp", "preset=sharp: input should be 'default' or 'paper'"),
        ("cluster:learnable=false,estimator=pathwise", "an estimator is for learned proportions; write learnable=true"),
        ("cluster:preset=paper,estimator=pathwise", "an estimator is for learned proportions; write learnable=true"),
        ("cluster:k=2,proportions=[0.5,0.6]", "proportions must sum to 1, these sum to 1.1"),
        ("cluster:k=2,proportions=[0.5]", "1 proportions for k=2 clusters"),
        ("cluster:k=2,proportions=[1.5,-0.5]", "proportions.1=-0.5: input should be greater than 0"),
        ("cluster:k=[2,2],proportions=[0.5,0.5]", r"a single cut, not for the product k=\[2,2\]"),
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
        ("cluster:k=[2,2]", 1, r"k=\[2,2\] needs at least 2 latent dimensions, there is 1; k=2 works in one"),
        ("cluster:k=[2,2],split=sectors", 3, r"k=\[2,2\] needs at least 4 latent dimensions, there are 3$"),
        ("cluster:k=[2,9]", 3, r"k=\[2,9\] needs at least 4 latent dimensions, there are 3$"),
        ("cluster:k=[2,2],phase=1", 3, r"k=\[2,2\] needs at least 4 latent dimensions, there are 3$"),
        ("cluster:k=10,split=simplex", 5, "k=10 needs 9 latent dimensions, there are 5; take more, or split=sectors$"),
        ("cluster:k=3,split=simplex", 1, "split=simplex with k=3 needs 2 latent dimensions, there is 1; take more$"),
        ("cluster:k=2,phase=1", 1, "a line has no angles"),
    ],
)
def test_messages_for_dimensions(text, y_dim, message):
    with pytest.raises(SpecError, match=message):
        load_mapping(text, y_dim)
    with pytest.raises(ValueError, match=message):
        parse_spec("mappings", text).build(y_dim)


def test_bounds_can_be_reached():
    assert load_mapping(f"cluster:k={MOST_CELLS}", 2).n_clusters == MOST_CELLS
    assert load_mapping("cluster:k=[64,64]", 4).n_clusters == MOST_CLUSTERS
    assert load_mapping(f"cluster:k={MOST_CELLS},learnable=false", MOST_CELLS).splits[0].width == MOST_CELLS - 1


def test_proportions_are_normalised():
    shares = load_mapping("cluster:k=3,proportions=[0.333,0.333,0.333]", 2).proportions()
    assert shares.tolist() == pytest.approx([1 / 3] * 3, rel=1e-12)


def test_on_chosen_dimensions():
    import torch

    mapping = load_mapping("cluster:k=2,dims=[2,0]", 3)
    y = torch.randn(10, 3, dtype=torch.float64)
    z = mapping(y)
    assert torch.equal(z[:, :2], y[:, :2])
    assert torch.equal(z[:, [2, 0]], ClusterSpec(k=2).build(2)(y[:, [2, 0]]))


@pytest.mark.parametrize(
    ("k", "options", "y_dim", "cuts"),
    [
        (2, {}, 1, "SimplexSplit"),
        (2, {"split": "sectors"}, 1, "SimplexSplit"),
        (2, {}, 2, "SimplexSplit"),
        (2, {"split": "sectors"}, 2, "SectorSplit"),
        (2, {"phase": 1.0}, 2, "SectorSplit"),
        (10, {}, 8, "SectorSplit"),
        (10, {}, 9, "SimplexSplit"),
        (10, {"preset": "paper"}, 9, "SectorSplit"),
        (10, {"preset": "paper", "split": "auto"}, 9, "SimplexSplit"),
        ([2, 3], {}, 3, "SimplexSplit"),
        ([2, 5], {}, 4, "SectorSplit"),
        ([2, 2], {"split": "sectors"}, 4, "SectorSplit"),
    ],
)
def test_a_simplex_is_cut_where_there_are_enough_dimensions(k, options, y_dim, cuts):
    mapping = ClusterSpec(k=k, **options).build(y_dim)
    assert {type(cut).__name__ for cut in mapping.splits} == {cuts}
    assert cuts in repr(mapping)


OLD = "cluster:dims=null,k={k},c1=5.0,c2=0.2,learnable=false,estimator=mass,proportions=null,phase=0.0,split={split},"
OLD += "form=exact,eps=0.001"


@pytest.mark.parametrize(
    ("k", "split", "y_dim", "now"),
    [(10, "auto", 10, "sectors"), (2, "auto", 1, "sectors"), (2, "line", 3, "simplex"), (3, "sectors", 2, "sectors")],
)
def test_texts_of_earlier_versions_mean_what_they_meant(k, split, y_dim, now):
    """They hold every setting that there was, so that they can be told."""
    spec = parse_spec("mappings", OLD.format(k=k, split=split))
    assert (spec.split, spec.c2, spec.eps, spec.learnable) == (now, 0.2, 1e-3, False)
    assert parse_spec("mappings", format_spec(spec, explicit=True)) == spec
    (cut,) = spec.build(y_dim).splits
    assert cut.width == (1 if y_dim == 1 or split == "line" else 2)


def test_specs_are_frozen_and_hash():
    from pydantic import ValidationError

    with pytest.raises(ValidationError):
        ClusterSpec().k = 4
    assert len({ClusterSpec(), ClusterSpec(k=3), ClusterSpec(k=[2, 3])}) == 2
