"""How is a trained model used without the framework? As files of ONNX or of torch.export.

>>> import tempfile, torch
>>> from intel_export import export
>>> from intel_core import fit
>>> folder = tempfile.mkdtemp()
>>> run = fit(data=torch.rand(40, 2), latent=2, steps=2, batch_size=8, run_dir=f"{folder}/run", device="cpu")
>>> sorted(export(run, "torch").files)
['encoder', 'generator', 'mapping']

Names are loaded on first use, so that the help of the command does not import torch.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from intel_core.lazy import lazy_names

if TYPE_CHECKING:
    from intel_export.exporting import Exported as Exported
    from intel_export.exporting import export as export

__version__ = "0.1.0"

_HOMES = {"exporting": ("Exported", "export")}

__getattr__, __dir__, __all__ = lazy_names(__name__, _HOMES)
