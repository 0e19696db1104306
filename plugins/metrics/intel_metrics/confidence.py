"""How many resamples does a confidence level need?"""

from __future__ import annotations

import math

__all__ = ["resamples_for"]


def resamples_for(level: float) -> int:
    """The number of resamples that a confidence level needs: the largest of B values gives at most B / (B + 1).

    >>> resamples_for(0.95), resamples_for(0.99)
    (19, 99)
    """
    return math.ceil(level / (1 - level) - 1e-9)
