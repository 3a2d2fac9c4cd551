"""What Prometheus sees: one object per daemon, methods named by what happened.

Instants are exported in real epoch seconds (never market time), so that PromQL can take ages.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final

from prometheus_client import CollectorRegistry, Info, ProcessCollector, generate_latest
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4

from daemon.metric_series import PREFIX, SeriesMaker
from daemon.metric_vitals import VitalSeries
from domain.instruments import Sector
from domain.orders import Fill, OrderStatus, Side
from domain.signals import OpinionFault, StrategyName
from domain.snapshot import Decision, Outcome, TradingState

CONTENT_TYPE: Final = CONTENT_TYPE_PLAIN_0_0_4
FAST_S: Final = (0.0001, 0.0002, 0.0005, 0.001, 0.002, 0.005, 0.01, 0.025, 0.05, 0.1, 0.5)
NETWORK_S: Final = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
GIVEN: Final = "given"


class Api(StrEnum):
    """The venue's interfaces that have a request budget."""

    TRADING = "trading"
    DATA = "data"


class RequestOutcome(StrEnum):
    """How a request ended."""

    OK = "ok"
    REFUSED = "refused"
    THROTTLED = "throttled"
    FAILED = "failed"
    TIMED_OUT = "timed_out"


class CacheOutcome(StrEnum):
    """Where a price came from: the cache, the venue, or a request already on its way."""

    HIT = "hit"
    MISS = "miss"
    JOINED = "joined"


class Stream(StrEnum):
    """The venue's websockets."""

    TRADING = "trading"
    DATA = "data"


class NotificationOutcome(StrEnum):
    """What became of a message for a person."""

    SENT = "sent"
    FAILED = "failed"
    DROPPED = "dropped"
    REPEATED = "repeated"


@dataclass(frozen=True, slots=True, kw_only=True)
class Valuation:
    """The account at one instant. Shares are of equity; `drawdown` is from the highest equity and
    positive when below it."""

    equity_usd: float
    cash_usd: float
    daily_pnl_usd: float
    drawdown: float
    gross: float
    net: float
    positions: int
    working_orders: int
    unprotected_usd: float
    exposure_usd: Mapping[Sector, float] = field(default_factory=dict)


class Metrics:
    """Every series of one daemon in a registry of its own; calls are cheap and never wait."""

    def __init__(self, *, version: str, venue: str) -> None:
        self._registry = CollectorRegistry()
        ProcessCollector(namespace=PREFIX, registry=self._registry)
        build = Info(f"{PREFIX}_build", "What is running.", registry=self._registry)
        build.info({"version": version, "venue": venue})
        make = SeriesMaker(self._registry)
        self._make_progress_series(make)
        self._make_fetch_series(make)
        self._make_decision_series(make)
        self._make_order_series(make)
        self._make_account_series(make)
        self._make_trust_series(make)
        self.vitals = VitalSeries(make)

    # --- reading -----------------------------------------------------------------------------

    def render(self) -> bytes:
        """Return the exposition (`CONTENT_TYPE`)."""
        return generate_latest(self._registry)

    def total(self, name: str, **labels: str) -> float:
        """Return the sum of a series' samples that carry these labels, 0 when there are none."""
        return sum(
            sample.value
            for metric in self._registry.collect()
            for sample in metric.samples
            if sample.name == name and labels.items() <= sample.labels.items()
        )

    def by_label(self, name: str, *labels: str) -> dict[tuple[str, ...], float]:
        """Return a series' sums by the values of some of its labels."""
        sums: dict[tuple[str, ...], float] = {}
        for metric in self._registry.collect():
            for sample in metric.samples:
                if sample.name == name:
                    key = tuple(sample.labels[label] for label in labels)
                    sums[key] = sums.get(key, 0.0) + sample.value
        return sums

    # --- progress ----------------------------------------------------------------------------

    def _make_progress_series(self, make: SeriesMaker) -> None:
        self._progress = make.gauge(
            "last_progress_timestamp_seconds", "When the engine last got through its work."
        )
        self._cycled = make.gauge(
            "last_cycle_timestamp_seconds", "When the last cycle (poll, decision) ended."
        )
        self._cycle_s = make.histogram("cycle_seconds", "One cycle, whole.", NETWORK_S)
        self._lag_s = make.gauge("loop_lag_seconds", "How late the event loop last woke up.")
        self._session_open = make.gauge("session_open", "1 while the regular session is open.")

    def progressed(self, real_s: float) -> None:
        """Note that the engine has handled what was due, at real epoch seconds."""
        self._progress.set(real_s)

    def cycle_finished(self, real_s: float, took_s: float) -> None:
        """Note a finished cycle: a poll, and the decision when one was due."""
        self._cycled.set(real_s)
        self._cycle_s.observe(took_s)

    def loop_lagged(self, lag_s: float) -> None:
        """Note how late the loop's own timer fired."""
        self._lag_s.set(lag_s)

    def session_opened(self) -> None:
        """Note that the regular session is open."""
        self._session_open.set(1.0)

    def session_closed(self) -> None:
        """Note that the regular session is closed."""
        self._session_open.set(0.0)

    # --- prices ------------------------------------------------------------------------------

    def _make_fetch_series(self, make: SeriesMaker) -> None:
        self._fetch_s = make.histogram("fetch_seconds", "A refresh of the universe.", NETWORK_S)
        self._request_s = make.histogram("request_seconds", "A request to the venue.", NETWORK_S)
        self._requests = make.counts(
            "requests_total", "HTTP requests to the venue.", ("api", "lane", "outcome")
        )
        self._cache = make.counts(
            "cache_lookups_total", "Prices asked for.", ("outcome",), tuple(CacheOutcome)
        )
        self._budget_left = make.levels(
            "request_budget_left", "Requests left in the sliding minute.", "api", tuple(Api)
        )
        self._budget_wait_s = make.counts(
            "request_budget_wait_seconds_total", "Time spent waiting.", ("api",), tuple(Api)
        )
        self._universe = make.gauge("universe_symbols", "Symbols traded.")
        self._stale = make.gauge("stale_symbols", "Symbols without a fresh price.")
        self._quoted = make.gauge("last_quotes_timestamp_seconds", "When quotes last came in.")
        self._invalid = make.counts(
            "quotes_invalid_total", "Quotes that could not be true.", ("reason",)
        )

    def universe_chosen(self, symbols: int) -> None:
        """Note how many symbols are traded."""
        self._universe.set(symbols)

    def prices_fetched(self, real_s: float, took_s: float) -> None:
        """Note a refresh of the universe's quotes."""
        self._quoted.set(real_s)
        self._fetch_s.observe(took_s)

    def prices_judged(self, stale: int, invalid: Mapping[str, int]) -> None:
        """Note how many symbols have no fresh price, and what was thrown away, by reason."""
        self._stale.set(stale)
        for reason, count in invalid.items():
            self._invalid.add(reason, amount=count)

    def request_finished(self, api: Api, lane: str, outcome: RequestOutcome, took_s: float) -> None:
        """Note the end of one HTTP request; `lane` is the limiter's priority lane."""
        self._requests.add(api, lane, outcome)
        self._request_s.observe(took_s)

    def cache_answered(self, outcome: CacheOutcome, symbols: int = 1) -> None:
        """Note where the prices of some symbols came from."""
        self._cache.add(outcome, amount=symbols)

    def budget_used(self, api: Api, left: int) -> None:
        """Note how many requests are left in the sliding minute."""
        self._budget_left.put(api, left)

    def budget_waited(self, api: Api, waited_s: float) -> None:
        """Note that a request waited for its turn."""
        self._budget_wait_s.add(api, amount=waited_s)

    # --- decisions ---------------------------------------------------------------------------

    def _make_decision_series(self, make: SeriesMaker) -> None:
        self._opinions = make.counts(
            "opinions_total", "Strategies' answers.", ("strategy", "outcome")
        )
        self._benched = make.gauge("benched_strategies", "Strategies that are not asked.")
        self._decisions = make.counter("decisions_total", "Slots decided.")
        self._missed = make.counter("slots_missed_total", "Slots not decided in time.")
        self._decision_s = make.histogram(
            "decision_seconds", "From all opinions to all orders of a slot.", FAST_S
        )
        self._outcomes = make.counts(
            "symbol_outcomes_total", "What became of symbols.", ("outcome",), tuple(Outcome)
        )
        self._denials = make.counts("denials_total", "Objections of the risk gate.", ("rule",))

    def opinion_given(self, strategy: StrategyName) -> None:
        """Note an accepted opinion."""
        self._opinions.add(strategy, GIVEN)

    def opinion_failed(self, strategy: StrategyName, fault: OpinionFault) -> None:
        """Note an opinion that did not count."""
        self._opinions.add(strategy, fault)

    def strategies_benched(self, count: int) -> None:
        """Note how many strategies are benched now."""
        self._benched.set(count)

    def decided(self, decision: Decision, took_s: float) -> None:
        """Note a decided slot with its outcomes and denials."""
        self._decisions.inc()
        self._decision_s.observe(took_s)
        for outcome, count in decision.counts().items():
            self._outcomes.add(outcome, amount=count)
        for symbol in decision.outcomes.values():
            for denial in symbol.denials:
                self._denials.add(denial.rule)

    def slot_missed(self) -> None:
        """Note a slot that is too old to be decided."""
        self._missed.inc()

    # --- orders ------------------------------------------------------------------------------

    def _make_order_series(self, make: SeriesMaker) -> None:
        self._orders = make.counts(
            "orders_total", "Orders that came to a status.", ("status",), tuple(OrderStatus)
        )
        self._submit_s = make.histogram(
            "order_submit_seconds", "From the first byte to the venue's answer.", NETWORK_S
        )
        self._fill_s = make.histogram(
            "order_fill_seconds", "From the first byte to the last fill.", NETWORK_S
        )
        self._fills = make.counts("fills_total", "Fills booked.", ("side",), tuple(Side))
        self._filled_usd = make.counts(
            "filled_usd_total", "Dollars traded.", ("side",), tuple(Side)
        )
        self._fees_usd = make.counter("fees_usd_total", "Fees paid.")

    def order_reached(self, status: OrderStatus) -> None:
        """Note that an order of ours came to a status."""
        self._orders.add(status)

    def order_answered(self, took_s: float) -> None:
        """Note the venue's answer to a submission."""
        self._submit_s.observe(took_s)

    def order_completed(self, took_s: float) -> None:
        """Note an order's last fill."""
        self._fill_s.observe(took_s)

    def fill_booked(self, fill: Fill) -> None:
        """Note a fill, once."""
        self._fills.add(fill.side)
        self._filled_usd.add(fill.side, amount=float(fill.quantity_shares * fill.price_usd))
        self._fees_usd.inc(float(fill.fee_usd))

    # --- the account -------------------------------------------------------------------------

    def _make_account_series(self, make: SeriesMaker) -> None:
        self._equity = make.gauge("equity_usd", "Cash and positions at the marks.")
        self._cash = make.gauge("cash_usd", "Cash.")
        self._daily_pnl = make.gauge("daily_pnl_usd", "Since the last close, less flows.")
        self._drawdown = make.gauge("drawdown_ratio", "Below the highest equity, of it.")
        self._drawdown_limit = make.gauge("drawdown_limit_ratio", "MAX_DRAWDOWN_PERCENT.")
        self._gross = make.gauge("gross_exposure_ratio", "Longs plus shorts, of equity.")
        self._net = make.gauge("net_exposure_ratio", "Longs less shorts, of equity.")
        self._positions = make.gauge("positions", "Symbols held.")
        self._working = make.gauge("working_orders", "Orders that can still fill.")
        self._unprotected = make.gauge(
            "unprotected_exposure_usd", "Held without a stop that outlives this process."
        )
        self._exposure = make.levels(
            "exposure_usd", "Net of a sector, ETFs looked through.", "sector", tuple(Sector)
        )

    def limits_armed(self, *, drawdown: float) -> None:
        """Note the limits that alerts are relative to, as shares of equity."""
        self._drawdown_limit.set(drawdown)

    def account_valued(self, valuation: Valuation) -> None:
        """Note the account at the latest marks."""
        self._equity.set(valuation.equity_usd)
        self._cash.set(valuation.cash_usd)
        self._daily_pnl.set(valuation.daily_pnl_usd)
        self._drawdown.set(valuation.drawdown)
        self._gross.set(valuation.gross)
        self._net.set(valuation.net)
        self._positions.set(valuation.positions)
        self._working.set(valuation.working_orders)
        self._unprotected.set(valuation.unprotected_usd)
        self._exposure.replace({s.value: usd for s, usd in valuation.exposure_usd.items()})

    # --- what can be trusted -----------------------------------------------------------------

    def _make_trust_series(self, make: SeriesMaker) -> None:
        self._state = make.levels(
            "trading_state", "1 for the state we are in.", "state", tuple(TradingState)
        )
        self._quarantined = make.gauge("quarantined_symbols", "Symbols not to be traded.")
        self._saved = make.gauge("last_snapshot_timestamp_seconds", "When state was last saved.")
        self._save_s = make.histogram("snapshot_seconds", "Saving the state.", NETWORK_S)
        self._connected = make.levels(
            "stream_connected", "1 while the websocket is up.", "stream", tuple(Stream)
        )
        self._lost = make.counts(
            "stream_disconnects_total", "Websockets lost.", ("stream",), tuple(Stream)
        )
        self._bars_streamed = make.counter(
            "stream_bars_total", "Believable bars heard on the data stream."
        )
        self._notifications = make.counts(
            "notifications_total", "Messages to people.", ("outcome",), tuple(NotificationOutcome)
        )

    def trading_state_entered(self, state: TradingState) -> None:
        """Note the trading state we are in now."""
        self._state.replace({state.value: 1.0})

    def symbols_quarantined(self, count: int) -> None:
        """Note how many symbols are quarantined now."""
        self._quarantined.set(count)

    def snapshot_saved(self, real_s: float, took_s: float) -> None:
        """Note a durable save."""
        self._saved.set(real_s)
        self._save_s.observe(took_s)

    def stream_connected(self, stream: Stream) -> None:
        """Note that a websocket is up and authorized."""
        self._connected.put(stream, 1.0)

    def stream_lost(self, stream: Stream) -> None:
        """Note that a websocket went down."""
        self._connected.put(stream, 0.0)
        self._lost.add(stream)

    def bars_streamed(self, count: int) -> None:
        """Note bars heard on the data stream."""
        self._bars_streamed.inc(count)

    def notified(self, outcome: NotificationOutcome) -> None:
        """Note what became of a message to a person."""
        self._notifications.add(outcome)
