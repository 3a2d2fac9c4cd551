"""A fault script says what is meant, or everything that is wrong with it."""

from datetime import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.errors import ConfigurationFault
from exchange.faults.kinds import COMMON_KEYS, TAKES, Kind
from exchange.faults.plan import Plan
from exchange.faults.rules import Occasion, Rule, Spread, Window, window_of
from exchange.faults.script import BadScript, load_script, parse_script
from exchange.instants import to_ns, wall_ns
from tests.support.sessions import at

EXAMPLE = Path(__file__).parents[2] / "docs" / "faults.toml"


def rule(text: str) -> Rule:
    (found,) = parse_script(f"[[fault]]\n{text}").rules
    return found


def complaints(text: str) -> list[str]:
    with pytest.raises(BadScript) as bad:
        parse_script(text)
    return [str(fault) for fault in bad.value.faults]


def test_the_example_shows_every_kind() -> None:
    assert {r.kind for r in load_script(EXAMPLE).rules} == set(Kind)


def test_a_rule_has_a_name_even_if_it_is_given_none() -> None:
    assert rule('kind = "api.limited"').name == "api.limited#1"


@pytest.mark.parametrize(
    ("text", "window"),
    [
        ("from = 2026-01-05T15:00:00Z", Window(from_ns=to_ns(at("2026-01-05T15:00")))),
        ("from = 2026-01-05T10:00:00", Window(from_ns=to_ns(at("2026-01-05T15:00")))),
        ('until = "2026-01-05T10:00:00-05:00"', Window(until_ns=to_ns(at("2026-01-05T15:00")))),
        ("from = 2026-01-05", Window(from_ns=to_ns(at("2026-01-05T05:00")))),
        (
            'from = "10:00"\nuntil = 10:05:30',
            Window(daily_from=time(10), daily_until=time(10, 5, 30)),
        ),
    ],
)
def test_instants_and_times_of_day_are_read(text: str, window: Window) -> None:
    assert rule(f'kind = "api.limited"\n{text}').window == window


def test_a_time_of_day_holds_every_day_in_new_york() -> None:
    window = window_of(time(10), time(10, 5))
    before_winter, after_summer = at("2026-01-05T15:00"), at("2026-07-06T14:00")
    assert window.holds(to_ns(before_winter))
    assert window.holds(to_ns(after_summer))
    assert not window.holds(to_ns(at("2026-01-05T15:05")))
    monday, tuesday = before_winter.date(), at("2026-01-06T00:00").date()
    assert window.next_start(wall_ns(monday, 10)) == wall_ns(tuesday, 10)
    assert window.next_end(wall_ns(monday, 10)) == wall_ns(monday, 10, 5)


@pytest.mark.parametrize(
    ("text", "spread"),
    [
        ("0.2", Spread(shape="fixed", a=0.2)),
        ("[0.1, 2]", Spread(shape="uniform", a=0.1, b=2.0)),
        ("{mean = 0.3}", Spread(shape="exponential", a=0.3, most=86_400.0)),
        (
            "{median = 0.1, sigma = 1.0, most = 5}",
            Spread(shape="lognormal", a=0.1, b=1.0, most=5.0),
        ),
    ],
)
def test_waits_are_distributions(text: str, spread: Spread) -> None:
    assert rule(f'kind = "api.slow"\ndelay_s = {text}').delay == spread


def test_every_fault_of_a_script_is_said_at_once_with_line_and_form() -> None:
    said = complaints(
        "sead = 3\n"
        "[[fault]]\n"
        'kind = "api.limted"\n'
        "\n"
        "[[fault]]\n"
        'kind = "api.failing"\n'
        "share = 5\n"
        "status = 200\n"
        "nht = 3\n"
        "[[fault]]\n"
        'kind = "account.order"\n'
        'from = "later"\n'
    )
    assert said == [
        "line 1, sead: unknown; a script has `seed` and [[fault]]",
        "line 3, fault 1, kind: unknown kind 'api.limted'; do you mean api.limited, api.late, "
        "api.blind?",
        "line 9, fault 2, nht: api.failing has no such key; do you mean nth?",
        "line 7, fault 2, share: 5; write a part from 0 to 1, as 0.05",
        "line 8, fault 2, status: 200; write a status from 500 to 599",
        "line 10, fault 3, qty: missing; account.order needs it",
        "line 10, fault 3, side: missing; account.order needs it",
        "line 10, fault 3, symbol: missing; account.order needs it",
        "line 12, fault 3, from: 'later'; write an instant, as 2026-01-05T15:00:00Z, or a time of "
        'New York\'s day, as "10:00"',
    ]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('kind = "api.limited"\nfrom = "10:00"\nuntil = 2026-01-05', "both be instants"),
        ('kind = "api.limited"\nfrom = "10:00"\nuntil = "09:00"', "must lie before until"),
        ('kind = "api.limited"\nnth = 1\nevery = 2', "nth or every, not both"),
        ('kind = "api.late"\ndelay_s = 1\ndelay_market_s = 1', "not both"),
        ('kind = "api.slow"\ndelay_s = [2, 1]', "a range as"),
        ('kind = "api.slow"\ndelay_s = true', "seconds as 0.2"),
        ('kind = "api.garbled"\nhow = "badly"', "one of half, invalid, empty, html"),
        ('kind = "api.limited"\nmethod = "get"', "one of GET"),
        ('kind = "api.limited"\npath = "v2"', "write a path"),
        ('kind = "api.limited"\nbody = "x"', "write fields"),
        ('kind = "stream.lost"\nstream = "news"', "one of trading, data"),
        ('kind = "price.null"\nsymbols = []', '"AAPL"'),
        ('kind = "api.limited"\ntimes = 0', "the most it may happen"),
    ],
)
def test_a_bad_value_is_said_with_the_form_that_is_accepted(text: str, said: str) -> None:
    (found,) = complaints(f"[[fault]]\n{text}")
    assert said in found


def test_what_is_no_toml_is_said_with_its_place() -> None:
    (said,) = complaints("[[fault]]\nkind = api.limited\n")
    assert "line 2" in said


def test_two_rules_of_one_name_are_refused() -> None:
    same = '[[fault]]\nname = "x"\nkind = "api.limited"\n'
    assert complaints(same * 2)[0] == "line 2, fault 1, name: 'x' is used twice; names are unique"


def test_a_file_that_is_not_there_is_a_configuration_fault(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationFault, match=r"nothing\.toml"):
        load_script(tmp_path / "nothing.toml")


def test_every_kind_takes_what_it_needs() -> None:
    assert set(TAKES) == set(Kind)
    for takes in TAKES.values():
        assert takes.needs <= takes.keys | COMMON_KEYS


@given(st.integers(0, 10**6), st.integers(1, 60))
def test_decisions_are_a_function_of_seed_name_and_number(seed: int, count: int) -> None:
    half = rule('kind = "api.failing"\nshare = 0.5')
    occasion = Occasion(at_ns=0, method="GET", path="/v2/account")
    other = rule('kind = "api.slow"\nshare = 0.5\ndelay_s = [0, 9]')

    def fate(plan: Plan) -> list[bool]:
        return [bool(plan.meet(occasion, {Kind.FAILING})) for _ in range(count)]

    assert fate(Plan([half], seed=seed)) == fate(Plan([other, half], seed=seed))


@given(st.floats(0, 1, exclude_max=True))
def test_waits_never_exceed_their_most(u: float) -> None:
    for shape in ("fixed", "uniform", "exponential", "lognormal"):
        wait_s = Spread(shape=shape, a=1.0, b=2.0, most=3.0).at(u)
        assert 0 <= wait_s <= 3
