"""Where tapes lie, and which engine hears them: the recorded one, or one with today's settings."""

from collections.abc import Iterator
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any

from daemon import settings_rules
from daemon.settings import Settings
from daemon.tape_head import TapeHead
from daemon.tape_reading import RecordedRun, recorded_runs
from domain.errors import ConfigurationFault
from risk.limits import SETTING_OF
from state.filesystem import LocalFileSystem
from state.tape import FOLDER


@dataclass(frozen=True, slots=True, kw_only=True)
class ChangedSetting:
    """A rule that is not as it was when the tape was recorded."""

    name: str
    recorded: str
    now: str


def account_folder(place: Path) -> Path:
    """Return the folder of one account: `place` itself, or the one in it. Raises
    ConfigurationFault when there is no tape, or more than one account's."""
    if (place / FOLDER).is_dir():
        return place
    found = sorted(path.parent for path in place.glob(f"*/{FOLDER}")) if place.is_dir() else []
    if not found:
        raise ConfigurationFault(
            f"{place} holds no tape: a daemon records one beside its journal unless TAPE_MAX_MB is "
            "0; name STATE_DIR, or the account's folder in it"
        )
    if len(found) > 1:
        raise ConfigurationFault(
            f"{place} holds tapes of several accounts: name one: {', '.join(map(str, found))}"
        )
    return found[0]


def runs_in(folder: Path, wanted: int | None) -> list[int]:
    """Return the numbers of the runs on an account's tape, oldest first, or the one wanted. Raises
    ConfigurationFault for one that is not there."""
    tape = folder / FOLDER
    numbers = recorded_runs(LocalFileSystem(), tape)
    if wanted is None:
        return numbers
    if wanted not in numbers:
        known = ", ".join(map(str, numbers)) or "none"
        raise ConfigurationFault(f"--run {wanted} is not on the tape in {tape}: there is {known}")
    return [wanted]


def open_run(folder: Path, number: int) -> RecordedRun:
    """Return a run of an account's tape. Raises StateCorrupt for one whose beginning is gone."""
    return RecordedRun(LocalFileSystem(), folder / FOLDER, number)


def with_settings(head: TapeHead, settings: Settings) -> tuple[TapeHead, list[ChangedSetting]]:
    """Return a head whose rules, limits and allocation are today's, and what has changed.

    Strategies stay as they were recorded, for their answers are on the tape.
    """
    limits, allocation = (
        settings_rules.risk_limits(settings),
        settings_rules.allocation_rules(settings),
    )
    gate = settings_rules.risk_gate(settings, limits)
    rules = replace(
        settings_rules.engine_rules(settings, {}, {}),
        strategies=head.rules.strategies,
        rights=head.rules.rights,
        base_timeframe=head.rules.base_timeframe,
    )
    now = replace(
        head,
        rules=rules,
        limits=limits,
        allocation=allocation,
        exits=gate.exits,
        approval_ttl_s=gate.approval_ttl_s,
    )
    changed = [
        change
        for name in ("rules", "limits", "allocation", "exits")
        for change in _changes(getattr(head, name), getattr(now, name))
    ]
    return now, changed


def _changes(old: Any, new: Any) -> Iterator[ChangedSetting]:
    for each in fields(old):
        before, after = getattr(old, each.name), getattr(new, each.name)
        if before != after and each.name not in ("strategies", "rights"):
            name = SETTING_OF.get(each.name, each.name)
            yield ChangedSetting(name=str(name), recorded=str(before), now=str(after))
