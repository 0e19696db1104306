r"""How does an encoder begin where g keeps only directions? With the principal components of the data.

A circle can be laid around the origin or beside it. Where the means of a new encoder lie on one side of it, or close to
a line through it, the data are folded: two parts of them share each direction, and training may tear the circle instead
of unfolding it. So the encoder's last layer begins as the one whose means are the whitened principal components of some
training examples, as nearly as the layer before allows. Components can be turned; of several rotations the one is taken
in which z = g(y) says most of y, by a linear function of z: on a torus each circle gets a plane of its own.

Source: the usual beginning of t-SNE and UMAP (Kobak and Linderman, 2021), for an encoder.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from intel_core.compute.threads import on_threads, threads_for
from intel_core.model.vae import InteLVAE, beside

__all__ = ["EXAMPLES", "lay_around"]

EXAMPLES = 1000
"""How many training examples the components are computed of."""
_FLATTEST = 1e-6
"""A component whose variance is less, as a share of the largest, is none."""
_RIDGE = 1e-3
"""Share of the features' variance that is added to each when the components are fitted to them."""
_ROTATIONS, _FEW = 100, 5
"""How many rotations are tried, and after them, how many small ones of the best; a few show whether any is better."""


@torch.no_grad()
def lay_around(model: InteLVAE, x: Tensor, dims: Sequence[int], seed: int) -> bool:
    """Let posterior means in some dimensions be the components of x, by the last layer of the encoder.

    Nothing is changed if the encoder does not end with a dense layer with a bias, or x has fewer components.

    Args:
        model: a new model with a diagonal Gaussian posterior, on the CPU; one with conditions has those of x.
        x: training examples, ``(n, *x_shape)``.
        dims: dimensions of y of which g keeps directions only.
        seed: of the rotations.

    Returns:
        Whether the means are what they should be now.
    """
    chosen = torch.tensor(dims)
    with on_threads(threads_for(model)):
        inputs = beside(x, model.conditions) if model.condition_dim else x
        head, features = _last_layer(model, inputs)
        components = _components(x, len(dims))
        if head is None or features is None or components is None:
            return False
        means = features @ head.weight.T.double() + head.bias.double()
        centred = features - features.mean(0)
        layer = _whitened(_fitted(centred, components), centred)
        layer = _best_rotation(model, means, chosen, centred @ layer.T, seed) @ layer
        expected = centred @ layer.T
        if not bool(torch.isfinite(layer).all()):
            return False
        before = head.weight[chosen], head.bias[chosen]
        head.weight[chosen] = layer.to(head.weight)
        head.bias[chosen] = -(layer @ features.mean(0)).to(head.bias)
        is_so = bool(torch.allclose(_features(model, inputs)[:, chosen], expected, atol=0.1))
        if not is_so:  # what follows the layer is not what it seemed
            head.weight[chosen], head.bias[chosen] = before
    return is_so


def _last_layer(model: InteLVAE, inputs: Tensor) -> tuple[nn.Linear | None, Tensor | None]:
    """The dense layer whose output the encoder's seems to be, and its input, ``(n, features)``."""
    encoder = copy.deepcopy(model.encoder).train()
    layers, copies = ([p for p in net.modules() if isinstance(p, nn.Linear)] for net in (model.encoder, encoder))
    if not layers or layers[-1].out_features != model.family.features or layers[-1].bias is None:
        return None, None
    seen: list[Tensor] = []
    copies[-1].register_forward_pre_hook(lambda _, given: seen.append(given[0].flatten(1).double()))
    model.apply_network(encoder, inputs)
    is_one = len(seen) == 1 and seen[0].shape == (len(inputs), layers[-1].in_features)
    return layers[-1], seen[0] if is_one and bool(torch.isfinite(seen[0]).all()) else None


def _features(model: InteLVAE, inputs: Tensor) -> Tensor:
    """The encoder's output as in training, ``(n, features)``; statistics of batch normalisation stay as they are."""
    features: Tensor = model.apply_network(copy.deepcopy(model.encoder).train(), inputs)
    return features.double()


def _components(x: Tensor, count: int) -> Tensor | None:
    """The first principal components of x with variance 1, ``(n, count)``; None if there are not as many."""
    rows = x.flatten(1).double()
    rows = rows - rows.mean(0)
    if len(rows) <= count or rows.shape[1] < count or not bool(torch.isfinite(rows).all()):
        return None
    if rows.shape[1] <= len(rows):
        values, vectors = torch.linalg.eigh(rows.T @ rows / len(rows))
        found = rows @ vectors[:, -count:] * values[-count:].clamp(min=0).rsqrt()
    else:
        values, vectors = torch.linalg.eigh(rows @ rows.T / len(rows))
        found = vectors[:, -count:] * math.sqrt(len(rows))
    return found if float(values[-count]) > _FLATTEST * float(values[-1]) else None


def _fitted(centred: Tensor, components: Tensor) -> Tensor:
    """The layer, ``(d, features)``, that fits the components best, by ridge regression."""
    n, width = centred.shape
    ridge = _RIDGE * float(centred.square().sum()) / n
    if width <= n:
        gram = centred.T @ centred / n + ridge * torch.eye(width, dtype=centred.dtype)
        fitted: Tensor = torch.linalg.solve(gram, centred.T @ components / n)
    else:
        gram = centred @ centred.T / n + ridge * torch.eye(n, dtype=centred.dtype)
        fitted = centred.T @ torch.linalg.solve(gram, components / n)
    return fitted.T


def _whitened(layer: Tensor, centred: Tensor) -> Tensor:
    """The layer with outputs of covariance I, changed as little as possible."""
    out = centred @ layer.T
    values, vectors = torch.linalg.eigh(out.T @ out / len(out))
    whitened: Tensor = (vectors * values.clamp(min=_FLATTEST * float(values.max())).rsqrt()) @ vectors.T @ layer
    return whitened


def _best_rotation(model: InteLVAE, means: Tensor, chosen: Tensor, y: Tensor, seed: int) -> Tensor:
    """A rotation of y, ``(d, d)``, in which a linear function of z leaves least of y unexplained."""
    generator = torch.Generator().manual_seed(seed)
    n, d = y.shape
    like = next(model.parameters())

    def unexplained(rotation: Tensor) -> float:
        turned, whole = y @ rotation.T, means[:, : model.y_dim].clone()
        whole[:, chosen] = turned
        z = model.map(whole.to(like))[0].double()
        z = z - z.mean(0)
        gram = z.T @ z / n + 1e-9 * torch.eye(z.shape[1], dtype=z.dtype)
        across = z.T @ turned / n
        return d - float((across * torch.linalg.solve(gram, across)).sum())

    best, least, most = torch.eye(d, dtype=y.dtype), math.inf, 0.0
    for trial in range(2 * _ROTATIONS):
        drawn = torch.randn(d, d, generator=generator, dtype=y.dtype)
        if trial < _ROTATIONS:
            rotation = torch.linalg.qr(drawn).Q
        else:
            small = drawn * (0.5 * 0.98 ** (trial - _ROTATIONS))
            rotation = torch.linalg.matrix_exp(small - small.T) @ best
        left = unexplained(rotation)
        most = max(most, left)
        if left < least:
            best, least = rotation, left
        if trial == _FEW and most - least < 1e-3 * most:  # of a sphere no rotation is better than another
            break
    return best
