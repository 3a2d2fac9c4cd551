"""The bench: loaded once, whatever copy of its subject asks; every play on its own."""

import pickle
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from daemon.commands.options import settings_of
from daemon.strategy_specs import StrategySpec, parse_specs
from research.backtest.costs import Costs
from research.backtest.preparing import Request
from research.evaluation.bench import ALWAYS_LONG, Subject
from tests.support.bar_files import daily_bars_file


@pytest.fixture(scope="module")
def subject(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Subject]:
    folder = tmp_path_factory.mktemp("bench")
    with pytest.MonkeyPatch.context() as patched:
        patched.chdir(folder)
        settings = settings_of(None, {"STATE_DIR": str(folder / "var")})
    yield Subject(
        request=Request(
            data=Path(daily_bars_file(folder)),
            specs=tuple(parse_specs("sma_crossover(fast_bars=3,slow_bars=8)")),
            costs=Costs(),
        ),
        settings=settings,
    )


SMA = StrategySpec(
    name="sma_crossover", kind="sma_crossover", parameters={"fast_bars": 3, "slow_bars": 8}
)
NAIVE = StrategySpec(name=ALWAYS_LONG, kind=ALWAYS_LONG)


def test_a_copy_of_a_subject_finds_the_bench_that_is_there(subject: Subject) -> None:
    bench = subject.bench()

    # As it arrives in a worker: with every job, a copy unlike any before in memory.
    assert pickle.loads(pickle.dumps(subject)).bench() is bench
    assert pickle.loads(pickle.dumps([subject, "var"]))[0].bench() is bench


def test_a_play_leaves_nothing_behind_for_the_next(subject: Subject) -> None:
    bench = subject.bench()
    first = bench.play([SMA], range(40, 100)).returns
    bench.play([NAIVE], range(20, 150))

    np.testing.assert_array_equal(bench.play([SMA], range(40, 100)).returns, first)


def test_a_play_knows_nothing_after_its_span(subject: Subject) -> None:
    bench = subject.bench()
    long = bench.play([SMA], range(40, 120)).returns

    np.testing.assert_array_equal(bench.play([SMA], range(40, 100)).returns, long[:60])


def test_always_long_holds_something_through_the_whole_engine(subject: Subject) -> None:
    played = subject.bench().play([NAIVE], range(20, 150))

    assert played.traded_usd > 0
    assert float(np.std(played.returns)) > 0


def test_equal_weights_of_a_span_are_those_of_the_whole(subject: Subject) -> None:
    bench = subject.bench()
    whole = bench.equal_weight_returns(bench.sessions)

    np.testing.assert_array_equal(bench.equal_weight_returns(range(50, 60)), whole[50:60])
