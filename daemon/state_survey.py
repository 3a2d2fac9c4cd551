"""What lies in a state directory, file by file, and whether a start would go on from it."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from daemon.saved_state import StateFolder
from domain.errors import Refused, StateCorrupt
from domain.money import ZERO
from domain.portfolio import Portfolio
from domain.snapshot import Snapshot
from state.filesystem import LocalFileSystem
from state.journal import JournalScan, journal_files
from state.json_store import CURRENT, JsonStateStore
from state.ledger import capital_usd

GOOD: Final = "ok"


@dataclass(frozen=True, slots=True, kw_only=True)
class Generation:
    """One saved snapshot: what it holds, or why it cannot be used."""

    age: int
    path: Path
    snapshot: Snapshot | None
    fault: str = ""
    is_foreign: bool = False
    """Another account's, or another version's: nothing is broken, and nothing to be repaired."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FileFinding:
    """What is to be said of one file: `fault` is "" for a good one."""

    path: Path
    text: str
    fault: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Survey:
    """All that was found. `start_fault` says why a start would be refused, "" when it would not."""

    folder: StateFolder
    generations: tuple[Generation, ...]
    journal: JournalScan | None
    journal_fault: str
    folded: Snapshot | None
    books_fault: str
    start_fault: str

    @property
    def is_whole(self) -> bool:
        """Whether nothing at all is damaged."""
        damaged = any(g.fault for g in self.generations)
        return not (damaged or self.journal_fault or self.books_fault or self.start_fault)

    @property
    def newest_good(self) -> Generation | None:
        """The newest generation that can be used."""
        return next((g for g in self.generations if g.snapshot is not None), None)


def survey(folder: StateFolder) -> Survey:
    """Read every generation and the whole journal; takes no lock, changes nothing."""
    generations = tuple(_generations(folder))
    journal, journal_fault = _journal(folder)
    folded, start_fault = _start(folder, generations)
    return Survey(
        folder=folder,
        generations=generations,
        journal=journal,
        journal_fault=journal_fault,
        folded=folded,
        books_fault=_books_fault(generations, folded),
        start_fault=start_fault,
    )


def findings(found: Survey) -> Iterator[FileFinding]:
    """Yield what is to be said of every file, snapshots first."""
    for generation in found.generations:
        yield _of_generation(generation, found)
    yield from _of_journal(found)


def _generations(folder: StateFolder) -> Iterator[Generation]:
    store = JsonStateStore(LocalFileSystem(), folder.path)
    ages = store.ages()
    if ages and ages[0] != 0:
        path = folder.path / CURRENT
        yield Generation(age=0, path=path, snapshot=None, fault=f"{path}: missing")
    for age in ages:
        path = folder.path / (CURRENT if age == 0 else f"portfolio.{age}.json")
        try:
            snapshot = store.load_generation(age)
        except StateCorrupt as fault:
            yield Generation(age=age, path=path, snapshot=None, fault=str(fault))
        except Refused as fault:
            yield Generation(age=age, path=path, snapshot=None, fault=str(fault), is_foreign=True)
        else:
            yield _owned(folder, age, path, snapshot)


def _owned(folder: StateFolder, age: int, path: Path, snapshot: Snapshot) -> Generation:
    if (snapshot.venue, snapshot.account_id) == (folder.venue, folder.account_id):
        return Generation(age=age, path=path, snapshot=snapshot)
    fault = (
        f"{path}: holds the state of {snapshot.venue}-{snapshot.account_id}, not of "
        f"{folder.venue}-{folder.account_id}: move it where it belongs"
    )
    return Generation(age=age, path=path, snapshot=None, fault=fault, is_foreign=True)


def _journal(folder: StateFolder) -> tuple[JournalScan | None, str]:
    try:
        return folder.journal(), ""
    except Refused as fault:
        return None, str(fault)
    except OSError as fault:
        return None, f"{folder.path / 'journal'}: cannot be read ({fault})"


def _start(folder: StateFolder, generations: tuple[Generation, ...]) -> tuple[Snapshot | None, str]:
    """Return what a start would go on from, or why it would be refused."""
    if generations and generations[0].is_foreign:
        return None, generations[0].fault
    try:
        return folder.load(), ""
    except Refused as fault:
        return None, str(fault)
    except OSError as fault:
        return None, f"{folder.path}: cannot be read ({fault})"


def _books_fault(generations: tuple[Generation, ...], folded: Snapshot | None) -> str:
    saved = generations[0].snapshot if generations else None
    if folded is None or saved is None:
        return ""
    parts = list(_share_faults(folded.portfolio))
    before_usd, after_usd = capital_usd(saved.portfolio), capital_usd(folded.portfolio)
    if before_usd != after_usd:
        parts.append(f"capital is ${before_usd} before the journal and ${after_usd} after it")
    return "; ".join(parts)


def _share_faults(portfolio: Portfolio) -> Iterator[str]:
    held = {symbol for book in portfolio.books.values() for symbol in book.positions}
    for symbol in sorted({*portfolio.positions, *held}):
        booked = sum((book.shares(symbol) for book in portfolio.books.values()), ZERO)
        if booked != portfolio.shares(symbol):
            yield (
                f"{symbol}: the books hold {booked} shares, the account {portfolio.shares(symbol)}"
            )


def _of_generation(generation: Generation, found: Survey) -> FileFinding:
    snapshot = generation.snapshot
    if snapshot is None:
        return FileFinding(path=generation.path, text="", fault=generation.fault)
    text = (
        f"saved {snapshot.saved_at:%Y-%m-%d %H:%M:%S} UTC, covers record {snapshot.journal_seq}, "
        f"{len(snapshot.portfolio.positions)} held"
    )
    if generation.age and found.journal and not reaches(found.journal, snapshot):
        text += "; the journal does not go on from it"
    return FileFinding(path=generation.path, text=text)


def reaches(journal: JournalScan | None, snapshot: Snapshot) -> bool:
    """Return whether a sound journal goes on from a snapshot without a gap."""
    if journal is None or journal.last_seq < snapshot.journal_seq:
        return False
    first = journal.records[0].seq if journal.records else journal.last_seq + 1
    return first <= snapshot.journal_seq + 1


def _of_journal(found: Survey) -> Iterator[FileFinding]:
    directory = found.folder.path / "journal"
    paths = journal_files(LocalFileSystem(), directory)
    if not paths:
        yield FileFinding(path=directory, text="no records")
        return
    if found.journal is not None:
        yield from (_of_sound_file(path, found.journal) for path in paths)
        return
    is_read = True
    for path in paths:
        if found.journal_fault.startswith(f"{path}, "):
            is_read = False
            yield FileFinding(path=path, text="", fault=found.journal_fault)
        else:
            yield FileFinding(path=path, text="" if is_read else "not read: it follows the fault")
    if is_read:
        yield FileFinding(path=directory, text="", fault=found.journal_fault)


def _of_sound_file(path: Path, journal: JournalScan) -> FileFinding:
    first = int(path.stem.removeprefix("journal-"))
    later = [int(p.stem.removeprefix("journal-")) for p in journal.files if p > path]
    last = later[0] - 1 if later else journal.last_seq
    text = f"records {first} to {last}" if last >= first else "empty"
    if journal.torn is not None and journal.torn.path == path:
        text += (
            f"; the last {journal.torn.length_bytes} bytes, from byte "
            f"{journal.torn.offset_bytes}, are a cut-off write: the next start removes them"
        )
    return FileFinding(path=path, text=text)
