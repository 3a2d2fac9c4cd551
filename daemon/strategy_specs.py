"""How strategies are asked for in the settings: names, parameters, weights."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from domain.errors import ConfigurationFault
from domain.signals import StrategyName

NAME_LENGTH_MAX = 64
SPEC = re.compile(
    r"(?P<kind>[A-Za-z_]\w*)(?P<tag>#\w+)?\s*(?:\((?P<parameters>[^()]*)\))?\s*(?:,|$)\s*"
)
NAME = re.compile(rf"[a-z_][a-z0-9_]{{0,{NAME_LENGTH_MAX - 1}}}(#[a-z0-9_]{{1,16}})?")
FORM = (
    "write names with parameters, such as sma_crossover(fast_bars=20,slow_bars=100),rsi_reversion"
)
RESERVED = ("name", "weight")
"""Keywords of every spec, so no strategy's parameters may be called so."""

Value = int | float | bool | str


@dataclass(frozen=True, slots=True, kw_only=True)
class StrategySpec:
    """One strategy as asked for: which file, with which parameters, under which name.

    `name` names its book, so it must stay the same from run to run. `weight` is its share in the
    combination before normalising; 0 in shadow.
    """

    name: StrategyName
    kind: str
    parameters: Mapping[str, Value] = field(default_factory=dict)
    weight: float = 1.0


def parse_specs(text: str) -> list[StrategySpec]:
    """Return the strategies written as `kind(parameter=value,…),kind#2(name=…,weight=…),…`.

    Several of one file need distinct names: `name=` or `#tag`. Raises ConfigurationFault.
    """
    specs: list[StrategySpec] = []
    at = 0
    text = text.strip()
    while at < len(text):
        match = SPEC.match(text, at)
        if not match:
            raise ConfigurationFault(f"strategies: not understood from {text[at:]!r} on; {FORM}")
        written = _parse_parameters(match["kind"], match["parameters"] or "")
        specs.append(spec_of(match["kind"], written, tag=match["tag"] or ""))
        at = match.end()
    if not specs:
        raise ConfigurationFault(f"strategies: none named; {FORM}")
    check_names(specs)
    return specs


def spec_of(kind: str, written: Mapping[str, Value], *, tag: str = "") -> StrategySpec:
    """Return the spec of a kind with its written keywords, `name` and `weight` among them."""
    parameters = {key: value for key, value in written.items() if key not in RESERVED}
    name = str(written.get("name", kind + tag))
    if not NAME.fullmatch(name):
        raise ConfigurationFault(
            f"strategies: {name!r} is no name; lower case letters, digits and _, at most "
            f"{NAME_LENGTH_MAX}"
        )
    weight = written.get("weight", 1.0)
    if isinstance(weight, bool | str) or not 0.0 <= weight <= 1000.0:
        raise ConfigurationFault(f"{kind}: weight={weight} is no number from 0 to 1000")
    return StrategySpec(name=name, kind=kind, parameters=parameters, weight=float(weight))


def check_names(specs: Iterable[StrategySpec]) -> None:
    """Raise ConfigurationFault when two specs have one name: they would share a book."""
    seen: set[str] = set()
    for spec in specs:
        if spec.name in seen:
            raise ConfigurationFault(
                f"strategies: {spec.name} stands twice; write {spec.kind}#2(…) or name=… for "
                "the second"
            )
        seen.add(spec.name)


def _parse_parameters(kind: str, text: str) -> dict[str, Value]:
    found: dict[str, Value] = {}
    for word in text.split(","):
        if not word.strip():
            continue
        key, equals, value = (part.strip() for part in word.partition("="))
        if not (equals and value and key.isidentifier()):
            raise ConfigurationFault(
                f"{kind}: {word.strip()!r} is no parameter; write {kind}(parameter=value)"
            )
        if key in found:
            raise ConfigurationFault(f"{kind}: {key} stands twice")
        found[key] = _parse_value(value)
    return found


def _parse_value(text: str) -> Value:
    if text.lower() in {"true", "false"}:
        return text.lower() == "true"
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            continue
    return text.strip("'\"")
