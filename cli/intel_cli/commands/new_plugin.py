"""How does one begin a plugin of one's own? `intel plugins new` writes a project that passes its tests as it is."""

from __future__ import annotations

import keyword
import re
import shlex
import unicodedata
from pathlib import Path

import click

__all__ = ["new"]

_LICENCES = ("MIT", "Apache-2.0", "BSD-3-Clause", "none")
_OWN = ("core", "cli")
"""Names whose distribution and package are this project's."""
_KINDS = (
    *("mapping", "prior", "posterior", "likelihood", "network", "dataset", "metric", "start", "tracker"),
    *("optimizer", "schedule"),
)
_IN_TWO = ("prior", "posterior", "likelihood", "network", "optimizer")
"""Kinds whose modules are apart from their specs."""
_NOT_NAMES = {*_KINDS, "null", "none", "true", "false", "yes", "no", "on", "off"}
"""``MappingSpec`` and its likes are bases of specs; a config file would read the others as something else."""
_LONGEST = 30

_FILES = {
    "pyproject.toml": "pyproject.toml",
    "README.md": "README.md",
    ".gitignore": "gitignore",
    ".github/workflows/test.yml": "workflow.yml",
    "@package@/__init__.py": "init.py",
    "@package@/py.typed": "",
}
"""Each file of a project of any kind, and its template; nothing is in an empty one."""
_OWN_FILES = {
    "mapping": {
        "@package@/spec.py": "spec.py",
        "@package@/mapping.py": "mapping.py",
        "tests/test_@name@.py": "test.py",
    },
    **{
        kind: {
            "README.md": "README-kind.md",
            "@package@/spec.py": f"spec-{kind}.py",
            **({f"@package@/{kind}.py": f"{kind}.py"} if kind in _IN_TWO else {}),
            "tests/test_@name@.py": f"test-{kind}.py",
        }
        for kind in _KINDS[1:]
    },
}
"""The files of a kind; those that are not in two are their specs."""
_USAGES = {
    "mapping": "intel train --mapping @name@",
    "prior": "intel train --prior @name@ --latent 2 --data digits",
    "posterior": "intel train --posterior @name@ --latent 2 --data digits",
    "likelihood": "intel train --likelihood @name@ --latent 2 --data circle",
    "network": "intel train --network @name@ --latent 2 --data digits",
    "dataset": "intel train --data @name@ --latent 2",
    "metric": "intel evaluate RUN --metric @name@",
    "start": "intel train --mapping cluster:k=10 --start @name@ --data digits",
    "tracker": "intel train --track @name@ --latent 2 --data digits",
    "optimizer": "intel train --optimizer @name@ --latent 2 --data digits",
    "schedule": "intel train --schedule kl=@name@:steps=1000 --latent 2 --data digits",
}
_CHECKED = ("mapping", "prior", "posterior", "likelihood", "network", "dataset", "metric")
"""Kinds that `intel check` checks."""

_EPILOG = """\b
Examples:
  intel plugins new spiral
  intel plugins new --kind prior heavy
  intel plugins new spiral --dir ~/work --license Apache-2.0 --author 'Ada Lovelace'
"""


@click.command("new", epilog=_EPILOG, short_help="Write a plugin with one component and its tests.")
@click.argument("name")
@click.option(
    "--kind",
    type=click.Choice(_KINDS),
    default="mapping",
    show_default=True,
    help="What the plugin is to offer.",
)
@click.option(
    "--dir",
    "parent",
    type=click.Path(path_type=Path),
    default=Path(),
    metavar="PARENT",
    help="Folder in which the project's folder is made.  [default: this one]",
)
@click.option(
    "--license", "licence", type=click.Choice(_LICENCES), default="MIT", show_default=True, help="Its licence."
)
@click.option("--author", metavar="NAME", help="Copyright holder.  [default: the project's authors]")
@click.option("--json", "as_json", is_flag=True, help="Print what was made as one JSON object.")
def new(name: str, kind: str, parent: Path, licence: str, author: str | None, as_json: bool) -> None:
    """Write a plugin with one component: its sources, tests, and everything that pip needs.

    NAME is what users will type, e.g. spiral in intel train --mapping spiral. The project intelvae-NAME contains a
    working example and tests that check it; the lines to change are marked.
    """
    from intel_cli.output.telling import json_text
    from intel_core.errors import RunError

    check_name(name, kind)
    target = parent / f"intelvae-{name.replace('_', '-')}"
    if target.exists() or target.is_symlink():
        raise RunError(f"{target} is there already; nothing was changed")
    files = project_files(name, licence, author, kind=kind)
    _write(target, files)
    steps = _next_steps(name, target, kind)
    if as_json:
        made = {
            "name": name,
            "kind": kind,
            "distribution": target.name,
            "package": f"intel_{name}",
            "path": str(target),
        }
        click.echo(json_text({**made, "files": list(files), "next": [command for command, _ in steps]}))
        return
    click.echo(f"{target}: a {kind} that works; the lines to change are marked CHANGE")
    for path in files:
        click.echo(f"  {path}")
    click.echo("Next:")
    width = max(len(command) for command, _ in steps)
    for command, about in steps:
        click.echo(f"  {command:<{width}}  # {about}" if about else f"  {command}")


def check_name(name: str, kind: str = "mapping") -> None:
    """Whether a new component of a kind can have that name.

    Raises:
        SpecError: if it cannot; the message has a spelling that it can have, where there is one.
        PluginError: if a component of that kind and name, or its distribution, is installed already.
    """
    from intel_core.errors import PluginError, SpecError

    shown = repr(name if len(name) <= _LONGEST else f"{name[:_LONGEST]}…")
    problem = _problem(name)
    if problem:
        other = _spelt_well(name)
        hint = f"; did you mean {other!r}?" if len(other) > 1 and other != name and not _problem(other) else ""
        raise SpecError(f"{shown} is no name for a {kind}: {problem}{hint}")
    holder = _holder_of(name, kind)
    if holder:
        raise PluginError(f"{shown} is taken: {holder}; choose another name")


def _problem(name: str) -> str:
    """What is wrong with a name, whatever is installed; empty if nothing is."""
    if not re.fullmatch(r"[a-z][a-z0-9]*(_[a-z0-9]+)*", name):
        return "use lower-case letters, digits and single underscores, a letter first"
    if len(name) > _LONGEST:
        return f"it has {len(name)} characters, use at most {_LONGEST}"
    if name in ("intel", "intelvae") or name.startswith(("intel_", "intelvae_")):
        return "intel stands before it anyway, in the names of package and distribution"
    if keyword.iskeyword(name) or name in keyword.softkwlist or name in _NOT_NAMES:
        return "the word has a meaning already"
    return ""


def _spelt_well(name: str) -> str:
    """The nearest lower-case identifier: ``My-Map`` is ``my_map``."""
    plain = unicodedata.normalize("NFKD", name[: 10 * _LONGEST]).encode("ascii", "ignore").decode()
    words = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", plain).lower()
    return (
        re.sub(r"[^a-z0-9]+", "_", words)
        .lstrip("0123456789_")
        .rstrip("_")
        .removeprefix("intelvae_")
        .removeprefix("intel_")
    )


def _holder_of(name: str, kind: str) -> str:
    """What has the name of the component, distribution or package already; empty if none has. Nothing is imported."""
    from importlib import metadata, util

    from intel_core.components.discovery import available

    for component in available(f"{kind}s"):
        if component.name == name:
            return f"{component.distribution} {component.version} has a {kind} of that name"
    distribution = f"intelvae-{name.replace('_', '-')}"
    try:
        return f"{distribution} {metadata.version(distribution)} is installed"
    except metadata.PackageNotFoundError:
        pass
    if name in _OWN:
        return f"{distribution} is a part of InteL-VAE itself"
    holder = util.find_spec(f"intel_{name}")
    return f"a package intel_{name} is installed, in {holder.origin}" if holder is not None else ""


def project_files(
    name: str,
    licence: str = "MIT",
    author: str | None = None,
    year: int | None = None,
    *,
    kind: str = "mapping",
) -> dict[str, str]:
    """The text of each file of a new project, by its path.

    Args:
        name: of the component.
        licence: its SPDX name, or ``none``.
        author: who holds the copyright.
        year: of the copyright; this one if None.
        kind: what it offers, e.g. ``prior``.

    Raises:
        SpecError: if the author's name cannot be written.
    """
    import datetime
    import json

    from intel_core.components.discovery import API_LEVEL
    from intel_core.errors import SpecError

    if author is not None and (not author.strip() or not author.isprintable()):
        raise SpecError(f"{author[:60]!r} is no author's name")
    named = author is not None
    author = author.strip() if author is not None else f"the intelvae-{name.replace('_', '-')} authors"
    chosen = licence != "none"
    legal = f'license = "{licence}"\nlicense-files = ["LICENSE"]\n' if chosen else ""
    legal += f"authors = [{{ name = {json.dumps(author, ensure_ascii=False)} }}]\n" if named else ""
    values = {
        "name": name,
        "what": "data set" if kind == "dataset" else kind,
        "kinds": f"{kind}s",
        "usage": _USAGES[kind].replace("@name@", name),
        "test_needs": _test_needs(kind),
        "addopts": "--strict-markers --hypothesis-profile=ci" if kind in _CHECKED else "--strict-markers",
        "class": "".join(word.capitalize() for word in name.split("_")),
        "package": f"intel_{name}",
        "distribution": f"intelvae-{name.replace('_', '-')}",
        "api": str(API_LEVEL),
        "author": author,
        "year": str(year or datetime.date.today().year),
        "legal": legal,
        "licence_section": f"\n## Licence\n\n{licence}, see [LICENSE](LICENSE).\n" if chosen else "",
    }
    sources = {**_FILES, **_OWN_FILES[kind], **({"LICENSE": f"LICENSE-{licence}"} if chosen else {})}
    return {_filled(path, values): _filled(_template(source), values) for path, source in sources.items()}


def _test_needs(kind: str) -> str:
    if kind in _CHECKED:
        return '"intelvae-conformance[testing]>=0.1"'
    return '"pytest>=8.2", "hypothesis>=6.100"' if kind == "schedule" else '"pytest>=8.2"'


def _template(name: str) -> str:
    from importlib.resources import files

    return (files("intel_cli") / "template" / f"{name}.tmpl").read_text(encoding="utf-8") if name else ""


def _filled(text: str, values: dict[str, str]) -> str:
    """With each ``@key@`` replaced by its value."""
    return re.sub(r"@([a-z_]+)@", lambda match: values[match[1]], text)


def _write(target: Path, files: dict[str, str]) -> None:
    """Write all files or none: they are written to a temporary folder, which is then renamed.

    Raises:
        RunError: if they cannot be written.
    """
    import tempfile

    from intel_core.errors import RunError

    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=f".{target.name}-", dir=target.parent) as folder:
            draft = Path(folder) / target.name
            for path, text in files.items():
                (draft / path).parent.mkdir(parents=True, exist_ok=True)
                (draft / path).write_text(text, encoding="utf-8", newline="\n")
            draft.rename(target)
    except OSError as error:
        raise RunError(f"{target} cannot be written: {error.strerror}") from error


def _next_steps(name: str, target: Path, kind: str) -> list[tuple[str, str]]:
    """Commands, and what each is for."""
    common = [
        (f"cd {shlex.quote(str(target))}", ""),
        ("pip install -e '.[test]'", "now every command knows it"),
    ]
    usage = _USAGES[kind].replace("@name@", name)
    if kind != "mapping":
        prefix = "data" if kind == "dataset" else kind
        checks = [(f"intel check {prefix}:{name}", "the same, with a report")] if kind in _CHECKED else []
        about = "RUN is one of yours" if kind == "metric" else "" if kind == "dataset" else "needs intelvae-datasets"
        return [*common, ("pytest", "whether it keeps its contract"), *checks, (usage, about)]
    return [
        *common,
        ("pytest", "the contract, and what the mapping declares"),
        (f"intel check {name}", "the same, with a report"),
        (f"intel show {name}", "a picture, nothing is trained"),
        (f"intel train --mapping {name} --latent 2 --data digits", "needs intelvae-datasets"),
    ]
