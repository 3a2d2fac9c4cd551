"""Spoilt state and spoilt answers: what is loaded or read is true, or refused in words."""

from research.simulation.state_fuzz import fuzz_state
from research.simulation.wire_fuzz import fuzz_wire

STATE_BYTES = 1024
PAYLOADS = 5_000


def test_state_cut_or_changed_at_any_byte_loads_as_it_was_or_is_refused() -> None:
    found = fuzz_state(STATE_BYTES)
    assert not found.failed, found.failed
    assert found.tried == 2 * (found.snapshot_bytes + found.journal_bytes)
    assert min(found.snapshot_bytes, found.journal_bytes) >= STATE_BYTES
    assert min(found.loaded, found.refused) > 0


def test_spoilt_answers_are_refused_or_true() -> None:
    found = fuzz_wire(PAYLOADS)
    assert not found.failed, found.failed
    assert len(found.kinds) == 13
    assert min(found.read, found.refused) > PAYLOADS // 10
