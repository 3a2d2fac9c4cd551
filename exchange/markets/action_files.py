"""Corporate actions beside bars: a CSV or Parquet file of splits and cash dividends.

`corporate_actions.csv` (or `.parquet`) in a folder of bars, `NAME.corporate_actions.csv` beside a
file `NAME.*`. One row an action; nothing is repaired or guessed.
"""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import Any

import pandas as pd

from domain.errors import ConfigurationFault
from domain.money import ZERO
from exchange.corporate_actions import ActionKind, ActionTable, CorporateAction
from exchange.markets.bar_files import CSV, PARQUET, row_fault

STEM = "corporate_actions"
NEEDED = ("symbol", "ex_date", "type")
KINDS_ACCEPTED = "forward_split, reverse_split, cash_dividend; or split, dividend"
RATIO_ACCEPTED = "new shares for old ones, such as 4:1, 3:2, 1:10 or 4"
_RATIO = re.compile(r"(\d+(?:\.\d+)?)(?:\s*[:/]\s*(\d+(?:\.\d+)?))?")


def action_path(bars: Path) -> Path | None:
    """Return the file of actions that belongs to a file or folder of bars, None without one."""
    endings = (*PARQUET, *CSV)
    if bars.is_dir():
        candidates = [bars / f"{STEM}{ending}" for ending in endings]
    else:
        name = bars.name
        for ending in endings:
            name = name[: -len(ending)] if name.lower().endswith(ending) else name
        candidates = [bars.parent / f"{name}.{STEM}{ending}" for ending in endings]
    return next((path for path in candidates if path.is_file()), None)


def read_actions(path: Path, sessions: Iterable[date], symbols: Iterable[str]) -> ActionTable:
    """Return the actions of `symbols` whose ex-date is among `sessions`.

    Rows of other symbols, and of days before the first session or after the last, are left out.
    Raises ConfigurationFault naming file, row, column and what is accepted.
    """
    days, wanted = sorted(sessions), frozenset(symbols)
    known = frozenset(days)
    table = _read(path)
    reader = _Rows(path=path, columns=_columns(path, table))
    actions = []
    for row, record in enumerate(table.to_dict("records")):
        symbol = reader.text(row, record, "symbol").upper()
        ex_date = reader.day(row, record, "ex_date")
        if symbol not in wanted or not days or not days[0] <= ex_date <= days[-1]:
            continue
        if ex_date not in known:
            raise row_fault(path, row, "ex_date", ex_date, "a day on which XNYS has a session")
        actions.append(reader.action(row, record, symbol, ex_date))
    try:
        return ActionTable(actions)
    except ValueError as fault:
        raise ConfigurationFault(f"{path}: {fault}; accepted: one of a kind a day") from fault


def _read(path: Path) -> Any:
    try:
        if path.name.lower().endswith(PARQUET):
            return pd.read_parquet(path)
        return pd.read_csv(path, dtype=str, keep_default_na=False, na_values=[""])
    except (OSError, ValueError) as fault:
        raise ConfigurationFault(f"{path}: not a readable file of actions: {fault}") from fault


def _columns(path: Path, table: Any) -> dict[str, str]:
    by_name = {str(c).strip().lower(): str(c) for c in table.columns}
    missing = [name for name in NEEDED if name not in by_name]
    if missing:
        found = ", ".join(map(str, table.columns))
        raise ConfigurationFault(
            f"{path}: column {', '.join(missing)} is missing; found {found};"
            " accepted: symbol, ex_date, type, ratio (splits), cash (dividends),"
            " and if known declared_date, record_date, payable_date"
        )
    return by_name


@dataclass(frozen=True, slots=True, kw_only=True)
class _Rows:
    path: Path
    columns: dict[str, str]

    def action(
        self, row: int, record: dict[str, Any], symbol: str, ex_date: date
    ) -> CorporateAction:
        word = self.text(row, record, "type").lower().replace(" ", "_")
        new, old, cash_usd = Decimal(1), Decimal(1), ZERO
        if word in ("dividend", ActionKind.CASH_DIVIDEND):
            kind, cash_usd = ActionKind.CASH_DIVIDEND, self._cash(row, record)
        else:
            new, old = self._ratio(row, record)
            kind = ActionKind.FORWARD_SPLIT if new > old else ActionKind.REVERSE_SPLIT
        if word not in (kind, "dividend" if cash_usd else "split"):
            raise row_fault(self.path, row, "type", word, KINDS_ACCEPTED)
        try:
            return CorporateAction(
                symbol=symbol,
                kind=kind,
                ex_date=ex_date,
                declared_on=self.optional_day(row, record, "declared_date") or ex_date,
                record_date=self.optional_day(row, record, "record_date") or ex_date,
                payable_date=self.optional_day(row, record, "payable_date") or ex_date,
                old_rate=old,
                new_rate=new,
                cash_usd=cash_usd,
            )
        except ValueError as fault:
            accepted = "declared by the ex-date and paid after it is declared"
            raise row_fault(self.path, row, "declared_date", fault, accepted) from fault

    def text(self, row: int, record: dict[str, Any], column: str) -> str:
        """Return a cell that must be there."""
        found = self._cell(record, column)
        if not found:
            raise row_fault(self.path, row, column, "nothing", "a value")
        return found

    def day(self, row: int, record: dict[str, Any], column: str) -> date:
        """Return a date that must be there."""
        text = self.text(row, record, column)
        try:
            return date.fromisoformat(text[:10])
        except ValueError as fault:
            raise row_fault(self.path, row, column, text, "a date such as 2026-03-02") from fault

    def optional_day(self, row: int, record: dict[str, Any], column: str) -> date | None:
        """Return a date, None for an empty cell or no such column."""
        return self.day(row, record, column) if self._cell(record, column) else None

    def _ratio(self, row: int, record: dict[str, Any]) -> tuple[Decimal, Decimal]:
        text = self.text(row, record, "ratio")
        found = _RATIO.fullmatch(text)
        if found is None:
            raise row_fault(self.path, row, "ratio", text, RATIO_ACCEPTED)
        new, old = Decimal(found[1]), Decimal(found[2] or 1)
        if min(new, old) <= 0 or new == old:
            raise row_fault(self.path, row, "ratio", text, RATIO_ACCEPTED)
        return (new, old) if new > old or found[2] else (Decimal(1), old / new)

    def _cash(self, row: int, record: dict[str, Any]) -> Decimal:
        text = self.text(row, record, "cash")
        try:
            cash_usd = Decimal(text)
        except InvalidOperation as fault:
            raise row_fault(self.path, row, "cash", text, "dollars a share, above 0") from fault
        if not cash_usd.is_finite() or cash_usd <= 0:
            raise row_fault(self.path, row, "cash", text, "dollars a share, above 0")
        return cash_usd

    def _cell(self, record: dict[str, Any], column: str) -> str:
        name = self.columns.get(column)
        value = record.get(name) if name is not None else None
        return "" if value is None or value != value else str(value).strip()


def adjusted_closes(
    official_usd: Any, traded: Any, days: Sequence[date], row_of: dict[str, int], table: ActionTable
) -> None:
    """Put carried closes `[n, d]` on the footing of their day's shares, in place: a symbol that
    does not trade on its ex-date is worth the split part of its last price until it does."""
    column_of = {day: column for column, day in enumerate(days)}
    for action in table.actions:
        if not action.is_split or action.symbol not in row_of:
            continue
        row, column = row_of[action.symbol], column_of[action.ex_date]
        while column < len(days) and not traded[row, column]:
            official_usd[row, column] /= float(action.ratio)
            column += 1
