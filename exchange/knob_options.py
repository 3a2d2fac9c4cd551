"""Knobs turned on the command line: `--knob NAME=VALUE`, by the names the guide lists."""

from collections.abc import Callable, Sequence
from dataclasses import fields, replace
from decimal import Decimal, InvalidOperation
from difflib import get_close_matches
from typing import Any, TypeVar

from domain.errors import ConfigurationFault
from exchange.knobs import FillModel, Knobs, WireLimits

T = TypeVar("T", FillModel, Knobs, WireLimits)
_SWITCHES = {"on": True, "true": True, "off": False, "false": False}


def turned(knobs: Knobs, limits: WireLimits, settings: Sequence[str]) -> tuple[Knobs, WireLimits]:
    """Return knobs and limits with each `NAME=VALUE` of `settings` in force, the last one of a
    name. `Knobs.NAME` as the guide writes it will do.

    Raises ConfigurationFault for a name that is none and a value that does not fit it.
    """
    for setting in settings:
        name, equals, text = setting.partition("=")
        name = name.strip().rpartition(".")[2]
        if not equals:
            raise ConfigurationFault(f"--knob {setting}: write NAME=VALUE, as late_bar_share=0.02")
        if name in _names(FillModel):
            knobs = replace(knobs, fills=_set(knobs.fills, name, text.strip()))
        elif name in _names(Knobs) and name != "fills":
            knobs = _set(knobs, name, text.strip())
        elif name in _names(WireLimits):
            limits = _set(limits, name, text.strip())
        else:
            raise _unknown(name)
    return knobs, limits


def _names(group: type[FillModel] | type[Knobs] | type[WireLimits]) -> list[str]:
    return [field.name for field in fields(group)]


def _unknown(name: str) -> ConfigurationFault:
    known = [*_names(FillModel), *_names(Knobs), *_names(WireLimits)]
    near = get_close_matches(name, known, n=1)
    hint = f"; is {near[0]} meant?" if near else "; docs/exchange.md lists them"
    return ConfigurationFault(f"--knob {name}: there is no such knob{hint}")


def _set(group: T, name: str, text: str) -> T:
    default = getattr(group, name)
    try:
        changed: dict[str, Any] = {name: _READERS[type(default)](text)}
        return replace(group, **changed)
    except (KeyError, ValueError, InvalidOperation) as fault:
        accepted = _ACCEPTED[type(default)]
        reason = f" ({fault})" if isinstance(fault, ValueError) and str(fault) else ""
        raise ConfigurationFault(
            f"--knob {name}: found {text!r}; accepted: {accepted}{reason}"
        ) from fault


def _count(text: str) -> int:
    if not (text.isascii() and text.isdigit()):
        raise ValueError
    return int(text)


def _number(text: str) -> float:
    number = float(text)
    if not 0.0 <= number < float("inf"):
        raise ValueError
    return number


def _amount(text: str) -> Decimal:
    amount = Decimal(text)
    if not amount.is_finite() or amount < 0:
        raise ValueError
    return amount


def _symbols(text: str) -> tuple[str, ...]:
    return tuple(part.strip().upper() for part in text.split(",") if part.strip())


_READERS: dict[type, Callable[[str], object]] = {
    bool: lambda text: _SWITCHES[text.lower()],
    int: _count,
    float: _number,
    Decimal: _amount,
    tuple: _symbols,
}
_ACCEPTED = {
    bool: "on or off",
    int: "a whole number from 0 up",
    float: "a number from 0 up",
    Decimal: "a number from 0 up",
    tuple: "symbols, as KO,PEP",
}
