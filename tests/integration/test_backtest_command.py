import base64
import gzip
import json
import re
import signal
from collections.abc import Iterator
from datetime import date
from decimal import Decimal
from pathlib import Path

import numpy as np
import pytest
import typer
from typer.testing import CliRunner

from domain.errors import ConfigurationFault, Refused
from exchange.sessions import xnys_calendar
from research.backtest.command import interruptible
from research.backtest.results import FORMAT, load
from research.cli import add_to
from research.evaluation.ledger import Ledger
from research.reports.figures import attribute, figures_of
from research.reports.trades import closed_trades, trading_by_month
from tests.support.backtests import drawn_bars

CALENDAR = xnys_calendar(date(2019, 1, 2), date(2019, 12, 31))
STRATEGIES = "sma_crossover(fast_bars=3,slow_bars=8),mean_reversion(timeframe=1Day,window_bars=10)"
REAL_DATA = Path(__file__).parents[3] / "shared" / "data"


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.chdir(tmp_path)
    yield


def bars_file(folder: Path, *, sessions: int = 120) -> Path:
    bars = drawn_bars(sessions, 3, seed=11)
    lines = ["symbol,date,open,high,low,close,volume"]
    for column, symbol in enumerate(("AAPL", "MSFT", "QQXX")):
        for row, session in enumerate(CALENDAR.sessions[:sessions]):
            numbers = [bars[k][row, column] for k in ("open", "high", "low", "close", "volume")]
            lines.append(f"{symbol},{session.day}," + ",".join(f"{v:.2f}" for v in numbers))
    path = folder / "bars.csv"
    path.write_text("\n".join(lines) + "\n")
    return path


def run(*arguments: str) -> str:
    app = typer.Typer()
    add_to(app)
    result = CliRunner().invoke(app, list(arguments))
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result.stdout


def backtest(folder: Path, *more: str) -> Path:
    out = folder / "result"
    data = bars_file(folder)
    run("backtest", "--data", str(data), "--strategies", STRATEGIES, "--out", str(out), *more)
    return out


def test_a_saved_backtest_reads_back_and_sums_to_the_cent(tmp_path: Path) -> None:
    saved = load(backtest(tmp_path, "--commission-per-share", "0.01"))

    made = Decimal(saved.manifest["equity_usd"]) - Decimal(saved.manifest["capital_usd"])
    found = attribute(saved)
    assert len(saved.tables["fills"]["symbol"]) > 5
    for part in (found.by_symbol, found.by_sector, found.by_strategy):
        assert sum(part.values()) == made
    assert found.total == made


def test_the_manifest_says_what_was_run(tmp_path: Path) -> None:
    manifest = load(backtest(tmp_path, "--seed", "7")).manifest

    assert manifest["complete"] is True
    assert manifest["seed"] == 7
    assert manifest["settings"]["SEED"] == "7"
    assert len(manifest["data"]["sha256"]) == 64
    assert manifest["sessions"]["played"] == 120
    assert manifest["book_matches_venue"] is True
    assert "QQXX" in manifest["notes"][0]


def test_the_same_run_gives_the_same_tables(tmp_path: Path) -> None:
    one, two = tmp_path / "one", tmp_path / "two"
    one.mkdir()
    two.mkdir()

    assert load(backtest(one)).tables == load(backtest(two)).tables


def test_a_result_is_never_overwritten(tmp_path: Path) -> None:
    out = backtest(tmp_path)
    before = (out / "manifest.json").read_bytes()

    with pytest.raises(Refused, match="not empty"):
        backtest(tmp_path)
    assert (out / "manifest.json").read_bytes() == before


def test_another_versions_result_is_refused(tmp_path: Path) -> None:
    out = backtest(tmp_path)
    path = out / "manifest.json"
    path.write_text(path.read_text().replace(f'"version": {FORMAT.version}', '"version": 99'))

    with pytest.raises(Refused, match="version 99"):
        load(out)


def test_the_page_needs_nothing_but_itself(tmp_path: Path) -> None:
    out = backtest(tmp_path)
    run("report", str(out))
    page = (out / "report.html").read_text()

    assert not re.search(r"(src|href)=|https?://|@import|url\(", page)
    assert len(page) < 3_000_000


def test_the_page_holds_plotly_and_its_figures(tmp_path: Path) -> None:
    out = backtest(tmp_path)
    run("report", str(out))
    page = (out / "report.html").read_text()
    packed, drawn = (
        re.search(rf'<script type="[^"]+" id="{name}">(.*?)</script>', page, re.DOTALL)
        for name in ("plotly", "figures")
    )
    assert packed is not None
    assert drawn is not None

    assert b"plotly.js" in gzip.decompress(base64.b64decode(packed[1]))[:100]
    figures = json.loads(drawn[1])
    places = re.findall(r'data-figure="(\w+)"', page)
    assert set(figures) == set(places) == {"equity", "rolling", "sectors", "trades", "turnover"}
    assert len(figures["equity"]["data"][0]["x"]) == 120


def test_the_same_result_is_the_same_page(tmp_path: Path) -> None:
    out = backtest(tmp_path)
    run("report", str(out), "--out", str(tmp_path / "one.html"))
    run("report", str(out), "--out", str(tmp_path / "two.html"))

    assert (tmp_path / "one.html").read_bytes() == (tmp_path / "two.html").read_bytes()


def test_a_backtest_counts_as_a_trial_of_its_bars(tmp_path: Path) -> None:
    for name, more in (("one", ()), ("two", ()), ("three", ("--impact-bps", "7"))):
        (tmp_path / name).mkdir()
        saved = load(backtest(tmp_path / name, *more))
    lines = (tmp_path / "var" / "research" / "trials.jsonl").read_text().splitlines()

    assert len(lines) == 3
    counted = Ledger(tmp_path / "var" / "research" / "trials.jsonl").count(
        saved.manifest["data"]["sha256"], 120
    )
    assert counted.trials == 2


def test_the_report_judges_a_backtest_beside_what_anyone_could_hold(tmp_path: Path) -> None:
    document = json.loads(run("report", str(backtest(tmp_path)), "--json"))
    judged = document["verdict"]["verdicts"]["judged"][0]

    assert document["verdict"]["trials"] == 1
    assert judged["verdict"] in {"beats", "no evidence", "worse"}
    assert [a["yardstick"] for a in judged["against"]] == [
        "equal_weight", "buy_and_hold", "min_variance",
    ]  # fmt: skip
    assert document["performance"]["information_ratio"] is not None


def test_bars_that_changed_since_give_no_verdict(tmp_path: Path) -> None:
    out = backtest(tmp_path)
    bars_file(tmp_path, sessions=119)
    document = json.loads(run("report", str(out), "--json"))

    assert document["verdict"]["verdicts"] is None
    assert "other bars" in document["verdict"]["missing"]


def test_the_figures_are_json(tmp_path: Path) -> None:
    document = json.loads(run("report", str(backtest(tmp_path)), "--json"))

    assert document["performance"]["max_drawdown"] >= 0
    assert document["trading"]["fills"] > 5


def test_closed_trades_and_what_is_held_make_the_profit(tmp_path: Path) -> None:
    saved = load(backtest(tmp_path, "--half-spread-bps", "0", "--impact-bps", "0"))

    closed = sum((t.profit_usd for t in closed_trades(saved)), Decimal(0))
    assert closed != 0
    assert len(figures_of(saved).days) == 120


def test_the_cost_of_trading_adds_up_over_the_months(tmp_path: Path) -> None:
    saved = load(backtest(tmp_path, "--commission-per-share", "0.01"))
    figures = figures_of(saved)
    trading = figures.document["trading"]
    months = trading_by_month(saved, figures.equity[1:])

    spent = float(trading["fees_usd"]) + float(trading["slippage_usd"])
    assert months.cost_usd[-1] == pytest.approx(spent, abs=0.01)
    assert months.names[0] == "2019-01"


@pytest.mark.parametrize(
    ("more", "said"),
    [
        (("--from", "2031-01-01"), "no session from 2031-01-01"),
        (("--from", "2019-03-01", "--to", "2019-02-01"), "lies after"),
        (("--fill-at", "yesterday"), "open, vwap, close"),
        (("--symbols", "AAPL,NONE"), "NONE not in"),
        (("--impact-bps", "-3"), "from 0 to 10,000 bps"),
    ],
)
def test_what_cannot_be_used_is_one_clear_error(
    tmp_path: Path, more: tuple[str, ...], said: str
) -> None:
    with pytest.raises(ConfigurationFault, match=said):
        backtest(tmp_path, *more)
    assert not (tmp_path / "result").exists()


def test_an_intraday_strategy_on_daily_bars_is_refused_by_name(tmp_path: Path) -> None:
    data = bars_file(tmp_path)

    with pytest.raises(ConfigurationFault, match="rsi_reversion wants bars shorter"):
        run(
            "backtest",
            "--data",
            str(data),
            "--strategies",
            "rsi_reversion(timeframe=5Min)",
            "--out",
            str(tmp_path / "result"),
        )


def test_the_first_interrupt_ends_the_run_and_the_second_the_program() -> None:
    before = signal.getsignal(signal.SIGINT)
    with interruptible() as stop:
        assert not stop()
        signal.raise_signal(signal.SIGINT)
        assert stop()
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGINT)
    assert signal.getsignal(signal.SIGINT) is before


def test_a_folder_without_a_result_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationFault, match="is no backtest result"):
        run("report", str(tmp_path))


@pytest.mark.real_data
def test_real_days_are_traded_without_a_difference(tmp_path: Path) -> None:
    if not REAL_DATA.is_dir():
        pytest.skip("the data folder beside the checkout is absent")
    out = tmp_path / "result"
    run(
        "backtest",
        "--data",
        str(REAL_DATA / "daily.parquet"),
        "--universe",
        str(REAL_DATA / "universe.csv"),
        "--strategies",
        "sma_crossover",
        "--from",
        "2008-09-01",
        "--to",
        "2008-12-31",
        "--out",
        str(out),
    )
    saved = load(out)

    assert saved.manifest["book_matches_venue"] is True
    assert len(saved.manifest["data"]["symbols"]) == 133
    assert np.isfinite([float(x) for x in saved.tables["equity"]["equity_usd"]]).all()
