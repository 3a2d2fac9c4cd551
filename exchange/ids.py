"""Ids as pure functions of (seed, kind, sequence): the same run gives the same ones."""

from hashlib import blake2b

_CROCKFORD = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"


def uuid_text(*parts: object) -> str:
    """Return the text of a UUID (version 4's form) derived from the parts."""
    name = "\x1f".join(map(str, parts)).encode()
    digest = bytearray(blake2b(name, digest_size=16).digest())
    digest[6] = (digest[6] & 0x0F) | 0x40
    digest[8] = (digest[8] & 0x3F) | 0x80
    text = digest.hex()
    return f"{text[:8]}-{text[8:12]}-{text[12:16]}-{text[16:20]}-{text[20:]}"


def hex_text(*parts: object) -> str:
    """Return 32 hexadecimal digits derived from the parts."""
    return blake2b("\x1f".join(map(str, parts)).encode(), digest_size=16).hexdigest()


def ulid_text(at_ns: int, sequence: int, seed: int) -> str:
    """Return a ULID that sorts by time, then by sequence.

    48 bits of milliseconds, 40 bits of sequence, 40 bits from the seed. Source: ULID spec.
    """
    tail = int.from_bytes(blake2b(f"{seed}\x1f{sequence}".encode(), digest_size=5).digest(), "big")
    number = ((at_ns // 1_000_000) << 80) | ((sequence & 0xFFFFFFFFFF) << 40) | tail
    return "".join(_CROCKFORD[(number >> shift) & 31] for shift in range(125, -1, -5))


def asset_id(symbol: str) -> str:
    """Return the id of a symbol's asset, the same on every exchange of ours."""
    return uuid_text("asset", symbol)
