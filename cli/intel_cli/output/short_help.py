"""What does an installed command do, in one line? The source says it, so that no plugin is imported for a list."""

from __future__ import annotations

import ast
from importlib import util
from importlib.abc import InspectLoader
from importlib.machinery import PathFinder

import click

__all__ = ["short_help"]


def short_help(value: str, width: int = 80) -> str:
    """The short help of what an entry point names, as click would show it; empty where its source does not say.

    That is ``short_help`` (or ``help``) in the call of its decorator, else the first sentence of its docstring, else
    that of the module. Neither the module nor a package around it is imported.

    Args:
        value: ``module:attribute``, or a module alone.
        width: characters after which a docstring is cut short.

    >>> short_help("intel_cli.output.telling:note")
    'Print something that a user should know on stderr.'
    >>> short_help("nowhere.at_all:thing")
    ''
    """
    module, _, attribute = value.partition(":")
    try:
        body = ast.parse(_source(module.strip()) or "")
    except Exception:  # whatever is wrong with it is told to whoever uses it
        return ""
    name = attribute.partition("[")[0].strip()
    for node in body.body:
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef) and node.name == name:
            said = _keywords(node)
            text = said.get("help") or ast.get_docstring(node) or ast.get_docstring(body)
            return click.Command(name, help=text, short_help=said.get("short_help")).get_short_help_str(width)
    return click.Command(name, help=ast.get_docstring(body)).get_short_help_str(width)


def _keywords(node: ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef) -> dict[str, str]:
    """The texts that are given by name in the call of the decorator that makes it a command or a group."""
    calls = [decorator for decorator in node.decorator_list if isinstance(decorator, ast.Call)]
    return {
        keyword.arg: keyword.value.value
        for call in calls
        if ast.unparse(call.func).rpartition(".")[2] in ("command", "group")
        for keyword in call.keywords
        if keyword.arg and isinstance(keyword.value, ast.Constant) and isinstance(keyword.value.value, str)
    }


def _source(module: str) -> str | None:
    """The text of a module. `importlib.util.find_spec` alone would import the packages around it."""
    name, *rest = module.split(".")
    spec = util.find_spec(name)
    for part in rest:
        if spec is None or spec.submodule_search_locations is None:
            return None
        name = f"{name}.{part}"
        spec = PathFinder.find_spec(name, spec.submodule_search_locations)
    loader = spec.loader if spec is not None else None
    return loader.get_source(name) if isinstance(loader, InspectLoader) else None
