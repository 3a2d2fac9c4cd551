"""Every behaviour the sources leave open, by name, with the default the specification gives."""

from dataclasses import dataclass
from decimal import Decimal


@dataclass(frozen=True, slots=True, kw_only=True)
class FillModel:
    """How working orders meet the tape.

    `volume_share_max` of a tick's shares may fill against us (at least one share of a tick that
    traded). Orders that take the touch pay `slippage_bps`, and `impact_bps` times the square root
    of their share of the tick's volume (the square-root law of market impact).
    """

    volume_share_max: float = 0.10
    slippage_bps: float = 0.0
    impact_bps: float = 2.0
    partial_share: float = 0.0
    """Share of fills that are cut to a part of them by chance; the rest waits for the next tick."""

    def __post_init__(self) -> None:
        if not 0 < self.volume_share_max <= 1e9:
            raise ValueError("volume_share_max must lie above 0")
        if self.slippage_bps < 0 or self.impact_bps < 0:
            raise ValueError("slippage and impact cannot help the order")
        if not 0 <= self.partial_share <= 1:
            raise ValueError("partial_share must lie between 0 and 1")


LIKE_PAPER = FillModel(volume_share_max=1e9, slippage_bps=0.0, impact_bps=0.0, partial_share=0.10)
"""Fills at the touch whatever the size, a tenth of them in part, as the paper service does."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Knobs:
    """The venue's rules where sources are silent or life is stricter than paper."""

    fills: FillModel = FillModel()
    emits_pending_new: bool = True
    wash_trade_check: bool = True
    multiplier_max: int = 4
    margin_equity_min_usd: Decimal = Decimal(2000)
    shorting_enabled: bool = True
    market_collar: Decimal = Decimal("0.03")
    """What a market buy reserves above the ask, and a short above the bid's other side."""
    buy_stop_collar_low: Decimal = Decimal("0.04")
    """An elected buy stop below $50 becomes a limit this far above its stop…"""
    buy_stop_collar_high: Decimal = Decimal("0.025")
    """…and from $50 up, this far."""
    maintenance_rate: Decimal = Decimal("0.30")
    initial_rate: Decimal = Decimal("0.50")
    gtc_days: int = 90
    pays_dividends: bool = True
    """Off with `--like-paper`: the paper service pays none."""
    pays_on_ex_date: bool = False
    """Dividends on the ex-date instead of the payment date."""
    cash_in_lieu: bool = False
    """Fractions that a split leaves are paid out, of fractionable assets too."""
    adjusts_orders_for_splits: bool = True
    """Open orders follow a forward split; otherwise it ends them, as a reverse one always does."""
    reduces_orders_for_dividends: bool = True
    """Buy limits and sell stops that are open over an ex-date are lowered by the dividend."""
    opg_cutoff_minutes: int = 2
    """Orders for the opening auction are taken until so many minutes before it…"""
    cls_cutoff_minutes: int = 10
    """…and for the closing one until so many before the close; then not until 19:00."""
    extended_hours: bool = True
    """Limit orders that ask for it fill before the open and after the close, on thin tapes."""
    extended_data: bool = True
    """Bars, quotes and trades, over REST and on the data stream, know those hours too."""
    hard_to_borrow: tuple[str, ...] = ()
    """Symbols that are not easy to borrow: they cannot be sold short…"""
    shorts_hard_to_borrow: bool = False
    """…unless this is set, at `hard_to_borrow_rate`."""
    borrow_rate: Decimal = Decimal(0)
    """Yearly fee on the value of shorts; charged for each night."""
    hard_to_borrow_rate: Decimal = Decimal("0.30")
    margin_interest_rate: Decimal = Decimal(0)
    """Yearly interest on negative cash; charged for each night."""
    pdt_protection: bool = False
    """The retired pattern-day-trader rule, and its fields on the account."""
    luld_pauses: bool = False
    """Prices that would cross the limit-up-limit-down bands pause a symbol for five minutes."""
    iex_bar_share: float = 1.0
    """Share of a symbol's minutes that have a bar on the feed `iex`, which sees few of the trades:
    over REST, in the latest and on the stream."""
    late_bar_share: float = 0.0
    """Share of minute bars whose last trades are told late: the stream's bar comes without them,
    its `updatedBars` half a minute later with them."""
    corrected_trade_share: float = 0.0
    """Share of trades the stream tells at a wrong price, and corrects at the next tick…"""
    cancelled_trade_share: float = 0.0
    """…and share of those after which it tells one that never was, and cancels it."""
    accepts_orders_when_halted: bool = True
    """Orders in a halted symbol rest until it trades again; otherwise they are refused."""
    replace_chain_s: float = 3.0
    """How long after a replacement the new order cannot be replaced itself."""
    tells_refused_changes: bool = False
    """The stream, too, says that a cancel or replacement of a known order was refused."""
    cancel_delay_s: float = 0.0
    """Market seconds a cancel takes; the order is `pending_cancel` meanwhile and may fill."""
    judges_waiting_orders: bool = False
    """Orders that waited over a night are judged once more before they work, and `rejected` where
    money, shares, borrow or permission are no longer there."""
    done_for_day_at_close: bool = False
    """Orders that outlast a session are `done_for_day` at its end, and `new` the next morning."""
    replace_delay_s: float = 0.0
    """Market seconds a replacement takes; the order is `pending_replace` meanwhile and may fill."""
    release_lag_s: float = 0.0
    """Market seconds after its end for which the shares that a closing order held are not free."""
    bookkeeping_lag_s: float = 0.0
    """Market seconds after a fill in which an oco finds no position yet to leave."""
    adds_brackets_to_positions: bool = False
    """A bracket may enlarge a position; otherwise it is refused where there is one."""
    recancel_accepted: bool = False
    quiet_leg_cancel: bool = True
    taken_leg_is_replaced: bool = False
    """A triggered stop leaves its profit-taker `replaced` instead of `canceled`."""
    opened_today_counts: bool = True
    """Buying power at four times is less what was opened today."""
    order_list_clamps: bool = True
    """A listing's `limit` above 500 means 500; otherwise it is refused."""
    price_errors_are_rules: bool = False
    """Missing and forbidden prices are 42210000 instead of 40010001."""
    minimum_notional_is_403: bool = False
    """Less than one dollar is 403 40310000 instead of 422 40010001."""
    not_shortable_is_422: bool = False
    """An asset that cannot be sold short is 422 42210000 instead of 403 40310000."""
    wash_trade_is_422: bool = False
    """A wash trade is 422 42210000, as it was in 2024, instead of 403 40310000."""
    malformed_body_is_422: bool = False
    """A body that is not the JSON expected is 422 instead of 400."""


DEFAULT_KNOBS = Knobs()


@dataclass(frozen=True, slots=True, kw_only=True)
class WireLimits:
    """Limits of the shell: budgets per minute of market time, connections and queues."""

    trading_per_minute: int = 200
    data_per_minute: int = 200
    sip_realtime: bool = False
    """Whether the data plan permits the last fifteen minutes of SIP data."""
    trading_sockets_max: int = 1
    data_sockets_max: int = 1
    data_symbols_max: int = 0
    """Subscriptions to trades and quotes on one data socket; 0 = no limit (30 on the free plan)."""
    auth_timeout_s: float = 10.0
    stream_queue_max: int = 50_000
    gzip_bytes_min: int = 1_400
    """Replies from this size on are compressed for clients that accept gzip; 0 = never."""
    html_unauthorized: bool = True
    """Wrong keys get the data API's HTML page there, as recorded, instead of JSON."""
    unauthorized_has_code: bool = False
    """The trading API's 401 has a code and the older words."""
    sip_refusal_has_code: bool = False
    """The refusal of recent SIP data has code 42210000, as it once had."""
    data_errors_close: bool = True
    """The data stream's 402, 404, 406 and 407 end the connection."""
    trading_429_headers: bool = True
    """Whether the trading API's 429 carries the budget's headers; the data API's never does."""
