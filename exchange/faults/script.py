"""From a fault script in TOML to rules; everything that is wrong with it at once."""

import difflib
import re
import tomllib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import Any

from domain.errors import ConfigurationFault
from exchange.data_errors import DATA_ERRORS
from exchange.fates import Fate
from exchange.faults.kinds import COMMON_KEYS, DEEDS, TAKES, TRIGGERS, Kind, Takes
from exchange.faults.outcomes import BUST, CORRECT
from exchange.faults.rules import End, Rule, Spread, Window, window_of
from exchange.faults.words import EVENT, KEY, ORDER_WORDS
from exchange.instants import NEW_YORK, to_ns

RULES_MAX = 200
DELAY_S_MAX = 86_400.0
DEFAULT_SEED = 1
_TABLE = re.compile(r"\s*\[\[\s*fault\s*\]\]")
_KEY = re.compile(r"\s*([A-Za-z_]+)\s*(?:\.[^=]*)?=")
_HOWS = {
    Kind.FAILING: ("json", "html"),
    Kind.LOST: ("silence", "504"),
    Kind.GARBLED: ("half", "invalid", "empty", "html"),
    Kind.UNKNOWN: (*ORDER_WORDS, KEY),
    Kind.NEWS_UNKNOWN: (EVENT, *ORDER_WORDS, KEY),
    Kind.TURNED: (*Fate, BUST, CORRECT),
}
METHODS = ("GET", "POST", "PATCH", "DELETE", "PUT", "*")
Table = Mapping[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Script:
    """Rules in the order of the file, and the seed of their luck."""

    rules: tuple[Rule, ...] = ()
    seed: int = DEFAULT_SEED


@dataclass(frozen=True, slots=True, kw_only=True)
class ScriptFault:
    """One thing wrong with a script: where, what, and what is accepted."""

    line: int
    key: str
    message: str

    def __str__(self) -> str:
        at = f"line {self.line}, " if self.line else ""
        return f"{at}{self.key}: {self.message}"


class BadScript(ConfigurationFault):
    """A script that cannot be used; says everything that is wrong with it."""

    def __init__(self, source: str, faults: list[ScriptFault]) -> None:
        self.faults = tuple(faults)
        listed = "".join(f"\n  {fault}" for fault in faults)
        super().__init__(f"{source}: {len(faults)} fault(s) in the script{listed}")


def load_script(path: Path) -> Script:
    """Return the script of a file. Raises ConfigurationFault; nothing of a bad one is used."""
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as fault:
        raise ConfigurationFault(f"{path}: the fault script cannot be read: {fault}") from fault
    return parse_script(text, str(path))


def parse_script(text: str, source: str = "script") -> Script:
    """Return the script a text holds. Raises BadScript."""
    try:
        table = tomllib.loads(text)
    except tomllib.TOMLDecodeError as fault:
        raise BadScript(source, [ScriptFault(line=0, key="TOML", message=str(fault))]) from fault
    return read_script(table, source, _Lines.of(text))


def read_script(table: Table, source: str, lines: "_Lines | None" = None) -> Script:
    """Return the script a decoded table holds: `seed` and a list `fault`. Raises BadScript."""
    lines = lines or _Lines()
    faults: list[ScriptFault] = []
    for key in table:
        if key not in ("seed", "fault"):
            faults.append(lines.fault(None, key, "unknown; a script has `seed` and [[fault]]"))
    seed = table.get("seed", DEFAULT_SEED)
    if type(seed) is not int or seed < 0:
        faults.append(lines.fault(None, "seed", f"{seed!r} is no whole number from 0 up"))
    entries = table.get("fault", [])
    if not isinstance(entries, list) or not all(isinstance(e, dict) for e in entries):
        raise BadScript(source, [lines.fault(None, "fault", "write each as a table [[fault]]")])
    if len(entries) > RULES_MAX:
        faults.append(lines.fault(None, "fault", f"{len(entries)} of them; at most {RULES_MAX}"))
    rules = [_rule(entry, index, lines, faults) for index, entry in enumerate(entries)]
    names = [rule.name for rule in rules if rule is not None]
    for index, rule in enumerate(rules):
        if rule is not None and names.count(rule.name) > 1:
            message = f"{rule.name!r} is used twice; names are unique"
            faults.append(lines.fault(index, "name", message))
    if faults:
        raise BadScript(source, faults)
    return Script(rules=tuple(rule for rule in rules if rule is not None), seed=seed)


@dataclass(frozen=True, slots=True)
class _Lines:
    """Where keys stand in the text, by (table, key); a decoded body has none."""

    where: dict[tuple[int | None, str], int] = field(default_factory=dict)

    @classmethod
    def of(cls, text: str) -> "_Lines":
        where: dict[tuple[int | None, str], int] = {}
        table: int | None = None
        for number, line in enumerate(text.splitlines(), 1):
            if _TABLE.match(line):
                table = 0 if table is None else table + 1
                where[table, ""] = number
            elif found := _KEY.match(line):
                where.setdefault((table, found[1]), number)
        return cls(where)

    def fault(self, table: int | None, key: str, message: str) -> ScriptFault:
        line = self.where.get((table, key), self.where.get((table, ""), 0))
        name = key if table is None else f"fault {table + 1}, {key}"
        return ScriptFault(line=line, key=name, message=message)


def _rule(entry: Table, index: int, lines: _Lines, faults: list[ScriptFault]) -> Rule | None:
    def complain(key: str, message: str) -> None:
        faults.append(lines.fault(index, key, message))

    text = entry.get("kind")
    if not isinstance(text, str) or text not in tuple(Kind):
        near = difflib.get_close_matches(str(text), tuple(Kind), n=3, cutoff=0.5)
        said = f"; do you mean {', '.join(near)}?" if near else f"; known: {', '.join(Kind)}"
        complain("kind", ("missing" if text is None else f"unknown kind {text!r}") + said)
        return None
    kind = Kind(text)
    takes = TAKES[kind]
    before = len(faults)
    for key, message in _key_faults(entry, kind, takes):
        complain(key, message)
    values: dict[str, Any] = {}
    for key, read in _READERS.items():
        if key in entry and key in takes.keys | COMMON_KEYS:
            try:
                values[_FIELD_OF.get(key, key)] = read(entry[key], kind)
            except ValueError as fault:
                complain(key, str(fault))
    try:
        window = window_of(values.pop("from", None), values.pop("until", None))
    except ValueError as fault:
        complain("from", str(fault))
        window = Window()
    if len(faults) > before:
        return None
    values.setdefault("name", f"{kind}#{index + 1}")
    if kind is Kind.TURNED:
        values.setdefault("event", "*fill" if values["how"] in (BUST, CORRECT) else "new")
    is_tied = kind not in DEEDS or bool(TRIGGERS & set(entry))
    return Rule(kind=kind, window=window, is_tied=is_tied, **values)


def _key_faults(entry: Table, kind: Kind, takes: Takes) -> Iterator[tuple[str, str]]:
    allowed = takes.keys | COMMON_KEYS
    for key in entry:
        if key not in allowed:
            near = difflib.get_close_matches(key, sorted(allowed), n=1)
            said = f"do you mean {near[0]}?" if near else f"it takes {', '.join(sorted(allowed))}"
            yield key, f"{kind} has no such key; {said}"
    for key in sorted(takes.needs - set(entry)):
        yield key, f"missing; {kind} needs it"
    if "nth" in entry and "every" in entry:
        yield "every", "give nth or every, not both"
    if "delay_s" in entry and "delay_market_s" in entry:
        yield "delay_market_s", "give delay_s or delay_market_s, not both"


def _number(value: object, low: float, high: float, form: str) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not low <= value <= high:
        raise ValueError(f"{value!r}; write {form}")
    return float(value)


def _count(value: object, form: str) -> int:
    if type(value) is not int or not 1 <= value <= 10**9:
        raise ValueError(f"{value!r}; write {form}")
    return value


def _share(value: object, kind: Kind) -> float:
    return _number(value, 0.0, 1.0, "a part from 0 to 1, as 0.05")


def _nth(value: object, kind: Kind) -> frozenset[int]:
    form = "a number from 1 up, or a list of them, as [1, 3]"
    values = value if isinstance(value, list) else [value]
    return frozenset(_count(v, form) for v in values)


def _every(value: object, kind: Kind) -> int:
    return _count(value, "a number from 1 up, as 10 for each tenth")


def _times(value: object, kind: Kind) -> int:
    return _count(value, "the most it may happen, from 1 up")


def _text(value: object, kind: Kind) -> str:
    if not isinstance(value, str) or not value:
        raise ValueError(f"{value!r}; write a text")
    return value


def _method(value: object, kind: Kind) -> str:
    if value not in METHODS:
        raise ValueError(f"{value!r}; write one of {', '.join(METHODS)}")
    return str(value)


def _path(value: object, kind: Kind) -> str:
    if not isinstance(value, str) or not value.startswith(("/", "*")):
        raise ValueError(f'{value!r}; write a path, * for any part of it, as "/v2/orders*"')
    return value


def _body(value: object, kind: Kind) -> tuple[tuple[str, str], ...]:
    if not isinstance(value, dict) or not value:
        raise ValueError(f'{value!r}; write fields and what they hold, as {{symbol = "AAPL"}}')
    return tuple((str(name), str(wanted)) for name, wanted in value.items())


def _one_of(*words: str) -> Callable[[object, Kind], str]:
    def read(value: object, kind: Kind) -> str:
        if value not in words:
            raise ValueError(f"{value!r}; write one of {', '.join(words)}")
        return str(value)

    return read


def _how(value: object, kind: Kind) -> str:
    return _one_of(*_HOWS[kind])(value, kind)


def _symbols(value: object, kind: Kind) -> frozenset[str]:
    names = value if isinstance(value, list) else [value]
    if not names or not all(isinstance(n, str) and n for n in names):
        raise ValueError(f'{value!r}; write "AAPL" or ["AAPL", "SPY"]')
    return frozenset(names)


def _status(value: object, kind: Kind) -> int:
    return int(_number(value, 500, 599, "a status from 500 to 599"))


def _code(value: object, kind: Kind) -> int:
    if type(value) is not int or value not in DATA_ERRORS:
        raise ValueError(f"{value!r}; write one of {', '.join(map(str, DATA_ERRORS))}")
    return value


def _factor(value: object, kind: Kind) -> float:
    return _number(value, -1e9, 1e9, "a number, as 10.0")


def _offset(value: object, kind: Kind) -> float:
    return _number(value, -1e9, 1e9, "seconds, as -90.0")


def _quantity(value: object, kind: Kind) -> str:
    try:
        qty = Decimal(str(value))
    except InvalidOperation as fault:
        raise ValueError(f'{value!r}; write shares, as "10"') from fault
    if isinstance(value, bool) or not qty.is_finite() or not 0 < qty <= 10**9:
        raise ValueError(f'{value!r}; write shares above 0, as "10"')
    return str(value)


def _end(value: object, kind: Kind) -> End:
    form = 'an instant, as 2026-01-05T15:00:00Z, or a time of New York\'s day, as "10:00"'
    if isinstance(value, str):
        try:
            value = time.fromisoformat(value) if "-" not in value else datetime.fromisoformat(value)
        except ValueError as fault:
            raise ValueError(f"{value!r}; write {form}") from fault
    if isinstance(value, time):
        return value.replace(tzinfo=None)
    if not isinstance(value, date):
        raise ValueError(f"{value!r}; write {form}")  # noqa: TRY004  (the script's fault, not a type)
    if not isinstance(value, datetime):
        value = datetime.combine(value, time())
    at = value if value.tzinfo else value.replace(tzinfo=NEW_YORK)
    return to_ns(at.astimezone(UTC))


def _spread(value: object, kind: Kind) -> Spread:
    form = (
        "seconds as 0.2, a range as [0.1, 2.0], {mean = 0.3}, or {median = 0.1, sigma = 1.0}; "
        "the last two may say most"
    )
    if isinstance(value, list) and len(value) == 2:
        low, high = (_number(v, 0.0, DELAY_S_MAX, form) for v in value)
        if low > high:
            raise ValueError(f"{value!r}; write {form}")
        return Spread(shape="uniform", a=low, b=high)
    if not isinstance(value, dict):
        return Spread(shape="fixed", a=_number(value, 0.0, DELAY_S_MAX, form))
    parts = {k: _number(v, 0.0, DELAY_S_MAX, form) for k, v in value.items()}
    most = parts.pop("most", DELAY_S_MAX)
    if set(parts) == {"mean"}:
        return Spread(shape="exponential", a=parts["mean"], most=most)
    if set(parts) == {"median", "sigma"}:
        return Spread(shape="lognormal", a=parts["median"], b=parts["sigma"], most=most)
    raise ValueError(f"{value!r}; write {form}")


_READERS: dict[str, Callable[[object, Kind], Any]] = {
    "name": _text,
    "from": _end,
    "until": _end,
    "share": _share,
    "nth": _nth,
    "every": _every,
    "times": _times,
    "method": _method,
    "path": _path,
    "body": _body,
    "stream": _one_of("trading", "data"),
    "event": _text,
    "symbols": _symbols,
    "symbol": _text,
    "delay_s": _spread,
    "delay_market_s": _spread,
    "status": _status,
    "code": _code,
    "how": _how,
    "factor": _factor,
    "offset_s": _offset,
    "side": _one_of("buy", "sell"),
    "qty": _quantity,
}
_FIELD_OF = {"delay_s": "delay", "delay_market_s": "delay_market"}
