"""Without the extra a command says what to install, and nothing else happens."""

import subprocess
import sys
from contextlib import nullcontext as does_not_raise

import pytest

from domain.errors import ConfigurationFault
from research.extras import REPORT, require_research

CORE_ONLY = """
import sys
for name in ("arch", "scipy", "skfolio", "statsmodels", "optuna", "plotly", "sklearn", "ray"):
    sys.modules[name] = None
import research.backtest.command
import research.cli
"""


def test_what_is_missing_is_named_with_the_command_that_brings_it() -> None:
    with pytest.raises(ConfigurationFault, match=r"report needs no_such_library: pip install"):
        require_research("report", (*REPORT, "no_such_library"))


def test_what_is_there_is_enough() -> None:
    with does_not_raise():
        require_research("report", ("json", "math"))


def test_a_backtest_needs_no_extra() -> None:
    done = subprocess.run(
        [sys.executable, "-c", CORE_ONLY], capture_output=True, timeout=60, check=False
    )

    assert done.returncode == 0, done.stderr.decode()
