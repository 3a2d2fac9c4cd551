"""A market whose companies split and pay far more often than any do, so that it befalls what is
held: several a day among a dozen symbols, some announced long before, some on the very day."""

from collections.abc import Sequence
from datetime import date
from decimal import Decimal

import numpy as np

from domain.instruments import Universe
from domain.market import Floats
from exchange.corporate_actions import ActionKind, ActionTable, CorporateAction
from exchange.markets.action_plans import ActionPlan, shifted
from exchange.markets.synthetic import START_DAY, SyntheticMarket
from research.simulation.kernel.chance import Chance

SPLITS_A_SESSION, DIVIDENDS_A_SESSION = 0.14, 0.20
"""Of one symbol."""
SESSIONS = 300
"""After the market's first trading day; none befall later."""
FORWARD = ((2, 1), (3, 1), (3, 2))
REVERSE = ((1, 2), (1, 3), (2, 3))
FORWARD_FROM_USD = 90.0
DIVIDEND_SHARES = (0.002, 0.01, 0.05)
"""Of the price before: the last is more than a stop or a day's loss allows."""
DECLARED_LEADS = (0, 1, 5)
PAY_DELAYS = (0, 1, 2)
"""Sessions from the ex-date to the payment: weeks in life, which no world would see."""


class EventfulMarket(SyntheticMarket):
    """A synthetic market with actions of its own; seed and universe determine all of it."""

    def __init__(self, *, seed: int, universe: Universe, liveliness: float) -> None:
        super().__init__(seed=seed, universe=universe, liveliness=liveliness, with_actions=True)

    def _plan(self, universe: Universe) -> None:
        plan = _planned(
            universe.symbols,
            self._history.close_log,
            [session.day for session in self.calendar.sessions],
            chance=Chance(self.seed).fork("actions"),
            base_row=self._row_of[START_DAY],
        )
        self._history = shifted(self._history, plan)
        self.actions = plan.table


def _planned(
    symbols: Sequence[str],
    close_log: Floats,
    days: Sequence[date],
    *,
    chance: Chance,
    base_row: int,
) -> ActionPlan:
    split_log, dividend_log = np.zeros(close_log.shape), np.zeros(close_log.shape)
    actions: list[CorporateAction] = []
    for column, symbol in enumerate(symbols):
        drawn = chance.fork(symbol)
        for row in range(base_row + 1, base_row + SESSIONS):
            shift = split_log[row - 1, column] + dividend_log[row - 1, column]
            before_usd = float(np.exp(close_log[row - 1, column] + shift))
            if drawn.hits(SPLITS_A_SESSION):
                new, old = drawn.pick(FORWARD if before_usd > FORWARD_FROM_USD else REVERSE)
                split_log[row:, column] -= np.log(new / old)
                actions.append(_split(symbol, row, days, (new, old), drawn.pick(DECLARED_LEADS)))
            elif drawn.hits(DIVIDENDS_A_SESSION):
                share = drawn.pick(DIVIDEND_SHARES)
                dividend_log[row:, column] += np.log1p(-share)
                paid = days[row + drawn.pick(PAY_DELAYS)]
                terms = share * before_usd, paid, drawn.pick(DECLARED_LEADS)
                actions.append(_dividend(symbol, row, days, terms))
    return ActionPlan(table=ActionTable(actions), split_log=split_log, dividend_log=dividend_log)


def _split(
    symbol: str, row: int, days: Sequence[date], rates: tuple[int, int], lead: int
) -> CorporateAction:
    new, old = rates
    return CorporateAction(
        symbol=symbol,
        kind=ActionKind.FORWARD_SPLIT if new > old else ActionKind.REVERSE_SPLIT,
        ex_date=days[row],
        declared_on=days[row - lead],
        record_date=days[row],
        payable_date=days[row],
        old_rate=Decimal(old),
        new_rate=Decimal(new),
    )


def _dividend(
    symbol: str, row: int, days: Sequence[date], terms: tuple[float, date, int]
) -> CorporateAction:
    cash_usd, paid, lead = terms
    return CorporateAction(
        symbol=symbol,
        kind=ActionKind.CASH_DIVIDEND,
        ex_date=days[row],
        declared_on=days[row - lead],
        record_date=days[row],
        payable_date=paid,
        cash_usd=max(Decimal("0.01"), Decimal(repr(round(cash_usd, 2)))),
        reference_usd=cash_usd,
    )
