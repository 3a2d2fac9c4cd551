"""What a person is told at start-up: where the exchange listens, and client lines to copy."""

from exchange.auth import Credentials
from exchange.faults.script import Script
from exchange.instants import NEW_YORK, from_ns
from exchange.service import Exchange

ALPACA_PY = (
    ("alpaca.trading.client", "TradingClient", "http", ""),
    ("alpaca.data.historical", "StockHistoricalDataClient", "http", ""),
    ("alpaca.trading.stream", "TradingStream", "ws", "/stream"),
    ("alpaca.data.live", "StockDataStream", "ws", "/v2/iex"),
)
"""alpaca-py's clients: module, class, scheme and path of the URL they take."""
ORDER = '{"symbol": "%s", "qty": "1", "side": "buy", "type": "market", "time_in_force": "day"}'


def announcement(exchange: Exchange, urls: list[str], script: Script | None) -> str:
    """Return the text. `urls` are the exchange's own and, if there is one, the fault control's.

    Its curl and alpaca-py lines run as they stand, but for a secret that was given: it is not
    repeated, and stands there as `$SECRET` and `SECRET`.
    """
    url, *control = urls
    sockets = url.replace("http://", "ws://")
    rows = [
        ("market", _market(exchange)),
        ("market time", _time(exchange)),
        ("account", _account(exchange)),
        ("trading and data REST", url),
        ("trading stream", f"{sockets}/stream"),
        ("data stream", f"{sockets}/v2/iex (also sip, delayed_sip, test)"),
        *(("faults", f"{at}/faults") for at in control),
    ]
    if script is not None:
        count = len(script.rules)
        rows.append(("fault script", f"{count} fault(s) in force, seed {script.seed}"))
    lines = [f"exchange on {url}", *(f"  {name:<21} {said}" for name, said in rows)]
    lines += ["  curl", *(f"    {line}" for line in curl_lines(exchange, url))]
    lines += ["  alpaca-py", *(f"    {line}" for line in python_lines(exchange, url))]
    return "\n".join([*lines, "  Ctrl-C leaves; --help tells the rest", ""])


def curl_lines(exchange: Exchange, url: str) -> list[str]:
    """Return shell commands that read the account, look at a price and place an order."""
    key, secret = _pair(exchange.credentials, "$SECRET")
    keys = f'-H "APCA-API-KEY-ID: {key}" -H "APCA-API-SECRET-KEY: {secret}"'
    symbol = exchange.venue.market.symbols[0]
    return [
        f"curl {keys} {url}/v2/account",
        f'curl {keys} "{url}/v2/stocks/snapshots?symbols={symbol}"',
        f"curl {keys} {url}/v2/orders -d '{ORDER % symbol}'",
    ]


def python_lines(exchange: Exchange, url: str) -> list[str]:
    """Return Python that makes each of alpaca-py's clients."""
    key, secret = _pair(exchange.credentials, "SECRET")
    word = secret if exchange.credentials.key is not None else f'"{secret}"'
    imports = [f"from {module} import {name}" for module, name, *_ in ALPACA_PY]
    return imports + [
        f'{name}("{key}", {word}, url_override="{url.replace("http:", f"{scheme}:")}{path}")'
        for _, name, scheme, path in ALPACA_PY
    ]


def _pair(credentials: Credentials, hidden: str) -> tuple[str, str]:
    """Return the key and what stands for its secret."""
    return ("key", "secret") if credentials.key is None else (credentials.key, hidden)


def _market(exchange: Exchange) -> str:
    identity = exchange.identity
    symbols = len(exchange.venue.assets)
    return (
        f"{identity['market']}, {symbols} symbols, trading from {identity['start']},"
        f" seed {identity['seed']}"
    )


def _time(exchange: Exchange) -> str:
    now_at = from_ns(exchange.venue.now_ns)
    local = now_at.astimezone(NEW_YORK)
    if exchange.time.is_lockstep:
        pace = "stands still until POST /_exchange/advance"
    else:
        pace = f"{exchange.time.clock.speed:g}x"
    return f"{local:%Y-%m-%d %H:%M:%S} in New York ({now_at:%H:%M:%S} UTC), {pace}"


def _account(exchange: Exchange) -> str:
    wanted = "any non-empty key and secret will do"
    if exchange.credentials.key is not None:
        wanted = "only the key and secret given are let in"
    return f"${exchange.venue.account.cash:,.2f}; {wanted}"
