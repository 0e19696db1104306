"""How does the site show what lies outside docs/? READMEs, notebooks, public names and formulas become its pages.

MkDocs calls the functions `on_…`. A page that is made from a file elsewhere has that file's links, turned around, so
that the same relative link works in a checkout and on the site; what the site does not have loses its link.
"""

from __future__ import annotations

import ast
import contextlib
import json
import os
import re
from pathlib import Path
from typing import Any

import griffe
from latex2mathml.converter import convert
from markdown import Extension, Markdown
from markdown.preprocessors import Preprocessor
from mkdocs.config.defaults import MkDocsConfig
from mkdocs.plugins import event_priority
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"
PACKAGES = {path.parent.name: path.parent for path in sorted(ROOT.glob("plugins/*/intel_*/__init__.py"))}
_INHERITED = "\n    options:\n      inherited_members: true"
WHOLE = dict.fromkeys(("intel_core.evaluation.run.Run", "intel_core.recipe.runspec.RunSpec"), _INHERITED)
_FENCED = re.compile(r"^([ ]*)(`{3,}|~{3,}).*?^\1\2[ ]*$", re.MULTILINE | re.DOTALL)
_EXAMPLE = re.compile(r"^ *>>> .*(?:\n *\S.*)*", re.MULTILINE)
_FORMULA = re.compile(r"^\.\. math:: (.*(?:\n +\S.*)*)", re.MULTILINE)
_TABLE = re.compile(r"^(=+(?: +=+)+)\n(?:.*\S.*\n)+?(?:\1\n(?:.*\S.*\n)+?)?\1$", re.MULTILINE)
_LINK = re.compile(r"(!?)\[([^\[\]]*(?:\[[^\[\]]*\][^\[\]]*)*)\]\(([^()\s#]+)(#[^()\s]*)?\)")


# --- pages -----------------------------------------------------------------------------------------------------


def sources() -> dict[str, Path]:
    """Pages that show a file from elsewhere, by their place on the site."""
    pages = {"contributing.md": ROOT / "CONTRIBUTING.md", "changelog.md": ROOT / "CHANGELOG.md"}
    pages["command.md"] = ROOT / "cli" / "README.md"
    pages |= {f"plugins/{path.parent.name}.md": path for path in sorted(ROOT.glob("plugins/*/README.md"))}
    return pages | {f"notebooks/{path.stem}.md": path for path in sorted(DOCS.glob("notebooks/*.ipynb"))}


def notebook_page(path: Path) -> str:
    """The cells of a notebook one after another; code as code, since notebooks are kept without what they print."""
    parts = []
    for cell in json.loads(path.read_text(encoding="utf-8"))["cells"]:
        text = "".join(cell["source"])
        parts.append(f"```python\n{text}\n```" if cell["cell_type"] == "code" else text)
    title, _, rest = "\n\n".join(parts).partition("\n")
    return f'{title}\n\n<a href="{path.name}" download>Download this notebook</a>\n{rest}\n'


def public_names(package: Path) -> dict[str, list[str]]:
    """The names that a package offers, by the modules that they come from, read from its source text."""
    homes: dict[str, list[str]] = {}
    for node in ast.parse((package / "__init__.py").read_text(encoding="utf-8")).body:
        for inner in node.body if isinstance(node, ast.If) else ():  # if TYPE_CHECKING, see intel_core.lazy
            if isinstance(inner, ast.ImportFrom) and inner.module:
                homes.setdefault(inner.module, []).extend(alias.name for alias in inner.names)
    return homes


def registered(package: Path) -> list[str]:
    """The specs that a distribution registers, if its package offers no names itself."""
    text = (package.parent / "pyproject.toml").read_text(encoding="utf-8")
    return [f"{module}.{name}" for module, name in re.findall(rf'= "({package.name}[\w.]*):(\w+)"', text)]


def question(package: Path) -> str:
    """The first sentence of a package's docstring."""
    text = ast.get_docstring(ast.parse((package / "__init__.py").read_text(encoding="utf-8"))) or ""
    return " ".join(text.split()).partition("?")[0] + "?"


def reference_pages() -> dict[str, str]:
    """A page for each room of the core and for each distribution, with directions for mkdocstrings."""
    pages: dict[str, str] = {}
    rooms: dict[str, list[str]] = {}
    for home, names in public_names(ROOT / "intel_core").items():
        rooms.setdefault(home.split(".")[1], []).extend(f"{home}.{name}" for name in names)
    for room, names in sorted(rooms.items()):
        folder = ROOT / "intel_core" / room
        about = question(folder) if folder.is_dir() else ""
        pages[f"reference/core/{room}.md"] = reference_page(f"intel_core: {room}", about, names)
    helpers = [f"intel_core.helpers.{path.stem}" for path in sorted((ROOT / "intel_core/helpers").glob("[!_]*.py"))]
    about = f"{question(ROOT / 'intel_core/helpers')} Import these from their modules."
    pages["reference/core/helpers.md"] = reference_page("intel_core: helpers", about, helpers)
    for name, package in PACKAGES.items():
        homes = public_names(package)
        names = [f"{home}.{each}" for home in homes for each in homes[home]] or registered(package)
        if names:
            pages[f"reference/plugins/{name}.md"] = reference_page(name, question(package), names)
    links = [f"- [{text.partition(chr(10))[0][2:]}]({uri[10:]})" for uri, text in pages.items()]
    intro = "Names are imported from the packages themselves: `from intel_core import fit`."
    pages["reference/index.md"] = "\n".join(["# Reference", "", intro, "", *links, ""])
    return pages


def reference_page(title: str, about: str, names: list[str]) -> str:
    """A heading, what it is about, and the names; of some also what their base classes have."""
    return "\n\n".join([f"# {title}", about, *(f"::: {name}{WHOLE.get(name, '')}" for name in names), ""])


@event_priority(100)  # before mkdocstrings reads its settings
def on_config(config: MkDocsConfig) -> MkDocsConfig:
    """Tell griffe where the packages are, Markdown how docstrings are written, and the menu which pages there are."""
    handler = config.plugins["mkdocstrings"].config.handlers["python"]
    handler["paths"] = [str(ROOT), *(str(package.parent) for package in PACKAGES.values())]
    config.markdown_extensions.append(DocstringsInMarkdown())
    there = [path.relative_to(DOCS).as_posix() for path in sorted(DOCS.rglob("*.md"))]
    config.nav = expanded(config.nav, sorted({*there, *sources(), *reference_pages()}))
    return config


def expanded(nav: Any, pages: list[str]) -> Any:
    """A menu in which ``folder/*`` is replaced by the pages of the folder."""
    if isinstance(nav, dict):
        return {title: expanded(what, pages) for title, what in nav.items()}
    if isinstance(nav, list):
        return [expanded(what, pages) for what in nav]
    if isinstance(nav, str) and nav.endswith("/*"):
        return [page for page in pages if page.rpartition("/")[0] == nav[:-2]]
    return nav


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the pages whose text lies elsewhere, or is made here."""
    for uri, path in sources().items():
        text = notebook_page(path) if path.suffix == ".ipynb" else path.read_text(encoding="utf-8")
        files.append(File.generated(config, uri, content=text))
    for uri, text in reference_pages().items():
        files.append(File.generated(config, uri, content=text))
    return files


# --- links -----------------------------------------------------------------------------------------------------


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Turn links to files of the repository into links to pages of the site."""
    uri = page.file.src_uri
    made = sources()
    places = {path: place for place, path in made.items()} | {ROOT / "intel_core" / "__init__.py": "reference/index.md"}
    return relinked(markdown, made.get(uri, DOCS / uri), uri, places, files)


def relinked(text: str, source: Path, uri: str, places: dict[Path, str], files: Files) -> str:
    """The text with its links as they are on the site, code left alone.

    Args:
        text: Markdown.
        source: the file that it comes from, from which its links lead.
        uri: its place on the site.
        places: of files outside ``docs/`` that have a page.
        files: of the site.
    """

    def link(match: re.Match[str]) -> str:
        mark, label, target, anchor = match.groups()
        if "://" in target or target.startswith("mailto:"):
            return match[0]
        path = Path(os.path.normpath(source.parent / target))
        place = places.get(path)
        if place is None and path.is_relative_to(DOCS):
            place = path.relative_to(DOCS).as_posix()
        file = None if place is None else files.get_file_from_path(place)
        if place is None or file is None or not file.inclusion.is_included():
            return match[0] if not path.exists() else label  # a mistake is left for MkDocs to find
        return f"{mark}[{label}]({os.path.relpath(place, os.path.dirname(uri) or '.')}{anchor or ''})"

    parts, at = [], 0
    for fence in _FENCED.finditer(text):
        parts += [_LINK.sub(link, text[at : fence.start()]), fence[0]]
        at = fence.end()
    return "".join([*parts, _LINK.sub(link, text[at:])])


# --- docstrings and formulas -------------------------------------------------------------------------------------


class _Docstrings(Preprocessor):
    """Examples after ``>>>`` become code, tables between rows of ``=`` tables, and ``:math:`x``` a formula."""

    def run(self, lines: list[str]) -> list[str]:
        """The lines as Markdown has them."""
        text = "\n".join(lines)
        parts, at = [], 0
        for fence in _FENCED.finditer(text):
            parts += [self.outside_of_fences(text[at : fence.start()]), fence[0]]
            at = fence.end()
        return "".join([*parts, self.outside_of_fences(text[at:])]).split("\n")

    @staticmethod
    def outside_of_fences(text: str) -> str:
        """Text without code."""
        text = _EXAMPLE.sub(lambda match: f"\n```pycon\n{match[0]}\n```\n", text)
        text = _TABLE.sub(table, text)
        text = _FORMULA.sub(lambda match: f"\\[{' '.join(match[1].split())}\\]", text)
        return re.sub(r":math:`([^`]+)`", r"\\(\1\\)", text)


def table(match: re.Match[str]) -> str:
    r"""A simple table of reStructuredText as one of Markdown.

    >>> print(table(_TABLE.search("===  ====\nk    name\n===  ====\n1    a|b\n     more\n===  ====")))
    <BLANKLINE>
    | k | name |
    |---|---|
    | 1 | a\|b more |
    <BLANKLINE>
    """
    edge, *lines = match[0].splitlines()
    starts = [column.start() for column in re.finditer("=+", edge)]
    rows: list[list[str]] = []
    for line in (line for line in lines if not re.fullmatch(r"[= ]+", line)):
        ends = [*starts[1:], None]
        cells = [cell(line[start:end].strip()) for start, end in zip(starts, ends, strict=True)]
        if cells[0] or not rows:
            rows.append(cells)
        else:
            rows[-1] = [f"{before} {more}".strip() for before, more in zip(rows[-1], cells, strict=True)]
    if sum(line == edge for line in lines) == 1:  # no heading
        rows.insert(0, [""] * len(starts))
    head, *body = ["| " + " | ".join(row) + " |" for row in rows]
    return "\n".join(["", head, "|" + "---|" * len(starts), *body, ""])


def cell(text: str) -> str:
    """A cell whose bars do not end it."""
    if ":math:" in text:
        text = text.replace(r"\|", r"\Vert ").replace("|", r"\vert ")
    return text.replace("|", r"\|")


class DocstringsInMarkdown(Extension):
    """Docstrings are written for Python's help, and these two things differ from Markdown."""

    def extendMarkdown(self, md: Markdown) -> None:
        """Come before the fences are read."""
        md.preprocessors.register(_Docstrings(md), "docstrings", 50)


class FieldDescriptions(griffe.Extension):
    """The description of a setting is said in its ``Field``, and is shown as a docstring would be."""

    def on_attribute(self, *, attr: griffe.Attribute, **kwargs: Any) -> None:
        """Read ``Field(…, description="…")``."""
        call = attr.value
        if attr.docstring is not None or not isinstance(call, griffe.ExprCall) or str(call.function) != "Field":
            return
        for argument in call.arguments:
            if isinstance(argument, griffe.ExprKeyword) and argument.name == "description":
                with contextlib.suppress(ValueError):  # an f-string stays as it is written
                    attr.docstring = griffe.Docstring(str(ast.literal_eval(str(argument.value))), parent=attr)
                    attr.value = call.arguments[0] if isinstance(call.arguments[0], str) else None


def on_page_content(html: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Formulas as MathML, which browsers draw by themselves."""

    def formula(match: re.Match[str]) -> str:
        tex = match[2].replace("&lt;", "<").replace("&gt;", ">").replace("&amp;", "&")
        return convert(tex, display="block" if match[1] == "div" else "inline")

    return re.sub(r'<(div|span) class="arithmatex">\\[(\[](.*?)\\[)\]]</\1>', formula, html, flags=re.DOTALL)
