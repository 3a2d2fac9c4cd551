"""From opinions to planned orders: the one call the engine makes at a slot."""

from decimal import Decimal

import numpy as np

from allocation.books import grid_for, lots_toward_zero, scaled, split
from allocation.plan import (
    OUTCOME_CODES,
    Allocation,
    AllocationInputs,
    Codes,
    Crossing,
    PlannedOrder,
)
from allocation.rebalance import (
    band_usd,
    flat_first,
    leaving,
    no_longer_wanted,
    whole_lots,
    within_turnover,
    worth_trading,
)
from allocation.rules import AllocationRules
from allocation.targets import Targets, TargetSetter, Wishes
from domain.instruments import Universe
from domain.market import Flags, Floats
from domain.orders import Leg, Side
from domain.snapshot import Outcome
from domain.values import Value

_NO_SIGNAL = OUTCOME_CODES[Outcome.NO_SIGNAL]
_HOLDING = OUTCOME_CODES[Outcome.HOLDING]
_NO_PRICE = OUTCOME_CODES[Outcome.NO_PRICE]
_MIN_HOLD = OUTCOME_CODES[Outcome.MIN_HOLD]
_ZERO_SHARES = OUTCOME_CODES[Outcome.ZERO_SHARES]
_TURNOVER = OUTCOME_CODES[Outcome.TURNOVER]
_WORKING = OUTCOME_CODES[Outcome.WORKING]
_CANCELED_FIRST = OUTCOME_CODES[Outcome.CANCELED_FIRST]
_ORDERED = OUTCOME_CODES[Outcome.ORDERED]
_BY_SECTOR = Outcome.SECTOR_CAP
_QUIET = np.array([_NO_SIGNAL, _HOLDING, _NO_SIGNAL, OUTCOME_CODES[Outcome.IN_BAND]], dtype=np.int8)
"""Outcome without an order, by 2 × decided + (holds or wants something)."""


class _Slot(Value, frozen=True, kw_only=True, eq=False):
    """One slot half way: arrays `[n]` in shares unless named otherwise, and what is filled in."""

    inputs: AllocationInputs
    targets: Targets
    deltas: Floats
    own: Floats
    total: Floats
    gap: Floats
    value_usd: Floats
    band: Floats
    works: Flags | None
    acts: Flags
    outcomes: Codes
    reasons: dict[int, tuple[str, ...]]

    def note(self, column: int, outcome: int, *reasons: str) -> None:
        """Record what became of a column, and why."""
        self.outcomes[column] = outcome
        if reasons:
            self.reasons[column] = self.reasons.get(column, ()) + reasons


class Allocator:
    """Allocation for one universe under one set of rules; pure, its tables made once."""

    def __init__(self, universe: Universe, rules: AllocationRules) -> None:
        self._universe = universe
        self._rules = rules
        self._lot = float(rules.lot_shares)
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
        slot = self._weighed(inputs, self._setter.set_targets(inputs))
        planned: tuple[PlannedOrder, ...] = ()
        crossings: tuple[Crossing, ...] = ()
        cancel: tuple[int, ...] = ()
        self._note_quiet(slot)
        if np.count_nonzero(slot.acts):
            planned, crossings = self._acted_on(slot)
        if slot.works is not None:
            cancel = self._judge_working(slot, slot.works)
        targets = slot.targets
        weight, combined = slot.value_usd / (inputs.equity_usd or 1.0), targets.combined
        if not targets.wishes.all_decided:
            decided = targets.wishes.decided
            weight, combined = np.where(decided, (weight, combined), np.nan)
        return Allocation(
            target_weight=weight,
            combined_strength=combined,
            book_targets=dict(zip(targets.wishes.books.names, targets.shares, strict=True)),
            outcomes=slot.outcomes,
            planned=planned,
            crossings=crossings,
            cancel=cancel,
            reasons=slot.reasons,
        )

    def _weighed(self, inputs: AllocationInputs, targets: Targets) -> _Slot:
        wishes, shares = targets.wishes, targets.shares
        books, decided = wishes.books, wishes.decided
        mids = inputs.mids_usd
        deltas = shares - books.held
        total = np.add.reduce(shares, 0)
        gap = total - books.own
        value_usd = total * mids
        band = band_usd(value_usd, self._rules)
        acts = worth_trading(deltas, gap, mids, band)
        emptied = leaving(shares, books.holds)
        if emptied is not None:
            acts |= emptied
        if not wishes.all_decided:
            acts &= decided
        works = None
        if np.count_nonzero(inputs.working_shares):
            works = inputs.working_shares != 0.0
            acts &= ~works
        return _Slot(
            inputs=inputs,
            targets=targets,
            deltas=deltas,
            own=books.own,
            total=total,
            gap=gap,
            value_usd=value_usd,
            band=band,
            works=works,
            acts=acts,
            outcomes=quiet_outcomes(wishes, np.logical_or(books.own, total)),
            reasons={},
        )

    def _note_quiet(self, slot: _Slot) -> None:
        """Say of columns without an order what kept them: no price, minimum hold, caps."""
        wishes = slot.targets.wishes
        if wishes.silent is not None:
            for column in np.flatnonzero(wishes.silent).tolist():
                slot.note(column, _NO_PRICE, "no usable price")
        if wishes.kept is not None:
            words = f"held fewer than {self._rules.hold_bars_min} bars: no exit by signal yet"
            for column in np.flatnonzero(wishes.kept).tolist():
                slot.note(column, _MIN_HOLD, words)
        if slot.targets.limits:
            self._note_limits(slot)

    def _note_limits(self, slot: _Slot) -> None:
        """Name the caps on every column that would have traded more without them."""
        wanted_usd = np.abs(slot.targets.combined) * slot.targets.size * slot.inputs.equity_usd
        band = np.maximum(wanted_usd * self._rules.band_of_target, self._rules.band_usd)
        missed = wanted_usd - np.abs(slot.value_usd) > band
        missed &= slot.targets.wishes.decided
        if slot.works is not None:
            missed &= ~slot.works
        if not np.count_nonzero(missed):
            return
        for limit in sorted(slot.targets.limits, key=lambda found: found.outcome is _BY_SECTOR):
            code = OUTCOME_CODES[limit.outcome]
            for column in np.flatnonzero(missed & limit.columns).tolist():
                slot.note(column, code, limit.words)

    def _acted_on(self, slot: _Slot) -> tuple[tuple[PlannedOrder, ...], tuple[Crossing, ...]]:
        """Plan what the columns outside the band want; note those that come to nothing."""
        lots = whole_lots(slot.gap, self._lot).tolist()
        orders: list[PlannedOrder] = []
        crossings: list[Crossing] = []
        for column in np.flatnonzero(slot.acts).tolist():
            parts, grid = self._divided(slot, column, int(lots[column]))
            if sum(parts):
                orders.append(self._order(slot, column, parts, grid))
            elif any(parts):
                crossings.append(self._crossing(slot, column, parts, grid))
            else:
                slot.note(column, _ZERO_SHARES, self._zero_words(slot, column))
        return self._paid_for(slot, orders), tuple(crossings)

    def _divided(self, slot: _Slot, column: int, lots: int) -> tuple[list[int], Decimal]:
        """Return what each book trades, in whole units of the grid returned with it."""
        held = slot.targets.wishes.books.held[:, column].tolist()
        wanted = slot.deltas[:, column].tolist()
        grid = grid_for(held, self._rules.lot_shares)
        unit = float(grid)
        broken = grid is not self._rules.lot_shares
        emptied = broken and not slot.targets.shares[:, column].any()
        total = -round(sum(held) / unit) if emptied else lots * round(self._lot / unit)
        account = float(slot.inputs.account_shares[column])
        first = flat_first(account, total * unit)
        flips = first != total * unit
        if emptied and not flips:
            return [-round(shares / unit) for shares in held], grid
        if flips:
            total = lots_toward_zero(first, unit)
        units = [delta / unit for delta in wanted]
        return split(scaled(units, total) if broken or flips else units, total), grid

    def _order(self, slot: _Slot, column: int, parts: list[int], grid: Decimal) -> PlannedOrder:
        total = sum(parts)
        account = float(slot.inputs.account_shares[column])
        after = account + total * float(grid)
        # Plain floats: numpy's own are several times dearer to reckon with and to word.
        strength = float(slot.targets.combined[column])
        weight = float(slot.value_usd[column]) / slot.inputs.equity_usd
        own, wanted = float(slot.own[column]), float(slot.total[column])
        return PlannedOrder(
            column=column,
            symbol=self._symbols[column],
            side=Side.BUY if total > 0 else Side.SELL,
            quantity_shares=abs(total) * grid,
            leg=Leg.OPEN if abs(after) > abs(account) else Leg.CLOSE,
            deltas=_by_book(slot.targets.wishes.books.names, parts, grid),
            reason=f"strength {strength:+.2f}, target {weight:.2%} of equity: from "
            f"{own:g} to {round(wanted, 2):g} shares",
        )

    def _crossing(self, slot: _Slot, column: int, parts: list[int], grid: Decimal) -> Crossing:
        slot.note(column, _HOLDING, "books crossed inside, no order needed")
        return Crossing(
            column=column,
            symbol=self._symbols[column],
            deltas=_by_book(slot.targets.wishes.books.names, parts, grid),
            reason="opposite wishes of the books cancel out",
        )

    def _paid_for(self, slot: _Slot, orders: list[PlannedOrder]) -> tuple[PlannedOrder, ...]:
        """Return closing orders, then the entries that the day's turnover pays for."""
        strength = np.abs(slot.targets.combined)
        mids = slot.inputs.mids_usd
        closing = [order for order in orders if order.leg is not Leg.OPEN]
        entries = [order for order in orders if order.leg is Leg.OPEN]
        ranks = [(float(strength[o.column]), str(o.symbol)) for o in entries]
        costs_usd = [float(o.quantity_shares) * float(mids[o.column]) for o in entries]
        paid = within_turnover(costs_usd, ranks, slot.inputs.turnover_left_usd)
        for index, order in enumerate(entries):
            if index not in paid:
                slot.note(
                    order.column,
                    _TURNOVER,
                    f"{_usd(costs_usd[index])} is more than the turnover left today "
                    f"({_usd(slot.inputs.turnover_left_usd)} before this slot's entries)",
                )
        first = sorted(closing, key=lambda o: o.symbol)
        then = [entries[i] for i in sorted(paid, key=lambda i: (-ranks[i][0], ranks[i][1]))]
        for order in (*first, *then):
            slot.note(order.column, _ORDERED)
        return (*first, *then)

    def _judge_working(self, slot: _Slot, works: Flags) -> tuple[int, ...]:
        """Note columns with a working order; return those whose order no longer fits."""
        inputs, locked = slot.inputs, slot.inputs.locked
        lots = whole_lots(slot.gap, self._lot)
        cancel: list[int] = []
        for column in np.flatnonzero(works).tolist():
            working = float(inputs.working_shares[column])
            slot.note(column, _WORKING, f"an order for {working:+g} shares is working")
            if not slot.targets.wishes.decided[column] or (locked is not None and locked[column]):
                continue
            wanted = flat_first(float(inputs.account_shares[column]), lots[column] * self._lot)
            mid_usd = float(inputs.mids_usd[column])
            if no_longer_wanted(working, wanted, float(slot.band[column]), mid_usd):
                slot.note(column, _CANCELED_FIRST, f"{wanted:+g} shares are wanted now")
                cancel.append(column)
        return tuple(cancel)

    def _zero_words(self, slot: _Slot, column: int) -> str:
        mid_usd = float(slot.inputs.mids_usd[column])
        gap = float(slot.gap[column])
        amount = _usd(abs(gap) * mid_usd)
        lot = "share" if self._lot == 1 else f"lot of {self._rules.lot_shares} shares"
        verb = "buys" if gap >= 0 else "sells"
        return f"{amount} {verb} no {lot} at {_usd(mid_usd)}"


def allocate(inputs: AllocationInputs, rules: AllocationRules) -> Allocation:
    """Return `Allocator(inputs.universe, rules).allocate(inputs)`; keep an Allocator for speed."""
    return Allocator(inputs.universe, rules).allocate(inputs)


def quiet_outcomes(wishes: Wishes, occupied: Flags) -> Codes:
    """Return the outcomes `[n]` without an order; `occupied`: something is held or wanted."""
    if wishes.all_decided:
        return _QUIET[2:].take(occupied)
    return _QUIET.take(2 * wishes.decided + occupied)


def _by_book(names: tuple[str, ...], parts: list[int], grid: Decimal) -> dict[str, Decimal]:
    return {name: part * grid for name, part in zip(names, parts, strict=True) if part}


def _usd(amount_usd: float) -> str:
    return f"${amount_usd:,.2f}".removesuffix(".00")
