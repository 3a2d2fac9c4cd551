"""`tradewind walk-forward` over drawn bars: the whole path, and what it refuses."""

import json
import multiprocessing
import re
import shutil
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
import typer
from typer.testing import CliRunner

from domain.errors import ConfigurationFault, Refused
from research.cli import add_to
from research.evaluation import command
from research.evaluation.printing import verdict_lines
from research.evaluation.results import load
from tests.support.bar_files import CALENDAR, daily_bars_file

STRATEGIES = "sma_crossover(fast_bars=3|5,slow_bars=8),mean_reversion(window_bars=10)"
UNCROSSED = ("--cross-validate", "off")
SPLIT = ("--train", "60", "--test", "40", "--cross-validate", "3,2", "--embargo", "8")


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("STATE_DIR", str(tmp_path / "var"))
    yield


def run(folder: Path, *more: str, split: tuple[str, ...] = SPLIT) -> dict[str, Any]:
    app = typer.Typer()
    add_to(app)
    arguments = [
        "walk-forward", "--data", str(daily_bars_file(folder)), "--out", str(folder / "result"),
        "--workers", "1", "--json", *split, *more,
    ]  # fmt: skip
    if "--strategies" not in more:
        arguments += ["--strategies", STRATEGIES]
    result = CliRunner().invoke(app, arguments)
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    found: dict[str, Any] = json.loads(result.stdout)
    return found


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Path, dict[str, Any]]]:
    """One evaluation in this process that several tests look at."""
    folder = tmp_path_factory.mktemp("whole")
    with pytest.MonkeyPatch.context() as patched:
        patched.setenv("STATE_DIR", str(folder / "var"))
        yield folder / "result", run(folder)


Whole = tuple[Path, dict[str, Any]]


def test_a_walk_forward_judges_every_strategy_beside_every_yardstick(whole: Whole) -> None:
    _, found = whole

    assert [j["name"] for j in found["verdicts"]["judged"]] == ["sma_crossover", "mean_reversion"]
    for judged in found["verdicts"]["judged"]:
        assert {a["yardstick"] for a in judged["against"]} == {
            "equal_weight", "buy_and_hold", "min_variance", "always_long",
        }  # fmt: skip
        assert judged["verdict"] in {"beats", "no evidence", "worse"}
    assert found["tested"]["sessions"] == 85
    assert len(found["folds"]) == 3


def test_what_is_saved_reads_back(whole: Whole) -> None:
    folder, found = whole
    saved = load(folder)

    assert saved.manifest["complete"] is True
    assert len(saved.days) == 85
    assert set(saved.returns) >= {"sma_crossover", "mean_reversion", "equal_weight", "universal"}
    assert saved.manifest["verdicts"] == found["verdicts"]
    assert pq.read_table(folder / "trials.parquet").num_rows == 3 * 3 + 3 * 3


def test_every_trial_is_counted_once_however_often_it_is_run(tmp_path: Path) -> None:
    (tmp_path / "one").mkdir()
    (tmp_path / "two").mkdir()
    first = run(tmp_path / "one", split=(*SPLIT[:4], *UNCROSSED))
    again = run(
        tmp_path / "two", "--strategies", "sma_crossover(fast_bars=3|4,slow_bars=8)", *UNCROSSED
    )

    assert first["trials"]["counted"] == 3
    # fast_bars=4 is new, fast_bars=3 is not.
    assert again["trials"]["counted"] == 4


def test_the_test_span_cannot_change_what_was_chosen(tmp_path: Path, whole: Whole) -> None:
    cut = run(tmp_path, "--to", str(CALENDAR.sessions[104].day), split=(*SPLIT[:4], *UNCROSSED))

    assert len(cut["folds"]) == 1
    chosen = [
        {n: s["chosen"] for n, s in found["folds"][0]["strategies"].items()}
        for found in (whole[1], cut)
    ]
    assert chosen[0] == chosen[1]


@pytest.mark.parametrize("workers", ["1", pytest.param("2", marks=pytest.mark.long)])
def test_an_interrupt_leaves_the_whole_folds(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, workers: str
) -> None:
    counted = command.trials_of
    folds = 0

    def interrupting(answer: Any, *more: Any, **words: Any) -> Any:
        nonlocal folds
        folds += bool(answer.chosen)
        if folds == 5:
            signal.raise_signal(signal.SIGINT)
        return counted(answer, *more, **words)

    monkeypatch.setattr(command, "trials_of", interrupting)
    found = run(tmp_path, "--workers", workers)

    # Three jobs a fold: the fifth belongs to the second.
    assert found["complete"] is False
    assert [f["number"] for f in found["folds"]] == [0]
    assert load(tmp_path / "result").manifest["verdicts"] is None
    assert multiprocessing.active_children() == []


@pytest.mark.long
def test_processes_find_what_one_does(tmp_path: Path, whole: Whole) -> None:
    shared = run(tmp_path, "--workers", "2")

    for name in ("verdicts", "baselines", "cross_validation", "folds", "paths"):
        assert shared[name] == whole[1][name]
    alone, together = (folder / "returns.parquet" for folder in (whole[0], tmp_path / "result"))
    assert alone.read_bytes() == together.read_bytes()


def fold(*rows: int) -> str:
    return ":".join(str(CALENDAR.sessions[row].day) for row in rows)


@pytest.mark.parametrize(
    ("more", "said"),
    [
        (("--fold", fold(0, 60, 50, 90)), "overlaps or follows"),
        (("--fold", "2018-01-02:2018-02-01"), "four days"),
        (("--fold", fold(0, 10, 20, 30).replace("2018", "1998")), "no session from 1998"),
        (("--trials", "0"), "no trials"),
        (("--strategies", "sma_crossover(fast_bars=9|10,slow_bars=8)"), "no trials"),
        (("--from", "2031-01-01"), "no session from 2031"),
        (("--train", "600"), "hold no fold"),
        (("--cross-validate", "six"), "GROUPS,TESTED"),
        (("--method", "hope"), "grid, random, tpe, nsga2"),
        (("--strategies", "sma_crossover(name=equal_weight)"), "name of a baseline"),
        (("--workers", "0"), "from 1 to"),
    ],
)
def test_what_cannot_be_evaluated_is_one_clear_error(
    tmp_path: Path, more: tuple[str, ...], said: str
) -> None:
    with pytest.raises(ConfigurationFault, match=said):
        run(tmp_path, *more)
    assert not (tmp_path / "result").exists()
    assert not (tmp_path / "var" / "research").exists()


def test_a_result_is_never_overwritten(tmp_path: Path, whole: Whole) -> None:
    shutil.copytree(whole[0], tmp_path / "result")
    before = (tmp_path / "result" / "manifest.json").read_bytes()

    with pytest.raises(Refused, match="not empty"):
        run(tmp_path)
    assert (tmp_path / "result" / "manifest.json").read_bytes() == before


def test_another_versions_result_is_refused(tmp_path: Path, whole: Whole) -> None:
    shutil.copytree(whole[0], tmp_path / "result")
    path = tmp_path / "result" / "manifest.json"
    path.write_text(path.read_text().replace('"version": 1', '"version": 9'))

    with pytest.raises(Refused, match="version 9"):
        load(tmp_path / "result")


def test_a_walk_forward_has_a_page_of_its_own(whole: Whole, tmp_path: Path) -> None:
    app = typer.Typer()
    add_to(app)
    page = tmp_path / "page.html"
    result = CliRunner().invoke(app, ["report", str(whole[0]), "--out", str(page)])

    assert result.exit_code == 0
    text = page.read_text()
    for said in ("no evidence", "always long", "in hindsight", "destroys every dependence"):
        assert said in text
    assert not re.search(r"(src|href)=|https?://|@import|url\(", text)


def test_the_verdicts_are_printed_for_people(
    whole: Whole, capsys: pytest.CaptureFixture[str]
) -> None:
    verdict_lines(whole[1])
    printed = capsys.readouterr().out

    assert "deflated by 3 trials" in printed
    assert "mean_reversion" in printed
    assert "best_crp_in_hindsight" in printed
