"""How does a trained run become one page that anybody can open? `intel report`."""

from __future__ import annotations

from intel_cli.report.writing import write_report

__all__ = ["write_report"]
