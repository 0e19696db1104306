"""Data sets from arrays: what is refused, how they are split, which values they hold."""

import re
from typing import Any

import numpy as np
import pandas as pd
import pyarrow
import pytest
import scipy.sparse
import torch
from hypothesis import given
from hypothesis import strategies as st

from intel_core import DataError, Dataset, DatasetSpec, PluginError, SpecError, Split, make_dataset, parse_spec
from intel_core.data.values import fingerprint, to_float
from intel_core.reading.arrays import check_examples, support_of
from intel_core.reading.labelling import labels_beside

RNG = np.random.default_rng(0)
REAL = RNG.normal(size=(20, 3))
BYTES = RNG.integers(0, 256, size=(20, 3), dtype=np.uint8)


UNSCALED = pytest.mark.filterwarnings("ignore:.* far from the scale")


def with_value(value: float, *rows: int) -> np.ndarray:
    x = REAL.copy()
    x[list(rows), 1] = value
    return x


def read_only(x: np.ndarray) -> np.ndarray:
    x = x.copy()
    x.flags.writeable = False
    return x


# --- examples --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("x", "message"),
    [
        (with_value(np.nan, 7), "1 of 20 examples hold NaN or infinity, the first is row 7"),
        (with_value(np.inf, 4, 9), "2 of 20 examples hold NaN or infinity, the first is row 4"),
        (with_value(-np.inf, 0), "1 of 20 examples hold NaN or infinity, the first is row 0"),
        (
            with_value(1e300, 5),
            "1 of 20 examples hold values beyond ±3.4e38, the largest that float32 holds, the first is",
        ),
        (torch.tensor(with_value(np.nan, 7)), "1 of 20 examples hold NaN or infinity, the first is row 7"),
        (torch.full((9, 1, 4, 4), torch.nan), "9 of 9 examples hold NaN or infinity, the first is row 0"),
        (np.zeros((20, 3)), "every value is 0; constant data cannot be modelled"),
        (np.full((20, 2, 2), 7, np.uint8), "every value is 7; constant data cannot be modelled"),
        (np.full((20, 3), -2.5), "every value is -2.5; constant data cannot be modelled"),
        (np.zeros((0, 3)), "0 examples are too few to train on; at least 4 are needed"),
        ([], "0 examples are too few"),
        (REAL[:3], "3 examples are too few to train on; at least 4 are needed"),
        (np.zeros((5, 2, 2, 2, 2)), "shape (5, 2, 2, 2, 2); expected (n, D)"),
        (
            np.zeros((20, 9, 8, 3)),
            "shape (20, 9, 8, 3) has its channels last; expected (n, C, H, W), here (20, 3, 9, 8)",
        ),
        (np.zeros((20, 32, 32, 1), np.uint8), "shape (20, 32, 32, 1) has its channels last"),
        (np.zeros((20, 0)), "examples of shape (0,) are empty"),
        (np.zeros((20, 3, 0, 5)), "examples of shape (3, 0, 5) are empty"),
        (np.array([["a", "b"]] * 9), "values are of type <U1, expected numbers"),
        ([["1", "2"]] * 9, "values are of type <U1, expected numbers"),
        ([[1, None]] * 9, "row 0 holds no value, expected a number"),
        (REAL.astype(complex), "values are of type complex128, expected numbers"),
        (np.array(["2020-01-01"] * 9, "datetime64[D]"), "values are of type datetime64[D], expected numbers"),
        ([[1, 2], [3]] * 9, "no array of numbers; are the rows of different lengths?"),
        (torch.ones(9, 2, dtype=torch.complex64), "a torch.complex64 tensor of layout torch.strided; expected dense"),
    ],
    ids=lambda value: value if isinstance(value, str) else "x",
)
@UNSCALED
def test_examples_that_are_refused(x: Any, message: str) -> None:
    for call in (check_examples, make_dataset):
        with pytest.raises(DataError, match=f"^mine: {re.escape(message)}"):
            call("mine", x)


def test_what_is_no_data_at_all_is_refused() -> None:
    for x, message in ((3.0, "a float; expected an array"), ("abc", "a str; expected an array")):
        with pytest.raises(DataError, match=f"^mine: {message}"):
            make_dataset("mine", x)
    with pytest.raises(DataError, match=r"^mine: shape \(\); expected \(n, D\)"):
        check_examples("mine", 3.0)


KINDS = [np.float16, np.float32, np.float64, np.longdouble, np.int8, np.uint16, np.uint32, np.int64, np.uint64, bool]


@pytest.mark.parametrize("dtype", [*KINDS, ">f4", ">i2"], ids=str)
def test_numbers_of_any_type_become_float32(dtype: Any) -> None:
    array = (REAL > 0).astype(dtype)
    x = check_examples("mine", array)
    assert x.dtype == torch.float32
    assert torch.equal(x, torch.tensor(REAL > 0, dtype=torch.float32))


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64, torch.int32, torch.bool], ids=str)
def test_tensors_of_any_type_become_float32(dtype: torch.dtype) -> None:
    x = torch.tensor(REAL > 0).to(dtype)
    assert torch.equal(check_examples("mine", x), x.to(torch.float32))


@pytest.mark.parametrize("x", [BYTES, torch.tensor(BYTES), read_only(BYTES), BYTES[::-1, ::-1], BYTES.T.copy().T])
def test_bytes_stay_bytes(x: Any) -> None:
    checked = check_examples("mine", x)
    assert checked.dtype == torch.uint8
    assert np.array_equal(checked.numpy(), np.asarray(x))


@pytest.mark.parametrize("x", [REAL.tolist(), read_only(REAL), REAL[::-1], np.asfortranarray(REAL), torch.tensor(REAL)])
def test_arrays_of_any_layout(x: Any) -> None:
    assert np.array_equal(check_examples("mine", x).numpy(), np.asarray(x, dtype=np.float32))


def test_tensors_lose_their_gradient() -> None:
    x = torch.tensor(REAL, requires_grad=True)
    assert not check_examples("mine", x).requires_grad


@pytest.mark.parametrize(
    ("given_shape", "shape"),
    [
        ((20,), (20, 1)),
        ((20, 3), (20, 3)),
        ((20, 4, 5), (20, 1, 4, 5)),
        ((20, 3, 4, 5), (20, 3, 4, 5)),
        ((20, 9, 7, 3), (20, 9, 7, 3)),
        ((20, 3, 9, 3), (20, 3, 9, 3)),
        ((20, 9, 9, 2), (20, 9, 9, 2)),
    ],
)
def test_shapes(given_shape: tuple[int, ...], shape: tuple[int, ...]) -> None:
    x = RNG.normal(size=given_shape)
    assert check_examples("mine", x).shape == shape
    assert make_dataset("mine", x).x_shape == shape[1:]


@pytest.mark.parametrize("x", [REAL.astype(np.float32), BYTES], ids=["real", "bytes"])
def test_the_array_that_was_passed_stays_as_it_was_and_is_not_shared(x: np.ndarray) -> None:
    mine, before = x.copy(), x.copy()
    data = make_dataset("mine", mine)
    kept = data.train.x.clone()
    assert np.array_equal(mine, before)
    mine[:] = 1
    assert torch.equal(data.train.x, kept)


# --- units -----------------------------------------------------------------------------------------------------


UNITS = {"100 ± 20": REAL * 20 + 100, "counts": RNG.poisson(40, size=(50, 3)), "small": REAL * 1e-4}
GREY = RNG.integers(0, 256, size=(20, 8, 8))


@pytest.mark.parametrize("units", UNITS)
def test_numbers_on_a_scale_that_does_not_train_are_warned_of_and_named(units: str) -> None:
    with pytest.warns(UserWarning, match=r"^mine: column \d is .* ± .*, far from the scale .*standardize=True"):
        data = make_dataset("mine", UNITS[units])
    assert data.scaling is None
    assert data.train.x.abs().max() == pytest.approx(abs(np.asarray(UNITS[units])).max(), rel=0.5)


@pytest.mark.parametrize("units", UNITS)
def test_numbers_on_any_scale_are_standardised_and_their_units_kept(units: str) -> None:
    with pytest.warns(UserWarning, match=r"each column was standardised to mean 0 and variance 1"):
        seen = make_dataset("mine", UNITS[units], standardize="auto")
    data = make_dataset("mine", UNITS[units], standardize=True)
    assert data.scaling is not None
    assert torch.equal(seen.train.x, data.train.x)
    assert data.train.x.mean(0).tolist() == pytest.approx([0] * 3, abs=1e-5)
    assert data.train.x.std(0, correction=0).tolist() == pytest.approx([1] * 3, rel=1e-5)
    mean, std = (torch.tensor(values) for values in data.scaling)
    back = torch.cat([part.x * std + mean for part in (data.train, data.validation, data.test)])
    given_x = torch.tensor(np.asarray(UNITS[units], np.float32))
    np.testing.assert_allclose(back.sort(0).values, given_x.sort(0).values, rtol=1e-4, atol=1e-8)


@pytest.mark.parametrize("x", [REAL, (REAL > 0) * 1.0, abs(REAL) / 9, BYTES, REAL + 5, REAL * 5], ids=str)
def test_numbers_near_the_scale_of_about_1_stay_as_they_are(x: Any) -> None:
    assert torch.equal(make_dataset("mine", x, standardize="auto").train.x, make_dataset("mine", x).train.x)
    assert make_dataset("mine", x, standardize="auto").scaling is None


def test_images_are_scaled_by_one_mean_and_grey_values_are_told_of_bytes() -> None:
    with pytest.warns(UserWarning, match=r"the values are 1\d\d.* ± \d\d.*astype\('uint8'\)"):
        data = make_dataset("mine", GREY, standardize="auto")
    assert data.scaling is not None
    assert (len(data.scaling[0]), len(data.scaling[1])) == (1, 1)
    assert float(data.train.x.mean()) == pytest.approx(0, abs=1e-4)


def test_a_constant_column_is_shifted_to_0() -> None:
    x = np.c_[REAL * 100, np.full(20, 7.0)]
    data = make_dataset("mine", x, standardize=True)
    assert (data.train.x[:, 3] == 0).all()
    assert data.scaling is not None
    assert (data.scaling[0][3], data.scaling[1][3]) == (7.0, 1.0)


@UNSCALED
@pytest.mark.parametrize("x", [1.7e9 + np.arange(60.0)[:, None], 2**62 + 1000 * np.arange(60)[:, None]], ids=str)
def test_values_that_float32_cannot_tell_apart_are_not_called_constant(x: Any) -> None:
    with pytest.raises(
        DataError, match=r"the values differ \(from .* to .*\), but by less than float32 can tell apart"
    ):
        make_dataset("mine", x)
    assert len(make_dataset("mine", x, standardize=True).train.x.unique()) == 48


def test_whole_numbers_beyond_float64_are_not_called_constant() -> None:
    with pytest.raises(DataError, match=r"the values differ \(from 9223.*\), but by less than float64 can tell apart"):
        make_dataset("mine", 2**63 + np.arange(60, dtype=np.uint64)[:, None])


# --- forms of arrays ---------------------------------------------------------------------------------------------


def test_masked_values_are_refused_wherever_the_mask_is() -> None:
    mask = REAL > 1
    rows = [np.ma.array(row, mask=hidden) for row, hidden in zip(REAL, mask, strict=True)]
    for x in (np.ma.array(REAL, mask=mask), rows, np.ma.array(REAL.astype(np.float32), mask=mask)):
        with pytest.raises(DataError, match=r"^mine: \d+ of 60 values are masked"):
            make_dataset("mine", x)
    records = np.ma.array(np.zeros(20, [("a", "f8"), ("b", "i4")]), mask=[(True, False)] + [(False, False)] * 19)
    with pytest.raises(DataError, match=r"^mine: 1 of 40 values are masked"):
        make_dataset("mine", records)
    assert torch.equal(make_dataset("mine", np.ma.array(REAL, mask=False)).train.x, make_dataset("mine", REAL).train.x)


def test_fields_of_a_structured_array_are_columns() -> None:
    records = np.zeros(20, [("a", "f8"), ("b", "f4"), ("c", "f8")])
    for i, field in enumerate("abc"):
        records[field] = REAL[:, i]
    assert torch.equal(check_examples("mine", records), check_examples("mine", REAL))
    with pytest.raises(DataError, match=r"^mine: field 'b' is of type <U3, expected numbers"):
        make_dataset("mine", np.zeros(20, [("a", "f8"), ("b", "U3")]))


def test_missing_values_of_a_nullable_column_are_refused_with_their_place() -> None:
    frame = pd.DataFrame({"a": pd.array([1.5] * 19 + [None], dtype="Float64"), "b": np.arange(20.0)})
    with pytest.raises(DataError, match=r"^mine: (row 19, column 'a' holds no value|1 of 20 examples hold NaN)"):
        make_dataset("mine", frame)
    table = pyarrow.table({"a": [1.0, None, 2.0, 3.0], "b": [1, 2, 3, 4]})
    with pytest.raises(DataError, match=r"^mine: 1 of 4 examples hold NaN or infinity, the first is row 1"):
        make_dataset("mine", table)


def test_a_sparse_matrix_is_the_dense_one() -> None:
    dense = make_dataset("mine", np.eye(9))
    for sparse in (scipy.sparse.csr_matrix(np.eye(9)), scipy.sparse.coo_array(np.eye(9)), torch.eye(9).to_sparse()):
        assert make_dataset("mine", sparse).train.fingerprint() == dense.train.fingerprint()
    with pytest.raises(DataError, match=r"^mine: a sparse matrix; .*toarray"):
        check_examples("mine", scipy.sparse.csr_matrix(np.eye(9)))


# --- labels ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        (np.zeros(19, int), "labels of shape (19,) for 20 examples; expected (20,)"),
        (np.zeros((20, 1), int), "labels of shape (20, 1) for 20 examples"),
        (3, "labels of shape () for 20 examples"),
        ([], "labels of shape (0,) for 20 examples"),
        ([0.0] * 20, "labels are of type float64, expected whole numbers or words"),
        (torch.zeros(20), "labels are of type float64, expected whole numbers or words"),
        (torch.zeros(20, dtype=torch.bfloat16), "labels are of type float64, expected whole numbers or words"),
        ([None] * 20, "labels are of type object, expected whole numbers or words"),
        ([[1], [1, 2]] * 10, "no array of numbers; are the rows of different lengths?"),
    ],
    ids=lambda value: value if isinstance(value, str) else "labels",
)
def test_labels_that_are_refused(labels: Any, message: str) -> None:
    for call in (lambda: labels_beside("mine", labels, 20), lambda: make_dataset("mine", REAL, labels)):
        with pytest.raises(DataError, match=f"^mine: {re.escape(message)}"):
            call()


@pytest.mark.parametrize("dtype", [np.int8, np.uint8, np.int64, np.uint32, bool, ">i4"], ids=str)
def test_labels_of_any_integer_type(dtype: Any) -> None:
    labels = (np.arange(20) % 2).astype(dtype)
    for given_labels in (labels, labels.tolist(), torch.tensor((np.arange(20) % 2), dtype=torch.int16)):
        checked, _ = labels_beside("mine", given_labels, 20)
        assert checked is not None
        assert checked.dtype == torch.int64
        assert checked.tolist() == [0, 1] * 10


def test_no_labels() -> None:
    assert labels_beside("mine", None, 20) == (None, ())
    assert make_dataset("mine", REAL).train.labels is None


# --- splits ----------------------------------------------------------------------------------------------------

shares = st.floats(0, 0.4)


def rows_of(data: Dataset) -> list[list[int]]:
    return [split.x[:, 0].int().tolist() for split in (data.train, data.validation, data.test)]


def numbered(n: int) -> np.ndarray:
    return np.stack([np.arange(n), -np.arange(n)], axis=1).astype(np.float32)


@UNSCALED
@given(n=st.integers(10, 300), validation=shares, test=shares, seed=st.integers(0, 2**31))
def test_every_example_is_in_exactly_one_split(n: int, validation: float, test: float, seed: int) -> None:
    labels = np.arange(n) * 3
    data = make_dataset("mine", numbered(n), labels, validation=validation, test=test, split_seed=seed)
    train, held_out, last = rows_of(data)
    assert sorted(train + held_out + last) == list(range(n))
    assert (len(held_out), len(last)) == (max(1, round(n * validation)), max(1, round(n * test)))
    for split in (data.train, data.validation, data.test):
        assert split.labels is not None
        assert split.labels.tolist() == [3 * row for row in split.x[:, 0].int().tolist()]
        assert len(split) == len(split.labels)


@UNSCALED
def test_a_split_follows_from_its_seed_alone() -> None:
    torch.manual_seed(1)
    first = rows_of(make_dataset("mine", numbered(100)))
    torch.manual_seed(2)
    state = torch.get_rng_state()
    assert rows_of(make_dataset("other", numbered(100))) == first
    assert torch.equal(torch.get_rng_state(), state)
    assert rows_of(make_dataset("mine", numbered(100), split_seed=1)) != first
    assert first[0] != sorted(first[0])


@UNSCALED
@pytest.mark.parametrize(("n", "sizes"), [(4, (2, 1, 1)), (5, (3, 1, 1)), (100, (80, 10, 10)), (1001, (801, 100, 100))])
def test_sizes_by_default(n: int, sizes: tuple[int, ...]) -> None:
    assert tuple(map(len, rows_of(make_dataset("mine", numbered(n))))) == sizes


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"validation": 0.5, "test": 0.5}, "20 examples are too few to train on"),
        ({"validation": 0.95}, "20 examples are too few to train on"),
        ({"validation": -0.1}, "shares validation=-0.1 and test=0.1 are not in [0, 1)"),
        ({"test": 1.0}, "shares validation=0.1 and test=1 are not in [0, 1)"),
        ({"test": float("nan")}, "shares validation=0.1 and test=nan are not in [0, 1)"),
    ],
)
def test_shares_that_leave_nothing(options: dict[str, float], message: str) -> None:
    with pytest.raises(DataError, match=f"^mine: {re.escape(message)}"):
        make_dataset("mine", REAL, **options)  # type: ignore[arg-type]


@pytest.mark.parametrize("x", [REAL, (REAL, REAL, REAL)])
@pytest.mark.parametrize("word", ["validation", "test"])
@pytest.mark.parametrize("share", ["a", "0.1", None, [0.1], True, np.zeros(2), 1j])
def test_shares_that_are_no_numbers(x: Any, word: str, share: Any) -> None:
    with pytest.raises(DataError, match=rf"^mine: {word}=.* is no number, expected a share in \[0, 1\)$"):
        make_dataset("mine", x, **{word: share})


@pytest.mark.parametrize("share", [np.float32(0.25), np.array(0.25), torch.tensor(0.25)])
def test_shares_are_numbers_of_any_library(share: Any) -> None:
    assert len(make_dataset("mine", REAL, validation=share).validation) == 5


# --- words -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("x", [REAL, pd.DataFrame(REAL), (REAL, REAL, REAL)])
@pytest.mark.parametrize(("word", "nearest"), [("classnames", "class_names"), ("splitseed", "split_seed")])
def test_a_misspelt_argument_is_told_with_the_nearest(x: Any, word: str, nearest: str) -> None:
    with pytest.raises(SpecError, match=f"^mine: make_dataset has no argument '{word}'; did you mean '{nearest}'"):
        make_dataset("mine", x, **{word: 3})


@pytest.mark.parametrize("support", ["units", 3, ["unit"]])
def test_another_word_for_the_support_is_refused(support: Any) -> None:
    with pytest.raises(SpecError, match=r"^mine: support=.*choices: binary, real, unit") as caught:
        make_dataset("mine", REAL, support=support)
    assert ("did you mean 'unit'?" in str(caught.value)) == (support != 3)


# --- values ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("values", "dtype", "support"),
    [
        ([0, 1, 1, 0], torch.float32, "binary"),
        ([0, 0.5, 1, 0], torch.float32, "unit"),
        ([0.2, 0.5], torch.float32, "unit"),
        ([0, 1 + 1e-6], torch.float32, "real"),
        ([-1e-30, 1], torch.float32, "real"),
        ([-3, 5], torch.float64, "real"),
        ([0, 255], torch.uint8, "binary"),
        ([0, 254], torch.uint8, "unit"),
    ],
)
def test_support(values: list[float], dtype: torch.dtype, support: str) -> None:
    x = torch.tensor(values, dtype=dtype).unsqueeze(1)
    assert support_of(x) == support
    assert make_dataset("mine", x.repeat(4, 1)).support == support


@pytest.mark.parametrize("support", ["binary", "unit", "real"])
def test_support_that_the_caller_knows_better(support: Any) -> None:
    assert make_dataset("mine", REAL, support=support).support == support


def test_bytes_as_floats() -> None:
    x = torch.arange(256, dtype=torch.uint8)
    before = x.clone()
    values = to_float(x)
    assert torch.equal(x, before)
    assert values.dtype == torch.float32
    assert torch.equal(values, torch.arange(256) / 255)


def test_floats_as_floats() -> None:
    x = torch.tensor(REAL, dtype=torch.float32)
    before = x.clone()
    assert torch.equal(to_float(x), before)
    assert torch.equal(x, before)


# --- the record ------------------------------------------------------------------------------------------------


def test_summary() -> None:
    data = make_dataset("mine", BYTES, np.arange(20) % 2, class_names=("even", "odd"))
    assert data.summary() == {
        "name": "mine",
        "train": 16,
        "validation": 2,
        "test": 2,
        "shape": [3],
        "support": "unit",
        "classes": ["even", "odd"],
        "scaling": None,
        "columns": [],
        "fingerprint": fingerprint(data.train.x),
    }


def test_a_fingerprint_changes_with_the_data_and_with_nothing_else() -> None:
    x = torch.tensor(REAL)
    marks = [fingerprint(x), fingerprint(x.clone()), fingerprint(x.T.contiguous().T), fingerprint(x.requires_grad_())]
    assert len(set(marks)) == 1
    assert re.fullmatch("[0-9a-f]{16}", marks[0])
    other = x.detach().clone()
    other[19, 2] = torch.nextafter(other[19, 2], torch.tensor(9.0, dtype=other.dtype))
    assert fingerprint(other) != marks[0]


def test_arrays_in_memory_cannot_be_loaded_again() -> None:
    spec = parse_spec("datasets", "memory:examples=20,shape=[3]")
    assert isinstance(spec, DatasetSpec)
    with pytest.raises(DataError, match=r"shape \[3\]\) was passed as arrays .* give it again, as data=…"):
        spec.load(None)


def test_a_spec_without_load() -> None:
    with pytest.raises(PluginError, match=r"DatasetSpec does not define load\(data_dir\)"):
        DatasetSpec().load(None)


def test_a_split_counts_its_examples() -> None:
    assert len(Split(torch.zeros(7, 1, 2, 2))) == 7


def test_bytes_of_0_and_1_are_a_mask() -> None:
    mask = np.random.default_rng(0).integers(0, 2, size=(20, 4, 4), dtype=np.uint8)
    data = make_dataset("mask", mask)
    assert data.support == "binary"
    assert to_float(data.train.x).unique().tolist() == [0.0, 1.0]
