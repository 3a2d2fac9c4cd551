"""The command line as a person uses it: real processes, real daemon, exit codes and all."""

import csv
import io
import json
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.processes import Run, Site, site, until

pytestmark = pytest.mark.acceptance

FILLS_WANTED = 10
TRADES_S_MAX = 60.0
READS = ("status", "positions", "orders", "fills", "signals", "risk")
ESCAPE = "\x1b"
BROKEN = "from dataclasses import dataclass\nraise RuntimeError('no luck')\n"


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    with site(tmp_path_factory.mktemp("commands")) as place:
        yield place


@pytest.fixture(scope="module")
def daemon(place: Site) -> Run:
    run = place.daemon("--demo", "--speed", "60")
    run.await_ready()
    traded = until(lambda: len(place.document("fills")["fills"]) >= FILLS_WANTED, TRADES_S_MAX)
    assert traded, run.last_words()
    return run


@pytest.fixture
def nowhere(tmp_path: Path) -> Iterator[Site]:
    """A place where nothing runs and nothing was ever saved."""
    with site(tmp_path) as place:
        yield place


def ran(place: Site, *arguments: str, code: int = 0, **settings: str) -> Run:
    run = place.tradewind(*arguments, **{"STATE_DIR": str(place.state_dir), **settings})
    assert run.await_end() == code, run.last_words()
    return run


def answer(place: Site, *arguments: str, code: int = 0, **settings: str) -> Any:
    return json.loads(ran(place, *arguments, "--json", code=code, **settings).output())


# --- while it runs -------------------------------------------------------------------------------


@pytest.mark.parametrize("command", READS)
def test_a_read_command_shows_the_running_daemon(place: Site, daemon: Run, command: str) -> None:
    assert answer(place, command)["running"] is True


@pytest.mark.parametrize("command", ["status", "signals", "risk"])
def test_a_page_for_people_names_whose_figures_these_are_and_has_no_colours(
    place: Site, daemon: Run, command: str
) -> None:
    page = ran(place, command).output()

    heading = page.splitlines()[0]
    for name in ("embedded", "account PA", str(place.state_dir), "running at"):
        assert name in heading
    assert ESCAPE not in page


def test_fills_are_written_as_csv(place: Site, daemon: Run) -> None:
    rows = list(csv.DictReader(io.StringIO(ran(place, "fills", "--csv", "-").output())))

    assert len(rows) >= FILLS_WANTED
    assert float(rows[0]["price_usd"]) > 0


def test_an_order_is_explained_from_decision_to_fill(place: Site, daemon: Run) -> None:
    filled = [o for o in answer(place, "orders")["orders"] if o["status"] == "filled"]

    steps = answer(place, "explain", filled[-1]["client_order_id"][:20])["steps"]

    kinds = [step["kind"] for step in steps]
    assert kinds[:3] == ["decision", "approved", "submitting"]
    assert "fill" in kinds
    assert steps[0]["fields"]["strengths"]


def test_why_not_tells_signals_target_and_outcome(place: Site, daemon: Run) -> None:
    told = answer(place, "why-not", "spy")

    assert told["symbol"] == "SPY"
    assert told["meaning"]
    assert "target_weight" in told
    assert "Signals" in ran(place, "why-not", "SPY").output()


def test_why_not_finds_an_earlier_decision_in_the_journal(place: Site, daemon: Run) -> None:
    first = min(fill["filled_at"] for fill in answer(place, "fills")["fills"])

    told = answer(place, "why-not", "SPY", "--at", first)

    assert told["decided_at"] <= first


def test_why_not_of_a_strange_symbol_is_a_usage_error(place: Site, daemon: Run) -> None:
    assert "not in the universe" in ran(place, "why-not", "SPYY", code=2).said()


def test_a_halt_lets_no_order_pass_until_it_is_resumed(place: Site, daemon: Run) -> None:
    assert answer(place, "halt", "--reason", "lunch")["trading_state"] == "HALTED"
    refused = answer(place, "order", "buy", "SPY", "1", code=5)
    assert "trading_state" in refused["answer"]
    assert answer(place, "resume")["trading_state"] == "ACTIVE"


def test_an_order_with_a_limit_that_lives_over_nights_is_taken(place: Site, daemon: Run) -> None:
    fill = answer(place, "fills")["fills"][0]
    limit = f"{float(fill['price_usd']) * 0.98:.2f}"
    order = ("order", "buy", fill["symbol"], "1", "--limit", limit, "--tif", "gtc")

    def is_taken() -> bool:
        run = place.tradewind(*order, STATE_DIR=str(place.state_dir))
        # The gate may find the quote too old, or that strategies have used up the rate of orders;
        # a person would try again, too.
        assert run.await_end() in {0, 5}, run.last_words()
        return "order: ordered" in run.said()

    assert until(is_taken, TRADES_S_MAX)
    newest = next(o for o in answer(place, "orders")["orders"] if "operator" in o["books"])
    assert newest["time_in_force"] == "gtc"
    assert newest["terms"] == f"limit {limit}"


@pytest.mark.parametrize(
    "arguments",
    [
        ("order", "hold", "SPY", "1"),
        ("order", "buy", "SPY", "1", "--limit", "10.001"),
        ("why-not", "SPY", "--at", "yesterday"),
    ],
)
def test_a_usage_error_exits_2_and_reaches_nobody(
    place: Site, daemon: Run, arguments: tuple[str, ...]
) -> None:
    before = place.document("status")["counters"]

    ran(place, *arguments, code=2)

    asked = {k: v for k, v in place.document("status")["counters"].items() if "operator" in k}
    assert asked == {k: v for k, v in before.items() if "operator" in k}


def test_the_plain_view_tells_what_happens_and_leaves_the_daemon_alone(
    place: Site, daemon: Run
) -> None:
    view = place.tradewind("top", "--plain", STATE_DIR=str(place.state_dir))
    assert until(lambda: "decision  " in view.output(), TRADES_S_MAX), view.last_words()

    assert view.stop(signal.SIGINT) == 0
    assert "60× time" in view.output()
    assert daemon.process.poll() is None


def test_a_second_demonstration_shows_the_daemon_that_runs(place: Site, daemon: Run) -> None:
    demo = place.tradewind("demo", "--plain", STATE_DIR=str(place.state_dir))
    demo.await_line("running already")
    assert until(lambda: "Trading " in demo.output(), TRADES_S_MAX), demo.last_words()

    assert demo.stop(signal.SIGINT) == 0
    assert daemon.process.poll() is None


def test_doctor_finds_nothing_wrong_with_a_daemon_that_trades(place: Site, daemon: Run) -> None:
    found = answer(place, "doctor")

    assert found["ok"] is True
    subjects = {finding["subject"] for finding in found["findings"]}
    assert {"venue", "account", "clock", "data", "limit: position", "shares", "state"} <= subjects


def test_strategies_say_what_each_of_them_does(place: Site, daemon: Run) -> None:
    rows = {row["name"]: row for row in answer(place, "strategies")["strategies"]}

    assert rows["sma_crossover"]["state"] == "enabled"
    assert rows["lstm"]["state"].startswith("abstains")
    assert rows["rsi_reversion"]["lookback_bars"] >= 250


# --- once it was killed --------------------------------------------------------------------------


@pytest.fixture(scope="module")
def killed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """A place whose daemon was killed while it held positions; its exchange goes on."""
    with site(tmp_path_factory.mktemp("killed")) as place:
        run = place.daemon("--demo", "--speed", "120")
        run.await_ready()
        held = until(lambda: len(place.document("positions")["positions"]) >= 5, TRADES_S_MAX)
        assert held, run.last_words()
        run.kill()
        yield place


@pytest.mark.parametrize("command", ["status", "positions"])
def test_a_stopped_daemon_is_read_from_its_saved_state(killed: Site, command: str) -> None:
    shown = answer(killed, command)

    assert shown["running"] is False
    assert shown["as_of"] is not None


@pytest.mark.parametrize("command", ["halt", "resume"])
def test_control_of_a_stopped_daemon_exits_3_and_says_how_to_start_it(
    killed: Site, command: str
) -> None:
    said = ran(killed, command, code=3).said().strip()

    assert "tradewind run" in said
    assert len(said.splitlines()) == 1


def test_flatten_closes_everything_though_the_daemon_is_down(killed: Site) -> None:
    assert answer(killed, "flatten", "--reason", "enough")["flat"] is True

    report = json.loads((killed.state_dir / "last-run.json").read_bytes())
    assert report["book_matches_venue"] is True
    assert answer(killed, "positions")["positions"] == []
    after = answer(killed, "status")
    assert (after["trading_state"], after["cause"]) == ("REDUCING", "flatten")
    assert after["running"] is False


# --- where nothing runs --------------------------------------------------------------------------


@pytest.mark.parametrize("command", ["status", "fills"])
def test_reading_where_nothing_was_ever_saved_says_so_and_exits_0(
    nowhere: Site, command: str
) -> None:
    shown = answer(nowhere, command)

    assert (shown["running"], shown["saved"]) == (False, False)


def test_flatten_with_nothing_to_flatten_says_so(nowhere: Site) -> None:
    assert "nothing to flatten" in ran(nowhere, "flatten", code=1).said()


def test_the_view_needs_a_running_daemon(nowhere: Site) -> None:
    assert "tradewind run" in ran(nowhere, "top", code=3).said()


def test_doctor_works_with_nothing_running(nowhere: Site) -> None:
    found = answer(nowhere, "doctor")

    (venue,) = [f for f in found["findings"] if f["subject"] == "venue"]
    assert venue["level"] == "note"


def test_doctor_exits_4_for_settings_that_cannot_be_used(nowhere: Site) -> None:
    said = ran(nowhere, "doctor", code=4, MAX_POSITION_SIZE="5", POLL_SECONDS="often").said()

    assert "MAX_POSITION_SIZE" in said
    assert "POLL_SECONDS" in said


def test_doctor_shows_settings_and_no_secret(nowhere: Site) -> None:
    run = ran(nowhere, "doctor", "--settings", HTTP_TOKEN="canary-canary-canary")

    assert "HTTP_TOKEN" in run.output()
    assert "canary" not in run.output() + run.said()


def test_doctor_exits_1_for_a_strategy_that_does_not_load(nowhere: Site) -> None:
    mine = nowhere.folder / "mine"
    mine.mkdir()
    (mine / "broken.py").write_text(BROKEN)

    found = answer(nowhere, "doctor", code=1, STRATEGIES_DIR=str(mine))

    assert any("no luck" in f["text"] for f in found["findings"] if f["level"] == "wrong")


def test_a_new_strategy_is_written_listed_in_shadow_and_passes_its_checks(nowhere: Site) -> None:
    mine = {"STRATEGIES_DIR": str(nowhere.folder / "mine")}

    ran(nowhere, "new-strategy", "my_breakout", **mine)

    rows = {row["name"]: row for row in answer(nowhere, "strategies", **mine)["strategies"]}
    assert rows["my_breakout"]["state"] == "shadow"
    checked = json.loads(
        ran(nowhere, "strategies", "check", "my_breakout", "--json", **mine).output()
    )
    assert checked["passed"] is True
    ran(nowhere, "new-strategy", "my_breakout", code=5, **mine)


def test_a_strategy_that_breaks_its_contract_fails_its_check(nowhere: Site) -> None:
    mine = nowhere.folder / "mine"
    ran(nowhere, "new-strategy", "my_cheat", STRATEGIES_DIR=str(mine))
    file = mine / "my_cheat.py"
    file.write_text(file.read_text().replace("-1.0, 1.0)", "-1.0, 1.0) * 3"))

    run = ran(nowhere, "strategies", "check", "my_cheat", code=1, STRATEGIES_DIR=str(mine))

    assert "FAIL" in run.output()


def test_a_test_message_without_a_webhook_says_what_to_set(nowhere: Site) -> None:
    assert "NOTIFY_URL" in ran(nowhere, "notify", "--test", code=1).said()


# --- the demonstration ---------------------------------------------------------------------------


def test_the_demonstration_starts_trades_and_stops_both_on_ctrl_c(nowhere: Site) -> None:
    demo = nowhere.tradewind("demo", "--plain", "--speed", "120", STATE_DIR=str(nowhere.state_dir))
    assert until(lambda: "fill  " in demo.output(), TRADES_S_MAX), demo.last_words()

    assert demo.stop(signal.SIGINT) == 0, demo.last_words()

    said = demo.said()
    assert "Loading history" in said
    assert "synthetic profit means nothing" in said
    assert "as the venue has it" in said
    assert "NOT as" not in said
    nowhere.await_exchange_gone()


def test_the_demonstration_ends_with_the_daemons_words_when_that_cannot_start(
    nowhere: Site, place: Site, daemon: Run
) -> None:
    taken = str(place.http_port)

    run = ran(nowhere, "demo", "--plain", code=5, HTTP_PORT=taken)

    assert f"port {taken}" in run.said()


def test_a_demonstration_that_nobody_reads_any_more_leaves_nothing_behind(nowhere: Site) -> None:
    # `make run | head` once left a daemon and an exchange running: the pipe broke, nobody stopped.
    shown = subprocess.run(
        f"{sys.executable} -m daemon.cli demo --plain --speed 600 | head -1",
        shell=True,
        cwd=nowhere.folder,
        env=nowhere.environment(STATE_DIR=str(nowhere.state_dir)),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        timeout=60,
        check=False,
        text=True,
    )

    assert "embedded" in shown.stdout
    nowhere.await_exchange_gone(30.0)
