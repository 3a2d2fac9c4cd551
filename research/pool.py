"""Work on several processes, or on a Ray cluster: the same results, in the same order.

Work is a function of one item that draws on nothing else, so where it runs cannot change what it
returns. Each place hands results back in the order of the items, and stops early when asked to.
"""

import multiprocessing
import os
import signal
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures import TimeoutError as NotYet
from concurrent.futures.process import BrokenProcessPool
from typing import Any, Protocol, TypeVar

from domain.errors import ConfigurationFault

Item = TypeVar("Item")
Result = TypeVar("Result")
LOOK_S = 0.2
"""How often waiting looks whether it should stop."""
WORKERS_MAX = 256
AHEAD_PER_WORKER = 4
"""Items handed to Ray before the first is back, for each of its processors."""


class Pool(Protocol):
    """Where work is done."""

    def run(
        self, work: Callable[[Item], Result], items: Sequence[Item], stop: Callable[[], bool]
    ) -> Iterator[Result]:
        """Yield the result of each item, in order, until `stop` says so; raise what work raised."""
        ...


class Inline:
    """Work in this process, one item after the other."""

    def run(
        self, work: Callable[[Item], Result], items: Sequence[Item], stop: Callable[[], bool]
    ) -> Iterator[Result]:
        """Yield results in order."""
        for item in items:
            if stop():
                return
            yield work(item)


class Processes:
    """Work in processes of this machine."""

    def __init__(self, workers: int | None = None) -> None:
        """Take as many workers as there are processors unless told."""
        count = workers if workers is not None else len(os.sched_getaffinity(0))
        if not 1 <= count <= WORKERS_MAX:
            raise ConfigurationFault(f"--workers {count}: from 1 to {WORKERS_MAX} are accepted")
        self._workers = count

    def run(
        self, work: Callable[[Item], Result], items: Sequence[Item], stop: Callable[[], bool]
    ) -> Iterator[Result]:
        """Yield results in order; workers that are still busy when asked to stop are ended."""
        context = multiprocessing.get_context("forkserver")
        # What the work needs is imported once, not once a worker.
        context.set_forkserver_preload([work.__module__])
        executor = ProcessPoolExecutor(
            min(self._workers, max(1, len(items))),
            mp_context=context,
            initializer=_leave_interrupts_to_the_parent,
        )
        others = {child.pid for child in multiprocessing.active_children()}
        waiting = [executor.submit(work, item) for item in items]
        children = {child.pid for child in multiprocessing.active_children()} - others
        finished = False
        try:
            for future in waiting:
                while not stop():
                    try:
                        result = future.result(timeout=LOOK_S)
                    except NotYet:
                        if future.done():
                            raise
                        continue
                    yield result
                    break
                else:
                    return
            finished = True
        except BrokenProcessPool as fault:
            raise ConfigurationFault(
                f"a worker process died ({fault}): too little memory for --workers {self._workers}?"
            ) from fault
        finally:
            _end(executor, waiting, children if not finished else set())


def _end(
    executor: ProcessPoolExecutor, waiting: Sequence[Future[Any]], children: set[int | None]
) -> None:
    for future in waiting:
        future.cancel()
    for child in multiprocessing.active_children():
        if child.pid in children:
            child.terminate()
    executor.shutdown(wait=True, cancel_futures=True)


def _leave_interrupts_to_the_parent() -> None:
    # Ctrl-C reaches every process of the terminal; the parent decides what it means.
    signal.signal(signal.SIGINT, signal.SIG_IGN)


class RayCluster:
    """Work on a Ray cluster that is running already."""

    def __init__(self, address: str) -> None:
        """Name the cluster: `HOST:PORT`, or `auto` for the one this machine belongs to."""
        self._address = address

    def run(
        self, work: Callable[[Item], Result], items: Sequence[Item], stop: Callable[[], bool]
    ) -> Iterator[Result]:
        """Yield results in order. Raises ConfigurationFault without Ray, or without its cluster."""
        ray = _ray()
        try:
            ray.init(address=self._address, log_to_driver=False, configure_logging=False)
        except (ConnectionError, RuntimeError, ValueError) as fault:
            raise ConfigurationFault(
                f"--ray {self._address}: no cluster answers there: {fault}"
            ) from fault
        try:
            yield from _spread(ray, work, items, stop)
        finally:
            ray.shutdown()


def _spread(
    ray: Any, work: Callable[[Item], Result], items: Sequence[Item], stop: Callable[[], bool]
) -> Iterator[Result]:
    remote = ray.remote(max_retries=2)(work)
    ahead = AHEAD_PER_WORKER * max(1, int(ray.cluster_resources().get("CPU", 1)))
    waiting: list[Any] = []
    sent = 0
    while sent < len(items) or waiting:
        while sent < len(items) and len(waiting) < ahead:
            waiting.append(remote.remote(items[sent]))
            sent += 1
        ready: list[Any] = []
        while not ready:
            if stop():
                for reference in waiting:
                    ray.cancel(reference, force=True)
                return
            ready, _ = ray.wait([waiting[0]], timeout=LOOK_S)
        yield ray.get(waiting.pop(0))


def _ray() -> Any:
    try:
        import ray
    except ImportError as fault:
        raise ConfigurationFault(
            "--ray needs the extra `ray`: pip install 'tradewind[ray]'"
        ) from fault
    return ray


def pool_of(*, workers: int | None, ray: str | None) -> Pool:
    """Return where to work: a Ray cluster if one is named, else processes, or just this one."""
    if ray is not None:
        return RayCluster(ray)
    return Inline() if workers == 1 else Processes(workers)
