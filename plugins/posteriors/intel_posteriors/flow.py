r"""How does a posterior take almost any shape? A bijection that depends on x, from noise to y.

.. math:: y = \mu + \sigma \odot T(\epsilon; h), \qquad
    \log q(y|x) = \log N(\epsilon; 0, I) - \log |\det \partial T / \partial \epsilon| - \sum_j \log \sigma_j

The encoder gives mu, log sigma^2 and the context h of each example. T is autoregressive and is used in the
direction of noise to y, the cheap one, as an inverse autoregressive flow; its inverse is never computed.
"""

from __future__ import annotations

import copy
import math
from typing import Any, Literal, NamedTuple

import torch
import zuko
from torch import Tensor, nn
from torch.func import functional_call, jacrev, vmap

__all__ = ["FlowFamily", "flow_posterior"]

Form = Literal["realnvp", "nsf", "maf"]

_PACE = 0.1
"""By which T's networks are multiplied."""


class _Slow(nn.Module):
    """A network whose output counts a tenth, so that T changes more slowly than means and log-variances do."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, x: Tensor) -> Tensor:
        """A tenth of the network's output."""
        found: Tensor = self.network(x)
        return _PACE * found


class _Bijection(nn.Module):
    """T as a module, so that its weights can be handed over from outside."""

    def __init__(self, transform: nn.Module) -> None:
        super().__init__()
        self.transform = transform

    def forward(self, noise: Tensor, context: Tensor) -> tuple[Tensor, Tensor]:
        """``(..., n, y_dim)`` and the log-determinants ``(..., n)``, for contexts ``(n, width)``."""
        context = context.expand(*noise.shape[:-1], context.shape[-1])
        image: Tensor
        log_det: Tensor
        image, log_det = self.transform(context).call_and_ladj(noise)
        return image, log_det


def flow_posterior(bijection: nn.Module) -> type[Any]:
    """The class of the posteriors of a bijection: a `NamedTuple` of tensors, the bijection's weights among them.

    So what it computes depends on its fields alone, and can be mapped over a stack of models. Fields: ``shift`` and
    ``log_variance``, ``(n, y_dim)``, ``context``, ``(n, width)``, then the weights, ``weight0`` and so on.
    """
    own = {**dict(bijection.named_parameters()), **dict(bijection.named_buffers())}
    # Without values: what it computes with are the fields.
    skeleton = copy.deepcopy(bijection).to("meta")

    def transform(q: Any, noise: Tensor) -> tuple[Tensor, Tensor]:
        """T and its log-determinant."""
        weights = dict(zip(own, q[3:], strict=True))
        found: tuple[Tensor, Tensor] = functional_call(skeleton, weights, (noise, q.context))
        return found

    def rsample(q: Any, noise: Tensor) -> Tensor:
        """Y, ``(..., n, y_dim) -> (..., n, y_dim)``."""
        return torch.addcmul(q.shift, transform(q, noise)[0], torch.exp(0.5 * q.log_variance))

    def draw(q: Any, noise: Tensor) -> tuple[Tensor, Tensor]:
        """Y and log q(y|x), ``(..., n)``, nats."""
        image, log_det = transform(q, noise)
        log_q = -0.5 * (noise.square() + q.log_variance + math.log(2 * math.pi)).sum(-1) - log_det
        return torch.addcmul(q.shift, image, torch.exp(0.5 * q.log_variance)), log_q

    def mean(q: Any) -> Tensor:
        """What becomes of noise 0, ``(n, y_dim)``."""
        return rsample(q, torch.zeros_like(q.shift))

    def std(q: Any) -> Tensor:
        """Deviations by the derivative J at noise 0: the lengths of J's rows, ``(n, y_dim)``, an approximation."""

        def one(shift: Tensor, log_variance: Tensor, context: Tensor) -> Tensor:
            single = q._replace(shift=shift, log_variance=log_variance, context=context)
            derivative: Tensor = jacrev(lambda noise: rsample(single, noise))(torch.zeros_like(shift))
            return derivative.square().sum(-1).sqrt()

        found: Tensor = vmap(one)(q.shift, q.log_variance, q.context)
        return found

    names = ["shift", "log_variance", "context", *(f"weight{i}" for i in range(len(own)))]
    make: Any = NamedTuple  # its fields depend on the bijection
    kind: Any = make("FlowPosterior", [(name, Tensor) for name in names])
    kind.__doc__ = "q(y|x) of n examples, see `intel_posteriors.flow`."
    kind.rsample, kind.draw, kind.mean, kind.std = rsample, draw, property(mean), property(std)
    return kind  # type: ignore[no-any-return]


class FlowFamily(nn.Module):
    """Features are shifts mu, log-variances log sigma^2, and the context; T's networks are the family's own.

    =======  =====================================================================================
    maf      autoregressive affine maps, i.e. an inverse autoregressive flow; Gaussian in one dimension
    nsf      autoregressive rational-quadratic splines on [-5, 5], the identity outside
    realnvp  affine couplings of two halves; Gaussian in one dimension
    =======  =====================================================================================

    At first T is the identity, and q(y|x) the Gaussian that mu and sigma describe. The output of T's networks counts a
    tenth: with its full size the ELBO was 3.4 nats behind a diagonal Gaussian's after 6 epochs of MNIST, with a tenth
    0.7 (one seed).

    Source: Kingma et al., 2016 (inverse autoregressive flows); Durkan et al., 2019 (splines); Dinh et al., 2017
    (couplings); by the package zuko.

    Args:
        y_dim: number of dimensions.
        form: see the table.
        transforms: number of bijections in a row.
        hidden: widths of the networks that give their parameters.
        bins: pieces of each spline.
        context: width of the context h.

    >>> family = FlowFamily(3, context=4)
    >>> y, log_q = family(torch.zeros(2, family.features)).draw(torch.zeros(5, 2, 3))
    >>> family.features, y.shape, round(float(log_q[0, 0].detach()), 4)  # -3/2 log(2 pi)
    (10, torch.Size([5, 2, 3]), -2.7568)
    """

    def __init__(
        self,
        y_dim: int,
        form: Form = "maf",
        transforms: int = 3,
        hidden: tuple[int, ...] = (64,),
        bins: int = 8,
        context: int = 32,
    ) -> None:
        super().__init__()
        self.y_dim, self.context = y_dim, context
        self.features, self.noise_dim = 2 * y_dim + context, y_dim
        sizes: dict[str, Any] = {"transforms": transforms, "hidden_features": tuple(hidden)}
        if form == "nsf":
            flow: nn.Module = zuko.flows.NSF(y_dim, context, bins=bins, **sizes)
        else:
            # Couplings are autoregressive maps of two groups; zuko's own look their groups up by a mask, which
            # torch.func.vmap refuses.
            passes = {"passes": 2} if form == "realnvp" else {}
            flow = zuko.flows.MAF(y_dim, context, **sizes, **passes)
        self.bijection = _Bijection(flow.get_submodule("transform"))
        for part in list(self.bijection.modules()):
            if isinstance(part, zuko.flows.MaskedAutoregressiveTransform):
                part.hyper = _Slow(part.hyper)
        self._start_as_identity()
        self._posterior = flow_posterior(self.bijection)

    def _start_as_identity(self) -> None:
        for module in self.bijection.modules():
            layers = list(module.children()) if isinstance(module, zuko.nn.MLP | zuko.nn.MaskedMLP) else []
            if layers:
                for parameter in layers[-1].parameters():
                    nn.init.zeros_(parameter)

    def forward(self, features: Tensor) -> Any:
        """``(n, features)`` -> q(y|x) of n examples, see `flow_posterior`."""
        shift, log_variance, context = torch.split(features, [self.y_dim, self.y_dim, self.context], -1)
        own = [*self.bijection.parameters(), *self.bijection.buffers()]
        return self._posterior(shift, log_variance, context, *own)
