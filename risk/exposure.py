"""How much is at stake, with every working order counted as held in the worse direction."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Protocol

from domain.instruments import Instrument, Kind, Sector, Symbol
from domain.money import ZERO
from domain.orders import (
    EXTERNAL,
    OPERATOR,
    AtLimit,
    AtStopLimit,
    Leg,
    Order,
    OrderIntent,
    Side,
)
from domain.portfolio import Portfolio
from domain.values import Value

SHORT_SALE_MARGIN = 1.03
"""Alpaca reserves a short sale at 3 % above the ask."""
UNLIMITED_MARGIN = 1.04
"""Alpaca reserves an order without a limit price at up to 4 % above the ask."""
LIMITED = (AtLimit, AtStopLimit)
"""Terms with a limit price."""
PROTECTIVE_LEGS = frozenset({Leg.EXIT, Leg.FLATTEN})
"""Legs that a stop, a target or a person asked for; they are no turnover of a strategy."""
UNKNOWN_LOOK_THROUGH: Mapping[Sector, float] = {Sector.UNCLASSIFIED: 1.0}
_A_PERSONS = frozenset({OPERATOR, EXTERNAL})
_BUY = Side.BUY
"""Looked up once: a member of an enumeration is found through its class, and orders are many."""


class Reach(Value, frozen=True):
    """Where one symbol's position may end up once working orders have filled, in signed shares.

    `held` is the account's, `external` the part of it that we did not open; `buying` and
    `selling` (≥ 0) may still fill.
    """

    held: Decimal = ZERO
    external: Decimal = ZERO
    buying: Decimal = ZERO
    selling: Decimal = ZERO

    @property
    def highest(self) -> Decimal:
        """The position if every buy filled and no sell did."""
        return self.held + self.buying

    @property
    def lowest(self) -> Decimal:
        """The position if every sell filled and no buy did."""
        return self.held - self.selling

    @property
    def worst(self) -> Decimal:
        """The largest size, without sign, that the position may get to."""
        return max(self.highest, -self.lowest)

    def closing(self, side: Side, *, external: Decimal) -> Decimal:
        """Return how many shares of a new order on `side` would only close, whatever fills first.

        `external` of the held shares are not the order's to close (zero for a person's order).
        """
        free = -self.highest if side is _BUY else self.lowest
        if external:
            free = min(free, free + external if side is _BUY else free - external)
        return free if free > ZERO else ZERO

    def plus(self, side: Side, shares: Decimal) -> "Reach":
        """Return the reach with one more order working."""
        if side is _BUY:
            return Reach(self.held, self.external, self.buying + shares, self.selling)
        return Reach(self.held, self.external, self.buying, self.selling + shares)


def held_reach(portfolio: Portfolio, symbol: Symbol) -> Reach:
    """Return the reach of a symbol without working orders."""
    position = portfolio.positions.get(symbol)
    outside = portfolio.books.get(EXTERNAL)
    external = outside.shares(symbol) if outside else ZERO
    if position is None:
        return Reach(external=external) if external else NOTHING
    return Reach(position.quantity_shares, external)


NOTHING = Reach()
"""The reach of a symbol neither held nor ordered."""


class Commitment(Value, frozen=True, kw_only=True):
    """One order that may still fill, valued: what is added to an Exposure."""

    symbol: Symbol
    side: Side
    shares: Decimal
    mark_usd: float
    worst_usd: float
    is_turnover: bool


def worst_price_usd(intent: OrderIntent, mark_usd: float) -> float:
    """Return the price a share of the order may cost at worst: its limit when it has one, else
    the mark and Alpaca's margin for orders without a limit; a sale counts at no less than the
    mark."""
    terms = intent.terms
    if isinstance(terms, LIMITED):
        limit_usd = float(terms.limit_usd)
        return limit_usd if intent.side is Side.BUY else max(limit_usd, mark_usd)
    return mark_usd * UNLIMITED_MARGIN if intent.side is Side.BUY else mark_usd


def commitment(intent: OrderIntent, shares: Decimal, mark_usd: float | None) -> Commitment:
    """Return what `shares` of an intent still working commit us to; without a mark, at the mid
    the order was decided on."""
    value_usd = float(intent.reference_usd) if mark_usd is None else mark_usd
    return Commitment(
        symbol=intent.symbol,
        side=intent.side,
        shares=shares,
        mark_usd=value_usd,
        worst_usd=worst_price_usd(intent, value_usd),
        is_turnover=intent.leg not in PROTECTIVE_LEGS,
    )


def is_a_persons(intent: OrderIntent) -> bool:
    """Whether an order may touch what we did not open: a person gave it, or it flattens."""
    return intent.leg is Leg.FLATTEN or intent.deltas.keys() <= _A_PERSONS


def closing_shares(intent: OrderIntent, shares: Decimal, reach: Reach) -> Decimal:
    """Return how many of an order's `shares` only close, whatever works fills or not.

    A strategy closes only what its own side opened; a person's order may close all.
    """
    if reach is NOTHING:
        return ZERO
    external = ZERO if not reach.external or is_a_persons(intent) else reach.external
    closing = reach.closing(intent.side, external=external)
    return shares if shares <= closing else closing


def cash_needed_usd(reach: Reach, side: Side, shares: float, price_usd: float) -> float:
    """Return the settled cash that an order may take: every buy, and every share sold short."""
    if side is Side.BUY:
        return shares * price_usd
    short_shares = shares - max(0.0, float(reach.lowest))
    return max(0.0, short_shares) * price_usd * SHORT_SALE_MARGIN


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Exposure:
    """What is held and may come to be held, in USD at the marks.

    `value_usd` is each symbol's worst size × mark; gross, sectors (ETFs looked through), ETFs and
    clusters are sums of it. `net_usd` is of what is held now. `reserved_usd` is the settled cash
    that working orders may take, `turnover_usd` what they may trade (protective legs left out).
    `ordered` has the reach of symbols with working orders; ask `reach` for any.
    """

    portfolio: Portfolio
    instruments: Mapping[Symbol, Instrument]
    cluster_of: Mapping[Symbol, str]
    ordered: Mapping[Symbol, Reach]
    value_usd: Mapping[Symbol, float]
    by_sector_usd: Mapping[Sector, float]
    by_cluster_usd: Mapping[str, float]
    gross_usd: float
    net_usd: float
    etf_usd: float
    reserved_usd: float
    turnover_usd: float

    _span: dict[Symbol, tuple[float, float]] = field(default_factory=dict, init=False, repr=False)

    def reach(self, symbol: Symbol) -> Reach:
        """Return where the symbol's position may get to."""
        return self.ordered.get(symbol) or held_reach(self.portfolio, symbol)

    def span_shares(self, symbol: Symbol) -> tuple[float, float]:
        """Return the lowest and the highest position the symbol may get to."""
        span = self._span.get(symbol)
        if span is None:
            reach = self.reach(symbol)
            # Every cap asks for the same symbol; remembered, not changed.
            span = self._span[symbol] = float(reach.lowest), float(reach.highest)
        return span

    def plus(self, added: Commitment) -> "Exposure":
        """Return the exposure with one more order counted as working."""
        tally = _Tally(
            portfolio=self.portfolio,
            instruments=self.instruments,
            cluster_of=self.cluster_of,
            ordered=dict(self.ordered),
            values=dict(self.value_usd),
            totals=Totals(
                gross_usd=self.gross_usd,
                etf_usd=self.etf_usd,
                by_sector_usd=dict(self.by_sector_usd),
                by_cluster_usd=dict(self.by_cluster_usd),
            ),
            net_usd=self.net_usd,
            reserved_usd=self.reserved_usd,
            turnover_usd=self.turnover_usd,
        )
        tally.add(added)
        return tally.exposure()


def exposure_of(
    portfolio: Portfolio,
    working: Iterable[Order],
    *,
    mark_of: Callable[[Symbol], float | None],
    instruments: Mapping[Symbol, Instrument],
    cluster_of: Mapping[Symbol, str],
) -> Exposure:
    """Return the exposure of what is held and of every order that may still fill.

    A held symbol nobody can price counts at its average entry, a working order in such a symbol
    at the mid it was decided on.
    """
    tally = _Tally(portfolio=portfolio, instruments=instruments, cluster_of=cluster_of)
    tally.hold(mark_of)
    for order in working:
        remaining_shares = order.remaining_shares
        if remaining_shares:
            mark_usd = mark_of(order.intent.symbol)
            tally.add(commitment(order.intent, remaining_shares, mark_usd))
    return tally.exposure()


@dataclass(slots=True, kw_only=True)
class Totals:
    """Sums of symbols' worst sizes in USD while they are being added up, as Exposure has them."""

    gross_usd: float = 0.0
    etf_usd: float = 0.0
    by_sector_usd: dict[Sector, float] = field(default_factory=dict)
    by_cluster_usd: dict[str, float] = field(default_factory=dict)

    def group(
        self,
        grown: Iterable[tuple[Symbol, float]],
        instruments: Mapping[Symbol, Instrument],
        cluster_of: Mapping[Symbol, str],
    ) -> None:
        """Add what symbols have grown by to the groups they belong to."""
        sectors, clusters = self.by_sector_usd, self.by_cluster_usd
        instrument_of, etf = instruments.get, Kind.ETF
        for symbol, by_usd in grown:
            self.gross_usd += by_usd
            instrument = instrument_of(symbol)
            if instrument is None:
                look_through = UNKNOWN_LOOK_THROUGH
            else:
                look_through = instrument.look_through
                if instrument.kind is etf:
                    self.etf_usd += by_usd
            for sector, share in look_through.items():
                sectors[sector] = sectors.get(sector, 0.0) + by_usd * share
            cluster = cluster_of.get(symbol)
            if cluster is not None:
                clusters[cluster] = clusters.get(cluster, 0.0) + by_usd


class HeldSums(Protocol):
    """A quicker way to sums of what is held than adding them up, right to within rounding; None
    where it has none. What it returns is the caller's to go on adding to."""

    def gross_usd(self) -> float | None:
        """Return the sum of all."""
        ...

    def totals(self) -> Totals | None:
        """Return all sums but those of clusters."""
        ...

    def by_cluster_usd(self) -> dict[str, float] | None:
        """Return the sum of each cluster."""
        ...


def held_values_usd(
    portfolio: Portfolio, mark_of: Callable[[Symbol], float | None]
) -> dict[Symbol, float]:
    """Return each held symbol's signed value; what nobody can price counts at its entry."""
    values = {}
    # One pass of plain arithmetic: this runs over the whole book before a slot's first order.
    for symbol, position in portfolio.positions.items():
        mark_usd = mark_of(symbol)
        if mark_usd is None:
            mark_usd = float(position.average_entry_usd)
        values[symbol] = float(position.quantity_shares) * mark_usd
    return values


@dataclass(slots=True, kw_only=True)
class _Tally:
    """An Exposure while it is being added up."""

    portfolio: Portfolio
    instruments: Mapping[Symbol, Instrument]
    cluster_of: Mapping[Symbol, str]
    ordered: dict[Symbol, Reach] = field(default_factory=dict)
    values: dict[Symbol, float] = field(default_factory=dict)
    totals: Totals = field(default_factory=Totals)
    net_usd: float = 0.0
    reserved_usd: float = 0.0
    turnover_usd: float = 0.0

    def hold(self, mark_of: Callable[[Symbol], float | None]) -> None:
        signed = held_values_usd(self.portfolio, mark_of)
        self.net_usd = sum(signed.values())
        self.values = {symbol: abs(value_usd) for symbol, value_usd in signed.items()}
        self._group(self.values.items())

    def add(self, added: Commitment) -> None:
        shares = float(added.shares)
        before = self.ordered.get(added.symbol) or held_reach(self.portfolio, added.symbol)
        self.reserved_usd += cash_needed_usd(before, added.side, shares, added.worst_usd)
        if added.is_turnover:
            self.turnover_usd += shares * added.mark_usd
        after = self.ordered[added.symbol] = before.plus(added.side, added.shares)
        by_usd = float(after.worst - before.worst) * added.mark_usd
        self.values[added.symbol] = self.values.get(added.symbol, 0.0) + by_usd
        self._group(((added.symbol, by_usd),))

    def _group(self, grown: Iterable[tuple[Symbol, float]]) -> None:
        self.totals.group(grown, self.instruments, self.cluster_of)

    def exposure(self) -> Exposure:
        return Exposure(
            portfolio=self.portfolio,
            instruments=self.instruments,
            cluster_of=self.cluster_of,
            ordered=self.ordered,
            value_usd=self.values,
            by_sector_usd=self.totals.by_sector_usd,
            by_cluster_usd=self.totals.by_cluster_usd,
            gross_usd=self.totals.gross_usd,
            net_usd=self.net_usd,
            etf_usd=self.totals.etf_usd,
            reserved_usd=self.reserved_usd,
            turnover_usd=self.turnover_usd,
        )
