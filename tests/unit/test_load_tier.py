"""The load tier says when a daemon does not keep up, and what it adds to a stream is the wire's."""

import aiohttp
import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from research.simulation import tiers
from research.simulation.load import LAG_S_MAX, RATE, Loaded
from research.simulation.load_feeder import frame
from research.simulation.site import share_of


def a_good_run() -> Loaded:
    return Loaded(lasted_s=2.0, sent=2 * RATE, lags_s=[0.001] * 100, fills_s=[0.01] * 10)


def judged(found: Loaded) -> list[str]:
    found.judge(RATE)
    return found.failed


def test_a_daemon_that_keeps_up_passes() -> None:
    assert judged(a_good_run()) == []


def test_one_dropped_message_fails() -> None:
    found = a_good_run()
    found.dropped = 1

    assert judged(found) == ["1 messages dropped"]


def test_a_feeder_that_sends_too_little_measures_nothing() -> None:
    found = a_good_run()
    found.sent = RATE

    assert "only 10,000 messages a second" in judged(found)[0]


def test_two_late_answers_of_a_hundred_fail_and_one_does_not() -> None:
    one, two = a_good_run(), a_good_run()
    one.lags_s = [0.001] * 198 + [2 * LAG_S_MAX]
    two.lags_s = [0.001] * 98 + [2 * LAG_S_MAX] * 2

    assert (len(judged(one)), len(judged(two))) == (0, 1)


def test_too_few_fills_measure_nothing() -> None:
    found = a_good_run()
    found.fills_s = [0.01]

    assert "only 1 fills" in judged(found)[0]


def test_late_fills_fail() -> None:
    found = a_good_run()
    found.fills_s = [0.01] * 9 + [0.2]

    assert "fills are late" in judged(found)[0]


@pytest.mark.parametrize(("share", "within"), [(0.5, 3.0), (0.99, 4.0), (1.0, 4.0)])
def test_a_share_of_times_stays_within_its_rank(share: float, within: float) -> None:
    assert share_of([4.0, 1.0, 3.0, 2.0], share) == within


@pytest.mark.parametrize("size", [0, 125, 126, 300, 65_535])
async def test_a_frame_is_read_as_any_other(size: int) -> None:
    async def serve(request: web.Request) -> web.WebSocketResponse:
        socket = web.WebSocketResponse(compress=False)
        await socket.prepare(request)
        assert request.transport is not None
        request.transport.write(frame(b"x" * size) + frame(b"next"))
        await socket.receive()
        return socket

    app = web.Application()
    app.router.add_get("/", serve)
    async with (
        TestServer(app) as server,
        aiohttp.ClientSession() as session,
        session.ws_connect(server.make_url("/")) as socket,
    ):
        heard = [await socket.receive_str() for _ in range(2)]

    assert heard == ["x" * size, "next"]


def timed(*faults: list[str], busy: float) -> tuple[bool, list[str]]:
    """Measure as often as is asked for; return the verdict and what was said."""
    said: list[str] = []
    runs = [a_good_run() for _ in faults]
    for run, found in zip(runs, faults, strict=True):
        run.failed = found
    left = iter(runs)
    is_good = tiers.timed(
        lambda: next(left), said.append, load_average=lambda: busy, wait=lambda seconds: None
    )
    return is_good, said


def test_what_falls_short_on_a_busy_machine_is_measured_once_more() -> None:
    is_good, said = timed(["late"], [], busy=99.0)

    assert is_good
    assert "load average of 99.0" in said[1]


def test_what_falls_short_twice_fails() -> None:
    assert not timed(["late"], ["late"], busy=99.0)[0]


def test_what_falls_short_on_an_idle_machine_fails_at_once() -> None:
    is_good, said = timed(["late"], [], busy=0.1)

    assert not is_good
    assert said[1:] == ["VIOLATION late"]
