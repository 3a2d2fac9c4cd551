"""Exchanges that a script of faults befalls, each with a client and a listener at its stream."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager

from exchange.testing import ServedExchange
from tests.support.exchanges import make_exchange, make_venue, served, tick_ns
from tests.support.wire_client import RestClient, TradeUpdates, listening

Start = Callable[[str], tuple[ServedExchange, RestClient, TradeUpdates]]


@contextmanager
def starting() -> Iterator[Start]:
    """Yield what starts an exchange with a script; all of them end with the block."""
    with ExitStack() as stack:

        def begin(script: str) -> tuple[ServedExchange, RestClient, TradeUpdates]:
            running = served(make_exchange(make_venue(at_ns=tick_ns(0))), script)
            exchange = stack.enter_context(running)
            client = RestClient(exchange.url)
            stack.callback(client.close)
            return exchange, client, stack.enter_context(listening(exchange.stream_url))

        yield begin
