"""Is a file of a stranger data and nothing else? Whatever is wrong with it is told in a line, and nothing is left."""

from __future__ import annotations

import json
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from intel_hub import pull
from intel_hub.packing import read_packed

from intel_core import IntelError, RunError


def refused(source: Path, tmp_path: Path, match: str) -> None:
    before = sorted(path for path in tmp_path.rglob("*"))
    with pytest.raises(IntelError, match=match) as caught:
        pull(source, tmp_path / "pulled")
    assert len(str(caught.value).splitlines()) == 1
    assert sorted(path for path in tmp_path.rglob("*")) == before


def boom(*_: object) -> None:
    raise AssertionError("it was unpickled")


class Bomb:
    def __reduce__(self) -> Any:
        return boom, ()


@pytest.mark.parametrize(
    ("content", "match"),
    [
        (b"", "no safetensors file"),
        (b"\xff" * 100, "no safetensors file"),
        (pickle.dumps(Bomb()), "no safetensors file"),
        (b"PK\x03\x04" + b"\0" * 100, "is no run that was handed on"),
        ((2).to_bytes(8, "little") + b"{}", "no 'intelvae'"),
        ((40).to_bytes(8, "little") + b"[" * 40, "nested deeper|Expecting"),
        ((200_000).to_bytes(8, "little") + b"[" * 200_000, "nested deeper"),
    ],
)
def test_what_is_no_run(tmp_path: Path, given: Callable[[bytes], Path], content: bytes, match: str) -> None:
    refused(given(content), tmp_path, match)


SAYS: dict[str, tuple[Callable[[dict[str, Any]], Any], str]] = {
    "no run": (lambda said: said.pop("run"), "run is missing"),
    "a later format": (lambda said: said.update(format=2), "format 2"),
    "another checksum": (lambda said: said.update(sha256="0" * 64), "do not match their checksum"),
    "a run of another form": (lambda said: said["run"].pop("data"), "run.json is damaged: data is missing"),
    "no status": (lambda said: said["metrics"].pop("status"), "metrics.json is damaged"),
    "not finished": (lambda said: said["metrics"].update(status="interrupted"), "says that the run is interrupted"),
    "a log of texts": (lambda said: said.update(log=["x"]), "log.0 is not what was written there"),
    "other networks": (lambda said: said["run"]["spec"].update(encoder="mlp:hidden=[9]"), "do not fit its spec"),
    "a mapping that is not there": (lambda said: said["run"]["spec"].update(mapping=["nobody"]), "nobody"),
    "settings from a file": (
        lambda said: said["run"]["spec"].update(data="arrays:@/etc/passwd"),
        "cannot be understood",
    ),
    "a huge model": (lambda said: said["run"]["spec"].update(encoder="mlp:hidden=[99999999]"), "."),
}


@pytest.mark.parametrize("what", SAYS)
def test_what_it_says_is_held_to_what_runs_say(
    tmp_path: Path, given: Callable[[bytes], Path], changed: Callable[..., bytes], what: str
) -> None:
    change, match = SAYS[what]
    refused(given(changed(change)), tmp_path, match)


HOLDS: dict[str, tuple[Callable[[dict[str, Any]], Any], str]] = {
    "one more": (lambda found: found.update(extra=torch.ones(2)), "extra is unexpected"),
    "one less": (lambda found: found.pop(sorted(found)[0]), "is missing"),
    "another type": (lambda found: found.update({k: v.double() for k, v in found.items()}), "type float64"),
    "no numbers": (lambda found: [v.fill_(torch.nan) for v in found.values()], "NaN"),
}


@pytest.mark.parametrize("what", HOLDS)
def test_its_tensors_are_held_to_those_of_the_model(
    tmp_path: Path, given: Callable[[bytes], Path], changed: Callable[..., bytes], what: str
) -> None:
    change, match = HOLDS[what]
    refused(given(changed(tensors=change)), tmp_path, match)


def test_a_flipped_bit_is_noticed(tmp_path: Path, given: Callable[[bytes], Path], packed: bytes) -> None:
    spoiled = bytearray(packed)
    spoiled[-1] ^= 1
    refused(given(bytes(spoiled)), tmp_path, "do not match their checksum")
    refused(given(packed[:-10]), tmp_path, "is no run that was handed on")


def test_a_name_leads_nowhere(
    tmp_path: Path, given: Callable[[bytes], Path], changed: Callable[..., bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "home").mkdir()
    monkeypatch.chdir(tmp_path / "home")
    run = pull(given(changed(lambda said: said["run"].update(name="../../../x/ y\n"))))
    assert run.path == Path("runs/x-y")
    again = pull(given(changed(lambda said: said["run"].update(name=".."))))
    assert again.path == Path("runs/pulled")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["given", "home"]


def test_links_are_not_followed(tmp_path: Path, given: Callable[[bytes], Path], packed: bytes) -> None:
    folder = given(packed)
    (folder / "model.safetensors").rename(tmp_path / "elsewhere")
    (folder / "model.safetensors").symlink_to(tmp_path / "elsewhere")
    refused(folder, tmp_path, "link")
    (folder / "model.safetensors").unlink()
    (folder / "model.safetensors").mkdir()
    refused(folder, tmp_path, ".")


def test_a_log_of_a_stranger_is_kept_in_lines_that_are_read(
    tmp_path: Path, given: Callable[[bytes], Path], changed: Callable[..., bytes], packed: bytes
) -> None:
    bad = {"step": "x\n{}", "kind": "train"}
    run = pull(given(changed(lambda said: said["log"].append(bad))), tmp_path / "pulled")
    assert run.records() == read_packed(packed)["log"]
    assert json.loads((run.path / "run.json").read_text())["name"] == "two-clouds"


def test_the_place_is_still_refused_if_it_is_taken(
    tmp_path: Path, given: Callable[[bytes], Path], packed: bytes
) -> None:
    (tmp_path / "pulled").mkdir()
    (tmp_path / "pulled" / "mine").write_text("")
    with pytest.raises(RunError, match="not empty"):
        pull(given(packed), tmp_path / "pulled")
    (tmp_path / "pulled" / "mine").unlink()
    assert pull(given(packed), tmp_path / "pulled").status == "finished"


def test_a_place_that_is_not_there_is_said_not_to_be_there(tmp_path: Path) -> None:
    refused(tmp_path / "nope", tmp_path, "there is no file or folder .*nope'; the Hub is hf://USER/NAME")
