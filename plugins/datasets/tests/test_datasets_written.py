"""Cells that would be read as something else than what is written are refused, or kept as they are written."""

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
