"""Class names with dollars are drawn as they are, not as formulas."""

import torch
from intel_cli.pictures.latent import latent_panels

from intel_core import build_mapping, parse_spec


def test_dollars_of_class_names_are_drawn(tmp_path):
    names = [r"$\frac{", "a$b$"]
    made = latent_panels(
        build_mapping([parse_spec("mappings", "identity")], 2), torch.randn(20, 2), torch.arange(20) % 2, names
    )
    made.savefig(tmp_path / "panels.png")
    legend = made.legends[0]
    assert {r"\$\frac{", r"a\$b\$"} <= {text.get_text() for text in legend.get_texts()}
