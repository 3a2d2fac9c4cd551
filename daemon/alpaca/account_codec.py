"""The account, its assets, sessions and clock, in the trading API's JSON and in our words."""

from dataclasses import dataclass
from datetime import UTC, date, datetime, time
from decimal import Decimal

import msgspec

from daemon.alpaca.codec import decode, owed, to_utc
from domain.calendar import NEW_YORK, Calendar, Session
from domain.errors import VenueUnavailable
from domain.instruments import Symbol
from domain.portfolio import AccountReport, Position


@dataclass(frozen=True, slots=True, kw_only=True)
class AssetFacts:
    """What the venue allows to be done with a symbol."""

    symbol: Symbol
    tradable: bool
    shortable: bool
    fractionable: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class VenueTime:
    """The venue's own clock."""

    at: datetime
    is_open: bool
    next_open_at: datetime
    next_close_at: datetime


class _AccountWire(msgspec.Struct):
    cash: Decimal
    equity: Decimal
    buying_power: Decimal
    id: str = ""
    account_number: str = ""
    last_equity: Decimal | None = None
    status: str = "ACTIVE"
    trading_blocked: bool = False
    account_blocked: bool = False
    trade_suspended_by_user: bool = False
    shorting_enabled: bool = False


class _PositionWire(msgspec.Struct):
    symbol: str
    qty: Decimal
    avg_entry_price: Decimal
    side: str = ""


class _AssetWire(msgspec.Struct):
    symbol: str
    tradable: bool = False
    shortable: bool = False
    fractionable: bool = False
    status: str = "active"


class _SessionWire(msgspec.Struct):
    date: date
    open: str
    close: str


class _ClockWire(msgspec.Struct):
    timestamp: datetime
    is_open: bool
    next_open: datetime
    next_close: datetime


_one_account = msgspec.json.Decoder(_AccountWire, strict=False)
_many_positions = msgspec.json.Decoder(list[_PositionWire], strict=False)
_many_assets = msgspec.json.Decoder(list[_AssetWire], strict=False)
_one_asset = msgspec.json.Decoder(_AssetWire, strict=False)
_many_sessions = msgspec.json.Decoder(list[_SessionWire], strict=False)
_one_clock = msgspec.json.Decoder(_ClockWire, strict=False)


def decode_account(account: bytes, positions: bytes, *, reported_at: datetime) -> AccountReport:
    """Return the account of the answers to `/v2/account` and `/v2/positions`."""
    wire = decode(_one_account, account)
    return AccountReport(
        account_id=wire.account_number or wire.id,
        cash_usd=owed(wire.cash, "cash"),
        equity_usd=owed(wire.equity, "equity"),
        last_equity_usd=owed(
            wire.equity if wire.last_equity is None else wire.last_equity, "last_equity"
        ),
        buying_power_usd=owed(wire.buying_power, "buying_power"),
        positions={
            Symbol(row.symbol): _position(row)
            for row in decode(_many_positions, positions)
            if row.qty != 0
        },
        is_blocked=wire.trading_blocked
        or wire.account_blocked
        or wire.trade_suspended_by_user
        or wire.status.upper() != "ACTIVE",
        shorting_enabled=wire.shorting_enabled,
        reported_at=reported_at,
    )


def _position(row: _PositionWire) -> Position:
    shares = owed(row.qty, f"position in {row.symbol}")
    return Position(
        # Shorts come as a negative quantity; should one come with a side only, obey that.
        quantity_shares=-abs(shares) if row.side == "short" else shares,
        average_entry_usd=abs(owed(row.avg_entry_price, f"entry price of {row.symbol}")),
    )


def decode_assets(body: bytes) -> dict[Symbol, AssetFacts]:
    """Return the assets of `/v2/assets`."""
    return {Symbol(row.symbol): _asset(row) for row in decode(_many_assets, body)}


def decode_asset(body: bytes) -> AssetFacts:
    """Return the asset of `/v2/assets/{symbol}`."""
    return _asset(decode(_one_asset, body))


def _asset(row: _AssetWire) -> AssetFacts:
    return AssetFacts(
        symbol=Symbol(row.symbol),
        tradable=row.tradable and row.status == "active",
        shortable=row.shortable,
        fractionable=row.fractionable,
    )


def decode_calendar(body: bytes) -> Calendar:
    """Return the sessions of `/v2/calendar`; the venue writes New York wall time."""
    rows = decode(_many_sessions, body)
    try:
        return Calendar.of(
            Session(
                day=row.date,
                opens_at=_in_utc(row.date, row.open),
                closes_at=_in_utc(row.date, row.close),
            )
            for row in rows
        )
    except ValueError as fault:
        raise VenueUnavailable(f"the venue's calendar cannot be read: {fault}") from fault


def decode_clock(body: bytes) -> VenueTime:
    """Return the instants of `/v2/clock`."""
    wire = decode(_one_clock, body)
    return VenueTime(
        at=to_utc(wire.timestamp),
        is_open=wire.is_open,
        next_open_at=to_utc(wire.next_open),
        next_close_at=to_utc(wire.next_close),
    )


def _in_utc(day: date, wall: str) -> datetime:
    digits = wall.replace(":", "")
    local = datetime.combine(day, time(int(digits[:2]), int(digits[2:4])), tzinfo=NEW_YORK)
    return local.astimezone(UTC)
