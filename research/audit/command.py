"""`tradewind audit lookahead`: what was looked at, what was found, and what to do about it."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

import typer
from rich.console import Group
from rich.text import Text

from daemon import settings_rules
from daemon.commands.options import settings_of
from daemon.commands.printing import print_json, print_page, say
from daemon.settings import Settings
from daemon.strategy_specs import StrategySpec, parse_specs
from domain.errors import ConfigurationFault
from research.audit.findings import Checked
from research.audit.lookahead import Audit, audit_lookahead


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """The command line, as given."""

    names: tuple[str, ...]
    data: Path | None
    first: date | None
    last: date | None
    seed: int
    env_file: Path | None
    as_json: bool


def run_audit(options: Options) -> None:
    """Audit, print, and exit 1 when a leak was found. Raises ConfigurationFault."""
    if options.first and options.last and options.first > options.last:
        raise ConfigurationFault(f"--from {options.first} lies after --to {options.last}")
    settings = settings_of(options.env_file)
    audit = Audit(
        specs=specs_of(options.names, settings),
        data=options.data,
        first=options.first,
        last=options.last,
        seed=options.seed,
    )
    checked = audit_lookahead(audit, settings, told=say)
    clean = all(one.passed for one in checked)
    if options.as_json:
        print_json(document_of(checked))
    else:
        bars = options.data or f"made-up bars, seed {options.seed}"
        print_page(f"Look-ahead audit on {bars}", _page(checked))
    if not clean:
        raise typer.Exit(1)


def specs_of(names: Sequence[str], settings: Settings) -> tuple[StrategySpec, ...]:
    """Return the strategies named; without a name those in STRATEGIES and every other file."""
    enabled = {spec.name: spec for spec in settings.strategies}
    if names:
        return tuple(s for n in names for s in ([enabled[n]] if n in enabled else parse_specs(n)))
    taken = {*enabled, *(spec.kind for spec in settings.strategies)}
    found = settings_rules.discover_strategies(settings)
    if found.errors:
        wrong = "; ".join(f"{error.path}: {error.reason}" for error in found.errors)
        raise ConfigurationFault(f"these strategy files do not load: {wrong}")
    others = sorted(set(found.files) - taken)
    return (*settings.strategies, *(StrategySpec(name=kind, kind=kind) for kind in others))


def document_of(checked: Sequence[Checked]) -> dict[str, Any]:
    """Return the audit's results as JSON."""
    return {
        "clean": all(one.passed for one in checked),
        "checks": [
            {
                "subject": one.subject,
                "probe": one.probe.value,
                "passed": one.passed,
                "looked_at": one.looked_at,
                "findings": [{"detail": f.detail, "remedy": f.remedy} for f in one.findings],
            }
            for one in checked
        ],
    }


def _page(checked: Sequence[Checked]) -> Group:
    lines: list[Text] = []
    subject = ""
    for one in checked:
        if one.subject != subject:
            subject = one.subject
            lines += [Text(""), Text(subject, style="bold")]
        mark = ("clean ", "green") if one.passed else ("LEAK  ", "bold red")
        lines.append(Text.assemble("  ", mark, one.probe.value, (f": {one.looked_at}", "dim")))
        for finding in one.findings:
            lines.append(Text(f"        {finding.detail}"))
        if one.findings:
            lines.append(Text(f"        What to do: {one.findings[0].remedy}.", style="dim"))
    failed = sum(not one.passed for one in checked)
    verdict = "Clean." if not failed else f"{failed} of {len(checked)} probes found a leak."
    return Group(*lines, Text(""), Text(verdict, style="bold green" if not failed else "bold red"))
