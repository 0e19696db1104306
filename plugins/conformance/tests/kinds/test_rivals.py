"""Does every check of the other kinds find the faults that it is meant for, and leave what is right alone?"""

from __future__ import annotations

from typing import Any

import pytest
from intel_conformance import check_posterior, check_prior
from intel_conformance.kinds import KINDS, checks_of
from intel_conformance.running import check_component
from specimens import data, likelihoods, metrics, networks
from specimens.rival import RIVALS, Rival
from specimens.rivals import Bumps, Family, SpikesSpec

import intel_core
from intel_core import SpecError
from intel_core.components.discovery import available

EACH = pytest.mark.parametrize("rival", [pytest.param(r, id=f"{r.kind}-{r.name}") for r in RIVALS])
# The check that starts a process is the same for all kinds: one of them shows that it is run.
EACH_PROMPTLY = pytest.mark.parametrize(
    "rival",
    [
        pytest.param(
            r,
            id=f"{r.kind}-{r.name}",
            marks=[pytest.mark.slow] if r.kills == "plugin.light" and r.kind != "metric" else [],
        )
        for r in RIVALS
    ],
)
SOUND = {
    "two bumps": ("prior", Bumps),
    "spikes": ("prior", SpikesSpec()),
    "a family": ("posterior", Family),
    "standard": ("prior", "standard"),
    "gaussian": ("posterior", "gaussian"),
}
INSTALLED = [
    f"{kind[:-1]}:{component.name}"
    for kind in ("priors", "posteriors")
    for component in available(kind)
    if component.status == "OK" and component.name not in ("standard", "gaussian")
]

SHIPPED = [
    f"likelihood:{component.name}"
    for component in available("likelihoods")
    if component.status == "OK" and component.name != "given"  # an object, which no text describes
]
FURTHER = [
    "likelihood:gaussian:variance=shared",
    "likelihood:gaussian:variance=fixed,scale=0.2",
    "likelihood:categorical:sizes=[3]",
    "likelihood:categorical:sizes=[2,3]",
    "likelihood:negative_binomial:dispersion=shared",
    "likelihood:poisson:mean=library",
    "likelihood:student_t:spread=shared,df=2,learn_df=true",
    'likelihood:mixed:parts={"poisson": [0], "bernoulli": [2]}',
]
SETS = (
    "circle",
    "infinity",
    "mixture:standardize=true",
    "sphere",
    "square",
    "star",
    "three_loops",
    "axes",
    "digits",
)
NETWORKS = ("mlp:hidden=[32]", "linear", "log_mlp:hidden=[16,8]", "conv:channels=[4,8]")
METRICS = ("hoyer", "units", "likelihood:particles=20", "clusters")
OTHERS = [
    *(pytest.param("metric", f"metric:{text}", id=f"metric:{text}") for text in METRICS),
    *(pytest.param("metric", what, id=f"sound metric {name}") for name, what in metrics.SOUND.items()),
    *(
        pytest.param("network", f"network:{text}", id=f"network:{text}")
        for text in ("mlp", "linear", "log_mlp", "conv")
    ),
    *(pytest.param("network", what, id=f"sound network {name}") for name, what in networks.SOUND.items()),
    *(pytest.param("dataset", f"data:{text}", id=f"data:{text}") for text in SETS),
    *(pytest.param("dataset", what, id=f"sound data {name}") for name, what in data.SOUND.items()),
    *(pytest.param("likelihood", text, id=text) for text in (*SHIPPED, *FURTHER)),
    *(pytest.param("likelihood", what, id=f"sound likelihood {name}") for name, what in likelihoods.SOUND.items()),
]


def assert_killed(rival: Rival, seed: int) -> None:
    if rival.registered:
        intel_core.register(f"{rival.kind}s", f"mutant_{rival.name.lower()}", type(rival.what))
    report = check_component(rival.kind, rival.what, y_dim=rival.y_dim, only=[rival.kills], seed=seed)
    (result,) = report.results
    assert result.status == rival.status, result
    assert report.exit_code == (rival.status == "failed")
    assert rival.kills in result.repro
    assert len(result.message) > 20


def assert_sound(kind: Any, what: Any, seed: int, *, skips: bool = True, **settings: Any) -> None:
    report = check_component(kind, what, seed=seed, **settings)
    assert skips or not [str(result) for result in report.results if result.status == "skipped"]
    assert not [str(result) for result in report.results if result.bad]
    assert report.ok


@pytest.mark.parametrize("kind", KINDS)
def test_every_check_has_a_mutant(kind: Any) -> None:
    assert {check.id for check in checks_of(kind)} == {rival.kills for rival in RIVALS if rival.kind == kind}


@EACH_PROMPTLY
def test_killed_by_the_check_that_is_meant_for_it(rival: Rival) -> None:
    assert_killed(rival, 0)


@pytest.mark.slow
@EACH
def test_killed_over_five_seeds(rival: Rival) -> None:
    for seed in range(1, 6):
        assert_killed(rival, seed)


@pytest.mark.promptly("1-two bumps", "2-two bumps", "2-spikes", "2-a family", "2-standard", "2-gaussian", "4-standard")
@pytest.mark.parametrize("name", SOUND)
@pytest.mark.parametrize("y_dim", [1, 2, 4])
def test_what_is_right_passes(name: str, y_dim: int) -> None:
    assert_sound(*SOUND[name], 0, y_dim=y_dim, level="quick")


@pytest.mark.slow
@pytest.mark.parametrize("name", SOUND)
@pytest.mark.parametrize("y_dim", [1, 2, 4])
def test_what_is_right_passes_over_ten_seeds(name: str, y_dim: int) -> None:
    for seed in range(10):
        assert_sound(*SOUND[name], seed, y_dim=y_dim, level="quick")


@pytest.mark.promptly("10-standard")
@pytest.mark.parametrize("name", SOUND)
@pytest.mark.parametrize("y_dim", [10, pytest.param(40, marks=pytest.mark.slow)])
def test_what_is_right_passes_in_many_dimensions_and_nothing_is_skipped(name: str, y_dim: int) -> None:
    kind, what = SOUND[name]
    assert_sound(kind, what, 0, y_dim=y_dim, level="quick", only=["density", "bound"], skips=False)


@pytest.mark.promptly("prior:vamp", "prior:spike_slab", "posterior:spike_slab")
@pytest.mark.parametrize("text", [text + ":w=2" * text.endswith("gmvae") for text in INSTALLED])
def test_what_is_installed_passes_in_ten_dimensions_and_nothing_is_skipped(text: str) -> None:
    assert_sound(text.partition(":")[0], text, 0, y_dim=10, level="quick", only=["density", "bound"], skips=False)


@pytest.mark.promptly(every=2)
@pytest.mark.parametrize("text", INSTALLED)
def test_what_is_installed_passes(text: str) -> None:
    # Densities and bounds are checked in ten dimensions above, where they are harder.
    assert_sound(text.partition(":")[0], text, 0, level="quick", skip=["density", "bound"])


@pytest.mark.slow
@pytest.mark.parametrize("text", INSTALLED)
def test_what_is_installed_passes_whole(text: str) -> None:
    assert_sound(text.partition(":")[0], text, 0, level="quick")


@pytest.mark.promptly(
    "metric:clusters",
    "metric:hoyer",
    "metric:units",
    "sound metric draws",
    "network:conv",
    "network:mlp",
    "sound network lazy",
    "sound network plain",
    "data:digits",
    "data:circle",
    "sound data scaled",
    "sound data ring",
    "sound data bytes",
    "sound data an object",
    "likelihood:mixed",
    "likelihood:negative_binomial",
    "likelihood:student_t",
    "likelihood:gaussian:variance=shared",
    "likelihood:categorical",
    "likelihood:bernoulli",
    "sound likelihood levels",
    "sound likelihood noise",
    "sound likelihood counts",
)
@pytest.mark.parametrize(("kind", "what"), OTHERS)
def test_what_is_right_passes_of_other_kinds(kind: Any, what: Any) -> None:
    assert_sound(kind, what, 0, level="quick")


@pytest.mark.slow
@pytest.mark.parametrize("text", INSTALLED)
def test_what_is_installed_passes_over_three_seeds(text: str) -> None:
    for seed in range(3):
        assert_sound(text.partition(":")[0], text, seed)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("prior:standrd", "did you mean 'standard'"),
        ("prior:", "names no prior; for instance prior:standard"),
        ("prior:standard:k=3", "no key 'k'"),
        ("posterior:gaussian", "is no prior; use check_posterior"),
    ],
)
def test_nonsense(text: str, says: str) -> None:
    with pytest.raises(SpecError) as error:
        check_prior(text)
    assert says in str(error.value)
    assert "\n" not in str(error.value).strip()


def test_other_nonsense() -> None:
    with pytest.raises(SpecError, match="did you mean 'density'"):
        check_prior("standard", only=["densty"])
    with pytest.raises(SpecError, match="expected a number of dimensions"):
        check_posterior("gaussian", y_dim=0)
    with pytest.raises(SpecError, match="neither a prior, nor the spec of one"):
        check_prior(3)


def test_atoms_in_many_dimensions_have_a_mass_and_no_distance_and_say_why() -> None:
    report = check_prior(SpikesSpec(), y_dim=10, only=["density.mass", "density.draws"])
    mass, draws = report.results
    assert mass.status == "passed"
    assert draws.status == "not_applicable"
    assert "--latent 2" in draws.message


def test_a_report_says_its_kind() -> None:
    report = check_prior("standard", only=["io"], level="quick")
    assert report.to_json()["prior"] == "prior:standard"
    assert report.to_json()["kind"] == "prior"
    assert report.planned[0] == "io.shape"
