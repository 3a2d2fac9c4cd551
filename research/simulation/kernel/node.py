"""Processes of a simulated world: what runs in one's context ends with it, at any callback."""

import contextvars
from collections.abc import Callable
from typing import Any

NODE: "contextvars.ContextVar[Life | None]" = contextvars.ContextVar("node", default=None)
"""The process whose code is running; None for what cannot die."""


class Killed(BaseException):
    """The process ended in the midst of an operation; nothing of it may go on."""


class Life:
    """One process, from its start to its end. Nothing of a dead one ever runs again.

    `dies_at_step` ends it just before its so-many-th callback; `on_death` is told.
    """

    __slots__ = ("context", "dies_at_step", "graveyard", "is_dead", "name", "on_death", "steps")

    def __init__(self, name: str) -> None:
        self.name = name
        self.is_dead = False
        self.steps = 0
        self.dies_at_step: int | None = None
        self.on_death: Callable[[], None] = lambda: None
        self.graveyard: list[Any] = []
        """What must not be finalised while the world goes on: a dead process runs no `finally`."""
        self.context = contextvars.copy_context()
        self.context.run(NODE.set, self)


def is_of(context: contextvars.Context | None, life: Life) -> bool:
    """Return whether what runs in a context belongs to a process."""
    return context is not None and context.get(NODE) is life
