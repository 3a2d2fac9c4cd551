"""Logs: a shape for machines and one for people, edges once, secrets never."""

import io
import logging
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any, NoReturn

import orjson
import pytest
import structlog
from hypothesis import given
from hypothesis import strategies as st

from daemon.logs import Edge, LineWriter, LogFormat, Secrets, configure_logs

AT = datetime(2026, 1, 5, 14, 30, tzinfo=UTC)
SECRET = "CANARY/canary+CANARY"


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


class FullDisk(io.StringIO):
    def write(self, text: str) -> int:
        raise OSError(28, "No space left on device")


@pytest.fixture(autouse=True)
def _as_it_was() -> Iterator[None]:
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    structlog.reset_defaults()
    root.handlers[:] = handlers
    root.setLevel(level)


def logging_to(
    stream: io.StringIO, *, log_format: LogFormat = "json", level: str = "info"
) -> LineWriter:
    return configure_logs(
        level=level,
        log_format=log_format,
        secrets=Secrets([SECRET]),
        stream=stream,
        now=lambda: AT,
    )


def break_with(text: str) -> NoReturn:
    raise RuntimeError(f"with {text}") from ValueError(text)


def lines(stream: io.StringIO) -> list[dict[str, Any]]:
    return [orjson.loads(line) for line in stream.getvalue().splitlines()]


def test_a_line_for_machines_is_one_json_object() -> None:
    stream = io.StringIO()
    logging_to(stream, log_format="auto")
    structlog.get_logger().info("order filled", symbol="AAPL", shares=5)

    assert lines(stream) == [
        {
            "at": "2026-01-05T14:30:00.000+00:00",
            "level": "info",
            "event": "order filled",
            "symbol": "AAPL",
            "shares": 5,
        }
    ]


def test_a_terminal_gets_text_for_people() -> None:
    stream = Terminal()
    logging_to(stream, log_format="auto")
    structlog.get_logger().info("order filled", symbol="AAPL")

    assert "order filled" in stream.getvalue()
    assert not stream.getvalue().startswith("{")


def test_json_can_be_had_on_a_terminal() -> None:
    stream = Terminal()
    logging_to(stream, log_format="json")
    structlog.get_logger().info("x")

    assert lines(stream)[0]["event"] == "x"


def test_what_is_below_the_level_is_not_written() -> None:
    stream = io.StringIO()
    logging_to(stream, level="warning")
    structlog.get_logger().info("quiet")
    structlog.get_logger().warning("loud")

    assert [line["event"] for line in lines(stream)] == ["loud"]


def test_the_libraries_logs_look_like_ours() -> None:
    stream = io.StringIO()
    logging_to(stream)
    logging.getLogger("aiohttp.server").error("request for %s failed", SECRET)
    logging.getLogger("aiohttp.server").info("too much")

    (line,) = lines(stream)
    assert line["logger"] == "aiohttp.server"
    assert line["event"] == "request for *** failed"


@pytest.mark.parametrize("log_format", ["json", "console"])
def test_no_secret_comes_through(log_format: LogFormat) -> None:
    stream = io.StringIO()
    logging_to(stream, log_format=log_format)
    log = structlog.get_logger()
    log.info(f"in the event {SECRET}", nested={"a": [f"x{SECRET}"]}, where=("y", {SECRET: 1}))
    log.info("escaped", url="https://h/?k=CANARY%2Fcanary%2BCANARY", thing=ValueError(SECRET))
    try:
        break_with(SECRET)
    except RuntimeError:
        log.exception("it broke")
        logging.getLogger("asyncio").exception("theirs broke")

    assert "RuntimeError" in stream.getvalue()
    assert "CANARY" not in stream.getvalue()


@pytest.mark.parametrize(
    "name",
    [
        "token",
        "http_token",
        "api_key",
        "APCA-API-SECRET-KEY",
        "APCA-API-KEY-ID",
        "Authorization",
        "password",
        "alpaca_secret_key",
        "notify_url",
        "secret",
        "credentials",
    ],
)
def test_a_field_named_like_a_secret_is_hidden_whatever_it_holds(name: str) -> None:
    stream = io.StringIO()
    logging_to(stream)
    structlog.get_logger().info("x", **{name: "abc"}, headers={name: 12345})

    (line,) = lines(stream)
    assert line[name] == "***"
    assert line["headers"] == {name: "***"}


def test_innocent_names_are_shown() -> None:
    stream = io.StringIO()
    logging_to(stream)
    structlog.get_logger().info("x", key="halt", symbol="KEYS", tokens_left=3, venue=None)

    (line,) = lines(stream)
    assert (line["key"], line["symbol"], line["tokens_left"], line["venue"]) == (
        "halt",
        "KEYS",
        3,
        None,
    )


@given(st.text(min_size=6), st.text(), st.text())
def test_a_secret_is_hidden_wherever_it_stands(secret: str, before: str, after: str) -> None:
    hidden = Secrets([secret]).hide(before + secret + after)

    assert "***" in hidden
    # What is left can hold the secret only by putting the mask and its neighbors together.
    assert "*" in secret or secret not in hidden


def test_a_short_text_is_not_taken_for_a_secret() -> None:
    assert Secrets(["a"]).hide("a banana") == "a banana"


def test_a_secret_made_later_is_hidden_too() -> None:
    secrets = Secrets()
    secrets.add("made-later")

    assert secrets.hide("Bearer made-later") == "Bearer ***"


def test_a_longer_secret_is_not_given_away_by_a_shorter_one() -> None:
    assert Secrets(["abcdef", "abcdefghij"]).hide("abcdefghij") == "***"


def test_a_full_disk_loses_lines_and_stops_nothing() -> None:
    writer = logging_to(FullDisk())
    structlog.get_logger().error("lost")
    structlog.get_logger().error("lost")

    assert writer.lost_lines == 2


def test_an_edge_is_logged_once_and_its_end_with_a_count() -> None:
    stream = io.StringIO()
    logging_to(stream)
    edge = Edge(structlog.get_logger(), what="quotes")
    assert not edge.worked()
    assert [edge.failed(symbols=66) for _ in range(3)] == [True, False, False]
    assert edge.is_failing
    assert edge.worked(symbols=66)
    assert not edge.worked()

    failing, recovered = lines(stream)
    assert (failing["event"], failing["level"], failing["symbols"]) == (
        "quotes failing",
        "warning",
        66,
    )
    assert (recovered["event"], recovered["failures"]) == ("quotes recovered", 3)


def test_an_edge_can_come_again() -> None:
    stream = io.StringIO()
    logging_to(stream)
    edge = Edge(structlog.get_logger(), what="stream")
    for _ in range(2):
        edge.failed()
        edge.worked()

    assert [line["event"] for line in lines(stream)] == [
        "stream failing",
        "stream recovered",
    ] * 2
