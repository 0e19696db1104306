"""Where do the Inception features of published Fréchet distances come from? From a local file of weights."""

from __future__ import annotations

import hashlib
import os
import pickle
import warnings
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import JsonValue
from torch import Tensor

from intel_core.errors import RunError
from intel_core.evaluation.measurement import NotApplicableError
from intel_core.helpers.torchvision_compat import import_with_torchvision

__all__ = ["WEIGHTS", "InceptionExtractor", "find_weights"]

WEIGHTS = "pt_inception-2015-12-05-6726825d.pth"
"""Name of the weights of pytorch-fid; it ends with the first digits of the SHA-256 of the file."""
_ROWS = 32


def find_weights(path: str | None = None) -> Path:
    """The file of weights: the argument, else ``INTEL_INCEPTION``, else the place where `torch.hub` keeps downloads.

    Raises:
        NotApplicableError: if there is none; nothing is downloaded.

    >>> find_weights("nowhere.pth")
    Traceback (most recent call last):
    intel_core.evaluation.measurement.NotApplicableError: there is no file 'nowhere.pth' with...
    """
    named = path or os.environ.get("INTEL_INCEPTION")
    if named:
        found = Path(named).expanduser()
        if not found.is_file():
            raise NotApplicableError(f"there is no file {named!r} with the weights of pytorch-fid's Inception")
        return found
    usual = Path(torch.hub.get_dir()) / "checkpoints" / WEIGHTS
    if not usual.is_file():
        raise NotApplicableError(
            f"extractor=inception needs the file {WEIGHTS} of pytorch-fid's releases, which is not downloaded: put it "
            f"into {usual.parent}, or name it by weights=… or INTEL_INCEPTION"
        )
    return usual


def _network(state: dict[str, Any]) -> torch.nn.Module:
    """pytorch-fid's network with these weights."""
    try:
        home = import_with_torchvision("pytorch_fid.inception")
    except ImportError as error:
        raise NotApplicableError(
            f"extractor=inception needs pytorch-fid: pip install 'intelvae-metrics[inception]' ({error})"
        ) from error
    # Its constructor has no argument for weights and would download them by calling the function of this name.
    with mock.patch.object(home, "load_state_dict_from_url", return_value=state):
        network: torch.nn.Module = home.InceptionV3([home.InceptionV3.BLOCK_INDEX_BY_DIM[2048]])
    return network.eval()


class InceptionExtractor:
    """The 2048 pooled features of the Inception network that the Fréchet inception distance is defined by.

    Images in [0, 1] of any size are taken; grey ones get three equal channels. The network resizes them to 299x299
    (bilinear, corners not aligned, no antialiasing) and scales them to [-1, 1]. Nothing is cast to bytes.

    Args:
        weights: file of the weights.
        device: where to compute.

    Raises:
        NotApplicableError: if pytorch-fid is not installed.
        RunError: if the file does not hold these weights.
    """

    name = "inception"

    def __init__(self, weights: Path, device: torch.device | None = None) -> None:
        content = weights.read_bytes()
        self.hash = hashlib.sha256(content).hexdigest()[:16]
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # a file that holds something else is reported below
                state = torch.load(weights, map_location="cpu", weights_only=True)
            self._network = _network(state).to(device or torch.device("cpu"))
        except (
            RuntimeError,
            pickle.UnpicklingError,
            EOFError,
            LookupError,
            ValueError,
            TypeError,
            AttributeError,
        ) as error:
            reason = str(error).splitlines()[0] if str(error) else type(error).__name__
            raise RunError(f"{weights} does not hold the weights of pytorch-fid's Inception: {reason}") from error
        self._device = device or torch.device("cpu")

    @property
    def description(self) -> dict[str, JsonValue]:
        """The network, its weights and the preprocessing of images."""
        return {
            "name": self.name,
            "network": "pytorch-fid InceptionV3, 2048 pooled features",
            "official weights": WEIGHTS.removesuffix(".pth").endswith(self.hash[:8]),
            "hash": self.hash,
            "preprocessing": "grey to three channels, bilinear to 299x299, scaled to [-1, 1]; not cast to bytes",
        }

    @torch.no_grad()
    def __call__(self, x: Tensor, /) -> NDArray[np.float64]:
        """Features ``(n, 2048)`` of images ``(n, 1 or 3, H, W)`` in [0, 1].

        Raises:
            NotApplicableError: for another number of channels.
        """
        if x.shape[1] not in (1, 3):
            raise NotApplicableError(f"extractor=inception takes 1 or 3 channels, these images have {x.shape[1]}")
        parts = []
        for rows in torch.split(x.expand(-1, 3, -1, -1), _ROWS):
            (pooled,) = self._network(rows.to(self._device))
            parts.append(pooled.flatten(1).double().cpu())
        return np.asarray(torch.cat(parts).numpy())
