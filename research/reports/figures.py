"""Everything a report shows of a saved backtest, as one plain document."""

import json
import math
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

import numpy as np

from domain.market import Floats
from domain.money import ZERO
from research import metrics
from research.backtest.results import SavedBacktest
from research.reports.trades import Months, Trade, closed_trades, slippage_usd, trading_by_month

VAR_LEVEL = 0.95
ROLLING_DAYS = 126
TRADES_SHOWN = 12


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Beside:
    """Baselines' returns `[t]` by name, verdicts as plain data (None: too short), or why neither
    can be had."""

    returns: Mapping[str, Floats]
    verdicts: Mapping[str, Any] | None
    trials: int
    missing: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Attribution:
    """Who made the profit. Each mapping sums to the profit of the account, to the cent."""

    by_symbol: Mapping[str, Decimal]
    by_sector: Mapping[str, Decimal]
    by_strategy: Mapping[str, Decimal]
    total: Decimal


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Figures:
    """The numbers of one backtest."""

    document: Mapping[str, Any]
    days: list[Any]
    equity: Floats
    gross_share: Floats
    attribution: Attribution
    sector_share: Mapping[str, Floats]
    trades: list[Trade]
    months: Months
    beside: Mapping[str, Floats]
    """Returns `[t]` of what anyone could have held."""


def figures_of(saved: SavedBacktest, found: Beside | None = None) -> Figures:
    """Return the figures of a saved backtest, beside its baselines when they are given.

    The curve begins with the capital put in.
    """
    table, manifest = saved.tables["equity"], saved.manifest
    equity = equity_of(saved)
    returns = metrics.returns_of(equity)
    trades = closed_trades(saved)
    attribution = attribute(saved)
    gross = np.array(table["gross_usd"], dtype=np.float64)
    share = gross / equity[1:] if len(gross) else gross
    document = {
        "run": _run(saved),
        "performance": {
            **_performance(equity, returns),
            "information_ratio": _clean(_information_ratio(returns, found)),
        },
        "trading": _trading(saved, equity, trades),
        "exposure": {
            "gross_mean": _clean(float(share.mean()) if len(share) else metrics.NAN),
            "gross_max": _clean(float(share.max()) if len(share) else metrics.NAN),
        },
        "attribution_usd": {
            "total": str(attribution.total),
            "by_strategy": {k: str(v) for k, v in attribution.by_strategy.items()},
            "by_sector": {k: str(v) for k, v in attribution.by_sector.items()},
            "by_symbol": {k: str(v) for k, v in attribution.by_symbol.items()},
        },
        "monthly": {
            f"{year}-{month:02d}": _clean(value)
            for (year, month), value in metrics.monthly_returns(
                [table["day"][0], *table["day"]] if table["day"] else [], equity[: len(equity)]
            ).items()
        }
        if table["day"]
        else {},
        "trades": _trades(trades),
        "verdict": _verdict(found),
        "denials": manifest["denials"],
        "exits": manifest["exits"],
        "outcomes": manifest["outcomes"],
        "trading_state": {
            state: table["trading_state"].count(state)
            for state in sorted(set(table["trading_state"]))
        },
        "notices": manifest["notices"],
        "notes": manifest["notes"],
    }
    return Figures(
        document=document,
        days=list(table["day"]),
        equity=equity,
        gross_share=share,
        attribution=attribution,
        sector_share=_sector_share(saved, equity[1:]),
        trades=trades,
        months=trading_by_month(saved, equity[1:]),
        beside={} if found is None else found.returns,
    )


def equity_of(saved: SavedBacktest) -> Floats:
    """Return the curve `[t + 1]`, which begins with the capital put in."""
    capital = float(saved.manifest["capital_usd"])
    return np.array([capital, *(float(x) for x in saved.tables["equity"]["equity_usd"])])


def _information_ratio(returns: Floats, found: Beside | None) -> float:
    """Return the ratio against equal weights; NaN without them."""
    benchmark = None if found is None else found.returns.get("equal_weight")
    return metrics.NAN if benchmark is None else metrics.information_ratio(returns, benchmark)


def _trades(trades: list[Trade]) -> dict[str, Any]:
    ordered = sorted(trades, key=lambda t: (t.profit_usd, t.symbol, t.closed))
    return {
        "best": [_trade(t) for t in reversed(ordered[-TRADES_SHOWN:])],
        "worst": [_trade(t) for t in ordered[:TRADES_SHOWN]],
    }


def _trade(trade: Trade) -> dict[str, str]:
    return {
        "symbol": trade.symbol,
        "opened": str(trade.opened),
        "closed": str(trade.closed),
        "shares": format(trade.shares, "f"),
        "profit_usd": format(trade.profit_usd.quantize(Decimal("0.01")), "f"),
    }


def _verdict(found: Beside | None) -> dict[str, Any]:
    if found is None:
        return {"verdicts": None, "trials": None, "missing": "not asked for"}
    return {"verdicts": found.verdicts, "trials": found.trials, "missing": found.missing}


def _run(saved: SavedBacktest) -> dict[str, Any]:
    kept = (
        "complete",
        "code_version",
        "strategies",
        "sessions",
        "costs",
        "capital_usd",
        "equity_usd",
        "seed",
        "settings_hash",
        "resumes_after",
        "book_matches_venue",
        "cpu_s",
    )
    manifest = saved.manifest
    data = {k: v for k, v in manifest["data"].items() if k != "symbols"}
    return {
        **{name: manifest[name] for name in kept if name in manifest},
        "data": {**data, "symbols": len(manifest["data"]["symbols"])},
    }


def _performance(equity: Floats, returns: Floats) -> dict[str, Any]:
    fall = metrics.max_drawdown(equity)
    found: dict[str, float] = {
        "total_return": float(equity[-1] / equity[0] - 1.0),
        "growth_a_year": metrics.growth(equity),
        "volatility_a_year": metrics.volatility(returns),
        "sharpe": metrics.sharpe(returns),
        "sortino": metrics.sortino(returns),
        "calmar": metrics.calmar(equity),
        "max_drawdown": fall.depth,
        "max_drawdown_sessions": (fall.recovered or len(equity) - 1) - fall.peak,
        "worst_session": float(returns.min()) if len(returns) else metrics.NAN,
        "best_session": float(returns.max()) if len(returns) else metrics.NAN,
        f"value_at_risk_{VAR_LEVEL:.0%}": metrics.value_at_risk(returns, VAR_LEVEL),
        f"expected_shortfall_{VAR_LEVEL:.0%}": metrics.expected_shortfall(returns, VAR_LEVEL),
    }
    return {name: _clean(value) for name, value in found.items()}


def _trading(saved: SavedBacktest, equity: Floats, trades: list[Trade]) -> dict[str, Any]:
    fills = saved.tables["fills"]
    values = [float(s) * float(p) for s, p in zip(fills["shares"], fills["price_usd"], strict=True)]
    fees = sum((Decimal(f) for f in fills["fee_usd"]), ZERO)
    profits = [float(t.profit_usd) for t in trades]
    return {
        "orders": saved.manifest["orders"],
        "fills": len(values),
        "traded_usd": round(sum(values), 2),
        "turnover_a_year": _clean(metrics.turnover(sum(values), equity)),
        "fees_usd": str(fees),
        "slippage_usd": str(slippage_usd(fills)),
        "trades_closed": len(trades),
        "hit_rate": _clean(metrics.hit_rate(profits)),
        "profit_factor": _clean(metrics.profit_factor(profits)),
        "mean_trade_usd": _clean(float(np.mean(profits)) if profits else metrics.NAN),
    }


def attribute(saved: SavedBacktest) -> Attribution:
    """Return profit by symbol, sector and strategy, fees inside, positions at the last marks."""
    fills, manifest = saved.tables["fills"], saved.manifest
    by_symbol: dict[str, Decimal] = defaultdict(lambda: ZERO)
    rows = zip(
        fills["symbol"],
        fills["side"],
        fills["shares"],
        fills["price_usd"],
        fills["fee_usd"],
        strict=True,
    )
    for symbol, side, shares, price, fee in rows:
        signed = Decimal(shares) * (1 if side == "buy" else -1)
        by_symbol[symbol] -= signed * Decimal(price) + Decimal(fee)
    for symbol, shares in manifest["shares"].items():
        by_symbol[symbol] += Decimal(shares) * Decimal(manifest["marks_usd"][symbol])
    income = saved.tables["income"]
    for symbol, amount in zip(income["symbol"], income["amount_usd"], strict=True):
        if Decimal(amount):
            by_symbol[symbol] += Decimal(amount)
    by_sector: dict[str, Decimal] = defaultdict(lambda: ZERO)
    for symbol, profit in by_symbol.items():
        by_sector[manifest["sectors"][symbol]] += profit
    return Attribution(
        by_symbol=_largest_first(by_symbol),
        by_sector=_largest_first(by_sector),
        by_strategy=_largest_first(
            {name: Decimal(p) for name, p in manifest["profit_by_book_usd"].items()}
        ),
        total=Decimal(manifest["equity_usd"]) - Decimal(manifest["capital_usd"]),
    )


def _largest_first(amounts: Mapping[str, Decimal]) -> dict[str, Decimal]:
    return dict(sorted(amounts.items(), key=lambda item: (-item[1], item[0])))


def _sector_share(saved: SavedBacktest, equity: Floats) -> dict[str, Floats]:
    """Return gross exposure by sector as a share of equity, a series for each sector held."""
    table, sectors = saved.tables["positions"], saved.manifest["sectors"]
    row_of = {day: row for row, day in enumerate(saved.tables["equity"]["day"])}
    found: dict[str, Floats] = defaultdict(lambda: np.zeros(len(equity)))
    rows = zip(table["day"], table["symbol"], table["shares"], table["close_usd"], strict=True)
    for day, symbol, shares, close in rows:
        found[sectors[symbol]][row_of[day]] += abs(shares * close)
    return {sector: values / equity for sector, values in sorted(found.items())}


def _clean(value: float) -> float | None:
    """Return a number that JSON can hold; None for what cannot be said."""
    if isinstance(value, int):
        return value
    return None if not math.isfinite(value) else round(float(value), 8)


def as_json(figures: Figures) -> str:
    """Return the document as JSON text."""
    return json.dumps(figures.document, indent=2, ensure_ascii=False)
