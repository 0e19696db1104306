"""Are runs pulled from a URL, and pushed to and pulled from an end point of the Hub, with its own client, offline?"""

from __future__ import annotations

import base64
import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, ClassVar

import pytest
import torch
from intel_hub import places as places_module
from intel_hub import pull, push

from intel_core import Run, RunError
from intel_core.errors import EnvironmentProblem


class Web(BaseHTTPRequestHandler):
    """Answers as a site does, and as much of the Hub as pushing and pulling takes."""

    files: ClassVar[dict[str, bytes]] = {}
    hub: ClassVar[dict[str, dict[str, bytes]]] = {}
    asked: ClassVar[list[str]] = []

    def log_message(self, *args: object) -> None:
        pass

    def answer(self, code: int, content: bytes = b"", **headers: str) -> None:
        self.send_response(code)
        for name, value in {"Content_Length": str(len(content)), **headers}.items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(content)

    def say(self, **said: Any) -> None:
        self.answer(200, json.dumps(said).encode(), Content_Type="application/json")

    def do_HEAD(self) -> None:
        self.do_GET()

    def do_GET(self) -> None:
        self.asked.append(f"{self.command} {self.path}")
        if self.path in self.files:
            self.answer(200, self.files[self.path])
        elif self.path.startswith("/to/"):
            self.answer(302, Location=self.path.removeprefix("/to/").split("|")[0])
        elif self.path.startswith("/short/"):
            self.answer(200, b"abc", Content_Length="100")
        elif "/resolve/" in self.path:
            repository, _, rest = self.path.lstrip("/").partition("/resolve/")
            found = self.hub.get(repository, {}).get(rest.partition("/")[2])
            etag = {"ETag": f'"{len(found or b"")}"', "X_Repo_Commit": "0" * 40}
            self.answer(404, X_Error_Code="EntryNotFound") if found is None else self.answer(200, found, **etag)
        else:
            self.answer(404)

    def do_POST(self) -> None:
        self.asked.append(f"{self.command} {self.path}")
        body = self.rfile.read(int(self.headers["Content-Length"]))
        if self.path == "/api/repos/create":
            said = json.loads(body)
            name = f"{said['organization']}/{said['name']}" if said.get("organization") else f"me/{said['name']}"
            self.hub.setdefault(name, {})
            self.asked.append(f"private={said.get('private') or said.get('visibility')}")
            self.say(url=f"http://{self.headers['Host']}/{name}")
        elif self.path == "/api/validate-yaml":
            Web.asked.append(json.loads(body)["content"])
            self.say(errors=[], warnings=[])
        elif self.path.endswith("/preupload/main"):
            names = [one["path"] for one in json.loads(body)["files"]]
            self.say(files=[{"path": n, "uploadMode": "regular", "shouldIgnore": False, "oid": None} for n in names])
        elif self.path.endswith("/commit/main"):
            repository = self.path.removeprefix("/api/models/").removesuffix("/commit/main")
            for line in body.splitlines():
                one = json.loads(line)
                if one["key"] == "file":
                    self.hub[repository][one["value"]["path"]] = base64.b64decode(one["value"]["content"])
            where = f"http://{self.headers['Host']}/{repository}/commit/{'0' * 40}"
            self.say(commitUrl=where, commitOid="0" * 40, commitMessage="", success=True)
        else:
            self.answer(404)


@pytest.fixture
def web(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """The address of a server on this machine, and no proxy before it."""
    for name in ("files", "hub", "asked"):
        monkeypatch.setattr(Web, name, [] if name == "asked" else {})
    for name in ("http_proxy", "HTTP_PROXY", "https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
    server = ThreadingHTTPServer(("127.0.0.1", 0), Web)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.server_address[1]}"
    server.shutdown()
    server.server_close()
    thread.join()


# --- a URL -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("path", ["/theirs", "/theirs/", "/theirs/model.safetensors", "/to//theirs/model.safetensors|"])
def test_a_url_of_the_file_or_its_folder(tmp_path: Path, web: str, run: Run, packed: bytes, path: str) -> None:
    Web.files["/theirs/model.safetensors"] = packed
    assert torch.equal(pull(web + path, tmp_path / "pulled").sample(3), run.sample(3))


@pytest.mark.parametrize(
    ("path", "match"),
    [
        ("/nowhere", "cannot be read: 404"),
        ("/to/file:///etc/passwd|", "leads on to file:|not followed|not allowed"),
        ("/short/model.safetensors", "broke off|cannot be read"),
    ],
)
def test_urls_that_fail_are_told_in_a_line(tmp_path: Path, web: str, path: str, match: str) -> None:
    with pytest.raises(EnvironmentProblem, match=match) as caught:
        pull(web + path, tmp_path / "pulled")
    assert "\n" not in str(caught.value)
    assert list(tmp_path.iterdir()) == []


def test_a_url_gives_no_more_than_was_expected(
    tmp_path: Path, web: str, packed: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    Web.files["/theirs/model.safetensors"] = packed
    monkeypatch.setattr(places_module, "MOST", len(packed) - 1)
    with pytest.raises(RunError, match="expected at most"):
        pull(f"{web}/theirs", tmp_path / "pulled")


def test_passwords_are_not_told(tmp_path: Path) -> None:
    with pytest.raises(EnvironmentProblem) as caught:
        pull("http://me:secret@127.0.0.1:1/x?signature=secret", tmp_path / "pulled")
    assert str(caught.value).startswith("http://127.0.0.1:1/x/model.safetensors cannot be read")
    assert "secret" not in str(caught.value)


# --- the Hub ---------------------------------------------------------------------------------------------------------


@pytest.fixture
def hub(web: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> str:
    pytest.importorskip("huggingface_hub")
    monkeypatch.setenv("HF_ENDPOINT", web)
    monkeypatch.setenv("HF_TOKEN", "hf_test")
    return web


def test_the_hub_takes_and_gives_a_run(tmp_path: Path, hub: str, run: Run) -> None:
    assert push(run, "hf://me/clouds", private=True) == "hf://me/clouds"
    assert {"private=True", "private=private"} & {*Web.asked}  # as versions of the client say it
    assert sorted(Web.hub["me/clouds"]) == ["README.md", "model.safetensors"]
    assert Web.hub["me/clouds"]["README.md"].startswith(b"---\nlibrary_name: intelvae\n")
    assert torch.equal(pull("hf://me/clouds", tmp_path / "pulled").sample(3), run.sample(3))
    with pytest.raises(RunError, match=r"holds model\.safetensors already"):
        push(run, "hf://me/clouds")
    push(run, "hf://me/clouds", force=True)


@pytest.mark.parametrize("place", ["hf://me/nowhere", "hf://me/clouds@other"])
def test_what_the_hub_has_not_is_told_in_a_line(tmp_path: Path, hub: str, place: str) -> None:
    with pytest.raises(EnvironmentProblem, match=r"hf://me/.* cannot be read: ") as caught:
        pull(place, tmp_path / "pulled")
    assert "\n" not in str(caught.value)
    assert list(tmp_path.iterdir()) == []


def test_a_file_of_the_hub_is_bounded(tmp_path: Path, hub: str, run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    push(run, "hf://me/clouds")
    monkeypatch.setattr(places_module, "MOST", 1000)
    with pytest.raises(RunError, match="expected at most 1,000"):
        pull("hf://me/clouds", tmp_path / "pulled")
    assert not [one for one in Web.asked if one.startswith("GET") and one.endswith("model.safetensors")]


def test_without_the_package(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(places_module.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(EnvironmentProblem, match=r"pip install 'intelvae-hub\[huggingface\]'"):
        push(run, "hf://me/clouds")
