"""Charts as Plotly figures without colours: the page's script gives them those of its theme.

A trace's `meta` names its colour (`s0` … `s11`, `soft`); days are text, numbers rounded to what can
be seen, and long lines thinned to what a screen can show.
"""

from collections.abc import Mapping, Sequence
from datetime import date
from typing import Any

import numpy as np
import plotly.graph_objects as go

from domain.market import Floats

POINTS_MAX = 1_500
"""More points than pixels show nothing; extremes of each bin are kept."""
COLOURS = 12
LOG_FROM = 3.0
"""Highest over lowest from which a curve is drawn on a logarithmic scale."""
DIGITS = 5
OTHERS = "others"


def equity_chart(
    days: Sequence[date], curves: Mapping[str, Floats], below: Mapping[str, Floats]
) -> dict[str, Any]:
    """Return curves `[t]` of dollars over how far each lies below its peak (shares, ≤ 0)."""
    figure = go.Figure()
    for number, (name, values) in enumerate(curves.items()):
        rows = thinned(values)
        figure.add_scatter(
            x=_days(days, rows),
            y=_numbers(values, rows, 0),
            name=name,
            mode="lines",
            meta=_colour(number),
            legendgroup=name,
            hovertemplate="%{y:,.0f} USD",
        )
    for number, (name, values) in enumerate(below.items()):
        rows = thinned(values)
        figure.add_scatter(
            x=_days(days, rows),
            y=_numbers(values, rows),
            name=name,
            mode="lines",
            meta=_colour(number),
            fill="tozeroy" if number == 0 else None,
            legendgroup=name,
            showlegend=False,
            yaxis="y2",
            hovertemplate="%{y:.1%}",
        )
    values = np.concatenate([v[np.isfinite(v)] for v in curves.values()])
    spread = float(values.max() / values.min()) if len(values) and values.min() > 0 else 1.0
    figure.update_layout(
        yaxis={
            "domain": [0.36, 1.0],
            "tickformat": ".3~s",
            # What multiplied looks like nothing at first on a plain scale.
            **({"type": "log", "dtick": "D2"} if spread > LOG_FROM else {}),
        },
        yaxis2={"domain": [0.0, 0.28], "tickformat": ".0%", "anchor": "x"},
        xaxis={"anchor": "y2"},
        height=420,
    )
    return _plain(figure)


def line_chart(
    days: Sequence[date], series: Mapping[str, Floats], *, tickformat: str = ""
) -> dict[str, Any]:
    """Return lines `[t]`; NaN breaks one."""
    figure = go.Figure()
    for number, (name, values) in enumerate(series.items()):
        rows = thinned(values)
        figure.add_scatter(
            x=_days(days, rows),
            y=_numbers(values, rows),
            name=name,
            mode="lines",
            meta=_colour(number),
            hovertemplate=f"%{{y:{tickformat or '.2f'}}}",
        )
    figure.update_layout(yaxis={"tickformat": tickformat}, height=260)
    return _plain(figure)


def stacked_chart(days: Sequence[date], series: Mapping[str, Floats]) -> dict[str, Any]:
    """Return shares `[t]` stacked on each other, largest at the bottom, one row in five shown."""
    order = sorted(series, key=lambda name: -float(np.mean(series[name])))
    if len(order) > COLOURS:
        rest = sum((series[name] for name in order[COLOURS - 1 :]), np.zeros(len(days)))
        order = order[: COLOURS - 1]
        series = {**{name: series[name] for name in order}, OTHERS: rest}
        order.append(OTHERS)
    kept = np.arange(0, len(days), max(1, len(days) // 400))
    figure = go.Figure()
    for number, name in enumerate(order):
        figure.add_scatter(
            x=_days(days, kept),
            y=_numbers(series[name], kept, 4),
            name=name,
            mode="lines",
            line={"width": 0.5},
            stackgroup="one",
            meta=_colour(number),
            hovertemplate="%{y:.1%}",
        )
    figure.update_layout(yaxis={"tickformat": ".0%"}, height=340)
    return _plain(figure)


def bar_chart(
    labels: Sequence[str], bars: Mapping[str, Floats], line: Mapping[str, Floats]
) -> dict[str, Any]:
    """Return bars (shares, left) and lines (dollars, right) over labels."""
    figure = go.Figure()
    for number, (name, values) in enumerate(bars.items()):
        figure.add_bar(
            x=list(labels),
            y=np.round(values, 4).tolist(),
            name=name,
            meta=_colour(number),
            hovertemplate="%{y:.1%}",
        )
    for number, (name, values) in enumerate(line.items(), len(bars)):
        figure.add_scatter(
            x=list(labels),
            y=np.round(values, 0).tolist(),
            name=name,
            mode="lines",
            meta=_colour(number),
            yaxis="y2",
            hovertemplate="%{y:,.0f} USD",
        )
    figure.update_layout(
        yaxis={"tickformat": ".0%"},
        yaxis2={
            "overlaying": "y",
            "side": "right",
            "tickformat": ".2~s",
            "showgrid": False,
            "rangemode": "tozero",
        },
        height=280,
    )
    return _plain(figure)


def histogram_chart(values: Floats, *, name: str, bins: int = 60) -> dict[str, Any]:
    """Return how often each size occurred; the outer 1 % on either side is gathered at the ends."""
    low, high = np.quantile(values, (0.01, 0.99)).tolist()
    if not high > low:
        low, high = low - 1.0, high + 1.0
    counts, edges = np.histogram(np.clip(values, low, high), bins=bins, range=(low, high))
    middle = (edges[1:] + edges[:-1]) / 2
    figure = go.Figure()
    figure.add_bar(
        x=np.round(middle, 2).tolist(),
        y=counts.tolist(),
        name=name,
        meta={"good": [bool(m > 0) for m in middle]},
        hovertemplate="%{y} trades around %{x:,.0f} USD",
    )
    figure.update_layout(height=240, bargap=0.02, showlegend=False, hovermode="closest")
    figure.update_xaxes(type="linear")
    return _plain(figure)


def thinned(values: Floats) -> np.ndarray:
    """Return the rows of a line that are worth drawing: its ends, and each bin's extremes."""
    count = len(values)
    if count <= POINTS_MAX:
        return np.arange(count)
    kept = {0, count - 1}
    for part in np.array_split(np.arange(count), POINTS_MAX // 2):
        shown = values[part]
        if np.isfinite(shown).any():
            kept.update((int(part[np.nanargmin(shown)]), int(part[np.nanargmax(shown)])))
        else:
            kept.add(int(part[0]))
    return np.array(sorted(kept))


def _colour(number: int) -> dict[str, str]:
    return {"colour": f"s{number % COLOURS}"}


def _days(days: Sequence[date], rows: np.ndarray) -> list[str]:
    return [str(days[row]) for row in rows.tolist()]


def _numbers(values: Floats, rows: np.ndarray, digits: int = DIGITS) -> list[float | None]:
    return [None if v != v else round(v, digits) for v in values[rows].tolist()]


def _plain(figure: go.Figure) -> dict[str, Any]:
    """Return a figure as data, without Plotly's own theme: the page has one."""
    figure.update_layout(template=None)
    found: dict[str, Any] = figure.to_plotly_json()
    return found
