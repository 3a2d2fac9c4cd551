"""Prometheus series with closed label sets, their children kept at hand so that calls are cheap."""

from collections.abc import Mapping, Sequence
from typing import Final

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    disable_created_metrics,
)

PREFIX: Final = "tradewind"
CHILDREN_MAX: Final = 256
OTHER: Final = "other"

# The library's `_created` twins double the exposition and say nothing a restart does not.
disable_created_metrics()  # type: ignore[no-untyped-call]


class Counts:
    """A labelled counter. With `values` its one label is closed; otherwise label values come from
    our own code, and whatever comes after `CHILDREN_MAX` of them is counted as `other`."""

    __slots__ = ("_children", "_counter", "_is_closed", "_label_count")

    def __init__(self, counter: Counter, label_count: int, values: Sequence[str]) -> None:
        self._counter = counter
        self._label_count = label_count
        self._children: dict[tuple[str, ...], Counter] = {
            (value,): counter.labels(value) for value in values
        }
        self._is_closed = bool(values)

    def add(self, *values: str, amount: float = 1.0) -> None:
        """Count under these label values, one for each label."""
        child = self._children.get(values)
        if child is None:
            child = self._grow(values)
        child.inc(amount)

    def _grow(self, values: tuple[str, ...]) -> Counter:
        if self._is_closed or len(self._children) >= CHILDREN_MAX:
            return self._counter.labels(*(OTHER,) * self._label_count)
        child = self._children[values] = self._counter.labels(*values)
        return child


class Levels:
    """A gauge with one label of a closed set, all of it always shown."""

    __slots__ = ("_children",)

    def __init__(self, gauge: Gauge, values: Sequence[str]) -> None:
        self._children = {value: gauge.labels(value) for value in values}
        self.replace({})

    def put(self, value: str, level: float) -> None:
        """Set one of the levels. Raises KeyError for a value outside the set."""
        self._children[value].set(level)

    def replace(self, levels: Mapping[str, float]) -> None:
        """Set every level; those not mentioned are 0."""
        for value, child in self._children.items():
            child.set(levels.get(value, 0.0))


class SeriesMaker:
    """Makes series under our prefix in one registry."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._registry = registry

    def gauge(self, name: str, text: str) -> Gauge:
        """Return a gauge without labels."""
        return Gauge(f"{PREFIX}_{name}", text, registry=self._registry)

    def levels(self, name: str, text: str, label: str, values: Sequence[str]) -> Levels:
        """Return a gauge over a closed set."""
        return Levels(Gauge(f"{PREFIX}_{name}", text, (label,), registry=self._registry), values)

    def counter(self, name: str, text: str) -> Counter:
        """Return a counter without labels; `name` ends in _total."""
        return Counter(f"{PREFIX}_{name}", text, registry=self._registry)

    def counts(
        self, name: str, text: str, labels: Sequence[str], values: Sequence[str] = ()
    ) -> Counts:
        """Return a labelled counter; `values` closes the set of its one label."""
        counter = Counter(f"{PREFIX}_{name}", text, tuple(labels), registry=self._registry)
        return Counts(counter, len(labels), values)

    def histogram(self, name: str, text: str, buckets: Sequence[float]) -> Histogram:
        """Return a histogram of seconds."""
        return Histogram(f"{PREFIX}_{name}", text, buckets=buckets, registry=self._registry)
