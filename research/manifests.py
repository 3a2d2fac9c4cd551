"""The manifest that makes a folder a result: what it is, which version, and what was run."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from domain.errors import ConfigurationFault, Refused

MANIFEST = "manifest.json"


@dataclass(frozen=True, slots=True, kw_only=True)
class ResultFormat:
    """One kind of result folder.

    `result` is what the folder is called in words, `work` what makes it anew.
    """

    name: str
    version: int
    result: str
    work: str

    def write(self, folder: Path, said: Mapping[str, Any]) -> Mapping[str, Any]:
        """Write the manifest, after everything it speaks of; return it. Raises ValueError for a
        number that JSON does not know."""
        document = {"format": self.name, "version": self.version, **said}
        text = json.dumps(document, indent=2, ensure_ascii=False, allow_nan=False, default=str)
        (folder / MANIFEST).write_text(text + "\n", encoding="utf-8")
        return document

    def read(self, folder: Path) -> Mapping[str, Any]:
        """Return the manifest. Raises ConfigurationFault for a folder that is no such result,
        Refused for another version's."""
        path = folder / MANIFEST
        try:
            manifest = json.loads(path.read_text(encoding="utf-8"))
        except OSError as fault:
            raise ConfigurationFault(f"{folder} is no {self.result}: {fault}") from fault
        except ValueError as fault:
            raise ConfigurationFault(f"{path} is not JSON: {fault}") from fault
        if not isinstance(manifest, dict) or manifest.get("format") != self.name:
            raise ConfigurationFault(f"{path} is not the manifest of a {self.work}")
        if manifest.get("version") != self.version:
            raise Refused(
                f"{folder} was written by version {manifest.get('version')} of the format; this "
                f"program reads {self.version}: run the {self.work} again; nothing was changed"
            )
        return manifest


def read_table(folder: Path, name: str) -> pa.Table:
    """Return a result's table. Raises ConfigurationFault naming the file when it cannot be read."""
    try:
        return pq.read_table(folder / f"{name}.parquet")
    except (OSError, pa.ArrowInvalid) as fault:
        raise ConfigurationFault(f"{folder}: {name}.parquet: {fault}") from fault


def format_of(folder: Path) -> str | None:
    """Return the format a manifest names, None when that cannot be read: `read` says why."""
    try:
        manifest = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    found = manifest.get("format") if isinstance(manifest, dict) else None
    return found if isinstance(found, str) else None
