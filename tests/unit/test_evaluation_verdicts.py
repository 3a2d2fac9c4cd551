"""Verdicts on returns whose truth is known, and the ledger that they are deflated by."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from domain.errors import ConfigurationFault
from domain.market import Floats
from research.evaluation.curves import active
from research.evaluation.ledger import Count, Ledger, Trial
from research.evaluation.verdicts import Verdict, judge, strictest

SESSIONS = 1500


def drawn(seed: int, *, mean: float = 0.0) -> Floats:
    return mean + 0.01 * np.random.default_rng(seed).standard_normal(SESSIONS)


def counted(trials: int) -> Count:
    variance = 1.0 / SESSIONS
    return Count(trials=trials, unreadable=0, sharpe_variance=variance, active_variance=variance)


MARKET = drawn(1, mean=0.0004)


def test_skill_that_outweighs_every_trial_beats() -> None:
    found = judge({"skill": drawn(2, mean=0.002)}, {"market": MARKET}, counted(20))

    assert found.judged[0].verdict is Verdict.BEATS
    assert found.judged[0].against[0].survives


def test_the_same_record_is_no_evidence_when_enough_was_tried_for_it() -> None:
    record = {"lucky": drawn(2, mean=0.0016)}
    few = judge(record, {"market": MARKET}, counted(1)).judged[0]
    many = judge(record, {"market": MARKET}, counted(100_000)).judged[0]

    assert few.verdict is Verdict.BEATS
    assert many.verdict is Verdict.NO_EVIDENCE
    assert many.deflated < few.deflated


def test_what_loses_steadily_is_worse() -> None:
    found = judge({"costly": drawn(3, mean=-0.0015)}, {"market": MARKET}, counted(5))

    assert found.judged[0].verdict is Verdict.WORSE


def test_noise_beside_noise_is_no_evidence() -> None:
    found = judge({"noise": drawn(4)}, {"other": drawn(5)}, counted(5))

    assert found.judged[0].verdict is Verdict.NO_EVIDENCE
    assert found.p_none_better["other"] > 0.05


@pytest.mark.long
def test_noise_is_almost_never_said_to_beat() -> None:
    # 60 families of 5 strategies without skill, each judged as if nothing else had been tried.
    promoted = 0
    for seed in range(60):
        family = {f"s{i}": drawn(1000 + 10 * seed + i, mean=0.0004) for i in range(5)}
        found = judge(family, {"market": drawn(9000 + seed, mean=0.0004)}, counted(5))
        promoted += any(j.verdict is Verdict.BEATS for j in found.judged)

    assert promoted <= 3


def test_holding_more_cash_is_neither_merit_nor_fault() -> None:
    found = judge({"half": 0.5 * MARKET}, {"market": MARKET}, counted(1)).judged[0]

    assert found.against[0].difference.value == pytest.approx(0.0, abs=1e-9)
    np.testing.assert_allclose(active(0.5 * MARKET, MARKET), 0.0, atol=1e-12)


def test_one_bad_comparison_is_enough() -> None:
    assert strictest([Verdict.BEATS, Verdict.NO_EVIDENCE]) is Verdict.NO_EVIDENCE
    assert strictest([Verdict.BEATS, Verdict.WORSE]) is Verdict.WORSE
    assert strictest([]) is Verdict.NO_EVIDENCE


def test_a_record_without_a_trade_says_nothing() -> None:
    found = judge({"idle": np.zeros(SESSIONS)}, {"market": MARKET}, counted(3)).judged[0]

    assert found.verdict is Verdict.NO_EVIDENCE
    assert found.against == ()


TRIAL = Trial(
    data="bars", strategy="sma", parameters="fast=5", conditions="c", first="2010-01-04",
    last="2012-12-31", sessions=750, sharpe=0.03, active=0.01, turnover=12.0, max_drawdown=0.1,
    purpose="walk-forward", at="2026-01-01T00:00:00+00:00",
)  # fmt: skip


def other(fast: int, *, data: str = "bars") -> Trial:
    return replace(TRIAL, parameters=f"fast={fast}", data=data)


def test_every_configuration_of_every_run_counts_once(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "trials.jsonl"
    Ledger(path).add([TRIAL, other(10)])
    Ledger(path).add([TRIAL, other(20), replace(TRIAL, first="2013-01-02")])

    assert Ledger(path).count("bars", 750).trials == 3


def test_other_bars_are_another_matter(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path / "trials.jsonl")
    ledger.add([TRIAL, other(10, data="other bars")])

    assert ledger.count("bars", 750).trials == 1


def test_the_variance_is_that_between_configurations(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path / "trials.jsonl")
    ledger.add([TRIAL, replace(TRIAL, first="2013", sharpe=0.05), replace(other(10), sharpe=0.08)])

    assert ledger.count("bars", 750).sharpe_variance == pytest.approx(np.var([0.04, 0.08], ddof=1))


def test_an_idle_configuration_counts_and_has_no_ratio(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path / "trials.jsonl")
    ledger.add([TRIAL, replace(other(10), sharpe=None, active=None)])
    found = ledger.count("bars", 101)

    assert found.trials == 2
    assert found.sharpe_variance == pytest.approx(0.01)


def test_a_torn_line_counts_as_a_trial_and_swallows_none(tmp_path: Path) -> None:
    path = tmp_path / "trials.jsonl"
    ledger = Ledger(path)
    ledger.add([TRIAL])
    path.write_bytes(path.read_bytes() + b'{"data": "bars", "stra')
    ledger.add([other(10)])
    found = ledger.count("bars", 750)

    assert found.trials == 3
    assert found.unreadable == 1
    assert json.loads(path.read_text().splitlines()[-1])["parameters"] == "fast=10"


def test_without_a_ledger_nothing_was_tried(tmp_path: Path) -> None:
    assert Ledger(tmp_path / "none.jsonl").count("bars", 750).trials == 0


def test_a_ledger_that_cannot_be_written_stops_the_search(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")

    with pytest.raises(ConfigurationFault, match="cannot be counted"):
        Ledger(tmp_path / "file" / "trials.jsonl").add([TRIAL])
