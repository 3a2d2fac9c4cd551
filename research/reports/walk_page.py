"""The page of a walk-forward."""

from collections.abc import Mapping
from html import escape
from typing import Any

import numpy as np

from research import metrics
from research.evaluation.results import SavedEvaluation
from research.reports import charts
from research.reports.embedding import chart, whole_page
from research.reports.verdict_table import number, percent, plain_table, told, verdict_tables

ROLLING_DAYS = 126
BESIDE = ("equal_weight", "always_long")
"""Baselines drawn beside the strategies; all are in the table."""


def page_of_walk(saved: SavedEvaluation) -> str:
    """Return the whole HTML page."""
    manifest = saved.manifest
    tested = manifest["tested"]
    title = f"Walk-forward {tested['first']} to {tested['last']}"
    drawn, places = _charts(saved)
    body = (
        f"{_heading(manifest)}{_verdicts(manifest)}{places}{_baselines(manifest)}"
        f"{_crossed(manifest)}{_paths(manifest)}{_folds(manifest)}{_run(manifest)}"
    )
    return whole_page(title, body, drawn)


def _heading(manifest: Mapping[str, Any]) -> str:
    tested, data, search = manifest["tested"], manifest["data"], manifest["search"]
    split = manifest["split"]
    said = [
        f"{tested['sessions']} sessions out of sample in {len(manifest['folds'])} folds, "
        f"{data['symbols']} symbols of {data['source']}; parameters searched by "
        f"{search['method']} on {split['train']} sessions, judged on the next {split['test']}, "
        f"{split['purge']} left out between. Each fold starts from cash."
    ]
    parts = [f'<p class="soft">{escape(line)}</p>' for line in said]
    if not manifest["complete"]:
        parts.append('<p class="warn">Interrupted: only whole folds are judged.</p>')
    return "".join(parts)


def _verdicts(manifest: Mapping[str, Any]) -> str:
    if manifest["verdicts"] is None:
        return '<p class="warn">Too little was played for a verdict.</p>'
    return "<h2>Verdicts</h2>" + verdict_tables(manifest["verdicts"], manifest["trials"]["counted"])


def _charts(saved: SavedEvaluation) -> tuple[dict[str, Any], str]:
    if not saved.days:
        return {}, ""
    strategies = [s["name"] for s in saved.manifest["search"]["spaces"]]
    shown = [n for n in (*strategies, *BESIDE) if n in saved.returns]
    curves = {n.replace("_", " "): metrics.compounded(saved.returns[n])[1:] for n in shown}
    below = {n: -metrics.drawdowns(np.concatenate([np.ones(1), c]))[1:] for n, c in curves.items()}
    rolling = {
        n.replace("_", " "): metrics.rolling_sharpe(saved.returns[n], ROLLING_DAYS) for n in shown
    }
    capital = 100_000.0
    drawn = {
        "equity": charts.equity_chart(
            saved.days, {n: capital * c for n, c in curves.items()}, below
        ),
        "rolling": charts.line_chart(saved.days, rolling),
    }
    places = chart("equity", "100,000 USD out of sample, and how far below the peak") + chart(
        "rolling", f"Sharpe ratio of the last {ROLLING_DAYS} sessions"
    )
    return drawn, places


def _baselines(manifest: Mapping[str, Any]) -> str:
    rows = [
        [
            escape(name.replace("_", " ")),
            percent(found["growth"]),
            percent(found["volatility"]).lstrip("+"),
            number(found["sharpe"], 2),
            percent(-found["max_drawdown"]),
            "in hindsight" if found["in_hindsight"] else "yardstick" if found["yardstick"] else "",
        ]
        for name, found in manifest["baselines"].items()
    ]
    heading = ["baseline", "growth a year", "volatility", "Sharpe a year", "deepest fall", ""]
    return f"<h2>What anyone could have held</h2>{plain_table(heading, rows)}"


def _crossed(manifest: Mapping[str, Any]) -> str:
    rows = [
        [
            escape(name),
            f"{found['trials']:,}",
            " ".join(number(s, 2) for s in found["path_sharpes"]),
            number(found["probability_of_overfitting"], 3),
            number(found["probability_of_loss"], 3),
        ]
        for name, found in manifest["cross_validation"].items()
    ]
    if not rows:
        return ""
    heading = ["strategy", "trials", "Sharpe of each path", "P(overfitting)", "P(loss)"]
    return f"<h2>Combinatorial purged cross-validation</h2>{plain_table(heading, rows)}"


def _paths(manifest: Mapping[str, Any]) -> str:
    parts = []
    told: dict[str, str] = {}
    rows = []
    for name, drawings in manifest["paths"].items():
        for found in drawings:
            told[found["drawing"]] = found["destroys"]
            rows.append(
                [
                    escape(name),
                    escape(found["drawing"]),
                    " … ".join(percent(v) for v in found["growth"]),
                    " … ".join(number(v, 2) for v in found["sharpe"]),
                    " … ".join(percent(-v) for v in found["max_drawdown"]),
                    number(found["probability_of_loss"], 3),
                ]
            )
    if not rows:
        return ""
    heading = ["strategy", "drawn by", "growth 5 … 95 %", "Sharpe", "deepest fall", "P(loss)"]
    parts.append(f"<h2>Other paths</h2>{plain_table(heading, rows)}")
    parts.extend(f'<p class="soft">{escape(n)}: {escape(said)}</p>' for n, said in told.items())
    return "".join(parts)


def _folds(manifest: Mapping[str, Any]) -> str:
    rows = [
        [
            f"{fold['test_first']} to {fold['test_last']}",
            escape(name),
            escape(", ".join(f"{k}={v}" for k, v in played["chosen"].items())) or "–",
            f"{played['trials']}",
            number(played["best_train_sharpe"], 2),
            number(played["test_sharpe"], 2),
            percent(played["test_return"]),
        ]
        for fold in manifest["folds"]
        for name, played in fold["strategies"].items()
    ]
    heading = ["tested", "strategy", "chosen", "trials", "best before", "Sharpe then", "return"]
    return f"<h2>Fold by fold</h2>{plain_table(heading, rows)}"


def _run(manifest: Mapping[str, Any]) -> str:
    kept = ("code_version", "complete", "data", "search", "split", "trials", "resumes_after")
    rows = [
        [escape(k.replace("_", " ")), f'<td class="words">{escape(told(manifest[k]))}</td>']
        for k in kept
    ]
    return f"<h2>The run</h2>{plain_table(['', ''], rows)}"
