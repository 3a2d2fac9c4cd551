"""Random numbers that depend on what they are for and on nothing else.

Counter-based generators (Philox) keyed by seed, name and day: any day of any symbol can be drawn
without drawing another first, and a symbol's prices do not depend on who else is in the universe.
"""

from hashlib import blake2b

import numpy as np

_WORD = 1 << 64


def stream(seed: int, name: str, ordinal: int = 0) -> np.random.Generator:
    """Return the generator of a purpose.

    `name` says what is drawn (`"AAPL/ticks"`), `ordinal` is the day's proleptic ordinal, or 0 for
    what is drawn once for all days.
    """
    word = int.from_bytes(blake2b(name.encode(), digest_size=8).digest(), "little")
    # Philox counts up in the first word of its counter; the day sits two words above, so that no
    # number of draws runs into another day's.
    counter = np.array([0, 0, ordinal % _WORD, 0], dtype=np.uint64)
    key = np.array([seed % _WORD, word], dtype=np.uint64)
    return np.random.Generator(np.random.Philox(counter=counter, key=key))
