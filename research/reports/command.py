"""`tradewind report`: a page, or the figures as JSON."""

import sys
from pathlib import Path

from daemon.commands.printing import print_json
from domain.errors import ConfigurationFault
from research.backtest.results import load
from research.reports.figures import figures_of
from research.reports.page import page_of


def run_report(folder: Path, out: Path | None, *, as_json: bool) -> None:
    """Write the page of a saved backtest, or print its figures. Raises as `load` does."""
    saved = load(folder)
    if not saved.tables["equity"]["day"]:
        raise ConfigurationFault(f"{folder} holds no session: it was interrupted before the first")
    figures = figures_of(saved)
    if as_json:
        print_json(figures.document)
        return
    path = out or folder / "report.html"
    path.write_text(page_of(figures), encoding="utf-8")
    sys.stderr.write(f"Wrote {path}\n")
