"""Whole columns of numbers, such as features and regimes: what is causal, and what only looks it.

Each leak is written as it is usually written, with the library it is usually written with.
"""

from collections.abc import Callable

import numpy as np
import pandas as pd
import pytest
from scipy.signal import filtfilt

from domain.market import Floats
from research.audit.findings import Probe
from research.audit.series import audit_series


def prices() -> Floats:
    rng = np.random.default_rng(5)
    walk = 100.0 * np.exp(np.cumsum(0.01 * rng.standard_normal((120, 3)), axis=0))
    walk[10::13, 1] = np.nan
    return walk


def frame(values: Floats) -> pd.DataFrame:
    return pd.DataFrame(values)


def numbers(table: pd.DataFrame) -> Floats:
    return np.asarray(table.to_numpy(dtype=np.float64))


def smoothed(values: Floats) -> Floats:
    moves = np.abs(np.diff(np.nan_to_num(values), axis=0, prepend=values[:1]))
    return np.asarray(filtfilt(np.ones(5) / 5, [1.0], np.nan_to_num(moves), axis=0))


def posterior_of_calm(values: Floats) -> Floats:
    """Return the smoothed posterior of a two-state regime, by the forward-backward recursion.

    Source: L. R. Rabiner, A Tutorial on Hidden Markov Models, Proc. IEEE 77(2), 1989, section III.
    """
    moves = np.diff(np.log(values[:, 0]), prepend=np.log(values[0, 0]))
    scale = np.array([0.006, 0.02])
    seen = np.exp(-0.5 * (moves[:, None] / scale) ** 2) / scale
    stay = np.array([[0.95, 0.05], [0.05, 0.95]])
    forward, backward = np.zeros_like(seen), np.ones_like(seen)
    forward[0] = seen[0] / seen[0].sum()
    for row in range(1, len(seen)):
        forward[row] = seen[row] * (forward[row - 1] @ stay)
        forward[row] /= forward[row].sum()
    for row in range(len(seen) - 2, -1, -1):
        backward[row] = stay @ (seen[row + 1] * backward[row + 1])
        backward[row] /= backward[row].sum()
    both = forward * backward
    return np.asarray(both / both.sum(axis=1, keepdims=True))


def first_component(values: Floats) -> Floats:
    known = np.nan_to_num(values / values[0] - 1.0)
    _, _, axes = np.linalg.svd(known - known.mean(axis=0), full_matrices=False)
    return np.asarray(known @ axes[0])


CAUSAL: dict[str, Callable[[Floats], Floats]] = {
    "trailing mean": lambda v: numbers(frame(v).rolling(5).mean()),
    "forward fill": lambda v: numbers(frame(v).ffill()),
    "returns": lambda v: numbers(frame(v).pct_change(fill_method=None)),
    "exponential average": lambda v: numbers(frame(v).ewm(span=10, adjust=False).mean()),
    "expanding scale": lambda v: numbers(frame(v) / frame(v).expanding(5).std()),
}
LEAKS: dict[str, Callable[[Floats], Floats]] = {
    "centred window": lambda v: numbers(frame(v).rolling(5, center=True).mean()),
    "back-fill": lambda v: numbers(frame(v).bfill()),
    "interpolation over a gap": lambda v: numbers(frame(v).interpolate()),
    "full-sample scaling": lambda v: numbers((frame(v) - frame(v).mean()) / frame(v).std()),
    "full-sample ranks": lambda v: numbers(frame(v).rank(pct=True)),
    "shift(-1)": lambda v: numbers(frame(v).shift(-1)),
    "two-sided filter": smoothed,
    "smoothed regime": posterior_of_calm,
    "component fitted on all": first_component,
    "trend fitted on all": lambda v: v - np.polyval(np.polyfit(np.arange(len(v)), v[:, 0], 1), 1.0),
    "clipped at quantiles of all": lambda v: np.minimum(v, np.nanquantile(v, 0.9, axis=0)),
}


@pytest.mark.parametrize("name", CAUSAL)
def test_what_uses_the_past_alone_is_clean(name: str) -> None:
    results = audit_series(name, CAUSAL[name], prices(), tolerance=1e-9)

    assert [f.detail for one in results for f in one.findings] == []


@pytest.mark.parametrize("name", LEAKS)
def test_what_uses_later_rows_is_found(name: str) -> None:
    results = audit_series(name, LEAKS[name], prices(), tolerance=1e-9)

    assert any(not one.passed for one in results)


def test_a_finding_names_the_row_and_both_values() -> None:
    results = audit_series("peek", LEAKS["shift(-1)"], prices())

    assert [one.probe for one in results] == [Probe.PREFIX, Probe.POISON]
    assert "row 23 is " in results[0].findings[0].detail
    assert "when the rows after 23 are others" in results[0].findings[0].detail
