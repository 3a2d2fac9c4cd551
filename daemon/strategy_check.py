"""What every strategy must keep to, as checks that need no test framework.

Each check returns "" when the strategy keeps to it, else what it did, in one line.
"""

import dataclasses
import warnings
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from daemon.registry import Raised, attempt
from daemon.strategy_sample import (
    SAMPLE_SYMBOLS,
    ReplayedOrder,
    Series,
    cut,
    frozen,
    make_series,
    market_of,
    replay_session,
)
from domain.instruments import Symbol
from domain.market import Bars, Floats, Market, Quotes, Reads
from domain.ports import Strategy
from domain.signals import Signals

__all__ = ["CHECKS", "CheckResult", "ReplayedOrder", "check_strategy", "replay_session"]

COLUMNS = 6
ROWS_AFTER = 12
"""Instants at which a sample is asked about, beyond the first full look-back."""
OLDER_ROWS = 37
STACKED_INSTANTS = 5
STACKED_WIDTHS = (1, 2, 66)
CHECK_SEED = 20_240_102


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckResult:
    """Whether a strategy keeps to one rule; `detail` says how it does not."""

    name: str
    passed: bool
    detail: str = ""


def check_strategy(strategy: Strategy) -> list[CheckResult]:
    """Return the result of every check.

    When it cannot answer as it must on a plain market, the remaining checks are left out: they
    would all stumble over the same.
    """
    results: list[CheckResult] = []
    for name, check in CHECKS.items():
        results.append(_result(name, check, strategy))
        if name in FIRST_CHECKS and not results[-1].passed:
            break
    return results


def _result(name: str, check: Callable[[Strategy], str], strategy: Strategy) -> CheckResult:
    with warnings.catch_warnings():
        # A warning a slot would fill the log: 0/0 and comparisons must be guarded.
        warnings.simplefilter("error")
        outcome = attempt(lambda: check(strategy))
    detail = f"raised {outcome}" if isinstance(outcome, Raised) else outcome
    return CheckResult(name=name, passed=not detail, detail=detail)


# --- the checks ----------------------------------------------------------------------------------


def check_declared_reads(strategy: Strategy) -> str:
    """It looks at nothing that it did not declare in `reads`."""
    market = _sample_market(strategy)
    signals = strategy.decide(market)
    if not isinstance(signals, Signals) or _difference(signals, strategy.decide(market)):
        return ""  # Another check says so, and what else differs would prove nothing.
    hidden: dict[str, Any] = {}
    if Reads.QUOTES not in strategy.reads:
        one = frozen(np.ones(len(market.symbols)))
        hidden["quotes_or_none"] = Quotes(bid=one, ask=one, age_s=one)
    if Reads.WEIGHTS not in strategy.reads:
        hidden["weights_or_none"] = frozen(np.full(len(market.symbols), 0.5))
    otherwise = strategy.decide(dataclasses.replace(market, **hidden))
    fault = _difference(signals, otherwise)
    return fault and f"depends on quotes or weights without declaring them in reads: {fault}"


def check_shape_and_bounds(strategy: Strategy) -> str:
    """Strength is float64 `[n]` within ±1 or NaN, evidence `[n]` with a unit in its name."""
    for market in (_sample_market(strategy), _awkward_market(strategy)):
        fault = _malformed(strategy.decide(market), len(market.symbols))
        if fault:
            return fault
    return ""


def check_deterministic(strategy: Strategy) -> str:
    """The same market gives the same signals, whatever was asked in between."""
    series = _sample(strategy)
    ends = range(strategy.lookback_bars, len(series.slots) + 1)
    first = {end: strategy.decide(_market_at(strategy, series, end)) for end in ends}
    for end in reversed(ends):
        again = strategy.decide(_market_at(strategy, series, end))
        fault = _difference(first[end], again)
        if fault:
            return f"answered the same market differently the second time: {fault}"
    return ""


def check_silent_on_short_history(strategy: Strategy) -> str:
    """With fewer bars than its look-back, or with NaN in their place, it has no opinion."""
    series, needed = _sample(strategy), strategy.lookback_bars
    for rows in sorted({1, needed // 2, needed - 1} - {0, needed}):
        end = needed
        short = cut(series.bars, slice(end - rows, end))
        padded = _with_nan(cut(series.bars, slice(0, end)), slice(0, needed - rows), slice(None))
        for bars, how in ((short, "given"), (padded, "known, the older ones NaN")):
            market = market_of(strategy, series.symbols, series.slots[end - 1], bars)
            if not np.isnan(strategy.decide(market).strength).all():
                return f"has opinions with {rows} of {needed} bars {how}"
    return ""


def check_indifferent_to_older_bars(strategy: Strategy) -> str:
    """Bars before its look-back change nothing: it cuts what it is given to `lookback_bars`."""
    needed = strategy.lookback_bars
    series = _sample(strategy, rows=needed + OLDER_ROWS)
    exact = strategy.decide(_market_at(strategy, series, len(series.slots)))
    longer = market_of(strategy, series.symbols, series.slots[-1], series.bars)
    fault = _difference(exact, strategy.decide(longer))
    return fault and (
        f"depends on bars older than lookback_bars={needed} (use close[-self.lookback_bars:]): "
        f"{fault}"
    )


def check_future_changes_nothing(strategy: Strategy) -> str:
    """What comes after an instant, though it lies behind it in memory, does not reach it."""
    series = _sample(strategy)
    last = strategy.lookback_bars + ROWS_AFTER // 2
    for end in range(strategy.lookback_bars, last + 1):
        seen = strategy.decide(_market_at(strategy, series, end))
        bars = _copied(cut(series.bars, slice(end - strategy.lookback_bars, end)))
        market = market_of(strategy, series.symbols, series.slots[end - 1], bars)
        fault = _difference(seen, strategy.decide(market))
        if fault:
            return f"answers otherwise when later bars exist: {fault}"
    return ""


def check_writes_to_nothing(strategy: Strategy) -> str:
    """It changes neither the market nor itself."""
    series = _sample(strategy)
    before = cut(series.bars, slice(0, strategy.lookback_bars))
    given = _copied(before)
    for array in _arrays(given).values():
        array.flags.writeable = True
    market = market_of(strategy, series.symbols, series.slots[strategy.lookback_bars - 1], given)
    itself = _attributes(strategy)
    strategy.decide(market)
    for name, array in _arrays(given).items():
        if not np.array_equal(array, _arrays(before)[name]):
            return f"writes to market.bars.{name}"
    changed = sorted(k for k, v in _attributes(strategy).items() if itself.get(k) != v)
    if changed:
        return f"changes itself: {', '.join(changed)}"
    # What the engine gives out is read-only; it must get along with that.
    strategy.decide(_market_at(strategy, series, strategy.lookback_bars))
    return ""


def check_nan_stays_in_its_column(strategy: Strategy) -> str:
    """NaN in one symbol changes no other's opinion, and unknown bars give none."""
    series, needed = _sample(strategy), strategy.lookback_bars
    bars = cut(series.bars, slice(0, needed))
    as_of = series.slots[needed - 1]
    known = strategy.decide(market_of(strategy, series.symbols, as_of, bars))
    for column in range(len(series.symbols)):
        for rows in (slice(None), slice(needed - 1, None)):
            holed = _with_nan(bars, rows, column)
            signals = strategy.decide(market_of(strategy, series.symbols, as_of, holed))
            if not np.isnan(signals.strength[column]):
                return "has an opinion on a symbol whose bars are unknown"
            others = np.arange(len(series.symbols)) != column
            if strategy.cross_sectional:
                continue
            fault = _difference(_columns(known, others), _columns(signals, others))
            if fault:
                return f"NaN in one symbol changes another (or set cross_sectional): {fault}"
    return ""


def check_stacked_equals_single(strategy: Strategy) -> str:
    """Many instants asked about at once give the bits of each asked about alone.

    Only of strategies that read nothing but bars and treat each symbol on its own. Symbols that
    list late and that miss bars are among them.
    """
    if strategy.cross_sectional or strategy.reads != frozenset({Reads.BARS}):
        return ""
    needed = strategy.lookback_bars
    for width in STACKED_WIDTHS:
        symbols = [Symbol(f"S{number}") for number in range(width)]
        rng = np.random.default_rng(CHECK_SEED + width)
        drawn = make_series(symbols, strategy.timeframe, needed + STACKED_INSTANTS - 1, rng)
        series = _with_gaps(drawn, needed)
        panel = series.panel()
        stacked = panel.stack(series.slots[needed - 1], STACKED_INSTANTS, needed)
        market = market_of(strategy, symbols * STACKED_INSTANTS, series.slots[-1], stacked)
        together = strategy.decide(market)
        for instant in range(STACKED_INSTANTS):
            slot_at = series.slots[needed + instant - 1]
            window = _copied(panel.stack(slot_at, 1, needed))
            alone = strategy.decide(market_of(strategy, symbols, slot_at, window))
            columns = np.arange(instant * width, (instant + 1) * width)
            fault = _difference(alone, _columns(together, columns))
            if fault:
                return (
                    f"{STACKED_INSTANTS} instants of {width} symbols at once differ from one by "
                    f"one (use domain.numerics; if it reads as_of, set cross_sectional): {fault}"
                )
    return ""


FIRST_CHECKS = ("reads what it declares", "right shape and bounds")
CHECKS: Mapping[str, Callable[[Strategy], str]] = {
    "reads what it declares": check_declared_reads,
    "right shape and bounds": check_shape_and_bounds,
    "deterministic": check_deterministic,
    "silent on short history": check_silent_on_short_history,
    "indifferent to bars older than its look-back": check_indifferent_to_older_bars,
    "the future changes nothing": check_future_changes_nothing,
    "writes to nothing": check_writes_to_nothing,
    "NaN in one symbol never touches another": check_nan_stays_in_its_column,
    "stacked equals single": check_stacked_equals_single,
}


# --- markets to ask about ------------------------------------------------------------------------


def _sample(strategy: Strategy, rows: int = 0) -> Series:
    rng = np.random.default_rng(CHECK_SEED)
    count = rows or strategy.lookback_bars + ROWS_AFTER
    return make_series(SAMPLE_SYMBOLS[:COLUMNS], strategy.timeframe, count, rng)


def _market_at(strategy: Strategy, series: Series, end: int) -> Market:
    """Return the market after `end` rows, its window cut from the whole, as a panel does it."""
    bars = cut(series.bars, slice(end - strategy.lookback_bars, end))
    return market_of(strategy, series.symbols, series.slots[end - 1], bars)


def _sample_market(strategy: Strategy) -> Market:
    return _market_at(strategy, _sample(strategy), strategy.lookback_bars)


def _awkward_market(strategy: Strategy) -> Market:
    """Return a market with a price that never moves, unknown ones, a jump, a dear and a penny."""

    def make_awkward(name: str, array: NDArray[Any]) -> None:
        if name == "traded":
            return
        array[:, 0] = 100.0 if name != "volume" else 0.0
        array[:, 1] = np.nan
        array[-1, 2] *= 1.9
        array[:, 3] *= 1e4
        array[:, 4] *= 1e-5

    sample = _sample_market(strategy)
    bars = _changed(sample.bars, make_awkward)
    return market_of(strategy, sample.symbols, sample.as_of, bars)


def _with_gaps(series: Series, needed: int) -> Series:
    """Return the series with every third symbol missing bars now and then, and the last of many
    listed after the first instant that is asked about."""

    def blank(name: str, array: NDArray[Any]) -> None:
        nothing = np.nan if name != "traded" else False
        array[1::7, 1::3] = nothing
        if array.shape[1] > 1:
            array[: needed + 1, -1] = nothing

    return dataclasses.replace(series, bars=_changed(series.bars, blank))


def _copied(bars: Bars) -> Bars:
    return _changed(bars, lambda name, array: None)


def _with_nan(bars: Bars, rows: slice, columns: slice | int) -> Bars:
    def blank(name: str, array: NDArray[Any]) -> None:
        array[rows, columns] = np.nan if name != "traded" else False

    return _changed(bars, blank)


def _changed(bars: Bars, change: Callable[[str, NDArray[Any]], None]) -> Bars:
    """Return a copy, changed array by array, then made read-only."""
    copies = {name: array.copy() for name, array in _arrays(bars).items()}
    for name, array in copies.items():
        change(name, array)
        array.flags.writeable = False
    return Bars(**copies)


def _arrays(bars: Bars) -> dict[str, NDArray[Any]]:
    return {field.name: getattr(bars, field.name) for field in dataclasses.fields(bars)}


def _attributes(strategy: Strategy) -> dict[str, str]:
    """Return what its instance and class hold, written out, so that any change shows."""
    found = {name: repr(getattr(strategy, name)) for name in _instance_names(strategy)}
    for name, value in vars(type(strategy)).items():
        if not callable(value) and not name.startswith("__"):
            found[f"class attribute {name}"] = repr(value)
    return found


def _instance_names(strategy: object) -> Iterable[str]:
    names = set(getattr(strategy, "__dict__", {}))
    if dataclasses.is_dataclass(strategy):
        names |= {field.name for field in dataclasses.fields(strategy)}
    return sorted(names)


# --- comparing -----------------------------------------------------------------------------------


def _malformed(signals: Signals, count: int) -> str:
    if not isinstance(signals, Signals):
        return f"decide must return Signals, not {type(signals).__name__}"
    fault = _not_a_column(signals.strength, count)
    if fault:
        return f"strength {fault}"
    strength = signals.strength
    outside = strength[~(np.isnan(strength) | (np.abs(strength) <= 1.0))]
    if outside.size:
        return f"strength {outside[0]} lies outside [-1, +1]"
    for name, values in signals.evidence.items():
        fault = _not_a_column(values, count)
        if fault:
            return f"evidence {name} {fault}"
        if "_" not in name.strip("_"):
            return f"evidence {name} does not end in its unit, such as {name}_usd"
    return ""


def _not_a_column(values: object, count: int) -> str:
    if not isinstance(values, np.ndarray):
        return f"must be an array, not {type(values).__name__}"
    if values.shape != (count,):
        return f"has shape {values.shape}, not ({count},): one number per symbol"
    if values.dtype != np.float64:
        return f"must be float64, not {values.dtype}"
    return ""


def _columns(signals: Signals, wanted: NDArray[Any]) -> Signals:
    return Signals(
        strength=signals.strength[wanted],
        evidence={name: values[wanted] for name, values in signals.evidence.items()},
    )


def _difference(one: Signals, other: Signals) -> str:
    """Return where two answers differ in a bit, "" when they are the same."""
    if set(one.evidence) != set(other.evidence):
        return f"evidence {sorted(one.evidence)} and {sorted(other.evidence)}"
    if not _same_bits(one.strength, other.strength):
        return f"strength {one.strength} and {other.strength}"
    for name, values in one.evidence.items():
        if not _same_bits(values, other.evidence[name]):
            return f"evidence {name} {values} and {other.evidence[name]}"
    return ""


def _same_bits(one: Floats, other: Floats) -> bool:
    # Two NaN may differ in bits that mean nothing; any other two numbers may not.
    if one.shape != other.shape or not np.array_equal(np.isnan(one), np.isnan(other)):
        return False
    known = ~np.isnan(one)
    return one[known].tobytes() == other[known].tobytes()
