"""Splits and dividends beside bars: raw prices trade, prices in today's shares inform.

Bars with a file of corporate actions beside them (as for the exchange's `--market`) are as traded.
What strategies, sizes and statistics see of the past is in the shares of the instant they see it
at, as a daemon's panels are after a split. It is kept in the shares of the first bar, so that it
never depends on a split to come, and divided by the shares that one has become.
"""

from dataclasses import replace
from pathlib import Path

import numpy as np

from domain.errors import ConfigurationFault
from domain.market import Floats
from exchange.corporate_actions import CorporateAction
from exchange.markets.action_files import action_path, read_actions
from research.backtest.history import Frame, History

NIGHT_MAX = 1.6
"""A night's move, as a ratio either way; what is left of a jump beyond it is a split's."""


def with_actions(history: History, data: Path) -> History:
    """Return the history with the actions that lie beside its file, itself where there are none.

    Raises ConfigurationFault for a file that cannot be read, and for bars that are not as traded
    where it says they split.
    """
    path = action_path(data)
    if path is None:
        return history
    days = [session.day for session in history.sessions]
    table = read_actions(path, days, history.symbols)
    daily = next(frame for t, frame in history.frames.items() if not t.is_intraday)
    for action in table.actions:
        if action.is_split:
            _check_is_raw(action, history, daily, path)
    return replace(history, actions=table)


def shares_grown(history: History, frame: Frame) -> Floats | None:
    """Return how many shares one share of the first bar has become by each row of a frame
    `[t, n]`; None where nothing ever splits."""
    splits = [action for action in history.actions.actions if action.is_split]
    if not splits:
        return None
    grown = np.ones(frame.close.shape)
    column_of = {str(symbol): column for column, symbol in enumerate(history.symbols)}
    row_of = {s.day: frame.first[k] for k, s in enumerate(history.sessions)}
    for action in splits:
        grown[row_of[action.ex_date] :, column_of[action.symbol]] *= float(action.ratio)
    grown.flags.writeable = False
    return grown


def in_first_shares(frame: Frame, grown: Floats) -> Frame:
    """Return a frame's bars in the shares of the first bar."""
    return replace(
        frame,
        open=_kept(frame.open * grown),
        high=_kept(frame.high * grown),
        low=_kept(frame.low * grown),
        close=_kept(frame.close * grown),
        volume=_kept(frame.volume / grown),
    )


def _kept(values: Floats) -> Floats:
    values.flags.writeable = False
    return values


def _check_is_raw(action: CorporateAction, history: History, daily: Frame, path: Path) -> None:
    """Refuse bars that look through a split which is to be carried out on them."""
    row = daily.first[[session.day for session in history.sessions].index(action.ex_date)]
    column = [str(symbol) for symbol in history.symbols].index(action.symbol)
    closes = daily.close[:row, column]
    known = np.flatnonzero(np.isfinite(closes))
    opened = daily.open[row, column]
    if not len(known) or not np.isfinite(opened):
        return
    jump, ratio = float(closes[known[-1]] / opened), float(action.ratio)
    is_flat = 1 / NIGHT_MAX < jump < NIGHT_MAX
    if is_flat and not 1 / NIGHT_MAX < jump / ratio < NIGHT_MAX:
        raise ConfigurationFault(
            f"{path.name}: {action.symbol} splits {action.new_rate} for {action.old_rate} on "
            f"{action.ex_date}, and its bars do not jump there: they are adjusted already; give "
            "bars as traded (data download --adjustment raw), or take the file away"
        )
