"""What a fitted file had seen, checked against what it is judged on; the file is a real small one:
a regression on closes, its weights saved as safetensors."""

import json
import struct
from datetime import timedelta
from pathlib import Path

import numpy as np
import pytest

from domain.calendar import Timeframe
from research.audit.artefacts import (
    FORMAT,
    VERSION,
    ArtefactManifest,
    Evaluated,
    audit_artefacts,
    file_sha256,
    manifest_path,
    read_manifest,
    write_manifest,
)
from research.backtest.history import History
from tests.support.backtests import drawn_bars, history_of

LAGS, LABEL_BARS, FIT_TO = 3, 5, 60


def fitted(folder: Path, history: History) -> Path:
    """Fit next returns on lagged ones up to row FIT_TO, and save weights and manifest."""
    close = history.frames[Timeframe.DAY].close[: FIT_TO + LABEL_BARS + 1, 0]
    moves = close[1:] / close[:-1] - 1.0
    rows = range(LAGS, FIT_TO)
    features = np.array([moves[row - LAGS : row] for row in rows])
    labels = np.array([close[row + LABEL_BARS] / close[row] - 1.0 for row in rows])
    weights, *_ = np.linalg.lstsq(features, labels, rcond=None)
    path = folder / "ridge.safetensors"
    data = weights.astype("<f8").tobytes()
    header = json.dumps({"w": {"dtype": "F64", "shape": [LAGS], "data_offsets": [0, len(data)]}})
    path.write_bytes(struct.pack("<Q", len(header)) + header.encode() + data)
    slots = history.frames[Timeframe.DAY].slots
    write_manifest(
        path,
        ArtefactManifest(
            format=FORMAT,
            version=VERSION,
            artefact=path.name,
            sha256=file_sha256(path),
            kind="least squares on lagged returns",
            timeframe=Timeframe.DAY,
            symbols=history.symbols,
            features_from=slots[0],
            features_to=slots[FIT_TO],
            label_bars=LABEL_BARS,
            selected_to=None,
            data_sha256=history.content_hash,
            fitted_at=slots[-1],
            code_version="0.1.0",
            seed=7,
        ),
    )
    return path


@pytest.fixture
def history() -> History:
    return history_of(drawn_bars(120, 2, seed=2))


def judged_from(history: History, row: int) -> Evaluated:
    slots = history.frames[Timeframe.DAY].slots
    return Evaluated(first=slots[row], last=slots[-1], slots=slots)


def faults(path: Path, evaluated: Evaluated | None) -> list[str]:
    return [f.detail for f in audit_artefacts("fitted", [path], evaluated).findings]


def altered(path: Path, **changes: object) -> None:
    document = json.loads(manifest_path(path).read_text())
    manifest_path(path).write_text(json.dumps({**document, **changes}))


def test_an_artefact_judged_after_its_last_label_is_clean(tmp_path: Path, history: History) -> None:
    path = fitted(tmp_path, history)

    assert faults(path, judged_from(history, FIT_TO + LABEL_BARS + 1)) == []


def test_a_fit_on_the_span_it_is_judged_on_is_found(tmp_path: Path, history: History) -> None:
    path = fitted(tmp_path, history)

    (fault,) = faults(path, judged_from(history, 30))

    seen_to = history.frames[Timeframe.DAY].slots[FIT_TO + LABEL_BARS]
    assert f"has seen bars up to {seen_to:%Y-%m-%d}" in fault
    assert "judged from" in fault


def test_labels_that_reach_into_the_span_are_found(tmp_path: Path, history: History) -> None:
    path = fitted(tmp_path, history)

    (fault,) = faults(path, judged_from(history, FIT_TO + LABEL_BARS))

    assert f"labels {LABEL_BARS} bars on" in fault


def test_choosing_candidates_on_the_span_is_found(tmp_path: Path, history: History) -> None:
    path = fitted(tmp_path, history)
    altered(path, selected_to=history.sessions[100].closes_at.isoformat())

    (fault,) = faults(path, judged_from(history, 90))

    assert "candidates chosen on later bars" in fault


def test_a_span_before_the_fit_is_no_better(tmp_path: Path, history: History) -> None:
    path = fitted(tmp_path, history)
    slots = history.frames[Timeframe.DAY].slots

    assert faults(path, Evaluated(first=slots[0], last=slots[20], slots=slots))


def test_labels_beyond_the_known_slots_are_counted_in_calendar_time(
    tmp_path: Path, history: History
) -> None:
    path = fitted(tmp_path, history)
    first = history.frames[Timeframe.DAY].slots[FIT_TO] + timedelta(days=2 * LABEL_BARS)

    assert faults(path, Evaluated(first=first, last=first))
    assert not faults(path, Evaluated(first=first + timedelta(days=1), last=first))


def test_another_file_under_the_manifest_is_found(tmp_path: Path, history: History) -> None:
    path = fitted(tmp_path, history)
    path.write_bytes(path.read_bytes() + b"\0")

    (fault,) = faults(path, judged_from(history, 100))

    assert "the hash differs" in fault


def test_an_artefact_without_a_manifest_is_found(tmp_path: Path, history: History) -> None:
    path = fitted(tmp_path, history)
    manifest_path(path).unlink()

    (fault,) = faults(path, judged_from(history, 100))

    assert "has no manifest" in fault


def test_a_format_that_may_hold_a_program_is_found(tmp_path: Path, history: History) -> None:
    path = fitted(tmp_path, history)
    other = path.with_suffix(".pkl")
    path.rename(other)
    manifest_path(path).rename(manifest_path(other))
    altered(other, artefact=other.name)

    (fault,) = faults(other, judged_from(history, 100))

    assert ".pkl may hold a program" in fault


def test_a_span_must_be_given(tmp_path: Path, history: History) -> None:
    (fault,) = faults(fitted(tmp_path, history), None)

    assert "--from" in fault


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"version": 9}, "version 9; accepted: tradewind-artefact version 1"),
        ({"label_bars": -1}, "label_bars -1 is below 0"),
        ({"fitted_at": "2001-01-01T00:00:00Z"}, "before its features end"),
        ({"features_to": "2015-03-02T21:00:00"}, "features_to has no time zone"),
        ({"features_from": "2015-12-01T00:00:00Z"}, "features_from lies after features_to"),
        ({"seed": "seven"}, "seed"),
        ({"artefact": "other.onnx"}, "its manifest is that of other.onnx"),
    ],
)
def test_a_manifest_that_cannot_be_true_is_found(
    changes: dict[str, object], words: str, tmp_path: Path, history: History
) -> None:
    path = fitted(tmp_path, history)
    altered(path, **changes)

    assert any(words in fault for fault in faults(path, judged_from(history, 119)))


def test_a_manifest_reads_back(tmp_path: Path, history: History) -> None:
    manifest = read_manifest(fitted(tmp_path, history))

    assert manifest.symbols == history.symbols
    assert manifest.data_sha256 == history.content_hash
