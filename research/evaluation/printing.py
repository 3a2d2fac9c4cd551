"""Verdicts for a terminal."""

from collections.abc import Mapping, Sequence
from typing import Any

from rich.console import Group
from rich.text import Text

from daemon.tables import Column, console_for, table

STYLES = {"beats": "bold green", "no evidence": "yellow", "worse": "bold red"}
YEAR = 252.0


def verdict_lines(document: Mapping[str, Any]) -> None:
    """Print the verdicts of an evaluation's document on standard output."""
    console = console_for()
    for part in verdict_parts(document):
        console.print(part)
        console.print()


def verdict_parts(document: Mapping[str, Any]) -> list[Any]:
    """Return the tables: strategies, against each yardstick, baselines, cross-validation."""
    tested, trials = document["tested"], document["trials"]
    parts: list[Any] = [
        Text(
            f"Out of sample {tested['first']} to {tested['last']}: {tested['sessions']} sessions "
            f"in {len(document['folds'])} folds, {document['data']['symbols']} symbols; "
            f"deflated by {trials['counted']} trials of these bars"
        )
    ]
    if document["verdicts"] is None:
        parts.append(Text("Too little was played for a verdict."))
        return parts
    judged = document["verdicts"]["judged"]
    parts.append(table(judged, JUDGED, empty="no strategy"))
    parts.append(
        table(
            [{**a, "name": j["name"]} for j in judged for a in j["against"]],
            AGAINST,
            empty="nothing could be compared",
        )
    )
    alone = ", ".join(
        f"{name} {_ratio(p)}" for name, p in document["verdicts"]["p_none_better"].items()
    )
    parts.append(Text(f"P(no strategy is better than …), Hansen's SPA: {alone}"))
    parts.append(
        table([{**v, "name": k} for k, v in document["baselines"].items()], BASELINE, empty="none")
    )
    crossed = [{**v, "name": k} for k, v in document["cross_validation"].items()]
    if crossed:
        parts.append(table(crossed, CROSSED, empty="none"))
    return [Group(part) for part in parts]


def _percent(value: float | None) -> str:
    return "–" if value is None else f"{value:+.1%}"


def _ratio(value: float | None) -> str:
    return "–" if value is None else f"{value:.2f}"


def _probability(value: float | None) -> str:
    return "–" if value is None else f"{value:.3f}"


def interval_text(found: Mapping[str, float | None]) -> str:
    """Return a figure and its interval."""
    return f"{_ratio(found['value'])} [{_ratio(found['low'])}, {_ratio(found['high'])}]"


def _verdict(name: str) -> Text:
    return Text(name, style=STYLES[name])


def years(sessions: float | None) -> str:
    """Return a length in years; a dash for never."""
    return "never" if sessions is None else f"{sessions / YEAR:.1f}"


JUDGED: Sequence[Column] = (
    Column("strategy", lambda d: d["name"]),
    Column("verdict", lambda d: _verdict(d["verdict"])),
    Column("growth/y", lambda d: _percent(d["growth"]), is_number=True),
    Column("deepest fall", lambda d: _percent(-d["max_drawdown"]), is_number=True),
    Column("Sharpe/y [95 %]", lambda d: interval_text(d["sharpe"]), is_number=True),
    Column("probabilistic", lambda d: _probability(d["probabilistic"]), is_number=True),
    Column("deflated", lambda d: _probability(d["deflated"]), is_number=True),
    Column("luck's Sharpe/y", lambda d: _ratio(d["hurdle"]), is_number=True),
    Column("record needed, years", lambda d: years(d["min_track_record_sessions"]), is_number=True),
)
AGAINST: Sequence[Column] = (
    Column("strategy", lambda d: d["name"]),
    Column("beside", lambda d: d["yardstick"]),
    Column("verdict", lambda d: _verdict(d["verdict"])),
    Column("Sharpe/y above [95 %]", lambda d: interval_text(d["difference"]), is_number=True),
    Column("Newey-West t", lambda d: _ratio(d["excess"]["t"]), is_number=True),
    Column("Diebold-Mariano p", lambda d: _probability(d["p_equal"]), is_number=True),
    Column("deflated", lambda d: _probability(d["deflated"]), is_number=True),
    Column("survives StepM", lambda d: "yes" if d["survives"] else "no"),
)
BASELINE: Sequence[Column] = (
    Column("baseline", lambda d: d["name"]),
    Column("growth/y", lambda d: _percent(d["growth"]), is_number=True),
    Column("volatility/y", lambda d: _percent(d["volatility"]).lstrip("+"), is_number=True),
    Column("Sharpe/y", lambda d: _ratio(d["sharpe"]), is_number=True),
    Column("deepest fall", lambda d: _percent(-d["max_drawdown"]), is_number=True),
    Column(
        "", lambda d: "hindsight" if d["in_hindsight"] else "yardstick" if d["yardstick"] else ""
    ),
)
CROSSED: Sequence[Column] = (
    Column("cross-validated", lambda d: d["name"]),
    Column("trials", lambda d: str(d["trials"]), is_number=True),
    Column("Sharpe/y of the paths", lambda d: " ".join(_ratio(s) for s in d["path_sharpes"])),
    Column(
        "P(overfitting)", lambda d: _probability(d["probability_of_overfitting"]), is_number=True
    ),
    Column("P(loss)", lambda d: _probability(d["probability_of_loss"]), is_number=True),
)
