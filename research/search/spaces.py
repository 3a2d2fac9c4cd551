"""What a search may choose: values for the parameters of one strategy."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import product
from math import prod

from daemon.registry import Discovery, make
from daemon.strategy_specs import StrategySpec, Value, parse_specs
from domain.calendar import Timeframe
from domain.errors import ConfigurationFault

VALUES_MAX = 1_000
"""Values of one parameter."""
POINTS_MAX = 100_000
"""Points of one space."""
FORM = "write name(parameter=5|10|20) or name(parameter=5:50:5)"

USUAL: Mapping[str, Mapping[str, tuple[Value, ...]]] = {
    "sma_crossover": {"fast_bars": (5, 10, 20, 50), "slow_bars": (30, 60, 100, 200)},
    "rsi_reversion": {"period_bars": (7, 14, 21), "oversold": (20.0, 25.0, 30.0, 35.0)},
    "mean_reversion": {"window_bars": (10, 20, 40, 60), "entry_z": (1.0, 1.5, 2.0, 2.5)},
}
"""What is searched of a shipped strategy when nothing is said: written down before looking."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Space:
    """The points of one strategy: every combination of its choices, its other parameters fixed."""

    spec: StrategySpec
    choices: Mapping[str, tuple[Value, ...]] = field(default_factory=dict)

    @property
    def size(self) -> int:
        """How many combinations there are, impossible ones counted."""
        return prod(len(values) for values in self.choices.values())

    def at(self, index: Sequence[int]) -> StrategySpec:
        """Return the spec of one value's number for each choice, in order."""
        chosen = {
            name: values[i] for (name, values), i in zip(self.choices.items(), index, strict=True)
        }
        return replace(self.spec, parameters={**self.spec.parameters, **chosen})

    def points(self) -> Iterator[StrategySpec]:
        """Yield the spec of every combination."""
        for index in product(*(range(len(values)) for values in self.choices.values())):
            yield self.at(index)


def parse_spaces(text: str) -> list[Space]:
    """Return the spaces written as strategies whose parameters may be `a|b|c` or `from:to:step`.

    A shipped strategy without parameters gets its usual space; any other without choices has one
    point. Raises ConfigurationFault.
    """
    spaces = []
    for spec in parse_specs(text):
        choices: dict[str, tuple[Value, ...]] = {}
        fixed = dict(spec.parameters)
        for name, value in spec.parameters.items():
            values = _values(spec.kind, name, value)
            if values is not None:
                choices[name] = values
                del fixed[name]
        if not set(spec.parameters) - {"timeframe"}:
            choices = dict(USUAL.get(spec.kind, {}))
        space = Space(spec=replace(spec, parameters=fixed), choices=choices)
        if space.size > POINTS_MAX:
            raise ConfigurationFault(f"{spec.name}: {space.size} points; the most is {POINTS_MAX}")
        spaces.append(space)
    return spaces


def possible(
    space: Space, specs: Iterator[StrategySpec], discovery: Discovery, base: Timeframe
) -> list[StrategySpec]:
    """Return the specs that the strategy itself accepts.

    Raises ConfigurationFault when it accepts none, with what it said last: a search with no trials.
    """
    accepted, refusal = [], "there was nothing to try"
    for spec in specs:
        fault = refused(spec, discovery, base)
        if fault is None:
            accepted.append(spec)
        else:
            refusal = fault
    if not accepted:
        raise ConfigurationFault(f"{space.spec.name}: a search with no trials: {refusal}")
    return accepted


def refused(spec: StrategySpec, discovery: Discovery, base: Timeframe) -> str | None:
    """Return why a strategy does not take these parameters; None when it does."""
    try:
        make(spec, discovery, bar_timeframe=base)
    except ConfigurationFault as fault:
        return str(fault)
    return None


def _values(kind: str, name: str, value: Value) -> tuple[Value, ...] | None:
    """Return the choices a value stands for, None for one that is just itself."""
    if not isinstance(value, str) or not ("|" in value or ":" in value):
        return None
    if "|" in value:
        found = [_one(part) for part in value.split("|") if part.strip()]
    else:
        found = _steps(kind, name, value)
    if not 1 <= len(found) <= VALUES_MAX:
        raise ConfigurationFault(
            f"{kind}: {name}={value} names {len(found)} values; from 1 to {VALUES_MAX} are accepted"
        )
    return tuple(dict.fromkeys(found))


def _one(text: str) -> Value:
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            continue
    return text.strip()


def _steps(kind: str, name: str, text: str) -> list[Value]:
    parts = [_one(part) for part in text.split(":")]
    numbers = [p for p in parts if isinstance(p, int | float)]
    if len(parts) != 3 or len(numbers) != 3 or not numbers[2] > 0 or numbers[0] > numbers[1]:
        raise ConfigurationFault(f"{kind}: {name}={text} is no range; {FORM}")
    first, last, step = numbers
    count = int((last - first) / step + 1e-9) + 1
    return [first + step * i for i in range(min(count, VALUES_MAX + 1))]
