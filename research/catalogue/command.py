"""`tradewind data download`, `list` and `check`."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import typer
from rich.console import Console, Group
from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeRemainingColumn
from rich.progress import Progress as ProgressBar
from rich.text import Text

from daemon import wiring
from daemon.alpaca.client import open_session
from daemon.backoff import seeded_jitter
from daemon.clock import ClockPace, SystemClock
from daemon.commands.options import settings_of
from daemon.commands.printing import print_json, print_page, say, settings_here
from daemon.settings import Settings
from daemon.tables import Column, table
from daemon.universe import load_universe
from domain.calendar import Timeframe, day_in_new_york
from domain.errors import ConfigurationFault
from exchange.markets.action_files import action_path, read_actions
from exchange.markets.bar_files import bar_paths
from research.audit.artefacts import file_sha256
from research.catalogue.checking import check, day_of
from research.catalogue.downloading import Progress, Wanted, download
from research.catalogue.findings import BarFinding, Kind, Severity, limited
from research.catalogue.layout import INDEX, TIMEFRAMES, Catalogue, Part, Span, spans
from research.catalogue.rows import NO_TIME, FileRows, read_rows

ADJUSTMENTS = ("raw", "split", "dividend", "all")
SHOWN_MAX = 200
"""Findings that a person is shown; JSON holds all that are spelled out."""
REQUESTS_AT_ONCE = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class DownloadOptions:
    """The command line of a download, as given."""

    catalogue: Path | None
    symbols: str | None
    timeframe: str
    first: date
    last: date | None
    adjustment: str
    url: str | None
    env_file: Path | None
    as_json: bool


def run_download(options: DownloadOptions) -> None:
    """Download what the catalogue lacks, and say what came of it. Raises ConfigurationFault,
    Refused, and what the venue answers; parts that are done stay, and the same command goes on."""
    # From here on libraries log warnings only, to standard error.
    settings_here(options.env_file, None)
    settings = _settings(options)
    wanted, root = _wanted(options, settings), _root(options.catalogue, settings)
    if options.adjustment not in ADJUSTMENTS:
        raise ConfigurationFault(
            f"--adjustment {options.adjustment}: write one of {', '.join(ADJUSTMENTS)}"
        )
    catalogue = Catalogue.begin(
        root,
        source=wiring.urls_of(settings).data,
        feed=settings.data_feed,
        adjustment=options.adjustment,
    )
    told = _Told()
    try:
        asyncio.run(_download(settings, catalogue, wanted, told))
    except KeyboardInterrupt:
        say(f"Interrupted: {told.done + told.held} of {len(told.todo)} parts are there; {_GO_ON}")
        raise
    folder = root / wanted.timeframe.value
    if options.as_json:
        print_json(
            {
                "folder": str(folder),
                "parts": len(told.todo),
                "parts_downloaded": told.done,
                "parts_held": told.held,
                "bars_downloaded": told.bars,
                "requests": told.pages,
            }
        )
        return
    say(
        f"{told.bars} bars in {told.done} parts downloaded, {told.held} parts were there. "
        f"Try: tradewind data check {folder} · tradewind backtest --data {folder}"
    )


_GO_ON = "the same command goes on from there"


class _Told:
    """What a download did so far, and the bar that shows it."""

    def __init__(self) -> None:
        self.todo: list[Span] = []
        self.done = self.held = self.bars = self.pages = 0
        self._bar = ProgressBar(
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("parts,"),
            TimeRemainingColumn(),
            TextColumn("left"),
            console=Console(stderr=True),
            transient=True,
        )
        self._task = self._bar.add_task("Download", total=None)

    def __enter__(self) -> Progress:
        self._bar.start()
        self._bar.update(self._task, total=len(self.todo))
        return Progress(on_page=self._on_page, on_part=self._on_part, on_held=self._on_held)

    def __exit__(self, *_: object) -> None:
        self._bar.stop()

    def _on_page(self, span: Span, bars: int) -> None:
        self.pages += 1
        self._bar.update(self._task, description=f"{span.period}: {bars} bars")

    def _on_part(self, span: Span, part: Part) -> None:
        self.done += 1
        self.bars += part.bars
        self._bar.advance(self._task)
        say(f"{part.timeframe.value} {span.period}: {part.bars} bars")

    def _on_held(self, _span: Span) -> None:
        self.held += 1
        self._bar.advance(self._task)


async def _download(settings: Settings, catalogue: Catalogue, wanted: Wanted, told: _Told) -> None:
    clock = SystemClock()
    async with open_session(REQUESTS_AT_ONCE) as session:
        connection = wiring.connect(
            settings,
            session,
            clock=clock,
            pace=ClockPace(clock),
            jitter=seeded_jitter(settings.seed),
        )
        today = day_in_new_york((await connection.broker.clock()).at)
        last = wanted.last or today - timedelta(days=1)
        if last >= today:
            raise ConfigurationFault(
                f"--to {last} is not over at the venue, where it is {today}: a day is "
                "downloaded when it is complete"
            )
        told.todo = spans(wanted.timeframe, wanted.first, last)
        with told as progress:
            await download(connection.prices.api, catalogue, wanted, told.todo, progress)


def _settings(options: DownloadOptions) -> Settings:
    """Return the settings; `--url` names an embedded exchange, which is never shown real keys."""
    overrides: dict[str, object] = {}
    if options.url is not None:
        overrides = {"VENUE": "embedded", "EXCHANGE_URL": options.url}
    return settings_of(options.env_file, overrides)


def _wanted(options: DownloadOptions, settings: Settings) -> Wanted:
    accepted = ", ".join(t.value for t in TIMEFRAMES)
    try:
        timeframe = Timeframe(options.timeframe)
    except ValueError as fault:
        raise ConfigurationFault(
            f"--timeframe {options.timeframe}: write one of {accepted}"
        ) from fault
    if timeframe not in TIMEFRAMES:
        raise ConfigurationFault(
            f"--timeframe {timeframe.value}: write one of {accepted}; longer bars are summed up"
        )
    if options.last is not None and options.first > options.last:
        raise ConfigurationFault(f"--from {options.first} lies after --to {options.last}")
    named = tuple(s.strip().upper() for s in (options.symbols or "").split(",") if s.strip())
    symbols = named or tuple(str(s) for s in load_universe(settings).symbols)
    return Wanted(symbols=symbols, timeframe=timeframe, first=options.first, last=options.last)


def _root(given: Path | None, settings: Settings) -> Path:
    return given or settings.state_dir / "data"


# --- list ----------------------------------------------------------------------------------------


def run_list(catalogue: Path | None, env_file: Path | None, *, as_json: bool) -> None:
    """Print what a catalogue holds. Raises ConfigurationFault where there is none."""
    held = Catalogue.open(_root(catalogue, settings_of(env_file)))
    index = held.index
    rows = [
        {
            "timeframe": part.timeframe.value,
            "period": part.period,
            "symbols": len(part.asked),
            "bars": part.bars,
            "first": str(part.bars_from or ""),
            "last": str(part.bars_to or ""),
            "bytes": part.bytes,
            "path": str(held.path(part.timeframe, part.period)),
        }
        for part in index.parts
    ]
    if as_json:
        about = {"source": index.source, "feed": index.feed, "adjustment": index.adjustment}
        print_json({"catalogue": str(held.root), **about, "parts": rows})
        return
    columns = (
        Column("Bars of", lambda row: str(row["timeframe"])),
        Column("Period", lambda row: str(row["period"])),
        Column("Symbols", lambda row: str(row["symbols"]), is_number=True),
        Column("Bars", lambda row: f"{row['bars']:,}", is_number=True),
        Column("First", lambda row: str(row["first"])),
        Column("Last", lambda row: str(row["last"])),
        Column("MB", lambda row: f"{row['bytes'] / 1e6:.1f}", is_number=True),
    )
    heading = f"{held.root} · {index.source} · feed {index.feed} · adjustment {index.adjustment}"
    print_page(heading, table(rows, columns, empty="No parts yet."))


# --- check ---------------------------------------------------------------------------------------


def run_check(path: Path | None, env_file: Path | None, *, strict: bool, as_json: bool) -> None:
    """Check a catalogue, a folder or a file of bars; exit 1 when there are faults, with `strict`
    when there are notices too. Raises ConfigurationFault for what is no table of bars."""
    place = path or _root(None, settings_of(env_file))
    findings, looked_at = _checked(place)
    told = limited(findings)
    faults = sum(f.severity is Severity.FAULT for f in findings)
    notices = len(findings) - faults
    if as_json:
        print_json(
            {
                "path": str(place),
                **looked_at,
                "faults": faults,
                "notices": notices,
                "findings": [_as_row(finding) for finding in told],
            }
        )
    else:
        heading = f"{place} · {looked_at['bars']:,} bars of {looked_at['symbols']} symbols"
        print_page(heading, _page(told, faults, notices))
    if faults or (strict and notices):
        raise typer.Exit(1)


def _checked(place: Path) -> tuple[list[BarFinding], dict[str, int]]:
    """Return what is found at a place: daily and minute files are looked at apart."""
    findings: list[BarFinding] = []
    folders = [place]
    if (place / INDEX).exists():
        catalogue = Catalogue.open(place)
        findings += _altered(catalogue)
        folders = [f for t in TIMEFRAMES if (f := place / t.value).is_dir()]
    paths = [path for folder in folders for path in bar_paths(folder)]
    files = [read_rows(path) for path in paths]
    for is_daily in (True, False):
        alike = [file for file in files if file.is_daily is is_daily]
        if alike:
            findings += _but_known_splits(check(alike), alike, folders)
    symbols = {symbol for file in files for symbol in file.symbols}
    looked_at = {
        "files": len(files),
        "symbols": len(symbols),
        "bars": sum(len(file.code) for file in files),
    }
    return findings, looked_at


def _but_known_splits(
    findings: list[BarFinding], files: Sequence[FileRows], folders: Sequence[Path]
) -> list[BarFinding]:
    """Return the findings without the splits that a file of corporate actions beside the bars
    tells of: such bars are as traded, and jump there."""
    path = next((found for folder in folders if (found := action_path(folder))), None)
    if path is None:
        return findings
    days = {day_of(int(day)) for file in files for day in np.unique(file.day) if day != NO_TIME}
    symbols = {symbol for file in files for symbol in file.symbols}
    actions = read_actions(path, days, symbols).actions
    known = {(a.symbol, a.ex_date) for a in actions if a.is_split}
    return [f for f in findings if f.kind is not Kind.SPLIT or (f.symbol, f.day) not in known]


def _altered(catalogue: Catalogue) -> list[BarFinding]:
    """Return the parts that are not the files the index was written for."""
    found = []
    for part in catalogue.index.parts:
        path = catalogue.path(part.timeframe, part.period)
        is_there = path.exists()
        if is_there and file_sha256(path) == part.sha256:
            continue
        how = "was changed since it was downloaded" if is_there else "is not there any more"
        found.append(
            BarFinding(
                kind=Kind.PART,
                severity=Severity.FAULT,
                path=path,
                symbol="",
                day=None,
                detail=f"{how}: remove it and download again",
            )
        )
    return found


def _as_row(finding: BarFinding) -> dict[str, Any]:
    return {
        "kind": finding.kind.value,
        "severity": finding.severity.value,
        "file": str(finding.path),
        "symbol": finding.symbol,
        "day": str(finding.day) if finding.day else None,
        "detail": finding.detail,
    }


def _severity(row: dict[str, Any]) -> Text:
    return Text(row["severity"], style="bold red" if row["severity"] == "fault" else "dim")


def _page(told: Sequence[BarFinding], faults: int, notices: int) -> Group:
    columns = (
        Column(
            "",
            lambda row: Text(
                row["severity"], style="bold red" if row["severity"] == "fault" else "dim"
            ),
        ),
        Column("Kind", lambda row: str(row["kind"])),
        Column("Symbol", lambda row: str(row["symbol"])),
        Column("Day", lambda row: str(row["day"] or "")),
        Column("File", lambda row: Path(row["file"]).name),
        Column("What", lambda row: str(row["detail"]), wraps=True),
    )
    rows = [_as_row(finding) for finding in told]
    rows.sort(key=lambda row: (row["severity"] != "fault", row["file"], row["symbol"]))
    parts: list[Any] = [table(rows[:SHOWN_MAX], columns, empty="Nothing found.")]
    if len(rows) > SHOWN_MAX:
        parts.append(Text(f"… and {len(rows) - SHOWN_MAX} more; --json shows all."))
    verdict = f"{faults} faults, {notices} notices." if rows else "Clean."
    return Group(*parts, Text(""), Text(verdict, style="bold red" if faults else "bold"))
