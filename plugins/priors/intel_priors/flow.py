"""Which p(y) can take almost any shape? A normalising flow of N(0, I), learned with the networks."""

from __future__ import annotations

import math
from typing import Literal

import zuko
from torch import Tensor, nn

__all__ = ["FlowPrior", "make_transform"]

Form = Literal["realnvp", "nsf", "maf"]


def make_transform(form: Form, y_dim: int, transforms: int, hidden: tuple[int, ...], bins: int) -> nn.Module:
    """A bijection of y as zuko makes it, its weights drawn from torch's default generator; called, it gives one."""
    sizes = {"features": y_dim, "transforms": transforms, "hidden_features": hidden}
    made: nn.Module
    if form != "realnvp":
        flow = zuko.flows.NSF(bins=bins, **sizes) if form == "nsf" else zuko.flows.MAF(**sizes)
        made = flow.transform
        return made
    made = zuko.flows.RealNVP(**sizes).transform
    couplings = made.get_submodule("transforms").children() if y_dim > 1 else ()
    for part in couplings:
        # As a buffer the mask would be stacked with the weights of replicates, and a stack of masks cannot be looked
        # up by torch.func.vmap. It is the same in all of them, and needs no place among the weights.
        mask = part.mask
        del part.mask
        part.mask = mask
    return made


class FlowPrior(nn.Module):
    r"""y = f^-1(u) with u ~ N(0, I) and f a learned bijection.

    .. math:: \log p(y) = \log N(f(y); 0, I) + \log |\det \partial f / \partial y|

    =======  ===========================================================================================
    realnvp  affine couplings of every other dimension: fast both ways; a Gaussian in one dimension
    nsf      autoregressive rational-quadratic splines on [-5, 5]: a density costs one pass, a draw y_dim
    maf      autoregressive affine maps: as nsf, and a Gaussian in one dimension
    =======  ===========================================================================================

    Replicates can be stacked with all three.

    Args:
        y_dim: number of dimensions.
        form: see the table.
        transforms: number of bijections in a row.
        hidden: widths of the networks that give their parameters.
        bins: pieces of each spline.

    Source: Dinh et al., 2017 (RealNVP); Durkan et al., 2019 (NSF); Papamakarios et al., 2017 (MAF), by the package
    zuko.

    >>> import torch
    >>> prior = FlowPrior(3, "nsf", transforms=2, hidden=(16,))
    >>> prior.draw(torch.zeros(5, 3)).shape, prior.log_prob(torch.zeros(5, 3)).shape
    (torch.Size([5, 3]), torch.Size([5]))
    """

    def __init__(
        self, y_dim: int, form: Form = "realnvp", transforms: int = 4, hidden: tuple[int, ...] = (128,), bins: int = 8
    ) -> None:
        super().__init__()
        self.noise_dim = y_dim
        self.transform = make_transform(form, y_dim, transforms, tuple(hidden), bins)

    def draw(self, noise: Tensor) -> Tensor:
        """``(..., y_dim) -> (..., y_dim)``: the inverse of the bijection."""
        if not noise.numel():  # zuko cannot reshape rows that are not there
            return noise
        y: Tensor = self.transform().inv(noise)
        return y

    def log_prob(self, y: Tensor) -> Tensor:
        """``(..., y_dim) -> (...)``, nats."""
        if not y.numel():
            return y.sum(-1)
        u, log_det = self.transform().call_and_ladj(y)
        found: Tensor = log_det - 0.5 * (u.square() + math.log(2 * math.pi)).sum(-1)
        return found
