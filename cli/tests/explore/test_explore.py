"""`intel explore`: what the page asks is answered from the model, and nobody else is answered at all."""

import asyncio
import json
import re
import signal
import socket
import sys
import time
import urllib.error
import urllib.request

import numpy as np
import pytest
import torch

from intel_core import DataError, fit, load_run, make_dataset

pytest.importorskip("starlette", reason="starlette is not installed: pip install 'intelvae-cli[explore]'")
pytest.importorskip("uvicorn", reason="uvicorn is not installed: pip install 'intelvae-cli[explore]'")

TOKEN, PORT = "right-token", 8123


@pytest.fixture(scope="module")
def scenes(trained, toys):
    """The scene of each run, made once."""
    from intel_cli.explore.scene import Scene

    from intel_core.components import discovery as plugins

    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(toys)
        plugins.refresh()
        runs = {name: load_run(trained / name) for name in ("points", "images")}
        return {name: Scene(run, run.dataset()) for name, run in runs.items()}


# --- what is answered ----------------------------------------------------------------------------------------------


def test_decoding_is_that_of_the_run(scenes):
    run = load_run(scenes["points"].run.path)
    y = torch.tensor([[0.5, -1.0]])
    z = run.model.mapping(y).detach()
    found = scenes["points"].decode(y[0].tolist())
    assert found["z"] == pytest.approx(z[0].tolist(), rel=1e-3)
    assert found["values"] == pytest.approx(run.original_units(run.decode(z))[0].tolist(), rel=1e-4)
    assert scenes["points"].decode([0.0, 0.0])["values"] != found["values"]


def test_an_image_is_decoded_to_its_own_pixels(scenes):
    import base64
    import io

    import numpy as np
    from PIL import Image

    scene = scenes["images"]
    y = [0.3] * scene.run.model.y_dim
    shown = scene.decode(y)["image"].removeprefix("data:image/png;base64,")
    pixels = np.asarray(Image.open(io.BytesIO(base64.b64decode(shown)))).astype(float)
    expected = scene.run.decode(scene.run.model.mapping(torch.tensor([y])).detach())[0, 0].numpy() * 255
    assert np.abs(pixels - expected).max() <= 1


def test_decoding_takes_less_than_a_frame(scenes):
    scene = scenes["images"]
    y = [0.0] * scene.run.model.y_dim
    scene.decode(y)
    times = []
    for _ in range(20):
        begin = time.perf_counter()
        scene.decode(y)
        times.append(time.perf_counter() - begin)
    assert sorted(times)[len(times) // 2] < 0.05


def test_a_test_example_is_where_its_posterior_is(scenes):
    scene = scenes["points"]
    x = scene.run.dataset().test
    found = scene.example(3)
    assert found["y"] == pytest.approx(scene.run.encode(x.x[3:4]).mean[0].tolist(), rel=1e-3, abs=1e-4)
    assert found["label"] == f"class {int(x.labels[3])}"


def test_draws_hang_on_their_seed_and_are_draws_of_the_prior(scenes):
    drawn = torch.tensor([scenes["images"].draw(seed)["y"] for seed in range(300)])
    assert scenes["images"].draw(1) == scenes["images"].draw(1)
    assert abs(float(drawn.mean())) < 0.1
    assert 0.9 < float(drawn.std()) < 1.1


@pytest.mark.parametrize("dims", [[0], [0, 0], [0, 99], [-1, 0], []])
def test_no_such_plane(scenes, dims):
    with pytest.raises(DataError, match="2 different dimensions of 0 to 9"):
        scenes["images"].plane(dims)


@pytest.mark.parametrize("y", [[], [0.0], [0.0] * 3, [float("nan"), 0.0], [1e9, 0.0]])
def test_no_such_y(scenes, y):
    with pytest.raises(DataError, match="y must be 2 numbers"):
        scenes["points"].decode(y)


def test_no_such_example(scenes):
    for index in (-1, 10_000):
        with pytest.raises(DataError, match="there are 12, counted from 0"):
            scenes["points"].example(index)


@pytest.mark.parametrize("data", ["toy_line", "toy_wide", "toy_space"])
def test_vectors_of_every_width(ok, tiny, data):
    from intel_cli.explore.scene import Scene

    ok("train", "--data", data, *tiny, "--quiet", "--no-pictures", "--run-dir", "r")
    run = load_run("r")
    for dataset in (run.dataset(), None):
        scene = Scene(run, dataset)
        start = scene.start()
        assert start["output"]["kind"] == "profile"
        assert len(scene.decode([0.0] * start["y_dim"])["values"]) == run.model.x_shape[0]
        assert "<svg" in scene.plane(start["planes"][0])["y"]


# --- who is answered -----------------------------------------------------------------------------------------------


def ask(scene, path, *, method="GET", body=b"", **headers):
    """A request to the application itself, without a network."""
    from intel_cli.explore.server import application

    async def run():
        sent = []
        fields = {"host": f"127.0.0.1:{PORT}", **{k.replace("_", "-"): v for k, v in headers.items()}}
        path_only, _, query = path.partition("?")
        scope = {
            "type": "http",
            "asgi": {"version": "3.0"},
            "http_version": "1.1",
            "method": method,
            "path": path_only,
            "raw_path": path_only.encode(),
            "query_string": query.encode(),
            "headers": [(k.encode(), v.encode()) for k, v in fields.items()],
            "client": ("127.0.0.1", 5),
            "server": ("127.0.0.1", PORT),
            "scheme": "http",
            "root_path": "",
        }

        ahead = [body] if isinstance(body, bytes) else body

        async def receive():
            piece = ahead.pop(0)
            return {"type": "http.request", "body": piece, "more_body": bool(ahead)}

        async def send(message):
            sent.append(message)

        await application(scene, TOKEN, PORT)(scope, receive, send)
        return sent

    sent = asyncio.run(run())
    content = b"".join(message.get("body", b"") for message in sent if message["type"] == "http.response.body")
    return sent[0]["status"], content, {k.decode(): v.decode() for k, v in sent[0]["headers"]}


PATHS = (
    "",
    "start",
    "plane?dims=0,1",
    "example?i=0",
    "draw",
    "draw?cluster=1",
    "clusters",
    "explore.js",
    "explore.css",
    "page.css",
)


@pytest.mark.parametrize("path", PATHS)
def test_every_address_answers_with_the_token_and_is_refused_without(scenes, path):
    status, content, headers = ask(scenes["points"], f"/{TOKEN}/{path}")
    assert status == 200
    assert content
    assert headers["content-security-policy"].startswith("default-src 'none'")
    for wrong in (f"/{path}", f"/wrong/{path}", f"/{TOKEN[:-1]}/{path}", f"/x/{TOKEN}/{path}", f"//{TOKEN}/{path}"):
        assert ask(scenes["points"], wrong)[0] == 403, wrong


def test_a_foreign_host_is_refused_even_with_the_token(scenes):
    for host in (
        "evil.example",
        f"evil.example:{PORT}",
        "127.0.0.1",
        f"127.0.0.1:{PORT + 1}",
        "127.0.0.1.evil.example:1",
        "",
    ):
        status, content, _ = ask(scenes["points"], f"/{TOKEN}/start", host=host)
        assert status == 403, host
        assert TOKEN.encode() not in content
    assert ask(scenes["points"], f"/{TOKEN}/start", host=f"localhost:{PORT}")[0] == 200


def test_a_page_of_another_origin_is_refused(scenes):
    body = json.dumps({"y": [0, 0]}).encode()
    there = f"/{TOKEN}/decode"
    assert ask(scenes["points"], there, method="POST", body=body, origin="https://evil.example")[0] == 403
    assert ask(scenes["points"], there, method="POST", body=body, origin="null")[0] == 403
    assert ask(scenes["points"], there, method="POST", body=body, origin=f"http://127.0.0.1:{PORT}")[0] == 200


@pytest.mark.parametrize(
    "body", [b"", b"{", b"[]", b"{}", b'{"y": 1}', b'{"y": ["a", 0]}', b'{"y": [true, 0]}', b'{"y": [1]}', b"[" * 9000]
)
def test_nonsense_is_answered_in_a_line(scenes, body):
    status, content, _ = ask(scenes["points"], f"/{TOKEN}/decode", method="POST", body=body)
    assert status == 400
    assert json.loads(content)["error"]


@pytest.mark.parametrize("path", ["plane?dims=", "plane?dims=a,b", "plane", "example?i=-1", "example?i=x", "example"])
def test_nonsense_in_an_address_is_too(scenes, path):
    status, content, _ = ask(scenes["points"], f"/{TOKEN}/{path}")
    assert status == 400
    assert json.loads(content)["error"]


def test_what_is_not_there(scenes):
    assert ask(scenes["points"], f"/{TOKEN}/nothing")[0] == 404
    assert ask(scenes["points"], f"/{TOKEN}/../page.css")[0] == 404
    assert ask(scenes["points"], f"/{TOKEN}/decode")[0] == 405
    assert ask(scenes["points"], f"/{TOKEN}", method="GET")[2]["location"] == f"/{TOKEN}/"


def test_too_much_is_not_read(scenes):
    assert ask(scenes["points"], f"/{TOKEN}/decode", method="POST", content_length=str(1 << 30))[0] == 413


def test_of_a_body_in_chunks_no_more_than_the_limit_is_read(scenes):
    chunks = [b" " * (1 << 16)] * 100
    status, _, headers = ask(scenes["points"], f"/{TOKEN}/decode", method="POST", body=chunks)
    assert (status, headers["connection"]) == (413, "close")
    assert len(chunks) == 100 - 17
    small = [b'{"y": [0, ', b"0]}"]
    assert ask(scenes["points"], f"/{TOKEN}/decode", method="POST", body=small)[0] == 200


# --- the command ---------------------------------------------------------------------------------------------------


def test_it_prints_its_address_and_ends_well_with_ctrl_c(start, trained):
    process = start("explore", str(trained / "points"), "--no-browser")
    try:
        line = process.stdout.readline()
        address = re.search(r"http://127\.0\.0\.1:\d+/[\w-]{20,}/", line)[0]
        assert "Ctrl-C ends it." in line + process.stdout.readline()
        with urllib.request.urlopen(address + "start", timeout=90) as answer:
            assert json.load(answer)["y_dim"] == 2
        with pytest.raises(urllib.error.HTTPError, match="403"):
            urllib.request.urlopen(re.sub(r"/[\w-]+/$", "/", address), timeout=90)
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=90)
        assert process.returncode == 0
        assert err.strip() == "Ended."
    finally:
        process.kill()


def test_it_listens_on_this_machine_alone():
    from intel_cli.explore.server import listen

    with listen(0) as bound:
        assert bound.getsockname()[0] == "127.0.0.1"


def test_a_port_is_taken_as_soon_as_it_is_bound():
    from intel_cli.explore.server import listen

    from intel_core.errors import RunError

    with listen(0) as bound, pytest.raises(RunError, match="cannot be listened on"):
        listen(bound.getsockname()[1])


def test_a_port_in_use(call, trained):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        result = call("explore", trained / "points", "--port", port, "--no-browser")
    assert result.exit_code == 2
    assert f"Error: port {port} cannot be listened on" in result.stderr
    assert "choose another --port" in result.stderr
    assert len(result.stderr.strip().splitlines()) == 1


@pytest.mark.parametrize("missing", ["starlette", "uvicorn"])
def test_without_its_libraries_it_says_what_to_install(call, trained, monkeypatch, missing):
    monkeypatch.setitem(sys.modules, missing, None)
    result = call("explore", trained / "points", "--no-browser")
    assert result.exit_code == 5
    assert "pip install 'intelvae-cli[explore]'" in result.stderr
    assert len(result.stderr.strip().splitlines()) == 1


def test_no_such_run(call, here):
    result = call("explore", "nowhere", "--no-browser")
    assert result.exit_code == 2
    assert "nowhere" in result.stderr


# --- clusters --------------------------------------------------------------------------------------------------------


def test_each_cluster_has_a_row_and_y_says_in_which_it_is(scenes):
    scene = scenes["points"]
    assert scene.start()["clusters"] == 2
    found = scene.clusters()
    assert [row["index"] for row in found["rows"]] == [0, 1]
    assert all("<svg" in row["samples"] and "95" not in row["prior"] for row in found["rows"])
    assert found["examples"] == 12
    assert [scene.decode([first, 0.0])["cluster"] for first in (-1.0, 1.0)] == [0, 1]
    assert (scenes["images"].start()["clusters"], scenes["images"].clusters()["rows"]) == (0, [])
    assert scenes["images"].decode([0.0] * scenes["images"].run.model.y_dim)["cluster"] is None


@pytest.mark.parametrize("cluster", [0, 1])
def test_draws_of_one_cluster_lie_in_it(scenes, cluster):
    drawn = [scenes["points"].draw(seed, cluster)["y"] for seed in range(5)]
    assert [scenes["points"].decode(y)["cluster"] for y in drawn] == [cluster] * 5
    status, content, _ = ask(scenes["points"], f"/{TOKEN}/draw?cluster={cluster}")
    assert status == 200
    assert (json.loads(content)["y"][0] > 0) == bool(cluster)


@pytest.mark.parametrize("cluster", ["2", "x", "-1"])
def test_no_such_cluster_is_told(scenes, cluster):
    status, content, _ = ask(scenes["points"], f"/{TOKEN}/draw?cluster={cluster}")
    assert status == 400
    assert "its 2 clusters are 0 to 1" in json.loads(content)["error"]


# --- conditions ----------------------------------------------------------------------------------------------------


X = torch.randn(90, 3, generator=torch.Generator().manual_seed(0))
CONDITIONS = {"batch": ["a", "b", "c\x1b[2J"] * 30, "age": np.linspace(20.0, 60.0, 90)}
BASE = {"latent": 2, "steps": 20, "batch_size": 10, "device": "cpu", "network": "mlp:hidden=[8]", "progress": False}


@pytest.fixture(scope="module")
def conditional(tmp_path_factory):
    from intel_cli.explore.scene import Scene

    data = make_dataset("some", X, conditions=CONDITIONS)
    run = fit(data=data, run_dir=tmp_path_factory.mktemp("explored") / "run", **BASE)
    return Scene(run, data)


def test_the_page_is_told_them_and_which_are_chosen_at_first(conditional):
    start = conditional.start()
    assert start["conditions"] == [{"name": "batch", "levels": ["a", "b", "c\x1b[2J"]}, {"name": "age", "levels": []}]
    batch, age = start["chosen"]
    assert batch in (0, 1, 2)
    assert 20 <= age <= 60
    assert conditional.start()["chosen"] == start["chosen"]


def test_decoding_is_that_of_the_run_with_these(conditional):
    y = [0.5, -1.0]
    found = conditional.decode(y, [2, 33.0])
    z = conditional.run.model.mapping(torch.tensor([y])).detach()
    expected = conditional.run.decode(z, conditions={"batch": "c\x1b[2J", "age": 33.0})[0]
    assert found["values"] == pytest.approx(expected.tolist(), rel=1e-4)
    assert conditional.decode(y, [1, 33.0])["values"] != found["values"]
    assert conditional.decode(y, [2, 34.0])["values"] != found["values"]


def test_a_test_example_brings_its_own(conditional):
    part = conditional.dataset.test.part(torch.arange(len(conditional.dataset.test)))
    for index in range(6):
        chosen = conditional.example(index)["chosen"]
        again = conditional.run.units.conditions.read(conditional.choices.values(chosen), 1)
        torch.testing.assert_close(again[0], part.conditions[index], rtol=1e-4, atol=1e-4)
    mean = conditional.run.encode(part).mean[3]
    assert conditional.example(3)["y"] == pytest.approx(mean.tolist(), rel=1e-3, abs=1e-4)


@pytest.mark.parametrize(
    ("chosen", "said"),
    [
        ([], "there are 2 conditions to be chosen, not 0"),
        ([0, 1, 2], "there are 2 conditions to be chosen, not 3"),
        ([3, 30.0], "condition batch has 3 levels, counted from 0, not 3"),
        ([0.5, 30.0], "condition batch has 3 levels, counted from 0, not 0.5"),
        ([-1, 30.0], "condition batch has 3 levels"),
        ([float("nan"), 30.0], "condition batch has 3 levels"),
        ([0, float("nan")], "condition age: nan is no number"),
        ([0, 1e300], "condition age: 1e\\+300 is no number"),
    ],
)
def test_what_cannot_be_chosen_is_told_in_a_line(conditional, chosen, said):
    with pytest.raises(DataError, match=said):
        conditional.decode([0.0, 0.0], chosen)


@pytest.mark.parametrize(
    ("body", "status"),
    [
        ({"y": [0, 0], "chosen": [1, 30]}, 200),
        ({"y": [0, 0]}, 400),
        ({"y": [0, 0], "chosen": [9, 30]}, 400),
        ({"y": [0, 0], "chosen": ["b", 30]}, 400),
        ({"y": [0, 0], "chosen": {"batch": 1}}, 400),
        ({"y": [0, 0], "chosen": [1, 10**400]}, 400),
    ],
)
def test_they_come_with_y(conditional, body, status):
    answered, content, _ = ask(conditional, f"/{TOKEN}/decode", method="POST", body=json.dumps(body).encode())
    assert answered == status
    assert ("values" if status == 200 else "error") in json.loads(content)


def test_a_run_without_conditions_has_none_to_choose(tmp_path):
    from intel_cli.explore.scene import Scene

    run = fit(data=X, run_dir=tmp_path / "run", **BASE)
    scene = Scene(run, None)
    assert (scene.start()["conditions"], scene.start()["chosen"]) == ([], [])
    assert len(scene.decode([0.0, 0.0])["values"]) == 3
    with pytest.raises(DataError, match="there are 0 conditions to be chosen, not 1"):
        scene.decode([0.0, 0.0], [1])
