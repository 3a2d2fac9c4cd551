"""The exchange's command line: options in groups, examples, and what each may be."""

import argparse
from datetime import date
from decimal import Decimal, InvalidOperation
from pathlib import Path

from exchange.faults.kinds import TAKES

DEFAULT_HOST, DEFAULT_PORT = "127.0.0.1", 8430
SWITCH = {None: None, "on": True, "off": False}
"""What may be said of a thing that has a default of its own."""
DESCRIPTION = """\
An embedded paper exchange that speaks Alpaca's wire: trading REST, market-data REST, the trading
stream and the stock data stream, on one port. A bot written for Alpaca runs against it by changing
URLs; no key, no account and no network are needed. US equities only, and the money is paper."""
EXAMPLES = """\
examples:
  tradewind exchange                                  synthetic market, real time, port 8430
  tradewind exchange --speed 60 --start 2026-03-02    a session in six and a half minutes
  tradewind exchange --market bars.parquet            your own bars, minute or daily
  tradewind exchange --lockstep --port 0              tests: a free port, time goes when told
  tradewind exchange --faults docs/faults.toml --control-port 8431

once it answers it prints one line of JSON on standard output: {"event":"ready","url":...}
URLs      REST  http://127.0.0.1:8430          no /v2 and no slash at the end
          ws://127.0.0.1:8430/stream           trading stream
          ws://127.0.0.1:8430/v2/iex           data stream (also sip, delayed_sip, test)
stepping  curl -d '{"to": "2026-01-05T14:30:00Z"}' http://127.0.0.1:8430/_exchange/advance
leaving   Ctrl-C, SIGTERM, or POST /_exchange/shutdown
exit      0 told to stop; 2 bad command line; 4 a wish that cannot be met; 5 refused
guide     docs/exchange.md"""


def make_parser() -> argparse.ArgumentParser:
    """Return the parser of `tradewind exchange` and `python -m exchange`."""
    parser = argparse.ArgumentParser(
        prog="tradewind exchange",
        description=DESCRIPTION,
        epilog=f"{EXAMPLES}\n\n{_kinds()}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    _add_listening(parser)
    _add_market(parser)
    _add_time(parser)
    _add_account(parser)
    _add_wire(parser)
    _add_faults(parser)
    return parser


def _kinds() -> str:
    """Return the vocabulary of fault scripts, one kind a line."""
    lines = [f"  {kind.value:<16} {takes.meaning}" for kind, takes in TAKES.items()]
    return "\n".join(["fault kinds, for a script's [[fault]] tables:", *lines])


def _add_listening(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument_group("where it listens").add_argument
    add("--host", default=DEFAULT_HOST, help="address to listen on (default: %(default)s)")
    add("--port", type=_port, default=DEFAULT_PORT, help="0 picks a free one (default: 8430)")
    add("--allow-remote", action="store_true", help="listen on an address others can reach")


def _add_market(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument_group("the market").add_argument
    add("--market", help="synthetic, synthetic:SEED, or a file or folder of bars")
    add("--seed", type=_seed, help="seed of ids and, without its own, of the market (default: 1)")
    add("--start", type=_day, metavar="DATE", help="first session, as 2026-01-05")
    add(
        "--corporate-actions",
        choices=[word for word in SWITCH if word],
        help="splits and dividends, of files those that lie beside the bars (default: on)",
    )
    add("--like-paper", action="store_true", help="fill at the touch whatever the size, no impact")


def _add_time(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument_group("market time").add_argument
    add("--speed", type=float, default=1.0, help="market seconds a real second (default: 1)")
    add(
        "--skip-closed",
        action=argparse.BooleanOptionalAction,
        default=None,
        help="jump over closed hours (default: when speed is above 1)",
    )
    add("--lockstep", action="store_true", help="time passes only by POST /_exchange/advance")


def _add_account(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument_group("the account").add_argument
    add("--cash", type=_cash, metavar="USD", help="what a new account begins with (100000)")
    add("--state-dir", type=Path, metavar="DIR", help="keep account and log in DIR/exchange")
    add("--key", help="the only key id let in (default: any)")
    add("--secret", help="the only secret let in (default: any)")


def _add_wire(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument_group("limits of the wire").add_argument
    add(
        "--rate-limit",
        type=_count,
        default=200,
        metavar="N",
        help="trading requests a market minute (200)",
    )
    add(
        "--data-rate-limit",
        type=_count,
        default=200,
        metavar="N",
        help="data requests a market minute (200)",
    )
    add(
        "--data-connections",
        type=_count,
        default=1,
        metavar="N",
        help="clients a data feed serves at once (1, as the free plan)",
    )
    add("--sip", action="store_true", help="a data plan with real-time SIP")
    add(
        "--knob",
        action="append",
        default=[],
        metavar="NAME=VALUE",
        help="any knob of docs/exchange.md, as late_bar_share=0.02; may be given again",
    )


def _add_faults(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument_group("faults on purpose").add_argument
    add("--faults", type=Path, metavar="FILE", help="a fault script in TOML, as docs/faults.toml")
    add(
        "--control-port",
        type=_port,
        metavar="PORT",
        help="change faults while it runs: GET, POST, PUT, DELETE /faults here (0: a free one)",
    )


def _port(text: str) -> int:
    return _number(text, 0, 65_535)


def _seed(text: str) -> int:
    return _number(text, 0, 2**63 - 1)


def _count(text: str) -> int:
    return _number(text, 1, 10**9)


def _number(text: str, lowest: int, highest: int) -> int:
    if not (text.isascii() and text.isdigit() and lowest <= int(text) <= highest):
        raise argparse.ArgumentTypeError(f"{text!r} is no whole number {lowest} to {highest}")
    return int(text)


def _day(text: str) -> date:
    try:
        return date.fromisoformat(text)
    except ValueError as fault:
        raise argparse.ArgumentTypeError(f"{text!r} is no date; write 2026-01-05") from fault


def _cash(text: str) -> Decimal:
    try:
        cash_usd = Decimal(text)
    except InvalidOperation as fault:
        raise argparse.ArgumentTypeError(f"{text!r} is no amount of money") from fault
    if not cash_usd.is_finite() or not 0 < cash_usd <= Decimal(10) ** 10:
        raise argparse.ArgumentTypeError(f"{text!r} must lie above 0 and below ten billion")
    return cash_usd
