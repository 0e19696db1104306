"""Could code do something else in another process: by hash(), by the order of a set, by the time or the environment?"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from functools import lru_cache

__all__ = ["suspects_in"]

_NAMES = {"hash", "id", "environ", "getenv", "getpid", "getcwd", "uuid1", "uuid4", "urandom", "time", "time_ns"}
_NAMES |= {"perf_counter", "monotonic", "now", "today", "gethostname", "argv", "SystemRandom", "secrets", "iterdir"}
_NAMES |= {"cpu_count", "listdir", "glob", "__hash__"}
_MAKES_SETS = {"set", "frozenset"}
_METHODS = {"union", "difference", "intersection", "symmetric_difference", "copy"}
_IN_ORDER = {
    "list",
    "tuple",
    "enumerate",
    "map",
    "zip",
    "iter",
    "join",
    "reversed",
    "filter",
    "reduce",
    "tensor",
    "next",
}
_IN_ORDER |= {"next", "chain", "fromkeys", "extend", "pop"}


def suspects_in(source: str) -> set[str]:
    r"""What in a module's code may differ from one process to the next, in words.

    A set that is only asked for its members, its size, or in sorted order is none.

    >>> sorted(suspects_in("def f(x): return hash(x)"))
    ['hash']
    >>> sorted(suspects_in("class A:\n  def f(self, x): A.first = x"))
    ['a value that a call keeps for all instances']
    >>> sorted(suspects_in("for name in {'a', 'b'}: print(name)"))
    ['the order of a set']
    >>> suspects_in("known = {'a', 'b'}; print(sorted(known), 'a' in known)")
    set()
    """
    return set(_suspects_in(source))


@lru_cache(maxsize=64)  # many mappings share a module
def _suspects_in(source: str) -> frozenset[str]:
    nodes = list(ast.walk(ast.parse(source)))
    found = {_name(node) for node in nodes} & _NAMES
    known: set[str] = set()
    while True:  # a set that is made of a set that has a name
        more = {name for node in nodes for name in _bound(node, known)}
        if more <= known:
            break
        known |= more
    if any(_kept_for_all(node) for node in nodes):
        found.add("a value that a call keeps for all instances")
    if any(_is_set(node, known) for parent in nodes for node in _taken_in_order(parent)):
        found.add("the order of a set")
    return frozenset(found)


def _name(node: ast.AST) -> str:
    return node.id if isinstance(node, ast.Name) else node.attr if isinstance(node, ast.Attribute) else ""


def _kept_for_all(node: ast.AST) -> bool:
    """Whether a function changes a name of its module, or an attribute of a class."""
    if not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
        return False
    for inner in ast.walk(node):
        if isinstance(inner, ast.Global):
            return True
        targets = inner.targets if isinstance(inner, ast.Assign) else []
        targets = [inner.target] if isinstance(inner, ast.AugAssign | ast.AnnAssign) else targets
        for target in targets:
            owner = target.value if isinstance(target, ast.Attribute | ast.Subscript) else None
            while isinstance(owner, ast.Attribute | ast.Subscript) and _name(owner) != "__class__":
                owner = owner.value
            called = isinstance(owner, ast.Call) and _name(owner.func) == "type"
            of_class = owner is not None and (_name(owner) in ("cls", "__class__") or _name(owner)[:1].isupper())
            if called or of_class:
                return True
    return False


def _is_set(node: ast.AST, known: set[str]) -> bool:
    if isinstance(node, ast.Set | ast.SetComp) or _name(node) in known:
        return True
    if isinstance(node, ast.BinOp):
        return _is_set(node.left, known) or _is_set(node.right, known)
    if isinstance(node, ast.IfExp):
        return _is_set(node.body, known) or _is_set(node.orelse, known)
    if isinstance(node, ast.Call):
        function = node.func
        of_a_set = isinstance(function, ast.Attribute) and _is_set(function.value, known)
        return _name(function) in _MAKES_SETS or (of_a_set and _name(function) in _METHODS)
    return False


def _bound(node: ast.AST, known: set[str]) -> Iterator[str]:
    """The names that a statement gives to a set."""
    if isinstance(node, ast.Assign) and _is_set(node.value, known):
        yield from (name for target in node.targets if (name := _name(target)))
    elif isinstance(node, ast.AnnAssign | ast.NamedExpr) and node.value is not None and _is_set(node.value, known):
        yield from [name] if (name := _name(node.target)) else []


def _taken_in_order(node: ast.AST) -> Iterator[ast.AST]:
    """The expressions of which a node takes one element after another, in their order."""
    if isinstance(node, ast.For | ast.comprehension):
        yield node.iter
    elif isinstance(node, ast.ListComp | ast.GeneratorExp | ast.DictComp):
        yield from (generator.iter for generator in node.generators)
    elif isinstance(node, ast.Starred):
        yield node.value
    elif isinstance(node, ast.Call) and _name(node.func) in _IN_ORDER:
        yield from node.args
        if isinstance(node.func, ast.Attribute):
            yield node.func.value
