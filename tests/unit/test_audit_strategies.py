"""The look-ahead audit of strategies: honest ones are clean, and every planted leak is found."""

from pathlib import Path

import numpy as np
import pytest

from daemon.registry import SHIPPED_FOLDER, discover, load_file, make
from daemon.strategy_specs import StrategySpec
from domain.calendar import Timeframe
from research.audit.findings import Checked, Probe
from research.audit.lookahead import Audit, Enlisted, fresh, subject_of
from research.audit.outside import audit_outside
from tests.support.backtests import drawn_bars, history_of
from tests.support.leaks import AXIS_SLIPS, KEPT, MEMORY_SLIPS, plant

SHIPPED = sorted(name for name, f in discover([SHIPPED_FOLDER]).files.items() if not f.abstains)


def audited(path: Path) -> list[Checked]:
    """Return what every probe says of a strategy file."""
    timeframe = Timeframe.HOUR
    found = discover([path.parent])
    spec = StrategySpec(name=path.stem, kind=path.stem)
    strategy = make(spec, found, bar_timeframe=timeframe)
    one = Enlisted(spec=spec, file=found.files[path.stem], strategy=strategy)
    subject = subject_of(one, Audit(specs=(spec,)), None, timeframe)
    outside, answers = audit_outside(subject, path, [])
    return [*answers, outside]


def leaks(path: Path) -> set[Probe]:
    return {one.probe for one in audited(path) if not one.passed}


@pytest.mark.parametrize("name", SHIPPED)
def test_a_shipped_strategy_is_clean(name: str) -> None:
    assert leaks(SHIPPED_FOLDER / f"{name}.py") == set()


def test_an_honest_strategy_of_a_users_own_is_clean(tmp_path: Path) -> None:
    assert leaks(plant(tmp_path, "honest")) == set()


@pytest.mark.parametrize("name", AXIS_SLIPS)
def test_a_forgotten_axis_is_found_where_days_lie_side_by_side(name: str, tmp_path: Path) -> None:
    assert Probe.STACKED in leaks(plant(tmp_path, name, AXIS_SLIPS[name]))


@pytest.mark.parametrize("name", MEMORY_SLIPS)
def test_the_memory_behind_a_window_is_found_to_be_read(name: str, tmp_path: Path) -> None:
    found = leaks(plant(tmp_path, name, MEMORY_SLIPS[name], cross_sectional=True))

    assert {Probe.PREFIX, Probe.POISON} <= found


@pytest.mark.parametrize("name", KEPT)
def test_what_is_kept_from_call_to_call_is_found(name: str, tmp_path: Path) -> None:
    body, module = KEPT[name]

    found = leaks(plant(tmp_path, name, body, module=module, timeframe="HOUR"))

    assert Probe.ORDER in found


def test_a_file_read_while_deciding_is_found(tmp_path: Path) -> None:
    table = tmp_path / "prices.npy"
    np.save(table, np.ones(6))

    path = plant(tmp_path, "reads", f"wish = wish * np.load({str(table)!r})[0]")

    found = next(one for one in audited(path) if one.probe is Probe.OUTSIDE)
    assert [f.detail for f in found.findings] == [f"opens {table} in decide()"]


def test_a_file_read_when_the_strategy_is_loaded_is_found(tmp_path: Path) -> None:
    table = tmp_path / "prices.npy"
    np.save(table, np.ones(6))

    path = plant(tmp_path, "reads", module=f"TABLE = np.load({str(table)!r})")

    found = next(one for one in audited(path) if one.probe is Probe.OUTSIDE)
    assert [f.detail for f in found.findings] == [f"opens {table} when its file is loaded"]


def test_a_library_that_reads_unseen_is_found(tmp_path: Path) -> None:
    path = plant(tmp_path, "reads", "import pyarrow.parquet")

    found = next(one for one in audited(path) if one.probe is Probe.OUTSIDE)
    assert "imports pyarrow" in found.findings[0].detail


def test_bars_beyond_the_look_back_are_found_to_matter(tmp_path: Path) -> None:
    path = plant(tmp_path, "expanding", "wish = close[-1] / np.mean(close, axis=0) - 1.0")

    assert Probe.WARM_UP in leaks(path)


def test_a_finding_says_where_with_both_values_and_what_to_do(tmp_path: Path) -> None:
    path = plant(tmp_path, "peeks", MEMORY_SLIPS["shift_minus_one"], cross_sectional=True)

    found = next(one for one in audited(path) if one.probe is Probe.PREFIX).findings[0]

    assert found.detail.startswith("at 2024-01-")
    assert "SYM01, strength: " in found.detail
    assert " against " in found.detail
    assert "shift(-1)" in found.remedy


def test_a_strategy_is_audited_on_the_last_bars_of_a_history() -> None:
    history = history_of(drawn_bars(80, 2, seed=3))
    path = SHIPPED_FOLDER / "sma_crossover.py"
    found = discover([SHIPPED_FOLDER])
    spec = StrategySpec(name="sma", kind="sma_crossover")
    one = Enlisted(spec=spec, file=found.files[path.stem], strategy=make(spec, found))

    subject = subject_of(one, Audit(specs=(spec,), data=Path("x")), history, Timeframe.DAY)

    assert subject.series.slots[-1] == history.sessions[-1].closes_at
    assert subject.instants[0] == one.strategy.lookback_bars - 1


def test_loading_a_shipped_strategy_anew_leaves_the_program_its_own() -> None:
    found = discover([SHIPPED_FOLDER]).files["sma_crossover"]
    spec = StrategySpec(name="sma", kind="sma_crossover")

    made = fresh(spec, found, bar_timeframe=Timeframe.DAY)

    assert type(made) is not found.make
    assert load_file(found.path).make is found.make  # type: ignore[union-attr]
