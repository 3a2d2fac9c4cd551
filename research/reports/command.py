"""`tradewind report`: a page of a backtest or a walk-forward, or its figures as JSON."""

import sys
from pathlib import Path

from daemon.commands.options import settings_of
from daemon.commands.printing import print_json
from domain.errors import ConfigurationFault
from research import metrics
from research.backtest.results import SavedBacktest, load
from research.evaluation import results as evaluations
from research.evaluation.ledger import FILE, Ledger
from research.manifests import format_of
from research.reports.beside import beside
from research.reports.figures import Beside, equity_of, figures_of
from research.reports.page import page_of
from research.reports.walk_page import page_of_walk


def run_report(
    folder: Path, out: Path | None, *, as_json: bool, env_file: Path | None = None
) -> None:
    """Write the page of a saved result, or print its figures. Raises as `load` does."""
    if format_of(folder) == evaluations.FORMAT.name:
        saved = evaluations.load(folder)
        if as_json:
            print_json({k: v for k, v in saved.manifest.items() if k != "settings"})
            return
        page = page_of_walk(saved)
    else:
        backtest = load(folder)
        if not backtest.tables["equity"]["day"]:
            raise ConfigurationFault(
                f"{folder} holds no session: it was interrupted before the first"
            )
        figures = figures_of(backtest, _beside(backtest, env_file))
        if as_json:
            print_json(figures.document)
            return
        page = page_of(figures)
    path = out or folder / "report.html"
    path.write_text(page, encoding="utf-8")
    sys.stderr.write(f"Wrote {path}\n")


def _beside(saved: SavedBacktest, env_file: Path | None) -> Beside:
    ledger = Ledger(settings_of(env_file, {}).state_dir / "research" / FILE)
    return beside(saved, metrics.returns_of(equity_of(saved)), ledger)
