"""What an order is called at the venue: a function of why it exists, so that it exists once."""

import hashlib
from datetime import UTC, datetime
from functools import lru_cache

from domain.instruments import Symbol
from domain.orders import BookName, Leg

PREFIX = "tw1-"
"""Every id of ours begins so; the digit is the version of the recipe."""
DIGEST_BYTES = 20
"""160 bits make 32 characters without padding: 36 with the prefix, 48 allowed."""
BEGUN_MAX = 64
"""Accounts × books whose hashes are kept begun."""
SLOTS_MAX = 64
"""Slots whose text is kept."""


def client_order_id(
    account_id: str,
    book: BookName,
    symbol: Symbol,
    slot_at: datetime,
    leg: Leg,
    ordinal: int,
) -> str:
    """Return the id of one order, the same in every process and at every attempt.

    `ordinal` counts the finished orders of this (slot, leg) from 0. Quantity, price, process and
    attempt stay out on purpose: a restart may compute another share or cent, and must meet its own
    earlier order, not place a second one. Raises ValueError for a naive `slot_at`.
    """
    counted = str(ordinal)
    # Each part goes in with its length, so that no two lists of parts read alike.
    hashed = _begun(account_id, book).copy()
    hashed.update(
        f"{len(symbol)}:{symbol}{slot_part(slot_at)}{_LEG_PARTS[leg]}{len(counted)}:{counted}".encode()
    )
    return PREFIX + base32(hashed.digest())


@lru_cache(maxsize=BEGUN_MAX)
def _begun(account_id: str, book: BookName) -> hashlib.blake2b:
    """Return a hash that has taken in what all ids of a book begin with; to be copied."""
    text = f"{len(account_id)}:{account_id}{len(book)}:{book}"
    return hashlib.blake2b(text.encode(), digest_size=DIGEST_BYTES)


@lru_cache(maxsize=SLOTS_MAX)
def slot_part(slot_at: datetime) -> str:
    """Return a slot as it goes into the hash. Raises ValueError for a naive one."""
    if slot_at.tzinfo is None:
        raise ValueError(f"a slot is an aware instant, not {slot_at!r}")
    at = slot_at.astimezone(UTC)
    # What `isoformat(timespec="microseconds")` says, which takes three times as long.
    return (
        f"32:{at.year:04}-{at.month:02}-{at.day:02}"
        f"T{at.hour:02}:{at.minute:02}:{at.second:02}.{at.microsecond:06}+00:00"
    )


_LEG_PARTS = {leg: f"{len(leg.value)}:{leg.value}" for leg in Leg}
_DIGITS = b"abcdefghijklmnopqrstuvwxyz234567".ljust(256)
"""RFC 4648's base-32 digits, in small letters, at the five bits that each stands for."""


def _halvings(bits: int, places: int) -> list[tuple[int, int, int]]:
    """Return how `bits` bits come to lie in `places` places, five in the low end of every eight:
    by halving. Of each group that is left, its upper half, its lower half (masks over the whole),
    and how far the upper one moves."""
    steps, groups = [], 1
    while bits > 5:
        ones = (1 << bits // 2) - 1
        lower = sum(ones << group * places for group in range(groups))
        bits, places, groups = bits // 2, places // 2, groups * 2
        steps.append((lower << bits, lower, places - bits))
    return steps


_HALVINGS = _halvings(DIGEST_BYTES * 8, 256)


def base32(digest: bytes) -> str:
    """Return what `base64.b32encode` does of DIGEST_BYTES, in small letters; that one takes as
    long as all the rest of an order's name."""
    bits = int.from_bytes(digest, "big")
    for upper, lower, distance in _HALVINGS:
        bits = (bits & upper) << distance | bits & lower
    return bits.to_bytes(32, "big").translate(_DIGITS).decode()


def is_ours(client_order_id: str) -> bool:
    """Return whether an order found at the venue was named by this program."""
    return client_order_id.startswith(PREFIX)
