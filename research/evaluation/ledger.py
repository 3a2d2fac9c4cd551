"""Every trial ever made of some bars, in a file that only grows: what deflation divides by.

A trial is one configuration (strategy, parameters, settings, costs) played on bars with a given
fingerprint. Playing the same one again teaches nothing new and counts once; trying another, in this
run or any earlier, counts. Nothing is ever taken back: a lost ledger makes every figure look better
than it is.
"""

import hashlib
import json
import math
import os
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np

from daemon.fingerprint import settings_hash
from daemon.settings import Settings
from domain.errors import ConfigurationFault
from research.backtest.preparing import Request
from research.evaluation.curves import Played

FILE = "trials.jsonl"
FILE_BYTES_MAX = 1 << 30


@dataclass(frozen=True, slots=True, kw_only=True)
class Trial:
    """One configuration played over one span. Ratios are of one session.

    `active` is the ratio of what it made above equal weights at equal volatility.
    """

    data: str
    strategy: str
    parameters: str
    conditions: str
    first: str
    last: str
    sessions: int
    sharpe: float | None
    active: float | None
    turnover: float
    max_drawdown: float
    purpose: str
    at: str

    @property
    def configuration(self) -> tuple[str, str, str]:
        """What makes two trials the same attempt."""
        return (self.strategy, self.parameters, self.conditions)


@dataclass(frozen=True, slots=True, kw_only=True)
class Count:
    """How often these bars were tried, and how the attempts' ratios (one session) vary.

    `unreadable` lines count as attempts: nobody knows that they were not.
    """

    trials: int
    unreadable: int
    sharpe_variance: float
    active_variance: float


def conditions_hash(settings: Settings, request: Request) -> str:
    """Return a fingerprint of settings and costs: what a trial's figures depend on beside its bars,
    its strategy and its span."""
    told = f"{settings_hash(settings)} {request.costs} {request.resumes_after}"
    return hashlib.sha256(told.encode()).hexdigest()[:16]


def trial_line(played: Played, data: str, conditions: str, purpose: str, at: datetime) -> Trial:
    """Return the ledger's line of one trial."""
    score = played.curve.score()
    parameters = ",".join(f"{k}={v}" for k, v in sorted(played.spec.parameters.items()))
    return Trial(
        data=data,
        strategy=played.spec.kind,
        parameters=parameters,
        conditions=conditions,
        first=str(played.curve.first),
        last=str(played.curve.last),
        sessions=len(played.curve.returns),
        sharpe=played.sharpe,
        active=played.active,
        turnover=score.turnover,
        max_drawdown=score.max_drawdown,
        purpose=purpose,
        at=at.isoformat(timespec="seconds"),
    )


def variance_of_trials(sharpes: Sequence[float], periods: int) -> float:
    """Return the variance of trials' ratios of one period.

    Of fewer than two nothing can be said: then that of an estimate without skill, 1/(T − 1).
    """
    known = [s for s in sharpes if math.isfinite(s)]
    if len(known) < 2:
        return 1.0 / max(1, periods - 1)
    return float(np.var(known, ddof=1))


class Ledger:
    """The file of trials."""

    def __init__(self, path: Path) -> None:
        """Name the file; it is made with the first trial."""
        self.path = path

    def add(self, trials: Sequence[Trial]) -> None:
        """Append trials durably, all in one write."""
        if not trials:
            return
        lines = "".join(json.dumps(asdict(t), sort_keys=True) + "\n" for t in trials)
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            handle = os.open(self.path, os.O_RDWR | os.O_APPEND | os.O_CREAT, 0o644)
            try:
                size = os.fstat(handle).st_size
                # A run killed in the middle of a line must not swallow the next run's first.
                torn = size > 0 and os.pread(handle, 1, size - 1) != b"\n"
                os.write(handle, (("\n" if torn else "") + lines).encode())
                os.fsync(handle)
            finally:
                os.close(handle)
        except OSError as fault:
            raise ConfigurationFault(f"{self.path}: a trial cannot be counted: {fault}") from fault

    def count(self, data: str, sessions: int) -> Count:
        """Return the attempts on bars. `sessions` is the length of the record being deflated: the
        variance to expect when there is but one attempt."""
        trials, unreadable = self._read()
        ours: dict[tuple[str, str, str], list[Trial]] = defaultdict(list)
        for trial in trials:
            if trial.data == data:
                ours[trial.configuration].append(trial)
        return Count(
            trials=len(ours) + unreadable,
            unreadable=unreadable,
            sharpe_variance=variance_of_trials(
                [_mean([t.sharpe for t in group]) for group in ours.values()], sessions
            ),
            active_variance=variance_of_trials(
                [_mean([t.active for t in group]) for group in ours.values()], sessions
            ),
        )

    def _read(self) -> tuple[list[Trial], int]:
        try:
            if self.path.stat().st_size > FILE_BYTES_MAX:
                raise ConfigurationFault(f"{self.path} is larger than {FILE_BYTES_MAX} bytes")
            lines = self.path.read_text(encoding="utf-8", errors="replace").splitlines()
        except FileNotFoundError:
            return [], 0
        except OSError as fault:
            raise ConfigurationFault(f"{self.path} cannot be read: {fault}") from fault
        found, unreadable = [], 0
        for line in lines:
            trial = _parsed(line)
            if trial is not None:
                found.append(trial)
            elif line.strip():
                unreadable += 1
        return found, unreadable


def _parsed(line: str) -> Trial | None:
    try:
        document: Any = json.loads(line)
        return Trial(**document)
    except (ValueError, TypeError):
        return None


def _mean(ratios: Sequence[float | None]) -> float:
    known = [r for r in ratios if r is not None and math.isfinite(r)]
    return float(np.mean(known)) if known else math.nan
