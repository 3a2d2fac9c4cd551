"""The page of a backtest."""

import calendar
from collections.abc import Iterable, Mapping, Sequence
from html import escape
from typing import Any

import numpy as np

from domain.market import Floats
from research import metrics
from research.reports import charts
from research.reports.embedding import chart, whole_page
from research.reports.figures import ROLLING_DAYS, Figures
from research.reports.verdict_table import plain_table, told, verdict_tables

NOTICES_SHOWN_MAX = 40
SYMBOLS_SHOWN = 15
SECTORS_DRAWN_MAX = 12
MONTHS = calendar.month_abbr[1:]
SHARES = frozenset(
    {
        "total_return",
        "growth_a_year",
        "volatility_a_year",
        "max_drawdown",
        "worst_session",
        "best_session",
        "hit_rate",
        "gross_mean",
        "gross_max",
    }
)
VERDICT = (
    "One path of the past under one set of parameters. Nothing here was tested against chance, "
    "against the number of variants that were tried, or out of sample: it is no evidence of skill."
)
CHOSEN = (
    "One path of the past under one set of parameters, chosen by whoever ran it: not out of "
    "sample. The verdict below counts every trial of these bars that the ledger knows of; "
    "tradewind walk-forward judges what was not chosen."
)


def page_of(figures: Figures) -> str:
    """Return the whole HTML page."""
    run = figures.document["run"]
    title = f"Backtest {run['sessions']['first']} to {run['sessions']['last']}"
    drawn, places = _charts(figures)
    body = (
        f"{_heading(run)}{_warnings(figures)}{_verdict(figures)}{places}{_figures(figures)}"
        f"{_months(figures)}{_attribution(figures)}{_trades(figures)}{_refusals(figures)}"
        f"{_run(run)}"
    )
    return whole_page(title, body, drawn)


def _heading(run: Mapping[str, Any]) -> str:
    strategies = "; ".join(run.get("strategies", []))
    return (
        f'<p class="soft">{run["sessions"]["played"]} sessions, {run["data"]["symbols"]} symbols '
        f"of {escape(run['data']['source'])} on {escape(run['data']['base'])}. "
        f"{escape(strategies)}</p>"
    )


def _warnings(figures: Figures) -> str:
    run, states = figures.document["run"], figures.document["trading_state"]
    said = [VERDICT if figures.document["verdict"]["verdicts"] is None else CHOSEN]
    if not run["complete"]:
        said.insert(0, "Interrupted: the curve ends before the span that was asked for.")
    if not run["book_matches_venue"]:
        said.insert(0, "The ledger differs from the venue's account: report this as a bug.")
    latched = {state: count for state, count in states.items() if state != "ACTIVE"}
    if latched:
        told = ", ".join(f"{state} at {count} closes" for state, count in latched.items())
        said.append(f"Trading was not ACTIVE throughout: {told}. The notices below say why.")
    said.extend(figures.document["notes"])
    return "".join(f'<p class="warn">{escape(line)}</p>' for line in said)


def _verdict(figures: Figures) -> str:
    found = figures.document["verdict"]
    if found["verdicts"] is None:
        missing = found["missing"]
        return f'<p class="soft">No verdict: {escape(missing)}.</p>' if missing else ""
    return f"<h2>Verdict</h2>{verdict_tables(found['verdicts'], found['trials'])}"


def _charts(figures: Figures) -> tuple[dict[str, Any], str]:
    """Return the figures by name, and their places on the page."""
    days = figures.days
    if not days:
        return {}, ""
    returns = metrics.returns_of(figures.equity)
    curves: dict[str, Floats] = {"this backtest": figures.equity[1:]}
    for name, own in figures.beside.items():
        curves[name.replace("_", " ")] = metrics.compounded(own)[1:] * figures.equity[0]
    first = figures.equity[:1]
    below = {n: -metrics.drawdowns(np.concatenate([first, c]))[1:] for n, c in curves.items()}
    drawn = {
        "equity": charts.equity_chart(days, curves, below),
        "rolling": charts.line_chart(
            days, {"Sharpe ratio": metrics.rolling_sharpe(returns, ROLLING_DAYS)}
        ),
        "turnover": charts.bar_chart(
            figures.months.names,
            {"turnover a month": figures.months.turnover},
            {"cost so far": figures.months.cost_usd},
        ),
    }
    places = [
        chart("equity", "Equity in USD, and how far below its peak"),
        chart("rolling", f"Sharpe ratio of the last {ROLLING_DAYS} sessions"),
    ]
    if figures.sector_share:
        drawn["sectors"] = charts.stacked_chart(days, figures.sector_share)
        places.append(chart("sectors", "Exposure by sector, of equity"))
    if figures.trades:
        profits = np.array([float(t.profit_usd) for t in figures.trades])
        drawn["trades"] = charts.histogram_chart(profits, name="closed trades")
        places.append(chart("trades", "Closed trades by profit, USD"))
    places.append(chart("turnover", "Turnover a month, of equity; spread, impact and fees so far"))
    return drawn, "".join(places)


def _figures(figures: Figures) -> str:
    parts = []
    for heading, name in (
        ("Performance", "performance"),
        ("Trading", "trading"),
        ("Exposure", "exposure"),
    ):
        cards = "".join(
            f'<div class="card"><b>{_said(key, value)}</b><span>{_words(key)}</span></div>'
            for key, value in figures.document[name].items()
            if not isinstance(value, Mapping)
        )
        parts.append(f'<h2>{heading}</h2><div class="cards">{cards}</div>')
    return "".join(parts)


def _months(figures: Figures) -> str:
    by_year: dict[str, dict[int, float | None]] = {}
    for key, value in figures.document["monthly"].items():
        year, month = key.split("-")
        by_year.setdefault(year, {})[int(month)] = value
    rows = []
    for year, months in by_year.items():
        whole = np.prod([1.0 + (v or 0.0) for v in months.values()]) - 1.0
        cells = [_signed_cell(months.get(month)) for month in range(1, 13)]
        rows.append(f"<tr><td>{year}</td>{''.join(cells)}{_signed_cell(float(whole))}</tr>")
    header = "".join(f"<th>{name}</th>" for name in ("", *MONTHS, "Year"))
    return (
        "<h2>Month by month</h2>"
        f'<div class="scroll"><table><tr>{header}</tr>{"".join(rows)}</table></div>'
    )


def _signed_cell(value: float | None) -> str:
    if value is None:
        return "<td></td>"
    kind = "good" if value > 0 else "bad" if value < 0 else ""
    return f'<td class="{kind}">{value * 100:+.1f}</td>'


def _attribution(figures: Figures) -> str:
    found = figures.document["attribution_usd"]
    parts = [f"<h2>Who made {_usd(found['total'])}</h2>", '<div class="columns">']
    parts.append(_table("Strategy", found["by_strategy"].items()))
    parts.append(_table("Sector", found["by_sector"].items()))
    symbols = list(found["by_symbol"].items())
    if len(symbols) > 2 * SYMBOLS_SHOWN:
        parts.append(_table(f"Best {SYMBOLS_SHOWN} symbols", symbols[:SYMBOLS_SHOWN]))
        parts.append(_table(f"Worst {SYMBOLS_SHOWN} symbols", symbols[-SYMBOLS_SHOWN:]))
    else:
        parts.append(_table("Symbol", symbols))
    parts.append("</div>")
    return "".join(parts)


def _table(name: str, rows: Iterable[tuple[str, str]]) -> str:
    body = "".join(
        f'<tr><td>{escape(key)}</td><td class="{"bad" if value.startswith("-") else "good"}">'
        f"{_amount(value)}</td></tr>"
        for key, value in rows
    )
    head = f"<tr><th>{escape(name)}</th><th>profit, USD</th></tr>"
    return f'<div class="scroll"><table>{head}{body}</table></div>'


def _usd(text: str) -> str:
    return f"{_amount(text)} USD"


def _amount(text: str) -> str:
    return f"{float(text):+,.2f}"


def _trades(figures: Figures) -> str:
    found = figures.document["trades"]
    if not found["best"]:
        return ""
    parts = ["<h2>Closed trades</h2>", '<div class="columns">']
    for heading, name in (("Best", "best"), ("Worst", "worst")):
        rows = [
            [
                escape(t["symbol"]),
                t["opened"],
                t["closed"],
                f"{float(t['shares']):,.6g}",
                _money_cell(t["profit_usd"]),
            ]
            for t in found[name]
        ]
        parts.append(plain_table([heading, "opened", "closed", "shares", "profit, USD"], rows))
    parts.append("</div>")
    return "".join(parts)


def _money_cell(text: str) -> str:
    return f'<td class="{"bad" if text.startswith("-") else "good"}">{_amount(text)}</td>'


def _refusals(figures: Figures) -> str:
    document = figures.document
    parts = ["<h2>What was not ordered, and why</h2>", '<div class="columns">']
    counted = [("outcome", document["outcomes"]), ("denied by rule", document["denials"])]
    counted.append(("protective exit", document["exits"]))
    for name, counts in counted:
        rows = "".join(
            f"<tr><td>{escape(key)}</td><td>{value:,}</td></tr>" for key, value in counts.items()
        )
        parts.append(
            f'<div class="scroll"><table><tr><th>{name}</th><th>times</th></tr>{rows}</table></div>'
        )
    parts.append("</div>")
    notices: Sequence[Mapping[str, str]] = document["notices"]
    if notices:
        rows = "".join(
            f"<tr><td>{escape(n['severity'])}</td>"
            f'<td class="words">{escape(n["message"])}</td></tr>'
            for n in notices[:NOTICES_SHOWN_MAX]
        )
        more = len(notices) - NOTICES_SHOWN_MAX
        rest = f'<p class="soft">and {more} more in manifest.json</p>' if more > 0 else ""
        parts.append(f'<h2>Notices</h2><div class="scroll"><table>{rows}</table></div>{rest}')
    return "".join(parts)


def _run(run: Mapping[str, Any]) -> str:
    rows = "".join(
        f'<tr><td>{_words(key)}</td><td class="words">{escape(told(value))}</td></tr>'
        for key, value in run.items()
    )
    return f'<h2>The run</h2><div class="scroll"><table>{rows}</table></div>'


def _words(key: str) -> str:
    return escape(key.replace("_", " "))


def _said(key: str, value: Any) -> str:
    if value is None:
        return "–"
    if isinstance(value, str):
        return f"{float(value):,.2f}"
    if key in SHARES or key.startswith(("value_at_risk", "expected_shortfall")):
        return f"{value:.2%}"
    digits = 0 if isinstance(value, int) or abs(value) >= 1e6 else 2
    return f"{value:,.{digits}f}"
