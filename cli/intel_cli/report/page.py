"""How do the contents of a page become one file that opens anywhere and needs no network?"""

from __future__ import annotations

import base64
import dataclasses
import hashlib
import json
import math
from importlib import resources
from typing import TYPE_CHECKING, Any

import jinja2
from markupsafe import Markup

from intel_cli.output.terminal import visible
from intel_cli.report.walks import STEPS

if TYPE_CHECKING:
    from intel_cli.report.gather import Page

__all__ = ["MARKS", "asset", "environment", "policy", "render"]

MARKS = {"took": "✓", "partly": "◐", "not": "✗", "unknown": "?"}


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
    made.policies["json.dumps_function"] = lambda value, **settings: json.dumps(_finite(value), **settings)
    return made


def _finite(value: Any) -> Any:
    """A value for the script; a number that is not finite, of a model that broke, becomes null."""
    if isinstance(value, dict):
        return {key: _finite(part) for key, part in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(part) for part in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def render(page: Page) -> str:
    """The page as HTML, in which control characters of names are written out."""
    script, style = asset("page.js"), asset("page.css")
    template = environment().from_string(asset("page.html.jinja"))
    made = template.render(
        page=page,
        script=Markup(script),
        style=Markup(style),
        policy=policy(script),
        marks=MARKS,
        steps=STEPS,
        data=_data(page),
    )
    return visible(made)


def _data(page: Page) -> dict[str, Any]:
    """The data that the script needs."""
    return {
        "steps": list(STEPS),
        "bases": [dataclasses.asdict(base) | {"picture": ""} for base in page.walks.bases],
        "curves": [chart.data for chart in page.curves],
    }
