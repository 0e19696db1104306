"""Can the mean of every installed likelihood and every installed network be exported? One table of each."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from intel_export.formats import FORMATS
from intel_export.graphs import Graph
from torch import Tensor, nn

from intel_core import parse_spec
from intel_core.components.discovery import available

LIKELIHOODS = {
    "bernoulli": "",
    "continuous_bernoulli": "",
    "gaussian": "",
    "laplace": "",
    "poisson": "",
    "negative_binomial": "",
    "categorical": ":sizes=[2,4]",
    "student_t": "",
    "mixed": ':parts={"poisson":[0,3],"gaussian":[1,2,4,5]},rest=null',
}
NETWORKS: dict[str, tuple[int, ...]] = {"mlp": (6,), "linear": (6,), "log_mlp": (6,), "conv": (3, 9, 14)}
each_format = pytest.mark.parametrize("format_", FORMATS)


class _Mean(nn.Module):
    def __init__(self, likelihood: Any) -> None:
        super().__init__()
        self.likelihood = likelihood

    def forward(self, params: Tensor) -> Tensor:
        return self.likelihood.mean(params)  # type: ignore[no-any-return]


def compare(module: nn.Module, rows: Tensor, format_: str) -> None:
    if format_ == "onnx":
        pytest.importorskip("onnxscript")
        pytest.importorskip("onnxruntime")
    graph = Graph("generator", "it", module.eval(), ("z",), ("x",), (rows,))
    call = FORMATS[format_].read(FORMATS[format_].write(graph, {}))
    assert call is not None
    for n in (1, len(rows)):
        torch.testing.assert_close(call(rows[:n])[0], module(rows[:n]).detach(), rtol=1e-5, atol=1e-5)


def test_the_tables_have_everything_installed() -> None:
    given = {"given"}  # a part of the caller's own
    assert {component.name for component in available("likelihoods")} - given == set(LIKELIHOODS)
    assert {component.name for component in available("networks")} - given == set(NETWORKS)


@pytest.mark.promptly("bernoulli-onnx")
@pytest.mark.parametrize("format_", ["onnx", "torch"])  # made of one graph
@pytest.mark.parametrize("name", LIKELIHOODS)
def test_a_likelihood(name: str, format_: str) -> None:
    likelihood: Any = parse_spec("likelihoods", name + LIKELIHOODS[name]).build()  # type: ignore[attr-defined]
    width = 6 * likelihood.params_per_value
    compare(_Mean(likelihood), torch.randn(20, width, generator=torch.Generator().manual_seed(0)), format_)


@pytest.mark.slow
@each_format
@pytest.mark.parametrize("name", NETWORKS)
def test_a_network(name: str, format_: str) -> None:
    spec: Any = parse_spec("networks", name)
    generator = torch.Generator().manual_seed(0)
    compare(spec.build_encoder(NETWORKS[name], 4), torch.rand(5, *NETWORKS[name], generator=generator), format_)
    compare(spec.build_decoder(3, NETWORKS[name]), torch.randn(5, 3, generator=generator), format_)
