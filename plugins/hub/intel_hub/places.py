"""Where is a run handed on to, and where from? A folder, a URL, or ``hf://user/name`` on the Hugging Face Hub."""

from __future__ import annotations

import importlib.util
import os
import re
import tempfile
from pathlib import Path
from typing import Any, Protocol
from urllib.error import URLError
from urllib.parse import quote, urlsplit, urlunsplit
from urllib.request import HTTPRedirectHandler, Request, build_opener

from intel_core import files
from intel_core.errors import EnvironmentProblem, RunError, SpecError
from intel_core.runs import opening

__all__ = ["CARD", "FILE", "MOST", "Place", "place_of"]

FILE, CARD = "model.safetensors", "README.md"
MOST = 4 * 2**30
"""Bytes of a file that is pulled."""
_SECONDS = 60
_HUB = re.compile(r"hf://([\w.-]+/[\w.-]+)(?:@([\w./-]+))?")


class Place(Protocol):
    """Where the two files of a run lie."""

    def write(self, content: bytes, card: str, *, force: bool, private: bool) -> str:
        """Put a run there, and say where it is."""

    def read(self) -> bytes:
        """The content of the file there, as yet unread."""


def place_of(text: str) -> Place:
    """The place that is meant by a text.

    Raises:
        SpecError: if none is.
    """
    if text.startswith("hf:"):
        found = _HUB.fullmatch(text)
        if found is None or ".." in text:
            raise SpecError(f"{text!r} is no place on the Hub; expected hf://USER/NAME, or hf://USER/NAME@REVISION")
        return _OnHub(found[1], found[2])
    scheme = urlsplit(text).scheme if "://" in text else ""
    if scheme in ("http", "https"):
        return _AtUrl(text)
    if scheme:
        raise SpecError(
            f"{text!r}: there are no places of {scheme}://; expected a folder, http(s)://… or hf://USER/NAME"
        )
    if not text.strip() or "\0" in text:
        raise SpecError(f"{text!r} is no folder; expected a folder, http(s)://… or hf://USER/NAME")
    return _InFolder(Path(text).expanduser())


class _InFolder:
    """A folder, or a single file that is pulled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def write(self, content: bytes, card: str, *, force: bool, private: bool) -> str:
        if private:
            raise SpecError("--private is for the Hub; a folder has the rights that the system gives it")
        if (self.path / "run.json").exists():
            raise RunError(f"{self.path} is a run directory; choose a folder of its own")
        there = [name for name in (FILE, CARD) if os.path.lexists(self.path / name)]
        if there and not force:
            raise RunError(f"{self.path} holds {' and '.join(there)} already; choose another folder, or say --force")
        try:
            self.path.mkdir(parents=True, exist_ok=True)
        except (OSError, ValueError) as error:
            raise RunError(f"{self.path} cannot be made: {getattr(error, 'strerror', None) or error}") from error
        files.write_bytes(self.path / FILE, content)
        files.write_text(self.path / CARD, card)
        return str(self.path)

    def read(self) -> bytes:
        root, name = (self.path.parent, self.path.name) if self.path.is_file() else (self.path, FILE)
        try:
            return opening.read_bytes(root, name, MOST)
        except FileNotFoundError:
            if not self.path.exists():
                raise RunError(f"there is no file or folder {str(self.path)!r}; the Hub is hf://USER/NAME") from None
            raise RunError(f"{self.path} holds no run that was handed on: there is no {FILE}") from None


class _AtUrl:
    """A file at a URL, or the folder of one; only read."""

    def __init__(self, url: str) -> None:
        parts = urlsplit(url)
        if not parts.path.endswith(".safetensors"):
            parts = parts._replace(path=f"{parts.path.rstrip('/')}/{FILE}")
        self.url = urlunsplit(parts)

    def write(self, content: bytes, card: str, *, force: bool, private: bool) -> str:
        raise SpecError(
            "a run cannot be pushed to a URL; push it to a folder that is served there, or to hf://USER/NAME"
        )

    def read(self) -> bytes:
        shown = _without_secrets(self.url)
        try:
            with build_opener(_SameKind).open(
                Request(self.url, headers={"User-Agent": "intelvae-hub"}), timeout=_SECONDS
            ) as answer:
                length = answer.headers.get("Content-Length", "")
                if length.isdecimal() and int(length) > MOST:
                    raise RunError(f"{shown} is {int(length):,} bytes long, expected at most {MOST:,}")
                content = bytes(answer.read(MOST + 1))
        except (URLError, OSError, ValueError) as error:
            said = getattr(error, "reason", None) or error
            raise EnvironmentProblem(
                f"{shown} cannot be read: {getattr(error, 'code', '')} {said}".replace(":  ", ": ")
            ) from error
        if len(content) > MOST:
            raise RunError(f"{shown} is longer than {MOST:,} bytes")
        if length.isdecimal() and len(content) != int(length):
            raise EnvironmentProblem(f"{shown} broke off after {len(content):,} of {int(length):,} bytes")
        return content


class _SameKind(HTTPRedirectHandler):
    """Redirections lead to other web addresses only, and never from https to http."""

    def redirect_request(self, req: Request, fp: Any, code: int, msg: str, headers: Any, newurl: str) -> Request | None:
        allowed = ("https",) if req.type == "https" else ("http", "https")
        if urlsplit(newurl).scheme not in allowed:
            raise URLError(f"it leads on to {_without_secrets(newurl)}, which is not followed")
        return super().redirect_request(req, fp, code, msg, headers, newurl)


def _without_secrets(url: str) -> str:
    """A URL for a message: without a password, and without what may be a signature."""
    parts = urlsplit(url)
    host = parts.netloc.rpartition("@")[2]
    return urlunsplit((parts.scheme, host, quote(parts.path, safe="/%"), "", ""))


class _OnHub:
    """A repository of models on the Hugging Face Hub, or at the end point that ``HF_ENDPOINT`` names."""

    def __init__(self, repository: str, revision: str | None) -> None:
        self.repository, self.revision = repository, revision
        self._endpoint = os.environ.get("HF_ENDPOINT") or None

    def write(self, content: bytes, card: str, *, force: bool, private: bool) -> str:
        hub = _hub()
        api = hub.HfApi(endpoint=self._endpoint)
        operations = [
            hub.CommitOperationAdd(FILE, content),
            hub.CommitOperationAdd(CARD, card.encode()),
        ]
        with _Told(f"hf://{self.repository}", "written"):
            api.create_repo(self.repository, exist_ok=True, private=private or None)
            if not force and api.file_exists(self.repository, FILE, revision=self.revision):
                raise RunError(f"hf://{self.repository} holds {FILE} already; choose another name, or say --force")
            api.create_commit(self.repository, operations, commit_message="A trained InteL-VAE", revision=self.revision)
        return f"hf://{self.repository}" + (f"@{self.revision}" if self.revision else "")

    def read(self) -> bytes:
        hub = _hub()
        where = {"revision": self.revision, "endpoint": self._endpoint}
        with _Told(f"hf://{self.repository}", "read"), tempfile.TemporaryDirectory() as folder:
            size = hub.get_hf_file_metadata(hub.hf_hub_url(self.repository, FILE, **where)).size
            if size is None or size > MOST:
                raise RunError(f"hf://{self.repository}: {FILE} is {size or 0:,} bytes long, expected at most {MOST:,}")
            # Into a folder of its own: the cache consists of links, which are not followed.
            hub.hf_hub_download(self.repository, FILE, local_dir=folder, **where)
            return opening.read_bytes(Path(folder), FILE, MOST)


def _hub() -> Any:
    if importlib.util.find_spec("huggingface_hub") is None:
        raise EnvironmentProblem("hf:// needs the package huggingface_hub: pip install 'intelvae-hub[huggingface]'")
    import huggingface_hub

    return huggingface_hub


class _Told:
    """What the library or the network raises, in one line."""

    def __init__(self, what: str, doing: str) -> None:
        self.what, self.doing = what, doing

    def __enter__(self) -> None:
        pass

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        if isinstance(error, Exception) and not isinstance(error, RunError):
            lines = [line.strip() for line in str(error).splitlines() if line.strip()]
            said = f"{type(error).__name__}: {lines[0][:200] if lines else 'no reason given'}"
            raise EnvironmentProblem(f"{self.what} cannot be {self.doing}: {said}") from error
