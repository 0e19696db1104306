"""Whatever a user holds gives the run that the same array gives, bit for bit, and what cannot be taken is told."""

import numpy as np
import pandas as pd
import pyarrow
import pytest
import scipy.sparse
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.utils.data import DataLoader, IterableDataset, TensorDataset

from intel_core import DataError, IntelError, SpecError, fit, make_dataset, parse_spec
from intel_core.reading.given import examples_of

RNG = np.random.default_rng(0)
X = np.round(RNG.normal(size=(60, 3)) * 1000 + 5000, 3)
WORDS = np.array(["ant", "bee", "cow"])[RNG.integers(0, 3, size=60)]
NUMBERS = np.unique(WORDS, return_inverse=True)[1]
FRAME = pd.DataFrame(X, columns=["a", "b", "c"]).assign(kind=WORDS)
UNSCALED = pytest.mark.filterwarnings("ignore:x. column .*may diverge")
SMALL = {"steps": 4, "batch_size": 10, "latent": 2, "encoder": "mlp:hidden=[6]", "device": "cpu"}


class Items:
    """A data set of torch's kind that derives from nothing."""

    def __init__(self, item):
        self.item = item

    def __len__(self):
        return 60

    def __getitem__(self, row):
        return self.item(row)


class Stream(IterableDataset):
    """A stream whose length is not known."""

    def __iter__(self):
        return iter(torch.tensor(X))


def polars(frame):
    return pytest.importorskip("polars").DataFrame(frame.to_dict("list"))


def tensors():
    return TensorDataset(torch.tensor(X), torch.tensor(NUMBERS))


FRAMES = {
    "data frame of pandas": lambda: FRAME,
    "categories": lambda: FRAME.astype({"kind": "category"}),
    "nullable columns": lambda: FRAME.convert_dtypes(),
    "an index of words": lambda: FRAME.set_axis([f"row {i}" for i in range(60)]),
    "data frame of polars": lambda: polars(FRAME),
    "lazy frame of polars": lambda: polars(FRAME).lazy(),
    "table of pyarrow": lambda: pyarrow.table(FRAME),
    "records in a list": lambda: FRAME.to_dict("records"),
}
"""Columns have names, and the labels are words."""
WITH_WORDS = {
    "items by name": lambda: Items(lambda row: {"x": torch.tensor(X[row]), "kind": WORDS[row]}),
    "loader of items by name": lambda: DataLoader(Items(lambda row: {"x": X[row], "kind": WORDS[row]}), batch_size=9),
}
WITH_NUMBERS = {
    "data set of torch": tensors,
    "loader": lambda: DataLoader(tensors(), batch_size=7),
    "loader that shuffles and leaves out": lambda: DataLoader(tensors(), batch_size=7, shuffle=True, drop_last=True),
    "loader with a worker": lambda: DataLoader(tensors(), batch_size=32, num_workers=1),
    "pairs": lambda: Items(lambda row: (X[row], int(NUMBERS[row]))),
    "pairs in a list": lambda: [(torch.tensor(X[row]), int(NUMBERS[row])) for row in range(60)],
}
LABELLED = {**FRAMES, **WITH_WORDS, **WITH_NUMBERS}
ALONE = {
    "sparse matrix": lambda: scipy.sparse.csr_matrix(X),
    "sparse array": lambda: scipy.sparse.coo_array(X),
    "sparse tensor": lambda: torch.tensor(X).to_sparse(),
    "items": lambda: Items(lambda row: X[row].tolist()),
    "one tensor per item": lambda: TensorDataset(torch.tensor(X)),
}


def record(run):
    """The numbers of a run: how it was evaluated and what it was trained on."""
    return run.metrics["test"], run.metrics["validation"], run.info["data"]["fingerprint"], run.info["data"]["scaling"]


@pytest.fixture(scope="module")
def of_array(tmp_path_factory):
    with pytest.warns(UserWarning, match="standardised"):
        return fit(data=X, labels=NUMBERS, run_dir=tmp_path_factory.mktemp("array") / "run", **SMALL)


@pytest.mark.parametrize("form", LABELLED)
@pytest.mark.filterwarnings("ignore:data. column")
def test_the_same_rows_with_labels_are_the_same_run(form, of_array, tmp_path):
    state = torch.random.get_rng_state()
    run = fit(data=LABELLED[form](), run_dir=tmp_path / "run", **SMALL)
    assert record(run) == record(of_array)
    assert torch.equal(torch.random.get_rng_state(), state)
    assert run.info["data"]["columns"] == (["a", "b", "c"] if form in FRAMES else [])
    assert run.info["data"]["classes"] == ([] if form in WITH_NUMBERS else ["ant", "bee", "cow"])


@pytest.mark.parametrize("form", ALONE)
@pytest.mark.filterwarnings("ignore:data. column")
def test_the_same_rows_without_labels_are_the_same_run(form, of_array, tmp_path):
    assert record(fit(data=ALONE[form](), run_dir=tmp_path / "run", **SMALL)) == record(of_array)


@pytest.mark.filterwarnings("ignore:data. column")
def test_a_stream_is_read_as_far_as_is_said(of_array, tmp_path):
    for number, stream in enumerate((Stream(), DataLoader(Stream(), batch_size=25))):
        assert record(fit(data=stream, examples=60, run_dir=tmp_path / str(number), **SMALL)) == record(of_array)
    for stream in (Stream(), DataLoader(Stream(), batch_size=25)):
        with pytest.raises(
            DataError, match=r"^data: a (Stream|DataLoader) has no length and may never end; examples=N"
        ):
            fit(data=stream, run_dir=tmp_path / "run", **SMALL)


@pytest.mark.filterwarnings("ignore:data. column")
def test_a_frame_and_the_same_numbers_in_a_file_are_the_same_run(of_array, tmp_path):
    FRAME.to_csv(tmp_path / "t.csv", index=False)
    run = fit(data=f"table:path={tmp_path / 't.csv'},label=kind", run_dir=tmp_path / "run", **SMALL)
    assert record(run) == record(of_array)
    assert run.info["data"]["columns"] == ["a", "b", "c"]


def test_images_of_items_have_their_channels_first():
    image = pytest.importorskip("PIL.Image")
    x = RNG.integers(0, 256, size=(60, 5, 6, 3), dtype=np.uint8)
    items = Items(lambda row: (image.fromarray(x[row]), row % 2))
    assert torch.equal(make_dataset("x", items).train.x, make_dataset("x", np.moveaxis(x, 3, 1)).train.x)
    grey = Items(lambda row: image.fromarray(x[row, :, :, 0]))
    assert make_dataset("x", grey).x_shape == (1, 5, 6)


NUMBER_TYPES = [
    "float64",
    "float32",
    "float16",
    "int64",
    "int8",
    "uint8",
    "uint16",
    "bool",
    "Int32",
    "Float64",
    "boolean",
]


@given(types=st.lists(st.sampled_from(NUMBER_TYPES), min_size=1, max_size=4), seed=st.integers(0, 999))
@settings(deadline=None, max_examples=60)
def test_columns_of_all_types_of_numbers_are_the_numbers_in_every_library(types, seed):
    rng = np.random.default_rng(seed)
    frame = pd.DataFrame({f"c{i}": pd.Series(rng.integers(0, 2, 9) + 0.0).astype(of) for i, of in enumerate(types)})
    expected = np.column_stack([frame[name].astype("float64").to_numpy() for name in frame])
    of_polars = pytest.importorskip("polars").from_pandas(frame)
    for table in (frame, of_polars, pyarrow.table(frame), of_polars.lazy()):
        x = examples_of("x", table).x
        assert (x.dtype == torch.uint8) == (set(types) == {"uint8"})
        assert np.array_equal(x.double().numpy(), expected)


def test_whole_numbers_that_are_categories_are_numbered_as_in_a_file(tmp_path):
    frame = FRAME.assign(kind=pd.Categorical(np.arange(60) % 11))
    frame.to_csv(tmp_path / "t.csv", index=False)
    file = parse_spec("datasets", f"table:path={tmp_path / 't.csv'},label=kind").load(None)
    data = make_dataset("x", frame, standardize=True)
    assert data.class_names == file.class_names
    assert torch.equal(data.train.labels, file.train.labels)


def test_a_loader_with_an_order_of_its_own_is_read_in_it():
    rows = [[5, 3], [1, 0, 2], [4]]
    found = examples_of("x", DataLoader(tensors(), batch_sampler=rows))
    assert torch.equal(found.x, torch.tensor(X)[[5, 3, 1, 0, 2, 4]])
    odd = DataLoader(tensors(), batch_size=4, sampler=torch.utils.data.SubsetRandomSampler([7]))
    assert torch.equal(examples_of("x", odd).x, torch.tensor(X)[[7]])


def test_items_without_a_length_are_taken_as_far_as_is_said():
    class Endless(torch.utils.data.Dataset):
        def __getitem__(self, row):
            return X[row % 60]

    with pytest.raises(DataError, match=r"^x: a Endless has no length and may never end; examples=N"):
        examples_of("x", Endless())
    assert len(examples_of("x", Endless(), options={"examples": 70}).x) == 70


@pytest.mark.parametrize(
    ("standardize", "said"),
    [
        ("hight", r"^x: there is no column 'hight' \(standardize\); did you mean 'height'"),
        ([0, 5], r"^x: there is no column 5 \(standardize\); they are 0 to 1$"),
        (1, r'^standardize=1: expected True, False, "auto", or a list of columns$'),
        ([None], r"^standardize=\[None\]: expected True"),
    ],
)
def test_columns_to_standardise_that_are_none_are_told(standardize, said):
    frame = pd.DataFrame({"height": 170 + RNG.normal(size=20), "count": RNG.integers(0, 5, 20)})
    with pytest.raises(IntelError, match=said):
        make_dataset("x", frame, standardize=standardize)
    with pytest.raises(DataError, match=r"^x: images are standardised as a whole"):
        make_dataset("x", RNG.normal(size=(20, 4, 4)), standardize=[0])


def test_only_the_columns_that_are_named_are_standardised():
    frame = pd.DataFrame({"height": 170 + 9 * RNG.normal(size=40), "count": RNG.integers(0, 5, 40)})
    for columns in ("height", ["height"], [0]):
        data = make_dataset("x", frame, standardize=columns)
        assert (data.scaling[0][1], data.scaling[1][1]) == (0.0, 1.0)
        assert set(data.train.x[:, 1].tolist()) <= set(range(5))
        assert abs(float(data.train.x[:, 0].mean())) < 1e-5
    assert make_dataset("x", frame[["count"]], standardize=[]).scaling is None


# --- labels, ids, gaps -------------------------------------------------------------------------------------------


@UNSCALED
def test_the_only_words_are_labels_and_others_are_asked_for():
    assert make_dataset("x", FRAME).class_names == ("ant", "bee", "cow")
    more = FRAME.assign(year=np.arange(60) % 2, id=[f"row {i}" for i in range(60)])
    data = make_dataset("x", more, labels="year", drop=["kind", "id"])
    assert (data.columns, data.class_names) == (("a", "b", "c"), ("0", "1"))
    assert make_dataset("x", more, id="id", columns=["c", "a"], labels="kind").columns == ("c", "a")
    with pytest.raises(
        DataError, match=r"^x: no numbers are in columns 'kind' \(words\), 'id' \(words\); drop=\[\"kind\", "
    ):
        make_dataset("x", more)
    with pytest.raises(DataError, match=r"^x: column 'id' holds another word in each row; id='id' takes them as names"):
        make_dataset("x", more.drop(columns="kind"))


def test_words_beside_an_array_are_labels():
    data = make_dataset("x", X, WORDS, standardize=True)
    assert data.class_names == ("ant", "bee", "cow")
    assert data.train.labels.tolist() == NUMBERS[data.train.numbers.numpy()].tolist()
    assert make_dataset("x", X, pd.Series(WORDS), standardize=True).class_names == data.class_names


@pytest.mark.parametrize("library", ["pandas", "polars", "array"])
def test_rows_with_gaps_are_refused_left_out_or_filled_in_from_the_training_rows(library):
    x = X.copy()
    x[3, 0] = x[5, 2] = x[40, 2] = np.nan
    frame = pd.DataFrame(x, columns=["a", "b", "c"])
    given = {
        "pandas": lambda: frame,
        "polars": lambda: polars(frame.astype(object).where(frame.notna(), None)),
        "array": lambda: x,
    }[library]()
    names = "" if library == "array" else r"missing in 'a' \(1 row\), 'c' \(2 rows\); "
    with pytest.raises(DataError, match=rf"^x: 3 of 60 examples hold NaN .* row 3; {names}missing='drop' leaves"):
        make_dataset("x", given)
    dropped = make_dataset("x", given, standardize=False, missing="drop", labels=NUMBERS)
    rows = torch.cat([part.numbers for part in (dropped.train, dropped.validation, dropped.test)])
    assert sorted(rows.tolist()) == [row for row in range(60) if row not in (3, 5, 40)]
    assert torch.equal(dropped.train.x, torch.tensor(x, dtype=torch.float32)[dropped.train.numbers])
    assert dropped.train.labels.tolist() == NUMBERS[dropped.train.numbers.numpy()].tolist()
    for missing, of in (("mean", np.nanmean), ("median", np.nanmedian)):
        data = make_dataset("x", given, standardize=False, missing=missing)
        whole = x.copy()
        whole[np.isnan(x)] = np.broadcast_to(of(x[data.train.numbers.numpy()], axis=0), x.shape)[np.isnan(x)]
        for part in (data.train, data.validation, data.test):
            assert torch.equal(part.x, torch.tensor(whole, dtype=torch.float32)[part.numbers])
    with pytest.raises(SpecError, match=r"^missing='zero': expected refuse, drop, mean, median$"):
        make_dataset("x", given, missing="zero")


def test_a_column_without_any_value_cannot_be_filled_in():
    with pytest.raises(DataError, match=r"^x: column 'b' has no value in any training row; drop it$"):
        make_dataset("x", FRAME.assign(b=np.nan), missing="mean")


# --- parts -------------------------------------------------------------------------------------------------------


def test_three_parts_stay_what_they_are():
    parts = (FRAME[:40], FRAME[["kind", "c", "a", "b"]][40:50], FRAME[50:].assign(more=1))
    data = make_dataset("x", parts, standardize=False)
    for part, rows in ((data.train, slice(0, 40)), (data.validation, slice(40, 50)), (data.test, slice(50, 60))):
        assert torch.equal(part.x, torch.tensor(X[rows], dtype=torch.float32))
        assert part.labels.tolist() == NUMBERS[rows].tolist()
    named = make_dataset("x", {"train": parts[0], "val": parts[1], "test": parts[2]}, standardize=False)
    assert named.train.fingerprint() == data.train.fingerprint()
    arrays = make_dataset("x", (X[:40], X[40:50], X[50:]), (WORDS[:40], WORDS[40:50], WORDS[50:]), standardize=False)
    assert torch.equal(arrays.test.labels, data.test.labels)


def test_standardising_looks_at_the_training_part_only():
    data = make_dataset("x", (X[:40], X[40:50] * 100, X[50:]), standardize=True)
    assert data.scaling == (tuple(X[:40].mean(0)), tuple(X[:40].std(0)))


def test_a_part_that_is_not_there_is_drawn_and_said():
    with pytest.warns(
        UserWarning, match="^x: 4 of the 40 training rows are held out as the validation part, which is "
    ):
        data = make_dataset("x", {"train": X[:40], "test": X[40:]}, standardize=False)
    assert [len(part) for part in (data.train, data.validation, data.test)] == [36, 4, 20]


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ((X, WORDS), r"^data: a tuple of 2; expected \(train, validation, test\); labels go beside"),
        ((X[:40], X[40:50, :2], X[50:]), r"^data: the parts have examples of shapes \(2,\) and \(3,\)$"),
        (
            (FRAME[:40], FRAME[40:50].drop(columns="b"), FRAME[50:]),
            r"^data: validation part: there is no column 'b', as",
        ),
        (
            (FRAME[:40], FRAME[40:50], FRAME[50:].drop(columns="kind")),
            "^data: some parts have labels and others have no",
        ),
        ((X[:40], 5, X[50:]), "^data: validation part: a int; expected an array"),
        (
            {"train": X, "unsupervised": X},
            "^data: a dict with 'train', 'unsupervised'; expected the parts train, valid",
        ),
        ({"a": [1.0]}, r"^data: a dict with 'a'; .*pandas.DataFrame\(data\) makes a data frame$"),
        ({}, "^data: a dict with nothing in it; expected its parts"),
    ],
    ids=str,
)
def test_parts_that_do_not_go_together_are_told(given, said, tmp_path):
    with pytest.raises(DataError, match=said):
        fit(data=given, run_dir=tmp_path / "run", **SMALL)


# --- what cannot be taken ----------------------------------------------------------------------------------------


def failing(row):
    if row == 7:
        raise KeyError("lost")
    return X[row]


@pytest.mark.parametrize(
    ("given", "options", "said"),
    [
        (FRAME.iloc[:0], {}, "^data: a data frame without rows; nothing to model$"),
        (FRAME[[]], {}, "^data: it has no columns; nothing to model$"),
        (FRAME[["kind"]], {}, r"^data: no numbers are in column 'kind' \(words\); drop="),
        (
            FRAME.assign(name=[f"row {i}" for i in range(len(FRAME))])[["name", "kind"]],
            {},
            r'labels="kind" takes one as classes, id="name" takes one as names of the rows$',
        ),
        (FRAME, {"labels": "kin"}, r"^data: there is no column 'kin' \(label\); did you mean 'kind'\?"),
        (FRAME, {"drop": ["d", "a"]}, r"^data: there is no column 'd' \(drop\); columns: a, b, c, kind$"),
        (FRAME, {"columns": ["a", "kind"], "labels": "kind"}, "^data: 'kind' is among the columns to model, and is"),
        (FRAME, {"labels": "kind", "label": "a"}, "^labels='kind' and label='a' say two things"),
        (FRAME, {"layer": "x"}, r"^data \(read as frame\) has no key 'layer'; did you mean 'label'\?"),
        (
            FRAME.assign(kind=[None, *WORDS[1:]]),
            {},
            "^data: labels are missing in 1 of 60 rows, the first is row 0; missing=",
        ),
        (
            FRAME.assign(t=pd.Timestamp("2020")),
            {},
            r"^data: no numbers are in column 't' \(datetime\); drop=\"t\" leaves",
        ),
        (
            FRAME.assign(o=[1, "2"] * 30).astype({"o": object}),
            {},
            "^data: row 1, column 'o' holds str '2', expected a ",
        ),
        (FRAME, {"labels": "a", "drop": "kind"}, "^data: column 'a': labels must be whole numbers or words"),
        (pd.concat([FRAME, FRAME[["a"]]], axis=1), {}, "^data: two columns are called 'a'; rename one, or drop it$"),
        (X, {"labels": "a"}, "^data: labels='a' names a column, but a ndarray has no named columns; give the labels"),
        (X, {"drop": "a"}, r"^data \(read as array\) has no key 'drop'"),
        (pd.DataFrame, {}, "^data: DataFrame is a class; give an object of it$"),
        ("digits", {"drop": "a"}, "^drop= goes with data= as an object, .*; a named data set says digits:drop=a$"),
        (Items(failing), {}, "^data: a Items: item 7 cannot be read: KeyError: 'lost'$"),
        (
            Items(lambda row: X[row, : 1 + row % 3]),
            {},
            r"^data: a Items: x has items of shapes \(1,\) and \(2,\); a mo",
        ),
        (Items(lambda row: (X[row], 1, 2)), {}, "^data: a Items gives items of 3 parts; expected x or"),
        (
            Items(lambda row: (X[row], 1) if row else X[row]),
            {},
            "^data: a Items: item 1 holds x and a label, and those",
        ),
        (Items(lambda row: (X[row], X[row])), {}, r"^data: labels of shape \(60, 3\) for 60 examples"),
        (
            Items(lambda row: {"x": X[row], "y": row}),
            {},
            "^data: column 'x' holds .*, and column 'y' holds more than th",
        ),
        (Items(lambda row: object()), {}, "^data: values are of type object|^data: row 0 holds object"),
        (
            DataLoader(tensors(), batch_size=None),
            {},
            r"^data: a DataLoader without batches \(batch_size=None\); give it",
        ),
        (TensorDataset(torch.zeros(0, 3)), {}, "^data: a TensorDataset of no items; nothing to model$"),
        (
            iter(X),
            {},
            r"^data: a generator|^data: a .*; it has no length: list\(data\) makes a list of it, if it ends$",
        ),
        ({1, 2}, {}, r"^data: a set; expected an array, .*; list\(data\) makes a list of it$"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
@pytest.mark.filterwarnings("ignore:data. column")
def test_what_cannot_be_taken_is_answered_with_the_way_that_works(given, options, said, tmp_path):
    with pytest.raises(IntelError, match=said) as caught:
        fit(data=given, run_dir=tmp_path / "run", **options, **SMALL)
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("order", [FRAME.index[::-1], FRAME.index + 1000])
def test_labels_and_conditions_of_another_index_are_refused(order):
    numbers = FRAME.drop(columns="kind").div(1000)
    kind = FRAME.kind.set_axis(order)
    with pytest.raises(DataError, match=r"labels have another index than the data; .loc\[data.index\] puts them"):
        make_dataset("mine", numbers, kind)
    with pytest.raises(DataError, match="conditions have another index than the data"):
        make_dataset("mine", numbers, conditions={"kind": kind})
    by_place = make_dataset("mine", numbers, kind.to_numpy())
    assert make_dataset("mine", numbers, FRAME.kind).train.fingerprint() == by_place.train.fingerprint()
    assert make_dataset("mine", numbers.to_numpy(), kind).class_names == ("ant", "bee", "cow")  # it has no index


def test_no_column_is_not_all_columns():
    with pytest.raises(SpecError, match=r"columns=\[\] names no column to model; leave it out"):
        make_dataset("mine", FRAME, columns=[])


@pytest.mark.filterwarnings("ignore:data. column .*may diverge")
@pytest.mark.parametrize("kind", ["words", "categories", "numbers"])
def test_rows_without_a_label_are_refused_or_left_out(kind: str) -> None:
    words = pd.Series(WORDS, index=FRAME.index)
    labels = {"words": words, "categories": words.astype("category"), "numbers": pd.Series(4.0 + NUMBERS)}[kind]
    frame = FRAME.assign(kind=labels.mask([row in (3, 9) for row in range(60)]))
    for missing in ("refuse", "mean"):
        with pytest.raises(DataError, match="labels are missing in 2 of 60 rows, the first is row 3; missing=drop"):
            make_dataset("data", frame, labels="kind", missing=missing)
    whole = make_dataset("data", FRAME.assign(kind=labels), labels="kind", standardize=False)
    data = make_dataset("data", frame, labels="kind", standardize=False, missing="drop")
    assert data.class_names == whole.class_names
    rows = torch.cat([part.numbers for part in (data.train, data.validation, data.test)])
    assert sorted(rows.tolist()) == [row for row in range(60) if row not in (3, 9)]
    of_row = dict(zip(whole.train.numbers.tolist(), whole.train.labels.tolist(), strict=True))
    for row, label in zip(data.train.numbers.tolist(), data.train.labels.tolist(), strict=True):
        assert of_row.get(row, label) == label
    with pytest.raises(DataError, match="no label in any row of column 'kind'"):
        make_dataset("data", FRAME.assign(kind=None), labels="kind", missing="drop")


@pytest.mark.filterwarnings("ignore:x. column .*may diverge", "ignore:data. column .*may diverge")
def test_rows_without_a_label_in_one_of_three_parts() -> None:
    frame = FRAME.assign(kind=WORDS)
    parts = (frame[:40], frame[40:50].assign(kind=[None, *WORDS[41:50]]), frame[50:])
    data = make_dataset("data", parts, labels="kind", standardize=False, missing="drop")
    assert [len(part) for part in (data.train, data.validation, data.test)] == [40, 9, 10]
    assert [data.class_names[label] for label in data.validation.labels] == list(WORDS[41:50])
