"""`intel explore` of a run with conditions: they are chosen on the page, and decoding follows them."""

import json

import numpy as np
import pytest
import torch

from intel_core import DataError, fit

pytest.importorskip("starlette", reason="starlette is not installed: pip install 'intelvae-cli[explore]'")

X = torch.randn(90, 3, generator=torch.Generator().manual_seed(0))
CONDITIONS = {"batch": ["a", "b", "c\x1b[2J"] * 30, "age": np.linspace(20.0, 60.0, 90)}
BASE = {"latent": 2, "steps": 20, "batch_size": 10, "device": "cpu", "network": "mlp:hidden=[8]", "progress": False}


@pytest.fixture(scope="module")
def scene(tmp_path_factory):
    from intel_cli.explore.scene import Scene

    from intel_core import make_dataset

    data = make_dataset("some", X, conditions=CONDITIONS)
    run = fit(data=data, run_dir=tmp_path_factory.mktemp("explored") / "run", **BASE)
    return Scene(run, data)


def test_the_page_is_told_them_and_which_are_chosen_at_first(scene):
    start = scene.start()
    assert start["conditions"] == [{"name": "batch", "levels": ["a", "b", "c\x1b[2J"]}, {"name": "age", "levels": []}]
    batch, age = start["chosen"]
    assert batch in (0, 1, 2)
    assert 20 <= age <= 60
    assert scene.start()["chosen"] == start["chosen"]


def test_decoding_is_that_of_the_run_with_these(scene):
    y = [0.5, -1.0]
    found = scene.decode(y, [2, 33.0])
    z = scene.run.model.mapping(torch.tensor([y])).detach()
    expected = scene.run.decode(z, conditions={"batch": "c\x1b[2J", "age": 33.0})[0]
    assert found["values"] == pytest.approx(expected.tolist(), rel=1e-4)
    assert scene.decode(y, [1, 33.0])["values"] != found["values"]
    assert scene.decode(y, [2, 34.0])["values"] != found["values"]


def test_a_test_example_brings_its_own(scene):
    part = scene.dataset.test.part(torch.arange(len(scene.dataset.test)))
    for index in range(6):
        chosen = scene.example(index)["chosen"]
        again = scene.run.units.conditions.read(scene.choices.values(chosen), 1)
        torch.testing.assert_close(again[0], part.conditions[index], rtol=1e-4, atol=1e-4)
    mean = scene.run.encode(part).mean[3]
    assert scene.example(3)["y"] == pytest.approx(mean.tolist(), rel=1e-3, abs=1e-4)


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
def test_what_cannot_be_chosen_is_told_in_a_line(scene, chosen, said):
    with pytest.raises(DataError, match=said):
        scene.decode([0.0, 0.0], chosen)


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
def test_they_come_with_y(scene, body, status):
    testclient = pytest.importorskip("starlette.testclient", reason="httpx is not installed", exc_type=ImportError)
    from intel_cli.explore.server import application

    client = testclient.TestClient(application(scene, "token", 80), base_url="http://127.0.0.1:80")
    answer = client.post("/token/decode", content=json.dumps(body), headers={"host": "127.0.0.1:80"})
    assert answer.status_code == status
    assert ("values" if status == 200 else "error") in answer.json()


def test_a_run_without_conditions_has_none_to_choose(tmp_path):
    from intel_cli.explore.scene import Scene

    run = fit(data=X, run_dir=tmp_path / "run", **BASE)
    scene = Scene(run, None)
    assert (scene.start()["conditions"], scene.start()["chosen"]) == ([], [])
    assert len(scene.decode([0.0, 0.0])["values"]) == 3
    with pytest.raises(DataError, match="there are 0 conditions to be chosen, not 1"):
        scene.decode([0.0, 0.0], [1])
