"""From opinions to planned orders: the one call the engine makes at a slot."""

from decimal import Decimal

import numpy as np

from allocation.books import grid_for, lots_toward_zero, scaled, split
from allocation.plan import (
    OUTCOME_CODES,
    Allocation,
    AllocationInputs,
    Crossing,
    PlannedOrder,
)
from allocation.rebalance import Band, flat_first, no_longer_wanted, whole_lots
from allocation.rules import AllocationRules
from allocation.targets import Targets, TargetSetter
from allocation.weighing import Column, Gaps, Weighed, gaps_of, quiet_outcomes, weighed
from domain.instruments import Universe
from domain.market import Flags
from domain.orders import Leg, Side
from domain.snapshot import Outcome

_HOLDING = OUTCOME_CODES[Outcome.HOLDING]
_NO_PRICE = OUTCOME_CODES[Outcome.NO_PRICE]
_MIN_HOLD = OUTCOME_CODES[Outcome.MIN_HOLD]
_ZERO_SHARES = OUTCOME_CODES[Outcome.ZERO_SHARES]
_TURNOVER = OUTCOME_CODES[Outcome.TURNOVER]
_WORKING = OUTCOME_CODES[Outcome.WORKING]
_CANCELED_FIRST = OUTCOME_CODES[Outcome.CANCELED_FIRST]
_ORDERED = OUTCOME_CODES[Outcome.ORDERED]
_BY_SECTOR = Outcome.SECTOR_CAP
_BUY, _SELL, _OPEN, _CLOSE = Side.BUY, Side.SELL, Leg.OPEN, Leg.CLOSE
"""Looked up once: a member of an enumeration is found through its class."""


class Allocator:
    """Allocation for one universe under one set of rules; pure, its tables made once."""

    def __init__(self, universe: Universe, rules: AllocationRules) -> None:
        self._universe = universe
        self._rules = rules
        self._lot = float(rules.lot_shares)
        self._band = Band.of(rules)
        self._symbols = universe.symbols
        self._setter = TargetSetter(universe, rules)

    def reachable_gross(self) -> float:
        """Return the gross exposure, as a share of equity, if every name were wanted in full."""
        return self._setter.reachable_gross()

    def allocate(self, inputs: AllocationInputs) -> Allocation:
        """Return targets, orders and an outcome for every symbol. Same inputs, same answer.

        Raises ValueError for another universe than the one this was made for.
        """
        if inputs.universe is not self._universe and inputs.universe != self._universe:
            raise ValueError("the inputs are of another universe: make a new Allocator")
        return self.conclude(self._weighed(inputs, self._setter.set_targets(inputs)))

    def conclude(self, slot: Weighed) -> Allocation:
        """Return what becomes of a slot whose wishes have been weighed; it is used up."""
        planned: tuple[PlannedOrder, ...] = ()
        crossings: tuple[Crossing, ...] = ()
        cancel: tuple[int, ...] = ()
        if not slot.is_plain:
            self._note_quiet(slot, *slot.whole())
        if slot.columns:
            planned, crossings = self._acted_on(slot)
        if slot.works is not None:
            cancel = self._judge_working(slot, slot.works)
        return Allocation(
            wanted=slot.wanted,
            equity_usd=slot.inputs.equity_usd,
            outcomes=slot.outcomes,
            planned=planned,
            crossings=crossings,
            cancel=cancel,
            reasons=slot.reasons,
        )

    def _weighed(self, inputs: AllocationInputs, targets: Targets) -> Weighed:
        wishes = targets.wishes
        gaps = gaps_of(targets.shares, wishes.books, inputs.mids_usd, self._band)
        acts = gaps.acts
        if not wishes.all_decided:
            acts &= wishes.decided
        works = None
        if np.count_nonzero(inputs.working_shares):
            works = inputs.working_shares != 0.0
            acts &= ~works
        outcomes = quiet_outcomes(wishes, np.logical_or(wishes.books.own, gaps.total))
        return weighed(inputs, targets, gaps, outcomes, works)

    def _note_quiet(self, slot: Weighed, targets: Targets, gaps: Gaps) -> None:
        """Say of columns without an order what kept them: no price, minimum hold, caps."""
        wishes = targets.wishes
        if wishes.silent is not None:
            for column in np.flatnonzero(wishes.silent).tolist():
                slot.note(column, _NO_PRICE, "no usable price")
        if wishes.kept is not None:
            words = f"held fewer than {self._rules.hold_bars_min} bars: no exit by signal yet"
            for column in np.flatnonzero(wishes.kept).tolist():
                slot.note(column, _MIN_HOLD, words)
        if targets.limits:
            self._note_limits(slot, targets, gaps)

    def _note_limits(self, slot: Weighed, targets: Targets, gaps: Gaps) -> None:
        """Name the caps on every column that would have traded more without them."""
        wanted_usd = np.abs(targets.combined) * targets.size * slot.inputs.equity_usd
        band = np.maximum(wanted_usd * self._rules.band_of_target, self._rules.band_usd)
        missed = wanted_usd - np.abs(gaps.value_usd) > band
        missed &= targets.wishes.decided
        if slot.works is not None:
            missed &= ~slot.works
        if not np.count_nonzero(missed):
            return
        for limit in sorted(targets.limits, key=lambda found: found.outcome is _BY_SECTOR):
            code = OUTCOME_CODES[limit.outcome]
            for column in np.flatnonzero(missed & limit.columns).tolist():
                slot.note(column, code, limit.words)

    def _acted_on(self, slot: Weighed) -> tuple[tuple[PlannedOrder, ...], tuple[Crossing, ...]]:
        """Plan what the columns outside the band want; note those that come to nothing."""
        closing: list[PlannedOrder] = []
        entries: list[tuple[Column, PlannedOrder]] = []
        crossings: list[Crossing] = []
        for column in slot.columns:
            parts, grid = self._divided(column)
            total = sum(parts)
            if total:
                order = self._order(slot, column, parts, grid)
                if order.leg is _OPEN:
                    entries.append((column, order))
                else:
                    closing.append(order)
            elif any(parts):
                crossings.append(self._crossing(slot, column, parts, grid))
            else:
                slot.note(column.index, _ZERO_SHARES, self._zero_words(column))
        if len(closing) > 1:
            closing.sort(key=_symbol_of)
        for order in closing:
            slot.outcomes[order.column] = _ORDERED
        if entries:
            closing += self._paid_for(slot, entries)
        return tuple(closing), tuple(crossings)

    def _divided(self, column: Column) -> tuple[list[int], Decimal]:
        """Return what each book trades, in whole units of the grid returned with it."""
        held, grid = column.held, grid_for(column.held, self._rules.lot_shares)
        total, unit = whole_lots(column.gap, self._lot), self._lot
        broken = grid is not self._rules.lot_shares
        emptied = broken and not column.is_wanted
        if broken:
            unit = float(grid)
            total = -round(sum(held) / unit) if emptied else total * round(self._lot / unit)
        first = flat_first(column.account, total * unit)
        flips = first != total * unit
        if emptied and not flips:
            return [-round(shares / unit) for shares in held], grid
        if flips:
            total = lots_toward_zero(first, unit)
        if len(held) == 1:
            return [total], grid
        units = [delta / unit for delta in column.deltas]
        return split(scaled(units, total) if broken or flips else units, total), grid

    def _order(
        self, slot: Weighed, column: Column, parts: list[int], grid: Decimal
    ) -> PlannedOrder:
        total, account = sum(parts), column.account
        after = account + total * float(grid)
        return PlannedOrder(
            column=column.index,
            symbol=self._symbols[column.index],
            side=_BUY if total > 0 else _SELL,
            quantity_shares=abs(total) * grid,
            leg=_OPEN if abs(after) > abs(account) else _CLOSE,
            deltas=_by_book(slot, parts, grid),
            reason=f"strength {column.strength:+.2f}, target {column.weight:.2%} of equity: from "
            f"{column.own:g} to {round(column.target, 2):g} shares",
        )

    def _crossing(self, slot: Weighed, column: Column, parts: list[int], grid: Decimal) -> Crossing:
        slot.note(column.index, _HOLDING, "books crossed inside, no order needed")
        return Crossing(
            column=column.index,
            symbol=self._symbols[column.index],
            deltas=_by_book(slot, parts, grid),
            reason="opposite wishes of the books cancel out",
        )

    def _paid_for(
        self, slot: Weighed, entries: list[tuple[Column, PlannedOrder]]
    ) -> list[PlannedOrder]:
        """Return the entries that the turnover left today pays for: the strongest first, equal ones
        by symbol. One that no longer fits waits whole; a smaller one behind it may still fit."""
        left_usd = slot.inputs.turnover_left_usd
        if len(entries) > 1:
            entries.sort(key=_rank)
        paid = []
        for column, order in entries:
            cost_usd = float(order.quantity_shares) * column.mid_usd
            if cost_usd <= left_usd:
                left_usd -= cost_usd
                slot.outcomes[column.index] = _ORDERED
                paid.append(order)
            else:
                slot.note(
                    column.index,
                    _TURNOVER,
                    f"{_usd(cost_usd)} is more than the turnover left today "
                    f"({_usd(slot.inputs.turnover_left_usd)} before this slot's entries)",
                )
        return paid

    def _judge_working(self, slot: Weighed, works: Flags) -> tuple[int, ...]:
        """Note columns with a working order; return those whose order no longer fits."""
        inputs, locked = slot.inputs, slot.inputs.locked
        targets, gaps = slot.whole()
        cancel: list[int] = []
        for column in np.flatnonzero(works).tolist():
            working = float(inputs.working_shares[column])
            slot.note(column, _WORKING, f"an order for {working:+g} shares is working")
            if not targets.wishes.decided[column] or (locked is not None and locked[column]):
                continue
            lots = whole_lots(gaps.gap.item(column), self._lot)
            wanted = flat_first(float(inputs.account_shares[column]), lots * self._lot)
            mid_usd = float(inputs.mids_usd[column])
            if no_longer_wanted(working, wanted, float(gaps.band[column]), mid_usd):
                slot.note(column, _CANCELED_FIRST, f"{wanted:+g} shares are wanted now")
                cancel.append(column)
        return tuple(cancel)

    def _zero_words(self, column: Column) -> str:
        amount = _usd(abs(column.gap) * column.mid_usd)
        lot = "share" if self._lot == 1 else f"lot of {self._rules.lot_shares} shares"
        verb = "buys" if column.gap >= 0 else "sells"
        return f"{amount} {verb} no {lot} at {_usd(column.mid_usd)}"


def allocate(inputs: AllocationInputs, rules: AllocationRules) -> Allocation:
    """Return `Allocator(inputs.universe, rules).allocate(inputs)`; keep an Allocator for speed."""
    return Allocator(inputs.universe, rules).allocate(inputs)


def _symbol_of(order: PlannedOrder) -> str:
    return order.symbol


def _rank(entry: tuple[Column, PlannedOrder]) -> tuple[float, str]:
    column, order = entry
    return -abs(column.strength), order.symbol


def _by_book(slot: Weighed, parts: list[int], grid: Decimal) -> dict[str, Decimal]:
    if len(parts) == 1:
        return {slot.names[0]: parts[0] * grid}
    return {name: part * grid for name, part in zip(slot.names, parts, strict=True) if part}


def _usd(amount_usd: float) -> str:
    return f"${amount_usd:,.2f}".removesuffix(".00")
