"""Daily bars as a holder lives them: splits carried out, dividends put back into the same stock."""

from dataclasses import replace

import numpy as np

from domain.calendar import Timeframe
from domain.market import Floats
from research.backtest.actions import shares_grown
from research.backtest.history import Frame, History


def held_frame(history: History) -> Frame:
    """Return a history's daily bars so that a price over another is what holding made.

    Where no corporate actions lie beside the bars these are the bars themselves. Else prices are in
    shares of the first bar, each dividend D put back at the close P before its ex-date, a factor of
    P/(P − D) from then on. Costs a share are then those of larger shares than were traded.
    """
    frame = history.frames[Timeframe.DAY]
    if not len(history.actions):
        return frame
    grown = shares_grown(history, frame)
    factor = _put_back(history, frame) * (1.0 if grown is None else grown)
    return replace(
        frame,
        open=_kept(frame.open * factor),
        high=_kept(frame.high * factor),
        low=_kept(frame.low * factor),
        close=_kept(frame.close * factor),
        volume=_kept(frame.volume / factor),
    )


def _put_back(history: History, frame: Frame) -> Floats:
    """Return what dividends put back have made of one share by each row `[t, n]`."""
    factor = np.ones(frame.close.shape)
    row_of = {session.day: row for row, session in enumerate(history.sessions)}
    column_of = {str(symbol): column for column, symbol in enumerate(history.symbols)}
    for action in history.actions.actions:
        row, column = row_of.get(action.ex_date), column_of.get(action.symbol)
        if action.is_split or row is None or column is None:
            continue
        before = frame.close[:row, column]
        known = before[np.isfinite(before)]
        paid = float(action.cash_usd)
        if len(known) and paid < known[-1]:
            factor[row:, column] *= known[-1] / (known[-1] - paid)
    return factor


def _kept(values: Floats) -> Floats:
    values.flags.writeable = False
    return values
