"""Putting a state directory right: planned first, then done; what is replaced is moved aside.

Nothing is ever deleted. At whatever moment it is interrupted, what is left is either refused by
the next start or as good as what it was to be.
"""

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import count, islice
from pathlib import Path
from typing import Final

from daemon.saved_state import StateFolder
from daemon.state_survey import Generation, Survey, reaches, survey
from domain.errors import Refused, StateCorrupt
from domain.money import ZERO
from domain.portfolio import AccountReport
from domain.snapshot import Snapshot, TradingStatus
from execution.order_states import apply_fill
from state import ledger, recovery
from state.filesystem import LocalFileSystem
from state.journal import JournalRecord, journal_files
from state.json_store import CURRENT, JsonStateStore
from state.records import KINDS
from state.salvage import GoodRecord, chained_around, good_records, journal_bytes

ASIDE_MAX: Final = 10_000
"""Repairs of one directory whose remains are kept; clear some away after that."""
STAGED: Final = "journal.new-"
FROM_BROKER: Final = "run `tradewind state repair --from-broker`"
_fs = LocalFileSystem()


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What is to be done, in words and as deeds in their order; none when nothing is."""

    steps: tuple[str, ...]
    deeds: tuple[Callable[[], None], ...]
    afterwards: str = ""

    def carry_out(self) -> None:
        """Do it. Raises OSError, what is done so far being safe."""
        for deed in self.deeds:
            deed()


# --- an older generation -------------------------------------------------------------------------


def plan_rewind(folder: StateFolder, age: int | None) -> Plan:
    """Return how an older generation becomes the current one: the newest good one unless told.

    Raises Refused when there is no such generation, or the journal does not go on from it.
    """
    found = survey(folder)
    chosen = _older(found, age)
    snapshot = chosen.snapshot
    if snapshot is None:
        raise Refused(f"{chosen.path} cannot be gone back to: {chosen.fault}")
    if found.journal is not None and not reaches(found.journal, snapshot):
        raise Refused(
            f"{chosen.path} covers record {snapshot.journal_seq}, from which the journal does not "
            f"go on: a start would be refused; {FROM_BROKER.replace(' --from-broker', '')} instead"
        )
    steps, deed = _promotion(folder, found.generations, chosen, "rewound")
    if found.journal is None:
        after = f"put the journal right, which is damaged, too: {found.journal_fault}"
    else:
        last = found.journal.last_seq
        after = f"a start goes on from it: the journal brings it forward to record {last}"
    return Plan(steps=steps, deeds=(deed,), afterwards=after)


def _older(found: Survey, age: int | None) -> Generation:
    older = [g for g in found.generations if g.age > 0]
    if age is None:
        older = [g for g in older if g.snapshot is not None]
    else:
        older = [g for g in older if g.age == age]
    if not older:
        ages = ", ".join(str(g.age) for g in found.generations if g.age and g.snapshot) or "none"
        raise Refused(f"{found.folder.path}: no such generation to go back to; good ones: {ages}")
    return older[0]


def _promotion(
    folder: StateFolder, generations: Sequence[Generation], chosen: Generation, word: str
) -> tuple[tuple[str, ...], Callable[[], None]]:
    suffix = _aside_suffix(folder.path, word)
    current = folder.path / CURRENT
    newer = [g.path for g in generations if g.age < chosen.age and g.path.exists()]
    steps = [f"{path.name} is kept as {path.name}{suffix}" for path in newer]
    assert chosen.snapshot is not None
    steps.append(
        f"{chosen.path.name}, saved {chosen.snapshot.saved_at:%Y-%m-%d %H:%M:%S} UTC and covering "
        f"record {chosen.snapshot.journal_seq}, becomes {CURRENT}"
    )

    def promote() -> None:
        for path in newer:
            if path == current:
                # A second name, so that at no instant there is no current snapshot.
                _fs.link(path, _named(path, suffix))
            else:
                _fs.rename(path, _named(path, suffix))
        _fs.rename(chosen.path, current)
        _fs.sync_directory(folder.path)

    return tuple(steps), promote


# --- what is broken ------------------------------------------------------------------------------


def plan_repair(folder: StateFolder) -> Plan:
    """Return how a start becomes possible again with the least loss.

    That is the newest good snapshot and every sound record after it. Raises Refused when no
    snapshot can be used, and when a file is another account's or another version's.
    """
    found = survey(folder)
    _refuse_foreign(found)
    chosen = found.newest_good
    if chosen is None:
        if not found.generations and not found.start_fault:
            return Plan(steps=(), deeds=())
        raise Refused(f"{folder.path}: no snapshot can be used; {FROM_BROKER}")
    steps: list[str] = []
    deeds: list[Callable[[], None]] = []
    if chosen.age:
        promoted, deed = _promotion(folder, found.generations, chosen, "replaced")
        steps += promoted
        deeds.append(deed)
    for generation in found.generations:
        if generation.age > chosen.age and generation.fault:
            steps.append(f"{generation.path.name}, which is damaged, is moved aside")
            deeds.append(_moving(generation.path, _aside_suffix(folder.path, "replaced")))
    recut, deed_of_journal = _journal_repair(found, chosen)
    after = "start: that compares all with the venue, and books what is missing here"
    return Plan(steps=(*steps, *recut), deeds=(*deeds, *deed_of_journal), afterwards=after)


def _refuse_foreign(found: Survey) -> None:
    for generation in found.generations:
        if generation.is_foreign:
            raise Refused(generation.fault)


def _journal_repair(
    found: Survey, chosen: Generation
) -> tuple[tuple[str, ...], tuple[Callable[[], None], ...]]:
    snapshot = chosen.snapshot
    assert snapshot is not None
    if _goes_on(found, snapshot):
        return (), ()
    folder, covered = found.folder, snapshot.journal_seq
    good = _salvageable(folder)
    chain = _that_fits(snapshot, chained_around(good, covered))
    last = max(covered, chain[-1].seq if chain else 0)
    suffix = _aside_suffix(folder.path, "replaced")
    first = chain[0].seq if chain else covered + 1
    kept = f"records {first} to {last}" if chain else "no record"
    lost = Counter(g.record.kind for g in good if g.seq > last)
    steps = (
        f"the journal is kept as journal{suffix}",
        f"a new journal holds {kept}; the snapshot covers record {covered}",
        "readable records after the damage that no longer count: "
        + (", ".join(f"{kind} {n}" for kind, n in sorted(lost.items())) or "none"),
    )
    return steps, (lambda: _replace_journal(folder, chain, first, suffix),)


def _goes_on(found: Survey, snapshot: Snapshot) -> bool:
    if not reaches(found.journal, snapshot) or found.journal is None:
        return False
    return _folds(snapshot, [r for r in found.journal.records if r.seq > snapshot.journal_seq])


def _folds(snapshot: Snapshot, records: Sequence[JournalRecord]) -> bool:
    try:
        recovery.fold(snapshot, records, apply_fill)
    except StateCorrupt:
        return False
    return True


def _salvageable(folder: StateFolder) -> list[GoodRecord]:
    """Return every good record, also those of a repair that was interrupted."""
    directory = folder.path / "journal"
    if directory.is_dir():
        return good_records(_fs, directory)
    staged = sorted(folder.path.glob(f"{STAGED}*"))
    return [good for path in staged for good in good_records(_fs, path)]


def _last_number(folder: StateFolder) -> int:
    """Return the last record's number that anything here speaks of: none is given out twice."""
    begun = [
        int(digits) - 1
        for path in journal_files(_fs, folder.path / "journal")
        if (digits := path.stem.removeprefix("journal-")).isdecimal()
    ]
    return max([0, *begun, *(good.seq for good in _salvageable(folder))])


def _that_fits(snapshot: Snapshot, chain: list[GoodRecord]) -> list[GoodRecord]:
    """Return the chain up to the first record that contradicts what it follows.

    Raises Refused for a kind of record that a newer version wrote.
    """
    records = [good.record for good in chain]
    if _folds(snapshot, records):
        return chain
    fits, fails = 0, len(records)
    while fails - fits > 1:
        middle = (fits + fails) // 2
        if _folds(snapshot, records[:middle]):
            fits = middle
        else:
            fails = middle
    contradicting = records[fits]
    if contradicting.kind not in KINDS:
        raise Refused(
            f"journal record {contradicting.seq} is of unknown kind {contradicting.kind!r}, "
            "perhaps written by a newer Tradewind: update it; nothing was changed"
        )
    return chain[:fits]


def _replace_journal(
    folder: StateFolder, chain: Sequence[GoodRecord], first: int, suffix: str
) -> None:
    staged = folder.path / f"{STAGED}{suffix.rpartition('-')[2]}"
    _fs.make_directory(staged)
    file = _fs.create(staged / f"journal-{first:012d}.jsonl")
    try:
        file.write(journal_bytes(chain))
        file.sync()
    finally:
        file.close()
    _fs.sync_directory(staged)
    directory = folder.path / "journal"
    if directory.is_dir():
        _fs.rename(directory, _named(directory, suffix))
    _fs.rename(staged, directory)
    _fs.sync_directory(folder.path)


# --- from what the venue says --------------------------------------------------------------------


def plan_from_broker(folder: StateFolder, account: AccountReport, trading: TradingStatus) -> Plan:
    """Return how a new book begins from the venue's account, everything in it external.

    Raises Refused while a snapshot can be used, or a file is another account's or version's.
    """
    found = survey(folder)
    _refuse_foreign(found)
    if found.newest_good is not None:
        raise Refused(
            f"{found.newest_good.path} can be used: run `tradewind state repair`, which keeps more"
        )
    covered = _last_number(folder)
    snapshot = Snapshot(
        venue=folder.venue,
        account_id=folder.account_id,
        saved_at=account.reported_at,
        journal_seq=covered,
        portfolio=ledger.open_account(account),
        trading=trading,
        equity_peak_usd=account.equity_usd if account.equity_usd > ZERO else None,
    )
    suffix = _aside_suffix(folder.path, "replaced")
    bad = [g.path for g in found.generations if g.path.exists()]
    steps = (
        *(f"{path.name} is kept as {path.name}{suffix}" for path in bad),
        f"the journal, if there is one, is kept as journal{suffix}; a new one begins at record "
        f"{covered + 1}",
        f"a new {CURRENT} begins with the venue's account {account.account_id}: "
        f"{len(account.positions)} positions and ${account.cash_usd} in cash, all external; "
        "books, orders, opinions and profits of before are no longer known",
        f"trading begins {trading.state.value}: {trading.resumes} lifts it",
    )

    def begin() -> None:
        for path in bad:
            _fs.link(path, _named(path, suffix))
        _replace_journal(folder, (), covered + 1, suffix)
        JsonStateStore(_fs, folder.path).save(snapshot)
        for path in folder.path.glob("portfolio.[0-9]*.json"):
            _fs.remove(path)  # each has its second name by now
        _fs.sync_directory(folder.path)

    return Plan(
        steps=steps,
        deeds=(begin,),
        afterwards="compare with `tradewind state diff` before you resume",
    )


# --- names ---------------------------------------------------------------------------------------


def _moving(path: Path, suffix: str) -> Callable[[], None]:
    def move() -> None:
        _fs.rename(path, _named(path, suffix))
        _fs.sync_directory(path.parent)

    return move


def _named(path: Path, suffix: str) -> Path:
    return path.with_name(path.name + suffix)


def _aside_suffix(directory: Path, word: str) -> str:
    """Return the first .WORD-N that no name here ends with, so that nothing is overwritten."""
    taken = {p.name.rpartition(".")[2] for p in directory.iterdir()}
    for number in islice(count(1), ASIDE_MAX):
        if f"{word}-{number}" not in taken and not (directory / f"{STAGED}{number}").exists():
            return f".{word}-{number}"
    raise Refused(f"{directory}: holds the remains of {ASIDE_MAX} repairs: clear some away")
