"""`intel compare` says how well the clusters of runs agree, in every form of its table."""

import json
import shutil

import pytest

from intel_core import load_run


@pytest.fixture
def seeds(trained, here):
    """The run on points, which has two clusters, and a copy of it by the name of another seed."""
    path = shutil.copytree(trained / "points", here / "other")
    text = (path / "run.json").read_text()
    (path / "run.json").write_text(text.replace('"seed": 0', '"seed": 1'))
    assert load_run(path).seed == 1
    return trained / "points", path


def test_a_table_tells_how_well_clusters_agree_with_labels_and_with_other_seeds(ok, seeds):
    told = ok("compare", *seeds).stdout
    assert "adjusted Rand" in told
    assert "the labels" in told
    assert "its other seeds" in told
    assert "1.00" in told
    assert "2 clusters of" in told
    assert "test ELBO" in told


def test_only_clusters_shows_them_alone(ok, seeds):
    told = ok("compare", *seeds, "--only", "clusters").stdout
    assert "adjusted Rand" in told
    assert "ELBO" not in told
    assert "adjusted Rand" not in ok("compare", *seeds, "--only", "elbo").stdout


def test_json_has_every_pair_and_the_sizes(ok, seeds):
    found = json.loads(ok("compare", *seeds, "--json").stdout)["clusters"]
    run = load_run(seeds[0])
    examples = run.dataset().test.x
    assert found["examples"] == len(examples)
    by_beside = {one["beside"]: one for one in found["agreement"]}
    of = found["sizes"][0]["of"]
    assert by_beside.keys() == {None, of}
    assert by_beside[of]["rand"] == by_beside[of]["nmi"] == [1.0]
    assert len(by_beside[None]["rand"]) == 2
    counts = run.encode(examples, standardised=True).cluster.bincount(minlength=2).sort(descending=True).values
    assert found["sizes"][0]["shares"] == pytest.approx((counts / len(examples)).tolist())


def test_a_run_without_clusters_has_null_in_json_and_no_table(ok, trained, here):
    assert json.loads(ok("compare", trained / "images", "--json").stdout)["clusters"] is None
    assert "adjusted Rand" not in ok("compare", trained / "images").stdout


@pytest.mark.parametrize(("form", "says"), [("--markdown", "| clusters of | beside |"), ("--latex", r"{llrrr}")])
def test_other_forms_have_the_same_table(ok, seeds, form, says):
    told = ok("compare", *seeds, form).stdout
    assert says in told
    assert "its other seeds" in told
    assert told.count("ELBO") == 1


def test_where_the_data_are_others_the_clusters_are_not_compared_and_the_numbers_are(ok, trained, here):
    path = shutil.copytree(trained / "points", here / "run")
    text = (path / "run.json").read_text()
    (path / "run.json").write_text(text.replace("toy_points:n=120", "toy_points:n=130"))
    told = ok("compare", path).stdout
    assert "ELBO" in told
    assert "are not compared: " in told
    assert "adjusted Rand" not in told
