"""How much has to be drawn for a confidence?"""

from __future__ import annotations

import math

__all__ = ["resamples_for"]


def resamples_for(level: float) -> int:
    """How many resamples a confidence needs: the largest of B gives B / (B + 1), and no more.

    >>> resamples_for(0.95), resamples_for(0.99)
    (19, 99)
    """
    return math.ceil(level / (1 - level) - 1e-9)
