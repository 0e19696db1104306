"""Does a mapping, or a component of another kind, keep its contract and what it says? `intel check`."""

from __future__ import annotations

import os
import shlex
import time
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from intel_cli.arguments.checks import kind_and_checks, names_in, reasons_in
from intel_cli.arguments.completion import CheckLevel, CheckNames, MappingOrRun
from intel_cli.arguments.numbers import Integer, Integers

if TYPE_CHECKING:
    from intel_conformance import Report, Reports
    from intel_conformance.candidate import Checkable

    from intel_cli.arguments.mapping import Chosen

__all__ = ["check"]

_LEVEL = "standard"
_DTYPES = ("float32", "float64")
_EXAMPLES = (
    "intel check cluster:k=5",
    "intel check circle:dims=0-1 cluster:k=3,dims=2-3 --latent 4",
    "intel check spiral --latent 2,3,8",
    "intel check prior:mog:k=3",
    "intel check likelihood:poisson",
    "intel check spiral --only rows,mode.state -x",
    "intel check spiral --expect deploy.vmap='a branch on values' --junit spiral.xml",
    "intel check --list",
)
_STATUSES = {
    0: "passed",
    1: "a check failed, or no check ran, which confirms nothing",
    2: "the plugin will not load, or a wrong argument",
}


class _WithLegend(click.Command):
    """Help that ends with the meaning of the marks, in characters that stdout can show."""

    def format_epilog(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Exit statuses, marks and examples."""
        from intel_cli.output.check_results import MEANINGS, mark

        with formatter.section("Exit status"):
            formatter.write_dl([(str(status), text) for status, text in _STATUSES.items()])
        with formatter.section("Marks"):
            formatter.write_dl([(mark(status), text) for status, text in MEANINGS.items()])
        formatter.write_paragraph()
        formatter.write_text("Examples:")
        for example in _EXAMPLES:
            formatter.write(f"  {example}\n")


@click.command(cls=_WithLegend, short_help="Test a mapping, or what another plugin offers, against its contract.")
@click.argument("mappings", nargs=-1, type=MappingOrRun(), metavar="MAPPING...")
@click.option(
    "--level",
    type=CheckLevel(),
    metavar="[quick|standard|deep]",
    help="How many checks are run, and on how many draws.  [default: standard]",
)
@click.option(
    "--latent",
    type=Integers(1, 4096),
    metavar="N,...",
    help="Number of dimensions of y, or several, e.g. 2,3,8.  [default: the smallest that is accepted, at least 2]",
)
@click.option(
    "--seed",
    type=Integer(0, 2**63 - 1),
    default=0,
    show_default=True,
    help="Seed of the draws, and of untrained parameters.",
)
@click.option(
    "--only",
    multiple=True,
    type=CheckNames(),
    metavar="CHECK,...",
    help="Run only these checks or groups of checks, whatever their level; may be repeated.",
)
@click.option(
    "--skip",
    multiple=True,
    type=CheckNames(),
    metavar="CHECK,...",
    help="Leave out these checks or groups; may be repeated.",
)
@click.option(
    "--expect",
    multiple=True,
    metavar="CHECK=REASON",
    help="A check that is expected to fail; if it passes, that counts as a failure. May be repeated.",
)
@click.option("--device", default="cpu", show_default=True, help="Where to compute: cpu, cuda, cuda:1, mps or auto.")
@click.option(
    "--dtype",
    "dtypes",
    multiple=True,
    type=click.Choice(_DTYPES),
    help="Precision in which checks are run that fix none themselves; may be repeated.  [default: both]",
)
@click.option("-x", "--stop", is_flag=True, help="Stop after the first failure.")
@click.option("-v", "--all", "everything", is_flag=True, help="Show every check, with its time and why it did not run.")
@click.option("--json", "as_json", is_flag=True, help="Print the report as one JSON object.")
@click.option(
    "--junit",
    type=click.Path(path_type=Path, dir_okay=False),
    metavar="FILE",
    help="Also write the report as JUnit XML.",
)
@click.option(
    "--list", "listing", is_flag=True, help="List all checks, or those that the options above select, and exit."
)
@click.pass_context
def check(
    ctx: click.Context,
    /,
    mappings: tuple[str, ...],
    level: str | None,
    only: tuple[str, ...],
    skip: tuple[str, ...],
    as_json: bool,
    listing: bool,
    **options: Any,
) -> None:
    """Test a mapping, or a component of another kind, against its contract and everything that it declares.

    MAPPING is a spec as for intel train --mapping, e.g. cluster:k=5. Several are composed, the first applied first.
    For a run directory, or the name of a run in runs/, the trained mapping is tested. A component of another kind is
    named with it, e.g. prior:mog:k=3 or likelihood:poisson; with --list, the kind alone lists its checks.
    """
    only, skip = names_in("--only", only), names_in("--skip", skip)
    if listing:
        _list(mappings, level, only, skip, as_json=as_json)
        return
    if not mappings:
        raise click.MissingParameter(ctx=ctx, param=ctx.command.params[0])
    found = _check(mappings, level or _LEVEL, only, skip, as_json=as_json, **options)
    if not found.ran:
        from intel_cli.output.telling import note

        kind = kind_and_checks(mappings)[0] or "mapping"
        note(f"No check ran, so nothing is known about the {kind}.")
    ctx.exit(found.exit_code)


def _list(texts: Sequence[str], level: str | None, only: Sequence[str], skip: Sequence[str], *, as_json: bool) -> None:
    from intel_conformance.catalogue import choose
    from intel_conformance.levels import LEVELS, level_of

    from intel_cli.output.check_results import show_list
    from intel_cli.output.telling import json_text

    checks = choose(level_of(level or LEVELS[-1]), only, skip, kind_and_checks(texts)[1])
    if not as_json:
        show_list(checks)
        return
    rows = [{"id": c.id, "group": c.group, "level": c.level, "passes": c.summary, "clause": c.clause} for c in checks]
    click.echo(json_text(rows))


def _check(
    mappings: tuple[str, ...],
    level: str,
    only: tuple[str, ...],
    skip: tuple[str, ...],
    *,
    latent: tuple[int, ...] | None,
    seed: int,
    expect: tuple[str, ...],
    device: str,
    dtypes: tuple[str, ...],
    stop: bool,
    everything: bool,
    as_json: bool,
    junit: Path | None,
) -> Report | Reports:
    """Run the checks and print their results; errors in the arguments are raised before the first check."""
    if junit is not None:
        _check_writable(junit)
    kind, among = kind_and_checks(mappings)
    what, chosen = (mappings[0], None) if kind else _meant(mappings, latent, seed)
    from intel_conformance import Reports, check_mapping, iter_checks
    from intel_conformance.levels import level_of
    from intel_conformance.running import check_component, iter_component_checks

    from intel_cli.output.check_results import Marks, say, show_report, show_reports, tell
    from intel_cli.output.telling import json_text
    from intel_core.compute.device import pick_device
    from intel_core.files import write_text

    reasons = reasons_in(expect, among)
    device = str(pick_device(device))
    dtypes = dtypes or _DTYPES
    settings: dict[str, Any] = {
        "level": level_of(level),
        "only": only,
        "skip": skip,
        "seed": seed,
        "device": device,
        "dtypes": dtypes,
    }
    plan: Any = partial(iter_component_checks, kind) if kind else iter_checks
    run: Any = partial(check_component, kind) if kind else check_mapping
    plans = {y_dim: list(plan(what, y_dim=y_dim, **settings)) for y_dim in latent or (None,)}
    reports: list[Report] = []
    for y_dim, planned in plans.items():
        marks = None
        if planned and not as_json:
            if reports:
                say()
            _show_header(planned[0].candidate, mappings, chosen, level, dtypes)
            marks = Marks([one.id for one in planned])
        began = time.perf_counter()
        try:
            report = run(
                what,
                y_dim=(planned[0].candidate.y_dim or None) if planned else y_dim,
                **settings,
                expected_failures=reasons,
                on_fail="stop" if stop else "collect",
                callback=marks.add if marks else None,
            )
        except BaseException:  # interrupted, say: what was found until then is not lost
            if marks:
                marks.close()
                tell(marks.results)
            raise
        reports.append(_repeatable(report, mappings, chosen, y_dim, device, dtypes))
        if marks:
            marks.close()
        if not as_json:
            show_report(reports[-1], time.perf_counter() - began, everything=everything)
        if stop and not report.ok:
            break
    found = Reports(tuple(reports), latent) if latent and len(latent) > 1 else reports[0]
    if isinstance(found, Reports) and not as_json:
        show_reports(found)
    if junit is not None:
        write_text(junit, found.to_junit())
    if as_json:
        click.echo(json_text(found.to_json()))
    return found


def _check_writable(path: Path) -> None:
    """Try whether the report can be written, before any check is run.

    Raises:
        RunError: if the report could not be written there.
    """
    from intel_core.errors import RunError

    why = ""
    try:
        if not path.name or (path.exists() and not path.is_file()):
            why = "it is not a file"
        elif not path.parent.is_dir():
            why = f"there is no folder {str(path.parent)!r}; make it first"
        else:
            trial = path.with_name(f".{path.name}.{os.getpid()}.trial")
            trial.touch()
            trial.unlink()
    except OSError as error:
        why = str(error.strerror)
    if why:
        raise RunError(f"{str(path)!r} cannot be written: {why}")


def _meant(mappings: tuple[str, ...], latent: tuple[int, ...] | None, seed: int) -> tuple[Checkable, Chosen | None]:
    """What to check: specs, which are built anew for each check, or the mapping of a run and where it is from.

    Raises:
        IntelError: if the texts are neither.
    """
    from intel_cli.arguments.mapping import chosen_mapping
    from intel_core.components.spec import parse_spec
    from intel_core.errors import SpecError
    from intel_core.mappings.contract import MappingSpec

    try:
        specs = [parse_spec("mappings", text) for text in mappings]
    except SpecError:
        first, *others = latent or (None,)
        chosen = chosen_mapping(mappings, first, seed)  # a run, or the same error
        for y_dim in others:
            chosen_mapping(mappings, y_dim, seed)  # a run has one number of dimensions
        return chosen.mapping, chosen
    return [spec for spec in specs if isinstance(spec, MappingSpec)], None


def _show_header(
    candidate: Any, texts: Sequence[str], chosen: Chosen | None, level: str, dtypes: Sequence[str]
) -> None:
    """What is checked, of which versions, and how."""
    from importlib import metadata

    from intel_cli.output.check_results import say

    specs = chosen.specs if chosen else texts
    parts = [" → ".join(f"{text}{_origin(text)}" for text in specs)]
    if chosen is not None:
        parts[0] += f", as trained in {chosen.run}"
    for name, distribution in (("core", "intelvae-core"), ("torch", "torch")):
        parts.append(f"{name} {metadata.version(distribution)}")
    parts += [f"seed {candidate.seed}", level]
    parts += [str(candidate.device)] if str(candidate.device) != "cpu" else []
    parts += [dtypes[0]] if len(dtypes) == 1 else []
    parts.append(candidate.about)
    say(" · ".join(parts), bold=True)


def _origin(text: str) -> str:
    """The distribution that offers a mapping or another component."""
    from intel_conformance.kinds import named_in

    from intel_cli.output.terms import offered_by
    from intel_core.components.discovery import canonical_kind, find

    kind, text = named_in(text) or ("mapping", text)
    component = find(canonical_kind(kind), text.partition(":")[0].strip())
    version = f"{component.version}, api {component.api}"
    return f" ({offered_by(component.distribution, version)})"


def _repeatable(
    report: Report,
    mappings: Sequence[str],
    chosen: Chosen | None,
    latent: int | None,
    device: str,
    dtypes: Sequence[str],
) -> Report:
    """The report with what was typed here as the name of its mapping and in the commands that repeat a check."""
    from dataclasses import replace

    typed = ["intel", "check", *mappings]
    if chosen is None and report.y_dim:
        typed += ["--latent", str(report.y_dim)]
    typed += ["--seed", str(report.seed), "--level", report.level]
    typed += ["--device", device] if device != "cpu" else []
    typed += ["--dtype", dtypes[0]] if len(dtypes) == 1 else []
    text = shlex.join(typed)
    results = tuple(
        replace(result, repro=f"{text} --only {result.id}") if result.repro else result for result in report.results
    )
    mapping = f"{' then '.join(chosen.specs)}, as trained in {chosen.run}" if chosen else report.mapping
    return replace(report, mapping=mapping, results=results)
