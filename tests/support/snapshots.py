"""Hypothesis strategies for a Snapshot with every field filled."""

from datetime import UTC, date, datetime
from typing import Any

from hypothesis import strategies as st

from domain.calendar import Timeframe
from domain.corporate import ActionDone, ActionKind
from domain.instruments import Symbol
from domain.orders import (
    AtLimit,
    AtMarket,
    AtStop,
    AtStopLimit,
    Denial,
    Fill,
    Leg,
    Order,
    OrderIntent,
    OrderStatus,
    Severity,
    Side,
    TimeInForce,
)
from domain.portfolio import Book, Portfolio, Position
from domain.snapshot import (
    Benching,
    DayStart,
    Decision,
    Outcome,
    SavedOpinion,
    Snapshot,
    SymbolOutcome,
    TradingState,
    TradingStatus,
)

texts = st.text(max_size=12)
names = st.text(alphabet="abcdefgh_", min_size=1, max_size=6)
symbols = st.sampled_from(["AAPL", "MSFT", "BRK.B"]).map(Symbol)
instants = st.datetimes(datetime(2000, 1, 1), datetime(2100, 1, 1), timezones=st.just(UTC))
days = st.dates(date(2000, 1, 1), date(2100, 1, 1))
amounts = st.decimals(-1_000_000, 1_000_000, places=6)
positive = st.decimals("0.000001", 1_000_000, places=6)
floats = st.floats(allow_nan=False)
counts = st.integers(0, 2**62)


def some(keys: st.SearchStrategy[Any], values: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    """Return dictionaries of at most three."""
    return st.dictionaries(keys, values, max_size=3)


def a_few(values: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    """Return tuples of at most three."""
    return st.lists(values, max_size=3).map(tuple)


terms = st.one_of(
    st.just(AtMarket()),
    st.builds(AtLimit, positive),
    st.builds(AtStop, positive),
    st.builds(AtStopLimit, positive, positive),
)


@st.composite
def intents(draw: st.DrawFn) -> OrderIntent:
    """Draw an intent whose deltas sum to it."""
    side, quantity, part = draw(st.sampled_from(Side)), draw(positive), draw(amounts)
    signed = side.sign * quantity
    return OrderIntent(
        client_order_id=draw(st.text(alphabet="abc123-", max_size=48)),
        symbol=draw(symbols),
        side=side,
        quantity_shares=quantity,
        terms=draw(terms),
        time_in_force=draw(st.sampled_from(TimeInForce)),
        leg=draw(st.sampled_from(Leg)),
        slot_at=draw(instants),
        intended_at=draw(instants),
        deltas={"a": part, "b": signed - part},
        reference_usd=draw(positive),
        reason=draw(texts),
    )


maybe_instants = st.none() | instants
orders = st.builds(
    Order,
    intent=intents(),
    status=st.sampled_from(OrderStatus),
    venue_order_id=texts,
    filled_shares=positive,
    filled_value_usd=positive,
    reported_shares=positive,
    repricings=counts,
    submitted_at=maybe_instants,
    cancel_requested_at=maybe_instants,
    finished_at=maybe_instants,
    reason=texts,
)
fills = st.builds(
    Fill,
    fill_id=texts,
    client_order_id=texts,
    venue_order_id=texts,
    symbol=symbols,
    side=st.sampled_from(Side),
    quantity_shares=positive,
    price_usd=positive,
    fee_usd=positive,
    filled_at=instants,
)
held = some(symbols, st.builds(Position, quantity_shares=positive, average_entry_usd=positive))
portfolios = st.builds(
    Portfolio,
    cash_usd=amounts,
    positions=held,
    books=some(
        names,
        st.builds(Book, cash_usd=amounts, fees_usd=amounts, realized_usd=amounts, positions=held),
    ),
    realized_usd=amounts,
    fees_usd=amounts,
    flows_usd=amounts,
)
actions = st.builds(
    ActionDone,
    action_id=texts,
    symbol=symbols,
    kind=st.sampled_from(ActionKind),
    ex_day=days,
    pay_day=days,
    amount_usd=amounts,
    is_paid=st.booleans(),
)
severities = st.sampled_from(Severity)
statuses = st.builds(
    TradingStatus,
    state=st.sampled_from(TradingState),
    since_at=instants,
    cause=texts,
    evidence=texts,
    severity=severities,
    action=texts,
    resumes=texts,
    epoch=counts,
)
denials = st.builds(
    Denial,
    rule=texts,
    setting=texts,
    limit=texts,
    value=texts,
    headroom=texts,
    allowed_shares=positive,
    severity=severities,
    action=texts,
)
outcomes = st.builds(
    SymbolOutcome,
    symbol=symbols,
    outcome=st.sampled_from(Outcome),
    target_weight=floats,
    held_shares=amounts,
    wanted_shares=amounts,
    client_order_id=texts,
    reasons=a_few(texts),
    denials=a_few(denials),
    strengths=some(names, floats),
    evidence=some(names, floats),
)
timeframes = st.sampled_from(Timeframe)
decisions = st.builds(
    Decision,
    slot_at=instants,
    decided_at=instants,
    timeframes=a_few(timeframes),
    equity_usd=amounts,
    outcomes=some(symbols, outcomes),
)
opinions = st.builds(
    SavedOpinion,
    slot_at=instants,
    timeframe=timeframes,
    strengths=some(symbols, floats),
    evidence=some(names, some(symbols, floats)),
)
benchings = st.builds(Benching, since_at=instants, fault=texts, detail=texts)
day_starts = st.builds(DayStart, day=days, equity_usd=amounts, flows_usd=amounts)

snapshots = st.builds(
    Snapshot,
    venue=names,
    account_id=names,
    saved_at=instants,
    journal_seq=counts,
    portfolio=portfolios,
    trading=statuses,
    orders=a_few(orders),
    fills=a_few(fills),
    opinions=some(names, opinions),
    benched=some(names, benchings),
    quarantined=some(symbols, texts),
    cooldowns=some(symbols, instants),
    entered_at=some(symbols, instants),
    decided_slots=some(timeframes, instants),
    due_at_open=a_few(instants),
    last_decision=st.none() | decisions,
    marks=some(symbols, positive),
    day_start=st.none() | day_starts,
    equity_peak_usd=st.none() | amounts,
    daily_loss_days=a_few(days),
    actions=a_few(actions),
    counters=some(names, counts),
)
