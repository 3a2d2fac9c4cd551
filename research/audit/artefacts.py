"""Fitted files and what they had seen: the manifest beside each, checked against what is judged.

A model that was fitted on the span it is judged on has seen the answers. No probe of its outputs
can tell; only a record of the fit can, so every artefact carries one and an audit reads it.
"""

import hashlib
import json
from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import msgspec

from domain.calendar import Timeframe
from domain.errors import ConfigurationFault
from research.audit.findings import Checked, Finding, Probe

FORMAT, VERSION = "tradewind-artefact", 1
SUFFIX = ".manifest.json"
ACCEPTED = (".safetensors", ".onnx")
"""Formats that hold numbers and no program."""
ARTEFACT_BYTES_MAX = 2 << 30


class ArtefactManifest(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What an artefact is and what data made it, written by whatever fitted it.

    `features_from`, `features_to`: closing instants of the first and last bar that anything was
    computed from, scalers included. `label_bars`: how many bars after a feature's bar its label
    ends. `selected_to`: the last bar used to choose among candidates or to stop early; None when
    nothing was chosen. `data_sha256` is `History.content_hash` of the bars fitted on.
    """

    format: str
    version: int
    artefact: str
    sha256: str
    kind: str
    timeframe: Timeframe
    symbols: tuple[str, ...]
    features_from: datetime
    features_to: datetime
    label_bars: int
    selected_to: datetime | None
    data_sha256: str
    fitted_at: datetime
    code_version: str
    seed: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Evaluated:
    """The span a strategy is judged on, as closing instants; `slots` lets bars be counted."""

    first: datetime
    last: datetime
    slots: Sequence[datetime] = ()


def manifest_path(artefact: Path) -> Path:
    """Return where an artefact's manifest lies: beside it."""
    return artefact.with_name(artefact.name + SUFFIX)


def write_manifest(artefact: Path, manifest: ArtefactManifest) -> None:
    """Write the manifest beside the artefact."""
    manifest_path(artefact).write_bytes(msgspec.json.format(msgspec.json.encode(manifest)))


def file_sha256(path: Path) -> str:
    """Return the fingerprint of a file."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def read_manifest(artefact: Path) -> ArtefactManifest:
    """Return an artefact's manifest. Raises ConfigurationFault for none, and for one that is not
    of this version or lacks a field."""
    path = manifest_path(artefact)
    try:
        document: Any = json.loads(path.read_text(encoding="utf-8"))
        if document.get("format") != FORMAT or document.get("version") != VERSION:
            raise ConfigurationFault(
                f"{path}: format {document.get('format')} version {document.get('version')}; "
                f"accepted: {FORMAT} version {VERSION}"
            )
        manifest = msgspec.convert(document, ArtefactManifest)
    except OSError as fault:
        raise ConfigurationFault(f"{artefact} has no manifest: {path.name}: {fault}") from fault
    except (ValueError, AttributeError, msgspec.ValidationError) as fault:
        raise ConfigurationFault(f"{path}: {fault}") from fault
    naive = [
        name
        for name in ("features_from", "features_to", "selected_to", "fitted_at")
        if (at := getattr(manifest, name)) is not None and at.tzinfo is None
    ]
    if naive:
        raise ConfigurationFault(f"{path}: {', '.join(naive)} has no time zone")
    return manifest


def audit_artefacts(
    subject: str, artefacts: Sequence[Path], evaluated: Evaluated | None
) -> Checked:
    """Return whether everything a strategy was fitted on ends before it is judged."""
    found = [fault for path in artefacts for fault in _faults(path, evaluated)]
    span = f"judged from {evaluated.first:%Y-%m-%d}" if evaluated else "no span given"
    return Checked(
        subject=subject,
        probe=Probe.ARTEFACTS,
        looked_at=f"{len(artefacts)} artefacts, {span}" if artefacts else "it declares none",
        findings=tuple(
            Finding(subject=subject, probe=Probe.ARTEFACTS, detail=words) for words in found
        ),
    )


def _faults(artefact: Path, evaluated: Evaluated | None) -> list[str]:
    try:
        manifest = read_manifest(artefact)
        faults = _file_faults(artefact, manifest)
    except ConfigurationFault as fault:
        return [str(fault)]
    except OSError as fault:
        return [f"{artefact}: {fault}"]
    faults += _span_faults(artefact, manifest)
    if evaluated is None:
        faults.append(f"{artefact}: say with --from and --to which span it is judged on")
    else:
        faults += _overlap(artefact, manifest, evaluated)
    return faults


def _file_faults(artefact: Path, manifest: ArtefactManifest) -> list[str]:
    faults = []
    if artefact.suffix not in ACCEPTED:
        faults.append(
            f"{artefact}: {artefact.suffix or 'no suffix'} may hold a program; accepted: "
            f"{', '.join(ACCEPTED)}"
        )
    size = artefact.stat().st_size
    if size > ARTEFACT_BYTES_MAX:
        return [*faults, f"{artefact}: {size} bytes, more than {ARTEFACT_BYTES_MAX}"]
    if manifest.artefact != artefact.name:
        faults.append(f"{artefact}: its manifest is that of {manifest.artefact}")
    if file_sha256(artefact) != manifest.sha256:
        faults.append(f"{artefact}: not the file its manifest was written for: the hash differs")
    return faults


def _span_faults(artefact: Path, manifest: ArtefactManifest) -> list[str]:
    faults = []
    if manifest.features_from > manifest.features_to:
        faults.append(f"{artefact}: features_from lies after features_to")
    if manifest.label_bars < 0:
        faults.append(f"{artefact}: label_bars {manifest.label_bars} is below 0")
    if manifest.fitted_at < manifest.features_to:
        faults.append(
            f"{artefact}: fitted at {manifest.fitted_at:%Y-%m-%d %H:%M}, before its features end"
        )
    return faults


def _overlap(artefact: Path, manifest: ArtefactManifest, evaluated: Evaluated) -> list[str]:
    """Return how the fit reaches into the span judged: the end of its last label counts."""
    seen_to = _label_end(manifest, evaluated.slots)
    what = f"features to {manifest.features_to:%Y-%m-%d} and labels {manifest.label_bars} bars on"
    if manifest.selected_to is not None and manifest.selected_to > seen_to:
        seen_to, what = manifest.selected_to, "candidates chosen on later bars"
    # What was fitted on a span wholly after the one judged has seen its consequences too.
    if seen_to < evaluated.first:
        return []
    return [
        f"{artefact} has seen bars up to {seen_to:%Y-%m-%d %H:%M} ({what}); it is judged from "
        f"{evaluated.first:%Y-%m-%d %H:%M} on"
    ]


def _label_end(manifest: ArtefactManifest, slots: Sequence[datetime]) -> datetime:
    """Return the closing instant of the last bar that a label reaches: counted on the slots where
    they go so far, else in calendar time, twice over for nights and weekends."""
    index = bisect_right(slots, manifest.features_to) - 1
    if slots and index >= 0 and index + manifest.label_bars < len(slots):
        return slots[index + manifest.label_bars]
    return manifest.features_to + 2 * manifest.label_bars * manifest.timeframe.length
