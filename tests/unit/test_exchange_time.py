"""Market time, budgets, bar lengths, page tokens, ids."""

from datetime import UTC, date, datetime

import pytest

from exchange.bar_lengths import BarLength, Unit, parse_length
from exchange.clock import RunningTime, SteppedTime
from exchange.errors import Refusal
from exchange.ids import ulid_text, uuid_text
from exchange.instants import (
    SECOND_NS,
    midnight_ns,
    new_york_rfc3339,
    parse_instant,
    rfc3339,
    rfc3339_short,
    to_ns,
)
from exchange.limits import full_bucket
from exchange.paging import Mark, read_token
from tests.support.exchanges import DAYS, HandMarket, close_ns, open_ns

CALENDAR = HandMarket().calendar


class Machine:
    """A machine clock moved by hand."""

    def __init__(self) -> None:
        self.now_s = 1_000.0

    def __call__(self) -> float:
        return self.now_s


def running(machine: Machine, *, speed: float = 60.0, skip_closed: bool = True) -> RunningTime:
    return RunningTime(CALENDAR, open_ns(), speed=speed, skip_closed=skip_closed, machine_s=machine)


def test_market_time_passes_as_many_times_faster_as_asked() -> None:
    machine = Machine()
    time = running(machine)
    machine.now_s += 2
    assert time.now_ns() == open_ns() + 120 * SECOND_NS


def test_closed_hours_are_jumped_over() -> None:
    machine = Machine()
    time = running(machine)
    # Ten minutes of session, one of tail, one of lead: twelve seconds at 60x.
    machine.now_s += 12
    assert time.now_ns() == open_ns(DAYS[1])


def test_closed_hours_pass_when_not_skipped() -> None:
    machine = Machine()
    time = running(machine, skip_closed=False)
    machine.now_s += 12
    assert time.now_ns() == close_ns() + 120 * SECOND_NS


def test_market_time_never_goes_back_with_the_machine_s() -> None:
    machine = Machine()
    time = running(machine)
    machine.now_s += 2
    before = time.now_ns()
    machine.now_s -= 1
    assert time.now_ns() == before


def test_the_wait_until_an_instant_is_real_time() -> None:
    machine = Machine()
    time = running(machine)
    assert time.real_s_until(open_ns() + 60 * SECOND_NS) == pytest.approx(1.0)
    assert time.real_s_until(open_ns(DAYS[1])) == pytest.approx(12.0)
    assert time.real_s_until(open_ns() - 1) == 0


def test_a_long_run_moves_its_anchor_and_tells_the_same_time() -> None:
    machine = Machine()
    time, fresh = running(machine), running(machine)
    for _ in range(90):
        machine.now_s += 1.3
        time.now_ns()
    assert time.clock.anchor_market_at > datetime(2026, 1, 8, tzinfo=UTC)
    assert abs(time.now_ns() - fresh.now_ns()) < SECOND_NS // 1000


def test_stepped_time_stands_still_until_it_is_told() -> None:
    time = SteppedTime(CALENDAR, open_ns())
    time.step_to(open_ns() + 5)
    time.step_to(open_ns() + 1)
    assert time.now_ns() == open_ns() + 5
    assert time.real_s_until(close_ns()) == float("inf")


@pytest.mark.wire("limits.bucket")
def test_a_bucket_refills_evenly_up_to_its_capacity() -> None:
    bucket = full_bucket(200, 0)
    assert [bucket.take(0) for _ in range(201)] == [True] * 200 + [False]
    later_ns = 3 * SECOND_NS
    assert [bucket.take(later_ns) for _ in range(11)] == [True] * 10 + [False]
    bucket.take(3600 * SECOND_NS)
    assert bucket.headers(3600 * SECOND_NS)["X-Ratelimit-Remaining"] == "199"


@pytest.mark.parametrize(
    ("text", "length"),
    [
        ("1Min", BarLength(amount=1, unit=Unit.MINUTE)),
        ("59T", BarLength(amount=59, unit=Unit.MINUTE)),
        ("4Hour", BarLength(amount=4, unit=Unit.HOUR)),
        ("1D", BarLength(amount=1, unit=Unit.DAY)),
        ("12Month", BarLength(amount=12, unit=Unit.MONTH)),
    ],
)
def test_bar_lengths_are_read(text: str, length: BarLength) -> None:
    assert parse_length(text) == length


@pytest.mark.parametrize("text", ["", "60Min", "0Min", "24Hour", "2Day", "5Month", "1min", "Min"])
def test_other_bar_lengths_are_refused(text: str) -> None:
    with pytest.raises(ValueError, match="invalid timeframe"):
        parse_length(text)


def test_page_tokens_come_back_as_they_were() -> None:
    mark = Mark(symbol="BRK.B", at_ns=1_767_623_400_000_000_000)
    assert read_token(mark.token()) == mark
    assert "=" not in mark.token()


@pytest.mark.parametrize("token", ["!", "AAAA", "QUFBfE18eA", "é"])
def test_a_bad_page_token_is_refused(token: str) -> None:
    with pytest.raises(Refusal, match="page_token"):
        read_token(token)


@pytest.mark.wire("encoding.times")
def test_instants_are_written_as_the_wire_writes_them() -> None:
    at_ns = to_ns(datetime(2026, 7, 1, 14, 30, tzinfo=UTC)) + 120_000_001
    assert rfc3339(at_ns) == "2026-07-01T14:30:00.120000001Z"
    assert rfc3339_short(at_ns - 1) == "2026-07-01T14:30:00.12Z"
    assert rfc3339_short(at_ns - 120_000_001) == "2026-07-01T14:30:00Z"
    assert new_york_rfc3339(at_ns) == "2026-07-01T10:30:00.120000001-04:00"


def test_a_date_means_new_york_s_day() -> None:
    assert parse_instant("2026-01-05") == midnight_ns(date(2026, 1, 5))
    assert parse_instant("2026-01-05", day_ends=True) == midnight_ns(date(2026, 1, 6)) - 1
    assert parse_instant("2026-01-05T05:00:00+00:00") == midnight_ns(date(2026, 1, 5))


def test_event_ids_sort_by_time_and_then_by_sequence() -> None:
    ids = [ulid_text(at_ms * 1_000_000, n, 7) for at_ms, n in ((1, 9), (2, 10), (2, 11), (3, 12))]
    assert ids == sorted(ids)
    assert {len(i) for i in ids} == {26}


def test_ids_have_the_form_of_a_random_uuid() -> None:
    text = uuid_text(1, "order", 1)
    assert (text[14], text[19] in "89ab", len(text)) == ("4", True, 36)
    assert text != uuid_text(1, "order", 2)
