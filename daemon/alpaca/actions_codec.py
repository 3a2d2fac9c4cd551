"""Corporate actions in the data API's JSON and in our words.

Groups by type, as the venue names them; what we cannot book becomes OTHER with its own words kept.
"""

import json
from collections.abc import Callable, Iterator, Mapping
from datetime import date
from decimal import Decimal, InvalidOperation
from typing import Any, Final

from domain.corporate import ActionKind, CorporateAction
from domain.errors import VenueUnavailable
from domain.instruments import Symbol

Row = Mapping[str, Any]
ONE: Final = Decimal(1)
DETAIL_LENGTH: Final = 60


def decode_actions(body: bytes) -> tuple[list[CorporateAction], str | None]:
    """Return the actions of one page and the next page's token. Raises VenueUnavailable."""
    try:
        page = json.loads(body, parse_float=Decimal, parse_int=Decimal)
        groups = page["corporate_actions"]
        found = [a for name, rows in groups.items() for a in _group(str(name), rows)]
        token = page.get("next_page_token")
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as fault:
        raise VenueUnavailable(f"corporate actions cannot be read: {fault!r}") from fault
    return found, token if isinstance(token, str) and token else None


def _group(name: str, rows: Any) -> Iterator[CorporateAction]:
    make = _KINDS.get(name, _other)
    for row in rows:
        try:
            yield make(name, row)
        except (ValueError, KeyError, TypeError, InvalidOperation, ZeroDivisionError):
            # One that is not told in the form we know is one that we cannot book.
            yield _other(name, row)


def _split(name: str, row: Row) -> CorporateAction:
    return _action(
        name, row, ActionKind.SPLIT, ratio=_rate(row, "new_rate") / _rate(row, "old_rate")
    )


def _stock_dividend(name: str, row: Row) -> CorporateAction:
    return _action(name, row, ActionKind.SPLIT, ratio=ONE + _rate(row, "rate"))


def _cash_dividend(name: str, row: Row) -> CorporateAction:
    return _action(name, row, ActionKind.DIVIDEND, cash_usd=_rate(row, "rate"))


def _cash_merger(name: str, row: Row) -> CorporateAction:
    return _action(
        name,
        row,
        ActionKind.MERGER,
        symbol=row["acquiree_symbol"],
        ratio=Decimal(0),
        cash_usd=_rate(row, "rate"),
    )


def _stock_merger(name: str, row: Row) -> CorporateAction:
    return _action(
        name,
        row,
        ActionKind.MERGER,
        symbol=row["acquiree_symbol"],
        new_symbol=row["acquirer_symbol"],
        ratio=_rate(row, "acquirer_rate") / _rate(row, "acquiree_rate"),
        cash_usd=_rate(row, "cash_rate") if "cash_rate" in row else Decimal(0),
    )


def _name_change(name: str, row: Row) -> CorporateAction:
    return _action(
        name,
        row,
        ActionKind.RENAMING,
        symbol=row["old_symbol"],
        new_symbol=row["new_symbol"],
    )


_SYMBOLS: Final = ("symbol", "source_symbol", "old_symbol", "acquiree_symbol")


def _other(name: str, row: Row) -> CorporateAction:
    symbol = next(str(row[key]) for key in _SYMBOLS if key in row)
    detail = name.replace("_", " ")[:DETAIL_LENGTH]
    return _action(name, row, ActionKind.OTHER, symbol=symbol, detail=detail)


_KINDS: Final[Mapping[str, Callable[[str, Row], CorporateAction]]] = {
    "forward_splits": _split,
    "reverse_splits": _split,
    "stock_dividends": _stock_dividend,
    "cash_dividends": _cash_dividend,
    "cash_mergers": _cash_merger,
    "stock_mergers": _stock_merger,
    "stock_and_cash_mergers": _stock_merger,
    "name_changes": _name_change,
}


def _action(name: str, row: Row, kind: ActionKind, **given: Any) -> CorporateAction:
    symbol = Symbol(str(given.pop("symbol", None) or row["symbol"]))
    process_day = _day(row, "process_date")
    ex_day = _day(row, "ex_date", "effective_date") or process_day
    pay_day = _day(row, "payable_date") or process_day or ex_day
    if ex_day is None or pay_day is None:
        raise ValueError(f"{name} of {symbol} without a day")
    action_id = str(row.get("id") or f"{name}:{symbol}:{ex_day}")
    if "new_symbol" in given:
        given["new_symbol"] = Symbol(str(given["new_symbol"]))
    return CorporateAction(
        action_id=action_id, kind=kind, symbol=symbol, ex_day=ex_day, pay_day=pay_day, **given
    )


def _day(row: Row, *names: str) -> date | None:
    text = next((row[name] for name in names if row.get(name)), None)
    return None if text is None else date.fromisoformat(str(text)[:10])


def _rate(row: Row, name: str) -> Decimal:
    rate = Decimal(str(row[name]))
    if not rate.is_finite() or rate <= 0:
        raise ValueError(f"{name} is no rate: {rate}")
    return rate
