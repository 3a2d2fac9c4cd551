"""Libraries that only some commands need: missing ones are named before anything is done."""

from collections.abc import Iterable
from importlib.util import find_spec

from domain.errors import ConfigurationFault

EVALUATION = ("arch", "scipy", "skfolio", "statsmodels")
SEARCH = (*EVALUATION, "optuna")
REPORT = (*EVALUATION, "plotly")


def require_research(command: str, modules: Iterable[str]) -> None:
    """Raise ConfigurationFault when a library of the extra `research` is missing."""
    missing = [name for name in modules if find_spec(name) is None]
    if missing:
        raise ConfigurationFault(
            f"{command} needs {', '.join(missing)}: pip install 'tradewind[research]'"
        )
