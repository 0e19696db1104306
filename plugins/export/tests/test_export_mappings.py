"""Does every installed mapping compute the same as ONNX and as torch.export, for any number of rows? One table."""

from __future__ import annotations

import pytest
import torch
from intel_export.formats import FORMATS
from intel_export.graphs import Graph

from intel_core import parse_spec
from intel_core.components.discovery import available
from intel_core.helpers.fewest_dims import build_seeded
from intel_core.mappings.compose import as_module

# spec, or several that are composed: number of dimensions of y
TABLE = {
    "identity": 3,
    "circle": 2,
    "circle:dims=1-2,form=smooth,eps=0.1": 4,
    "sphere:eps=1e-2": 3,
    "torus:eps=1e-2": 5,
    "holes:h=3,spacing=width,scale=2,form=smooth": 4,
    "holes:h=5,size=equal,eps=1e-2": 2,
    "cluster:k=2": 1,
    "cluster:k=5": 6,
    "cluster:k=5,preset=paper": 3,
    "cluster:k=[2,3],c1=1": 5,
    "cluster:k=3,proportions=[0.1,0.8,0.1],form=smooth": 3,
    "sparse": 6,
    "first:keep=2": 4,
    "lsp": 3,
    "hierarchy:levels=[1,2,3],activation=tanh,hidden=[8]": 6,
    "hierarchy:levels=2,form=affine": 4,
    ("cluster:k=2", "circle:dims=2-3"): 4,
}
ROWS = torch.randn(60, 6, generator=torch.Generator().manual_seed(0)) * 2
ROWS[:3] *= torch.tensor([[0.0], [1e-12], [1e3]])  # the origin, beside it, and far out


def test_the_table_has_every_installed_mapping() -> None:
    named = {text.partition(":")[0] for row in TABLE for text in ([row] if isinstance(row, str) else row)}
    assert {component.name for component in available("mappings")} - {"given"} == named  # a caller's own


@pytest.mark.promptly("hierarchy:levels=[1,2,3],activation=tanh,hidden=[8]-onnx")
@pytest.mark.parametrize("format_", FORMATS)
@pytest.mark.parametrize("row", TABLE, ids=lambda row: row if isinstance(row, str) else " then ".join(row))
def test_it_computes_the_same(row: str | tuple[str, ...], format_: str) -> None:
    if format_ == "onnx":
        pytest.importorskip("onnxscript")
        pytest.importorskip("onnxruntime")
    texts = [row] if isinstance(row, str) else row
    mapping = as_module(build_seeded([parse_spec("mappings", text) for text in texts], TABLE[row], seed=3)).eval()
    y = ROWS[:, : TABLE[row]]
    graph = Graph("mapping", "it", mapping, ("y",), ("z",), (y,))
    call = FORMATS[format_].read(FORMATS[format_].write(graph, {}))
    assert call is not None
    for n in (1, 3, 60):
        (z,) = call(y[:n])
        torch.testing.assert_close(z, mapping(y[:n]).detach(), rtol=1e-5, atol=1e-5)
