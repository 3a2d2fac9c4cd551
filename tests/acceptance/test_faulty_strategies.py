"""A strategy that never returns, or raises, is benched; the others go on trading."""

import json
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.processes import Run, Site, site, until

pytestmark = pytest.mark.acceptance

BACK_S_MAX = 60.0
SHIPPED = "sma_crossover,rsi_reversion,mean_reversion"
STRATEGY = '''
"""Written by a test."""

from dataclasses import dataclass

import numpy as np

from domain.calendar import Timeframe
from domain.market import Market
from domain.signals import Signals


@dataclass(frozen=True, slots=True, kw_only=True)
class Faulty:
    """Says nothing of use."""

    timeframe: Timeframe = Timeframe.FIVE_MINUTES

    @property
    def lookback_bars(self) -> int:
        """Two bars."""
        return 2

    def decide(self, market: Market) -> Signals:
        """Never answer."""
{body}
'''
HANGS = "        while True:\n            pass\n"
RAISES = '        raise RuntimeError("no such file: model.bin")\n'


def write_strategies(folder: Path, **bodies: str) -> Path:
    folder.mkdir()
    for name, body in bodies.items():
        (folder / f"{name}.py").write_text(STRATEGY.format(body=body))
    return folder


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    folder = tmp_path_factory.mktemp("faulty")
    strategies = write_strategies(folder / "mine", a_raiser=RAISES, b_hang=HANGS)
    with site(
        folder,
        STRATEGIES=f"{SHIPPED},a_raiser,b_hang",
        STRATEGIES_DIR=str(strategies),
        WATCHDOG_SECONDS="3",
        STRATEGY_BUDGET_MS="1000",
    ) as place:
        yield place


@pytest.fixture(scope="module")
def run(place: Site) -> Run:
    """A daemon that has met both strategies and orders."""
    run = place.daemon("--demo", "--speed", "300", "--json")
    run.await_ready()
    began_s = time.monotonic()
    run.await_line('"event":"order"', BACK_S_MAX + 10)
    assert time.monotonic() - began_s <= BACK_S_MAX
    return run


def test_a_strategy_that_never_returns_is_benched_and_the_others_order_again(
    place: Site, run: Run
) -> None:
    said = run.said()
    assert "starting over" in said
    again = said.split("starting over")[1]
    assert "strategy b_hang is benched (hung" in again
    assert again.index("b_hang is benched") < again.index('"event":"order"')


def test_the_same_process_goes_on(run: Run) -> None:
    assert run.process.poll() is None, run.last_words()
    assert run.said().count("starting over") == 1


def test_a_strategy_that_raises_is_benched_with_what_it_raised(place: Site, run: Run) -> None:
    benched = place.document("status")["benched"]
    assert "RuntimeError: no such file: model.bin" in benched["a_raiser"]


def test_the_status_says_who_hung(place: Site, run: Run) -> None:
    assert place.document("status")["benched"]["b_hang"].startswith("hung")
    assert place.document("status")["trading_state"] == "ACTIVE"


def test_the_account_is_the_one_from_before(place: Site, run: Run) -> None:
    account = place.venue("/v2/account")["account_number"]
    assert place.document("status")["account_id"] == account
    assert [f.name for f in place.state_dir.glob("embedded-*")] == [f"embedded-{account}"]


def test_a_benched_strategy_can_be_asked_again_and_stays_benched_over_a_restart(
    place: Site, run: Run
) -> None:
    raised = place.document("status")["counters"]["opinions_raised"]
    assert place.control("unbench", subject="a_raiser").status == 200
    # It raises once more at the next slot, and so is benched once more.
    assert until(lambda: place.document("status")["counters"]["opinions_raised"] > raised, 30), (
        run.last_words()
    )
    assert until(lambda: "a_raiser" in place.document("status")["benched"], 5)
    assert run.stop() == 0, run.last_words()
    reading = place.tradewind("status", "--json", STATE_DIR=str(place.state_dir))
    assert reading.await_end() == 0
    assert set(json.loads(reading.output())["benched"]) == {"a_raiser", "b_hang"}
    place.await_exchange_gone()
