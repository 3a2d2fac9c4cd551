"""The few lines of a backtest that fit on a terminal."""

from collections.abc import Iterator
from typing import Any

from research.reports.figures import Figures


def percent(value: Any) -> str:
    """Return a share for people; a dash for what cannot be said."""
    return "–" if value is None else f"{value:+.2%}"


def ratio(value: Any) -> str:
    """Return a ratio for people."""
    return "–" if value is None else f"{value:.2f}"


def summary_lines(figures: Figures) -> Iterator[str]:
    """Yield the summary."""
    document = figures.document
    run, performance, trading = document["run"], document["performance"], document["trading"]
    sessions = run["sessions"]
    yield (
        f"{sessions['first']} to {sessions['last']}: {sessions['played']} sessions, "
        f"{run['data']['symbols']} symbols, {run['cpu_s']} CPU seconds"
    )
    yield (
        f"Equity {float(run['equity_usd']):,.2f} USD of {float(run['capital_usd']):,.2f}: "
        f"{percent(performance['total_return'])}, {percent(performance['growth_a_year'])} a year, "
        f"volatility {percent(performance['volatility_a_year']).lstrip('+')}"
    )
    yield (
        f"Sharpe {ratio(performance['sharpe'])}, Sortino {ratio(performance['sortino'])}, "
        f"Calmar {ratio(performance['calmar'])}, "
        f"deepest fall {percent(performance['max_drawdown']).lstrip('+')}"
    )
    yield (
        f"{trading['fills']} fills, turnover {ratio(trading['turnover_a_year'])} x equity a year, "
        f"hit rate {percent(trading['hit_rate']).lstrip('+')}, "
        f"profit factor {ratio(trading['profit_factor'])}, "
        f"fees {trading['fees_usd']} USD, slippage {trading['slippage_usd']} USD"
    )
    states = document["trading_state"]
    if set(states) - {"ACTIVE"}:
        told = ", ".join(f"{state} at {count} closes" for state, count in states.items())
        yield f"Trading state: {told}; see the notices in the report"
    if not run["book_matches_venue"]:
        yield "The ledger DIFFERS from the venue's account: report this as a bug"
    yield "One path of the past, untested against chance: no evidence of skill"
