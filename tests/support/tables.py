"""The tables that the guide to reliability shows, written from the code."""

from daemon.alpaca.refusals import REFUSALS
from domain.errors import WhyRefused
from risk.breakers import BREAKERS, BreakerLimits, armed
from risk.halts import LATCHES
from risk.limits import RiskLimits
from state.reconcile import ORDER_TABLE


def refusals() -> str:
    """What the venue's refusals of orders are about, and whether the next slot may ask again."""
    lines = ["| code | words | it is about | the next slot |", "|---|---|---|---|"]
    for row in REFUSALS:
        words = ", ".join(f"`{w}`" for w in row.words) or "any"
        then = "does not ask" if row.why.is_lasting else "may ask again"
        lines.append(f"| {row.code or 'any'} | {words} | {row.why.value} | {then} |")
    unknown = WhyRefused.UNKNOWN
    lines.append(f"| any other | any | {unknown.value} | does not ask |")
    return "\n".join(lines) + "\n"


def reconciling() -> str:
    """What is done about an order, by what each side says of it."""
    lines = ["| ours | the venue's | what is done |", "|---|---|---|"]
    for (ours, theirs), action in ORDER_TABLE.items():
        lines.append(f"| {ours.value} | {theirs.value} | {action.value} |")
    return "\n".join(lines) + "\n"


def breakers() -> str:
    """Every circuit breaker with its limits at their defaults."""
    limits = armed(BreakerLimits(), RiskLimits())
    lines = ["| breaker | trips beyond | setting | then |", "|---|---|---|---|"]
    for breaker in BREAKERS:
        for gauge in breaker.gauges:
            word = "below " if gauge.is_floor else ""
            limit = f"{word}{gauge.text(limits[gauge.setting])}"
            state = LATCHES[breaker.cause].state.value
            lines.append(f"| {breaker.cause.value} | {limit} | `{gauge.setting}` | {state} |")
    return "\n".join(lines) + "\n"
