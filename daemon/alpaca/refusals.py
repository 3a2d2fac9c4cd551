"""What Alpaca's refusals of orders are about: the table.

Status and code are stable and shared by many refusals, messages change freely: the first row whose
status, code and words all fit decides, and what no row knows lasts, and is told. Sources of codes
and words: the venue's reference and what has been seen on its wire.
"""

from typing import NamedTuple

from domain.errors import WhyRefused

_ANY = None


class Row(NamedTuple):
    """Refusals with this code (None: any) that have one of these words; none: all of the code."""

    code: int | None
    words: tuple[str, ...]
    why: WhyRefused


FORBIDDEN, DAY_TRADING = 40310000, 40310100
INVALID, AGAINST_RULE, MALFORMED = 40010001, 42210000, 40010000

REFUSALS: tuple[Row, ...] = (
    Row(_ANY, ("insufficient buying power", "insufficient balance"), WhyRefused.FUNDS),
    Row(_ANY, ("cost basis must be", "notional must be"), WhyRefused.FUNDS),
    Row(_ANY, ("insufficient qty available", "insufficient quantity"), WhyRefused.SHARES),
    Row(_ANY, ("wash trade", "while a long buy", "while a short sell"), WhyRefused.OPPOSITE),
    Row(_ANY, ("must be exit orders", "must be entry orders"), WhyRefused.MOMENT),
    Row(_ANY, ("not open", "market is closed", "halted"), WhyRefused.MOMENT),
    Row(_ANY, ("is not active", "is not tradable", "not fractionable"), WhyRefused.ASSET),
    Row(_ANY, ("cannot be sold short", 'asset "', "asset not found"), WhyRefused.ASSET),
    Row(DAY_TRADING, (), WhyRefused.ACCOUNT),
    Row(FORBIDDEN, ("account is", "rejected by user request"), WhyRefused.ACCOUNT),
    Row(INVALID, (), WhyRefused.TERMS),
    Row(AGAINST_RULE, (), WhyRefused.TERMS),
    Row(MALFORMED, (), WhyRefused.TERMS),
)


def why_refused(code: int | None, said: str) -> WhyRefused:
    """Return what a refusal is about; UNKNOWN when no row of the table fits."""
    words = said.lower()
    for row in REFUSALS:
        if row.code in (_ANY, code) and (not row.words or any(w in words for w in row.words)):
            return row.why
    return WhyRefused.UNKNOWN
