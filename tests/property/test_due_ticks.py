"""The heap of due ticks says what a plain table of them would."""

from hypothesis import given
from hypothesis import strategies as st

from exchange.due_ticks import DueTicks

SYMBOLS = st.sampled_from(["AAA", "BBB", "CCC", "DDD"])
TICKS = st.integers(0, 6)
STEPS = st.one_of(
    st.tuples(st.just("put"), SYMBOLS, TICKS),
    st.tuples(st.just("advance"), SYMBOLS, TICKS),
    st.tuples(st.just("drop"), SYMBOLS, TICKS),
)


@given(st.lists(STEPS, max_size=40))
def test_the_first_due_is_the_first_of_the_table(steps: list[tuple[str, str, int]]) -> None:
    due = DueTicks()
    table: dict[str, int] = {}
    for verb, symbol, tick in steps:
        if verb == "put":
            due.put(symbol, tick)
            table[symbol] = tick
        elif verb == "advance":
            due.advance(symbol, tick)
            table[symbol] = min(tick, table.get(symbol, tick))
        else:
            due.drop(symbol)
            table.pop(symbol, None)
        first = min(table, key=table.__getitem__) if table else None
        assert due.first() == (None if first is None else (table[first], first))
