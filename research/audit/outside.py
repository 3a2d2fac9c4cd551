"""What a strategy reads besides its market: files, sockets, other programs.

Python's own audit events tell of every file that Python opens. Libraries that open files in C tell
nobody; that a strategy imports one is told instead.
"""

import ast
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from daemon.registry import Raised, attempt
from research.audit.findings import Checked, Finding, Probe
from research.audit.probes import Subject, audit_strategy

READS_MAX = 1_000
"""Reads noted; a strategy that makes more has been caught by then."""
CODE = (".py", ".pyc", ".so", ".pyd", ".pyi", ".pth")
PROGRAMS = frozenset({"subprocess.Popen", "os.system", "os.exec", "os.posix_spawn", "os.fork"})
NETWORK = frozenset({"socket.connect", "socket.getaddrinfo", "urllib.Request"})
DATABASES = frozenset({"sqlite3.connect"})
UNSEEN_READERS = frozenset(
    {"pyarrow", "polars", "duckdb", "h5py", "netCDF4", "tables", "ctypes", "cffi", "mmap"}
)
"""Libraries that read files without Python knowing."""

_watchers: list[list[str]] = []
_is_hooked = False


@contextmanager
def watched() -> Iterator[list[str]]:
    """Collect, in words, what is read from outside while the block runs; code is not counted."""
    global _is_hooked
    if not _is_hooked:
        sys.addaudithook(_note)
        _is_hooked = True
    reads: list[str] = []
    _watchers.append(reads)
    try:
        yield reads
    finally:
        _watchers.remove(reads)


def _note(event: str, arguments: tuple[Any, ...]) -> None:
    if not _watchers:
        return
    words = _in_words(event, arguments)
    if words:
        for reads in _watchers:
            if len(reads) < READS_MAX and words not in reads:
                reads.append(words)


def _in_words(event: str, arguments: tuple[Any, ...]) -> str:
    if event == "open":
        path = arguments[0]
        # A number is a file that was open already.
        if isinstance(path, int) or path is None:
            return ""
        named = path.decode(errors="replace") if isinstance(path, bytes) else str(path)
        return "" if named.endswith(CODE) else f"opens {named}"
    if event in PROGRAMS:
        return "starts another program"
    if event in NETWORK:
        return f"reaches for the network: {arguments[1] if len(arguments) > 1 else arguments}"
    if event in DATABASES:
        return f"opens the database {arguments[0]}"
    return ""


def audit_outside(
    subject: Subject, path: Path, allowed: Sequence[Path]
) -> tuple[Checked, list[Checked]]:
    """Return what a strategy read from outside while its file ran and while every other probe
    asked it, and those probes' results. `allowed` are its declared artefacts and their manifests.
    """
    with watched() as at_import:
        loaded = attempt(subject.fresh)
    if isinstance(loaded, Raised):
        raised = Finding(
            subject=subject.name, probe=Probe.OUTSIDE, detail=f"its file raised {loaded}"
        )
        return _result(subject, [raised]), []
    with watched() as at_decide:
        results = audit_strategy(subject)
    found = [f"{words} when its file is loaded" for words in _foreign(at_import, allowed)]
    known = {*_foreign(at_import, allowed)}
    found += [f"{w} in decide()" for w in _foreign(at_decide, allowed) if w not in known]
    found += [
        f"imports {name}, which reads files without anybody seeing it; do that before, not in a "
        "strategy"
        for name in sorted(imported_roots(path) & UNSEEN_READERS)
    ]
    findings = [Finding(subject=subject.name, probe=Probe.OUTSIDE, detail=w) for w in found]
    return _result(subject, findings), results


def _result(subject: Subject, findings: list[Finding]) -> Checked:
    return Checked(
        subject=subject.name,
        probe=Probe.OUTSIDE,
        looked_at="files, sockets and programs, at load and when asked",
        findings=tuple(findings),
    )


def _foreign(reads: Sequence[str], allowed: Sequence[Path]) -> list[str]:
    known = {f"opens {spelled}" for path in allowed for spelled in (path, path.resolve())}
    return [words for words in reads if words not in known]


def imported_roots(path: Path) -> set[str]:
    """Return the top-level packages that a file imports anywhere, inside functions too."""
    tree = attempt(lambda: ast.parse(path.read_text(encoding="utf-8")))
    if isinstance(tree, Raised):
        return set()
    roots: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            roots |= {alias.name.partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            roots.add(node.module.partition(".")[0])
    return roots
