"""Who may send requests, and how are they answered? A server for one user on this machine."""

from __future__ import annotations

import asyncio
import contextlib
import json
import secrets
import socket
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

from intel_cli.output.terminal import visible
from intel_cli.report.page import asset
from intel_core.errors import EnvironmentProblem, IntelError, RunError

if TYPE_CHECKING:
    from starlette.applications import Starlette
    from starlette.requests import Request
    from starlette.responses import Response

    from intel_cli.explore.scene import Scene

__all__ = ["application", "listen", "require_installed", "serve"]

HOST = "127.0.0.1"
_MOST_BYTES = 1 << 20
_TOO_MUCH = "Too much was sent."
_HEADERS = {
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; "
    "img-src 'self' data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    "Cache-Control": "no-store",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "Cross-Origin-Resource-Policy": "same-origin",
}


def require_installed() -> None:
    """Fail early if the optional libraries are missing.

    Raises:
        EnvironmentProblem: with the command that installs them.
    """
    try:
        import starlette  # noqa: F401
        import uvicorn  # noqa: F401
    except ImportError as error:
        raise EnvironmentProblem(
            f"intel explore needs {error.name}, which is not installed: pip install 'intelvae-cli[explore]'"
        ) from error


def listen(port: int) -> socket.socket:
    """A socket on the loopback address; port 0 means any free port.

    Raises:
        RunError: if the port is in use or not allowed.
    """
    made = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    try:
        # Otherwise a port that another process has just closed is refused for a minute.
        made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        made.bind((HOST, port))
        made.listen()  # from here on the port is taken, and early requests wait
    except OSError as error:
        made.close()
        raise RunError(
            f"port {port} cannot be listened on ({error.strerror}); choose another --port, or 0 for any free one"
        ) from error
    return made


def application(scene: Scene, token: str, port: int) -> Starlette:
    """The web application.

    Every address begins with the token, and the Host header must name this machine: a page of another site that
    gets its own name resolved to 127.0.0.1 sends its own name there.

    Args:
        scene: what answers; its methods are called in one thread, one after another.
        token: requests without it are refused.
        port: which the Host header names.
    """
    from starlette.applications import Starlette
    from starlette.exceptions import HTTPException
    from starlette.responses import JSONResponse, PlainTextResponse
    from starlette.responses import Response as Answer
    from starlette.routing import Route

    worker = ThreadPoolExecutor(max_workers=1, thread_name_prefix="model")
    hosts = {f"{HOST}:{port}", f"localhost:{port}"}
    origins = {f"http://{host}" for host in hosts}

    async def call(function: Callable[..., Any], *args: Any) -> Response:
        try:
            answer = await asyncio.get_running_loop().run_in_executor(worker, function, *args)
        except IntelError as error:
            return JSONResponse({"error": visible(str(error))}, status_code=400)
        return JSONResponse(_shown(answer))

    def file(name: str, kind: str, package: str = "intel_cli.explore") -> Callable[[Request], Any]:
        async def answer(request: Request) -> Response:
            return Answer(asset(name, package), media_type=kind)

        return answer

    async def start(request: Request) -> Response:
        return await call(scene.start)

    async def plane(request: Request) -> Response:
        return await call(scene.plane, _numbers(request.query_params.get("dims", "")))

    async def example(request: Request) -> Response:
        return await call(scene.example, _number(request.query_params.get("i", "")))

    async def draw(request: Request) -> Response:
        cluster = request.query_params.get("cluster")
        return await call(scene.draw, secrets.randbits(32), None if cluster is None else _number(cluster))

    async def clusters(request: Request) -> Response:
        return await call(scene.clusters)

    async def decode(request: Request) -> Response:
        asked = _asked(await request.body())
        if asked is None:
            return JSONResponse({"error": 'expected a JSON object {"y": [numbers]}'}, status_code=400)
        return await call(scene.decode, *asked)

    routes = [
        Route("/", file("page.html", "text/html")),
        Route("/explore.js", file("explore.js", "text/javascript")),
        Route("/explore.css", file("explore.css", "text/css")),
        Route("/page.css", file("page.css", "text/css", "intel_cli.report")),
        Route("/start", start),
        Route("/plane", plane),
        Route("/example", example),
        Route("/draw", draw),
        Route("/clusters", clusters),
        Route("/decode", decode, methods=["POST"]),
    ]
    inner = Starlette(routes=routes)

    # What else is sent is not read: the connection ends.
    too_large = PlainTextResponse(f"{_TOO_MUCH}\n", status_code=413, headers={**_HEADERS, "Connection": "close"})

    async def guarded(scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] != "http":
            return
        refusal = _refusal(scope, token, hosts, origins)
        if refusal:
            await PlainTextResponse(f"{refusal}\n", status_code=403, headers=_HEADERS)(scope, receive, send)
            return
        if _announced(scope) > _MOST_BYTES:
            await too_large(scope, receive, send)
            return
        rest = scope["path"][len(token) + 1 :]
        if not rest:  # the address without its last slash
            await Answer(status_code=307, headers={"Location": f"/{token}/"})(scope, receive, send)
            return

        taken = 0

        async def bounded() -> Any:
            """What the browser sends next; a body in chunks says not how long it is."""
            nonlocal taken
            message = await receive()
            taken += len(message.get("body", b""))
            if taken > _MOST_BYTES:
                raise HTTPException(413, _TOO_MUCH, {"Connection": "close"})
            return message

        async def with_headers(message: Any) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = [
                    *message["headers"],
                    *((name.lower().encode(), value.encode()) for name, value in _HEADERS.items()),
                ]
            await send(message)

        await inner({**scope, "path": rest, "raw_path": rest.encode(), "root_path": ""}, bounded, with_headers)

    # What uvicorn is given is any ASGI callable; the name is that of what it wraps.
    return guarded  # type: ignore[return-value]


def _refusal(scope: Any, token: str, hosts: set[str], origins: set[str]) -> str:
    """The reason why a request is refused; empty if it is answered."""
    headers = {name.decode("latin-1").lower(): value.decode("latin-1") for name, value in scope["headers"]}
    if headers.get("host", "").lower() not in hosts:
        return "This server answers requests to this machine alone."
    if "origin" in headers and headers["origin"].lower() not in origins:
        return "This server answers its own page alone."
    given = scope["path"].removeprefix("/").partition("/")[0]
    if not secrets.compare_digest(given.encode(), token.encode()):
        return "The address is not complete; intel explore prints it."
    return ""


def _announced(scope: Any) -> int:
    """How many bytes a request says that it sends; 0 where it does not say."""
    given = next((value for name, value in scope["headers"] if name.lower() == b"content-length"), b"")
    return int(given) if given.isdigit() and len(given) < 20 else 0


def _shown(answer: Any) -> Any:
    """The same answer, in whose texts control characters of names are written out."""
    if isinstance(answer, dict):
        return {key: _shown(value) for key, value in answer.items()}
    if isinstance(answer, list):
        return [_shown(value) for value in answer]
    return visible(answer) if isinstance(answer, str) else answer


def _numbers(text: str) -> list[int]:
    return [_number(part) for part in text.split(",")][:2]


def _number(text: str) -> int:
    """An integer, or -1, which is no valid index."""
    return int(text) if text.isascii() and text.isdigit() and len(text) < 10 else -1


def _asked(body: bytes) -> tuple[list[float], list[float]] | None:
    """Which y is to be decoded, and the conditions that are chosen."""
    with contextlib.suppress(ValueError, TypeError, KeyError, RecursionError, OverflowError):
        content = json.loads(body)
        asked = content["y"], content.get("chosen", [])
        if all(isinstance(values, list) for values in asked) and all(
            isinstance(v, int | float) and not isinstance(v, bool) for values in asked for v in values
        ):
            return [float(v) for v in asked[0]], [float(v) for v in asked[1]]
    return None


def serve(scene: Scene, bound: socket.socket, token: str, ready: Callable[[str], None]) -> None:
    """Answer requests until the process is interrupted, which is the normal end.

    Args:
        scene: what answers.
        bound: from `listen`.
        token: what every address begins with.
        ready: called with the address once requests to it are accepted.
    """
    import uvicorn

    port = bound.getsockname()[1]
    config = uvicorn.Config(
        application(scene, token, port),
        log_level="warning",
        access_log=False,
        lifespan="off",
        ws="none",
        timeout_graceful_shutdown=1,
        server_header=False,
    )
    ready(f"http://{HOST}:{port}/{token}/")
    # uvicorn ends its connections first, then hands the interruption on.
    with contextlib.suppress(KeyboardInterrupt):
        uvicorn.Server(config).run(sockets=[bound])
