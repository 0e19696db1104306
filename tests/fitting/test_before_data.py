"""What no data can mend is told before the data are read, which may take long or fail itself."""

from typing import Any

import pytest

from intel_core import SpecError, fit

UNREADABLE = "memory:examples=40,shape=[2]"
"""A data set that was in memory, and cannot be read again."""


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"mapping": "identity:dims=4-6", "latent": 3}, "different dimensions below 3"),
        ({"device": "nonsense"}, "device 'nonsense' is not here"),
        ({"trial": 0.5}, "say restarts=N"),
    ],
)
def test_a_mistake_is_told_before_data_are_read(settings: dict[str, Any], said: str) -> None:
    with pytest.raises(SpecError, match=said):
        fit(**{"mapping": "identity", "data": UNREADABLE, **settings})


def test_a_start_without_clusters_is_told_before_data_are_read() -> None:
    pytest.importorskip("intel_starts")
    with pytest.raises(SpecError, match="for a mapping or a prior with clusters, not for identity"):
        fit(mapping="identity", data=UNREADABLE, start="mixture")
