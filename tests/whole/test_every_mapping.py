"""Does every installed mapping keep the contract, and what it declares? One table, the same checks for each row."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from intel_conformance import check_mapping, conformance, property_tests
from torch import Tensor

from intel_core import Regularised, parse_spec
from intel_core.components.discovery import available
from intel_core.helpers.fewest_dims import build_seeded
from intel_core.mappings.compose import properties_of

# spec, or several that are composed: number of dimensions of y
TABLE = {
    "identity": 3,
    "circle": 2,
    "circle:eps=1e-3,form=smooth": 2,
    "circle:eps=0.1": 5,
    "circle:dims=1-2,eps=0.1": 4,
    "sphere:eps=1e-2": 3,
    "sphere:dims=0-2,form=smooth,eps=1e-3": 5,
    "torus:eps=1e-2": 5,
    "torus:planes=1": 4,
    "holes:h=1": 2,
    "holes:h=2": 2,
    "holes:h=5,size=equal,eps=1e-2": 2,
    "holes:h=3,spacing=width,scale=2,form=smooth": 4,
    "holes:h=8,spacing=width,size=equal": 2,
    "cluster:k=2": 1,
    "cluster:k=3": 2,
    "cluster:k=3,learnable=true": 4,
    "cluster:k=4,preset=paper,split=simplex": 3,
    "cluster:k=5": 6,
    "cluster:k=5,preset=paper": 3,
    "cluster:k=[2,3],c1=1": 5,
    "cluster:k=3,proportions=[0.1,0.8,0.1],form=smooth": 3,
    "sparse": 6,
    "sparse:floor=0.2,hidden=[],target=latent": 2,
    "sparse:normalisation=released": 50,
    "first:keep=2": 4,
    "lsp": 3,
    "hierarchy:levels=3": 6,
    "hierarchy:levels=[1,2,3],activation=tanh,hidden=[8]": 6,
    "hierarchy:levels=2,form=affine": 4,
    ("circle:eps=0.1", "cluster:k=2"): 2,
    ("sparse", "hierarchy:levels=2"): 4,
    ("cluster:k=2", "circle:dims=2-3"): 4,
}
EVERY = pytest.mark.parametrize("row", TABLE, ids=lambda row: row if isinstance(row, str) else " then ".join(row))

# One row of each sort whole, and one of each mapping shortly; the others, and all at depth, by `make test-all`.
WHOLE = ("circle:eps=1e-3,form=smooth", "cluster:k=3", "sparse", "hierarchy:levels=3")
SHORTLY = (
    *("identity", "circle:dims=1-2,eps=0.1", "sphere:eps=1e-2", "torus:planes=1", "holes:h=2", "first:keep=2", "lsp"),
    *("cluster:k=3,proportions=[0.1,0.8,0.1],form=smooth", ("sparse", "hierarchy:levels=2")),
)


def rows(*chosen: Any) -> dict[Any, int]:
    return {row: TABLE[row] for row in chosen}


test_conformance = conformance(rows(*WHOLE), warnings="fail")
# In other dimensions and at other strengths these are the classes of the rows above.
VARIED = ("variants.dims", "structure.strength")
test_quick_conformance = conformance(rows(*SHORTLY), level="quick", warnings="fail", skip=VARIED)
test_quick_conformance_of_the_others = pytest.mark.slow(
    conformance(rows(*(row for row in TABLE if row not in WHOLE + SHORTLY)), level="quick", warnings="fail")
)
test_continuity, test_theorem1 = property_tests(rows(*WHOLE, *SHORTLY), n=5000)


def test_the_table_has_every_installed_mapping() -> None:
    named = {text.partition(":")[0] for row in TABLE for text in ([row] if isinstance(row, str) else row)}
    assert {component.name for component in available("mappings")} - {"given"} == named  # a caller's own


def built(row: str | tuple[str, ...]) -> Any:
    texts = [row] if isinstance(row, str) else row
    return build_seeded([parse_spec("mappings", text) for text in texts], TABLE[row], seed=3)  # type: ignore[misc]


def draws(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


@pytest.mark.slow
@EVERY
def test_passes_at_depth(row: Any) -> None:
    report = check_mapping(row, y_dim=TABLE[row], level="deep", seed=1)
    report.raise_if_failed()
    assert not report.of("warned")


# --- more than the kit asks of a stranger's mapping --------------------------------------------------------------


@EVERY
def test_the_norm_bound_is_tight(row: Any) -> None:
    mapping = built(row)
    bound = properties_of(mapping).norm_bound
    sizes = torch.tensor([1e-6, 1e-2, 1.0, 1e2, 1e6], dtype=torch.float64)[:, None, None]
    norms = mapping(draws(500, mapping.y_dim) * sizes).norm(dim=-1)
    if bound is None:
        assert norms.max() > 100 or not isinstance(row, str)  # a composition cannot always tell
    else:
        assert norms.max() > 0.8 * bound


@EVERY
def test_float32_parameters_take_float64_rows(row: Any) -> None:
    mapping = built(row)
    assert mapping(draws(5, mapping.y_dim)).dtype == torch.float64


@EVERY
def test_auxiliary_losses_of_no_rows_are_finite(row: Any) -> None:
    mapping = built(row)
    if isinstance(mapping, Regularised):
        _, terms = mapping.map_with_regularisers(draws(0, mapping.y_dim))
        assert all(term.shape == () and torch.isfinite(term) for term in terms.values())
