"""How each kind of setting is written: text in, typed value out, or a ValueError with the form.

Every parser also takes a value that is already typed (an override from the command line).
"""

import re
from collections.abc import Callable, Mapping
from decimal import Decimal, InvalidOperation
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any, Literal
from urllib.parse import urlsplit

from pydantic import PlainValidator, SecretStr

from daemon.strategy_specs import StrategySpec, parse_specs
from domain.calendar import Timeframe
from domain.errors import ConfigurationFault
from domain.instruments import Sector, Symbol, Tier, parse_sector

ON = frozenset({"on", "true", "yes", "1"})
OFF = frozenset({"off", "false", "no", "0"})
SYMBOL = re.compile(r"[A-Z][A-Z0-9]{0,7}([./][A-Z0-9]{1,3})?")
SPELLINGS_OF_NOTHING = frozenset({"", "none"})


def write(value: object) -> str:
    """Return a setting's value as it stands in `.env`; the parsers read it back."""
    if isinstance(value, Mapping):
        return ",".join(f"{write(k)}={_percent(v)}" for k, v in value.items())
    if isinstance(value, tuple):
        return ",".join(write(v) for v in value)
    return _write_one(value)


def _write_one(value: object) -> str:
    match value:
        case None:
            text = ""
        case bool():
            text = "on" if value else "off"
        case StrEnum():
            text = value.value
        case StrategySpec():
            text = _write_spec(value)
        case Decimal():
            text = f"{value:f}"
        case float():
            text = f"{value:g}"
        case _:
            text = str(value)
    return text


def _percent(share: Decimal) -> str:
    return f"{(share * 100).normalize():f}%"


def _decimal(given: object, form: str) -> Decimal:
    if isinstance(given, bool):
        raise ValueError(form)  # noqa: TRY004 - pydantic turns only ValueError into a fault
    try:
        number = Decimal(repr(given) if isinstance(given, float) else str(given).replace("_", ""))
    except InvalidOperation as fault:
        raise ValueError(form) from fault
    if not number.is_finite():
        raise ValueError(form)
    return number


def share(low: str, high: str) -> Callable[[object], Decimal]:
    """Return a parser of shares of something: 0.05 and 5% are the same, 5 is refused."""
    least, most = Decimal(low), Decimal(high)
    form = f"write a share such as 0.05 or 5%, from {_percent(least)} to {_percent(most)}"
    # Where more than 100 % is allowed, a bare number up to 2 cannot be meant as a percentage.
    bare_most = most if 1 < most <= 2 else Decimal(1)

    def parse(given: object) -> Decimal:
        text = str(given).strip()
        if text.endswith("%"):
            number = _decimal(text[:-1].strip(), form) / 100
        else:
            number = _decimal(given, form)
            if bare_most < number <= 100:
                raise ValueError(f"write {write(number / 100)} or {write(number)}%")
        if not least <= number <= most:
            raise ValueError(form)
        return number

    return parse


def usd(low: str, high: str) -> Callable[[object], Decimal]:
    """Return a parser of dollar amounts; `$` and thousands commas may stand in them."""
    least, most = Decimal(low), Decimal(high)
    form = f"write dollars such as 1000 or 1000.50, from {least:,} to {most:,}"

    def parse(given: object) -> Decimal:
        amount = _decimal(
            given.strip().removeprefix("$").replace(",", "") if isinstance(given, str) else given,
            form,
        )
        if not least <= amount <= most:
            raise ValueError(form)
        return amount

    return parse


def number(low: float, high: float, unit: str = "") -> Callable[[object], float]:
    """Return a parser of numbers within bounds."""
    form = f"write a number from {low:g} to {high:g}{' ' + unit if unit else ''}"

    def parse(given: object) -> float:
        value = float(_decimal(given, form))
        if not low <= value <= high:
            raise ValueError(form)
        return value

    return parse


def whole(low: int, high: int) -> Callable[[object], int]:
    """Return a parser of whole numbers within bounds."""
    form = f"write a whole number from {low} to {high}"

    def parse(given: object) -> int:
        value = _decimal(given, form)
        if value != value.to_integral_value() or not low <= value <= high:
            raise ValueError(form)
        return int(value)

    return parse


def optional(parse: Callable[[object], Any]) -> Callable[[object], Any]:
    """Return a parser that reads nothing, or `none`, as None."""

    def parse_or_none(given: object) -> Any:
        absent = given is None or str(given).strip().lower() in SPELLINGS_OF_NOTHING
        return None if absent else parse(given)

    return parse_or_none


def one_of(*choices: str) -> Callable[[object], str]:
    """Return a parser of one of a few words, whatever their case."""

    def parse(given: object) -> str:
        for choice in choices:
            if str(given).strip().lower() == choice.lower():
                return choice
        raise ValueError(f"write one of {', '.join(choices)}")

    return parse


def parse_switch(given: object) -> bool:
    """Return whether a switch is on."""
    text = str(given).strip().lower()
    if text in ON | OFF:
        return text in ON
    raise ValueError("write on or off")


def parse_timeframe(given: object) -> Timeframe:
    """Return the bar length of a spelling such as 15Min."""
    return Timeframe(one_of(*Timeframe)(given))


def words(given: object) -> list[str]:
    """Return the entries of a comma-separated list, without empty ones."""
    entries = given.split(",") if isinstance(given, str) else list(_sequence(given))
    return [text for text in (str(entry).strip() for entry in entries) if text]


def _sequence(given: object) -> tuple[object, ...]:
    if isinstance(given, list | tuple):
        return tuple(given)
    raise ValueError("write a comma-separated list")


def parse_symbols(given: object) -> tuple[Symbol, ...]:
    """Return symbols in the order given, each once."""
    found = list(dict.fromkeys(word.upper() for word in words(given)))
    wrong = [symbol for symbol in found if not SYMBOL.fullmatch(symbol)]
    if wrong:
        raise ValueError(f"{', '.join(wrong)}: no symbol; write symbols such as AAPL,MSFT,BRK.B")
    return tuple(Symbol(symbol) for symbol in found)


def parse_sectors(given: object) -> tuple[Sector, ...]:
    """Return sectors by their GICS names or aliases."""
    return tuple(dict.fromkeys(_sector(word) for word in words(given)))


def _sector(text: str) -> Sector:
    try:
        return parse_sector(text)
    except ValueError as fault:
        raise ValueError(f"{fault}; write one of {', '.join(Sector)}") from fault


def parse_tiers(given: object) -> tuple[Tier, ...]:
    """Return tiers by name."""
    return tuple(dict.fromkeys(_tier(word) for word in words(given)))


def _tier(text: str) -> Tier:
    return Tier(one_of(*Tier)(text))


def shares_by(
    key: Callable[[str], Any], defaults: Mapping[Any, Decimal], high: str
) -> Callable[[object], Mapping[Any, Decimal]]:
    """Return a parser of `name=share` lists; names not mentioned keep their default."""
    parse_share = share("0", high)

    def parse(given: object) -> Mapping[Any, Decimal]:
        if isinstance(given, Mapping):
            return {**defaults, **{key(str(k)): parse_share(v) for k, v in given.items()}}
        stated: dict[Any, Decimal] = {}
        for word in words(given):
            name, equals, text = word.partition("=")
            if not equals:
                raise ValueError(f"{word}: write {next(iter(defaults))}=30% and so on, with commas")
            if key(name) in stated:
                raise ValueError(f"{name.strip()} stands twice")
            try:
                stated[key(name)] = parse_share(text.strip())
            except ValueError as fault:
                raise ValueError(f"{name.strip()}={text.strip()}: {fault}") from fault
        return {**defaults, **stated}

    return parse


def parse_sector_name(text: str) -> Sector:
    """Return the sector a cap is for; ETFs as a group have a key of their own."""
    if text.strip().lower() in {"etf", "etfs"}:
        raise ValueError("ETFs have a key of their own: write ETF_CAP=15%")
    return _sector(text)


def parse_tier_name(text: str) -> Tier:
    """Return the tier a budget is for."""
    return _tier(text)


def parse_strategies(given: object) -> tuple[StrategySpec, ...]:
    """Return the strategies written as `kind(parameter=value,…),…`."""
    if isinstance(given, tuple) and all(isinstance(spec, StrategySpec) for spec in given):
        return given
    try:
        return tuple(parse_specs(str(given)))
    except ConfigurationFault as fault:
        raise ValueError(str(fault).removeprefix("strategies: ")) from fault


def _write_spec(spec: StrategySpec) -> str:
    # In a spec switches are true and false: `on` would be taken for a word.
    pairs = [
        f"{key}={str(value).lower() if isinstance(value, bool) else value}"
        for key, value in spec.parameters.items()
    ]
    pairs += [f"name={spec.name}"] if spec.name != spec.kind else []
    pairs += [f"weight={spec.weight:g}"] if spec.weight != 1.0 else []
    return f"{spec.kind}({','.join(pairs)})" if pairs else spec.kind


def parse_url(given: object) -> str:
    """Return an http(s) URL without a trailing slash."""
    text = str(given).strip().rstrip("/")
    parts = urlsplit(text)
    if parts.scheme not in {"http", "https"} or not parts.hostname:
        raise ValueError("write a URL such as http://127.0.0.1:8430")
    return text


def parse_secret(given: object) -> SecretStr:
    """Return a secret, without blanks around it."""
    text = given.get_secret_value() if isinstance(given, SecretStr) else str(given)
    if any(character.isspace() for character in text.strip()):
        raise ValueError("write it without blanks")
    return SecretStr(text.strip())


def parse_secret_url(given: object) -> SecretStr:
    """Return a URL that is a secret (whoever knows it can post)."""
    secret = parse_secret(given)
    parse_url(secret.get_secret_value())
    return secret


def parse_path(given: object) -> Path:
    """Return a path; `~` is the home folder."""
    return Path(str(given).strip()).expanduser()


def parse_host(given: object) -> str:
    """Return the name or address of a network interface."""
    text = str(given).strip()
    if not text or "/" in text or any(c.isspace() for c in text):
        raise ValueError("write a host name or address such as 127.0.0.1")
    return text


Share = Annotated[Decimal, PlainValidator(share("0", "1"))]
PositiveShare = Annotated[Decimal, PlainValidator(share("0.0001", "1"))]
Switch = Annotated[bool, PlainValidator(parse_switch)]
Secret = Annotated[SecretStr | None, PlainValidator(optional(parse_secret))]
SecretUrl = Annotated[SecretStr | None, PlainValidator(optional(parse_secret_url))]
Url = Annotated[str, PlainValidator(parse_url)]
Folder = Annotated[Path, PlainValidator(parse_path)]
Symbols = Annotated[tuple[Symbol, ...], PlainValidator(parse_symbols)]
Sectors = Annotated[tuple[Sector, ...], PlainValidator(parse_sectors)]
Tiers = Annotated[tuple[Tier, ...], PlainValidator(parse_tiers)]
Strategies = Annotated[tuple[StrategySpec, ...], PlainValidator(parse_strategies)]
BarLength = Annotated[Timeframe, PlainValidator(parse_timeframe)]
VenueName = Literal["embedded", "paper"]
