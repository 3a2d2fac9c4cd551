"""What cannot be used is refused in one line, with the right exit code, and nothing is lost."""

import http.server
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from exchange.__main__ import main as exchange_main
from tests.support.processes import Run, Site, free_port, site

pytestmark = pytest.mark.acceptance

CONFIGURATION, REFUSED = 4, 5
PAPER_KEYS = {"ALPACA_API_KEY": "PKTESTTESTTESTTEST", "ALPACA_SECRET_KEY": "s" * 40}


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Site]:
    with site(tmp_path) as place:
        yield place


def complaint(run: Run, code: int) -> str:
    """Return what a run that must fail said on ending: one sentence, no traceback."""
    assert run.await_end() == code, run.last_words()
    said = run.said()
    assert "Traceback" not in said, said
    assert run.output() == ""
    found = [line for line in said.splitlines() if line.startswith("tradewind: ")]
    assert len(found) == 1, said
    return said[said.index(found[0]) :].strip()


def nothing_was_started(place: Site) -> bool:
    return place.exchange_process() is None and not place.state_dir.exists()


# --- settings ------------------------------------------------------------------------------------


def test_every_wrong_setting_is_named_at_once_and_nothing_is_started(place: Site) -> None:
    run = place.daemon(
        STOP_LOSS_PERCENT="5",
        BAR_TIMEFRAME="7Min",
        TRADING_SYMBOLS="AAPL,NOSUCHCOMPANY",
        MAX_GROSS_EXPOSURE="3",
        MAX_POSITON_SIZE="0.02",
    )
    said = complaint(run, CONFIGURATION)
    for name in ("STOP_LOSS_PERCENT", "BAR_TIMEFRAME", "MAX_GROSS_EXPOSURE", "MAX_POSITON_SIZE"):
        assert f"  {name}" in said, said
    assert "write 0.05 or 5%" in said
    assert "did you mean MAX_POSITION_SIZE?" in said
    assert nothing_was_started(place)


def test_a_symbol_nobody_knows_is_named(place: Site) -> None:
    run = place.daemon(TRADING_SYMBOLS="AAPL,NOSUCH,ALSONOT")
    said = complaint(run, CONFIGURATION)
    assert "NOSUCH" in said
    assert "ALSONOT" in said
    assert "AAPL" not in said.replace("TRADING_SYMBOLS=AAPL", "")


def test_paper_without_keys_says_where_to_click(place: Site) -> None:
    said = complaint(place.daemon("--venue", "paper"), CONFIGURATION)
    assert "ALPACA_API_KEY" in said
    assert "ALPACA_SECRET_KEY" in said
    assert "https://app.alpaca.markets" in said
    assert nothing_was_started(place)


def test_a_live_key_is_refused_and_not_shown(place: Site) -> None:
    key = "AKLIVELIVELIVELIVE01"
    run = place.daemon("--venue", "paper", ALPACA_API_KEY=key, ALPACA_SECRET_KEY="s" * 40)
    said = complaint(run, CONFIGURATION)
    assert "live key" in said
    assert key not in said


def test_a_live_url_is_refused(place: Site) -> None:
    run = place.daemon(APCA_API_BASE_URL="https://api.alpaca.markets", **PAPER_KEYS)
    assert "live API" in complaint(run, CONFIGURATION)


def test_keys_the_venue_does_not_accept_end_the_run_with_what_to_do(place: Site) -> None:
    # Alpaca cannot be reached from a test; this exchange lets one pair of keys in, and not ours.
    exchange = place.exchange("--key", "PKRIGHT", "--secret", "right")
    exchange.await_line("exchange on")
    said = complaint(place.daemon(), CONFIGURATION)
    assert place.exchange_url in said
    assert "--key" in said


# --- who else is there ---------------------------------------------------------------------------


@pytest.fixture
def stranger(place: Site) -> Iterator[http.server.HTTPServer]:
    """Another program on the exchange's port: a web server that knows none of our pages."""
    server = http.server.HTTPServer(("127.0.0.1", place.exchange_port), Strange)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


class Strange(http.server.BaseHTTPRequestHandler):
    """Answers 404 to everything, quietly."""

    def do_GET(self) -> None:
        self.send_error(404)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - inherited
        """Say nothing."""


def test_another_program_on_the_exchanges_port_is_not_mistaken_for_one(
    place: Site, stranger: http.server.HTTPServer
) -> None:
    said = complaint(place.daemon(), REFUSED)
    assert str(place.exchange_port) in said
    assert "EXCHANGE_URL" in said


@pytest.fixture(scope="module")
def trading(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """A daemon that trades at 60× on the synthetic market, seed 1."""
    with site(tmp_path_factory.mktemp("trading")) as place:
        place.daemon("--demo", "--speed", "60").await_ready()
        yield place


def test_a_second_daemon_on_the_same_state_is_refused_and_the_first_goes_on(trading: Site) -> None:
    run = trading.daemon(HTTP_PORT=str(free_port()))
    said = complaint(run, REFUSED)
    assert f"pid {trading.started[0].process.pid}" in said
    assert trading.ask("/readyz").status == 200


def test_a_port_in_use_is_named_and_the_other_daemon_goes_on(trading: Site, place: Site) -> None:
    run = place.daemon(HTTP_PORT=str(trading.http_port))
    said = complaint(run, REFUSED)
    assert str(trading.http_port) in said
    assert "HTTP_PORT" in said
    assert trading.ask("/readyz").status == 200
    # It had started an exchange for itself: that is gone as well.
    place.await_exchange_gone()


def test_an_exchange_that_differs_from_what_was_asked_is_refused_naming_both(
    trading: Site, place: Site
) -> None:
    run = place.daemon(
        *("--market", "synthetic:7", "--speed", "10", "--seed", "7"),
        EXCHANGE_URL=trading.exchange_url,
    )
    said = complaint(run, REFUSED)
    assert "--market: asked synthetic:7, it has synthetic:1" in said
    assert "--speed: asked 10.0, it has 60.0" in said
    assert "--seed: asked 7, it has 1" in said
    assert trading.exchange_process() is not None


# --- state ---------------------------------------------------------------------------------------


def test_a_state_directory_that_cannot_be_one_is_refused(place: Site) -> None:
    place.state_dir.write_text("a file is in its place\n")
    said = complaint(place.daemon(), REFUSED)
    assert str(place.state_dir) in said
    assert place.state_dir.read_text() == "a file is in its place\n"


@pytest.fixture
def saved(place: Site) -> Path:
    """The portfolio.json of a daemon that ran and was stopped."""
    run = place.daemon("--speed", "60")
    run.await_ready()
    assert run.stop() == 0, run.last_words()
    return next(place.state_dir.glob("embedded-*/portfolio.json"))


def test_a_corrupt_state_is_left_as_it_is_and_the_repairing_command_named(
    place: Site, saved: Path
) -> None:
    whole = saved.read_bytes()
    saved.write_bytes(whole[: len(whole) // 2])
    before = {p.name: p.read_bytes() for p in saved.parent.glob("portfolio*.json")}
    said = complaint(place.daemon("--speed", "60"), REFUSED)
    assert str(saved) in said
    assert "tradewind state" in said
    assert {p.name: p.read_bytes() for p in saved.parent.glob("portfolio*.json")} == before
    place.await_exchange_gone()


def test_a_state_of_another_version_or_half_copied_is_left_as_it_is_and_said_what_to_do(
    place: Site, saved: Path
) -> None:
    text = saved.read_bytes()
    journal = sorted((saved.parent / "journal").glob("*"))
    for spoil, words in (
        (lambda: saved.write_bytes(text.replace(b'"version": 1', b'"version": 2', 1)), "newer"),
        (lambda: saved.write_bytes(text.replace(b'"version": 1', b'"version": 0', 1)), "too old"),
        (lambda: [path.unlink() for path in journal], "tradewind state repair"),
    ):
        spoil()
        before = {p: p.read_bytes() for p in saved.parent.rglob("*") if p.is_file()}
        said = complaint(place.daemon("--speed", "60"), REFUSED)
        assert words in said
        assert str(saved.parent) in said
        for path, content in before.items():
            assert path.read_bytes() == content
        saved.write_bytes(text)


def test_the_state_of_another_account_is_refused(place: Site, saved: Path) -> None:
    # An exchange of another seed has another account; what lies under its name is not its own.
    exchange = place.exchange("--seed", "2")
    exchange.await_line("exchange on")
    account = place.venue("/v2/account")["account_number"]
    foreign = saved.parent.rename(saved.parent.with_name(f"embedded-{account}"))
    before = (foreign / "portfolio.json").read_bytes()
    said = complaint(place.daemon(), REFUSED)
    assert account in said
    assert saved.parent.name in said
    assert (foreign / "portfolio.json").read_bytes() == before


# --- replay files --------------------------------------------------------------------------------

HEADER = "symbol,timestamp,open,high,low,close,volume"
GOOD = (
    "AAPL,2026-01-05 09:30:00-05:00,100,101,99,100.5,1000",
    "AAPL,2026-01-05 09:31:00-05:00,100.5,101,100,100.8,900",
    "AAPL,2026-01-05 09:32:00-05:00,100.8,102,100,101.5,800",
)


def bars(folder: Path, *rows: str, header: str = HEADER) -> Path:
    path = folder / "bars.csv"
    path.write_text("\n".join([header, *rows, ""]))
    return path


@pytest.mark.parametrize(
    ("rows", "named"),
    [
        ((GOOD[0], GOOD[1].replace("100.5,101", "nan,101")), ("row 3 ", "column open:")),
        ((GOOD[0], GOOD[2], GOOD[1]), ("row 4 ", "column timestamp:")),
        ((GOOD[0], GOOD[0]), ("row 3 ", "column timestamp:")),
        ((GOOD[0], GOOD[1].replace(",101,100,", ",99,100,")), ("row 3 ", "column high:")),
        ((GOOD[0], GOOD[1].replace("100.8,900", "cheap,900")), ("row 3 ", "column close:")),
        ((GOOD[0], GOOD[1].replace(",900", ",-1")), ("row 3 ", "column volume:")),
    ],
    ids=["nan", "unsorted", "duplicate", "high below low", "wrong type", "negative volume"],
)
def test_a_bad_row_is_named_by_file_row_and_column(
    tmp_path: Path,
    rows: tuple[str, ...],
    named: tuple[str, str],
    capsys: pytest.CaptureFixture[str],
) -> None:
    path = bars(tmp_path, *rows)
    # The exchange's own entry, in this process: the program passes on its last line as it is.
    assert exchange_main(["--market", str(path), "--port", "0"]) == CONFIGURATION
    said = capsys.readouterr().err
    assert said.count("\n") == 1
    assert all(part in said for part in (str(path), *named)), said


def test_a_file_without_a_column_ends_the_run_naming_file_and_column(place: Site) -> None:
    place.folder.mkdir(exist_ok=True)
    header = HEADER.replace(",volume", "")
    path = bars(place.folder, *(row.rsplit(",", 1)[0] for row in GOOD), header=header)
    said = complaint(place.daemon("--market", str(path)), CONFIGURATION)
    assert str(path) in said
    assert "volume" in said
    assert place.exchange_process() is None
