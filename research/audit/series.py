"""Whole columns of numbers audited: features, regimes, labels, anything computed for all times.

`compute(values)` takes a history `[t, …]` and returns one row for each of its rows. Causal is what
gives the same row t whatever follows it.
"""

from collections.abc import Callable
from functools import partial

import numpy as np

from daemon.registry import Raised, attempt
from domain.market import Floats
from research.audit.findings import Checked, Finding, Probe

CUTS = 8
HOLES_MAX = 8
"""Rows with something missing at which is cut too: there fills from behind show."""
Compute = Callable[[Floats], Floats]


def audit_series(
    name: str, compute: Compute, values: Floats, *, cuts: int = CUTS, tolerance: float = 0.0
) -> list[Checked]:
    """Return whether a computation over a whole history is causal: by its prefixes, and by noise,
    nothing and absurd values after a cut.

    `tolerance` is relative; 0 wants the same bits, which sums over differently long arrays may not
    give. Raises what `compute` raises on the history itself.
    """
    rows = len(values)
    at = sorted({*np.linspace(rows // 3, rows - 2, cuts).astype(int).tolist(), *_holes(values)})
    whole = np.asarray(compute(values), dtype=np.float64)
    prefix = [
        _compared(whole, attempt(partial(compute, values[: cut + 1])), cut, tolerance) for cut in at
    ]
    poisoned = [
        _compared(whole, attempt(partial(compute, _poisoned(values, cut, kind))), cut, tolerance)
        for cut in at
        for kind in ("noise", "nothing", "thousandfold")
    ]
    return [
        _checked(name, Probe.PREFIX, f"{len(at)} prefixes", prefix),
        _checked(name, Probe.POISON, f"{len(poisoned)} poisoned histories", poisoned),
    ]


def _holes(values: Floats) -> list[int]:
    missing = np.asarray(np.isnan(values).reshape(len(values), -1).any(axis=1))
    rows: list[int] = np.flatnonzero(missing[:-1]).tolist()
    return rows[-HOLES_MAX:]


def _poisoned(values: Floats, cut: int, kind: str) -> Floats:
    other = np.array(values, dtype=np.float64)
    tail = other[cut + 1 :]
    match kind:
        case "nothing":
            tail[...] = np.nan
        case "thousandfold":
            tail *= 1000.0
        case _:
            tail *= np.random.default_rng(cut).uniform(0.5, 1.5, tail.shape)
    return other


def _compared(whole: Floats, other: Floats | Raised, cut: int, tolerance: float) -> str:
    if isinstance(other, Raised):
        return f"raises {other} when the rows after {cut} are others"
    left, right = whole[: cut + 1], np.asarray(other, dtype=np.float64)[: cut + 1]
    if left.shape != right.shape:
        return f"row {cut}: shape {left.shape} against {right.shape}"
    near = np.abs(left - right) <= tolerance * np.abs(left)
    differs = ~((left == right) | near | (np.isnan(left) & np.isnan(right)))
    if not differs.any():
        return ""
    where = tuple(int(k) for k in np.argwhere(differs)[0])
    return (
        f"row {where[0]} is {left[where]:.10g}, and {right[where]:.10g} when the rows after {cut} "
        "are others"
    )


def _checked(name: str, probe: Probe, looked_at: str, faults: list[str]) -> Checked:
    told = [fault for fault in faults if fault][:1]
    return Checked(
        subject=name,
        probe=probe,
        looked_at=looked_at,
        findings=tuple(Finding(subject=name, probe=probe, detail=words) for words in told),
    )
