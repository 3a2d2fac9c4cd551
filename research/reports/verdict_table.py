"""Verdicts as tables of a page."""

from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

KINDS = {"beats": "good", "no evidence": "soft", "worse": "bad"}
YEAR = 252.0
HOW = (
    "Beats: the deflated Sharpe ratio and that of what lies above the yardstick are at least 0.95, "
    "the 95 % interval of the difference lies above 0, and the step-down test of all candidates "
    "keeps it. Worse: that interval lies below 0. Everything else is no evidence. Differences are "
    "taken at equal volatility; luck's Sharpe is what the best of so many trials without skill "
    "would have reached."
)


def verdict_tables(verdicts: Mapping[str, Any], trials: int) -> str:
    """Return the tables of judged strategies, and of each beside its yardsticks."""
    judged = verdicts["judged"]
    rows = [
        [
            escape(j["name"]),
            verdict_cell(j["verdict"]),
            percent(j["growth"]),
            interval(j["sharpe"]),
            number(j["probabilistic"], 3),
            number(j["deflated"], 3),
            number(j["hurdle"], 2),
            years(j["min_track_record_sessions"]),
        ]
        for j in judged
    ]
    heading = [
        "strategy", "verdict", "growth a year", "Sharpe a year [95 %]", "probabilistic",
        f"deflated by {trials:,} trials", "luck's Sharpe", "record needed, years",
    ]  # fmt: skip
    against = [
        [
            escape(j["name"]),
            escape(a["yardstick"].replace("_", " ")),
            verdict_cell(a["verdict"]),
            interval(a["difference"]),
            number(a["excess"]["t"], 2),
            number(a["p_equal"], 3),
            number(a["deflated"], 3),
            "yes" if a["survives"] else "no",
        ]
        for j in judged
        for a in j["against"]
    ]
    beside = [
        "strategy", "beside", "verdict", "Sharpe above [95 %]", "Newey-West t",
        "Diebold-Mariano p", "deflated", "survives StepM",
    ]  # fmt: skip
    tables = plain_table(heading, rows) + plain_table(beside, against)
    return f'<p class="soft">{escape(HOW)}</p>{tables}'


def plain_table(heading: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Return a table; cells are HTML already."""
    if not rows:
        return ""
    head = "".join(f"<th>{escape(name)}</th>" for name in heading)
    body = "".join(
        "<tr>" + "".join(c if c.startswith("<td") else f"<td>{c}</td>" for c in row) + "</tr>"
        for row in rows
    )
    return f'<div class="scroll"><table><tr>{head}</tr>{body}</table></div>'


def verdict_cell(verdict: str) -> str:
    """Return a verdict in its colour."""
    return f'<td class="{KINDS[verdict]}"><b>{escape(verdict)}</b></td>'


def interval(found: Mapping[str, float | None]) -> str:
    """Return a figure and its interval."""
    return (
        f"{number(found['value'], 2)} "
        f"<span class='soft'>[{number(found['low'], 2)}, {number(found['high'], 2)}]</span>"
    )


def number(value: float | None, digits: int) -> str:
    """Return a number; a dash for what cannot be said."""
    return "–" if value is None else f"{value:,.{digits}f}"


def percent(value: float | None) -> str:
    """Return a share; a dash for what cannot be said."""
    return "–" if value is None else f"{value:+.1%}"


def years(sessions: float | None) -> str:
    """Return a length in years; never when no record is long enough."""
    return "never" if sessions is None else f"{sessions / YEAR:,.1f}"


def told(value: Any) -> str:
    """Return plain data in words: names and values, not brackets and quotes."""
    if isinstance(value, Mapping):
        return "; ".join(f"{str(k).replace('_', ' ')} {told(v)}" for k, v in value.items())
    if isinstance(value, list | tuple):
        return ", ".join(told(v) for v in value) or "none"
    if isinstance(value, bool):
        return "yes" if value else "no"
    return "–" if value is None else str(value)
