"""Are tables read column by column, standardised without leaks, or refused with a reason?"""

import decimal
import json
import re

import numpy as np
import pandas as pd
import pytest
import torch
from intel_datasets import TableSpec

from intel_core import DataError, SpecError

RNG = np.random.default_rng(0)
FRAME = pd.DataFrame(
    {
        "id": np.arange(50),
        "height": RNG.normal(1.7, 0.1, 50),
        "weight": RNG.normal(70, 9, 50),
        "kind": np.array(["cat", "dog"])[np.arange(50) % 2],
    }
)


@pytest.fixture
def table(tmp_path):
    def write(frame=FRAME, name="t.csv", **options):
        if name.endswith(".parquet"):
            frame.to_parquet(tmp_path / name)
        else:
            usual = {"sep": "\t" if name.endswith(".tsv") else ",", "index": False}
            frame.to_csv(tmp_path / name, **{**usual, **options})
        return tmp_path / name

    return write


def everything(data):
    return torch.cat([data.train.x, data.validation.x, data.test.x])


@pytest.mark.parametrize("name", ["t.csv", "t.tsv", "t.parquet"])
def test_formats_agree(name, table, load):
    table(name=name)
    data = load(f"table:path={name},label=kind,standardize=false")
    assert (data.x_shape, data.class_names, data.support) == ((3,), ("cat", "dog"), "real")
    x = everything(data)
    order = x[:, 0].argsort()
    np.testing.assert_allclose(x[order].numpy(), FRAME[["id", "height", "weight"]].to_numpy(), rtol=1e-6)
    for part in (data.train, data.validation, data.test):
        assert torch.equal(part.labels, part.x[:, 0].long() % 2)


def test_columns_are_taken_in_the_order_given_or_dropped(table, load):
    table()
    chosen = load('table:path=t.csv,columns=["weight","height"],standardize=false')
    assert chosen.train.x[:, 0].min() > 10 > chosen.train.x[:, 1].max()
    dropped = load('table:path=t.csv,label=kind,drop=["id","weight"]')
    assert dropped.x_shape == (1,)


def test_standardising_uses_the_training_rows_and_nothing_else(table, load):
    table()
    rows = load("table:path=t.csv,columns=id,standardize=false")
    trained = rows.train.x[:, 0].int().tolist()
    text = 'table:path=t.csv,columns=["height","weight"]'
    before = load(text)
    changed = FRAME.copy()
    held_out = ~changed["id"].isin(trained)
    changed.loc[held_out, ["height", "weight"]] *= 1000
    table(changed)
    after = load(text)
    assert torch.equal(before.train.x, after.train.x)
    assert not torch.equal(before.test.x, after.test.x)
    used = FRAME.loc[trained, ["height", "weight"]].to_numpy()
    np.testing.assert_allclose(before.train.x.mean(0), 0, atol=1e-6)
    np.testing.assert_allclose(before.train.x.std(0, correction=0), 1, atol=1e-6)
    tested = FRAME.loc[rows.test.x[:, 0].int().tolist(), ["height", "weight"]].to_numpy()
    np.testing.assert_allclose(before.test.x, (tested - used.mean(0)) / used.std(0), atol=1e-5)


def test_large_offsets_are_removed_before_single_precision(table, load):
    seconds = 1.7e9 + np.arange(50.0)
    table(pd.DataFrame({"time": seconds}))
    values = everything(load("table:path=t.csv")).flatten()
    assert len(values.unique()) == 50


def test_whole_number_labels_become_class_indices(table, load):
    frame = FRAME.assign(kind=np.array([30, 4])[np.arange(50) % 2])
    table(frame)
    data = load("table:path=t.csv,label=kind,standardize=false")
    assert data.class_names == ("4", "30")
    assert torch.equal(data.train.labels, 1 - data.train.x[:, 0].long() % 2)


def test_booleans_are_numbers(table, load):
    table(pd.DataFrame({"flag": np.arange(20) % 3 == 0, "other": np.arange(20) % 2 == 0}))
    assert load("table:path=t.csv,standardize=false").support == "binary"


def test_a_text_file_without_names_can_say_so(table, load):
    table(FRAME[["height", "weight"]], header=False)
    data = load("table:path=t.csv,header=false")
    assert sum(len(part) for part in (data.train, data.validation, data.test)) == 50
    assert load("table:path=t.csv,header=false,drop=0").x_shape == (1,)
    with pytest.raises(DataError, match=r"first line of t.csv holds numbers, not column names; .*header=false"):
        load("table:path=t.csv")


IRIS = [f"{5 + i % 7 / 7:.1f},{3 + i % 5 / 9:.1f},{'setosa' if i < 20 else 'virginica'}" for i in range(40)]


HEADERLESS = {
    "words that come up again": IRIS,
    "numbers among those below": [f"{i % 9},{i % 7},row{i}" for i in range(40)],
    "another separator": [f"{'ab'[i % 2]};{i / 7:.3f};{i}" for i in range(40)],
    "the same number twice": ["7,7,a", *(f"{i},{i},{'ab'[i % 2]}" for i in range(40))],
    "dates": [f"2020-01-{i + 1:02d},{i * 1.5},x{i}" for i in range(28)],
    "a missing value": [f"{i * 0.5:.2f},NA,{'ab'[i % 2]}" for i in range(28)],
    "words only": [f"{'red' if i % 2 else 'blue'},{'ms'[i % 2]},{'ab'[i % 3 > 0]}" for i in range(40)],
}


@pytest.mark.parametrize("lines", HEADERLESS.values(), ids=HEADERLESS)
@pytest.mark.parametrize("said", ["", ",label=2"])
def test_a_first_line_that_looks_like_data_is_not_taken_for_names(lines, said, tmp_path, load):
    (tmp_path / "t.csv").write_text("\n".join(lines))
    with pytest.raises(DataError, match=r"first line of t.csv looks like data .*header=false if .*header=true if"):
        load(f"table:path=t.csv{said}{',separator=;' if ';' in lines[0] else ''}")


@pytest.mark.parametrize("lines", list(HEADERLESS.values())[:5], ids=list(HEADERLESS)[:5])
def test_no_row_is_lost_where_the_advice_is_followed(lines, tmp_path, load):
    (tmp_path / "t.csv").write_text("\n".join(lines))
    words = [i for i, text in enumerate(re.split("[,;]", lines[0])) if not re.fullmatch(r"[\d.]+", text)]
    separator = ",separator=;" if ";" in lines[0] else ""
    data = load(f"table:path=t.csv,header=false,drop={json.dumps(words)}{separator}")
    assert sum(len(part) for part in (data.train, data.validation, data.test)) == len(lines)


@pytest.mark.parametrize(
    ("names", "header"),
    [
        (["400.0", "402.5", "405.0"], "true"),
        (["2019", "2020", "2021"], "true"),
        (["2021", "2019", "7e3"], "true"),
        (["country", "2019", "2020"], "auto"),
        (["400.0", "402.5", "sample"], "auto"),
        (["x", "1", "2"], "auto"),
        (["0", "1", "2"], "auto"),
    ],
)
def test_columns_named_by_numbers_are_read(names, header, tmp_path, load):
    rows = [",".join(f"{v:.3f}" for v in row) for row in RNG.normal(size=(30, 3))]
    (tmp_path / "t.csv").write_text("\n".join([",".join(names), *rows]))
    data = load(f"table:path=t.csv,header={header}")
    assert data.columns == tuple(names)
    assert sum(len(part) for part in (data.train, data.validation, data.test)) == 30


def test_years_are_names_even_where_values_are_as_large(tmp_path, load):
    rows = [f"x{i},{2000 + i},{1990 + 2 * i},{7 * i}" for i in range(30)]
    (tmp_path / "t.csv").write_text("\n".join(["country,2019,2020,2021", *rows]))
    assert load("table:path=t.csv,drop=country").columns == ("2019", "2020", "2021")


def test_a_line_of_names_that_is_said_to_be_data_is_told(table, load):
    table(FRAME[["height", "weight"]])
    with pytest.raises(
        DataError, match=r"row 0 holds 'height'\); the first line seems to name .* leave header=false out"
    ):
        load("table:path=t.csv,header=false")


@pytest.mark.parametrize("columns", ["[1,2]", '["1","2"]'])
def test_columns_without_names_are_called_by_their_positions(columns, table, load):
    table(FRAME[["id", "height", "weight"]], header=False)
    assert load(f"table:path=t.csv,header=false,columns={columns}").columns == ("1", "2")
    assert TableSpec(path="t.csv", header=False, columns=[1, 2], label=0).label == "0"


@pytest.mark.parametrize(
    ("values", "options", "said"),
    [
        (["1,234", "12", "5,678,901"], {}, 'thousands=","'),
        (["1,234", "12"], {"sep": ";"}, r'thousands=",", if that is a decimal comma say decimal=","'),
        (["1'234", "12"], {}, "thousands='"),
        (["1 234", "12"], {}, 'thousands=" "'),
        (["1.234.567", "1.000.000"], {}, 'thousands=.,decimal=","'),
    ],
)
def test_thousands_are_not_taken_for_decimals(values, options, said, table, load):
    table(pd.DataFrame({"a": values * 10, "b": np.arange(10 * len(values)) * 0.5}), **options)
    text = f"table:path=t.csv{',separator=;' if options else ''}"
    with pytest.raises(
        DataError, match=rf"'a' of t.csv is not numeric .*stands between thousands say {said}"
    ) as caught:
        load(text)
    assert ("decimal comma" in str(caught.value)) == bool(options)


def test_thousands_are_read_when_said(table, load):
    table(pd.DataFrame({"a": ["1,234", "12", "5,678,901"] * 10, "b": range(30)}))
    data = load('table:path=t.csv,thousands=",",standardize=false')
    assert sorted(set(everything(data)[:, 0].tolist())) == [12, 1234, 5678901]


@pytest.mark.parametrize("first", [10**25, 2**63, -(2**62)])
def test_whole_numbers_that_differ_beyond_16_digits_are_not_called_constant_or_words(first, table, load):
    table(pd.DataFrame({"id": [str(first + i) for i in range(30)], "b": RNG.normal(size=30)}))
    with pytest.raises(
        DataError, match=r"values of column 'id' of t.csv differ, but not in their first 16 digits .*drop"
    ):
        load("table:path=t.csv")


def test_large_whole_numbers_are_numbers(table, load):
    table(pd.DataFrame({"id": [str(10**25 * i) for i in range(30)]}))
    assert len(everything(load("table:path=t.csv")).unique()) == 30


def test_text_and_decimals_of_parquet(tmp_path, load):
    decimals = [decimal.Decimal(i) / 4 for i in range(20)]
    pd.DataFrame({"a": pd.Series(decimals, dtype=object), "b": range(20)}).to_parquet(tmp_path / "t.parquet")
    assert load("table:path=t.parquet").x_shape == (2,)
    pd.DataFrame({"a": [str(i) for i in range(20)]}).to_parquet(tmp_path / "t.parquet")
    with pytest.raises(DataError, match=r"not numeric \(row 0 holds '0'\)"):
        load("table:path=t.parquet")


def test_values_beyond_float32_are_told(table, load):
    table(pd.DataFrame({"a": RNG.normal(size=30) * 1e300}))
    with pytest.raises(DataError, match=r"column 'a' of t.csv has values beyond ±3.4e38, .*drop=a"):
        load("table:path=t.csv")


# --- columns that do not vary --------------------------------------------------------------------------------------


def genes(n=800):
    frame = pd.DataFrame(np.zeros((40, n), int), columns=[f"ENSG{i:011d}" for i in range(n)])
    frame.iloc[:, :3] = RNG.poisson(3, size=(40, 3))
    return frame


def test_hundreds_of_constant_columns_are_refused_in_one_short_line(table, load):
    table(genes())
    with pytest.raises(DataError, match=r"797 of 800 columns of t.csv \('ENSG0.*', …\).*constant=drop") as caught:
        load("table:path=t.csv")
    assert len(str(caught.value)) < 400


@pytest.mark.parametrize("standardize", ["true", "false"])
def test_constant_columns_can_be_left_out_and_are_counted(standardize, table, load):
    table(genes())
    with pytest.warns(UserWarning, match=r"797 of 800 columns of t.csv have the same value .* left out: 'ENSG"):
        data = load(f"table:path=t.csv,constant=drop,standardize={standardize}")
    assert data.columns == tuple(genes().columns[:3])
    assert data.x_shape == (3,)
    table(genes().iloc[:, 3:])
    with pytest.raises(DataError, match=r"all columns of t.csv"):
        load("table:path=t.csv,constant=drop")


# --- a file for each part ------------------------------------------------------------------------------------------


def test_files_named_as_parts_are_the_parts(table, load, tmp_path):
    for i, name in enumerate(["train.csv", "val.csv", "test.csv"]):
        table(FRAME[20 * i : 20 * i + 20] if i < 2 else FRAME[40:], name=name)
    data = load(f"table:path={tmp_path},label=kind,standardize=false")
    assert [part.x[:, 0].tolist() for part in (data.train, data.validation, data.test)] == [
        [*range(20)],
        [*range(20, 40)],
        [*range(40, 50)],
    ]
    assert data.class_names == ("cat", "dog")
    scaled = load(f"table:path={tmp_path},label=kind")
    np.testing.assert_allclose(scaled.train.x.mean(0), 0, atol=1e-5)


def test_a_part_without_a_file_is_drawn_from_the_training_rows_and_said(table, load, tmp_path):
    table(FRAME[:40], name="train.csv")
    table(FRAME[40:], name="validation.csv")
    with pytest.warns(UserWarning, match=r"8 of the 40 training rows are held out as the test part, which has no file"):
        data = load(f"table:path={tmp_path},label=kind,test=0.2")
    assert [len(part) for part in (data.train, data.validation, data.test)] == [32, 10, 8]


def test_parts_must_have_the_same_columns(table, load, tmp_path):
    table(FRAME, name="train.csv")
    table(FRAME.drop(columns="weight"), name="test.csv")
    with pytest.raises(DataError, match=r"test.csv has no column 'weight', as the training part has"):
        load(f"table:path={tmp_path},label=kind")
    with pytest.raises(DataError, match=r"must hold one file for each part .*but holds none"):
        load(f"table:path={tmp_path.parent}")


def holes(column, row=4):
    frame = FRAME.copy()
    frame[column] = frame[column].astype(object)
    frame.loc[row, column] = None
    return frame


@pytest.mark.parametrize(
    ("frame", "text", "message"),
    [
        (
            FRAME,
            "path=t.csv",
            r"column 'kind' of t.csv is not numeric \(row 0 holds 'cat'\).*drop=kind, or use it as label=kind",
        ),
        (
            FRAME.assign(name=[f"row {i}" for i in range(len(FRAME))]),
            "path=t.csv,label=kind",
            r"column 'name' of t.csv is not numeric .*drop=name, or use it as id=name$",
        ),
        (
            FRAME.assign(kind=FRAME["kind"].where(FRAME.index != 3)),
            "path=t.csv,label=kind",
            r"label column 'kind' of t.csv: labels are missing in 1 of 50 rows, the first is row 3; missing=drop",
        ),
        (
            FRAME.assign(age=["3"] * 7 + ["?"] + ["4"] * 42),
            "path=t.csv,label=kind",
            r"'age' .*\(row 7 holds '\?'\).*drop=age",
        ),
        (FRAME, "path=t.csv,label=knd", r"no column 'knd' \(label\); did you mean 'kind'"),
        (FRAME, "path=t.csv,drop=knd", r"no column 'knd' \(drop\); did you mean 'kind'"),
        (FRAME, "path=t.csv,columns=wieght", r"no column 'wieght' \(columns\); did you mean 'weight'"),
        (FRAME.assign(same=3), "path=t.csv,label=kind", r"'same' of t.csv has the same value .*drop=same"),
        (FRAME.assign(a=3, b=4), "path=t.csv,label=kind", r"'a', 'b' of t.csv .*drop=\[\"a\",\"b\"\]"),
        (
            holes("weight"),
            "path=t.csv,label=kind",
            r"'weight' of t.csv has 1 missing values, the first in row 4;.*drop=weight",
        ),
        (FRAME.assign(weight=np.inf), "path=t.csv,label=kind", r"'weight' of t.csv has 50 infinite values"),
        (
            holes("kind"),
            "path=t.csv,label=kind",
            r"label column 'kind' of t.csv: labels are missing in 1 of 50 rows, the first is row 4; missing=drop",
        ),
        (FRAME, "path=t.csv,label=height", r"'height' of t.csv: labels must be whole numbers or words"),
        (FRAME[["kind"]], "path=t.csv,label=kind", r"no column of t.csv is left to model; it has kind"),
        (FRAME[:0], "path=t.csv", r"t.csv has 0 rows and 4 columns; nothing to model"),
        (FRAME[:3], "path=t.csv,label=kind", r"t.csv: 3 examples are too few"),
        (FRAME, "path=s.csv", r"no file s.csv in .*; did you mean 't.csv'"),
    ],
)
def test_what_cannot_be_used_is_refused_with_the_reason(frame, text, message, table, load):
    table(frame)
    with pytest.raises(DataError, match=message) as caught:
        load(f"table:{text}")
    assert len(str(caught.value).splitlines()) <= 2


def test_a_nameless_index_column_is_not_modelled_by_mistake(table, load):
    table(FRAME, index=True)
    with pytest.raises(DataError, match=r"has no name .*drop=Unnamed: 0"):
        load("table:path=t.csv,label=kind")
    assert load("table:path=t.csv,label=kind,drop=Unnamed: 0").x_shape == (3,)


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("t.csv", b""),
        ("t.csv", b'a,b\n1,2\n3,"4\n'),
        ("t.csv", b"a,b\n1,2,3,4\n1,2\n1,2,3,4,5,6\n"),
        ("t.csv", b"a,b\n1,2,3\n4,5,6\n7,8,9\n1,1,1\n"),
        ("t.csv", b"\xff\xfe\x00a"),
        ("t.parquet", b"not parquet"),
        ("t.parquet", b""),
    ],
)
def test_a_broken_file_is_named(name, content, tmp_path, load):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(DataError, match=rf"table: {name}"):
        load(f"table:path={name}")


@pytest.mark.parametrize("column", [[1, 2] * 10, [pd.NA, 2] * 10])
def test_nullable_columns_of_parquet(column, table, load):
    frame = pd.DataFrame({"a": pd.array(column, dtype="Int64"), "b": np.arange(20.0)})
    table(frame, name="t.parquet")
    if column[0] is not pd.NA:
        assert load("table:path=t.parquet").x_shape == (2,)
    else:
        with pytest.raises(DataError, match=r"'a' of t.parquet has 10 missing"):
            load("table:path=t.parquet")


def test_a_parquet_index_of_words_does_not_disturb_row_numbers(table, load):
    frame = FRAME.set_index(pd.Index([f"row{i}" for i in range(50)]))
    table(frame, name="t.parquet")
    with pytest.raises(DataError, match=r"row 0 holds 'cat'"):
        load("table:path=t.parquet")
    assert load("table:path=t.parquet,label=kind").x_shape == (3,)


@pytest.mark.parametrize("separator", [";", "|", "\t", " "])
def test_other_separators_and_decimal_commas(separator, table, load):
    table(name="plain.csv")
    table(name="t.csv", sep=separator, decimal=",")
    plain, other = (
        load(f"table:path={text},label=kind")
        for text in ("plain.csv", f't.csv,separator={json.dumps(separator)},decimal=","')
    )
    assert torch.equal(everything(plain), everything(other))


@pytest.mark.parametrize(
    ("separator", "said"),
    [(";", "have ';' between columns, expected ','; say separator=;"), ("|", "separator=|"), ("\t", r'separator="\t"')],
)
def test_another_separator_is_seen_before_all_is_one_column(separator, said, table, load):
    table(sep=separator)
    with pytest.raises(DataError, match=f"^table: t.csv seems.*{re.escape(said)}$"):
        load("table:path=t.csv,label=kind")


def test_a_decimal_comma_is_seen(table, load):
    table(sep=";", decimal=",")
    with pytest.raises(DataError, match=r"'height'.*'1,\d+'.*say decimal=\",\""):
        load("table:path=t.csv,label=kind,separator=;")


def test_a_comma_cannot_be_both(load):
    with pytest.raises(SpecError, match="cannot stand between columns and in numbers"):
        load('table:path=t.csv,decimal=","')


def test_a_line_of_units_below_the_names_is_a_row_to_remove(tmp_path, load):
    (tmp_path / "t.csv").write_text("height,weight\ncm,kg\n170,60\n180,75\n165,55\n175,70\n")
    with pytest.raises(DataError, match=r"'height' .*\(row 0 holds 'cm'\); mend or remove the row"):
        load("table:path=t.csv")


def test_spaces_between_thousands_and_a_decimal_comma_are_told_together(tmp_path, load):
    (tmp_path / "t.csv").write_text("a;b\n" + "".join(f"{i} 234,5;{i}\n" for i in range(1, 9)))
    with pytest.raises(DataError, match=r'separator=; and, for numbers like 1,5, decimal=","'):
        load("table:path=t.csv")
    with pytest.raises(DataError, match=r'say thousands=" ",decimal=","'):
        load("table:path=t.csv,separator=;")
    assert load('table:path=t.csv,separator=;,thousands=" ",decimal=","').x_shape == (2,)
