"""How do the contents of a page become one file that opens anywhere and needs no network?"""

from __future__ import annotations

import base64
import dataclasses
import hashlib
from importlib import resources
from typing import TYPE_CHECKING, Any

import jinja2
from markupsafe import Markup

from intel_cli.report.walks import STEPS

if TYPE_CHECKING:
    from intel_cli.report.gather import Page

__all__ = ["asset", "policy", "render"]

_MARKS = {"took": "✓", "partly": "◐", "not": "✗", "unknown": "?"}


def asset(name: str, package: str = "intel_cli.report") -> str:
    """A file that lies beside this module."""
    return (resources.files(package) / name).read_text(encoding="utf-8")


def policy(script: str) -> str:
    """A content security policy under which that one script runs and nothing is fetched from anywhere."""
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    return (
        f"default-src 'none'; img-src data:; style-src 'unsafe-inline'; script-src 'sha256-{digest}'; "
        "base-uri 'none'; form-action 'none'"
    )


def environment() -> jinja2.Environment:
    """Templates in which every value is escaped, and a name that is missing is an error."""
    made = jinja2.Environment(
        autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True, lstrip_blocks=True, auto_reload=False
    )
    made.policies["json.dumps_kwargs"] = {"ensure_ascii": False, "separators": (",", ":"), "allow_nan": False}
    return made


def render(page: Page) -> str:
    """The page as HTML."""
    script, style = asset("page.js"), asset("page.css")
    template = environment().from_string(asset("page.html.jinja"))
    return template.render(
        page=page,
        script=Markup(script),
        style=Markup(style),
        policy=policy(script),
        marks=_MARKS,
        steps=STEPS,
        data=_data(page),
    )


def _data(page: Page) -> dict[str, Any]:
    """The data that the script needs."""
    return {
        "steps": list(STEPS),
        "bases": [dataclasses.asdict(base) | {"picture": ""} for base in page.walks.bases],
        "curves": [chart.data for chart in page.curves],
    }
