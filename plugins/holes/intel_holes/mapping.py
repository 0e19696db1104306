"""How is the circle glued into a chain of loops, and which properties has that mapping?"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, Literal

import torch
from torch import Tensor, nn
from torch.nn.functional import embedding
from typing_extensions import Self

from intel_core.helpers.geometry import forgets_radius, project_to_sphere, widened
from intel_core.helpers.projected_normal import direction_log_prob
from intel_core.mappings.properties import Hoelder, Locus, Properties
from intel_holes.loops import Loops

__all__ = ["HolesMapping"]


class HolesMapping(nn.Module):
    r"""Maps the plane of the first two dimensions to a chain of h touching loops; other dimensions pass through.

    The plane is projected to the unit circle, :math:`(c, s) = y / (\|y\| + ε)`, and the second coordinate is pinched:

    .. math:: g(y) = \left(c,\; s \left(\sqrt{4/3 - v^2} - 1/\sqrt3\right)\right)

    with v = \|c - apex\| / reach within each loop. v is 0 at the apex and 1 at the glue points, where the factor is 0
    and (c, s) meets (c, -s). So exactly h - 1 pairs of points are glued, and the image of the circle is a graph of
    h - 1 crossings and 2 (h - 1) arcs, whose first Betti number is h. For h = 2 this is equation (5) of the paper; for
    h = 1 it is an ellipse.

    With equal sizes, each loop's first coordinate is stretched, and its second coordinate multiplied by a factor.

    On the circle g is injective almost surely, so that gluing loses no KL beyond that of the radius, which the
    projection to the circle loses.

    Source: Miao et al., section 6.1, equation (5), and figure C.1.

    Args:
        loops: where the circle is glued.
        y_dim: number of dimensions of y.
        scale: factor on the two coordinates of z.
        eps: ε of the projection.
        form: of the projection, see `intel_core.helpers.geometry.project_to_sphere`.

    Raises:
        ValueError: if y has only 1 dimension.

    >>> from intel_holes import HolesSpec
    >>> g = HolesSpec(h=2).build(2)
    >>> g(torch.tensor([[0.0, 5.0], [0.0, -5.0], [2.0, 0.0]])).abs().round(decimals=4)  # the first two are glued
    tensor([[0., 0.],
            [0., 0.],
            [1., 0.]])
    """

    def __init__(
        self,
        loops: Loops,
        y_dim: int,
        scale: float = 1.0,
        eps: float = 1e-7,
        form: Literal["paper", "smooth"] = "paper",
    ) -> None:
        super().__init__()
        if y_dim < 2:
            raise ValueError("holes need 2 latent dimensions, there is 1")
        self.y_dim = self.z_dim = y_dim
        self.loops, self.scale, self.eps, self.form = loops, scale, eps, form
        born = torch.empty(0).device
        self._place(torch.device("cpu") if born.type == "meta" else born)

    def _place(self, device: torch.device) -> None:
        """Make the constants in both precisions; they are no buffers, since ``.half()`` would round those."""
        loops = self.loops
        right = loops.ends[:-1]
        self._tables = {}
        for dtype in (torch.float32, torch.float64):
            # v = |c * rate + shift|; 1 / inf is the rate 0 of a single loop, which has no glue points.
            rate = [1 / reach for reach in loops.reach]
            shift = [-apex / reach for apex, reach in zip(loops.apex, loops.reach, strict=True)]
            offset = [start - k * end for start, k, end in zip(loops.start, loops.stretch, right, strict=True)]
            columns = [rate, shift, loops.height, loops.stretch, offset]
            table = torch.tensor(columns, dtype=torch.float64, device="cpu").T.to(device, dtype).contiguous()
            glue = torch.tensor(loops.glue, dtype=torch.float64, device="cpu").to(device, dtype)
            self._tables[dtype] = (table, glue)

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> Self:
        super()._apply(fn, recurse)  # type: ignore[no-untyped-call]
        device = self._tables[torch.float32][0].device
        self._place(fn(torch.empty(0, device=device)).device)
        return self

    def _tables_for(self, y: Tensor) -> tuple[Tensor, Tensor]:
        table, glue = self._tables[y.dtype]
        if table.device != y.device:  # a module without parameters may not have been moved
            return table.to(y.device), glue.to(y.device)
        return table, glue

    def loop_of(self, y: Tensor) -> Tensor:
        """Index of each row's loop, counted from the right, ``(..., y_dim) -> (...)``, integers in ``[0, h)``."""
        return self._index(project_to_sphere(widened(y[..., :2]), self.eps, self.form)[..., 0])

    def _index(self, c: Tensor) -> Tensor:
        _, glue = self._tables_for(c)
        return (c.detach().unsqueeze(-1) < glue).sum(-1)

    def forward(self, y: Tensor) -> Tensor:
        """``z = g(y)``, ``(..., y_dim) -> (..., y_dim)``."""
        wide = widened(y)
        c, s = project_to_sphere(wide[..., :2], self.eps, self.form).unbind(-1)
        table, _ = self._tables_for(wide)
        rate, shift, height, stretch, offset = embedding(self._index(c), table).unbind(-1)
        # The root's argument is at least 1/3, so its slope is finite.
        pinched = torch.sqrt(4 / 3 - torch.addcmul(shift, c, rate).square()) - 1 / math.sqrt(3)
        z = torch.stack([torch.addcmul(offset, c, stretch), s * pinched * height], dim=-1) * self.scale
        return (torch.cat([z, wide[..., 2:]], dim=-1) if self.y_dim > 2 else z).to(y.dtype)

    # --- Pushforward, ScaleFree and KeepsDirections ------------------------------------------------------------

    @property
    def pushed(self) -> tuple[int, ...]:
        """The plane, whose radius is forgotten; none if ε is so large that a decoder can read it in z."""
        return (0, 1) if forgets_radius(self.eps, self.form) else ()

    @property
    def scale_free(self) -> tuple[tuple[int, ...], ...]:
        """The plane."""
        return (self.pushed,) if self.pushed else ()

    @property
    def kept_directions(self) -> tuple[tuple[int, ...], ...]:
        """The plane."""
        return self.scale_free

    def pushforward_log_prob(self, y: Tensor, mean: Tensor, log_variance: Tensor) -> Tensor:
        """Log density of z by the angle on the circle, of which g is injective but for the glue points (ε → 0).

        See `intel_core.helpers.projected_normal.direction_log_prob`.
        """
        return direction_log_prob(y, mean, log_variance)

    def pushforward_log_prior(self, y: Tensor) -> Tensor:
        """That of a uniform angle, -log 2π."""
        return y.new_full((), -math.log(2 * math.pi))

    @property
    def properties(self) -> Properties:
        """Continuous, not injective, with first Betti number h, and with seams where the loops meet."""
        loops, h = self.loops, len(self.loops.apex)
        rays = [(a, sign * math.sqrt(1 - a * a)) for a in loops.glue for sign in (1, -1)]
        # The pinched second coordinate is at most 1/sqrt(3); where nothing is stretched, c² + s²/3 <= 1.
        natural = set(loops.stretch) | set(loops.height) == {1.0}
        bound = 1.0 if natural else math.hypot(1.0, math.sqrt(1 / 3))
        return Properties(
            continuous=True,
            injective=False,
            norm_bound=self.scale * bound if self.y_dim == 2 else None,
            betti=(1, h),
            hoelder=Hoelder(max(1.0, self.scale * loops.slope / self.eps)),
            planes=((0, 1),),
            centres=(Locus((0, 1), (0.0, 0.0)),),
            seams=tuple(Locus((0, 1), (0.0, 0.0), (ray,)) for ray in rays),
        )

    def diagnose(self, y: Tensor, labels: Tensor | None = None) -> dict[str, Any]:
        """The prior's mass in each loop and the data's share of it, from posterior means ``(n, y_dim)``.

        >>> from intel_holes import HolesSpec
        >>> HolesSpec(h=2).build(2).diagnose(torch.tensor([[1.0, 0.0], [-1.0, 0.5], [-2.0, 0.0]]))["loop_shares"]
        [0.3333333333333333, 0.6666666666666666]
        """
        counts = torch.bincount(self.loop_of(y.detach()).cpu(), minlength=len(self.loops.apex))
        return {
            "loop_prior": list(self.loops.shares),
            "loop_shares": (counts.double() / max(len(y), 1)).tolist(),
        }

    def extra_repr(self) -> str:
        """What ``repr`` shows."""
        return f"{len(self.loops.apex)} loops in R^{self.y_dim}, scale={self.scale:g}, eps={self.eps:g}"
