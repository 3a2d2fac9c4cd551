"""The settings: one reading, every fault at once, no secret shown."""

from collections.abc import Mapping
from decimal import Decimal
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from daemon.settings import Settings
from daemon.settings_conflicts import IN_ORDER
from daemon.settings_env import (
    KEYS,
    SECRET_KEYS,
    default_env_file,
    demo_overrides,
    load_settings,
)
from daemon.settings_example import HEADINGS, example
from daemon.settings_values import write
from daemon.strategy_specs import StrategySpec
from domain.calendar import Timeframe
from domain.errors import ConfigurationFault
from domain.instruments import Sector, Tier
from risk.limits import SETTING_OF, RiskLimits
from tests.support.settings import some_settings

ROOT = Path(__file__).parents[2]
PAPER_KEYS = {"ALPACA_API_KEY": "PKTESTTESTTEST", "ALPACA_SECRET_KEY": "s3cr3tCANARYs3cr3t"}


def an_env_file(folder: Path, text: str, *, mode: int = 0o600) -> Path:
    path = folder / ".env"
    path.write_text(text)
    path.chmod(mode)
    return path


def the_faults(
    env_file: Path | None = None,
    environ: Mapping[str, str] | None = None,
    overrides: Mapping[str, object] | None = None,
) -> str:
    with pytest.raises(ConfigurationFault) as caught:
        load_settings(env_file, environ or {}, overrides)
    assert caught.value.exit_code == 4
    return str(caught.value)


# --- the schema ----------------------------------------------------------------------------------


def test_nothing_given_is_enough() -> None:
    settings = load_settings(None, {})

    assert settings.venue == "embedded"
    assert settings.warnings == ()


def test_every_setting_is_explained() -> None:
    unexplained = [k for k, n in KEYS.items() if not Settings.model_fields[n].description]

    assert unexplained == []


@pytest.mark.parametrize("key", [k for k in KEYS if k not in SECRET_KEYS])
def test_a_default_reads_back_as_itself(key: str) -> None:
    default = getattr(Settings(), KEYS[key])

    assert getattr(load_settings(None, {}, {key: write(default)}), KEYS[key]) == default


@pytest.mark.parametrize("key", [k for k in KEYS if k not in SECRET_KEYS])
def test_a_typed_default_is_accepted_as_an_override(key: str) -> None:
    default = getattr(Settings(), KEYS[key])

    assert getattr(load_settings(None, {}, {key: default}), KEYS[key]) == default


def test_the_gates_limits_are_settings_with_the_same_defaults() -> None:
    settings = Settings()

    assert RiskLimits(**{n: getattr(settings, n) for n in SETTING_OF}) == RiskLimits()


def test_the_settings_cannot_be_changed() -> None:
    with pytest.raises(ValidationError, match="frozen"):
        some_settings().seed = 2  # type: ignore[misc]


def test_the_example_in_the_checkout_is_up_to_date() -> None:
    assert (ROOT / ".env.example").read_text() == example()


def test_the_example_uncommented_is_the_defaults(tmp_path: Path) -> None:
    lines = [line[1:] for line in example().splitlines() if line.startswith("#") and "=" in line]
    path = an_env_file(tmp_path, "\n".join(line for line in lines if line[0].isupper()))

    assert load_settings(path, {}) == Settings()


def test_every_heading_stands_before_a_key_that_exists() -> None:
    assert set(HEADINGS) <= set(KEYS)


# --- the forms -----------------------------------------------------------------------------------


@pytest.mark.parametrize("text", ["0.05", "5%", " 5 % ", ".05", "5.00%", 0.05, Decimal("0.05")])
def test_a_share_may_be_written_as_a_fraction_or_a_percentage(text: object) -> None:
    assert some_settings(stop_loss_percent=text).stop_loss_percent == Decimal("0.05")


@pytest.mark.parametrize("text", ["5", "100", 5])
def test_a_whole_number_is_no_share(text: object) -> None:
    assert "or 5%" in the_faults(overrides={"STOP_LOSS_PERCENT": "5"})
    assert "STOP_LOSS_PERCENT" in the_faults(overrides={"STOP_LOSS_PERCENT": text})


@given(st.decimals(min_value="0.01", max_value="100", places=2))
def test_a_percentage_is_a_hundredth_of_its_number(percent: Decimal) -> None:
    settings = some_settings(max_position_size=f"{percent}%", target_position_size="0.01%")

    assert settings.max_position_size == percent / 100


@pytest.mark.parametrize("text", ["nan", "inf", "-1%", "abc", "", "%"])
def test_what_is_no_share_is_refused_or_not_given(text: str) -> None:
    if not text:
        assert some_settings(etf_cap=text) == Settings()
    else:
        assert "ETF_CAP=" in the_faults(overrides={"ETF_CAP": text})


def test_gross_exposure_may_be_two_and_not_more() -> None:
    assert some_settings(max_gross_exposure="2").max_gross_exposure == 2
    assert some_settings(max_gross_exposure="150%").max_gross_exposure == Decimal("1.5")
    assert "MAX_GROSS_EXPOSURE=2.01" in the_faults(overrides={"MAX_GROSS_EXPOSURE": "2.01"})


def test_turnover_above_its_account_is_written_as_a_percentage() -> None:
    assert some_settings(daily_turnover_max="300%").daily_turnover_max == 3
    assert "write 0.03 or 3%" in the_faults(overrides={"DAILY_TURNOVER_MAX": "3"})


def test_a_sector_cap_changes_only_its_sector() -> None:
    caps = some_settings(sector_caps="Technology=25%, financials=0.1").sector_caps

    assert caps[Sector.INFORMATION_TECHNOLOGY] == Decimal("0.25")
    assert caps[Sector.FINANCIALS] == Decimal("0.1")
    assert caps[Sector.HEALTH_CARE] == Decimal("0.20")
    assert set(caps) == set(Sector)


def test_a_sector_under_two_names_is_a_fault() -> None:
    fault = the_faults(overrides={"SECTOR_CAPS": "Technology=25%,Information Technology=20%"})

    assert "stands twice" in fault


def test_etfs_among_the_sectors_are_sent_to_their_own_key() -> None:
    assert "ETF_CAP" in the_faults(overrides={"SECTOR_CAPS": "ETFs=10%"})


def test_a_tier_budget_changes_only_its_tier() -> None:
    budgets = some_settings(tier_budgets="safe=60%").tier_budgets

    assert budgets[Tier.SAFE] == Decimal("0.6")
    assert budgets[Tier.GROWTH] == Decimal("0.40")


def test_strategies_carry_parameters_and_weights() -> None:
    chosen = some_settings(
        strategies="sma_crossover(fast_bars=20, slow_bars=100,weight=2),"
        "mine(mode=fast,x=.5,on=true,name=own)"
    ).strategies

    assert chosen == (
        StrategySpec(
            name="sma_crossover",
            kind="sma_crossover",
            parameters={"fast_bars": 20, "slow_bars": 100},
            weight=2,
        ),
        StrategySpec(name="own", kind="mine", parameters={"mode": "fast", "x": 0.5, "on": True}),
    )


def test_strategies_read_back_as_written() -> None:
    chosen = some_settings(strategies="a(x=1,y=true,weight=.5),a#2(mode=fast),b").strategies

    assert some_settings(strategies=write(chosen)).strategies == chosen


@pytest.mark.parametrize(
    "text", ["a,a", "a(", "a(b)", "a(b=)", "A-b", "a(b=1,b=2)", "a(weight=-1)", "a(b=1)c"]
)
def test_strategies_that_cannot_be_read_are_refused(text: str) -> None:
    assert "STRATEGIES=" in the_faults(overrides={"STRATEGIES": text})


def test_symbols_are_upper_case_and_stand_once() -> None:
    assert some_settings(trading_symbols="aapl, MSFT,AAPL,brk.b").trading_symbols == (
        "AAPL",
        "MSFT",
        "BRK.B",
    )


def test_a_symbol_that_is_none_is_named() -> None:
    assert "A-B" in the_faults(overrides={"TRADING_SYMBOLS": "AAPL,A-B"})


def test_words_are_read_whatever_their_case() -> None:
    settings = some_settings(bar_timeframe="5min", combination="MAJORITY", universe_tiers="Safe")

    assert settings.bar_timeframe is Timeframe.FIVE_MINUTES
    assert settings.combination == "majority"
    assert settings.universe_tiers == (Tier.SAFE,)


@pytest.mark.parametrize(
    ("key", "text", "form"),
    [
        ("HTTP_PORT", "70000", "whole number from 0 to 65535"),
        ("POLL_SECONDS", "0", "from 0.5 to 600 seconds"),
        ("FRACTIONAL_SHARES", "maybe", "on or off"),
        ("DATA_FEED", "otc", "iex, sip"),
        ("EXCHANGE_URL", "localhost:8430", "http://127.0.0.1:8430"),
        ("INITIAL_CAPITAL", "lots", "write dollars"),
        ("UNIVERSE_SECTORS", "Tulips", "Information Technology"),
        ("SEED", "1.5", "whole number"),
        ("HTTP_HOST", "http://x", "host name"),
    ],
)
def test_a_fault_names_key_and_accepted_form(key: str, text: str, form: str) -> None:
    fault = the_faults(overrides={key: text})

    assert f"{key}={text}" in fault
    assert form in fault


def test_dollars_may_carry_signs_and_commas() -> None:
    assert some_settings(initial_capital="$250,000.50").initial_capital == Decimal("250000.50")


# --- reading -------------------------------------------------------------------------------------


def test_later_sources_win(tmp_path: Path) -> None:
    path = an_env_file(tmp_path, "SEED=2\nHTTP_PORT=2\nPOLL_SECONDS=2\nSTALE_BARS_MAX=2")
    settings = load_settings(
        path,
        {"HTTP_PORT": "3", "POLL_SECONDS": "3"},
        {"POLL_SECONDS": 4},
        fallbacks={"SEED": 1, "MIN_HOLD_BARS": 1},
    )

    assert (settings.min_hold_bars, settings.seed, settings.stale_bars_max) == (1, 2, 2)
    assert (settings.http_port, settings.poll_seconds) == (3, 4)


def test_an_empty_value_is_not_given(tmp_path: Path) -> None:
    path = an_env_file(tmp_path, "SEED=7")

    assert load_settings(path, {"SEED": ""}).seed == 7


def test_lines_may_be_quoted_exported_and_commented(tmp_path: Path) -> None:
    text = "\n# note\nexport SEED = 5 # note\nHTTP_HOST='127.0.0.1' # note\nLOG_LEVEL=\"debug\"\n"
    settings = load_settings(an_env_file(tmp_path, text), {})

    assert (settings.seed, settings.http_host, settings.log_level) == (5, "127.0.0.1", "debug")


def test_a_hash_inside_a_value_is_part_of_it(tmp_path: Path) -> None:
    path = an_env_file(tmp_path, "HTTP_TOKEN=abc#def123")

    assert "abc#def123" in load_settings(path, {}).secret_values()


def test_alpacas_own_names_are_read_too() -> None:
    environ = {"APCA_API_KEY_ID": "PKALIAS", "APCA_API_SECRET_KEY": "aliased"}
    settings = load_settings(None, {**environ, "VENUE": "paper"})

    assert set(settings.secret_values()) == {"PKALIAS", "aliased"}


def test_a_credential_of_systemd_wins_over_the_environment(tmp_path: Path) -> None:
    (tmp_path / "alpaca_api_key").write_text("PKFROMSYSTEMD\n")
    environ = {**PAPER_KEYS, "CREDENTIALS_DIRECTORY": str(tmp_path)}

    assert "PKFROMSYSTEMD" in load_settings(None, environ).secret_values()


def test_the_env_file_beside_us_is_found(tmp_path: Path) -> None:
    assert default_env_file(tmp_path) is None
    assert default_env_file(tmp_path / "nowhere") is None
    path = an_env_file(tmp_path, "")

    assert default_env_file(tmp_path) == path


def test_a_named_env_file_must_exist(tmp_path: Path) -> None:
    assert "cannot be read" in the_faults(tmp_path / "none.env")


def test_a_demo_trades_more_often_unless_told_otherwise(tmp_path: Path) -> None:
    path = an_env_file(tmp_path, "BAR_TIMEFRAME=1Min")

    assert load_settings(None, {}, fallbacks=demo_overrides()).bar_timeframe is (
        Timeframe.FIVE_MINUTES
    )
    chosen = load_settings(path, {}, fallbacks=demo_overrides())
    assert chosen.bar_timeframe is Timeframe.MINUTE
    assert chosen.daily_turnover_max == 1


# --- faults and warnings -------------------------------------------------------------------------


def test_every_fault_is_said_at_once(tmp_path: Path) -> None:
    text = "MAX_POSTION_SIZE=.02\nSEED=x\nno equals\nSEED=4\nEXIT_STRENGTH=.7\nVENUE=paper\n"
    fault = the_faults(an_env_file(tmp_path, text), {"POLL_SECONDS": "x"})

    for expected in (
        "did you mean MAX_POSITION_SIZE?",
        "SEED=x",
        "line 3",
        "SEED was given on line 2 already",
        "POLL_SECONDS=x (environment)",
        "EXIT_STRENGTH=0.7 does not stay below ENTER_STRENGTH=0.5",
        "VENUE=paper needs ALPACA_API_KEY and ALPACA_SECRET_KEY",
    ):
        assert expected in fault
    assert fault.startswith("7 settings")


def test_settings_that_cannot_be_read_cause_no_second_complaint() -> None:
    fault = the_faults(overrides={"ENTER_STRENGTH": "x", "EXIT_STRENGTH": ".9"})

    assert fault.startswith("1 setting ")


@pytest.mark.parametrize(("small", "large"), IN_ORDER)
def test_a_pair_out_of_order_is_a_fault(small: str, large: str) -> None:
    settings = Settings()
    low, high = (getattr(settings, k.lower()) for k in (small, large))
    beyond = {"BAR_SETTLE_SECONDS": 60, "DECISION_MAX_AGE_SECONDS": 59}
    fault = the_faults(overrides=beyond if small in beyond else {small: high, large: low})

    assert f"{small}=" in fault
    assert large in fault


def test_leaving_begins_below_where_entering_does() -> None:
    assert "EXIT_STRENGTH" in the_faults(overrides={"EXIT_STRENGTH": 0.5})


def test_targets_that_waited_for_the_open_are_not_judged_where_entries_are_denied() -> None:
    fault = the_faults(overrides={"NO_ENTRY_FIRST_MINUTES": 15})

    assert "write 900 or more" in fault


def test_a_strategy_may_not_be_slower_than_the_watchdog_waits() -> None:
    fault = the_faults(overrides={"STRATEGY_BUDGET_MS": 5000, "WATCHDOG_SECONDS": 5})

    assert "STRATEGY_BUDGET_MS=5000" in fault


def test_a_near_miss_in_the_environment_is_a_fault() -> None:
    assert "did you mean MAX_POSITION_SIZE?" in the_faults(environ={"MAX_POSTION_SIZE": "1"})


def test_the_environments_own_names_are_no_fault() -> None:
    environ = {"HTTP_PROXY": "x", "http_proxy": "x", "PATH": "/", "LOGNAME": "x", "LS_COLORS": ""}

    assert load_settings(None, environ).warnings == ()


def test_a_foreign_key_in_the_file_is_one_warning(tmp_path: Path) -> None:
    path = an_env_file(tmp_path, "FAVORITE_COLOR=blue\n")

    (warning,) = load_settings(path, {}).warnings
    assert "FAVORITE_COLOR" in warning
    assert "blue" not in warning


def test_an_unknown_override_is_a_fault() -> None:
    assert "no such setting: did you mean SEED?" in the_faults(overrides={"SEEDS": 1})
    assert "no such setting" in the_faults(overrides={"WARNINGS": ("x",)})


def test_secrets_in_a_file_others_can_read_are_warned_of(tmp_path: Path) -> None:
    text = "\n".join(f"{k}={v}" for k, v in PAPER_KEYS.items())
    assert load_settings(an_env_file(tmp_path, text, mode=0o600), {}).warnings == ()

    (warning,) = load_settings(an_env_file(tmp_path, text, mode=0o640), {}).warnings
    assert "chmod 600" in warning


def test_a_file_without_secrets_may_be_read_by_anyone(tmp_path: Path) -> None:
    path = an_env_file(tmp_path, "SEED=2\nALPACA_API_KEY=\n", mode=0o644)

    assert load_settings(path, {}).warnings == ()


def test_an_api_that_others_can_reach_is_warned_of() -> None:
    (warning,) = some_settings(http_host="0.0.0.0").warnings

    assert "HTTP_HOST" in warning


def test_filters_beside_named_symbols_are_warned_of() -> None:
    (warning,) = some_settings(trading_symbols="AAPL", universe_count_max=3).warnings

    assert "UNIVERSE_COUNT_MAX" in warning


# --- live and secret -----------------------------------------------------------------------------


def test_a_live_key_is_refused_at_every_venue() -> None:
    for venue in ("embedded", "paper"):
        fault = the_faults(
            environ={"ALPACA_API_KEY": "AKLIVE", "ALPACA_SECRET_KEY": "y", "VENUE": venue}
        )
        assert "a live key" in fault
        assert "AKLIVE" not in fault


@pytest.mark.parametrize("key", ["EXCHANGE_URL", "APCA_API_BASE_URL", "ALPACA_BASE_URL"])
def test_a_live_url_is_refused(key: str, tmp_path: Path) -> None:
    assert "live" in the_faults(environ={key: "https://api.alpaca.markets"})
    path = an_env_file(tmp_path, f"{key}=https://api.alpaca.markets/v2")
    assert "live" in the_faults(path)


def test_the_paper_url_under_anothers_name_is_no_fault() -> None:
    environ = {"APCA_API_BASE_URL": "https://paper-api.alpaca.markets"}

    assert load_settings(None, environ).warnings == ()


def test_alpacas_url_is_no_embedded_exchange() -> None:
    fault = the_faults(overrides={"EXCHANGE_URL": "https://paper-api.alpaca.markets"})

    assert "VENUE=paper" in fault


def test_paper_without_keys_says_where_to_click() -> None:
    fault = the_faults(environ={"VENUE": "paper", "ALPACA_API_KEY": "PK1"})

    assert "needs ALPACA_SECRET_KEY:" in fault
    assert "Paper trading" in fault
    assert "API keys" in fault


def test_no_secret_is_ever_shown(tmp_path: Path) -> None:
    canary = "CANARYcanaryCANARY"
    settings = some_settings(**{KEYS[k]: f"https://{canary}" for k in SECRET_KEYS})
    assert canary not in repr(settings) + str(settings) + settings.model_dump_json()
    assert canary not in str(settings.shown())

    spoiled = {k: f"AK{canary} with blanks" for k in SECRET_KEYS}
    path = an_env_file(tmp_path, f"ALPACA_SECRET_KEY '{canary}'\nALPACA_SECRT_KEY={canary}")
    assert canary not in the_faults(path, spoiled)
