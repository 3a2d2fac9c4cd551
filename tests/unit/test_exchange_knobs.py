"""Knobs on the command line: every one of them, by name, or a clear refusal."""

from dataclasses import fields
from decimal import Decimal

import pytest

from domain.errors import ConfigurationFault
from exchange.knob_options import turned
from exchange.knobs import DEFAULT_KNOBS, FillModel, Knobs, WireLimits

LIMITS = WireLimits()
SAMPLES: dict[type, tuple[str, object]] = {
    bool: ("on", True),
    int: ("7", 7),
    float: ("0.5", 0.5),
    Decimal: ("0.25", Decimal("0.25")),
    tuple: ("ko, PEP", ("KO", "PEP")),
}
NAMES = [
    (group, field.name)
    for group in (FillModel, Knobs, WireLimits)
    for field in fields(group)
    if field.name != "fills"
]


@pytest.mark.parametrize(("group", "name"), NAMES)
def test_every_knob_can_be_turned_by_its_name(
    group: type[FillModel] | type[Knobs] | type[WireLimits], name: str
) -> None:
    text, value = SAMPLES[type(getattr(group(), name))]
    for written in (f"{name}={text}", f"{group.__name__}.{name} = {text}"):
        knobs, limits = turned(DEFAULT_KNOBS, LIMITS, [written])
        owner = {FillModel: knobs.fills, Knobs: knobs, WireLimits: limits}[group]
        assert getattr(owner, name) == value


def test_no_two_knobs_share_a_name() -> None:
    names = [name for _, name in NAMES]
    assert len(set(names)) == len(names)


def test_what_is_not_turned_stays_and_the_last_word_counts() -> None:
    knobs, limits = turned(DEFAULT_KNOBS, LIMITS, ["gtc_days=3", "gtc_days=4"])
    assert knobs.gtc_days == 4
    assert limits == LIMITS
    assert turned(DEFAULT_KNOBS, LIMITS, []) == (DEFAULT_KNOBS, LIMITS)


@pytest.mark.parametrize(
    ("setting", "told"),
    [
        ("late_bar_share", "write NAME=VALUE"),
        ("late_bar_shar=1", "is late_bar_share meant?"),
        ("colour=red", "docs/exchange.md lists them"),
        ("fills=none", "there is no such knob"),
        ("luld_pauses=perhaps", "found 'perhaps'; accepted: on or off"),
        ("gtc_days=-1", "found '-1'; accepted: a whole number"),
        ("late_bar_share=nan", "found 'nan'; accepted: a number"),
        ("borrow_rate=much", "found 'much'; accepted: a number"),
        ("volume_share_max=0", "volume_share_max must lie above 0"),
    ],
)
def test_a_bad_setting_is_refused_with_what_is_accepted(setting: str, told: str) -> None:
    with pytest.raises(ConfigurationFault, match=told.replace("?", r"\?")):
        turned(DEFAULT_KNOBS, LIMITS, [setting])
