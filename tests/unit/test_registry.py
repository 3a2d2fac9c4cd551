"""Finding strategy files, reading specs, making strategies of them."""

import signal
import subprocess
import sys
from pathlib import Path

import pytest

from daemon.registry import (
    SHIPPED_FOLDER,
    Discovery,
    Raised,
    StrategySpec,
    attempt,
    discover,
    enlist,
    make,
    parse_specs,
    spec_of,
)
from daemon.strategy_template import template
from domain.calendar import Timeframe
from domain.errors import ConfigurationFault
from domain.market import Reads
from strategies.mean_reversion import MeanReversion
from strategies.rsi_reversion import RsiReversion
from strategies.sma_crossover import SmaCrossover

SHIPPED = discover([SHIPPED_FOLDER])
BARE = """
from dataclasses import dataclass
import numpy as np
from domain.calendar import Timeframe
from domain.signals import Signals

@dataclass(frozen=True, slots=True, kw_only=True)
class Bare:
    bars: int = 5
    timeframe: Timeframe = Timeframe.DAY

    @property
    def lookback_bars(self):
        return self.bars

    def decide(self, market):
        return Signals(strength=np.zeros(market.bars.close.shape[1]))
"""


def folder_with(tmp_path: Path, **files: str) -> Path:
    for name, text in files.items():
        (tmp_path / f"{name}.py").write_text(text)
    return tmp_path


def errors_of(found: Discovery) -> dict[str, str]:
    return {error.path.stem: error.reason for error in found.errors}


# --- files that do not return --------------------------------------------------------------------


@pytest.mark.parametrize(
    "loop",
    [
        "while True: pass",
        "import threading\nwhile True:\n"
        "    try: threading.Event().wait()\n"
        "    except Exception: pass",
    ],
    ids=["busy", "waiting and holding on to errors"],
)
def test_a_file_that_never_finishes_loading_is_named_and_the_others_load(
    tmp_path: Path, loop: str
) -> None:
    """Once it hung the start: the watchdog begins after the strategies are loaded."""
    folder = folder_with(tmp_path, endless=loop, bare=BARE)
    found = discover([folder], limit_s=0.05)
    assert list(found.files) == ["bare"]
    assert "did not finish loading within 0.05 s" in errors_of(found)["endless"]


def test_a_timer_that_was_running_goes_on_after_loading(tmp_path: Path) -> None:
    rang: list[int] = []
    before = signal.signal(signal.SIGALRM, lambda number, frame: rang.append(number))
    left_s, _ = signal.setitimer(signal.ITIMER_REAL, 3600.0)
    try:
        discover([folder_with(tmp_path, bare=BARE)])
        remains_s, _ = signal.setitimer(signal.ITIMER_REAL, left_s)
        assert 3500.0 < remains_s <= 3600.0
        signal.raise_signal(signal.SIGALRM)
        assert rang == [signal.SIGALRM]
    finally:
        signal.signal(signal.SIGALRM, before)


# --- finding -------------------------------------------------------------------------------------


def test_a_file_is_found_without_registering(tmp_path: Path) -> None:
    found = discover([SHIPPED_FOLDER, folder_with(tmp_path, mine=BARE)])

    assert found.files["mine"].parameters == {"bars": 5, "timeframe": Timeframe.DAY}


def test_a_shipped_strategy_is_the_class_that_others_import() -> None:
    assert SHIPPED.files["sma_crossover"].make is SmaCrossover


def test_what_a_file_leaves_out_takes_its_default(tmp_path: Path) -> None:
    found = discover([folder_with(tmp_path, mine=BARE)])
    strategy = make(spec_of("mine", {}), found)

    assert (strategy.reads, strategy.cross_sectional) == (frozenset({Reads.BARS}), False)


def test_loading_leaves_the_import_path_alone(tmp_path: Path) -> None:
    before = list(sys.path)
    discover([folder_with(tmp_path, mine=BARE)])

    assert sys.path == before


def test_two_folders_may_hold_files_that_import_as_one_name(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    one = discover([folder_with(tmp_path / "a", mine=BARE)])
    other = discover(
        [folder_with(tmp_path / "b", mine=BARE.replace("bars: int = 5", "bars: int = 7"))]
    )

    assert one.files["mine"].parameters["bars"] == 5
    assert other.files["mine"].parameters["bars"] == 7


def test_a_folder_that_does_not_exist_holds_nothing(tmp_path: Path) -> None:
    assert discover([tmp_path / "nowhere"]) == Discovery()


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("def decide(:", "SyntaxError"),
        ("import nowhere_to_be_found", "ModuleNotFoundError"),
        ("1 / 0", "ZeroDivisionError"),
        ("raise SystemExit(1)", "SystemExit"),
        ("class Odd(Exception): ...\nraise Odd('mine')", "Odd: mine"),
        ("def decide(market): ...", "write one frozen dataclass"),
        ("class Mine: ...", "write one frozen dataclass"),
        ("class Mine:\n    def decide(self, market): ...", "must be @dataclass(frozen=True"),
        (BARE.replace("frozen=True, ", ""), "must be @dataclass(frozen=True"),
        (BARE.replace("bars: int = 5", "bars: int"), "no default for bars"),
        (BARE.replace("bars: int = 5", "weight: int = 5").replace("self.bars", "5"), "weight"),
        (BARE.replace("timeframe: Timeframe = Timeframe.DAY", "other: int = 1"), "timeframe"),
        (BARE.replace("lookback_bars", "window"), "lookback_bars"),
        (BARE.replace("bars: int = 5", "bars: int = 0"), "whole number from 1 up"),
        (BARE + "\nclass Second(Bare): ...", "one strategy a file"),
    ],
)
def test_what_is_wrong_with_a_file_is_said_and_stops_no_other(
    tmp_path: Path, text: str, said: str
) -> None:
    found = discover([folder_with(tmp_path, broken=text, sound=BARE)])

    assert said in errors_of(found)["broken"]
    assert set(found.files) == {"sound"}


def test_a_reason_is_one_line(tmp_path: Path) -> None:
    found = discover([folder_with(tmp_path, broken="raise ValueError('one\\ntwo')")])

    assert errors_of(found) == {"broken": "ValueError: one two"}


def test_a_file_that_failed_to_load_leaves_no_module_behind(tmp_path: Path) -> None:
    before = set(sys.modules)
    discover([folder_with(tmp_path, broken="1 / 0")])

    assert set(sys.modules) == before


@pytest.mark.parametrize("name", ["_shared", "indicators"])
def test_shared_code_is_neither_a_strategy_nor_an_error(tmp_path: Path, name: str) -> None:
    assert discover([folder_with(tmp_path, **{name: "def average(x): return x"})]) == Discovery()


def test_a_file_never_takes_the_place_of_a_shipped_one(tmp_path: Path) -> None:
    found = discover([SHIPPED_FOLDER, folder_with(tmp_path, sma_crossover=BARE)])

    assert "rename this file" in errors_of(found)["sma_crossover"]
    assert found.files["sma_crossover"].make is SmaCrossover


def test_a_file_name_that_cannot_be_written_in_the_settings_is_an_error(tmp_path: Path) -> None:
    found = discover([folder_with(tmp_path, **{"My-Strategy": BARE})])

    assert "lower case" in errors_of(found)["My-Strategy"]


def test_the_template_is_found(tmp_path: Path) -> None:
    found = discover([folder_with(tmp_path, my_breakout=template("my_breakout"))])

    assert found.files["my_breakout"].make.__name__ == "MyBreakout"


def test_strategies_load_without_heavy_libraries() -> None:
    code = (
        "import sys; from daemon.registry import *; discover([SHIPPED_FOLDER]);"
        "sys.exit(bool({'torch', 'pandas', 'pyarrow'} & set(sys.modules)))"
    )

    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_foreign_code_that_raises_becomes_a_value() -> None:
    assert attempt(lambda: {}["x"]) == Raised(kind="KeyError", message="'x'")


def test_foreign_code_that_answers_is_its_answer() -> None:
    assert attempt(lambda: 3) == 3


# --- reading specs -------------------------------------------------------------------------------


def test_names_and_parameters_are_read() -> None:
    assert parse_specs("sma_crossover(fast_bars=20, slow_bars=100), rsi_reversion") == [
        StrategySpec(
            name="sma_crossover",
            kind="sma_crossover",
            parameters={"fast_bars": 20, "slow_bars": 100},
        ),
        StrategySpec(name="rsi_reversion", kind="rsi_reversion"),
    ]


@pytest.mark.parametrize(
    ("written", "value"),
    [
        ("3", 3),
        ("-3", -3),
        ("0.5", 0.5),
        ("1e-3", 0.001),
        ("true", True),
        ("False", False),
        ("1Day", "1Day"),
        ("'1Day'", "1Day"),
        ('"5Min"', "5Min"),
    ],
)
def test_a_value_is_read_as_what_it_looks_like(written: str, value: object) -> None:
    read = parse_specs(f"x(p={written})")[0].parameters["p"]

    assert (read, type(read)) == (value, type(value))


def test_a_weight_is_no_parameter() -> None:
    spec = parse_specs("x(weight=2,p=1)")[0]

    assert (spec.weight, spec.parameters) == (2.0, {"p": 1})


def test_a_weight_is_one_unless_given() -> None:
    assert parse_specs("x")[0].weight == 1.0


def test_one_file_may_be_used_twice_under_two_names() -> None:
    specs = parse_specs("x(p=1),x#2(p=2),x(name=slow,p=3)")

    assert [(spec.name, spec.kind) for spec in specs] == [("x", "x"), ("x#2", "x"), ("slow", "x")]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("x,x", "x stands twice"),
        ("x,y(name=x)", "x stands twice"),
        ("", "none named"),
        ("x(p=1", "not understood from"),
        ("x y", "not understood from"),
        ("x(p)", "no parameter"),
        ("x(p=)", "no parameter"),
        ("x(p=1,p=2)", "p stands twice"),
        ("x(weight=-1)", "0 to 1000"),
        ("x(weight=heavy)", "0 to 1000"),
        ("x(weight=nan)", "0 to 1000"),
        ("x(name=No)", "is no name"),
    ],
)
def test_a_spec_that_cannot_be_read_is_a_fault_of_the_settings(text: str, said: str) -> None:
    with pytest.raises(ConfigurationFault, match=said):
        parse_specs(text)


# --- making --------------------------------------------------------------------------------------


def made(text: str, bar_timeframe: Timeframe | None = None) -> object:
    return make(parse_specs(text)[0], SHIPPED, bar_timeframe=bar_timeframe)


def test_a_strategy_is_made_with_its_parameters() -> None:
    assert made("sma_crossover(fast_bars=5,slow_bars=9)") == SmaCrossover(fast_bars=5, slow_bars=9)


def test_a_whole_number_will_do_for_a_fraction() -> None:
    assert repr(made("mean_reversion(entry_z=3)")) == repr(MeanReversion(entry_z=3.0))


def test_a_timeframe_is_written_as_the_venue_does() -> None:
    assert made("sma_crossover(timeframe=5Min)") == SmaCrossover(timeframe=Timeframe.FIVE_MINUTES)


def test_the_bar_timeframe_is_that_of_intraday_strategies() -> None:
    five = Timeframe.FIVE_MINUTES

    assert made("rsi_reversion", five) == RsiReversion(timeframe=five)


def test_a_strategy_that_is_daily_by_default_stays_daily() -> None:
    assert made("sma_crossover", Timeframe.FIVE_MINUTES) == SmaCrossover()


def test_a_timeframe_in_the_spec_wins_over_the_bar_timeframe() -> None:
    assert made("rsi_reversion(timeframe=1Hour)", Timeframe.FIVE_MINUTES) == RsiReversion(
        timeframe=Timeframe.HOUR
    )


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("sma_crosover", r"did you mean sma_crossover\?"),
        ("unheard_of", "there are: lstm, mean_reversion"),
        ("sma_crossover(fast=5)", r"did you mean fast_bars\?.*fast_bars=10, slow_bars=30"),
        ("sma_crossover(fast_bars=5.5)", "must be of type int"),
        ("sma_crossover(fast_bars=true)", "must be of type int"),
        ("mean_reversion(entry_z=wide)", "must be of type float"),
        ("mean_reversion(entry_z=true)", "must be of type float"),
        ("sma_crossover(timeframe=1D)", "1Min, 5Min"),
        ("sma_crossover(fast_bars=50)", "less than slow_bars"),
    ],
)
def test_a_spec_that_cannot_be_made_says_what_is_accepted(text: str, said: str) -> None:
    with pytest.raises(ConfigurationFault, match=said):
        made(text)


def test_a_strategy_whose_file_did_not_load_says_why(tmp_path: Path) -> None:
    found = discover([folder_with(tmp_path, broken="1 / 0")])

    with pytest.raises(ConfigurationFault, match="did not load: ZeroDivisionError"):
        make(spec_of("broken", {}), found)


def test_a_file_that_is_not_named_runs_in_shadow_without_weight() -> None:
    enlisted = {e.name: e for e in enlist(parse_specs("sma_crossover"), SHIPPED)}

    assert {name for name, e in enlisted.items() if not e.in_shadow} == {"sma_crossover"}
    assert enlisted["rsi_reversion"].spec.weight == 0.0


def test_a_file_used_under_another_name_is_not_also_in_shadow() -> None:
    names = [e.name for e in enlist(parse_specs("sma_crossover(name=trend)"), SHIPPED)]

    assert "trend" in names
    assert "sma_crossover" not in names


def test_shadows_decide_on_the_bar_timeframe_too() -> None:
    enlisted = {e.name: e for e in enlist([], SHIPPED, bar_timeframe=Timeframe.FIVE_MINUTES)}

    assert enlisted["rsi_reversion"].strategy.timeframe is Timeframe.FIVE_MINUTES


def test_a_shadow_that_refuses_the_bar_timeframe_keeps_its_own(tmp_path: Path) -> None:
    picky = BARE.replace("Timeframe.DAY", "Timeframe.HOUR").replace(
        "    @property",
        "    def __post_init__(self):\n"
        "        assert self.timeframe is Timeframe.HOUR\n\n"
        "    @property",
    )
    found = discover([folder_with(tmp_path, picky=picky)])
    (enlisted,) = enlist([], found, bar_timeframe=Timeframe.FIVE_MINUTES)

    assert enlisted.strategy.timeframe is Timeframe.HOUR


def test_abstaining_and_heavy_strategies_are_marked() -> None:
    enlisted = {e.name: e for e in enlist([], SHIPPED)}

    assert (enlisted["lstm"].abstains, enlisted["lstm"].heavy) == ("no model yet", True)
    assert (enlisted["sma_crossover"].abstains, enlisted["sma_crossover"].heavy) == ("", False)


def test_every_fault_of_the_specs_is_said_at_once() -> None:
    specs = parse_specs("sma_crosover,rsi_reversion(period=3)")

    with pytest.raises(ConfigurationFault, match=r"sma_crosover.*has no parameter period"):
        enlist(specs, SHIPPED)
