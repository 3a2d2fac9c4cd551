"""What a rule is, how much room a cap leaves, and how an objection is worded."""

from decimal import Decimal
from typing import NamedTuple, Protocol

from domain.money import ZERO, to_quantity
from domain.orders import Denial, OrderIntent, Severity, Side
from risk.screening import Sketch
from risk.view import RiskView
from risk.witnesses import Witnesses

BUILT_IN = "built in"
"""Setting of a rule that no key in `.env` moves."""
CASH_SETTING = "INITIAL_CAPITAL"
"""The key that the account's cash comes from."""
SHARE_SLACK = 1e-7
"""A ten-millionth of a share: absorbs float rounding where a limit falls on a whole lot."""


class RiskRule(Protocol):
    """One reason to trade less. Pure: same intent and view, same answer.

    `setting` is the key in `.env` of its limit, BUILT_IN or CASH_SETTING. `binds_closing` is True
    only for a rule that may hold back even what only closes.
    """

    @property
    def name(self) -> str:
        """The name of its file, and what denials are counted by."""
        ...

    @property
    def setting(self) -> str:
        """The key of its limit."""
        ...

    @property
    def binds_closing(self) -> bool:
        """Whether it is asked about orders that only close."""
        ...

    def check(self, intent: OrderIntent, view: RiskView) -> Denial | None:
        """Return an objection saying how many shares would pass, or None."""
        ...

    def spares(self, order: Sketch) -> bool:
        """Return True only for an order that `check` surely has nothing against: cheaper than
        asking, and wrong on the other side only. The order's symbol is known."""
        ...

    def witnesses(self) -> Witnesses:
        """Return an order one unit inside and one a unit outside the limit."""
        ...


class Wording(NamedTuple):
    """The readable part of an objection: numbers with their units, and what a person may do."""

    limit: str
    value: str
    headroom: str
    action: str
    severity: Severity = Severity.INFO


def fits(intent: OrderIntent, room_shares: float) -> bool:
    """Return whether the whole order fits into the room; NaN is no room."""
    return float(intent.quantity_shares) <= room_shares + SHARE_SLACK


def lots(room_shares: float, lot_shares: Decimal) -> Decimal:
    """Return the whole lots in a room, none when there is less than nothing or no number."""
    if not room_shares > 0:
        return ZERO
    return to_quantity(room_shares + SHARE_SLACK, lot_shares)


def position_room_shares(
    intent: OrderIntent, view: RiskView, symbol_max_usd: float, mark_usd: float
) -> float:
    """Return how many shares the order may have so that, whatever fills first, the symbol's
    position stays within ±`symbol_max_usd`."""
    lowest, highest = view.exposure.span_shares(intent.symbol)
    most_shares = symbol_max_usd / mark_usd
    return most_shares - highest if intent.side is Side.BUY else most_shares + lowest


def reduce_to(
    rule: RiskRule, intent: OrderIntent, view: RiskView, room_shares: float, wording: Wording
) -> Denial:
    """Return the objection that lets only what fits into the room pass."""
    return deny(rule, wording, lots(room_shares, view.lot_shares(intent.symbol)))


def deny(rule: RiskRule, wording: Wording, allowed_shares: Decimal = ZERO) -> Denial:
    """Return the objection in the rule's name."""
    return Denial(
        rule=rule.name,
        setting=rule.setting,
        limit=wording.limit,
        value=wording.value,
        headroom=wording.headroom,
        allowed_shares=allowed_shares,
        severity=wording.severity,
        action=wording.action,
    )


def missing(rule: RiskRule, what: str, action: str) -> Denial:
    """Return the objection of a rule that cannot see what it must: entries wait until it can."""
    return deny(
        rule,
        Wording(
            limit=f"{what} must be known",
            value=f"{what} is missing",
            headroom="0 shares",
            action=action,
            severity=Severity.WARNING,
        ),
    )


def no_equity(rule: RiskRule) -> Denial:
    """Return the objection for want of an equity to take shares of."""
    return missing(rule, "equity", "wait for the next account report; see `tradewind doctor`")


def no_price(rule: RiskRule, intent: OrderIntent) -> Denial:
    """Return the objection for want of any price of the symbol."""
    what = f"a price of {intent.symbol}"
    return missing(rule, what, "wait for a quote; see `tradewind doctor` for the data plan")


class Cap(NamedTuple):
    """A cap on the worst value of a group of symbols, and what the group comes to without the
    order, both in USD; `share` of this symbol's value counts in the group."""

    group: str
    cap_usd: float
    group_usd: float
    share: float = 1.0


def cap_room_shares(intent: OrderIntent, view: RiskView, cap: Cap, mark_usd: float) -> float:
    """Return how many shares the order may have so that the group stays within its cap."""
    own_usd = view.exposure.value_usd.get(intent.symbol, 0.0)
    others_usd = cap.group_usd - own_usd * cap.share
    return position_room_shares(intent, view, (cap.cap_usd - others_usd) / cap.share, mark_usd)


def over_cap(
    rule: RiskRule, intent: OrderIntent, view: RiskView, cap: Cap, room_shares: float
) -> Denial:
    """Return the objection of a cap on a group."""
    equity_usd = float(view.equity_usd or 0)
    allowed_shares = lots(room_shares, view.lot_shares(intent.symbol))
    of_equity = percent(cap.cap_usd / equity_usd) if equity_usd > 0 else "a share"
    mark_usd = view.mark_usd(intent.symbol) or 0.0
    asked_usd = cap.group_usd + float(intent.quantity_shares) * mark_usd * cap.share
    wording = Wording(
        limit=f"{cap.group}: {of_equity} of equity = {usd(cap.cap_usd)}",
        value=f"{usd(asked_usd)} with this order",
        headroom=f"{usd(max(0.0, cap.cap_usd - cap.group_usd))}, {allowed_shares:f} shares of it",
        action=f"wait for room in {cap.group}, or raise {rule.setting}",
    )
    return deny(rule, wording, allowed_shares)


def usd(amount_usd: float | Decimal) -> str:
    """Return an amount for people."""
    return f"{amount_usd:,.2f} USD"


def percent(share: float | Decimal) -> str:
    """Return a share of one for people."""
    return f"{share * 100:.2f} %"
