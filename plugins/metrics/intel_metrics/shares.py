"""How precise is a share that was counted?"""

from __future__ import annotations

import math

__all__ = ["share_error"]


def share_error(share: float, n: int) -> float:
    r"""Standard error of a share of n independent draws, also if none or all were counted:

    .. math:: \sqrt{\tilde p (1 - \tilde p) / (n + 3)}, \qquad \tilde p = (n p + 1) / (n + 2)

    It is the posterior standard deviation of the share under a uniform prior (a Beta distribution); for large n it is
    the usual :math:`\sqrt{p (1 - p) / n}`, which is 0 for p = 0 however small n is.

    >>> round(share_error(0.5, 1_000_000), 7)
    0.0005
    >>> round(share_error(0.0, 98), 5)
    0.0099
    """
    mean = (n * share + 1) / (n + 2)
    return math.sqrt(mean * (1 - mean) / (n + 3))
