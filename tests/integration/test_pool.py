"""Work is handed back in order, and ends early when asked."""

import itertools
import time

import pytest

from domain.errors import ConfigurationFault
from research.pool import Inline, Pool, Processes, pool_of


def squared(number: int) -> int:
    return number * number


def failing(number: int) -> int:
    if number == 2:
        raise ConfigurationFault("two is no number to work on")
    return number


def slow(number: int) -> int:
    time.sleep(0 if number < 2 else 60)
    return number


@pytest.fixture(params=["inline", "processes"])
def pool(request: pytest.FixtureRequest) -> Pool:
    return Inline() if request.param == "inline" else Processes(2)


def test_results_come_in_the_order_of_the_items(pool: Pool) -> None:
    assert list(pool.run(squared, range(12), lambda: False)) == [n * n for n in range(12)]


def test_what_work_raises_is_raised_here(pool: Pool) -> None:
    results = pool.run(failing, range(4), lambda: False)

    assert next(results) == 0
    assert next(results) == 1
    with pytest.raises(ConfigurationFault, match="two is no number"):
        next(results)


def test_stopping_leaves_what_is_done(pool: Pool) -> None:
    asked = itertools.count()

    assert len(list(pool.run(squared, range(50), lambda: next(asked) >= 3))) <= 3


def test_stopping_does_not_wait_for_busy_workers() -> None:
    results = Processes(2).run(slow, range(6), lambda: len(done) == 2)
    done: list[int] = []
    began = time.perf_counter()
    for result in results:
        done.append(result)

    assert done == [0, 1]
    assert time.perf_counter() - began < 30.0


def test_no_items_are_no_work(pool: Pool) -> None:
    assert list(pool.run(squared, [], lambda: False)) == []


def test_where_to_work_follows_what_is_asked_for() -> None:
    assert isinstance(pool_of(workers=1, ray=None), Inline)
    assert isinstance(pool_of(workers=2, ray=None), Processes)


@pytest.mark.parametrize("workers", [0, 1000])
def test_impossible_numbers_of_workers_are_refused(workers: int) -> None:
    with pytest.raises(ConfigurationFault, match="from 1 to"):
        Processes(workers)
