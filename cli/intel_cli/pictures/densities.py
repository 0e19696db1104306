"""What does a prior look like? Draws of it, and contours of its density, in the first two dimensions."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from intel_cli.pictures.points import coordinate_names
from intel_cli.pictures.prior import DASHES, contours, curve, draws
from intel_cli.pictures.style import GREY, figure, styled
from intel_core.components.spec import parse_spec
from intel_core.helpers.own_prior import OwnPrior
from intel_core.model.contract import PriorSpec
from intel_core.recipe.latent import build_prior

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["prior_figure"]


@torch.no_grad()
def prior_figure(text: str, latent: int, points: int, seed: int) -> Figure:
    """Draws of a prior that is not trained, in the first two dimensions of y.

    Raises:
        SpecError: if the text describes none, or none for so many dimensions.
    """
    from intel_core.errors import SpecError
    from intel_core.model.prior import FromEncoder

    spec = parse_spec("priors", text)
    assert isinstance(spec, PriorSpec)
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(seed)
        built = build_prior(spec, latent, (1,))
    if isinstance(built, FromEncoder):
        raise SpecError(f"prior {spec} is made of what an encoder says of its inputs; show a trained run instead")
    prior = OwnPrior(built, torch.zeros(1))
    y = draws(points, latent, seed, torch.float64, prior)
    with styled():
        made = figure(4.2, 3.8)
        axes = made.subplots()
        if latent == 1:
            axes.hist(y[:, 0].numpy(), bins=60, density=True, color=GREY, alpha=0.4)
            axes.plot(*curve(prior), color=GREY)
        else:
            axes.scatter(y[:, 0], y[:, 1], s=3, linewidths=0, alpha=0.5)
            for line in contours(prior, (0, 1)):
                axes.plot(*line.T.numpy(), color=GREY, linewidth=0.8, linestyle=DASHES)
            axes.set_aspect("equal")
            axes.set_ylabel(coordinate_names("y", (0, 1))[1])
        axes.set_xlabel(coordinate_names("y", (0,))[0])
        axes.set_title(f"draws of {spec}, and where 39, 86 and 99 % are")
        return made
