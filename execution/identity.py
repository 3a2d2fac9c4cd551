"""What an order is called at the venue: a function of why it exists, so that it exists once."""

import hashlib
from base64 import b32encode
from datetime import UTC, datetime

from domain.instruments import Symbol
from domain.orders import BookName, Leg

PREFIX = "tw1-"
"""Every id of ours begins so; the digit is the version of the recipe."""
DIGEST_BYTES = 20
"""160 bits make 32 characters without padding: 36 with the prefix, 48 allowed."""


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
    if slot_at.tzinfo is None:
        raise ValueError(f"a slot is an aware instant, not {slot_at!r}")
    slot = slot_at.astimezone(UTC).isoformat(timespec="microseconds")
    parts = (account_id, book, symbol, slot, leg.value, str(ordinal))
    # Each part goes in with its length, so that no two lists of parts read alike.
    joined = "".join(f"{len(part)}:{part}" for part in parts)
    digest = hashlib.blake2b(joined.encode(), digest_size=DIGEST_BYTES).digest()
    return PREFIX + b32encode(digest).decode().lower()


def is_ours(client_order_id: str) -> bool:
    """Return whether an order found at the venue was named by this program."""
    return client_order_id.startswith(PREFIX)
