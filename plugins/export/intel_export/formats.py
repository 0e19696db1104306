"""How does a function of a model become a file? By torch.export, and from there by ONNX if that is asked for."""

from __future__ import annotations

import contextlib
import importlib.util
import io
import json
import logging
import warnings
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import torch
from torch import Tensor

from intel_core.errors import EnvironmentProblem, RunError
from intel_export.graphs import Graph

__all__ = ["FORMATS", "KEY", "Format", "Function"]

KEY = "intelvae"
"""The name under which a file has its metadata, as JSON."""
_MOST_OF_ONNX = 2**31 - 2**24
"""Bytes of tensors that fit into one file of ONNX."""
Function = Callable[..., tuple[Tensor, ...]]


class Format(NamedTuple):
    """A format of files.

    Attributes:
        suffix: of the files.
        require: raises an `EnvironmentProblem` where a package is missing.
        write: the content of a file, of a graph and its metadata.
        read: what a file computes, read back; None where nothing can run it here.
    """

    suffix: str
    require: Callable[[], None]
    write: Callable[[Graph, dict[str, Any]], bytes]
    read: Callable[[bytes], Function | None]


def _traced(graph: Graph) -> torch.export.ExportedProgram:
    """The function for any number of examples."""
    rows = torch.export.Dim("n", min=1)
    with _quietly(), torch.no_grad():
        some = tuple(argument[:3] for argument in graph.rows)
        return torch.export.export(graph.module, some, dynamic_shapes=tuple({0: rows} for _ in some))


# --- torch.export ----------------------------------------------------------------------------------------------


def _write_torch(graph: Graph, about: dict[str, Any]) -> bytes:
    stream = io.BytesIO()
    with _quietly():
        torch.export.save(_traced(graph), stream, extra_files={f"{KEY}.json": json.dumps(about)})
    return stream.getvalue()


def _read_torch(content: bytes) -> Function:
    with _quietly():
        module = torch.export.load(io.BytesIO(content)).module()

    def call(*rows: Tensor) -> tuple[Tensor, ...]:
        with torch.no_grad():
            found = module(*rows)
        return found if isinstance(found, tuple) else (found,)

    return call


# --- ONNX ------------------------------------------------------------------------------------------------------


def _require_onnx() -> None:
    missing = [name for name in ("onnx", "onnxscript") if importlib.util.find_spec(name) is None]
    if missing:
        raise EnvironmentProblem(f"format onnx needs {' and '.join(missing)}: pip install 'intelvae-export[onnx]'")


def _write_onnx(graph: Graph, about: dict[str, Any]) -> bytes:
    size = sum(value.numel() * value.element_size() for value in graph.module.state_dict().values())
    if size > _MOST_OF_ONNX:
        raise RunError(f"the {graph.part} has {size:,} bytes of weights, more than a file of ONNX holds; use torch")
    with _quietly():
        program = torch.onnx.export(
            _traced(graph),
            dynamo=True,
            input_names=list(graph.takes),
            output_names=list(graph.gives),
            external_data=False,
            custom_translation_table={torch.ops.aten.erf.default: _erf},
            verbose=False,
        )
    assert program is not None  # what it is without dynamo=True
    model = program.model_proto
    for value in [*model.graph.input, *model.graph.output, *model.graph.value_info]:
        for size in value.type.tensor_type.shape.dim:
            if size.dim_param:  # the number of examples, by a name of the tracer's own
                size.dim_param = "n"
    entry = model.metadata_props.add()
    entry.key, entry.value = KEY, json.dumps(about)
    model.doc_string = f"The {graph.part} of an InteL-VAE: {', '.join(graph.gives)} of {', '.join(graph.takes)}"
    return bytes(model.SerializeToString())


def _erf(x: Any) -> Any:
    """The error function in float32, for which alone onnxruntime has a kernel.

    Mixture priors choose a component by it in float64, of noise that is float32.
    """
    import onnxscript

    opset: Any = onnxscript.opset18
    return opset.CastLike(opset.Erf(opset.Cast(x, to=1)), x)


def _read_onnx(content: bytes) -> Function | None:
    if importlib.util.find_spec("onnxruntime") is None:
        return None
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])
    names = [argument.name for argument in session.get_inputs()]

    def call(*rows: Tensor) -> tuple[Tensor, ...]:
        given = {name: argument.numpy() for name, argument in zip(names, rows, strict=True)}
        return tuple(torch.as_tensor(value) for value in session.run(None, given))

    return call


@contextlib.contextmanager
def _quietly() -> Iterator[None]:
    """Without what torch's own code warns of inside of torch, and the code that it prints where it gives up."""
    disabled = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        unseen = io.StringIO()
        with warnings.catch_warnings(), contextlib.redirect_stdout(unseen), contextlib.redirect_stderr(unseen):
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(disabled)


FORMATS = {
    "onnx": Format(".onnx", _require_onnx, _write_onnx, _read_onnx),
    "torch": Format(".pt2", lambda: None, _write_torch, _read_torch),
}
"""The formats, by the name that a user gives."""
