"""Quick, cautious tests that spare most orders most rules; what they doubt, the rules decide.

A rule says exactly what passes, in words a person can read, and that is dear. Nearly every order
lies far inside nearly every limit, and to see that, a few floats are enough: a Sketch holds them.
A rule that `spares` an order surely has nothing against it; the other way round it may err.
"""

from decimal import Decimal

from domain.instruments import Instrument, Symbol
from domain.market import Quote
from domain.orders import AtLimit, AtMarket, OrderIntent, Side
from risk.exposure import (
    NOTHING,
    PROTECTIVE_LEGS,
    SHORT_SALE_MARGIN,
    UNLIMITED_MARGIN,
    Reach,
    Totals,
    closing_shares,
    held_reach,
    worst_price_usd,
)
from risk.view import RiskView

_BUY = Side.BUY
CAUTION = 1.0 - 1e-9
"""Caps are taken a billionth lower: a sum of floats depends on the order of its parts."""


class Sketch:
    """One order after another in plain floats, beside what those before it may come to.

    `turn_to` looks at an order, `count` adds it once it is approved. No sum is less than the same
    of `Exposure`: what only closes adds nothing, all else its whole value. `is_known` says whether
    the order's symbol has a quote, and for orders that do more than close a mark and an instrument;
    else its own figures are stale. What only closes is held to no limit in shares or money: those
    figures, with the sum of all, `gross_usd`, are there for orders that do more. Figures of
    the view that are not known are NaN, which is within no limit.
    """

    __slots__ = (
        "_by_cluster_usd",
        "_grown",
        "_is_summed",
        "_ordered",
        "_portfolio",
        "_totals",
        "buying_power_usd",
        "cash_usd",
        "closing",
        "entries",
        "equity_usd",
        "good_usd",
        "gross_usd",
        "instrument",
        "intent",
        "is_buy",
        "is_known",
        "limit_usd",
        "mark_usd",
        "new_cash_usd",
        "quote",
        "reach",
        "reserved_usd",
        "shares",
        "symbol",
        "turnover_today_usd",
        "turnover_usd",
        "value_usd",
        "view",
        "worst_value_usd",
    )

    intent: OrderIntent
    symbol: Symbol
    instrument: Instrument
    quote: Quote
    reach: Reach
    closing: Decimal
    is_buy: bool
    limit_usd: float | None
    mark_usd: float
    good_usd: float | None
    shares: float
    value_usd: float
    worst_value_usd: float

    def __init__(self, view: RiskView) -> None:
        self.view = view
        self._portfolio = view.portfolio
        self._ordered: dict[Symbol, Reach] = {}
        self._is_summed = False
        self._totals: Totals | None = None
        self._by_cluster_usd: dict[str, float] | None = None
        self._grown: list[tuple[Symbol, float]] = []
        self.is_known = False
        self.entries, self.reserved_usd, self.turnover_usd, self.new_cash_usd = 0, 0.0, 0.0, 0.0
        for order in view.working:
            remaining_shares = order.remaining_shares
            if remaining_shares:
                self._count(order.intent, remaining_shares)
        for intent in view.approved:
            self._count(intent, intent.quantity_shares)
        # The view has these already: what is counted from here on comes on top.
        self.entries, self.new_cash_usd = 0, 0.0

    def turn_to(self, intent: OrderIntent) -> None:
        """Look at an order."""
        view, symbol = self.view, intent.symbol
        self.intent, self.symbol = intent, symbol
        self.is_buy = intent.side is _BUY
        reach = self.reach = self._reach(symbol)
        self.closing = closing_shares(intent, intent.quantity_shares, reach)
        self.is_known = False
        try:
            quote = view.quotes[symbol]
        except KeyError:
            return
        terms = intent.terms
        if isinstance(terms, AtLimit):
            self.limit_usd = float(terms.limit_usd)
        elif isinstance(terms, AtMarket):
            self.limit_usd = None
        else:
            return
        self.quote = quote
        self.is_known = self.closing >= intent.quantity_shares or self._is_valued(intent)

    def _is_valued(self, intent: OrderIntent) -> bool:
        """Put in floats what an order that does more than close comes to, if it can be said."""
        view, limit_usd = self.view, self.limit_usd
        good_usd, instrument = (
            view.last_good_usd.get(intent.symbol),
            view.instruments.get(intent.symbol),
        )
        mark_usd = good_usd if good_usd and good_usd > 0.0 else view.mark_usd(intent.symbol)
        if mark_usd is None or instrument is None:
            return False
        self.good_usd = good_usd
        worst_usd = mark_usd if limit_usd is None else limit_usd
        if self.is_buy:
            if limit_usd is None:
                worst_usd = mark_usd * UNLIMITED_MARGIN
        elif worst_usd < mark_usd:
            worst_usd = mark_usd
        self.mark_usd, self.instrument = mark_usd, instrument
        shares = self.shares = float(intent.quantity_shares)
        self.value_usd, self.worst_value_usd = shares * mark_usd, shares * worst_usd
        if not self._is_summed:
            self._sum_up()
        return True

    def _sum_up(self) -> None:
        """Put in floats what the view says: what only closes has no need of it."""
        view = self.view
        self.equity_usd = _known(view.equity_usd)
        self.cash_usd = _known(view.settled_cash_usd)
        self.buying_power_usd = _known(view.buying_power_usd) - view.approved_cash_usd
        self.turnover_today_usd = float(view.turnover_today_usd)
        self.gross_usd = view.held_gross_usd() + sum([by_usd for _, by_usd in self._grown])
        self._is_summed = True

    @property
    def totals(self) -> Totals:
        """The sums by sector and of ETFs; dearer to find than `gross_usd`, which no part of them
        surpasses."""
        if self._totals is None:
            self._totals = self.view.held_totals()
            self._totals.group(self._grown, self.view.instruments, {})
        return self._totals

    def count(self, intent: OrderIntent) -> None:
        """Add an order of the symbol last turned to: from here on it works."""
        shares = intent.quantity_shares
        if intent is self.intent and self.is_known and self.closing < shares:
            self._add(intent, shares, self.value_usd, self.worst_value_usd)
        else:
            self._count(intent, shares)

    def cluster_usd(self, cluster: str) -> float:
        """Return the same for a cluster. Clusters are dear to find: ask for none without need."""
        if self._by_cluster_usd is None:
            self._by_cluster_usd = self.view.held_by_cluster_usd()
            for symbol, by_usd in self._grown:
                self._add_to_cluster(symbol, by_usd)
        return self._by_cluster_usd.get(cluster, 0.0)

    @property
    def worst_shares(self) -> float:
        """How far the position may get in the order's direction, without sign."""
        reach = self.reach
        if reach is NOTHING:
            return self.shares
        return self.shares + float(reach.highest if self.is_buy else -reach.lowest)

    @property
    def opposite_shares(self) -> Decimal:
        """What works on the other side of the order."""
        return self.reach.selling if self.is_buy else self.reach.buying

    def _reach(self, symbol: Symbol) -> Reach:
        return self._ordered.get(symbol) or held_reach(self._portfolio, symbol)

    def _count(self, intent: OrderIntent, shares: Decimal) -> None:
        mark_usd = self.view.mark_usd(intent.symbol)
        if mark_usd is None:
            mark_usd = float(intent.reference_usd)
        self.reach = self._reach(intent.symbol)
        self.closing = closing_shares(intent, shares, self.reach)
        worst_usd = worst_price_usd(intent, mark_usd)
        self._add(intent, shares, float(shares) * mark_usd, float(shares) * worst_usd)

    def _add(
        self, intent: OrderIntent, shares: Decimal, value_usd: float, worst_value_usd: float
    ) -> None:
        symbol, is_buy = intent.symbol, intent.side is _BUY
        is_entry = self.closing < shares
        if is_entry:
            self.entries += 1
            self._grown.append((symbol, value_usd))
            if self._is_summed:
                self.gross_usd += value_usd
            if self._totals is not None:
                self._totals.group(self._grown[-1:], self.view.instruments, {})
            if self._by_cluster_usd is not None:
                self._add_to_cluster(symbol, value_usd)
        if is_entry or is_buy:
            cash_usd = worst_value_usd if is_buy else worst_value_usd * SHORT_SALE_MARGIN
            self.reserved_usd += cash_usd
            self.new_cash_usd += cash_usd
        if intent.leg not in PROTECTIVE_LEGS:
            self.turnover_usd += value_usd
        self._ordered[symbol] = self.reach.plus(intent.side, shares)

    def _add_to_cluster(self, symbol: Symbol, by_usd: float) -> None:
        cluster, sums = self.view.cluster_of.get(symbol), self._by_cluster_usd
        if cluster is not None and sums is not None:
            sums[cluster] = sums.get(cluster, 0.0) + by_usd


def _known(amount_usd: Decimal | None) -> float:
    return _UNKNOWN if amount_usd is None else float(amount_usd)


_UNKNOWN = float("nan")
