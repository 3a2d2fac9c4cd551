"""Orders that the venue refuses: whether the next slot may ask again, and what a person is told."""

from collections.abc import Iterable, Mapping
from datetime import timedelta

from daemon.engine.commands import Notify
from daemon.engine.core import Core
from daemon.memory import Refused
from domain.errors import WhyRefused
from domain.events import SubmitRejected
from domain.instruments import Symbol
from domain.orders import Leg, Order, Severity

ASKED_AGAIN_AFTER = timedelta(minutes=15)
"""Market time after which what only closes is asked for again, though it was refused for good."""

ADVICE: Mapping[WhyRefused, str] = {
    WhyRefused.MOMENT: "nothing: the next slot may ask again",
    WhyRefused.FUNDS: "nothing: the account is compared, and the next slot sized by what is there",
    WhyRefused.SHARES: "nothing: the account is compared; see `tradewind orders` for what holds "
    "the shares",
    WhyRefused.OPPOSITE: "nothing, unless another program or person has an order there: "
    "`tradewind orders`",
    WhyRefused.ASSET: "see the venue's page of the asset; if it stays so, name it in "
    "EXCLUDED_SYMBOLS",
    WhyRefused.ACCOUNT: "sign in at the venue and see what the account may do; then `tradewind "
    "resume`",
    WhyRefused.TERMS: "the program and the venue disagree about what an order is: report it with "
    "what `tradewind explain` says of this one",
    WhyRefused.UNKNOWN: "read what the venue says; `tradewind resume` has it asked again",
}
"""What a person is to do about each kind of refusal."""


def refused(core: Core, order: Order, event: SubmitRejected) -> Notify:
    """Remember what would be refused again, and return what a person is told. No new risk is asked
    for in such a symbol until something changes: its asset, the session, or a resume."""
    symbol, why = order.intent.symbol, event.why
    is_protective = order.intent.leg is not Leg.OPEN
    if why.is_lasting:
        core.memory.refused[symbol] = Refused(core.now, why)
        core.memory.count("refused_for_good")
    is_grave = why.is_lasting and (is_protective or why is WhyRefused.UNKNOWN)
    after = ""
    if why.is_lasting:
        after = "; nothing new of it is asked for until that changes"
    return Notify(
        key=f"rejected:{symbol}",
        severity=Severity.CRITICAL if is_grave else Severity.WARNING,
        message=f"the venue rejected an order for {symbol}: {event.reason}{after}",
        fields={
            "client_order_id": event.client_order_id,
            "code": str(event.code),
            "about": why.value,
            "action": ADVICE[why],
        },
    )


def lift(core: Core, symbols: Iterable[Symbol]) -> None:
    """Let what was refused for good be asked for again: something about it has changed."""
    for symbol in list(symbols):
        core.memory.refused.pop(symbol, None)


def may_close(core: Core, symbol: Symbol) -> bool:
    """Return whether it is time to ask again for what only closes."""
    known = core.memory.refused.get(symbol)
    return known is None or core.now - known.at >= ASKED_AGAIN_AFTER
