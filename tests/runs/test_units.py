"""In which units does a run speak? In those of the data, whatever form they come in, as the command does."""

import numpy as np
import pandas as pd
import pytest
import torch

from intel_core import DataError, fit, load_run
from intel_core.reading.capabilities import Examples
from intel_core.runs.units import Units

RNG = np.random.default_rng(0)
RAW = np.c_[100 + 5 * RNG.normal(size=300), 3000 + 200 * RNG.normal(size=300), RNG.normal(size=300)]
TABLE = pd.DataFrame(RAW, columns=["temp", "press", "c"])
BASE = {"steps": 30, "latent": 2, "device": "cpu", "batch_size": 50}


@pytest.fixture(scope="module")
def table(tmp_path_factory):
    folder = tmp_path_factory.mktemp("table")
    TABLE.assign(kind=np.arange(300) % 2).to_csv(folder / "t.csv", index=False)
    return fit(data=f"table:path={folder / 't.csv'},label=kind", run_dir=folder / "run", **BASE)


@pytest.fixture(scope="module")
def frame(tmp_path_factory):
    return fit(data=TABLE, standardize=True, run_dir=tmp_path_factory.mktemp("frame") / "run", **BASE)


@pytest.fixture(scope="module")
def images(tmp_path_factory):
    x = RNG.integers(0, 256, size=(60, 1, 6, 5), dtype=np.uint8)
    return fit(data=x, run_dir=tmp_path_factory.mktemp("images") / "run", **BASE), x


@pytest.mark.parametrize("name", ["table", "frame"])
def test_raw_rows_are_standardised_and_what_is_standardised_says_so(name, request):
    run = request.getfixturevalue(name)
    values = run.standardise(torch.tensor(RAW)).float()
    raw, standardised = run.encode(RAW), run.encode(values, standardised=True)
    assert all(torch.equal(a, b) for a, b in zip(raw, standardised, strict=True))
    assert torch.equal(run.reconstruct(RAW), run.original_units(run.reconstruct(values, standardised=True)))


def test_reconstructions_samples_and_decoded_examples_are_in_the_units_of_the_data(table):
    for found in (table.reconstruct(RAW), table.sample(2000), table.sample(2000, noise=True)):
        assert 80 < float(found[:, 0].mean()) < 120
        assert 2500 < float(found[:, 1].mean()) < 3500
    assert torch.equal(table.decode(table.encode(RAW).z_mean), table.reconstruct(RAW))
    assert torch.equal(table.sample(9), table.original_units(table.sample(9, standardised=True)))
    z = table.encode(RAW).z_mean
    assert torch.equal(table.decode(z), table.original_units(table.decode(z, standardised=True)))


def test_the_split_of_a_data_set_is_taken_as_the_data_set_holds_it(table):
    test = table.dataset().test
    assert torch.equal(table.encode(test).mean, table.encode(test.x, standardised=True).mean)
    assert torch.allclose(table.reconstruct(test), table.reconstruct(table.original_units(test.x)), atol=0.1)


def test_standardised_values_that_are_taken_for_raw_ones_are_warned_of(table):
    with pytest.warns(
        UserWarning, match=r"^column '(temp|press)' lies .* standard deviations .* need standardised=True$"
    ):
        table.encode(table.dataset().test.x)


def test_rows_are_what_the_command_makes_of_the_same_file(table):
    examples = Examples(torch.tensor(RAW), columns=("temp", "press", "c"))
    assert torch.equal(table.adapt(examples).x, table.units.read(RAW))


FORMS = {
    "data frame": lambda x: pd.DataFrame(x, columns=TABLE.columns),
    "columns in another order": lambda x: pd.DataFrame(x, columns=TABLE.columns)[["c", "temp", "press"]],
    "further columns": lambda x: pd.DataFrame(x, columns=TABLE.columns).assign(who="me", age=3)[
        ["who", "c", "age", "temp", "press"]
    ],
    "no names": pd.DataFrame,
    "reversed view": lambda x: x[::-1][::-1],
    "big-endian": lambda x: x.astype(">f8"),
    "objects": lambda x: x.astype(object),
    "list": lambda x: x.tolist(),
    "list of tensors": lambda x: [torch.tensor(row) for row in x],
    "tensor": torch.tensor,
}


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("name", ["table", "frame"])
def test_what_fit_takes_encode_and_reconstruct_take(form, name, request):
    run, given = request.getfixturevalue(name), FORMS[form](RAW)
    assert torch.equal(run.encode(given).mean, run.encode(RAW).mean)
    assert torch.equal(run.reconstruct(given), run.reconstruct(RAW))


@pytest.mark.parametrize("form", ["array", "list", "tensor", "row of a frame", "row in another order"])
def test_one_row_may_come_alone(form, table):
    row = {
        "array": RAW[7],
        "list": RAW[7].tolist(),
        "tensor": torch.tensor(RAW[7]),
        "row of a frame": TABLE.iloc[7],
        "row in another order": TABLE[["press", "c", "temp"]].iloc[7],
    }[form]
    torch.testing.assert_close(table.encode(row).mean, table.encode(RAW[7:8]).mean)
    assert table.reconstruct(row).shape == (1, 3)


def test_columns_that_are_missing_are_told_with_those_that_are_known(table, frame):
    for run in (table, frame):
        with pytest.raises(
            DataError, match=r"^there is no column 'temp'; did you mean 'tmp'\?.*trained on temp, press, c$"
        ):
            run.encode(TABLE.rename(columns={"temp": "tmp"}))


def test_frames_whose_columns_are_only_numbered_are_told_apart_by_their_numbers(tmp_path):
    run = fit(data=pd.DataFrame(RAW), standardize=True, run_dir=tmp_path / "run", **BASE)
    shuffled = pd.DataFrame(RAW)[[2, 0, 1]]
    assert torch.equal(run.encode(shuffled).mean, run.encode(RAW).mean)
    assert torch.equal(run.encode(TABLE).mean, run.encode(RAW).mean)


def test_a_single_column_and_a_single_number(tmp_path):
    run = fit(data=TABLE["c"], run_dir=tmp_path / "run", **(BASE | {"latent": 1}))
    expected = run.encode(RAW[:, 2:]).mean
    labelled = pd.Series(RAW[:, 2], index=[f"row {i}" for i in range(300)])
    for given in (RAW[:, 2], TABLE["c"], TABLE[["c"]], labelled):
        assert torch.equal(run.encode(given).mean, expected)
    torch.testing.assert_close(run.encode(RAW[0, 2]).mean, expected[:1])


def test_images_are_bytes_or_between_0_and_1(images):
    run, x = images
    torch.testing.assert_close(run.encode(x / 255).mean, run.encode(x).mean)
    for one in (x[0], x[0, 0], x[:1, 0]):
        torch.testing.assert_close(run.encode(one).mean, run.encode(x[:1]).mean)
    assert 0 <= float(run.reconstruct(x).min()) <= float(run.reconstruct(x).max()) <= 1


@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.int16, np.int64, np.uint16])
def test_whole_numbers_up_to_255_are_bytes_of_whatever_type(dtype, images):
    run, x = images
    assert torch.equal(run.encode(x.astype(dtype)).mean, run.encode(x).mean)
    assert torch.equal(
        run.reconstruct(x[x.max((1, 2, 3)) >= 128].astype(dtype)), run.reconstruct(x[x.max((1, 2, 3)) >= 128])
    )


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (
            lambda x: (x / 255 * 16).round(),
            r"values from 0 to 16, but the run was trained on values in \[0, 1\]; .* x / 255",
        ),
        (lambda x: (x // 2.1).astype(int), r"values from 0 to 121, but"),
        (lambda x: x + 0.5, r"values from 0\.5 to 255\.5, but"),
        (lambda x: x * 0.9, r"values from 0 to 229\.5, but"),
        (lambda x: x.astype(int) * 2, r"values from 0 to 510, but"),
        (lambda x: x.astype(int) - 1, r"values from -1 to 254, but"),
        (lambda x: x / 255 - 0.5, r"values from -0\.5 to 0\.5, but"),
        (
            lambda x: np.moveaxis(np.repeat(x, 3, 1), 1, 3),
            r"have shape \(6, 5, 3\), the run was trained on \(1, 6, 5\)$",
        ),
        (
            lambda x: np.moveaxis(x, 1, 3),
            r"have shape \(6, 5, 1\), .*; numpy\.moveaxis\(x, -1, 1\) puts the channels first",
        ),
    ],
)
@pytest.mark.parametrize("method", ["encode", "reconstruct"])
def test_images_in_other_units_are_refused_with_the_way_that_works(change, said, method, images):
    run, x = images
    with pytest.raises(DataError, match=said):
        getattr(run, method)(change(x))


def test_bytes_are_no_real_numbers(tmp_path):
    run = fit(data=RNG.normal(size=(60, 3)), run_dir=tmp_path / "run", **BASE)
    with pytest.raises(
        DataError, match=r"^examples are bytes, which stand for x / 255, but the run was trained on real"
    ):
        run.encode(np.ones((2, 3), np.uint8))


def test_numbers_that_do_not_fit_are_told_with_their_row(table):
    for value in (np.nan, np.inf, 1e300):
        x = RAW[:5].copy()
        x[3, 1] = value
        with pytest.raises(DataError, match=r"^examples hold NaN or infinity, or numbers too large .* first in row 3"):
            table.encode(x)


def test_a_frame_and_the_same_numbers_without_names_are_the_same_data():
    named = Units({"shape": [2], "fingerprint": "a", "columns": ["x", "y"]})
    now = {"fingerprint": "a", "scaling": None}
    assert named.differs_from({**now, "columns": []}) == ""
    assert named.differs_from({**now, "columns": ["y", "x"]}) == "columns"


def test_large_offsets_keep_their_digits_in_every_form(tmp_path):
    times = 1_700_000_000 + np.arange(300.0)[:, None] * [1.0, 2.0]
    run = fit(data=times, standardize=True, run_dir=tmp_path / "run", **BASE)
    expected = load_run(tmp_path / "run").units.read(times)
    assert len(expected[:, 0].unique()) == 300
    for given in (times.tolist(), times.astype(np.int64), pd.DataFrame(times), times.astype(object)):
        assert torch.equal(run.units.read(given), expected)


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (TABLE.assign(press="low"), r"^examples: no numbers are in column 'press' \(words\), as there were in trai"),
        (TABLE.iloc[:0], "^examples: a data frame without rows; nothing to model$"),
        ((1, 2), "^examples: a tuple; expected an array, a tensor, .* data loader of torch; list"),
        ({"temp": [1.0]}, "^examples: a dict; expected an array"),
        (None, "^examples: a NoneType; expected an array"),
        ("t.csv", "^examples: a str; expected an array.* data loader of torch$"),
        (iter(RAW), r"^examples: a .*; it has no length: list\(data\) makes a list of it"),
    ],
    ids=["words", "no rows", "tuple", "dict", "nothing", "text", "no length"],
)
@pytest.mark.parametrize("method", ["encode", "reconstruct"])
def test_what_is_asked_about_something_else_is_told_in_a_line(given, said, method, table):
    with pytest.raises(DataError, match=said) as caught:
        getattr(table, method)(given)
    assert "\n" not in str(caught.value)


def test_a_whole_data_set_is_to_be_asked_about_by_its_parts(table):
    with pytest.raises(DataError, match=r"^examples: a Dataset; .*; give one of its parts, such as \.test$"):
        table.encode(table.dataset())


def test_images_of_a_file_are_bytes_alike(images):
    run, x = images
    found = run.units.adapt(Examples(torch.as_tensor(x).double()))
    assert found.x.dtype == torch.uint8
    assert torch.equal(found.x, torch.as_tensor(x))
