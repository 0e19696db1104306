"""Cells that would be read as something else than what is written are refused, or kept as they are written."""

import re

import numpy as np
import pytest

from intel_core import DataError, parse_spec


def read(tmp_path, text, settings=""):
    file = tmp_path / "mine.csv"
    file.write_text(text)
    return parse_spec("datasets", f"table:path={file}{settings}").examples(None)


@pytest.mark.parametrize(
    ("cell", "settings"), [("1.5", ',separator=;,decimal=",",thousands=.'), ("1,5", ',separator=;,thousands=","')]
)
def test_a_decimal_is_not_taken_for_a_group_of_thousands(cell, settings, tmp_path):
    with pytest.raises(DataError, match="groups of three digits"):
        read(tmp_path, "a;b\n" + f"{cell};1\n" * 9, settings)


def test_groups_of_three_digits_are_one_number(tmp_path):
    found = read(tmp_path, "a;b\n" + "-1.234.567,5;12\n" * 9, ',separator=;,decimal=",",thousands=.')
    assert found.x[0].tolist() == [-1234567.5, 12.0]


def test_an_empty_line_in_a_single_column_is_a_missing_value(tmp_path):
    with pytest.raises(DataError, match=r"line 4 of mine\.csv is empty"):
        read(tmp_path, "a\n1\n2\n\n4\n")
    assert len(read(tmp_path, "\na\n1\n2\n4\n\n\n").x) == 3


@pytest.mark.parametrize("header", ["", ",header=true"])
def test_two_columns_of_one_name_are_refused(header, tmp_path):
    with pytest.raises(DataError, match="two columns called 'a'"):
        read(tmp_path, "a,a,b\n" + "1,2,3\n" * 9, header)


def test_codes_with_leading_zeros_are_classes_as_they_are_written(tmp_path):
    found = read(tmp_path, "a,code\n1,01\n2,1\n3,02\n", ",label=code")
    assert found.class_names == ("01", "02", "1")
    assert found.labels.tolist() == [0, 2, 1]


# --- what stands above the names, and what stands for missing values ------------------------------------------------

ROWS = "".join(f"{i},{i * i % 7},{i * 5 % 11}\n" for i in range(30))


@pytest.mark.parametrize(
    ("above", "separator", "said"),
    [
        ("Measurements of May", ",", r"\('Measurements of May'\) stands alone above 3 columns, like a title; remove"),
        ("Measurements,,", ",", r"\('Measurements'\) stands alone above 3 columns"),
        ("# exported 2024", ";", r"\('# exported 2024'\) stands alone above 3 columns"),
        ("sep=;", ";", r"\(sep=;\) tells Excel what stands between columns.* remove that line, and say separator=;$"),
        ('"sep=,"', ",", r"tells Excel what stands between columns.* remove that line$"),
        ("By me, in May", ",", r"first line has fewer cells than the others; remove it if it is a title"),
        ("By me\nin May", ",", r"what stands above it has to be removed"),
    ],
)
def test_a_line_above_the_names_is_told_for_what_it_is(above, separator, said, tmp_path, load):
    (tmp_path / "t.csv").write_text(f"{above}\n" + ("a,b,c\n" + ROWS).replace(",", separator))
    for say in ("", f',separator="{separator}"'):
        with pytest.raises(DataError, match=said):
            load(f"table:path={tmp_path}/t.csv{say}")
        if separator == ";":
            break


@pytest.mark.parametrize("code", [-9, -999, -9999.0, 99999, 1e20, -32768])
def test_what_looks_like_a_code_for_missing_values_is_said(code, tmp_path, load):
    (tmp_path / "t.csv").write_text(f"a,b,c\n{ROWS}3,{code},4\n5,{code},1\n")
    shown = re.escape(f"{code:g}")
    with pytest.warns(UserWarning, match=rf"look like codes .*: {shown} \(column 'b', 2 of 32 rows\); if they are"):
        assert load(f"table:path={tmp_path}/t.csv").x_shape == (3,)
    x = np.loadtxt(tmp_path / "t.csv", delimiter=",", skiprows=1)
    np.save(tmp_path / "t.npy", x)
    with pytest.warns(UserWarning, match=r"t.npy: values that look like codes"):
        load(f"arrays:path={tmp_path}/t.npy,standardize=true")


@pytest.mark.parametrize("column", [range(60, 100), range(-99, -59), [0, 99], [5.0, 7.0, 12.5, 19.0]])
def test_a_value_among_others_is_no_code(column, tmp_path, load, recwarn):
    lines = [f"{value},{i % 7}" for i, value in enumerate(list(column) * 10)]
    (tmp_path / "t.csv").write_text("a,b\n" + "\n".join(lines))
    load(f"table:path={tmp_path}/t.csv")
    assert not [w for w in recwarn if "codes" in str(w.message)]
