"""What a user may hold: arrays of every layout, tensors, lists of them, data frames, and what is none of these."""

import decimal
import fractions

import numpy as np
import pandas as pd
import pytest
import torch

from intel_core import DataError
from intel_core.reading.values import can_be_values, read_values

X = np.random.default_rng(0).normal(size=(6, 3))
FORMS = {
    "reversed": lambda x: x[::-1][::-1],
    "big-endian": lambda x: x.astype(">f8"),
    "column-major": np.asfortranarray,
    "read-only": lambda x: np.broadcast_to(x, x.shape),
    "Python's numbers": lambda x: x.astype(object),
    "decimals": lambda x: np.array([[decimal.Decimal(float(v)) for v in row] for row in x], dtype=object),
    "fractions": lambda x: np.array([[fractions.Fraction(float(v)) for v in row] for row in x], dtype=object),
    "list": lambda x: x.tolist(),
    "list of arrays": list,
    "list of tensors": lambda x: [torch.tensor(row, requires_grad=True) for row in x],
    "tensor": torch.tensor,
    "parameter": lambda x: torch.nn.Parameter(torch.tensor(x)),
    "strided tensor": lambda x: torch.tensor(x.T.copy()).T,
    "data frame": pd.DataFrame,
    "nullable data frame": lambda x: pd.DataFrame(x).convert_dtypes(),
    "masked, nothing hidden": np.ma.array,
}


@pytest.mark.parametrize("form", FORMS)
def test_numbers_are_read_from_whatever_holds_them(form):
    for dtype in (torch.float32, torch.float64):
        values = read_values("x", FORMS[form](X), dtype).x
        assert values.dtype == dtype
        assert torch.equal(values, torch.tensor(X).to(dtype))


def test_bytes_stay_bytes_and_all_else_becomes_float():
    for form in (np.asarray, torch.tensor, pd.DataFrame, lambda x: x[::-1][::-1]):
        assert read_values("x", form(np.arange(6, dtype=np.uint8).reshape(2, 3))).x.dtype == torch.uint8
    for dtype in (np.int64, np.uint16, np.bool_, np.float16, np.longdouble):
        assert read_values("x", np.ones((2, 2), dtype)).x.tolist() == [[1.0, 1.0]] * 2


def test_names_of_columns_are_kept_and_those_of_rows_are_not():
    frame = pd.DataFrame(X, columns=["a", "b", 3])
    assert read_values("x", frame).names == ("a", "b", "3")
    assert read_values("x", frame.iloc[0]).names == ("a", "b", "3")
    assert read_values("x", pd.DataFrame(X, columns=["a", "b", "a"])).names == ()
    assert read_values("x", X).names == ()


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (pd.DataFrame({"a": [1.0, 2.0], "when": ["2020", "2021"]}), r"^x: row 0, column 'when' holds str '2020', exp"),
        (pd.DataFrame({"a": pd.to_datetime(["2020-01-01"])}), r"^x: values are of type datetime64"),
        (np.array([[1, "2"]], dtype=object), r"^x: row 0 holds str '2', expected a number$"),
        ([torch.zeros(2), torch.zeros(3)], r"^x: the tensors of a list do not stack: "),
        ([[1.0], [1.0, 2.0]], r"^x: no array of numbers; are the rows of different lengths\?$"),
        (np.ma.array(X, mask=X > 1), r"^x: \d of 18 values are masked, and a model needs all of them; drop"),
        (torch.zeros(2, 2).to_sparse(), r"^x: a torch.float32 tensor of layout torch.sparse_coo; expected dense"),
        (X.astype(complex), r"^x: values are of type complex128, expected numbers$"),
        (None, r"^x: it holds no value, expected a number$"),
        (["a", "b"], r"^x: values are of type <U1, expected numbers$"),
    ],
)
def test_what_is_no_number_is_told_with_its_place(given, said):
    with pytest.raises(DataError, match=said):
        read_values("x", given)


def test_what_a_caller_holds_is_not_changed_with_it():
    x = X.astype(np.float32)
    values = read_values("x", x).x
    values += 1
    assert np.array_equal(x, X.astype(np.float32))


def test_specs_and_texts_are_no_numbers():
    assert [can_be_values(one) for one in (X, X.tolist(), torch.zeros(2), pd.DataFrame(X), pd.Series([1.0]))] == [
        True
    ] * 5
    assert [can_be_values(one) for one in ("digits", b"x", 5, None, {"a": 1})] == [False] * 5
