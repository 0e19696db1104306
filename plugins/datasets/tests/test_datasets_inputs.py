"""Do an AnnData and a Hugging Face data set give the run of the same array? Stand-ins, and the real ones if there."""

from types import SimpleNamespace

import numpy as np
import pandas as pd
import pyarrow
import pytest
import scipy.sparse
import torch

from intel_core import DataError, fit, make_dataset

RNG = np.random.default_rng(0)
X = np.round(RNG.normal(size=(60, 3)) * 1000 + 5000, 3)
WORDS = np.array(["ant", "bee", "cow"])[RNG.integers(0, 3, size=60)]
NUMBERS = np.unique(WORDS, return_inverse=True)[1]
IMAGES = RNG.integers(0, 256, size=(60, 8, 9, 3), dtype=np.uint8)
FIRST = np.moveaxis(IMAGES, 3, 1)
SMALL = {"steps": 4, "batch_size": 10, "latent": 2, "encoder": "mlp:hidden=[6]", "device": "cpu", "standardize": True}


class Cells:
    """What is read of an `anndata.AnnData`."""

    isbacked = False

    def __init__(self, X, obs, var, layers):
        self.X, self.obs, self.layers = X, obs, layers
        self.obs_names, self.var_names = obs.index, var.index


Cells.__module__, Cells.__qualname__ = "anndata._core.anndata", "AnnData"


class Rows:
    """What is read of a `datasets.Dataset`: features by name, columns, a table of Arrow, a choice of rows."""

    def __init__(self, columns, features, arrow=False):
        self.columns, self.features, self.arrow = columns, features, arrow

    def __len__(self):
        return len(next(iter(self.columns.values()))) if self.columns else 0

    def select(self, rows):
        return Rows({name: [column[row] for row in rows] for name, column in self.columns.items()}, self.features)

    def select_columns(self, names):
        return Rows({name: self.columns[name] for name in names}, {name: self.features[name] for name in names})

    def with_format(self, form):
        return Rows(self.columns, self.features, form == "arrow")

    @property
    def column_names(self):
        return list(self.columns)

    def __getitem__(self, key):
        return pyarrow.table(self.columns) if self.arrow and key == slice(None) else self.columns[key]


class Stream:
    """What is read of a `datasets.IterableDataset`."""

    def __init__(self, rows):
        self.rows = rows

    def with_format(self, form):
        return self

    def __iter__(self):
        names = list(self.rows.columns)
        return (dict(zip(names, row, strict=True)) for row in zip(*self.rows.columns.values(), strict=True))


Rows.__module__, Rows.__qualname__ = "datasets.arrow_dataset", "Dataset"
Stream.__module__, Stream.__qualname__ = "datasets.iterable_dataset", "IterableDataset"


def feature(kind, **about):
    return type(kind, (SimpleNamespace,), {})(**about)


def cells(kind, **changes):
    """The rows as an AnnData, of a stand-in or the real one."""
    made = Cells if kind == "stand-in" else pytest.importorskip("anndata").AnnData
    obs = pd.DataFrame(
        {"type": pd.Categorical(WORDS), "batch": np.arange(60) % 2}, index=[f"cell {i}" for i in range(60)]
    )
    var = pd.DataFrame(index=["a", "b", "c"])
    content = {"X": X, "obs": obs, "var": var, "layers": {"raw": np.floor(X), "sparse": scipy.sparse.csr_matrix(X)}}
    return made(**(content | changes))


def rows(kind, form):
    """The rows as a Hugging Face data set."""
    image = pytest.importorskip("PIL.Image")
    value, classes = feature("Value"), feature("ClassLabel", names=["ant", "bee", "cow"])
    columns = {
        "table": {"a": X[:, 0].tolist(), "b": X[:, 1].tolist(), "c": X[:, 2].tolist(), "kind": WORDS.tolist()},
        "classes": {"a": X[:, 0].tolist(), "b": X[:, 1].tolist(), "c": X[:, 2].tolist(), "kind": NUMBERS.tolist()},
        "vectors": {"x": X.tolist(), "kind": WORDS.tolist()},
        "named": {"name": [f"r{i}" for i in range(60)], "a": X[:, 0].tolist(), "kind": WORDS.tolist()},
        "images": {"image": [image.fromarray(one) for one in IMAGES], "label": NUMBERS.tolist()},
    }[form]
    features = dict.fromkeys(columns, value)
    features |= {"classes": {"kind": classes}, "vectors": {"x": feature("List")}}.get(form, {})
    features |= {"image": feature("Image"), "label": classes} if form == "images" else {}
    if kind == "stand-in":
        return Rows(columns, features)
    real = pytest.importorskip("datasets")
    names = real.ClassLabel(names=["ant", "bee", "cow"])
    known = {"images": {"image": real.Image(), "label": names}}.get(form)
    made = real.Dataset.from_dict(columns, features=real.Features(known) if known else None)
    return made.cast_column("kind", names) if form == "classes" else made


def record(run):
    return run.metrics["test"], run.info["data"]["fingerprint"], run.info["data"]["scaling"]


@pytest.fixture(scope="module")
def of_array(tmp_path_factory):
    return fit(data=X, labels=NUMBERS, run_dir=tmp_path_factory.mktemp("array") / "run", **SMALL)


both = pytest.mark.parametrize("kind", ["stand-in", "real"])


@both
def test_cells_are_the_same_run_as_their_values(kind, of_array, tmp_path):
    run = fit(data=cells(kind), labels="type", run_dir=tmp_path / "x", **SMALL)
    assert record(run) == record(of_array)
    assert (run.info["data"]["columns"], run.info["data"]["classes"]) == (["a", "b", "c"], ["ant", "bee", "cow"])
    assert record(fit(data=cells(kind), layer="sparse", run_dir=tmp_path / "sparse", **SMALL)) == record(of_array)


@both
def test_what_is_encoded_is_taken_from_the_layer_that_was_trained_on(kind, tmp_path):
    given = cells(kind)
    run = fit(data=given, layer="raw", labels="batch", run_dir=tmp_path / "run", **SMALL)
    assert run.info["data"]["reader"] == "anndata:layer=raw,label=batch"
    assert torch.equal(run.encode(given).mean, run.encode(np.floor(X)).mean)
    turned = cells(
        kind,
        X=X[:, ::-1],
        var=pd.DataFrame(index=["c", "b", "a"]),
        layers={"raw": np.floor(X[:, ::-1])},
        obs=pd.DataFrame(index=[f"cell {i}" for i in range(60)]),
    )
    assert torch.equal(run.encode(turned).mean, run.encode(given).mean)
    with pytest.raises(DataError, match=r"^examples: there is no layer 'raw'; did you mean 'raws'"):
        run.encode(cells(kind, layers={"raws": X}))


@pytest.mark.parametrize(
    ("changes", "options", "said"),
    [
        ({}, {"layer": "row"}, "^data: there is no layer 'row'; did you mean 'raw'"),
        ({}, {"labels": "typ"}, "^data: there is no column 'typ' in obs; did you mean 'type'"),
        ({}, {"columns": ["a", "z"]}, "^data: there is no variable 'z'; variables: a, b, c$"),
        ({"X": None}, {}, r"^data: an AnnData without X; layer=… names one of its layers: raw, sparse$"),
        (
            {"var": pd.DataFrame(index=["a", "a", "b"])},
            {"columns": "a"},
            "^data: variables have the same name; var_nam",
        ),
    ],
)
def test_what_an_anndata_does_not_have_is_told(changes, options, said, tmp_path):
    with pytest.raises(DataError, match=said):
        fit(data=cells("stand-in", **changes), run_dir=tmp_path / "run", **options, **SMALL)


@both
@pytest.mark.parametrize("form", ["table", "classes", "vectors"])
def test_a_hugging_face_data_set_is_the_same_run_as_its_values(kind, form, of_array, tmp_path):
    given = rows(kind, form)
    run = fit(data=given, run_dir=tmp_path / "run", **SMALL)
    assert record(run) == record(of_array)
    assert run.info["data"]["classes"] == ["ant", "bee", "cow"]
    assert torch.equal(run.encode(given).mean, run.encode(X).mean)


@both
def test_images_of_a_hugging_face_data_set_are_read_with_their_channels_first(kind):
    data = make_dataset("x", rows(kind, "images"))
    assert torch.equal(data.train.x, make_dataset("x", FIRST).train.x)
    assert data.train.labels.tolist() == NUMBERS[data.train.numbers.numpy()].tolist()
    assert data.class_names == ("ant", "bee", "cow")


@both
def test_a_stream_of_a_hugging_face_data_set_needs_a_length(kind, of_array, tmp_path):
    given = rows(kind, "table")
    stream = Stream(given) if kind == "stand-in" else given.to_iterable_dataset()
    with pytest.raises(
        DataError, match=r"^data: a (Stream|IterableDataset) has no length and may never end; examples=N takes"
    ):
        fit(data=stream, run_dir=tmp_path / "run", **SMALL)
    assert record(fit(data=stream, examples=60, run_dir=tmp_path / "run", **SMALL)) == record(of_array)


@both
def test_rows_without_any_or_without_a_label_are_told(kind):
    with pytest.raises(DataError, match=r"^x: a data set without rows; nothing to model$"):
        make_dataset("x", rows(kind, "table").select([]))
    given = rows(kind, "classes")
    if kind == "stand-in":
        given.columns["kind"][4] = -1  # as data sets without a label for some rows have it
        with pytest.raises(
            DataError, match=r"^x: labels are missing in 1 of 60 rows, the first is row 4; missing=drop"
        ):
            make_dataset("x", given)
        given.columns["kind"][4] = -2
        with pytest.raises(
            DataError, match=r"^x: the labels in column 'kind' go from -2 to 2, but its 3 classes are 0 to"
        ):
            make_dataset("x", given)


def test_parts_of_a_hugging_face_dictionary():
    given = rows("stand-in", "table")
    parts = {name: given.select(range(*ends)) for name, ends in {"train": (0, 40), "test": (40, 60)}.items()}
    with pytest.warns(UserWarning, match="4 of the 40 training rows are held out as the validation part"):
        data = make_dataset("x", type("DatasetDict", (dict,), {})(parts), standardize=True)
    assert [len(part) for part in (data.train, data.validation, data.test)] == [36, 4, 20]


@both
def test_the_column_that_names_rows_of_hugging_face_comes_back(kind, tmp_path):
    made = rows(kind, "named")
    run = fit(data=made, labels="kind", id="name", run_dir=tmp_path / "run", **SMALL)
    table = run.encode(made).to_frame()
    assert table.columns[0] == "name"
    assert table["name"].tolist() == list(made["name"])
