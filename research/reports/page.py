"""One page that needs nothing but itself: no script, no font, no network."""

import calendar
from collections.abc import Iterable, Mapping, Sequence
from html import escape
from importlib.resources import files
from typing import Any

import numpy as np

from research import metrics
from research.reports.charts import line_chart
from research.reports.figures import ROLLING_DAYS, Figures

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
STYLE = files("research.reports").joinpath("page.css").read_text(encoding="utf-8")


def page_of(figures: Figures) -> str:
    """Return the whole HTML page."""
    run = figures.document["run"]
    title = f"Backtest {run['sessions']['first']} to {run['sessions']['last']}"
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width,initial-scale=1">'
        f"<title>{escape(title)}</title><style>{STYLE}</style></head><body>"
        f"<h1>{escape(title)}</h1>{_heading(run)}{_warnings(figures)}"
        f"{_charts(figures)}{_figures(figures)}{_months(figures)}{_attribution(figures)}"
        f"{_refusals(figures)}{_run(run)}</body></html>\n"
    )


def _heading(run: Mapping[str, Any]) -> str:
    strategies = "; ".join(run.get("strategies", []))
    return (
        f'<p class="soft">{run["sessions"]["played"]} sessions, {run["data"]["symbols"]} symbols '
        f"of {escape(run['data']['source'])} on {escape(run['data']['base'])}. "
        f"{escape(strategies)}</p>"
    )


def _warnings(figures: Figures) -> str:
    run, states = figures.document["run"], figures.document["trading_state"]
    said = [VERDICT]
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


def _charts(figures: Figures) -> str:
    days, equity = figures.days, figures.equity
    if not days:
        return ""
    returns = metrics.returns_of(equity)
    charts = [
        line_chart(days, {"equity": equity[1:]}, title="Equity, USD", unit="usd"),
        line_chart(
            days,
            {"drawdown": -metrics.drawdowns(equity)[1:]},
            title="Below the peak",
            unit="percent",
            area="drawdown",
        ),
        line_chart(
            days,
            {"sharpe": metrics.rolling_sharpe(returns, ROLLING_DAYS)},
            title=f"Sharpe ratio of the last {ROLLING_DAYS} sessions",
            unit="",
        ),
        line_chart(
            days,
            {"gross": figures.gross_share},
            title="Gross exposure, of equity",
            unit="percent",
            area="gross",
        ),
    ]
    largest = sorted(figures.sector_share.items(), key=lambda item: -float(np.max(item[1])))
    if largest:
        drawn = dict(largest[:SECTORS_DRAWN_MAX])
        charts.append(
            line_chart(days, drawn, title="Exposure by sector, of equity", unit="percent")
        )
    return "".join(charts)


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
    parts = [f"<h2>Who made {_usd(found['total'])}</h2>"]
    parts.append(_table("Strategy", found["by_strategy"].items()))
    parts.append(_table("Sector", found["by_sector"].items()))
    symbols = list(found["by_symbol"].items())
    if len(symbols) > 2 * SYMBOLS_SHOWN:
        parts.append(_table(f"Best {SYMBOLS_SHOWN} symbols", symbols[:SYMBOLS_SHOWN]))
        parts.append(_table(f"Worst {SYMBOLS_SHOWN} symbols", symbols[-SYMBOLS_SHOWN:]))
    else:
        parts.append(_table("Symbol", symbols))
    return "".join(parts)


def _table(name: str, rows: Iterable[tuple[str, str]]) -> str:
    body = "".join(
        f'<tr><td>{escape(key)}</td><td class="{"bad" if value.startswith("-") else "good"}">'
        f"{_usd(value)}</td></tr>"
        for key, value in rows
    )
    return (
        f'<div class="scroll"><table><tr><th>{escape(name)}</th><th>Profit</th></tr>{body}</table>'
        "</div>"
    )


def _usd(text: str) -> str:
    return f"{float(text):+,.2f} USD"


def _refusals(figures: Figures) -> str:
    document = figures.document
    parts = ["<h2>What was not ordered, and why</h2>"]
    counted = [("outcome", document["outcomes"]), ("denied by rule", document["denials"])]
    counted.append(("protective exit", document["exits"]))
    for name, counts in counted:
        rows = "".join(
            f"<tr><td>{escape(key)}</td><td>{value:,}</td></tr>" for key, value in counts.items()
        )
        parts.append(
            f'<div class="scroll"><table><tr><th>{name}</th><th>times</th></tr>{rows}</table></div>'
        )
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
        f'<tr><td>{_words(key)}</td><td class="words">{escape(str(value))}</td></tr>'
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
    return f"{value:,}" if isinstance(value, int) else f"{value:,.2f}"
