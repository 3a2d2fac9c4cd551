"""Which market an operator means by `--market`."""

from pathlib import Path
from typing import TYPE_CHECKING

from domain.errors import ConfigurationFault
from domain.instruments import Universe
from exchange.markets.synthetic import SyntheticMarket

if TYPE_CHECKING:
    from exchange.markets.files import FileMarket

SYNTHETIC = "synthetic"


def open_market(
    spec: str, *, seed: int, universe: Universe, with_actions: bool = True
) -> "SyntheticMarket | FileMarket":
    """Return the market of `synthetic`, `synthetic:SEED`, or the path of a file or folder of bars.

    A seed in `spec` goes before `seed`. The synthetic market's symbols are the universe's, a
    file's all that it holds, whoever knows them. Splits and dividends are played, those of a file
    as they lie beside it, unless `with_actions` is False.
    Raises ConfigurationFault for what cannot be opened.
    """
    kind, colon, rest = spec.strip().partition(":")
    if kind != SYNTHETIC:
        # Only here: what reads files (pandas, pyarrow) takes longer than all the rest of a start.
        from exchange.markets.files import FileMarket

        return FileMarket(
            Path(spec.strip()).expanduser(),
            seed=seed,
            with_actions=with_actions,
        )
    if not colon:
        return SyntheticMarket(seed=seed, universe=universe, with_actions=with_actions)
    if not (rest.isascii() and rest.isdigit()):
        raise ConfigurationFault(
            f"market {spec!r}: the seed is no whole number from 0 up; write synthetic:7"
        )
    return SyntheticMarket(seed=int(rest), universe=universe, with_actions=with_actions)
