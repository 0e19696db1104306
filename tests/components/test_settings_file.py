"""A settings file of a stranger is refused in a line, whatever it does to take memory or time."""

import time
from pathlib import Path

import pytest

from intel_core import SpecError, parse_spec
from intel_core.components.settings_file import read_settings

TEN = range(10)
BOMBS = {
    "merge keys": "a: &a0 {k: 1}\n" + "\n".join(f"b{i}: &a{i + 1} {{<<: [{','.join([f'*a{i}'] * 10)}]}}" for i in TEN),
    "one merge key": "a: &x {k: 1}\nb: {<<: *x, c: 2}\n",
    "aliases": "a: &a0 [1]\n" + "\n".join(f"b{i}: &a{i + 1} [{','.join([f'*a{i}'] * 10)}]" for i in TEN),
    "aliases of mappings": "a: &a0 {k: 1}\n"
    + "\n".join(f"b{i}: &a{i + 1} {{{','.join(f'k{j}: *a{i}' for j in TEN)}}}" for i in TEN),
    "a list that holds itself": "a: &x [1, *x]\n",
    "a mapping that holds itself": "a: &x {b: *x}\n",
    "deep lists": "a: " + "[" * 200_000 + "]" * 200_000,
    "deep JSON": '{"a": ' * 20_000 + "1" + "}" * 20_000,
    "deep blocks": "a:\n" + "".join(" " * i + "-\n" for i in range(1, 2000)),
    "many values": "a: [" + "1," * 100_000 + "1]",
    "a long number": "a: 0x" + "f" * 6000,
    "a long number of minutes": "a: " + "1:" * 60_000 + "1",
    "a long number for a key": "? 0x" + "f" * 6000 + "\n: 1",
    "a long text": "a: '" + "x" * 5_000_000 + "'",
}


@pytest.mark.promptly(*(name for name in BOMBS if name != "many values"))
@pytest.mark.parametrize("name", BOMBS)
def test_a_file_that_would_take_all_memory_is_refused_in_a_line(name: str, tmp_path: Path) -> None:
    path = tmp_path / "x.yaml"
    path.write_text(BOMBS[name])
    began = time.process_time()
    for read in (lambda: read_settings(path), lambda: parse_spec("networks", f"mlp:@{path}")):
        with pytest.raises(SpecError, match=r"x\.yaml'? cannot be read: ") as caught:
            read()
        assert len(str(caught.value).splitlines()) == 1
    assert time.process_time() - began < 30


def test_an_alias_of_a_value_is_read(tmp_path: Path) -> None:
    path = tmp_path / "x.yaml"
    path.write_text("encoder: &net 'mlp:hidden=[8]'\ndecoder: *net\nhidden: &h [8, 8]\nagain: [*h, *h]\n")
    assert read_settings(path) == {
        "encoder": "mlp:hidden=[8]",
        "decoder": "mlp:hidden=[8]",
        "hidden": [8, 8],
        "again": [[8, 8], [8, 8]],
    }


def test_settings_of_ordinary_depth_and_length_are_read(tmp_path: Path) -> None:
    path = tmp_path / "x.json"
    path.write_text(
        '{"columns": [' + ", ".join(f'"gene {i}"' for i in range(5000)) + '], "a": ' + "[" * 30 + "]" * 30 + "}"
    )
    assert len(read_settings(path)["columns"]) == 5000
