"""Line charts as inline SVG that follow the page's colours, light or dark."""

from collections.abc import Mapping, Sequence
from datetime import date
from html import escape

import numpy as np

from domain.market import Floats

WIDTH, HEIGHT = 860, 240
LEFT, RIGHT, TOP, BOTTOM = 64, 8, 10, 24
POINTS_MAX = 1_200
"""More points than pixels show nothing; extremes of each bin are kept."""


def line_chart(
    days: Sequence[date],
    series: Mapping[str, Floats],
    *,
    title: str,
    unit: str,
    area: str | None = None,
) -> str:
    """Return a chart of series `[t]` over days; `unit` is "usd", "percent" or "". `area` names a
    series that is filled down to zero. NaN breaks a line."""
    known = [v[np.isfinite(v)] for v in series.values()]
    values = np.concatenate(known) if known else np.empty(0)
    if len(values) == 0:
        return f'<figure><figcaption>{escape(title)}</figcaption><p class="none">–</p></figure>'
    low, high = float(values.min()), float(values.max())
    if area is not None:
        low, high = min(low, 0.0), max(high, 0.0)
    if high - low < 1e-12:
        low, high = low - abs(low) * 0.01 - 1e-9, high + abs(high) * 0.01 + 1e-9
    parts = [_axis(days, low, high, unit)]
    for number, (name, line) in enumerate(series.items()):
        parts.append(_line(line, low, high, number, filled=name == area))
    keys = "".join(
        f'<span class="key s{number}">{escape(name)}</span>' for number, name in enumerate(series)
    )
    legend = f'<div class="keys">{keys}</div>' if len(series) > 1 else ""
    return (
        f"<figure><figcaption>{escape(title)}</figcaption>{legend}"
        f'<svg viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="{escape(title)}">'
        f"{''.join(parts)}</svg></figure>"
    )


def _x(index: Floats, count: int) -> Floats:
    width: Floats = LEFT + index * ((WIDTH - LEFT - RIGHT) / max(1, count - 1))
    return width


def _y(value: Floats, low: float, high: float) -> Floats:
    height: Floats = TOP + (high - value) / (high - low) * (HEIGHT - TOP - BOTTOM)
    return height


def _line(values: Floats, low: float, high: float, number: int, *, filled: bool) -> str:
    index = _thinned(values)
    x = _x(index.astype(np.float64), len(values))
    y = _y(values[index], low, high)
    path, pen = [], "M"
    for across, down in zip(x.tolist(), y.tolist(), strict=True):
        if down != down:
            pen = "M"
            continue
        path.append(f"{pen}{across:.1f},{down:.1f}")
        pen = "L"
    drawn = f'<path class="line s{number}" d="{"".join(path)}"/>'
    if not filled or not path:
        return drawn
    zero = float(_y(np.array([0.0]), low, high)[0])
    closed = f"{''.join(path)}L{x[-1]:.1f},{zero:.1f}L{x[0]:.1f},{zero:.1f}Z"
    return f'<path class="area s{number}" d="{closed}"/>{drawn}'


def _thinned(values: Floats) -> np.ndarray:
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


def _axis(days: Sequence[date], low: float, high: float, unit: str) -> str:
    parts = []
    for value in np.linspace(low, high, 5).tolist():
        down = float(_y(np.array([value]), low, high)[0])
        parts.append(
            f'<line class="grid" x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{down:.1f}" y2="{down:.1f}"/>'
            f'<text x="{LEFT - 6}" y="{down + 4:.1f}" class="tick end">{_said(value, unit)}</text>'
        )
    for index in np.unique(np.linspace(0, len(days) - 1, 6).astype(int)).tolist():
        across = float(_x(np.array([float(index)]), len(days))[0])
        anchor = "end" if index == len(days) - 1 else "middle"
        parts.append(
            f'<text x="{across:.1f}" y="{HEIGHT - 6}" class="tick {anchor}">'
            f"{days[index]:%Y-%m}</text>"
        )
    return "".join(parts)


def _said(value: float, unit: str) -> str:
    if unit == "percent":
        return f"{value:.0%}" if abs(value) >= 0.1 else f"{value:.1%}"
    if unit == "usd":
        return f"{value / 1e6:.2f}M" if abs(value) >= 1e6 else f"{value / 1e3:.1f}k"
    return f"{value:.2f}"
