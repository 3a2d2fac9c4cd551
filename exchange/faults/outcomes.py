"""Which orders and executions a fault befalls that turns them into something else."""

from exchange.fates import Fate
from exchange.faults.rules import Rule
from exchange.records import VenueEvent
from exchange.service import Exchange

BUST, CORRECT = "trade_bust", "trade_correct"
SOON_S = 0.001
"""Market seconds after which what was told turns: never in the same instant."""
CORRECTED = 1.01
"""What a corrected price is times the old one, where a script does not say."""


def turn(exchange: Exchange, rule: Rule, event: VenueEvent) -> None:
    """Turn the order or execution of an event into what a rule says."""
    fates = exchange.venue.fates
    if rule.how not in (BUST, CORRECT):
        if event.order is not None:
            fates.turn(event.order.id, Fate(rule.how))
    elif event.execution is not None:
        _take_back(exchange, rule, event.execution.id)
    exchange.settle()


def turn_all(exchange: Exchange, rule: Rule) -> None:
    """Turn every open order of a rule's symbol (of all without one), or for what becomes of trades
    the last execution that stands."""
    venue = exchange.venue
    if rule.how in (BUST, CORRECT):
        standing = [e for e in venue.register.standing() if rule.symbol in ("", e.symbol)]
        if standing:
            _take_back(exchange, rule, standing[-1].id)
    else:
        for order in venue.book.open_orders():
            if rule.symbol in ("", order.symbol):
                venue.fates.turn(order.id, Fate(rule.how))
    exchange.settle()


def turn_back(exchange: Exchange, rule: Rule) -> None:
    """Let the orders that a rule has turned work again."""
    if rule.how in (BUST, CORRECT, Fate.REJECTED, Fate.RESTATED):
        return
    for order in exchange.venue.book.open_orders():
        if rule.symbol in ("", order.symbol):
            exchange.venue.fates.resume(order.id, Fate(rule.how))
    exchange.settle()


def _take_back(exchange: Exchange, rule: Rule, execution_id: str) -> None:
    fates = exchange.venue.fates
    if rule.how == BUST:
        fates.bust(execution_id)
    else:
        fates.correct(execution_id, CORRECTED if rule.factor == 1.0 else rule.factor)
