"""How is a trained run handed on? As one safetensors file and a model card, in a folder or on the Hugging Face Hub.

>>> import tempfile, torch
>>> from intel_core import fit
>>> from intel_hub import pull, push
>>> folder = tempfile.mkdtemp()
>>> run = fit(data=torch.rand(40, 2), latent=2, steps=2, batch_size=8, run_dir=f"{folder}/run", device="cpu")
>>> where = push(run, f"{folder}/pushed")
>>> again = pull(f"{folder}/pushed", f"{folder}/pulled")
>>> torch.equal(again.sample(5), run.sample(5))
True

Names are loaded on first use, so that the help of the commands does not import torch.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from intel_core.lazy import lazy_names

if TYPE_CHECKING:
    from intel_hub.handing_on import pull as pull
    from intel_hub.handing_on import push as push

__version__ = "0.1.0"

_HOMES = {"handing_on": ("pull", "push")}

__getattr__, __dir__, __all__ = lazy_names(__name__, _HOMES)
