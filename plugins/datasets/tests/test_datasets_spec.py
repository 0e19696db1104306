"""Do the specs keep their promises: cheap to import, described, bounded, and the same after a round trip?"""

import subprocess
import sys

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from intel_datasets.specs.own import TableSpec

from intel_core import SpecError, available, format_spec, parse_spec
from intel_core.components.loading import load as load_class

NAMES = [c.name for c in available("datasets") if c.distribution == "intelvae-datasets"]
NEEDS_PATH = {"arrays": "x.npy", "table": "x.csv", "images": "folder"}


def test_every_documented_set_is_registered():
    assert set(NAMES) == {
        *("digits", "mnist", "fashion_mnist", "circle", "square", "star", "infinity", "mixture", "sphere"),
        *("three_loops", "arrays", "table", "images", "celeba"),
    }


def test_importing_the_specs_imports_no_heavy_package():
    heavy = ("torch", "numpy", "pandas", "sklearn", "torchvision", "PIL", "pyarrow")
    code = (
        "import sys, intel_datasets as package; specs = [getattr(package, name) for name in package.__all__]; "
        f"print(len(specs), [m for m in {heavy!r} if m in sys.modules])"
    )
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert out.stdout.strip() == f"{len(NAMES)} []"


@pytest.mark.parametrize("name", NAMES)
def test_every_field_is_described_and_every_class_has_a_summary(name):
    spec_class = load_class("datasets", name)
    assert spec_class.__doc__.splitlines()[0].endswith(".")
    assert spec_class.__doc__ not in (base.__doc__ for base in spec_class.__mro__[1:])
    assert all(field.description for field in spec_class.model_fields.values())


@pytest.mark.parametrize(
    "text",
    [
        *(f"{name}:path={NEEDS_PATH[name]}" if name in NEEDS_PATH else name for name in NAMES),
        "digits:classes=[3,1],binarize=true,validation=0.2,test=0.05,split_seed=7",
        "mnist:path=/data,download=false,classes=[0,1],binarize=true,split=balanced,shares=[1,3],examples=100",
        "fashion_mnist:classes=[9],data_seed=3",
        "star:n=100,noise=0.1,data_seed=2",
        "arrays:path=x.npz,key=a,labels_key=b",
        'arrays:path="a,b.npy",labels=y.npy',
        'table:path=t.csv,label=kind,columns=["a","b,c"],drop=d,header=false,standardize=false',
        "images:path=a folder,size=[64,48],channels=1",
    ],
)
def test_writing_a_spec_and_reading_it_again_changes_nothing(text):
    spec = parse_spec("datasets", text)
    assert parse_spec("datasets", format_spec(spec)) == spec
    assert parse_spec("datasets", format_spec(spec, explicit=True)) == spec


words = st.text(min_size=1, max_size=8).filter(lambda word: word.strip())


@settings(deadline=None, max_examples=50)
@given(st.lists(words, unique=True, max_size=3), st.lists(words, max_size=3), st.booleans(), st.floats(0.01, 0.49))
def test_any_table_survives_the_round_trip(columns, drop, standardize, share):
    drop = [word for word in drop if word not in columns]
    spec = TableSpec(path="t.csv", columns=columns, drop=drop, standardize=standardize, test=share)
    assert parse_spec("datasets", format_spec(spec)) == spec


def test_a_single_word_stands_for_a_list_of_one_and_a_number_for_a_square():
    assert parse_spec("datasets", "table:path=t.csv,drop=id").drop == ("id",)
    assert parse_spec("datasets", "mnist:classes=7").classes == (7,)
    assert parse_spec("datasets", "images:path=a,size=64").size == (64, 64)
    assert parse_spec("datasets", "images:path=a,channels=1").channels == 1


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("digits:clases=[0]", "did you mean 'classes'"),
        ("digits:classes=[1,1]", "name each class once"),
        ("digits:classes=[10]", "less than or equal to 9"),
        ("digits:test=0", "greater than 0"),
        ("digits:validation=0.5", "less than 0.5"),
        ("mnist:split=papr", "'paper' or 'balanced'"),
        ("mnist:classes=[0,1],shares=[1,2,3]", "shares has 3 numbers for 2 classes"),
        ("mnist:shares=[1,2]", "shares has 2 numbers for 10 classes"),
        ("mnist:classes=[0,1],shares=[0,0]", "at least one class must remain"),
        ("mnist:classes=[0,1],shares=[1,-1]", "greater than or equal to 0"),
        ("mnist:examples=0", "greater than or equal to 4"),
        ("circle:n=3", "greater than or equal to 20"),
        ("circle:noise=-1", "greater than or equal to 0"),
        ("arrays", "path is required"),
        ("arrays:path=x.npz,labels=y.npy,labels_key=y", "labels and labels_key are both given"),
        ("table:path=t.csv,columns=a,drop=a", "'a' is in both columns and drop"),
        ("table:path=t.csv,columns=a,label=a", "both the label and one of the columns"),
        ('table:path=t.csv,columns=["a","a"]', "'a' twice"),
        ("images:path=a,size=0", "greater than or equal to 1"),
        ("images:path=a,channels=2", "1 or 3"),
    ],
)
def test_a_wrong_spec_is_refused_with_the_reason(text, message):
    with pytest.raises(SpecError) as caught:
        parse_spec("datasets", text)
    assert message in str(caught.value)
    assert text.partition(":")[0] in str(caught.value)
