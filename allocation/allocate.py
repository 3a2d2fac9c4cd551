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
from allocation.rebalance import flat_first, no_longer_wanted, whole_lots, within_turnover
from allocation.rules import AllocationRules
from allocation.targets import Targets, TargetSetter
from allocation.weighing import Weighed, gaps_of, quiet_outcomes
from domain.instruments import Universe
from domain.market import Flags
from domain.orders import BookName, Leg, Side
from domain.snapshot import Outcome
from domain.values import Value

_HOLDING = OUTCOME_CODES[Outcome.HOLDING]
_NO_PRICE = OUTCOME_CODES[Outcome.NO_PRICE]
_MIN_HOLD = OUTCOME_CODES[Outcome.MIN_HOLD]
_ZERO_SHARES = OUTCOME_CODES[Outcome.ZERO_SHARES]
_TURNOVER = OUTCOME_CODES[Outcome.TURNOVER]
_WORKING = OUTCOME_CODES[Outcome.WORKING]
_CANCELED_FIRST = OUTCOME_CODES[Outcome.CANCELED_FIRST]
_ORDERED = OUTCOME_CODES[Outcome.ORDERED]
_BY_SECTOR = Outcome.SECTOR_CAP


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
        return self.conclude(self._weighed(inputs, self._setter.set_targets(inputs)))

    def conclude(self, slot: Weighed) -> Allocation:
        """Return what becomes of a slot whose wishes have been weighed; it is used up."""
        inputs = slot.inputs
        planned: tuple[PlannedOrder, ...] = ()
        crossings: tuple[Crossing, ...] = ()
        cancel: tuple[int, ...] = ()
        self._note_quiet(slot)
        if np.count_nonzero(slot.gaps.acts):
            planned, crossings = self._acted_on(slot)
        if slot.works is not None:
            cancel = self._judge_working(slot, slot.works)
        targets = slot.targets
        weight, combined = slot.gaps.value_usd / (inputs.equity_usd or 1.0), targets.combined
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

    def _weighed(self, inputs: AllocationInputs, targets: Targets) -> Weighed:
        wishes = targets.wishes
        gaps = gaps_of(targets.shares, wishes.books, inputs.mids_usd, self._rules)
        acts = gaps.acts
        if not wishes.all_decided:
            acts &= wishes.decided
        works = None
        if np.count_nonzero(inputs.working_shares):
            works = inputs.working_shares != 0.0
            acts &= ~works
        return Weighed(
            inputs=inputs,
            targets=targets,
            gaps=gaps,
            works=works,
            outcomes=quiet_outcomes(wishes, np.logical_or(wishes.books.own, gaps.total)),
            reasons={},
        )

    def _note_quiet(self, slot: Weighed) -> None:
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

    def _note_limits(self, slot: Weighed) -> None:
        """Name the caps on every column that would have traded more without them."""
        wanted_usd = np.abs(slot.targets.combined) * slot.targets.size * slot.inputs.equity_usd
        band = np.maximum(wanted_usd * self._rules.band_of_target, self._rules.band_usd)
        missed = wanted_usd - np.abs(slot.gaps.value_usd) > band
        missed &= slot.targets.wishes.decided
        if slot.works is not None:
            missed &= ~slot.works
        if not np.count_nonzero(missed):
            return
        for limit in sorted(slot.targets.limits, key=lambda found: found.outcome is _BY_SECTOR):
            code = OUTCOME_CODES[limit.outcome]
            for column in np.flatnonzero(missed & limit.columns).tolist():
                slot.note(column, code, limit.words)

    def _acted_on(self, slot: Weighed) -> tuple[tuple[PlannedOrder, ...], tuple[Crossing, ...]]:
        """Plan what the columns outside the band want; note those that come to nothing."""
        orders: list[tuple[_Column, PlannedOrder]] = []
        crossings: list[Crossing] = []
        names = slot.targets.wishes.books.names
        for column in self._columns(slot):
            parts, grid = self._divided(column)
            total = sum(parts)
            if total:
                orders.append((column, self._order(column, names, parts, grid)))
            elif any(parts):
                crossings.append(self._crossing(slot, column, _by_book(names, parts, grid)))
            else:
                slot.note(column.index, _ZERO_SHARES, self._zero_words(column))
        return self._paid_for(slot, orders), tuple(crossings)

    def _columns(self, slot: Weighed) -> list["_Column"]:
        """Return the columns that act, as plain numbers: these are looked at one by one."""
        gaps, targets, inputs = slot.gaps, slot.targets, slot.inputs
        books = targets.wishes.books
        found = []
        acting = gaps.acts.nonzero()[0]
        by_book = (books.held.T, gaps.deltas.T, targets.shares.T)
        each = [values[acting].tolist() for values in by_book]
        for at, held, deltas, wanted in zip(acting.tolist(), *each, strict=True):
            gap = gaps.gap.item(at)
            column = _Column(
                index=at,
                lots=whole_lots(gap, self._lot),
                held=held,
                deltas=deltas,
                account=inputs.account_shares.item(at),
                own=books.own.item(at),
                gap=gap,
                target=gaps.total.item(at),
                is_wanted=any(wanted),
                strength=targets.combined.item(at),
                weight=gaps.value_usd.item(at) / inputs.equity_usd,
                mid_usd=inputs.mids_usd.item(at),
            )
            found.append(column)
        return found

    def _divided(self, column: "_Column") -> tuple[list[int], Decimal]:
        """Return what each book trades, in whole units of the grid returned with it."""
        grid = grid_for(column.held, self._rules.lot_shares)
        unit = float(grid)
        broken = grid is not self._rules.lot_shares
        emptied = broken and not column.is_wanted
        lots = column.lots * round(self._lot / unit)
        total = -round(sum(column.held) / unit) if emptied else lots
        first = flat_first(column.account, total * unit)
        flips = first != total * unit
        if emptied and not flips:
            return [-round(shares / unit) for shares in column.held], grid
        if flips:
            total = lots_toward_zero(first, unit)
        units = [delta / unit for delta in column.deltas]
        return split(scaled(units, total) if broken or flips else units, total), grid

    def _order(
        self, column: "_Column", names: tuple[str, ...], parts: list[int], grid: Decimal
    ) -> PlannedOrder:
        total, account = sum(parts), column.account
        after = account + total * float(grid)
        return PlannedOrder(
            column=column.index,
            symbol=self._symbols[column.index],
            side=Side.BUY if total > 0 else Side.SELL,
            quantity_shares=abs(total) * grid,
            leg=Leg.OPEN if abs(after) > abs(account) else Leg.CLOSE,
            deltas=_by_book(names, parts, grid),
            reason=f"strength {column.strength:+.2f}, target {column.weight:.2%} of equity: from "
            f"{column.own:g} to {round(column.target, 2):g} shares",
        )

    def _crossing(
        self, slot: Weighed, column: "_Column", deltas: dict[BookName, Decimal]
    ) -> Crossing:
        slot.note(column.index, _HOLDING, "books crossed inside, no order needed")
        return Crossing(
            column=column.index,
            symbol=self._symbols[column.index],
            deltas=deltas,
            reason="opposite wishes of the books cancel out",
        )

    def _paid_for(
        self, slot: Weighed, orders: list[tuple["_Column", PlannedOrder]]
    ) -> tuple[PlannedOrder, ...]:
        """Return closing orders, then the entries that the day's turnover pays for."""
        closing = [order for _, order in orders if order.leg is not Leg.OPEN]
        entries = [(column, order) for column, order in orders if order.leg is Leg.OPEN]
        ranks = [(abs(column.strength), str(order.symbol)) for column, order in entries]
        costs_usd = [float(order.quantity_shares) * column.mid_usd for column, order in entries]
        paid = within_turnover(costs_usd, ranks, slot.inputs.turnover_left_usd)
        for index, (column, _) in enumerate(entries):
            if index not in paid:
                slot.note(
                    column.index,
                    _TURNOVER,
                    f"{_usd(costs_usd[index])} is more than the turnover left today "
                    f"({_usd(slot.inputs.turnover_left_usd)} before this slot's entries)",
                )
        first = sorted(closing, key=lambda o: o.symbol)
        then = [entries[i][1] for i in sorted(paid, key=lambda i: (-ranks[i][0], ranks[i][1]))]
        for order in (*first, *then):
            slot.note(order.column, _ORDERED)
        return (*first, *then)

    def _judge_working(self, slot: Weighed, works: Flags) -> tuple[int, ...]:
        """Note columns with a working order; return those whose order no longer fits."""
        inputs, locked = slot.inputs, slot.inputs.locked
        cancel: list[int] = []
        for column in np.flatnonzero(works).tolist():
            working = float(inputs.working_shares[column])
            slot.note(column, _WORKING, f"an order for {working:+g} shares is working")
            if not slot.targets.wishes.decided[column] or (locked is not None and locked[column]):
                continue
            lots = whole_lots(slot.gaps.gap.item(column), self._lot)
            wanted = flat_first(float(inputs.account_shares[column]), lots * self._lot)
            mid_usd = float(inputs.mids_usd[column])
            if no_longer_wanted(working, wanted, float(slot.gaps.band[column]), mid_usd):
                slot.note(column, _CANCELED_FIRST, f"{wanted:+g} shares are wanted now")
                cancel.append(column)
        return tuple(cancel)

    def _zero_words(self, column: "_Column") -> str:
        amount = _usd(abs(column.gap) * column.mid_usd)
        lot = "share" if self._lot == 1 else f"lot of {self._rules.lot_shares} shares"
        verb = "buys" if column.gap >= 0 else "sells"
        return f"{amount} {verb} no {lot} at {_usd(column.mid_usd)}"


class _Column(Value, frozen=True, kw_only=True, eq=False):
    """One column that acts: shares, but `lots`, the `weight` it is to have of equity, the combined
    `strength` and the mid. `held` and `deltas` are by book; `target` is what all are to hold."""

    index: int
    lots: int
    held: list[float]
    deltas: list[float]
    is_wanted: bool
    account: float
    own: float
    gap: float
    target: float
    strength: float
    weight: float
    mid_usd: float


def allocate(inputs: AllocationInputs, rules: AllocationRules) -> Allocation:
    """Return `Allocator(inputs.universe, rules).allocate(inputs)`; keep an Allocator for speed."""
    return Allocator(inputs.universe, rules).allocate(inputs)


def _by_book(names: tuple[str, ...], parts: list[int], grid: Decimal) -> dict[str, Decimal]:
    return {name: part * grid for name, part in zip(names, parts, strict=True) if part}


def _usd(amount_usd: float) -> str:
    return f"${amount_usd:,.2f}".removesuffix(".00")
