"""Everything a rule may look at, as one value of one instant."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from decimal import Decimal

from domain.calendar import Session
from domain.instruments import AssetRights as AssetRights
from domain.instruments import Instrument, Symbol
from domain.market import Quote
from domain.money import WHOLE_SHARE, ZERO
from domain.orders import Order, OrderIntent, Side
from domain.portfolio import Portfolio
from domain.snapshot import TradingStatus
from domain.values import Value, field, remember, replace
from risk.exposure import (
    Exposure,
    HeldSums,
    Reach,
    Totals,
    closing_shares,
    commitment,
    exposure_of,
    held_values_usd,
)
from risk.losses import LossBases


class RiskView(Value, frozen=True, kw_only=True, eq=False):
    """The account, the market and the day, as rules see them.

    The engine builds one for each slot; exposures are derived at the first question and kept.
    `session` is the one open at `as_of`, else None. `last_good_usd` is the last mid of a symbol
    that passed `risk.prices`, `reference_close_usd` its previous close. `working` holds every
    unfinished order of ours. `equity_usd` is what limits are shares of; losses are measured on
    `account_equity_usd`, which is the same unless sizing is capped. `settled_cash_usd` holds no
    proceeds of unfilled or unsettled sales; `buying_power_usd` is the venue's own figure.
    `average_volume_shares` is the mean of 20 days. A symbol without a cluster is a cluster of its
    own. `turnover_today_usd` is what filled today, protective exits left out; `order_times` are
    the instants of recent entries. A symbol stays in `cooldown_until` until `lift_cooldowns`
    takes it out. What is None or missing makes the rules that need it deny entries.
    """

    as_of: datetime
    trading: TradingStatus
    session: Session | None
    instruments: Mapping[Symbol, Instrument]
    assets: Mapping[Symbol, AssetRights]
    quotes: Mapping[Symbol, Quote]
    portfolio: Portfolio
    equity_usd: Decimal | None
    loss_bases: LossBases | None
    settled_cash_usd: Decimal | None
    buying_power_usd: Decimal | None
    account_equity_usd: Decimal | None = None
    """None stands for `equity_usd`."""
    quarantined: Mapping[Symbol, str] = field(default_factory=dict)
    last_good_usd: Mapping[Symbol, float] = field(default_factory=dict)
    reference_close_usd: Mapping[Symbol, float] = field(default_factory=dict)
    working: Sequence[Order] = ()
    average_volume_shares: Mapping[Symbol, float] = field(default_factory=dict)
    cluster_of: Mapping[Symbol, str] = field(default_factory=dict)
    turnover_today_usd: Decimal = ZERO
    order_times: Sequence[datetime] = ()
    orders_today: int = 0
    cooldown_until: Mapping[Symbol, datetime] = field(default_factory=dict)
    approved: tuple[OrderIntent, ...] = ()
    """Orders approved in this very judgement; they count as working."""
    approved_cash_usd: float = 0.0
    """Settled cash those may take, which the venue's figure cannot know yet."""
    held_sums: HeldSums | None = None
    _exposure: Exposure | None = None

    @property
    def exposure(self) -> Exposure:
        """What is held and may come to be held."""
        if self._exposure is None:
            derived = exposure_of(
                self.portfolio,
                self.working,
                mark_of=self.mark_usd,
                instruments=self.instruments,
                cluster_of=self.cluster_of,
            )
            for intent in self.approved:
                mark_usd = self.mark_usd(intent.symbol)
                derived = derived.plus(commitment(intent, intent.quantity_shares, mark_usd))
            # Only a memory of what the other fields say: nobody can see it change.
            remember(self, "_exposure", derived)
            return derived
        return self._exposure

    @property
    def loss_equity_usd(self) -> Decimal | None:
        """What losses are measured on."""
        return self.equity_usd if self.account_equity_usd is None else self.account_equity_usd

    def mark_usd(self, symbol: Symbol) -> float | None:
        """Return what a share counts as: last good mid, else the quote's mid, else the previous
        close, else None."""
        mark_usd = self.last_good_usd.get(symbol)
        if mark_usd is None:
            quote = self.quotes.get(symbol)
            mark_usd = quote.mid_usd if quote else self.reference_close_usd.get(symbol)
        # NaN and nonsense fail the comparison and count as no price.
        return mark_usd if mark_usd is not None and mark_usd > 0 else None

    def reach(self, symbol: Symbol) -> Reach:
        """Return where the symbol's position may get to with what works already."""
        return self.exposure.reach(symbol)

    def lot_shares(self, symbol: Symbol) -> Decimal:
        """Return the symbol's smallest step; a whole share for one we do not know."""
        instrument = self.instruments.get(symbol)
        return instrument.lot_shares if instrument else WHOLE_SHARE

    def closing_shares(self, intent: OrderIntent) -> Decimal:
        """Return how many of the intent's shares only close, whatever works fills or not."""
        return closing_shares(intent, intent.quantity_shares, self.reach(intent.symbol))

    def held_gross_usd(self) -> float:
        """Return the sum of what is held, without what works."""
        gross_usd = self.held_sums.gross_usd() if self.held_sums is not None else None
        return self.held_totals().gross_usd if gross_usd is None else gross_usd

    def held_totals(self) -> Totals:
        """Return the sums of what is held, but those of clusters, without what works."""
        totals = self.held_sums.totals() if self.held_sums is not None else None
        if totals is None:
            totals = Totals()
            totals.group(self._held_values(), self.instruments, {})
        return totals

    def held_by_cluster_usd(self) -> dict[str, float]:
        """Return the sum of what is held in each cluster, without what works."""
        sums = self.held_sums.by_cluster_usd() if self.held_sums is not None else None
        if sums is None:
            totals = Totals()
            totals.group(self._held_values(), {}, self.cluster_of)
            sums = totals.by_cluster_usd
        return sums

    def _held_values(self) -> list[tuple[Symbol, float]]:
        held = held_values_usd(self.portfolio, self.mark_usd)
        return [(symbol, abs(value_usd)) for symbol, value_usd in held.items()]

    def has_opposite_working(self, symbol: Symbol, side: Side) -> bool:
        """Return whether an order on the other side may still fill."""
        reach = self.reach(symbol)
        return (reach.selling if side is Side.BUY else reach.buying) > 0

    def counting(self, intent: OrderIntent, *, is_entry: bool) -> "RiskView":
        """Return the view with an approved intent counted as working and, when an entry, as one of
        the orders of the minute and of the day."""
        before = self.exposure
        mark_usd = self.mark_usd(intent.symbol)
        after = before.plus(commitment(intent, intent.quantity_shares, mark_usd))
        return replace(
            self,
            approved=(*self.approved, intent),
            approved_cash_usd=self.approved_cash_usd + after.reserved_usd - before.reserved_usd,
            order_times=(*self.order_times, self.as_of) if is_entry else self.order_times,
            orders_today=self.orders_today + is_entry,
            _exposure=after,
        )
