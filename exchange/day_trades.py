"""Day trades: positions opened and closed on one day, and the rule that once limited them.

The rule (retired in 2026, a knob here): an account under $25,000 may make three day trades in
five sessions; the fourth is refused.
"""

from collections.abc import Iterable
from datetime import date
from decimal import Decimal

from exchange.instants import new_york_day
from exchange.orders import Execution

DAY_TRADES_MAX = 3
SESSIONS = 5
EQUITY_MIN_USD = Decimal(25_000)


def day_trades(executions: Iterable[Execution], first: date) -> dict[tuple[date, str], int]:
    """Return how often each symbol was opened and closed again within a day, from `first` on.

    Closing orders count once a run: a position built in the morning and sold in parts is one day
    trade, bought again and sold again is another.
    """
    found: dict[tuple[date, str], int] = {}
    opened: dict[tuple[date, str], bool] = {}
    for execution in executions:
        day = new_york_day(execution.at_ns)
        if day < first:
            continue
        key = (day, execution.symbol)
        if _grows(execution):
            opened[key] = True
        elif opened.get(key):
            found[key] = found.get(key, 0) + 1
            opened[key] = False
    return found


def opened_today(executions: Iterable[Execution], symbol: str, today: date) -> bool:
    """Whether shares of a symbol were opened today and none of them closed since."""
    grew = False
    for execution in executions:
        if execution.symbol == symbol and new_york_day(execution.at_ns) == today:
            grew = _grows(execution)
    return grew


def _grows(execution: Execution) -> bool:
    """Whether an execution made its position larger: it ends on the side it traded towards."""
    return execution.position_qty * execution.side.sign > 0
