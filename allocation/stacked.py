"""Allocation looked at for many slots in a row, under books that do not change meanwhile.

Everything here is made of the functions that decide a single slot, on arrays with one axis more. It
plans no order: it says at which slots none would be planned, what is recorded of those, and how the
first other one weighs, as far as that does not depend on any cap. Where a cap may bind, the slot is
for `Allocator.allocate` to decide.

What does not depend on the books either is worked out once for many slots (`Outlook`): books change
with every fill, opinions and sizes do not.
"""

from collections.abc import Mapping, Sequence

import numpy as np

from allocation.books import over_books
from allocation.budgets import Groups
from allocation.hysteresis import held_by_minimum
from allocation.outlook import Clusters, Look, Outlook
from allocation.plan import OUTCOME_CODES, AllocationInputs, Codes, Ints
from allocation.rules import AllocationRules
from allocation.steady import Steady, Tracks
from allocation.targets import A_HAIR_LESS, Books, Targets, TargetSetter, Wishes
from allocation.weighing import (
    QUIET_DECIDED,
    Column,
    Weighed,
    Whole,
    gaps_of,
    quiet_outcomes,
    weighed,
)
from domain.instruments import Universe
from domain.market import Flags, Floats
from domain.signals import StrategyName
from domain.snapshot import Outcome
from domain.values import replace as changed

_MIN_HOLD = OUTCOME_CODES[Outcome.MIN_HOLD]


class StackedAllocator(TargetSetter):
    """Looks at many slots for one universe under one set of rules, at their targets as they are
    while no cap binds; pure, its tables made once."""

    def __init__(self, universe: Universe, rules: AllocationRules) -> None:
        super().__init__(universe, rules)
        # A single column is added up in another order when it stands alone.
        self._weighs = len(universe) > 1
        self._steady = Steady(rules)

    def look(self, outlook: Outlook, inputs: AllocationInputs, equity_usd: Floats) -> Look:
        """Return the slots, from the first on, at which `allocate` would neither trade nor meet a
        cap, and the outcomes it would give; and how the next one weighs.

        Of `inputs`, `mids_usd` is `[t, n]`, one row a slot, all of them positive: any number where
        nothing is priced and nothing held; `bars_held` is `[t, n]` or `[n]`; nothing is blocked and
        no order works. equity_usd: `[t]`, positive.
        """
        slots, width = inputs.mids_usd.shape
        each_usd = equity_usd.repeat(width).reshape(slots, width)
        books = self._books(inputs, outlook.names).at_each_of(slots)
        wishes, shares, is_free = self._unbound(outlook, inputs, each_usd)
        gaps = gaps_of(shares, books, inputs.mids_usd, self._band)
        acts = gaps.acts
        if not wishes.all_decided:
            acts &= wishes.decided
        bound = _first(~is_free)
        count = min(bound, _first(acts))
        outcomes = quiet_outcomes(wishes, np.logical_or(books.own, gaps.total))
        stopped = None
        if count < bound and count < slots and self._weighs:
            slot = changed(
                inputs, mids_usd=inputs.mids_usd[count], equity_usd=equity_usd.item(count)
            )
            rows = wishes.contributions[:, count], shares[:, count]
            kept = None if wishes.kept is None else wishes.kept[count]
            targets = _targets_at(count, outlook, wishes.books, rows, kept)
            stopped = weighed(slot, targets, gaps.at(count), outcomes[count].copy())
        if wishes.kept is not None:
            outcomes[wishes.kept] = _MIN_HOLD
        return Look(count=count, outcomes=outcomes[:count], weighed=stopped)

    def look_at(self, outlook: Outlook, at: int, inputs: AllocationInputs) -> Look | None:
        """Return the look of one slot, number `at` of an outlook, in fewer steps than `look`; None
        where books have a say in what is wished, or a cap may bind.

        `inputs` are that slot's, as those of `look` are but for `equity_usd` and `mids_usd` `[n]`.
        """
        if outlook.contributions is None or outlook.is_free is None or not outlook.is_free[at]:
            return None
        books, contributions = self._books(inputs, outlook.names), outlook.contributions[:, at]
        if not self._weighs or not self._is_settled(
            outlook, books, contributions, inputs.bars_held
        ):
            return None
        targets, gaps = self._whole_at(outlook, at, books, inputs.mids_usd, inputs.equity_usd)
        acts = gaps.acts
        if not targets.wishes.all_decided:
            acts &= targets.wishes.decided
        outcomes = quiet_outcomes(targets.wishes, np.logical_or(books.own, gaps.total))
        if not np.count_nonzero(acts):
            return Look(count=1, outcomes=outcomes[None], weighed=None)
        return Look(
            count=0,
            outcomes=outcomes[None][:0],
            weighed=weighed(inputs, targets, gaps, outcomes),
        )

    def _whole_at(
        self, outlook: Outlook, at: int, books: Books, mids_usd: Floats, equity_usd: float
    ) -> Whole:
        """Return the targets and gaps `[n]` of one slot whose wishes the outlook knows."""
        assert outlook.contributions is not None
        contributions = outlook.contributions[:, at]
        shares = _times(contributions, outlook.size[at] * (equity_usd / mids_usd))
        targets = _targets_at(at, outlook, books, (contributions, shares))
        return targets, gaps_of(shares, books, mids_usd, self._band)

    def follow(
        self, outlook: Outlook, first: int, inputs: AllocationInputs, equity_usd: Sequence[float]
    ) -> Look | None:
        """Return the look of slots in a row, from number `first` of an outlook on and one for each
        equity, by those columns alone that may act; None where that cannot be told: `look`, then.

        `inputs` are as those of `look` are.
        """
        tracks, least = outlook.tracks, self._rules.hold_bars_min
        if tracks is None or (least and np.count_nonzero(inputs.bars_held < least)):
            return None
        books = self._books(inputs, outlook.names)
        if books.outside is not None or not self._weighs:
            return None
        until = self._steady.until(tracks, first, books.own, min(equity_usd), max(equity_usd))
        count, slots = min(until) - first, len(equity_usd)
        # Until something may act, what is wanted is wanted throughout.
        rested = _rested(books, tracks.load[first], min(count, slots))
        if count >= slots:
            return Look(count=slots, outcomes=rested, weighed=None)
        at, mids_usd, usd = first + count, inputs.mids_usd[count], equity_usd[count]
        inputs = changed(inputs, mids_usd=mids_usd, equity_usd=usd)
        columns = []
        for index in [index for index, row in enumerate(until) if row == at]:
            column = self._column_at(outlook, at, index, inputs, books.own.item(index))
            if column is not None:
                columns.append(column)
        if not columns:
            return None
        acting = Weighed(
            inputs=inputs,
            names=outlook.names,
            columns=columns,
            whole=lambda: self._whole_at(outlook, at, books, mids_usd, usd),
            is_plain=True,
            works=None,
            outcomes=_rested(books, tracks.load[at], 1)[0],
            reasons={},
        )
        return Look(count=count, outcomes=rested, weighed=acting)

    def _column_at(
        self, outlook: Outlook, at: int, index: int, inputs: AllocationInputs, own: float
    ) -> Column | None:
        """Return a column of one book's slot as `_whole_at` would, None where it does not act."""
        assert outlook.contributions is not None
        mid_usd, equity_usd = inputs.mids_usd.item(index), inputs.equity_usd
        strength = outlook.contributions.item(0, at, index)
        target = strength * (outlook.size.item(at, index) * (equity_usd / mid_usd))
        gap, value_usd = target - own, target * mid_usd
        band_usd = max(abs(value_usd) * self._rules.band_of_target, self._rules.band_usd)
        if not (abs(gap) * mid_usd > band_usd or (target == 0.0 and own != 0.0)):
            return None
        return Column(
            index=index,
            held=[own],
            deltas=[gap],
            is_wanted=target != 0.0,
            account=inputs.account_shares.item(index),
            own=own,
            gap=gap,
            target=target,
            strength=strength,
            weight=value_usd / equity_usd,
            mid_usd=mid_usd,
        )

    def outlook(
        self,
        weights: Mapping[StrategyName, float],
        strengths: Mapping[StrategyName, Floats],
        size: Floats,
        clusters: Clusters,
        priced: Flags,
        mids_usd: Floats,
    ) -> Outlook:
        """Return what follows from opinions `[t, n]` whatever the books hold; `priced` `[t, n]`:
        where there is a mid, any positive number elsewhere."""
        names, column, _ = self._voters(weights)
        said = np.full((len(names), *priced.shape), np.nan)
        for row, name in enumerate(names):
            if name in strengths:
                said[row] = strengths[name]
        opined = said == said
        heard = ~np.logical_or.reduce(np.logical_or.reduce(opined, 0) & ~priced, -1)
        opined &= priced
        decided = np.logical_or.reduce(opined, 0)
        mute = ~np.logical_and.reduce(opined, 1)
        found = Outlook(
            names=names,
            strengths=said,
            size=np.ascontiguousarray(size),
            clusters=clusters,
            priced=priced,
            decided=decided,
            all_decided=np.count_nonzero(decided) == decided.size,
            heard=heard,
            mute=mute if np.count_nonzero(mute) else None,
        )
        rules = self._rules
        levels = {"enter": rules.enter, "exit_": rules.exit}
        # Who holds nothing, who is long, who is short: where all come to the same, books say
        # nothing about stances.
        stances = self._stances(said, np.zeros(()), **levels)
        for held in (-1.0, 1.0):
            if np.count_nonzero(self._stances(said, np.array(held), **levels) != stances):
                return found
        contributions = self._combine(stances, column[:, None] * opined)
        load = np.add.reduce(contributions, 0) * size
        is_free = heard & self._free(np.abs(load), clusters)
        is_plain = len(names) == 1 and found.all_decided and np.count_nonzero(is_free) == len(load)
        tracks = Tracks.of(load, mids_usd) if is_plain and found.mute is None else None
        return changed(found, contributions=contributions, is_free=is_free, tracks=tracks)

    def sizes(self, volatilities: Floats) -> Floats:
        """Return the sizes of slots `[t, n]`, from what is known of volatilities there `[t, n]`."""
        return self._sizes_at(volatilities, _medians)

    def _unbound(
        self, outlook: Outlook, inputs: AllocationInputs, equity_usd: Floats
    ) -> tuple[Wishes, Floats, Flags]:
        """Return the wishes, the target shares `[s, t, n]`, and at which slots `[t]` it is certain
        that no cap binds. equity_usd: `[t, n]`."""
        books, mids = self._books(inputs, outlook.names), inputs.mids_usd
        scale = outlook.size * (equity_usd / mids)
        known = self._known(outlook, books, inputs)
        if known is not None:
            assert outlook.is_free is not None
            return known, _times(known.contributions, scale), outlook.is_free
        wishes = self._wished(outlook, books, inputs)
        held, moves = books.held[:, None], wishes.moves
        assert moves is not None
        fixed_shares = inputs.account_shares - np.add.reduce(held * moves, 0)
        combined = np.add.reduce(wishes.contributions, 0)
        load = np.abs(combined) * outlook.size + np.abs(fixed_shares) * (mids / equity_usd)
        shares = _times(wishes.contributions, scale)
        is_free = outlook.heard & self._free(load, outlook.clusters)
        return wishes, np.where(moves, shares, held), is_free

    def _known(self, outlook: Outlook, books: Books, inputs: AllocationInputs) -> Wishes | None:
        """Return the wishes that the outlook knows already, None where books have a say: by what
        they hold of names without an opinion, or hold too short a time to leave."""
        contributions = outlook.contributions
        if contributions is None:
            return None
        if not self._is_settled(outlook, books, contributions, inputs.bars_held):
            return None
        return Wishes(
            books=books,
            contributions=contributions,
            moves=None,
            decided=outlook.decided,
            all_decided=outlook.all_decided,
            silent=None,
            kept=None,
        )

    def _is_settled(
        self, outlook: Outlook, books: Books, contributions: Floats, bars_held: Ints
    ) -> bool:
        """Return whether nothing that is held makes another wish of these contributions
        `[s, n]` or, of many slots, `[s, t, n]`."""
        if books.outside is not None:
            return False
        if outlook.mute is not None and np.count_nonzero(outlook.mute & books.holds):
            return False
        least = self._rules.hold_bars_min
        if not least or not np.count_nonzero(bars_held < least):
            return True
        held = books.held if contributions.ndim == 2 else books.held[:, None]
        return not np.count_nonzero(held_by_minimum(contributions, held, bars_held, bars_min=least))

    def _wished(self, outlook: Outlook, books: Books, inputs: AllocationInputs) -> Wishes:
        """Return the wishes under these books, as `_wishes` does for one slot."""
        rules, held = self._rules, books.held[:, None]
        _, weights, _ = self._voters(inputs.weights)
        opined = (outlook.strengths == outlook.strengths) & outlook.priced
        stances = self._stances(outlook.strengths, held, enter=rules.enter, exit_=rules.exit)
        contributions = self._combine(stances, weights[:, None] * opined)
        kept, moves = None, opined
        if np.count_nonzero(inputs.bars_held < rules.hold_bars_min):
            contributions, moves, kept = self._under_minimum(
                contributions, opined, held, inputs.bars_held
            )
        return Wishes(
            books=books,
            contributions=contributions,
            moves=moves,
            decided=outlook.decided,
            all_decided=outlook.all_decided,
            silent=None,
            kept=kept,
        )

    def _free(self, load: Floats, clusters: Clusters) -> Flags:
        """Return where `[t]` no cap binds on loads `[t, n]`; a hair below one counts as bound."""
        over = np.logical_or.reduce(load > self._rules.max_position * A_HAIR_LESS, -1)
        over |= np.logical_or.reduce(load @ self._all_loads > self._all_caps * A_HAIR_LESS, -1)
        together = np.add.reduce(load, -1)
        full = ~over & (together > self._cluster_cap)
        if np.count_nonzero(full):
            if len(clusters) == 1:
                over |= _over(load, self._grouped(clusters[0]))
            else:
                for row in np.flatnonzero(full).tolist():
                    over[row] = _over(load[row], self._grouped(clusters[row]))
        free: Flags = ~over
        return free


def _targets_at(
    row: int,
    outlook: Outlook,
    books: Books,
    rows: tuple[Floats, Floats],
    kept: Flags | None = None,
) -> Targets:
    """Return the targets of one slot, number `row` of an outlook, as `set_targets` would where no
    cap binds; rows: its contributions and target shares `[s, n]`."""
    decided, (contributions, shares) = outlook.decided[row], rows
    wishes = Wishes(
        books=books,
        contributions=contributions,
        moves=None,
        decided=decided,
        all_decided=outlook.all_decided or np.count_nonzero(decided) == len(decided),
        silent=None,
        kept=kept,
    )
    return Targets(
        wishes=wishes,
        shares=shares,
        combined=over_books(contributions),
        size=outlook.size[row],
        limits=(),
    )


def _rested(books: Books, load: Floats, slots: int) -> Codes:
    """Return the outcomes `[t, n]` of so many slots at which all is decided and nothing acts."""
    if not slots:
        return np.empty((0, load.shape[0]), dtype=np.int8)
    return QUIET_DECIDED.take(np.logical_or(books.own, load))[None].repeat(slots, 0)


def _times(contributions: Floats, scale: Floats) -> Floats:
    """Return contributions `[s, ..., n]` times `[..., n]`."""
    if contributions.shape[0] == 1:
        # Of one shape: that is half the time of unlike ones.
        only: Floats = contributions[0] * scale
        return only[None]
    scaled: Floats = contributions * scale
    return scaled


def _first(flags: Flags) -> int:
    """Return the first row of `[t, ...]` at which something is set, their number if none is."""
    at, rows = int(flags.argmax()), len(flags)
    return at // (flags.size // rows) if flags.item(at) else rows


def _over(load: Floats, groups: Groups | None) -> Flags:
    """Return where `[...]` loads `[..., n]` come near the cap of a cluster."""
    if groups is None:
        return np.zeros(load.shape[:-1], dtype=np.bool_)
    found: Flags = np.logical_or.reduce(load @ groups.loads > groups.caps * A_HAIR_LESS, -1)
    return found


def _medians(values: Floats) -> Floats:
    """Return the median of each row `[t, 1]`, to the bit what `sizing.median` says of it."""
    middle, rest = divmod(values.shape[1], 2)
    if rest:
        found: Floats = np.partition(values, middle, axis=1)[:, middle, None]
        return found
    parted = np.partition(values, (middle - 1, middle), axis=1)
    found = (parted[:, middle - 1, None] + parted[:, middle, None]) / 2
    return found
