"""The alert rules as values, and what a scrape must hold for them to work."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import promql_parser

DEPLOYMENT = Path(__file__).parents[2] / "deployment"
PROMETHEUS_OWN = frozenset({"up"})
"""Made by Prometheus about a scrape, so not in it."""
TARGET_LABELS = frozenset({"job", "instance"})
"""Put on by Prometheus, so on every series."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Alert:
    """One rule of deployment/rules, as text."""

    name: str
    expression: str
    severity: str
    annotations: Mapping[str, str]


def alerts() -> list[Alert]:
    """Return every alert of every rules file (one-line expressions, as the files promise)."""
    found = []
    for path in sorted((DEPLOYMENT / "rules").glob("*.yml")):
        for block in path.read_text().split("- alert: ")[1:]:
            found.append(
                Alert(
                    name=block.split("\n", 1)[0].strip(),
                    expression=_field(block, "expr"),
                    severity=_field(block, "severity"),
                    annotations={k: _field(block, k) for k in ("summary", "action")},
                )
            )
    return found


def _field(block: str, key: str) -> str:
    match = re.search(rf"^\s+{key}: (.+)$", block, re.MULTILINE)
    return match[1].strip('"') if match else ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Selection:
    """A series an expression reads: its name and the label values it insists on."""

    alert: str
    series: str
    labels: Mapping[str, str]

    def is_in(self, scrape: str) -> bool:
        """Return whether an exposition holds such a series."""
        if self.series in PROMETHEUS_OWN:
            return True
        return any(self.labels.items() <= labels.items() for labels in _labels(self.series, scrape))


def selections() -> list[Selection]:
    """Return every series that some alert reads."""
    return [
        Selection(
            alert=alert.name,
            series=selector.name,
            labels={
                m.name: m.value for m in selector.matchers.matchers if m.name not in TARGET_LABELS
            },
        )
        for alert in alerts()
        for selector in _selectors(promql_parser.parse(alert.expression))
    ]


def _selectors(node: object) -> Iterator[promql_parser.VectorSelector]:
    if isinstance(node, promql_parser.VectorSelector):
        yield node
    for attribute in ("lhs", "rhs", "expr", "vector_selector"):
        if (child := getattr(node, attribute, None)) is not None:
            yield from _selectors(child)
    for child in getattr(node, "args", None) or ():
        yield from _selectors(child)


def _labels(series: str, scrape: str) -> Iterator[dict[str, str]]:
    for line in scrape.splitlines():
        match = re.fullmatch(rf"{series}(?:\{{(.*)\}})? \S+", line)
        if match:
            yield dict(re.findall(r'(\w+)="([^"]*)"', match[1] or ""))
