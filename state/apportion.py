"""How the shares of one order are divided among the books that want it, lot by lot."""

from collections.abc import Mapping, Sequence
from decimal import Decimal

from domain.money import ZERO, to_quantity
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
    sign = 1 if net > 0 else -1
    lot = _lot((*deltas.values(), filled_shares))
    along = {b: int(sign * d / lot) for b, d in deltas.items() if sign * d > 0}
    against = {b: int(-sign * d / lot) for b, d in deltas.items() if sign * d < 0}
    filled, ordered, opposed = int(filled_shares / lot), int(abs(net) / lot), sum(against.values())
    crossed = (2 * opposed * filled + ordered) // (2 * ordered)
    lots = {b: sign * n for b, n in divide(along, filled + crossed).items()}
    lots |= {b: -sign * n for b, n in divide(against, crossed).items()}
    return {b: lots.get(b, 0) * lot for b in deltas}


def divide(claims: Mapping[BookName, int], seats: int) -> dict[BookName, int]:
    """Return `seats` whole lots divided by claim (each > 0) with Sainte-Laguë's divisors.

    Never takes a lot back as `seats` grows; ties go to the name that sorts first. Requires
    0 ≤ seats ≤ Σ claims.
    """
    total = sum(claims.values())
    if seats == total:
        return dict(claims)
    given = {b: (2 * claim * seats + total) // (2 * total) for b, claim in claims.items()}
    missing = seats - sum(given.values())
    # The book whose next (or last) divisor 2n ± 1 is smallest (largest) beside its claim; compared
    # as exact fractions over the product of all claims' common total.
    names = sorted(claims)
    for _ in range(missing):
        chosen = _first_by(names, {b: (2 * given[b] + 1, claims[b]) for b in names})
        given[chosen] += 1
    for _ in range(-missing):
        chosen = _first_by(names[::-1], {b: (-(2 * given[b] - 1), claims[b]) for b in names})
        given[chosen] -= 1
    return given


def _first_by(names: Sequence[BookName], ratios: Mapping[BookName, tuple[int, int]]) -> BookName:
    """Return the first name with the least ratio, compared without rounding."""
    best = names[0]
    for name in names[1:]:
        (above, below), (best_above, best_below) = ratios[name], ratios[best]
        if above * best_below < best_above * below:
            best = name
    return best


def _lot(amounts: Sequence[Decimal]) -> Decimal:
    """Return the coarsest power of ten, one share at most, that all amounts are multiples of."""
    exponent = 0
    for amount in amounts:
        if amount != to_quantity(amount, Decimal(1)):
            found = amount.normalize().as_tuple().exponent
            exponent = min(exponent, found) if isinstance(found, int) else exponent
    return Decimal(1).scaleb(exponent)
