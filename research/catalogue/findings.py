"""What a check of bars says: which kind, how bad, in which file, of which symbol, on which day."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date
from enum import StrEnum
from pathlib import Path

PER_SYMBOL_MAX = 20
"""Findings of one kind spelled out for one symbol; all are counted."""


class Kind(StrEnum):
    """What can be wrong with bars."""

    TIME = "no time"
    NUMBER = "no number"
    RANGE = "high below low"
    ZERO = "zero bar"
    DUPLICATE = "duplicate"
    ORDER = "out of order"
    GAP = "gap"
    STALE = "stale run"
    SPLIT = "mixed split bases"
    CALENDAR = "calendar misfit"
    PART = "altered part"


class Severity(StrEnum):
    """A fault makes results wrong, or a backtest refuse the file; a notice is to be looked at."""

    FAULT = "fault"
    NOTICE = "notice"


@dataclass(frozen=True, slots=True, kw_only=True)
class BarFinding:
    """One thing found. `day` is None for what concerns a whole file or symbol."""

    kind: Kind
    severity: Severity
    path: Path
    symbol: str
    day: date | None
    detail: str


def limited(findings: Iterable[BarFinding]) -> list[BarFinding]:
    """Return the findings, at most PER_SYMBOL_MAX of a kind and symbol; the last says how many
    more there are."""
    kept: dict[tuple[Kind, str, Path], list[BarFinding]] = {}
    beyond: dict[tuple[Kind, str, Path], int] = {}
    for finding in findings:
        key = finding.kind, finding.symbol, finding.path
        told = kept.setdefault(key, [])
        if len(told) < PER_SYMBOL_MAX:
            told.append(finding)
        else:
            beyond[key] = beyond.get(key, 0) + 1
    for key, count in beyond.items():
        last = kept[key][-1]
        kept[key].append(
            BarFinding(
                kind=last.kind,
                severity=last.severity,
                path=last.path,
                symbol=last.symbol,
                day=None,
                detail=f"and {count} more like it",
            )
        )
    return [finding for told in kept.values() for finding in told]
