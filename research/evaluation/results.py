"""An evaluation on disk: returns and trials as Parquet, everything said of them as JSON."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from domain.market import Floats
from research.evaluation.crossing import Crossed
from research.evaluation.curves import a_year
from research.evaluation.paths import Paths
from research.evaluation.verdicts import Verdicts
from research.manifests import ResultFormat, read_table

FORMAT = ResultFormat(
    name="tradewind-walk-forward", version=1, result="evaluation", work="walk-forward"
)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class SavedEvaluation:
    """A saved evaluation: its manifest, the sessions tested, and returns `[t]` by name."""

    folder: Path
    manifest: Mapping[str, Any]
    days: list[date]
    returns: Mapping[str, Floats]


def save(
    folder: Path,
    manifest: Mapping[str, Any],
    days: Sequence[date],
    returns: Mapping[str, Floats],
    trials: Sequence[Mapping[str, Any]],
) -> None:
    """Write the tables, then the manifest, which is what makes the folder a result."""
    columns = {"day": pa.array(list(days), pa.date32()), **dict(returns)}
    pq.write_table(pa.table(columns), folder / "returns.parquet")
    if trials:
        pq.write_table(pa.Table.from_pylist([dict(t) for t in trials]), folder / "trials.parquet")
    FORMAT.write(folder, manifest)


def load(folder: Path) -> SavedEvaluation:
    """Read a folder. Raises ConfigurationFault for one that is none, Refused for another
    version's."""
    manifest = FORMAT.read(folder)
    table = read_table(folder, "returns")
    names = [name for name in table.column_names if name != "day"]
    return SavedEvaluation(
        folder=folder,
        manifest=manifest,
        days=table.column("day").to_pylist(),
        returns={n: np.array(table.column(n).to_pylist(), dtype=np.float64) for n in names},
    )


def verdicts_document(found: Verdicts) -> dict[str, Any]:
    """Return verdicts as plain data: None for what cannot be said."""
    return _plain(asdict(found))  # type: ignore[no-any-return]


def crossed_document(found: Crossed) -> dict[str, Any]:
    """Return a cross-validation as plain data."""
    over = found.overfitting
    document = {
        "trials": found.trials,
        "path_sharpes": list(found.sharpes),
        "chosen": [dict(spec.parameters) for spec in found.chosen],
        "probability_of_overfitting": None if over is None else over.probability,
        "probability_of_loss": None if over is None else over.probability_of_loss,
        "slope": None if over is None else over.slope,
    }
    return _plain(document)  # type: ignore[no-any-return]


def paths_document(found: Paths) -> dict[str, Any]:
    """Return drawn paths as plain data."""
    return _plain(asdict(found))  # type: ignore[no-any-return]


def ratio_a_year(ratio: float | None) -> float | None:
    """Return a ratio of a session as one of a year."""
    return None if ratio is None else a_year(ratio)


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {str(k): _plain(v) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(v) for v in value]
    if isinstance(value, float | np.floating):
        return round(float(value), 8) if math.isfinite(value) else None
    return value
