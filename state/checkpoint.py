"""Saving a snapshot beside a journal, in the one order that is safe to be interrupted."""

from domain.snapshot import Snapshot
from state.journal import JsonLinesJournal
from state.json_store import JsonStateStore


def checkpoint(store: JsonStateStore, journal: JsonLinesJournal, snapshot: Snapshot) -> None:
    """Save the snapshot; then, when the journal has grown long, begin a new file and drop old ones.

    The journal is made durable first: a snapshot never covers a record that could still be lost.
    Files are dropped only when no generation kept needs them. Raises OSError, nothing lost, and
    ValueError for a snapshot that covers records not written yet.
    """
    if snapshot.journal_seq > journal.last_seq:
        raise ValueError(
            f"the snapshot covers record {snapshot.journal_seq}, the journal ends at "
            f"{journal.last_seq}"
        )
    journal.sync()
    store.save(snapshot)
    if journal.is_long:
        journal.rotate()
        journal.prune(store.oldest_journal_seq())
