"""`tradewind replay STATE_DIR`: the certificate of a recorded session, or its first difference."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import typer
from rich.console import Group
from rich.text import Text

from daemon.commands.options import settings_of
from daemon.commands.printing import print_json, print_page, settings_here
from daemon.tape_head import engine_of
from daemon.tape_reading import RecordedRun
from domain.errors import ConfigurationFault, StateCorrupt
from research.replay.replaying import Replayed, replay
from research.replay.sources import ChangedSetting, account_folder, open_run, runs_in, with_settings

DIFFERENCES_SHOWN = 8


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """The command line, as given."""

    state_dir: Path
    run: int | None
    with_settings: bool
    env_file: Path | None
    as_json: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Certificate:
    """What came of one run of the daemon, and where its tape ends."""

    run: int
    began_at: str
    build: str
    result: Replayed
    end: str
    changed: tuple[ChangedSetting, ...]

    @property
    def is_identical(self) -> bool:
        """Whether every decision was made again to the byte."""
        return self.result.difference is None


def run_replay(options: Options) -> None:
    """Replay every run on the tape, print what came of it, and exit 1 at a difference. Raises
    ConfigurationFault without a tape, StateCorrupt when no run of it can be replayed."""
    # Replayed slots would else log what they logged then.
    settings_here(options.env_file, None)
    folder = account_folder(options.state_dir)
    certificates: list[Certificate] = []
    lost: list[StateCorrupt] = []
    for number in runs_in(folder, options.run):
        try:
            certificates.append(_certify(number, open_run(folder, number), options))
        except StateCorrupt as fault:
            # The oldest parts of a tape make room for new ones.
            lost.append(fault)
    if not certificates:
        raise lost[0] if lost else ConfigurationFault(f"{folder}: the tape holds no run")
    identical = all(each.is_identical for each in certificates)
    if options.as_json:
        runs = [_document(each) for each in certificates]
        print_json({"identical": identical, "runs": runs, "lost": [str(f) for f in lost]})
    else:
        print_page(f"Replay of {folder}", _page(certificates, lost))
    if not identical:
        raise typer.Exit(1)


def _certify(number: int, recorded: RecordedRun, options: Options) -> Certificate:
    head, changed = recorded.head, list[ChangedSetting]()
    if options.with_settings:
        head, changed = with_settings(head, settings_of(options.env_file))
    result = replay(engine_of(head), recorded)
    return Certificate(
        run=number,
        began_at=recorded.head.at.isoformat(),
        build=recorded.head.build,
        result=result,
        end=_end(recorded, result),
        changed=tuple(changed),
    )


def _end(recorded: RecordedRun, result: Replayed) -> str:
    if result.difference is not None:
        return "the replay ends at the first difference"
    if recorded.end.reason:
        return f"the tape ends early: {recorded.end.reason} ({recorded.end.path})"
    if not result.ended_with_the_run:
        return "the tape ends without a stop: the daemon was killed, or still runs"
    return "the tape ends with the run"


def _document(certificate: Certificate) -> dict[str, Any]:
    result = certificate.result
    return {
        "run": certificate.run,
        "began_at": certificate.began_at,
        "build": certificate.build,
        "identical": certificate.is_identical,
        "decisions": result.certified,
        "decisions_uncertified": result.uncertified,
        "events": result.events,
        "tape_end": certificate.end,
        "changed_settings": [asdict(change) for change in certificate.changed],
        "first_difference": _difference(result),
    }


def _difference(result: Replayed) -> dict[str, Any] | None:
    found = result.difference
    if found is None:
        return None
    return {
        "slot_at": found.slot_at,
        "words": found.words,
        "fields": [asdict(each) for each in found.fields],
    }


def _page(certificates: Sequence[Certificate], lost: Sequence[StateCorrupt]) -> Group:
    lines = [Text(str(fault), style="yellow") for fault in lost]
    for each in certificates:
        lines += _lines(each)
    if all(each.is_identical for each in certificates):
        lines.append(Text("Identical.", style="bold green"))
    return Group(*lines)


def _lines(each: Certificate) -> list[Text]:
    result = each.result
    lines = [Text(f"Run {each.run}, begun {each.began_at}, build {each.build}")]
    lines += [
        Text(f"  {change.name}: recorded {change.recorded}, now {change.now}", style="yellow")
        for change in each.changed
    ]
    same = f"{result.certified} decisions identical to the byte, of {result.events} events"
    lines.append(Text(f"  {same}"))
    if result.uncertified:
        more = f"{result.uncertified} more were made again; the tape was cut off before them"
        lines.append(Text(f"  {more}"))
    lines.append(Text(f"  {each.end}", style="dim"))
    if result.difference is not None:
        lines.append(Text(f"  DIFFERS: {result.difference.words}", style="bold red"))
        lines += [
            Text(f"    {f.symbol} {f.field}: recorded {f.recorded}, replayed {f.replayed}")
            for f in result.difference.fields[1:DIFFERENCES_SHOWN]
        ]
    return lines
