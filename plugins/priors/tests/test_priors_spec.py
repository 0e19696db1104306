"""Are the specs what users type? Text form and back, messages, and no torch on import."""

import subprocess
import sys

import pytest

from intel_core import SpecError, format_spec, load_mapping, parse_spec

TEXTS = [
    ("priors", "mog"),
    ("priors", "mog:preset=as_coded,k=4"),
    ("priors", "mog:k=3,radius=2.5,std=0.1,means=simplex,learn=true,weights=equal"),
    ("priors", "gmvae:k=14,w=3,hidden=20"),
    ("priors", "sparse_mixture:gamma=0,scale=0.1"),
    ("priors", "spike_slab:alpha=0.01"),
    ("priors", "flow:form=nsf,transforms=2,hidden=[8,8],bins=4"),
    ("objectives", "dd:alpha=10,beta=0.5"),
    ("mappings", "first:keep=3"),
    ("mappings", "first:keep=1,dims=0-1"),
]


@pytest.mark.parametrize(("kind", "text"), TEXTS)
def test_text_and_back(kind, text):
    spec = parse_spec(kind, text)
    assert parse_spec(kind, format_spec(spec)) == spec
    assert parse_spec(kind, format_spec(spec, explicit=True)) == spec
    assert type(spec).model_validate_json(spec.model_dump_json()) == spec


@pytest.mark.parametrize(
    ("kind", "text", "message"),
    [
        ("priors", "mog:preset=as_coded,k=3", "preset=as_coded has 2 or 4 components, not 3"),
        ("priors", "mog:preset=as_coded,std=1", "preset=as_coded fixes std; leave out one of the two"),
        ("priors", "mog:preset=round", "preset=round: input should be 'sharp', 'as_coded' or 'learned'"),
        ("priors", "mog:k=0", "k=0: input should be greater than or equal to 1"),
        ("priors", "mog:std=0", "std=0: input should be greater than or equal to 0.001"),
        ("priors", "mog:components=3", "has no key 'components'"),
        ("priors", "gmvae:w=0", "w=0: input should be greater than or equal to 1"),
        ("priors", "spike_slab:alpha=0", "alpha=0: input should be greater than or equal to"),
        ("priors", "sparse_mixture:gamma=1.1", "gamma=1.1: input should be less than or equal to 1"),
        ("priors", "flow:form=glow", "form=glow: input should be 'realnvp', 'nsf' or 'maf'"),
        ("objectives", "dd:alpha=-1", "alpha=-1: input should be greater than or equal to 0"),
        ("mappings", "first", "keep"),
        ("mappings", "first:keep=0", "keep=0: input should be greater than or equal to 1"),
    ],
)
def test_messages(kind, text, message):
    with pytest.raises(SpecError, match=message) as caught:
        parse_spec(kind, text)
    assert len(str(caught.value).splitlines()) == 1


def test_first_drops_the_rest_and_says_that_it_is_not_injective():
    import torch

    mapping = load_mapping("first:keep=2", 5)
    y = torch.randn(3, 4, 5)
    assert torch.equal(mapping(y), y[..., :2])
    assert not mapping.properties.injective
    assert load_mapping("first:keep=5", 5).properties.injective
    with pytest.raises(SpecError, match="cannot keep 6 dimensions of 5"):
        load_mapping("first:keep=6", 5)


def test_importing_the_specs_imports_neither_torch_nor_zuko():
    code = (
        "import sys; from intel_core import parse_spec; import intel_priors, intel_priors.spec;"
        f"[parse_spec(kind, text) for kind, text in {TEXTS!r}];"
        "print('torch' in sys.modules, 'zuko' in sys.modules)"
    )
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert out.stdout.split() == ["False", "False"]
