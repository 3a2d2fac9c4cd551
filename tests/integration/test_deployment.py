"""What an operator installs: the unit, the scrape, the alerts and what to do about them."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import promql_parser
import pytest

from daemon.metrics import Metrics
from daemon.settings import Settings
from daemon.settings_env import SECRET_KEYS
from tests.support.alert_rules import DEPLOYMENT, Alert, Selection, alerts, selections

UNIT = (DEPLOYMENT / "tradewind.service").read_text()
RUNBOOK = (DEPLOYMENT / "RUNBOOK.md").read_text()
CASES = (DEPLOYMENT / "rules-tests" / "tradewind.yml").read_text()
PROMTOOL = os.environ.get("PROMTOOL") or shutil.which("promtool")
SYSTEMD_ANALYZE = shutil.which("systemd-analyze")
EXPOSURE_MAX = 1.5

needs_promtool = pytest.mark.skipif(
    not PROMTOOL, reason="promtool is neither on PATH nor in $PROMTOOL (Debian: prometheus)"
)
needs_systemd = pytest.mark.skipif(
    not SYSTEMD_ANALYZE, reason="systemd-analyze is not on PATH (Debian: systemd)"
)


def output_of(*command: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)


def promtool(*arguments: str) -> subprocess.CompletedProcess[str]:
    assert PROMTOOL
    return output_of(PROMTOOL, *arguments)


def values_of(key: str) -> list[str]:
    return re.findall(rf"^{key}=(.*)$", UNIT, re.MULTILINE)


# --- the unit ------------------------------------------------------------------------------------


@needs_systemd
def test_systemd_finds_nothing_wrong_with_the_unit() -> None:
    assert SYSTEMD_ANALYZE
    done = output_of(SYSTEMD_ANALYZE, "verify", str(DEPLOYMENT / "tradewind.service"))
    said = (done.stdout + done.stderr).splitlines()

    assert [line for line in said if "is not executable" not in line] == []


@needs_systemd
def test_the_unit_gives_an_intruder_little() -> None:
    assert SYSTEMD_ANALYZE
    unit = str(DEPLOYMENT / "tradewind.service")
    done = output_of(SYSTEMD_ANALYZE, "security", "--offline=true", "--no-pager", unit)
    score = re.search(r"exposure level for tradewind.service: ([0-9.]+)", done.stdout)

    assert score
    assert float(score[1]) <= EXPOSURE_MAX


def test_what_trying_again_cannot_mend_is_not_restarted() -> None:
    assert values_of("Restart") == ["on-failure"]
    assert values_of("RestartPreventExitStatus") == ["2 4 5"]


def test_systemd_waits_for_our_word_and_watches_progress() -> None:
    assert values_of("Type") == ["notify"]
    assert [float(text) for text in values_of("WatchdogSec")] == [Settings().watchdog_seconds]


def test_keys_come_as_credentials_under_the_names_the_settings_read() -> None:
    names = {text.partition(":")[0] for text in values_of("LoadCredential")}

    assert names == {"alpaca_api_key", "alpaca_secret_key"}
    assert {name.upper() for name in names} <= SECRET_KEYS
    assert not any(key in text for key in SECRET_KEYS for text in values_of("Environment"))


# --- the alerts ----------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def scrape() -> str:
    return Metrics(version="0", venue="embedded").render().decode()


def test_there_is_an_alert_for_each_way_to_fail() -> None:
    names = {alert.name for alert in alerts()}

    assert names >= {
        "TradewindDown",
        "TradewindCycleStale",
        "TradewindPricesStale",
        "TradewindHalted",
        "TradewindDrawdownNear",
        "TradewindRejectStorm",
    }


@pytest.mark.parametrize("alert", alerts(), ids=lambda alert: alert.name)
def test_an_alert_says_how_bad_it_is_and_what_to_do(alert: Alert) -> None:
    assert alert.severity in {"critical", "warning", "info"}
    assert alert.annotations["summary"].endswith(".")
    assert alert.annotations["action"].endswith(".")
    assert f"### {alert.name}\n" in RUNBOOK


@pytest.mark.parametrize("alert", alerts(), ids=lambda alert: alert.name)
def test_an_alert_is_tried_firing_and_quiet(alert: Alert) -> None:
    assert f'"{alert.name} fires:' in CASES
    assert f'"{alert.name} quiet:' in CASES


@pytest.mark.parametrize("alert", alerts(), ids=lambda alert: alert.name)
def test_an_expression_is_promql(alert: Alert) -> None:
    assert promql_parser.parse(alert.expression) is not None


@pytest.mark.parametrize("selection", selections(), ids=lambda s: f"{s.alert}-{s.series}")
def test_what_an_alert_reads_is_exported_from_the_start(selection: Selection, scrape: str) -> None:
    if selection.series.startswith("tradewind_process_") and sys.platform != "linux":
        pytest.skip("the process's own series come from /proc")

    assert selection.is_in(scrape)


def test_a_series_that_is_not_exported_is_noticed(scrape: str) -> None:
    misspelled = Selection(alert="x", series="tradewind_trading_states", labels={})
    unknown = Selection(alert="x", series="tradewind_trading_state", labels={"state": "PAUSED"})

    assert not misspelled.is_in(scrape)
    assert not unknown.is_in(scrape)


def test_every_alert_reads_something() -> None:
    assert {s.alert for s in selections()} == {alert.name for alert in alerts()}


@needs_promtool
def test_prometheus_accepts_its_configuration() -> None:
    done = promtool("check", "config", str(DEPLOYMENT / "prometheus.yml"))

    assert done.returncode == 0, done.stdout + done.stderr


@needs_promtool
def test_the_alerts_fire_and_stay_quiet_as_written_down() -> None:
    done = promtool("test", "rules", str(DEPLOYMENT / "rules-tests" / "tradewind.yml"))

    assert done.returncode == 0, done.stdout + done.stderr


@needs_promtool
def test_a_loosened_threshold_is_noticed(tmp_path: Path) -> None:
    shutil.copytree(DEPLOYMENT, tmp_path / "deployment")
    rules = tmp_path / "deployment" / "rules" / "tradewind.yml"
    rules.write_text(rules.read_text().replace("[10m])) > 5", "[10m])) > 500"))
    done = promtool("test", "rules", str(tmp_path / "deployment" / "rules-tests/tradewind.yml"))

    assert done.returncode != 0


@needs_promtool
def test_prometheus_finds_the_exposition_well_named(scrape: str) -> None:
    assert PROMTOOL
    done = subprocess.run(
        [PROMTOOL, "check", "metrics"],
        input=scrape,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )

    assert done.stdout + done.stderr == ""
    assert done.returncode == 0
