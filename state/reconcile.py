"""Our book beside the venue's: what differs, and by a written table, what is to be done about it.

The venue is the truth about what happened, the journal about what we meant. Nothing is changed
here; the caller looks up, advances, books and adopts, and compares again.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from decimal import Decimal
from enum import StrEnum

from domain.instruments import Symbol
from domain.money import CENT, ZERO
from domain.orders import Order, OrderReport, OrderStatus
from domain.portfolio import AccountReport, Portfolio, Position

AVERAGE_TOLERANCE_USD = Decimal("0.0001")
CASH_TOLERANCE_USD = CENT / 2
"""Ours is exact; the venue may show cents."""
FRACTIONS_TOLERANCE_USD = 3 * CASH_TOLERANCE_USD
"""Where fractions of shares were traded, ours has parts of cents; what of the venue's was adopted
in between was rounded, and so is what it shows now."""


class Ours(StrEnum):
    """What we know of an order."""

    IN_DOUBT = "in doubt"
    LIVE = "live"
    FINISHED = "finished"
    LOST = "named by us, not in our records"
    FOREIGN = "not ours"


class Theirs(StrEnum):
    """What the venue says of it."""

    LIVE = "live"
    FINISHED = "finished"
    ABSENT = "definitely absent"
    NOT_OPEN = "not among the open orders"


class Action(StrEnum):
    """What the caller is to do."""

    ADVANCE = "advance"
    LOOK_UP = "look up by id"
    DECIDE = "send again after a quiet period, or give up"
    DISTRUST = "halt and tell a person"
    ADOPT = "count as external and tell a person"
    COUNT = "count as external"
    LEAVE = "leave"


ORDER_TABLE: Mapping[tuple[Ours, Theirs], Action] = {
    (Ours.IN_DOUBT, Theirs.LIVE): Action.ADVANCE,
    (Ours.IN_DOUBT, Theirs.FINISHED): Action.ADVANCE,
    (Ours.IN_DOUBT, Theirs.ABSENT): Action.DECIDE,
    (Ours.IN_DOUBT, Theirs.NOT_OPEN): Action.LOOK_UP,
    (Ours.LIVE, Theirs.LIVE): Action.ADVANCE,
    (Ours.LIVE, Theirs.FINISHED): Action.ADVANCE,
    # It was acknowledged and is gone: the account was reset, or it is another one.
    (Ours.LIVE, Theirs.ABSENT): Action.DISTRUST,
    (Ours.LIVE, Theirs.NOT_OPEN): Action.LOOK_UP,
    # It was given up, or refused, and lives all the same.
    (Ours.FINISHED, Theirs.LIVE): Action.DISTRUST,
    (Ours.FINISHED, Theirs.FINISHED): Action.LEAVE,
    (Ours.FINISHED, Theirs.ABSENT): Action.LEAVE,
    (Ours.FINISHED, Theirs.NOT_OPEN): Action.LEAVE,
    # Only this program names orders so: a journal was lost, or another instance trades.
    (Ours.LOST, Theirs.LIVE): Action.ADOPT,
    (Ours.LOST, Theirs.FINISHED): Action.LEAVE,
    (Ours.FOREIGN, Theirs.LIVE): Action.COUNT,
    (Ours.FOREIGN, Theirs.FINISHED): Action.LEAVE,
}
"""What to do about an order, by what each side says of it. Pairs not here cannot come about."""


@dataclass(frozen=True, slots=True, kw_only=True)
class OrderDifference:
    """One order that the two sides see differently, or may."""

    client_order_id: str
    ours: Ours
    theirs: Theirs
    action: Action
    order: Order | None
    report: OrderReport | None


@dataclass(frozen=True, slots=True, kw_only=True)
class PositionDifference:
    """One symbol of which the sides hold different numbers of shares."""

    symbol: Symbol
    our_shares: Decimal
    venue_shares: Decimal


@dataclass(frozen=True, slots=True, kw_only=True)
class Differences:
    """Everything in which our book and the venue's differ. `cash_usd` is the venue's less ours."""

    orders: tuple[OrderDifference, ...]
    positions: tuple[PositionDifference, ...]
    cash_usd: Decimal
    averages: Mapping[Symbol, tuple[Decimal, Decimal]]
    """Average entries, ours and the venue's, of symbols held alike but at another price."""
    unbooked: tuple[str, ...]
    """Orders of which the venue filled more than we booked: fetch their fills first."""

    def of(self, action: Action) -> tuple[OrderDifference, ...]:
        """Return the orders about which this is to be done."""
        return tuple(d for d in self.orders if d.action is action)

    @property
    def can_adopt(self) -> bool:
        """Whether what positions and cash differ by is the venue's doing.

        Not while orders are to be looked up or decided on, or fills are still to be booked.
        """
        waiting = self.of(Action.LOOK_UP) or self.of(Action.DECIDE) or self.of(Action.DISTRUST)
        return not waiting and not self.unbooked

    @property
    def is_empty(self) -> bool:
        """Whether nothing differs that anyone must act on."""
        differs = self.orders or self.positions or self.cash_usd or self.averages
        return not (differs or self.unbooked)


@dataclass(frozen=True, slots=True, kw_only=True)
class Mismatch:
    """In what our book is not the venue's, readable."""

    parts: tuple[str, ...]

    def __str__(self) -> str:
        return "; ".join(self.parts)


def compare(
    portfolio: Portfolio,
    orders: Iterable[Order],
    account: AccountReport,
    reports: Mapping[str, OrderReport | None],
    *,
    prefix: str,
) -> Differences:
    """Return in what the sides differ.

    `reports` maps client_order_id to the venue's open orders and to what looking one up gave (None
    = it definitely has none); an unfinished order of ours that is not in it is to be looked up.
    `prefix` begins the names this program gives. All taken while nothing was in flight.
    """
    known = {order.client_order_id: order for order in orders}
    names = sorted({*reports, *(n for n, o in known.items() if not o.status.is_terminal)})
    seen = [_order_difference(n, known.get(n), reports, prefix) for n in names]
    return Differences(
        orders=tuple(d for d in seen if _must_act(d)),
        positions=tuple(_position_differences(portfolio, account)),
        cash_usd=_cash_difference(portfolio, account),
        averages=dict(_average_differences(portfolio.positions, account.positions)),
        unbooked=tuple(
            d.client_order_id
            for d in seen
            if d.order and d.report and d.report.filled_shares > d.order.filled_shares
        ),
    )


def book_matches_venue(portfolio: Portfolio, account: AccountReport) -> Mismatch | None:
    """Return None when quantities are equal, cash is to the cent, averages are to 4 decimals."""
    parts = [
        f"{d.symbol}: {d.our_shares} shares booked, {d.venue_shares} at the venue"
        for d in _position_differences(portfolio, account)
    ]
    if _cash_difference(portfolio, account):
        parts.append(f"cash: ${portfolio.cash_usd} booked, ${account.cash_usd} at the venue")
    averages = _average_differences(portfolio.positions, account.positions)
    parts += [
        f"{symbol}: average entry ${ours} booked, ${theirs} at the venue"
        for symbol, (ours, theirs) in averages
    ]
    return Mismatch(parts=tuple(parts)) if parts else None


def _order_difference(
    name: str, order: Order | None, reports: Mapping[str, OrderReport | None], prefix: str
) -> OrderDifference:
    report = reports.get(name)
    ours = _ours(order, name.startswith(prefix))
    if report:
        theirs = Theirs.FINISHED if report.status.is_terminal else Theirs.LIVE
    else:
        theirs = Theirs.ABSENT if name in reports else Theirs.NOT_OPEN
    return OrderDifference(
        client_order_id=name,
        ours=ours,
        theirs=theirs,
        action=ORDER_TABLE.get((ours, theirs), Action.LEAVE),
        order=order,
        report=report,
    )


def _ours(order: Order | None, named_by_us: bool) -> Ours:
    if order is None:
        return Ours.LOST if named_by_us else Ours.FOREIGN
    if order.status.is_terminal:
        return Ours.FINISHED
    doubtful = (OrderStatus.APPROVED, OrderStatus.SUBMITTING, OrderStatus.UNRESOLVED)
    return Ours.IN_DOUBT if order.status in doubtful else Ours.LIVE


def _must_act(difference: OrderDifference) -> bool:
    """Whether anything is to be done: not when both sides say the same of an order."""
    order, report = difference.order, difference.report
    if difference.action is not Action.ADVANCE or order is None or report is None:
        return difference.action is not Action.LEAVE
    agree = order.status == report.status and order.filled_shares >= report.filled_shares
    return not (agree and order.venue_order_id == report.venue_order_id)


def _position_differences(
    portfolio: Portfolio, account: AccountReport
) -> Iterable[PositionDifference]:
    for symbol in sorted({*portfolio.positions, *account.positions}):
        venue = account.positions.get(symbol)
        venue_shares = venue.quantity_shares if venue else ZERO
        our_shares = portfolio.shares(symbol)
        if our_shares != venue_shares:
            yield PositionDifference(
                symbol=symbol, our_shares=our_shares, venue_shares=venue_shares
            )


def _cash_difference(portfolio: Portfolio, account: AccountReport) -> Decimal:
    difference = account.cash_usd - portfolio.cash_usd
    # What was adopted of a rounded amount has left the parts of cents among the flows.
    has_parts = portfolio.cash_usd % CENT != 0 or portfolio.flows_usd % CENT != 0
    tolerance_usd = FRACTIONS_TOLERANCE_USD if has_parts else CASH_TOLERANCE_USD
    return difference if abs(difference) > tolerance_usd else ZERO


def _average_differences(
    ours: Mapping[Symbol, Position], theirs: Mapping[Symbol, Position]
) -> Iterable[tuple[Symbol, tuple[Decimal, Decimal]]]:
    for symbol in sorted({*ours} & {*theirs}):
        our_usd, venue_usd = ours[symbol].average_entry_usd, theirs[symbol].average_entry_usd
        alike = ours[symbol].quantity_shares == theirs[symbol].quantity_shares
        if alike and abs(our_usd - venue_usd) > AVERAGE_TOLERANCE_USD:
            yield symbol, (our_usd, venue_usd)
