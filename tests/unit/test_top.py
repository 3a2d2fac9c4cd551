"""The terminal view: what stands on the page at every size, and what is told line by line."""

import copy
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rich.console import Console
from rich.text import Text

from daemon.api_client import Document
from daemon.market_facts import facts_of
from daemon.screen import NO_PROMISE, NO_PROMISE_ON_PAPER, MarketFacts, Sight, page
from daemon.screen_grid import Page, Panel, column
from daemon.watching import DENIALS_KEPT, Watch, changes
from daemon.words import parsed
from domain.errors import DaemonNotRunning
from domain.snapshot import Outcome, Snapshot, TradingState, TradingStatus
from tests.support.daemons import a_busy_snapshot, a_decision, a_denial, an_outcome, an_overview
from tests.support.orders import NOON, a_snapshot
from tests.support.snapshots import snapshots

FACTS = MarketFacts(market="synthetic:1", pace="60× time", phase="open")
HALTED = TradingStatus(
    state=TradingState.HALTED,
    since_at=NOON,
    cause="distrust",
    evidence="distrust: the book and the venue differ",
    action="compare the book with the venue",
    resumes="`tradewind resume distrust`",
)


def lines_of(shown: Page, width: int, height: int) -> list[str]:
    console = Console(width=width, height=height, record=True, file=_Nowhere(), markup=False)
    console.print(shown)
    return console.export_text().rstrip("\n").split("\n")


class _Nowhere:
    def write(self, text: str) -> int:
        return len(text)

    def flush(self) -> None:
        """Nothing is held."""


def a_sight(overview: Document | None = None, **changes: Any) -> Sight:
    fields: dict[str, Any] = {
        "overview": an_overview() if overview is None else overview,
        "facts": FACTS,
        "state_dir": "/var/tradewind/embedded-PA1",
    }
    return Sight(**{**fields, **changes})


def drawn(sight: Sight, width: int = 80, height: int = 24) -> str:
    return "\n".join(lines_of(page(sight, width, height), width, height))


# --- the page ------------------------------------------------------------------------------------


@pytest.mark.parametrize(("width", "height"), [(80, 24), (120, 40), (200, 60), (40, 12)])
def test_the_page_fills_the_window_exactly(width: int, height: int) -> None:
    lines = lines_of(page(a_sight(), width, height), width, height)

    assert len(lines) == height
    assert {len(line) for line in lines} == {width}


@settings(max_examples=40)
@given(snapshots, st.integers(1, 150), st.integers(1, 60))
def test_any_state_fills_any_window(snapshot: Snapshot, width: int, height: int) -> None:
    lines = page(a_sight(an_overview(snapshot)), width, height).lines

    assert len(lines) == max(height, 12)
    assert {line.cell_len for line in lines} == {max(width, 40)}


@pytest.mark.parametrize("width", [80, 120])
def test_the_header_names_venue_account_speed_market_and_state_directory(width: int) -> None:
    header = "\n".join(drawn(a_sight(), width).split("\n")[:2])

    for name in ("embedded", "PA1", "60×", "synthetic:1", "/var/tradewind/embedded-PA1"):
        assert name in header


def test_a_path_too_long_for_the_header_keeps_its_end() -> None:
    sight = a_sight(state_dir="/a/very/long/way/down/to/where/the/state/lies/embedded-PA1")

    assert "embedded-PA1" in drawn(sight, 70).split("\n")[1]


def test_market_time_is_shown_as_it_is_in_new_york() -> None:
    assert "Mon 2026-03-02 12:00:00 New York · open" in drawn(a_sight())


def test_the_money_is_named_with_its_unit_and_its_share() -> None:
    text = drawn(a_sight())

    assert "Equity $101,000.00" in text
    assert "today +$1,000.00 (1.00 %)" in text
    assert "drawdown 0.98 %" in text


@pytest.mark.parametrize("width", [80, 120])
def test_a_halt_is_shown_with_cause_action_and_what_resumes_it(width: int) -> None:
    text = drawn(a_sight(an_overview(a_busy_snapshot(trading=HALTED))), width)

    assert "HALTED  distrust: the book and the venue differ" in text
    assert "compare the book with the venue" in text
    assert "resume distrust" in " ".join(text.split())


def test_positions_orders_fills_sectors_and_strategies_have_their_panels() -> None:
    text = drawn(a_sight(), 120, 40)

    for title in ("Positions", "Last orders", "Last fills", "Sectors", "Strategies"):
        assert title in text


def test_a_fill_shows_price_and_direction_even_in_a_small_window() -> None:
    assert any("AAPL" in line and "+10  $100.00" in line for line in drawn(a_sight()).split("\n"))


def test_a_denial_is_shown_with_rule_value_and_limit() -> None:
    denials = an_overview()["denial_rows"]

    text = drawn(a_sight(denials=denials), 120, 40)

    assert "XOM sector: 16,200.00 USD" in text


def test_a_benched_strategy_is_marked_even_in_a_small_window() -> None:
    assert "slow (benched)" in drawn(a_sight())


@pytest.mark.parametrize("width", [80, 120])
def test_the_footer_says_how_to_stop_and_that_synthetic_profit_means_nothing(width: int) -> None:
    footer = drawn(a_sight(how_to_stop="q or Ctrl-C stops the daemon"), width).split("\n")[-1]

    assert "q or Ctrl-C stops the daemon" in footer
    assert NO_PROMISE in footer


def test_on_paper_the_footer_speaks_of_paper_money() -> None:
    overview = an_overview(a_busy_snapshot(venue="paper"))

    assert NO_PROMISE_ON_PAPER in drawn(a_sight(overview))


def test_before_the_first_answer_the_page_says_that_it_waits() -> None:
    assert "Waiting" in drawn(Sight())


def test_a_daemon_that_went_away_is_said_and_what_was_known_stays() -> None:
    text = drawn(a_sight(problem="No answer since 12:00:01"))

    assert "No answer since 12:00:01" in text
    assert "Equity $101,000.00" in text


def test_brackets_in_a_reason_are_shown_as_they_are() -> None:
    denial = {**an_overview()["denial_rows"][0], "value": "[red] :smile: 3"}

    assert "[red] :smile: 3" in drawn(a_sight(denials=[denial]), 120, 40)


def test_a_panel_says_how_much_it_leaves_out() -> None:
    lines = [Text(f"row {number}") for number in range(9)]
    panel = Panel(title="Rows", draw=lambda width: lines)

    shown = column([panel], 30, 5)

    assert shown[0].plain.startswith("Rows (+5)")
    assert [line.plain.strip() for line in shown[1:]] == ["row 0", "row 1", "row 2", "row 3"]


def test_room_one_panel_does_not_need_goes_to_the_others() -> None:
    few = Panel(title="Few", draw=lambda width: [Text("only")], weight=9)
    many = Panel(title="Many", draw=lambda width: [Text("x")] * 20)

    shown = column([few, many], 20, 12)

    assert sum(line.plain.strip() == "x" for line in shown) == 9


def test_spare_room_is_given_out_by_weight() -> None:
    rows = [Text("x")] * 30
    light = Panel(title="Light", draw=lambda width: rows, rows_min=1, weight=1)
    heavy = Panel(title="Heavy", draw=lambda width: rows, rows_min=1, weight=3)

    shown = column([light, heavy], 20, 22)

    assert [line.plain.startswith("Heavy") for line in shown].index(True) == 6


# --- what the header says of the market ----------------------------------------------------------

CLOCK = {
    "market": "synthetic:7",
    "speed": 60.0,
    "lockstep": False,
    "sessions": [
        {"opens_at": "2026-03-02T14:30:00+00:00", "closes_at": "2026-03-02T21:00:00+00:00"}
    ],
}


@pytest.mark.parametrize(
    ("at", "phase"),
    [
        ("2026-03-02T14:29:59Z", "closed"),
        ("2026-03-02T14:30:00Z", "open"),
        ("2026-03-02T20:59:59Z", "open"),
        ("2026-03-02T21:00:00Z", "closed"),
    ],
)
def test_the_market_is_open_between_its_bells(at: str, phase: str) -> None:
    assert facts_of(CLOCK, parsed(at)).phase == phase


@pytest.mark.parametrize(
    ("answer", "pace"),
    [
        ({"speed": 60.0}, "60× time"),
        ({"speed": 1.0}, "real time"),
        ({"speed": 1.0, "lockstep": True}, "lockstep"),
        ({}, ""),
    ],
)
def test_the_pace_is_said_in_words(answer: Document, pace: str) -> None:
    assert facts_of(answer, None).pace == pace


# --- watching ------------------------------------------------------------------------------------


class Answers:
    """A client whose daemon gives these answers in turn; an exception is raised."""

    def __init__(self, *answers: Document | Exception) -> None:
        self._answers = list(answers)

    def get(self, name: str, **params: object) -> Document:
        answer = self._answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer


def a_watch(*answers: Document | Exception) -> Watch:
    return Watch(
        Answers(*answers),
        lambda overview: FACTS,
        state_dir="/var/x",
        how_to_stop="q leaves",
        rows=40,
    )


def test_a_watch_keeps_what_it_knew_when_the_daemon_goes_away() -> None:
    watch = a_watch(an_overview(), DaemonNotRunning("gone"), DaemonNotRunning("gone"))
    watch.look(real_time="12:00:00")
    watch.look(real_time="12:00:01")

    sight = watch.look(real_time="12:00:02")

    assert sight.overview is not None
    assert sight.problem == "No answer since 12:00:01: gone"


def test_a_watch_forgets_the_silence_once_the_daemon_is_back() -> None:
    watch = a_watch(an_overview(), DaemonNotRunning("gone"), an_overview())

    problems = [bool(watch.look(real_time="12:00:00").problem) for _ in range(3)]

    assert problems == [False, True, False]


def test_a_watch_remembers_denials_that_later_decisions_do_not_repeat() -> None:
    later = a_decision(an_outcome("XOM", Outcome.NO_SIGNAL), decided_at=NOON.replace(hour=18))
    quiet = an_overview(a_busy_snapshot(last_decision=later))
    watch = a_watch(an_overview(), quiet)
    watch.look(real_time="")

    assert [row["symbol"] for row in watch.look(real_time="").denials] == ["XOM"]


def test_a_watch_remembers_so_many_denials_the_newest_first() -> None:
    denied = [an_overview() for _ in range(DENIALS_KEPT + 5)]
    for number, overview in enumerate(denied):
        overview["denial_rows"][0]["decided_at"] = f"2026-03-02T17:{number:02d}:00Z"
    watch = a_watch(*denied)

    for _ in denied:
        sight = watch.look(real_time="")

    assert len(sight.denials) == DENIALS_KEPT
    assert sight.denials[0]["decided_at"] == f"2026-03-02T17:{DENIALS_KEPT + 4:02d}:00Z"


# --- line by line --------------------------------------------------------------------------------


def changed(before: Document, **changes: Any) -> Document:
    return {**copy.deepcopy(before), **changes}


EMPTY = an_overview(a_snapshot())


def test_nothing_new_is_nothing_told() -> None:
    assert changes(an_overview(), an_overview()) == []


def test_a_fill_is_told_once_in_the_order_in_which_they_came() -> None:
    told = [line for line in changes(EMPTY, an_overview()) if "fill " in line]

    assert told == [
        "12:00:00  fill      bought 10 AAPL at $100.00",
        "12:00:01  fill      bought 20 SPY at $100.00",
    ]


def test_a_decision_is_told_with_its_summary() -> None:
    told = changes(EMPTY, an_overview())

    assert "12:00:03  decision  3 symbols: 1 ordered, 1 no signal, 1 denied" in told


def test_denials_of_one_limit_are_told_in_one_line_with_its_setting() -> None:
    outcomes = [
        an_outcome(f"S{number}", Outcome.NO_SIGNAL, denials=(a_denial(),)) for number in range(7)
    ]
    after = an_overview(a_busy_snapshot(last_decision=a_decision(*outcomes)))

    (told,) = [line for line in changes(EMPTY, after) if "denied" in line and "sector," in line]

    assert "S0, S1, S2, S3, S4 and 2 more: sector" in told
    assert "limit Energy: 15.00 % of equity (SECTOR_CAPS)" in told


def test_a_new_order_is_told_with_its_terms_and_why() -> None:
    told = changes(EMPTY, an_overview())

    assert "12:00:00  order     sell 5 SPY, limit 100 day, open: because" in told


def test_an_order_that_ended_unfilled_is_told_with_the_reason() -> None:
    before = an_overview()
    rows = [dict(row) for row in before["order_rows"]]
    rows[0] = {
        **rows[0],
        "status": "canceled",
        "finished_at": "2026-03-02T17:00:15Z",
        "reason": "given up",
    }

    assert changes(before, changed(before, order_rows=rows)) == [
        "12:00:15  canceled  sell 5 SPY, 0 filled: given up"
    ]


def test_a_change_of_state_is_told_with_its_cause_and_what_to_do() -> None:
    after = an_overview(a_busy_snapshot(trading=HALTED))

    assert changes(an_overview(), after) == [
        "12:00:00  trading   HALTED (distrust); compare the book with the venue"
    ]


@given(snapshots, snapshots)
def test_any_two_states_can_be_compared(one: Snapshot, other: Snapshot) -> None:
    for line in changes(an_overview(one), an_overview(other)):
        assert "\n\n" not in line


def test_a_text_cannot_steer_the_terminal() -> None:
    text = drawn(a_sight(notice="\x1b[2J\x1b[31mgone\nsecond"))

    assert "\x1b" not in text
    assert "gone second" in text
