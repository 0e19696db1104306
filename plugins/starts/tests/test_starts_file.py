"""Are clusters read from a file as their writer meant them, and is everything else refused in a line?"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from intel_starts import FileStartSpec

from intel_core import DataError, fit, make_dataset
from intel_core.components.spec import parse_spec
from intel_core.data.dataset import Dataset, Split
from intel_core.recipe.starts import StartData

N, K = 100, 3
WHOLE = np.arange(N) % K
DATA = make_dataset("data", torch.randn(N, 2, generator=torch.Generator().manual_seed(0)), standardize=False)
assert DATA.train.numbers is not None
OF_TRAIN = WHOLE[DATA.train.numbers.numpy()]


def found(path: Path, column: str | None = None, data: Dataset = DATA, k: int = K) -> list[int]:
    """What a run would begin from, after its check."""
    spec = FileStartSpec(path=path, column=column)
    spec.check(data, k)
    return spec.find(StartData(torch.zeros(len(data.train), 2), data.train, k, 0)).cluster.tolist()


def text(folder: Path, content: str | bytes, name: str = "groups.csv") -> Path:
    path = folder / name
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


def array(folder: Path, values: Any) -> Path:
    np.save(folder / "groups.npy", values)
    return folder / "groups.npy"


def column(values: Any, header: str = "group\n") -> str:
    return header + "".join(f"{value}\n" for value in values)


NAMES = np.array(["cat", "dog", "eel"])[WHOLE]
SPELLINGS: dict[str, Callable[[Path], tuple[Path, str | None]]] = {
    "a column": lambda folder: (text(folder, column(WHOLE)), None),
    "without a name": lambda folder: (text(folder, column(WHOLE, "")), None),
    "one of several": lambda folder: (
        text(folder, "x,group\n" + "".join(f"{i / 7},{k}\n" for i, k in enumerate(WHOLE))), "group",
    ),
    "tabs": lambda folder: (
        text(folder, "x\tgroup\n" + "".join(f"a,b\t{k}\n" for k in WHOLE), "g.TSV"), "group",
    ),
    "semicolons": lambda folder: (text(folder, "x;group\n" + "".join(f"1,5;{k}\n" for k in WHOLE)), "group"),
    "a byte order mark and Windows' line ends": lambda folder: (
        text(folder, b"\xef\xbb\xbf" + column(WHOLE).replace("\n", "\r\n").encode()), "group",
    ),
    "fractions of 0": lambda folder: (text(folder, column([f"{k}.0" for k in WHOLE])), None),
    "words": lambda folder: (text(folder, column(NAMES)), None),
    "an array": lambda folder: (array(folder, WHOLE), None),
    "a small array": lambda folder: (array(folder, WHOLE.astype(np.uint8)), None),
    "an array of floats": lambda folder: (array(folder, WHOLE.astype(np.float32)), None),
    "an array of words": lambda folder: (array(folder, NAMES), None),
}  # fmt: skip


@pytest.mark.parametrize("spelling", SPELLINGS)
def test_the_rows_of_the_training_examples_are_taken_from_a_file_of_all(spelling: str, tmp_path: Path) -> None:
    path, of = SPELLINGS[spelling](tmp_path)
    assert found(path, of) == OF_TRAIN.tolist()


def test_a_file_of_the_training_examples_is_understood(tmp_path: Path) -> None:
    assert found(text(tmp_path, column(OF_TRAIN))) == OF_TRAIN.tolist()


def test_a_table_is_matched_by_the_rows_of_its_file(tmp_path: Path) -> None:
    """The rows of a table are shuffled before they are parted."""
    x = np.stack([WHOLE, np.random.default_rng(0).normal(size=N)], axis=1)
    table = text(tmp_path, "a,b\n" + "".join(f"{a},{b}\n" for a, b in x), "table.csv")
    data = parse_spec("datasets", f"table:path={table},standardize=false").load(None)  # type: ignore[attr-defined]
    assert found(text(tmp_path, column(WHOLE)), data=data) == data.train.x[:, 0].long().tolist()


@pytest.mark.parametrize("none", ["", "-1", "-1.0", "nan", "NaN", "NA", "null", "?"])
def test_what_is_left_open_is_no_cluster(none: str, tmp_path: Path) -> None:
    values = [none if i % 4 == 0 else str(k) for i, k in enumerate(OF_TRAIN)]
    expected = [-1 if i % 4 == 0 else int(k) for i, k in enumerate(OF_TRAIN)]
    assert found(text(tmp_path, "x,group\n" + "".join(f"1,{v}\n" for v in values)), "group") == expected
    words = ["" if none in ("", "-1", "-1.0") else none if i % 4 == 0 else "abc"[k] for i, k in enumerate(OF_TRAIN)]
    if none != "-1.0" and any(words):
        assert {k for i, k in enumerate(found(text(tmp_path, column(words)))) if i % 4 == 0} == {-1}


def test_nan_in_an_array_is_no_cluster(tmp_path: Path) -> None:
    values = np.where(np.arange(len(OF_TRAIN)) % 4 == 0, np.nan, OF_TRAIN)
    assert found(array(tmp_path, values))[:2] == [-1, int(OF_TRAIN[1])]


def replaced(value: object, at: int = 6) -> list[object]:
    return [value if i == at else k for i, k in enumerate(WHOLE)]


REFUSED: dict[str, tuple[Callable[[Path], Path], str]] = {
    "nothing": (lambda folder: folder / "groups.csv", "there is no|does not exist"),
    "a folder": (lambda folder: folder, "is a folder"),
    "another kind": (lambda folder: text(folder, "group\n0\n", "groups.xlsx"), "none of .csv, .tsv and .npy"),
    "empty": (lambda folder: text(folder, ""), "no rows below its header"),
    "a header": (lambda folder: text(folder, "group\n"), "no rows below its header"),
    "not UTF-8": (lambda folder: text(folder, "größe\n0\n".encode("latin-1")), "no text in UTF-8"),
    "bytes": (lambda folder: text(folder, bytes(range(256)) * 9), "no text in UTF-8|cannot be read"),
    "zeros": (lambda folder: text(folder, bytes(900)), "groups.csv"),
    "a cell without end": (lambda folder: text(folder, "group\n" + "0" * 200_000), "cannot be read: field larger"),
    "several columns": (lambda folder: text(folder, "a,b\n0,1\n"), r"2 columns; say which, e.g. groups.csv:column=a"),
    "a row too long": (lambda folder: text(folder, "a\n0\n0,1\n"), "row 1 has 2 cells, its header has 1"),
    "one row more": (lambda folder: text(folder, column([*WHOLE, 0])), "has 101 rows, expected 100 .all examples. or"),
    "a number for a name": (lambda folder: text(folder, column(WHOLE, "0\n")), "first line is the name of the column"),
    "one row less": (lambda folder: text(folder, column(WHOLE[1:])), "has 99 rows, expected 100"),
    "beyond K": (lambda folder: text(folder, column(WHOLE + 1)), "mapping has 3: 0 to 2; are they counted from 1?"),
    "too many words": (
        lambda folder: text(folder, column(["abcd"[i % 4] for i in range(N)])),
        "names cluster 3.*take 4 ",
    ),
    "no cluster": (lambda folder: text(folder, column([-1] * N)), "no cluster for any training example"),
    "a fraction": (lambda folder: text(folder, column(replaced(1.5))), "'1.5' in row 6 is no cluster"),
    "below -1": (lambda folder: text(folder, column(replaced(-2))), "'-2' in row 6 is no cluster"),
    "infinite": (lambda folder: text(folder, column(replaced("inf"))), "'inf' in row 6 is no cluster"),
    "huge": (lambda folder: text(folder, column(replaced("1e300"))), "'1e300' in row 6 is no cluster"),
    "a word among numbers": (lambda folder: text(folder, column(replaced("two"))), "'two' in row 6 is no cluster"),
    "identifiers": (lambda folder: text(folder, column(f"id{i}" for i in range(5000))), "is it the right column"),
    "an array of fractions": (lambda folder: array(folder, WHOLE + 0.5), "0.5 in row 0 is no cluster"),
    "a huge array": (lambda folder: array(folder, np.full(N, 2**64 - 1, np.uint64)), "in row 0 is no cluster"),
    "an infinite array": (lambda folder: array(folder, np.full(N, np.inf)), "inf in row 0 is no cluster"),
    "a matrix": (lambda folder: array(folder, WHOLE[:, None]), r"int64 of shape \[100, 1\], expected integers \[n\]"),
    "truths": (lambda folder: array(folder, WHOLE > 0), "holds bool"),
    "objects": (lambda folder: array(folder, np.array([None] * N)), "cannot be read"),
    "no array": (lambda folder: text(folder, "group\n0\n", "groups.npy"), "cannot be read"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_names_no_clusters_is_refused_in_a_line(case: str, tmp_path: Path) -> None:
    make, said = REFUSED[case]
    with pytest.raises(DataError, match=said) as caught:
        found(make(tmp_path))
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 400 + len(str(tmp_path))


def test_several_arrays_in_one_file_are_refused(tmp_path: Path) -> None:
    np.savez(tmp_path / "groups.npz", a=WHOLE)
    (tmp_path / "groups.npz").rename(tmp_path / "groups.npy")
    with pytest.raises(DataError, match="holds several arrays"):
        found(tmp_path / "groups.npy")


@pytest.mark.parametrize(
    ("wanted", "said"), [("grup", "no column 'grup'; did you mean 'group'"), ("x", "has 2 columns 'x'")]
)
def test_a_column_that_is_not_there_once_is_refused(wanted: str, said: str, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=said):
        found(text(tmp_path, "x,group,x\n0,1,2\n"), wanted)
    with pytest.raises(DataError, match="has no column"):
        found(array(tmp_path, WHOLE), wanted)


def test_data_whose_rows_have_no_numbers_need_a_row_for_each_training_example(tmp_path: Path) -> None:
    data = Dataset("own", Split(torch.zeros(60, 2)), Split(torch.zeros(20, 2)), Split(torch.zeros(20, 2)), "real")
    with pytest.raises(DataError, match=r"has 100 rows, expected 60 \(the training examples\)"):
        found(text(tmp_path, column(WHOLE)), data=data)
    assert found(text(tmp_path, column(WHOLE[:60])), data=data) == WHOLE[:60].tolist()


def test_a_mistake_is_told_before_the_first_step(tmp_path: Path) -> None:
    start = f"file:path={text(tmp_path, column(WHOLE[1:]))}"
    with pytest.raises(DataError, match="has 99 rows"):
        fit(mapping="cluster:k=3", data=DATA, start=start, steps=8, run_dir=tmp_path / "run")
    assert not (tmp_path / "run").exists()
