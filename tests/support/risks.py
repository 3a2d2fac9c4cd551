"""Accounts, markets and orders as the risk tests need them."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import timedelta
from decimal import Decimal
from typing import ClassVar

from hypothesis import strategies as st

from domain.instruments import Sector, Symbol
from domain.orders import (
    EXTERNAL,
    OPERATOR,
    AtLimit,
    AtMarket,
    Denial,
    Leg,
    OrderIntent,
    Severity,
    Side,
)
from domain.portfolio import Book, Portfolio, Position
from domain.snapshot import TradingState
from risk.gate import RiskGate
from risk.limits import RiskLimits
from risk.rule import RiskRule
from risk.rules import all_rules
from risk.screening import Sketch
from risk.view import RiskView
from risk.witnesses import (
    FUND,
    NOON,
    OTHER,
    OTHER_FUND,
    PEER,
    STOCK,
    Witnesses,
    between,
    calm_view,
    entry,
    working,
)

SYMBOLS = (STOCK, PEER, OTHER, FUND, OTHER_FUND)
TTL_S = 30.0


def gate(limits: RiskLimits | None = None) -> RiskGate:
    return RiskGate(rules=all_rules(limits or RiskLimits()), approval_ttl_s=TTL_S)


def gate_of(*rules: RiskRule) -> RiskGate:
    return RiskGate(rules=rules, approval_ttl_s=TTL_S)


def passed_shares(of: RiskGate, intent: OrderIntent, view: RiskView) -> Decimal:
    approved = of.judge(intent, view).approved
    return approved.intent.quantity_shares if approved else Decimal(0)


def position(shares: int | Decimal, entry_usd: str = "100") -> Position:
    return Position(quantity_shares=Decimal(shares), average_entry_usd=Decimal(entry_usd))


def with_books(view: RiskView, books: Mapping[str, Mapping[Symbol, Position]]) -> RiskView:
    """The view with these books, and the account's positions as their sum."""
    totals: dict[Symbol, Decimal] = {}
    for held in books.values():
        for symbol, part in held.items():
            totals[symbol] = totals.get(symbol, Decimal(0)) + part.quantity_shares
    account = {symbol: position(shares) for symbol, shares in totals.items() if shares}
    portfolio = Portfolio(
        cash_usd=view.portfolio.cash_usd,
        positions=account,
        books={name: Book(positions=held) for name, held in books.items()},
    )
    return replace(view, portfolio=portfolio)


def stated(view: RiskView, state: TradingState) -> RiskView:
    return replace(view, trading=replace(view.trading, state=state, cause="operator_reduce"))


@dataclass(frozen=True, slots=True, kw_only=True)
class DenyAll:
    """A rule that lets nothing pass."""

    binds_closing: bool = False
    allowed_shares: Decimal = Decimal(0)
    name: ClassVar[str] = "deny_all"
    setting: ClassVar[str] = "built in"

    def check(self, intent: OrderIntent, view: RiskView) -> Denial | None:
        if self.allowed_shares >= intent.quantity_shares:
            return None
        return Denial(
            rule=self.name,
            setting=self.setting,
            limit="nothing",
            value="something",
            headroom="0 shares",
            allowed_shares=self.allowed_shares,
            severity=Severity.INFO,
            action="none",
        )

    def spares(self, order: Sketch) -> bool:
        return False

    def witnesses(self) -> Witnesses:
        return between(entry(), inside=calm_view(), outside=calm_view(), unit="none")


# --- hypothesis ----------------------------------------------------------------------------------

quantities = st.integers(1, 5_000).map(Decimal) | st.decimals(
    "0.5", "50", places=2, allow_nan=False
)
terms = st.sampled_from(
    [AtMarket(), *(AtLimit(Decimal(p)) for p in ("99.00", "99.99", "100.01", "100.10", "101.00"))]
)


@st.composite
def intents(draw: st.DrawFn, legs: tuple[Leg, ...] = tuple(Leg)) -> OrderIntent:
    side = draw(st.sampled_from(Side))
    base = entry(
        draw(quantities),
        symbol=draw(st.sampled_from(SYMBOLS)),
        side=side,
        terms=draw(terms),
        leg=draw(st.sampled_from(legs)),
    )
    books = draw(st.sampled_from([("a",), ("a", "b"), ("a", "b", "c"), (OPERATOR,)]))
    cuts = [draw(st.integers(-500, 500)) for _ in books[1:]]
    first = base.signed_shares - sum(cuts)
    return replace(base, deltas=dict(zip(books, (first, *map(Decimal, cuts)), strict=True)))


TROUBLES: Mapping[str, Mapping[str, object]] = {
    "none": {},
    "reducing": {"trading": replace(calm_view().trading, state=TradingState.REDUCING)},
    "halted": {"trading": replace(calm_view().trading, state=TradingState.HALTED)},
    "quarantine": {"quarantined": {PEER: "unresolved", STOCK: "unresolved"}},
    "no equity": {"equity_usd": None},
    "small account": {"equity_usd": Decimal(200_000)},
    "loss": {"equity_usd": Decimal(9_000_000)},
    "no cash known": {"settled_cash_usd": None},
    "little cash": {"settled_cash_usd": Decimal(20_000)},
    "no power known": {"buying_power_usd": None},
    "clusters": {"cluster_of": {STOCK: "c", PEER: "c"}},
    "turned over": {"turnover_today_usd": Decimal(1_900_000)},
    "busy day": {"orders_today": 199},
    "busy minute": {"order_times": (NOON,) * 9},
    "cooling": {"cooldown_until": {STOCK: NOON}},
    "no volume": {"average_volume_shares": {}},
    "thin": {"average_volume_shares": dict.fromkeys(SYMBOLS, 20_000.0)},
    "no quotes": {"quotes": {}},
    "no prices": {"quotes": {}, "last_good_usd": {}, "reference_close_usd": {}},
    "closed": {"session": None},
    "old quotes": {"as_of": NOON + timedelta(seconds=6)},
    "evening": {"as_of": NOON + timedelta(hours=3, minutes=55)},
}
"""What may be wrong, as fields of RiskView."""


@st.composite
def views(draw: st.DrawFn) -> RiskView:
    """Accounts with positions of ours and others', working orders, and up to two troubles."""
    shares = st.integers(-3_000, 3_000).filter(bool)
    ours = draw(st.dictionaries(st.sampled_from(SYMBOLS), shares, max_size=4))
    others = draw(st.dictionaries(st.sampled_from(SYMBOLS), shares, max_size=1))
    view = with_books(
        calm_view(),
        {
            "a": {s: position(q) for s, q in ours.items()},
            EXTERNAL: {s: position(q) for s, q in others.items()},
        },
    )
    open_orders = draw(st.lists(intents(), max_size=2))
    view = replace(view, working=tuple(working(o) for o in open_orders))
    for trouble in draw(st.lists(st.sampled_from(sorted(TROUBLES)), max_size=2)):
        view = replace(view, **TROUBLES[trouble])  # type: ignore[arg-type]
    return view


def trusting(view: RiskView) -> RiskView:
    """The view with nothing in it that may hold back even what only closes."""
    return replace(stated(view, TradingState.ACTIVE), quarantined={})


@st.composite
def closing_intents(draw: st.DrawFn, view: RiskView) -> OrderIntent | None:
    """An order that only closes in this view, None when there is nothing to close."""
    found = []
    for symbol in SYMBOLS:
        reach = view.reach(symbol)
        for side in Side:
            most = reach.closing(side, external=reach.external)
            if most > 0:
                found.append((symbol, side, most))
    if not found:
        return None
    symbol, side, most = draw(st.sampled_from(found))
    share = draw(st.sampled_from([Decimal(1), Decimal("0.5")]))
    return entry(most * share, symbol=symbol, side=side, leg=draw(st.sampled_from(Leg)))


@st.composite
def some_limits(draw: st.DrawFn) -> RiskLimits:
    """Limits anywhere in their useful range: the witnesses must follow them."""
    share = st.integers(1, 999).map(lambda n: Decimal(n) / 1000)
    count = st.integers(1, 500)
    loss = draw(share)
    return RiskLimits(
        max_position_size=draw(share),
        max_gross_exposure=draw(st.integers(1, 200)) / Decimal(100),
        sector_caps=dict.fromkeys(Sector, draw(share)),
        etf_cap=draw(share),
        cluster_names_max=draw(st.integers(1, 5)),
        daily_turnover_max=draw(share),
        fractional_shares=draw(st.booleans()),
        allow_shorts=draw(st.booleans()),
        order_size_max_usd=Decimal(draw(st.integers(2_000, 10**7))),
        order_size_max_shares=draw(st.integers(10, 10**6)),
        adv_share_max=draw(share),
        order_price_max_age_seconds=draw(st.integers(1, 60)) / 2,
        price_jump_max=draw(share),
        collar_bps=draw(st.integers(0, 400)) / 2,
        no_entry_first_minutes=draw(st.integers(0, 180)),
        no_entry_last_minutes=draw(st.integers(0, 180)),
        orders_per_minute_max=draw(count),
        orders_per_day_max=draw(count),
        max_daily_loss_percent=loss,
        max_drawdown_percent=draw(share),
    )
