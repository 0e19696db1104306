"""Clusters in a plane have the shares of the prior that their borders cut."""

import pytest
import torch


def test_a_product_of_clusters_has_the_shares_of_its_factors():
    from intel_cli.pictures.borders import shares_in
    from intel_cli.pictures.seams import regions

    class Quarters:
        y_dim = z_dim = 4
        n_clusters = 4

        def assign(self, y):
            return 2 * (y[..., 0] > 0).long() + (y[..., 2] > 0.5).long()

        def proportions(self):
            return torch.tensor([0.35, 0.15, 0.35, 0.15])

    assert shares_in(regions(Quarters(), (0, 1, 2, 3), 4, (0, 1), 4.0)) == pytest.approx({0: 0.5, 2: 0.5})
    assert shares_in(regions(Quarters(), (0, 1, 2, 3), 4, (2, 3), 4.0)) == pytest.approx({0: 0.7, 1: 0.3})
    assert len(shares_in(regions(Quarters(), (0, 1, 2, 3), 4, (0, 2), 4.0))) == 4
