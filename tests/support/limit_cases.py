"""Every limit an operator may set, as data: the text in `.env`, and what it does at the wire.

A `Denies` row meets its limit one unit inside and one unit outside; a `Shapes` row says what
reaches the wire under each of several texts. The world and its round numbers are described in
`tests/support/limit_world.py`.
"""

from collections.abc import Mapping

from domain.events import Action
from tests.support.limit_steps import (
    UP_DOWN,
    Denies,
    Shapes,
    Try,
    ask,
    at,
    bars,
    beside_what_works,
    buy,
    correlation,
    holding,
    market_closes,
    moving,
    sell,
    slot,
    today,
    together_for,
    wait_until,
)
from tests.support.limit_world import FILLS_A_SHARE, Story

# --- markets -------------------------------------------------------------------------------------

BUSY_BEFORE = Story(tick_shares=(3000.0,) * 10 + (1000.0,) * 10)
"""Forty thousand shares a day on the average of twenty days, half of it on the last ten."""
TOGETHER = moving(UP_DOWN, UP_DOWN)
MOSTLY_TOGETHER = moving(UP_DOWN, tuple(-s if day % 7 == 0 else s for day, s in enumerate(UP_DOWN)))
ALIKE = correlation(MOSTLY_TOGETHER, 20)
AS_ONE = {"CLUSTER_NAMES_MAX": "1", "MAX_POSITION_SIZE": "2.05%"}
BESIDE_BBB = (*holding("10", "BBB"), buy("11"))
"""Two thousand dollars and a hundred of AAA and BBB together."""

# --- what the gate denies ------------------------------------------------------------------------

DENIES: tuple[Denies, ...] = (
    Denies(
        key="MAX_POSITION_SIZE",
        text="2.05%",
        rule="position",
        inside=Try(steps=(buy("20"),)),
        outside=Try(steps=(buy("21"),)),
        passes="buy 20 AAA",
    ),
    Denies(
        key="MAX_GROSS_EXPOSURE",
        text="2.05%",
        rule="gross",
        texts={"MAX_POSITION_SIZE": "2.05%"},
        inside=Try(steps=(*holding("10", "CCC"), buy("10"))),
        outside=Try(steps=(*holding("10", "CCC"), buy("11"))),
        passes="buy 10 AAA",
    ),
    Denies(
        key="MAX_GROSS_EXPOSURE",
        text="2.05%",
        rule="gross",
        texts={"MAX_POSITION_SIZE": "2.05%"},
        inside=Try(steps=(buy("10", "CCC", "99"), buy("10"))),
        outside=Try(steps=(buy("10", "CCC", "99"), buy("11"))),
        passes="buy 10 AAA",
    ),
    Denies(
        key="SECTOR_CAPS",
        text="Technology=2.05%",
        rule="sector",
        inside=Try(steps=(*holding("10", "BBB"), buy("10"))),
        outside=Try(steps=(*holding("10", "BBB"), buy("11"))),
        passes="buy 10 AAA",
    ),
    Denies(
        key="ETF_CAP",
        text="2.05%",
        rule="etf",
        inside=Try(steps=(buy("20", "FND"),)),
        outside=Try(steps=(buy("21", "FND"),)),
        passes="buy 20 FND",
    ),
    Denies(
        key="DAILY_TURNOVER_MAX",
        text="2.05%",
        rule="turnover",
        inside=Try(steps=(*holding("10", "CCC"), buy("10"))),
        outside=Try(steps=(*holding("10", "CCC"), buy("11"))),
        passes="buy 10 AAA",
    ),
    Denies(
        key="FRACTIONAL_SHARES",
        text="off",
        rule="whole_shares",
        inside=Try(steps=(buy("10.5"),), texts={"FRACTIONAL_SHARES": "on"}),
        outside=Try(steps=(buy("10.5"),)),
        passes="buy 10 AAA",
    ),
    Denies(
        key="ALLOW_SHORTS",
        text="off",
        rule="short_sale",
        inside=Try(steps=(*holding("10"), sell("10"))),
        outside=Try(steps=(*holding("10"), sell("11"))),
        passes="sell 10 AAA",
    ),
    Denies(
        key="ALLOW_SHORTS",
        text="off",
        rule="short_sale",
        inside=Try(steps=(sell("1"),), texts={"ALLOW_SHORTS": "on"}),
        outside=Try(steps=(sell("1"),)),
    ),
    Denies(
        key="INITIAL_CAPITAL",
        text="2050",
        rule="buying_power",
        texts={"MAX_GROSS_EXPOSURE": "1"},
        inside=Try(steps=(buy("20", limit="100.01"),)),
        outside=Try(steps=(buy("21", limit="100.01"),)),
        passes="buy 20 AAA",
    ),
    Denies(
        key="INITIAL_CAPITAL",
        text="50000",
        rule="position",
        setting="MAX_POSITION_SIZE",
        texts={
            "VENUE": "paper",
            "ALPACA_API_KEY": "PKTEST",
            "ALPACA_SECRET_KEY": "secret",
            "MAX_POSITION_SIZE": "2.1%",
        },
        inside=Try(steps=(buy("10"),), story=Story(cash_usd="100000")),
        outside=Try(steps=(buy("11"),), story=Story(cash_usd="100000")),
        passes="buy 10 AAA",
    ),
    Denies(
        key="COLLAR_BPS",
        text="20",
        rule="collar",
        inside=Try(steps=(buy("1", limit="100.22"),)),
        outside=Try(steps=(buy("1", limit="100.23"),)),
    ),
    Denies(
        key="ORDER_SIZE_MAX_USD",
        text="2050",
        rule="order_notional",
        inside=Try(steps=(buy("20", limit="100.01"),)),
        outside=Try(steps=(buy("21", limit="100.01"),)),
        passes="buy 20 AAA",
    ),
    Denies(
        key="ORDER_SIZE_MAX_SHARES",
        text="20",
        rule="order_shares",
        inside=Try(steps=(buy("20"),)),
        outside=Try(steps=(buy("21"),)),
        passes="buy 20 AAA",
    ),
    Denies(
        key="ADV_SHARE_MAX",
        text="0.102%",
        rule="volume_share",
        inside=Try(steps=(buy("20"),)),
        outside=Try(steps=(buy("21"),)),
        passes="buy 20 AAA",
    ),
    Denies(
        key="ADV_SHARE_MAX",
        text="0.0765%",
        rule="volume_share",
        texts={"CLUSTER_DAYS": "5"},
        inside=Try(steps=(buy("30"),), story=BUSY_BEFORE),
        outside=Try(steps=(buy("31"),), story=BUSY_BEFORE),
        passes="buy 30 AAA",
    ),
    Denies(
        key="PRICE_JUMP_MAX",
        text="10.005%",
        rule="price_sanity",
        inside=Try(steps=(at(60), buy("1")), story=today(100.0, 109.99)),
        outside=Try(steps=(at(60), buy("1")), story=today(100.0, 110.0)),
    ),
    Denies(
        key="ORDER_PRICE_MAX_AGE_SECONDS",
        text="7",
        rule="stale_price",
        inside=Try(steps=(wait_until(37), buy("1"))),
        outside=Try(steps=(wait_until(37.001), buy("1"))),
    ),
    Denies(
        key="NO_ENTRY_FIRST_MINUTES",
        text="3",
        rule="session_open",
        inside=Try(steps=(at(180), buy("1"))),
        outside=Try(steps=(at(179), buy("1"))),
    ),
    Denies(
        key="NO_ENTRY_FIRST_MINUTES",
        text="0",
        rule="session_open",
        inside=Try(steps=(at(599), buy("1"))),
        outside=Try(steps=(at(600), market_closes, buy("1"))),
    ),
    Denies(
        key="NO_ENTRY_LAST_MINUTES",
        text="3",
        rule="session_close",
        inside=Try(steps=(at(419), buy("1"))),
        outside=Try(steps=(at(420), buy("1"))),
    ),
    Denies(
        key="ORDERS_PER_MINUTE_MAX",
        text="2",
        rule="order_rate",
        inside=Try(steps=(buy("1"), buy("1", "BBB"))),
        outside=Try(steps=(buy("1"), buy("1", "BBB"), buy("1", "CCC"))),
    ),
    Denies(
        key="ORDERS_PER_MINUTE_MAX",
        text="1",
        rule="order_rate",
        inside=Try(steps=(buy("1"), at(90), buy("1", "BBB"))),
        outside=Try(steps=(buy("1"), at(89), buy("1", "BBB"))),
    ),
    Denies(
        key="ORDERS_PER_DAY_MAX",
        text="2",
        rule="orders_per_day",
        inside=Try(steps=(buy("1"), at(120), buy("1", "BBB"))),
        outside=Try(steps=(buy("1"), at(120), buy("1", "BBB"), at(240), buy("1", "CCC"))),
    ),
    Denies(
        key="STOP_LOSS_PERCENT",
        text="5%",
        rule="cooldown",
        inside=Try(
            steps=(*holding("10"), at(90), at(120), at(150), buy("1")),
            story=today(100.0, 100.0, 95.02),
        ),
        outside=Try(
            steps=(*holding("10"), at(90), at(120), at(150), buy("1")),
            story=today(100.0, 100.0, 95.01),
        ),
    ),
    Denies(
        key="MAX_DAILY_LOSS_PERCENT",
        text="1%",
        rule="daily_loss",
        inside=Try(
            steps=(*holding("100"), at(90), buy("1", "CCC")), story=today(100.0, 100.0, 90.02)
        ),
        outside=Try(
            steps=(*holding("100"), at(90), buy("1", "CCC")), story=today(100.0, 100.0, 90.01)
        ),
    ),
    Denies(
        key="MAX_DRAWDOWN_PERCENT",
        text="1%",
        rule="drawdown",
        texts={"MAX_DAILY_LOSS_PERCENT": "1%"},
        inside=Try(
            steps=(*holding("100"), at(90), buy("1", "CCC")), story=today(100.0, 100.0, 90.02)
        ),
        outside=Try(
            steps=(*holding("100"), at(90), buy("1", "CCC")), story=today(100.0, 100.0, 90.01)
        ),
    ),
    Denies(
        key="CLUSTER_NAMES_MAX",
        text="1",
        rule="cluster",
        texts={"MAX_POSITION_SIZE": "2.05%"},
        inside=Try(steps=(*holding("10", "BBB"), buy("10")), story=TOGETHER),
        outside=Try(steps=BESIDE_BBB, story=TOGETHER),
        passes="buy 10 AAA",
    ),
    Denies(
        key="CLUSTER_CORRELATION",
        text=f"{ALIKE - 0.001:.4f}",
        rule="cluster",
        setting="CLUSTER_NAMES_MAX",
        texts=AS_ONE,
        inside=Try(
            steps=BESIDE_BBB,
            story=MOSTLY_TOGETHER,
            texts={"CLUSTER_CORRELATION": f"{ALIKE + 0.001:.4f}"},
        ),
        outside=Try(steps=BESIDE_BBB, story=MOSTLY_TOGETHER),
        passes="buy 10 AAA",
    ),
    Denies(
        key="CLUSTER_DAYS",
        text="30",
        rule="cluster",
        setting="CLUSTER_NAMES_MAX",
        texts=AS_ONE,
        inside=Try(steps=BESIDE_BBB, story=together_for(30), texts={"CLUSTER_DAYS": "40"}),
        outside=Try(steps=BESIDE_BBB, story=together_for(30)),
        passes="buy 10 AAA",
    ),
    Denies(
        key="CLUSTER_DAYS",
        text="10",
        rule="cluster",
        setting="CLUSTER_NAMES_MAX",
        texts=AS_ONE,
        inside=Try(steps=BESIDE_BBB, story=together_for(10), texts={"CLUSTER_DAYS": "20"}),
        outside=Try(steps=BESIDE_BBB, story=together_for(10)),
        passes="buy 10 AAA",
    ),
    Denies(
        key="",
        text="REDUCING",
        rule="trading_state",
        setting="built in",
        inside=Try(steps=(buy("1"),)),
        outside=Try(steps=(ask(Action.REDUCE), buy("1"))),
    ),
    Denies(
        key="",
        text="untradable",
        rule="asset_rights",
        setting="built in",
        inside=Try(steps=(buy("1"),), story=Story(untradable=frozenset({"BBB"}))),
        outside=Try(steps=(buy("1", "BBB"),), story=Story(untradable=frozenset({"BBB"}))),
    ),
    Denies(
        key="",
        text="wash",
        rule="opposite_order",
        setting="built in",
        inside=Try(steps=(*holding("10"), sell("1", "AAA", "150"), beside_what_works("BBB"))),
        outside=Try(steps=(*holding("10"), sell("1", "AAA", "150"), beside_what_works("AAA"))),
    ),
)

# --- what shapes an order ------------------------------------------------------------------------

MARKET = {"ORDER_STYLE": "market", "TARGET_POSITION_SIZE": "1.55%"}
"""Orders without a price, so that what is said of them is their size; fifteen shares each."""
FALLS_THROUGH_THE_STOP = today(100.0, 100.0, 94.0)
STOPPED = (*holding("10"), at(90), at(120))

SHAPES: tuple[Shapes, ...] = (
    Shapes(
        key="TARGET_POSITION_SIZE",
        wire={"1.55%": ("buy 15 AAA market day",), "0.75%": ("buy 7 AAA market day",)},
        texts={"ORDER_STYLE": "market"},
        steps=(at(60), slot(AAA=1.0)),
    ),
    Shapes(
        key="MAX_POSITION_SIZE",
        wire={
            "2.05%": ("buy 10 AAA limit 110.01 day", "buy 10 AAA market day"),
            "3.05%": ("buy 10 AAA limit 110.01 day", "buy 15 AAA market day"),
        },
        texts=MARKET,
        steps=(*holding("10"), slot(AAA=1.0)),
    ),
    Shapes(
        key="MAX_GROSS_EXPOSURE",
        wire={
            "2.05%": ("buy 10 AAA market day", "buy 10 CCC market day"),
            "2": ("buy 15 AAA market day", "buy 15 CCC market day"),
        },
        texts={**MARKET, "MAX_POSITION_SIZE": "2%"},
        steps=(at(60), slot(AAA=1.0, CCC=1.0)),
    ),
    Shapes(
        key="SECTOR_CAPS",
        wire={
            "Technology=2.05%": ("buy 10 AAA market day", "buy 10 BBB market day"),
            "Technology=1": ("buy 15 AAA market day", "buy 15 BBB market day"),
        },
        texts=MARKET,
        steps=(at(60), slot(AAA=1.0, BBB=1.0)),
    ),
    Shapes(
        key="ETF_CAP",
        wire={
            "2.05%": ("buy 10 FN2 market day", "buy 10 FND market day"),
            "1": ("buy 15 FN2 market day", "buy 15 FND market day"),
        },
        texts=MARKET,
        steps=(at(60), slot(FND=1.0, FN2=1.0)),
    ),
    Shapes(
        key="TIER_BUDGETS",
        wire={
            "growth=1.05%": ("buy 10 AAA market day",),
            "growth=2": ("buy 15 AAA market day",),
            "growth=0.05%": (),
        },
        texts=MARKET,
        steps=(at(60), slot(AAA=1.0)),
    ),
    Shapes(
        key="NO_TRADE_BAND",
        wire={
            "20%": ("buy 15 AAA market day", "sell 2 AAA market day"),
            "22%": ("buy 15 AAA market day",),
        },
        texts=MARKET,
        steps=(at(60), slot(AAA=1.0), at(120), slot(AAA=0.8)),
    ),
    Shapes(
        key="NO_TRADE_BAND_USD",
        wire={
            "250": ("buy 15 AAA market day", "sell 2 AAA market day"),
            "270": ("buy 15 AAA market day",),
        },
        texts=MARKET,
        steps=(at(60), slot(AAA=1.0), at(120), slot(AAA=0.8)),
    ),
    Shapes(
        key="DAILY_TURNOVER_MAX",
        wire={
            "2.95%": ("buy 15 AAA market day",),
            "3.05%": ("buy 15 AAA market day", "buy 15 CCC market day"),
        },
        texts=MARKET,
        steps=(at(60), slot(AAA=1.0, CCC=1.0)),
    ),
    Shapes(
        key="FRACTIONAL_SHARES",
        wire={"off": ("buy 15 AAA market day",), "on": ("buy 15.5 AAA market day",)},
        texts=MARKET,
        steps=(at(60), slot(AAA=1.0)),
    ),
    Shapes(
        key="ALLOW_SHORTS",
        wire={"off": (), "on": ("sell 15 AAA market day",)},
        texts=MARKET,
        steps=(at(60), slot(AAA=-1.0)),
    ),
    Shapes(
        key="CLUSTER_NAMES_MAX",
        wire={
            "1": ("buy 7 AAA market day", "buy 7 BBB market day"),
            "2": ("buy 15 AAA market day", "buy 15 BBB market day"),
        },
        texts={**MARKET, "TRADING_SYMBOLS": "AAA,BBB"},
        steps=(at(60), slot(AAA=1.0, BBB=1.0)),
        story=TOGETHER,
    ),
    Shapes(
        key="ORDER_PRICE_MAX_AGE_SECONDS",
        wire={"7": ("buy 15 AAA market day",), "6": ()},
        texts=MARKET,
        steps=(at(60), wait_until(67), slot(AAA=1.0)),
    ),
    Shapes(
        key="FLATTEN_AT_CLOSE",
        wire={
            "off": ("buy 10 AAA limit 100.11 day",),
            "on": ("buy 10 AAA limit 100.11 day", "sell 10 AAA limit 99 day"),
        },
        texts={"NO_ENTRY_LAST_MINUTES": "3", "COLLAR_BPS": "10", "EXIT_COLLAR_BPS": "100"},
        steps=(*holding("10"), at(419), at(420)),
    ),
    Shapes(
        key="ORDER_STYLE",
        wire={
            "marketable_limit": ("buy 15 AAA limit 100.21 day",),
            "limit": ("buy 15 AAA limit 99.99 day",),
            "market": ("buy 15 AAA market day",),
        },
        texts={"TARGET_POSITION_SIZE": "1.55%", "COLLAR_BPS": "20"},
        steps=(at(60), slot(AAA=1.0)),
    ),
    Shapes(
        key="TIME_IN_FORCE",
        wire={"day": ("buy 15 AAA limit 99.99 day",), "gtc": ("buy 15 AAA limit 99.99 gtc",)},
        texts={"TARGET_POSITION_SIZE": "1.55%", "ORDER_STYLE": "limit"},
        steps=(at(60), slot(AAA=1.0)),
    ),
    Shapes(
        key="REPRICE_AFTER_SECONDS",
        wire={
            "39": ("buy 15 AAA limit 100.11 day", "cancel", "buy 13 AAA limit 100.11 day"),
            "40": ("buy 15 AAA limit 100.11 day",),
        },
        texts={"TARGET_POSITION_SIZE": "1.55%", "COLLAR_BPS": "10"},
        steps=(at(60), slot(AAA=1.0), at(90), at(99)),
        story=Story(fills=FILLS_A_SHARE),
    ),
    Shapes(
        key="COLLAR_BPS",
        wire={"10": ("buy 1 AAA limit 100.11 day",), "20": ("buy 1 AAA limit 100.21 day",)},
        steps=(buy("1"),),
    ),
    Shapes(
        key="EXIT_COLLAR_BPS",
        wire={
            "50": ("buy 10 AAA limit 100.11 day", "sell 10 AAA limit 93.53 day"),
            "100": ("buy 10 AAA limit 100.11 day", "sell 10 AAA limit 93.06 day"),
        },
        texts={"COLLAR_BPS": "10", "STOP_LOSS_PERCENT": "5%"},
        steps=STOPPED,
        story=FALLS_THROUGH_THE_STOP,
    ),
    Shapes(
        key="EXIT_COLLAR_BPS",
        wire={
            "50": ("buy 10 AAA limit 100.11 day", "sell 10 AAA limit 99 day"),
            "2000": ("buy 10 AAA limit 100.11 day", "sell 10 AAA limit 60 day"),
        },
        texts={"COLLAR_BPS": "10", "ORDER_PRICE_MAX_AGE_SECONDS": "5"},
        steps=(*holding("10"), wait_until(70), ask(Action.FLATTEN)),
    ),
    Shapes(
        key="STOP_LOSS_PERCENT",
        wire={
            "6%": ("buy 10 AAA limit 100.11 day", "sell 10 AAA limit 93.06 day"),
            "6.1%": ("buy 10 AAA limit 100.11 day",),
            "0": ("buy 10 AAA limit 100.11 day",),
        },
        texts={"COLLAR_BPS": "10", "EXIT_COLLAR_BPS": "100"},
        steps=STOPPED,
        story=FALLS_THROUGH_THE_STOP,
    ),
    Shapes(
        key="TAKE_PROFIT_PERCENT",
        wire={
            "5%": ("buy 15 AAA market day", "sell 15 AAA limit 94.52 day"),
            "5.1%": ("buy 15 AAA market day",),
            "0": ("buy 15 AAA market day",),
        },
        texts={**MARKET, "STRATEGIES": "mean_reversion", "EXIT_COLLAR_BPS": "1000"},
        steps=(at(60), bars(AAA=99.8), at(90), at(120), at(150)),
        story=today(100.0, 100.0, 100.0, 105.03),
    ),
    Shapes(
        key="ON_MAX_DRAWDOWN",
        wire={
            "reduce": ("buy 100 AAA limit 100.11 day",),
            "flatten": ("buy 100 AAA limit 100.11 day", "sell 100 AAA limit 89.1 day"),
        },
        texts={
            "COLLAR_BPS": "10",
            "EXIT_COLLAR_BPS": "100",
            "MAX_DAILY_LOSS_PERCENT": "1%",
            "MAX_DRAWDOWN_PERCENT": "1%",
        },
        # A price that fell so far is believed once the account was read: at the next poll.
        steps=(*holding("100"), at(90), at(95)),
        story=today(100.0, 100.0, 90.01),
    ),
)

REFUSED: Mapping[str, str] = {"EXTENDED_HOURS": "on"}
"""Limits that words allow and no code lifts yet: the text that is refused."""
