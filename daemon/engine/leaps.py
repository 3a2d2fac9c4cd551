"""Prices of what is held that leap: other shares, or news? The account is asked before either is
believed.

A price that moves by more than LEAP_SHARE between two quotes may be the price of other shares: a
split that the book does not know of yet, as it was told late, or the venue's day began after ours.
Until a report of the account that was read after the leap shows the shares the book holds, the
symbol keeps the mark it had (so that no loss and no peak is latched), nothing is ordered in it, and
no stop sells it; for LEAP_WAIT at most, but LEAP_POLLS_MIN polls at least.
"""

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from decimal import Decimal

from daemon.engine.commands import Command, Compare, Notify
from daemon.engine.core import Core, Leap
from domain.instruments import Symbol
from domain.money import ZERO
from domain.orders import Severity
from domain.portfolio import AccountReport
from risk.prices import LEAP_SHARE

LEAP_AGAIN = timedelta(minutes=1)
"""Market time after a comparison for which further leaps of its symbol are believed at once: quotes
that go to and fro must not keep a stop from selling for ever."""
LEAP_WAIT = timedelta(minutes=15)
"""Market time for which the account is waited for; then the price is believed, and that is said."""
LEAP_POLLS_MIN = 60
"""Polls of quotes for which it is waited for at least: where market time runs faster than time, a
quarter of an hour may be over before the venue could answer once."""


class Leaps:
    """Knows which prices have leapt since the account was last read."""

    def __init__(self, core: Core) -> None:
        self._core = core
        self._compared_at: dict[Symbol, datetime] = {}

    def quoted(self, leapt: Sequence[Symbol]) -> list[Command]:
        """Take in which symbols' last quote is far from the one before, or is the first."""
        core, commands = self._core, list[Command]()
        for symbol in leapt:
            held = core.memory.portfolio.positions.get(symbol)
            if held is None or self._was_compared(symbol):
                continue
            # As the account's worth has counted it so far.
            mark_usd = core.memory.marks.get(symbol) or held.average_entry_usd
            if not mark_usd:
                continue
            mid_usd = core.board.quotes[symbol].mid_usd
            known = core.leapt.get(symbol)
            if abs(mid_usd / float(mark_usd) - 1.0) <= LEAP_SHARE:
                # Back where it was: a bad print.
                core.believe(symbol)
                continue
            seen_at = known.seen_at if known else core.now
            polls = known.polls if known else 0
            core.leapt[symbol] = Leap(
                seen_at=seen_at, last_at=core.now, mark_usd=mark_usd, polls=polls
            )
            if known is None:
                commands += [_told(symbol, mark_usd, mid_usd, core.now), Compare()]
        return commands

    def compared(self, account: AccountReport) -> bool:
        """Believe the prices of the symbols in which the account holds what the book holds;
        return whether there are any."""
        core, is_any = self._core, False
        held = core.memory.portfolio
        for symbol, leap in list(core.leapt.items()):
            theirs = account.positions.get(symbol)
            is_ours = (theirs.quantity_shares if theirs else ZERO) == held.shares(symbol)
            if is_ours and leap.last_at <= account.reported_at:
                core.believe(symbol)
                self._compared_at[symbol] = core.now
                is_any = True
        if is_any:
            core.refresh_marks()
        return is_any

    def _was_compared(self, symbol: Symbol) -> bool:
        compared_at = self._compared_at.get(symbol)
        if compared_at is None:
            return False
        if self._core.now - compared_at <= LEAP_AGAIN:
            return True
        del self._compared_at[symbol]
        return False

    def waited(self) -> list[Command]:
        """Believe what the account could not be asked about in time."""
        core, overdue = self._core, list[Symbol]()
        for symbol, leap in core.leapt.items():
            core.leapt[symbol] = replace(leap, polls=leap.polls + 1)
            if core.now - leap.seen_at > LEAP_WAIT and leap.polls >= LEAP_POLLS_MIN:
                overdue.append(symbol)
        for symbol in overdue:
            core.believe(symbol)
        return [_given_up(symbol, core.now) for symbol in overdue]


def _told(symbol: Symbol, mark_usd: Decimal, mid_usd: float, now: datetime) -> Notify:
    return Notify(
        key=f"leapt:{symbol}:{now.isoformat()}",
        severity=Severity.WARNING,
        message=f"{symbol} leapt from {mark_usd:.2f} to {mid_usd:.2f} USD: nothing is bought or "
        f"sold on it before the account was compared, for {LEAP_WAIT.seconds // 60} min at most",
    )


def _given_up(symbol: Symbol, now: datetime) -> Notify:
    return Notify(
        key=f"leap believed:{symbol}:{now.isoformat()}",
        severity=Severity.CRITICAL,
        message=f"the account could not be compared for {LEAP_WAIT.seconds // 60} min: the price "
        f"to which {symbol} leapt is believed; see whether its shares have split",
    )
