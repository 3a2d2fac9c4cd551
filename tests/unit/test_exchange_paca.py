"""The test feed: every second, from the seed and market time alone."""

from exchange.data_feed import Channel, Message, Wanted
from exchange.instants import MINUTE_NS, SECOND_NS
from exchange.paca import TEST_SYMBOL, TOLD_MAX_S, PacaFeed
from tests.support.exchanges import close_ns

NIGHT_NS = close_ns() + 7 * 3600 * SECOND_NS
ALL = Wanted(
    symbols={
        channel: frozenset({TEST_SYMBOL})
        for channel in (Channel.TRADES, Channel.QUOTES, Channel.BARS)
    }
)


def told(feed: PacaFeed, after_ns: int, until_ns: int, wanted: Wanted = ALL) -> list[Message]:
    return [m for batch in feed.batches(after_ns, until_ns, wanted) for m in batch]


def test_a_minute_s_bar_is_made_of_its_trades() -> None:
    messages = told(PacaFeed(1), NIGHT_NS - 1, NIGHT_NS + MINUTE_NS)
    prices = [
        float(str(m.fields["p"]))
        for m in messages
        if m.channel is Channel.TRADES and m.at_ns < NIGHT_NS + MINUTE_NS
    ]
    bar = [m for m in messages if m.channel is Channel.BARS][-1]
    assert len(prices) == 60
    assert bar.at_ns == NIGHT_NS
    assert (bar.fields["o"], bar.fields["c"]) == (prices[0], prices[-1])
    assert (bar.fields["h"], bar.fields["l"]) == (max(prices), min(prices))


def test_it_does_not_matter_in_how_many_steps_time_passes() -> None:
    at_once = told(PacaFeed(1), NIGHT_NS, NIGHT_NS + MINUTE_NS)
    feed, step_ns = PacaFeed(1), SECOND_NS * 2 // 5
    stepwise = [
        message
        for number in range(150)
        for message in told(feed, NIGHT_NS + number * step_ns, NIGHT_NS + (number + 1) * step_ns)
    ]
    assert stepwise == at_once


def test_another_seed_has_other_prices() -> None:
    one, two = (told(PacaFeed(seed), NIGHT_NS, NIGHT_NS + MINUTE_NS) for seed in (1, 2))
    assert one != two


def test_a_jump_of_market_time_is_not_told_in_full() -> None:
    trades = Wanted(symbols={Channel.TRADES: frozenset({TEST_SYMBOL})})
    messages = told(PacaFeed(1), NIGHT_NS - 10 * 3600 * SECOND_NS, NIGHT_NS, trades)
    assert len(messages) == TOLD_MAX_S
    assert messages[-1].at_ns == NIGHT_NS


def test_only_what_is_wanted_is_told() -> None:
    quotes = Wanted(symbols={Channel.QUOTES: frozenset({TEST_SYMBOL})})
    messages = told(PacaFeed(1), NIGHT_NS, NIGHT_NS + 3 * SECOND_NS, quotes)
    assert [m.channel for m in messages] == [Channel.QUOTES] * 3
    assert told(PacaFeed(1), NIGHT_NS, NIGHT_NS + SECOND_NS, Wanted(symbols={})) == []


def test_the_next_thing_to_say_comes_with_the_next_whole_second() -> None:
    feed = PacaFeed(1)
    assert feed.next_ns(NIGHT_NS) == NIGHT_NS + SECOND_NS
    assert feed.next_ns(NIGHT_NS + 1) == NIGHT_NS + SECOND_NS
