"""Tables with missing values, and names of rows: refused at once, left out, or filled in from the training rows."""

import numpy as np
import pandas as pd
import pytest
import torch

from intel_core import DataError, SpecError, make_dataset, parse_spec

RNG = np.random.default_rng(0)
WHOLE = pd.DataFrame(RNG.normal(size=(60, 3)) * 10 + 50, columns=["height", "weight", "age"])
GAPS = WHOLE.copy()
GAPS.loc[[3, 9], "height"] = np.nan
GAPS.loc[[9, 20, 41], "age"] = np.nan
NAMED = GAPS.assign(patient=[f"{i:03d}" for i in range(60)], kind=np.array(["cat", "dog"])[np.arange(60) % 2])


@pytest.fixture
def spec(tmp_path):
    """Writes a frame, and makes the text of a table of it."""

    def write(frame, settings="", name="t.csv"):
        path = tmp_path / name
        frame.to_parquet(path) if name.endswith("parquet") else frame.to_csv(path, index=False)
        return parse_spec("datasets", f"table:path={path}{',' if settings else ''}{settings}")

    return write


def parts(data):
    return (data.train, data.validation, data.test)


@pytest.mark.parametrize("name", ["t.csv", "t.parquet"])
def test_all_columns_with_gaps_are_named_at_once(name, spec):
    said = (
        rf"^table: 2 columns of {name} have missing values: 'height' \(2\), 'age' \(3\), the first in row 3; missing="
        r"drop leaves out the 4 rows, missing=mean or median fills them in, drop="
        r"\[\"height\",\"age\"\] leaves out the columns$"
    )
    with pytest.raises(DataError, match=said):
        spec(GAPS, name=name).load(None)
    assert spec(GAPS, 'drop=["height","age"]', name=name).load(None).columns == ("weight",)


def test_all_columns_without_numbers_are_named_at_once(spec):
    words = WHOLE.assign(a="x", b=["y", "z"] * 30, when="2020-01-01")
    with pytest.raises(
        DataError, match=r"^table: 3 columns of t.csv \('a', 'b', 'when'\) cannot be modelled; drop=\[\"a\""
    ):
        spec(words).load(None)
    assert spec(words, 'drop=["a","b","when"]').load(None).columns == ("height", "weight", "age")


@pytest.mark.parametrize("standardize", ["true", "false"])
def test_rows_with_gaps_are_left_out(standardize, spec):
    data = spec(NAMED, f"missing=drop,label=kind,id=patient,standardize={standardize}").load(None)
    rows = torch.cat([part.numbers for part in parts(data)]).tolist()
    assert sorted(rows) == [row for row in range(60) if row not in (3, 9, 20, 41)]
    if standardize == "false":
        for part in parts(data):
            assert torch.equal(part.x, torch.tensor(WHOLE.to_numpy(), dtype=torch.float32)[part.numbers])
            assert part.labels.tolist() == [row % 2 for row in part.numbers.tolist()]
    assert data.summary()["missing"] == {"by": "drop", "values": []}


@pytest.mark.parametrize(("missing", "of"), [("mean", np.nanmean), ("median", np.nanmedian)])
def test_gaps_are_filled_in_from_the_training_rows_alone(missing, of, spec):
    data = spec(GAPS, f"missing={missing},standardize=false").load(None)
    fill = of(GAPS.to_numpy()[data.train.numbers.numpy()], axis=0)
    whole = np.where(GAPS.isna(), fill, GAPS.to_numpy())
    for part in parts(data):
        assert torch.equal(part.x, torch.tensor(whole, dtype=torch.float32)[part.numbers])
    assert data.summary()["missing"] == {"by": missing, "values": fill.tolist()}
    changed = GAPS.copy()
    held_out = torch.cat([data.validation.numbers, data.test.numbers]).tolist()
    changed.loc[held_out, "height"] = 1e6
    again = spec(changed, f"missing={missing},standardize=false", name="other.csv").load(None)
    assert again.summary()["missing"] == data.summary()["missing"]


@pytest.mark.parametrize("missing", ["drop", "mean", "median"])
def test_a_file_and_a_frame_with_gaps_are_the_same_data(missing, spec):
    file = spec(GAPS, f"missing={missing}").load(None)
    frame = make_dataset("x", GAPS, missing=missing, standardize=True)
    assert file.scaling == frame.scaling
    assert file.summary()["missing"] == frame.summary()["missing"]
    for one, other in zip(parts(file), parts(frame), strict=True):
        assert torch.equal(one.x, other.x)


def test_a_table_without_gaps_is_the_same_whatever_is_said_of_them(spec):
    plain = spec(WHOLE).load(None)
    for missing in ("drop", "mean", "median"):
        data = spec(WHOLE, f"missing={missing}").load(None)
        assert data.train.fingerprint() == plain.train.fingerprint()
    assert "missing" not in plain.summary()


@pytest.mark.parametrize(
    ("frame", "settings", "said"),
    [
        (
            GAPS.assign(age=np.nan),
            "missing=mean",
            "^table: t.csv: column 'age' has no value in any training row; drop it$",
        ),
        (
            GAPS.assign(age=np.nan),
            "missing=drop",
            "^table: t.csv: something is missing in each of the 60 rows, so that",
        ),
        (
            GAPS.assign(age=np.inf),
            "missing=drop",
            "^table: column 'age' of t.csv has 60 infinite values, the first in row",
        ),
        (NAMED, "id=patients,label=kind", r"^table: t.csv has no column 'patients' \(id\); did you mean 'patient'"),
        (
            NAMED.assign(patient=np.where(np.arange(60) == 4, None, "a")),
            "id=patient,label=kind,missing=drop",
            "^table: the column of ids 'patient' of t.csv has 1 missing values, the first in row 4$",
        ),
    ],
    ids=["no value", "nothing left", "infinite", "misspelt", "no id"],
)
def test_what_cannot_be_done_is_told(frame, settings, said, spec):
    with pytest.raises(DataError, match=said):
        spec(frame, settings).load(None)


def test_an_id_is_not_modelled(spec):
    with pytest.raises(SpecError, match="'weight' is both the id and one of the columns to model"):
        spec(NAMED, 'id=weight,columns=["weight","age"]')
    assert spec(NAMED, "id=weight,label=kind,drop=patient,missing=drop").load(None).columns == ("height", "age")


@pytest.mark.parametrize("name", ["t.csv", "t.parquet"])
@pytest.mark.parametrize("missing", ["drop", "mean"])
def test_rows_keep_their_names(name, missing, spec):
    table = spec(NAMED, f"id=patient,label=kind,missing={missing}", name=name)
    found = table.examples(None)
    kept = [row for row in range(60) if missing != "drop" or row not in (3, 9, 20, 41)]
    assert found.names == tuple(f"{row:03d}" for row in kept)
    data, names = table.load(None), table.names_of_parts(None)
    for part, split in zip(("train", "validation", "test"), parts(data), strict=True):
        assert names[part] == tuple(f"{row:03d}" for row in split.numbers.tolist())


def test_names_of_parts_in_files_of_their_own(tmp_path):
    for part, rows in (("train", slice(0, 40)), ("test", slice(40, 60))):
        NAMED[rows].to_csv(tmp_path / f"{part}.csv", index=False)
    table = parse_spec("datasets", f"table:path={tmp_path},id=patient,label=kind,missing=drop")
    with pytest.warns(UserWarning, match="held out as the validation part"):
        data = table.load(None)
    names = table.names_of_parts(None)
    assert [len(names[part]) for part in ("train", "validation", "test")] == [len(part) for part in parts(data)]
    assert names["test"] == tuple(f"{row:03d}" for row in range(40, 60) if row != 41)


def test_rows_that_are_left_out_are_told_by_the_numbers_of_the_others(spec):
    found = spec(GAPS, "missing=drop").examples(None)
    assert found.names[:4] == ("0", "1", "2", "4")
    assert spec(WHOLE, "missing=drop").examples(None).names == ()


def test_rows_without_a_label_are_left_out_of_training_and_not_of_what_is_encoded(spec):
    frame = WHOLE.assign(kind=NAMED["kind"].mask([row in (2, 7) for row in range(60)]))
    with pytest.raises(DataError, match=r"labels are missing in 2 of 60 rows, the first is row 2; missing=drop"):
        spec(frame, "label=kind").load(None)
    table = spec(frame, "label=kind,missing=drop")
    assert sorted(torch.cat([part.numbers for part in parts(table.load(None))]).tolist()) == [
        row for row in range(60) if row not in (2, 7)
    ]
    found = table.examples(None)
    assert len(found.x) == 60
    assert found.unlabelled == (2, 7)
    assert [row for row in range(60) if found.labels[row] == -1] == [2, 7]
    named = [found.class_names[label] for label in found.labels[:2]]
    assert named == NAMED["kind"][:2].tolist()
    with pytest.raises(DataError, match=r"label column 'kind' of t.csv: there is no label in any of its 60 rows"):
        spec(frame.assign(kind=None), "label=kind,missing=drop").load(None)
