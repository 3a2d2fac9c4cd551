"""How the body of an older snapshot becomes one of the next version, a step at a time."""

from collections.abc import Callable, Mapping
from typing import Any

from domain.errors import Refused

VERSION = 1
"""The version written now. Raise it with a step below when a change needs more than a default."""

Body = dict[str, Any]
Step = Callable[[Body], Body]
STEPS: Mapping[int, Step] = {}
"""Version n → what makes version n + 1 of it."""


def migrate(
    body: Body,
    version: int,
    *,
    source: str,
    target: int = VERSION,
    steps: Mapping[int, Step] = STEPS,
) -> Body:
    """Return the body at `target`. Raises Refused for a newer version and for one too old."""
    if version > target:
        raise Refused(
            f"{source}: written by a newer Tradewind (format version {version}, this one reads "
            f"up to {target}): update Tradewind, or name another directory with --state-dir"
        )
    for step in range(version, target):
        if step not in steps:
            raise Refused(
                f"{source}: format version {version} is too old to be read here: start the "
                f"version of Tradewind that wrote it once more, or name another --state-dir"
            )
        body = steps[step](body)
    return body
