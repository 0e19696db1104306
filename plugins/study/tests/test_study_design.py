"""Is a wrong study refused in one line that names the field and the nearest right word?"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from intel_study import Study, read_study
from intel_study.reading import find_study, study_of

from intel_core import SpecError

CLAIM = {"sentence": "a is above", "number": "elbo", "arm": "plain", "against": "ring", "direction": "above"}


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        ({"arm": {}}, "a study has no key 'arm'; did you mean 'arms'?"),
        (
            {"arms": {"a": {"mapping": "identity"}}},
            "arms.a has no key 'mapping'; it is a setting of a run and goes under",
        ),
        ({"epochs": 3}, "a study has no key 'epochs'; it is a setting of a run and goes under base"),
        ({"arms": {"a": {"setings": {}}}}, "arms.a has no key 'setings'; did you mean 'settings'?"),
        ({"arms": {"a@b": {}}}, "'a@b' is no name for arms"),
        ({"arms": {}}, "arms is empty; expected at least one arm, such as plain: {settings: {mapping: identity}}"),
        (
            {"arms": {"a": "identity"}},
            "arms.a=identity: expected keys and values, such as {settings: {mapping: identity}}",
        ),
        ({"arms": {"a": None}}, "arms.a=null: expected keys and values, such as {settings: {…}}"),
        ({"metrics": "units"}, "metrics=units: expected a list such as [units], or names and metrics"),
        ({"arms": {"a": {"only": ["circel"]}}, "problems": {"circle": {}}}, "did you mean 'circle'?"),
        ({"arms": {"a": {"by_problem": {"x": {}}}}}, "arms.a: no problem is called 'x'"),
        ({"reference": "plian"}, "reference: no arm is called 'plian'; did you mean 'plain'?"),
        ({"seeds": 0}, "0 seeds, expected 1 to 1,000"),
        ({"seeds": [1, 1]}, "a seed is listed twice"),
        ({"seeds": {"frist": 1, "count": 2}}, "seeds have no key 'frist'; did you mean 'first'?"),
        ({"seeds": True}, "expected a list of whole numbers"),
        ({"seeds": [-1]}, "expected a list of whole numbers"),
        ({"level": 1.5}, "level=1.5"),
        ({"metrics": ["hoyer", "hoyer:limit=5"]}, "two are called 'hoyer'; give them names"),
        ({"numbers": {"mainfold.off": None}}, "did you mean 'manifold.…'?"),
        ({"claims": [{**CLAIM, "arm": "plane"}]}, "claims.0.arm: no arm is called 'plane'; did you mean 'plain'?"),
        ({"claims": [{**CLAIM, "against": "plain"}]}, "claims.0: arm 'plain' is compared with itself"),
        (
            {"claims": [{**CLAIM, "number": "elbow"}]},
            "claims.0.number: no number is called 'elbow'; did you mean 'elbo'?",
        ),
        ({"claims": [{**CLAIM, "direction": "same"}]}, "claims.0.margin is required with direction same"),
        ({"claims": [CLAIM], "problems": {"x": {}, "y": {}}}, "claims.0.problem is required; problems: x, y"),
        ({"claims": [{**CLAIM, "against": True}]}, "YAML reads yes and no as true and false"),
        ({"figures": [{"kind": "numbers", "x": "elbo"}]}, "figures.0.y is required"),
        ({"figures": [{"kind": "samples", "x": "elbo"}]}, "figures.0.x goes with other kinds than samples"),
    ],
)
def test_what_is_wrong_is_named(small: dict[str, Any], said: dict[str, Any], expected: str) -> None:
    with pytest.raises(SpecError) as error:
        study_of({**small, **said}, "mine.yaml")
    assert expected in str(error.value)
    assert str(error.value).startswith("mine.yaml: ")
    assert "\n" not in str(error.value)


def test_a_list_of_problems_makes_a_claim_of_each(study_with: Callable[..., Study]) -> None:
    claims = [{**CLAIM, "problem": ["x", "y"]}, {**CLAIM, "problem": "y"}]
    study = study_with(problems={"x": {}, "y": {}}, claims=claims)
    assert [claim.problem for claim in study.claims] == ["x", "y", "y"]
    assert Study.model_validate(study.model_dump(mode="json")).claims == study.claims
    with pytest.raises(SpecError, match=r"claims\.1\.problem: no problem is called 'z'"):
        study_with(problems={"x": {}, "y": {}}, claims=[{**CLAIM, "problem": ["x", "z"]}])


def test_words_that_yaml_reads_as_truth_values_are_told(tmp_path: Path) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text("arms: {a: {}}\nmetrics: [manifold]\nnumbers: {off: manifold.off}\n")
    with pytest.raises(SpecError, match="key False is no word; YAML reads yes, no, on and off as true and false"):
        read_study(path)


def test_settings_may_be_truth_values(tmp_path: Path) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text("arms: {a: {settings: {compile: no}}}\nbase: {of: yes}\n")
    assert read_study(path).arms["a"].settings == {"compile": False}


@pytest.mark.parametrize(
    ("given", "seeds"), [(2, (0, 1)), ({"first": 5, "count": 2}, (5, 6)), ({"count": 1}, (0,)), ([7, 3], (7, 3))]
)
def test_seeds_are_a_count_a_range_or_a_list(
    study_with: Callable[..., Study], given: Any, seeds: tuple[int, ...]
) -> None:
    assert study_with(seeds=given).seeds == seeds


def test_the_whole_protocol_goes_over_the_reduced_one(study_with: Callable[..., Study]) -> None:
    full = {
        "base": {"epochs": 3, "schedules": {"lr": "constant"}},
        "arms": {"ring": {"settings": {"kl": "y"}}, "new": {"settings": {"latent": 3}}},
        "problems": {"x": {"seed": 1}},
        "seeds": 7,
        "stack": 2,
        "metrics": {"mine": "hoyer"},
    }
    study = study_with(full=full, base={"steps": 5, "schedules": {"kl": "constant"}}).in_full()
    assert study.base == {"epochs": 3, "schedules": {"kl": "constant", "lr": "constant"}}
    assert study.arms["ring"].settings == {"mapping": "circle", "kl": "y"}
    assert list(study.arms) == ["plain", "ring", "new"]
    assert (len(study.seeds), study.stack, study.named_metrics()) == (7, 2, {"mine": "hoyer"})
    with pytest.raises(SpecError, match="no other protocol under full"):
        study.in_full()


@pytest.mark.parametrize(
    ("word", "expected"),
    [("table22", "did you mean 'table2'?"), ("mien.json", "did you mean 'mine.json'?"), ("no/such.yaml", "no folder")],
)
def test_the_nearest_study_is_named(
    file_with: Callable[..., Path], monkeypatch: pytest.MonkeyPatch, word: str, expected: str
) -> None:
    monkeypatch.chdir(file_with().parent)
    with pytest.raises(SpecError, match=expected.replace("?", r"\?")):
        find_study(word)


def test_a_study_survives_as_json(study_with: Callable[..., Study]) -> None:
    study = study_with(claims=[{**CLAIM, "against": 3}], numbers={"elbo": None, "away": "manifold.off"})
    assert study_of(study.model_dump(mode="json", exclude_defaults=True)) == study
