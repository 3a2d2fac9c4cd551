"""What `new-strategy` writes."""

from pathlib import Path

import numpy as np
import pytest

from daemon.registry import discover, make, spec_of
from daemon.strategy_check import check_strategy, replay_session
from daemon.strategy_template import template, write_template
from domain.errors import ConfigurationFault, Refused
from domain.ports import Strategy
from tests.support.markets import strengths


def made_from_template(tmp_path: Path) -> Strategy:
    write_template(tmp_path, "my_breakout")
    return make(spec_of("my_breakout", {}), discover([tmp_path]))


def test_the_template_passes_every_check(tmp_path: Path) -> None:
    results = check_strategy(made_from_template(tmp_path))

    assert [result.detail for result in results if not result.passed] == []


def test_the_template_would_have_ordered_something(tmp_path: Path) -> None:
    assert replay_session(made_from_template(tmp_path))


def test_the_template_buys_a_new_high(tmp_path: Path) -> None:
    close = np.linspace(100.0, 110.0, 21)[:, None]

    assert strengths(made_from_template(tmp_path), close) == [1.0]


def test_the_folder_is_made_when_there_is_none(tmp_path: Path) -> None:
    assert write_template(tmp_path / "a" / "b", "mine").read_text() == template("mine")


def test_nothing_is_overwritten(tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text("precious")

    with pytest.raises(Refused, match="exists already"):
        write_template(tmp_path, "mine")
    assert (tmp_path / "mine.py").read_text() == "precious"


@pytest.mark.parametrize(
    "name",
    ["", "Mine", "my-strategy", "1st", "_mine", "class", "a/b", "../up", "x" * 49, "mine.py"],
)
def test_a_name_that_cannot_be_one_is_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(ConfigurationFault, match="cannot name a strategy"):
        write_template(tmp_path, name)
    assert list(tmp_path.iterdir()) == []


def test_the_name_of_a_shipped_strategy_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationFault, match="ships"):
        write_template(tmp_path, "sma_crossover")
