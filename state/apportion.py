"""How the shares of one order are divided among the books that want it, lot by lot."""

from collections.abc import Mapping, Sequence
from decimal import Decimal

from domain.money import ZERO
from domain.orders import BookName


def apportion(
    deltas: Mapping[BookName, Decimal], filled_shares: Decimal
) -> dict[BookName, Decimal]:
    """Return the signed shares each book has got once `filled_shares` (> 0) of an order filled.

    `deltas` are what each book wants and sum to the order (not 0). The answer sums to
    sign × filled_shares, equals `deltas` when all is filled, and depends on nothing else, so that
    any sequence of partial fills ends alike. Opposite deltas cross in proportion. Books are served
    by Sainte-Laguë's divisors rather than Hamilton's largest remainders: with those a further
    share can take one away from a book (the Alabama paradox), with divisors each book only ever
    moves its own way. Raises ValueError for more shares than ordered.
    Source: Balinski and Young, Fair Representation, 2nd ed., 2001.
    """
    net = sum(deltas.values(), ZERO)
    ordered = abs(net)
    if not 0 < filled_shares <= ordered:
        raise ValueError(f"{filled_shares} shares are no part of an order for {ordered}")
    if filled_shares == ordered:
        return dict(deltas)
    if len(deltas) == 1:
        return {name: filled_shares if net > 0 else -filled_shares for name in deltas}
    return _partial(deltas, net, filled_shares)


def _partial(
    deltas: Mapping[BookName, Decimal], net: Decimal, filled_shares: Decimal
) -> dict[BookName, Decimal]:
    lot = _lot((*deltas.values(), filled_shares))
    wanted = {name: _lots(delta, lot) for name, delta in deltas.items()}
    filled, ordered = _lots(filled_shares, lot), abs(_lots(net, lot))
    along = {name: lots for name, lots in wanted.items() if (lots > 0) == (net > 0)}
    if len(along) == len(wanted):
        got = divide(along, filled)
    else:
        against = {name: lots for name, lots in wanted.items() if name not in along}
        crossed = (2 * _size(against) * filled + ordered) // (2 * ordered)
        got = divide(along, filled + crossed) | divide(against, crossed)
    return {name: (got[name] if lots > 0 else -got[name]) * lot for name, lots in wanted.items()}


def _lots(shares: Decimal, lot: Decimal) -> int:
    return int(shares if lot == 1 else shares / lot)


def _size(claims: Mapping[BookName, int]) -> int:
    return sum(abs(claim) for claim in claims.values())


def divide(claims: Mapping[BookName, int], seats: int) -> dict[BookName, int]:
    """Return `seats` whole lots divided by the size of claims (≠ 0) with Sainte-Laguë's divisors.

    Never takes a lot back as `seats` grows; ties go to the name that sorts first. Requires
    0 ≤ seats ≤ Σ |claims|.
    """
    total = _size(claims)
    if len(claims) < 2 or seats in (0, total):
        return {name: abs(claim) * seats // max(total, 1) for name, claim in claims.items()}
    sizes = sorted((name, abs(claim)) for name, claim in claims.items())
    given = {name: (2 * size * seats + total) // (2 * total) for name, size in sizes}
    missing = seats - sum(given.values())
    for _ in range(missing):
        given[_next(sizes, given)] += 1
    for _ in range(-missing):
        given[_last(sizes, given)] -= 1
    return given


def _next(sizes: Sequence[tuple[BookName, int]], given: Mapping[BookName, int]) -> BookName:
    """Return whose next divisor is least beside its claim: (2n + 1) / size, without rounding."""
    best, best_size = sizes[0]
    for name, size in sizes[1:]:
        if (2 * given[name] + 1) * best_size < (2 * given[best] + 1) * size:
            best, best_size = name, size
    return best


def _last(sizes: Sequence[tuple[BookName, int]], given: Mapping[BookName, int]) -> BookName:
    """Return whose last divisor, (2n − 1) / size, is greatest: the lot given out last."""
    best, best_size = sizes[-1]
    for name, size in reversed(sizes[:-1]):
        if (2 * given[name] - 1) * best_size > (2 * given[best] - 1) * size:
            best, best_size = name, size
    return best


def _lot(amounts: Sequence[Decimal]) -> Decimal:
    """Return the coarsest power of ten, one share at most, that all amounts are multiples of."""
    exponent = 0
    for amount in amounts:
        if amount % 1:
            found = amount.normalize().as_tuple().exponent
            exponent = min(exponent, int(found))
    return Decimal(1).scaleb(exponent)
