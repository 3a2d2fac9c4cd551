"""Keeping a world to itself: nothing of the machine, and nothing of another world, gets in."""

import asyncio
import contextlib
import gc
import logging
import random  # noqa: TID251 - aiohttp's own draws are pinned here, for the trace
import sys
import warnings
from collections.abc import Callable, Iterator, MutableMapping
from typing import Any

import aiohttp.connector
import structlog

from research.simulation.kernel.loop import VirtualLoop
from research.simulation.kernel.node import NODE

Log = Callable[[str], None]


@contextlib.contextmanager
def alone(loop: VirtualLoop, seed: int, log: Log | None) -> Iterator[None]:
    """Keep out whatever is not the seed's: collector, machine clock, chance, and other worlds.

    Garbage is not collected in between: finalisers of aiohttp's objects release connections.
    """
    token = NODE.set(None)
    configured, hook = structlog.get_config(), sys.unraisablehook
    clock, state = aiohttp.connector.monotonic, random.getstate()  # type: ignore[attr-defined]
    was_enabled, muted = gc.isenabled(), logging.root.manager.disable
    logging.disable(logging.CRITICAL)
    gc.collect()
    gc.disable()
    random.seed(seed)
    aiohttp.connector.monotonic = loop.time  # type: ignore[attr-defined]
    _log_to(log)
    asyncio.set_event_loop(loop)
    try:
        with warnings.catch_warnings():
            # Coroutines of killed processes are never awaited: that is what killing means.
            warnings.simplefilter("ignore")
            sys.unraisablehook = lambda unraisable: None
            yield
    finally:
        sys.unraisablehook = hook
        logging.disable(muted)
        asyncio.set_event_loop(None)
        structlog.configure(**configured)
        aiohttp.connector.monotonic = clock  # type: ignore[attr-defined]
        random.setstate(state)
        NODE.reset(token)
        if was_enabled:
            gc.enable()


def _log_to(log: Log | None) -> None:
    def tell(_logger: Any, method: str, event: MutableMapping[str, Any]) -> Any:
        if log is not None:
            text = " ".join(f"{k}={v}" for k, v in event.items() if k != "event")
            log(f"{'':27}[{method}] {event.get('event')} {text}")
        raise structlog.DropEvent

    # Where nobody reads, a line costs no more than the question whether anybody does.
    level = logging.DEBUG if log is not None else logging.CRITICAL
    structlog.configure(
        processors=[tell],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        cache_logger_on_first_use=False,
    )
