"""The research commands of `tradewind`; heavy imports wait until a command runs."""

from pathlib import Path
from typing import Annotated

import typer

from daemon.commands.options import EnvFile
from daemon.commands.printing import AsJson
from research.evaluation.cli import walk_forward_command
from research.extras import REPORT, require_research
from research.options import day_of


def add_to(app: typer.Typer) -> None:
    """Add the commands; called by `daemon.cli` through the entry point `tradewind.commands`."""
    app.command("backtest")(backtest_command)
    app.command("report")(report_command)
    audits = typer.Typer(help="See whether anything knows what it cannot have known yet.")
    audits.callback()(_audits)
    audits.command("lookahead")(audit_lookahead_command)
    app.add_typer(audits, name="audit")
    app.command("walk-forward")(walk_forward_command)
    data = typer.Typer(help="Bars in files: download, list, check.", no_args_is_help=True)
    data.command("download")(data_download_command)
    data.command("list")(data_list_command)
    data.command("check")(data_check_command)
    app.add_typer(data, name="data")
    app.command("replay")(replay_command)
    app.command("parity")(parity_command)


def backtest_command(  # noqa: PLR0913 - one parameter for each option
    data: Annotated[Path, typer.Option(help="A file or folder of bars, Parquet or CSV.")],
    strategies: Annotated[
        str | None, typer.Option(help="As in STRATEGIES, which is the default.")
    ] = None,
    first: Annotated[str | None, typer.Option("--from", help="First session, YYYY-MM-DD.")] = None,
    last: Annotated[str | None, typer.Option("--to", help="Last session, YYYY-MM-DD.")] = None,
    out: Annotated[
        Path | None,
        typer.Option("--out", help="Where the result is saved; a new folder by default."),
    ] = None,
    symbols: Annotated[str | None, typer.Option(help="Only these: AAPL,MSFT,…")] = None,
    universe: Annotated[
        Path | None,
        typer.Option(help="Sector and kind of symbols that the shipped universe lacks (CSV)."),
    ] = None,
    capital: Annotated[float | None, typer.Option(help="Dollars; INITIAL_CAPITAL.")] = None,
    fill_at: Annotated[
        str, typer.Option(help="Fill at the next bar's open, vwap or close.")
    ] = "open",
    half_spread_bps: Annotated[
        float | None, typer.Option(help="Half the spread; the exchange's model by default.")
    ] = None,
    impact_bps: Annotated[
        float, typer.Option(help="What an order of a bar's whole volume would move the price.")
    ] = 100.0,
    commission_per_share: Annotated[float, typer.Option(help="Dollars a share.")] = 0.0,
    commission_bps: Annotated[float, typer.Option(help="Of the traded value.")] = 0.0,
    volume_share: Annotated[
        float, typer.Option(help="The part of a bar's volume that may fill against us.")
    ] = 0.10,
    borrow_bps: Annotated[
        float, typer.Option(help="A year, for shares sold short; charged by the night.")
    ] = 50.0,
    close_cutoff_minutes: Annotated[
        float,
        typer.Option(help="With --fill-at close: how long before it orders must be given."),
    ] = 10.0,
    resume_after: Annotated[
        int | None,
        typer.Option(
            min=0, help="Sessions after which a simulated operator resumes a latched halt."
        ),
    ] = None,
    seed: Annotated[int | None, typer.Option(help="Noted in the manifest; SEED.")] = None,
    env_file: EnvFile = None,
    as_json: AsJson = False,
) -> None:
    """Trade the past with the engine that trades live; Ctrl-C keeps what was played so far."""
    from research.backtest.command import Options, run_backtest

    run_backtest(
        Options(
            data=data,
            strategies=strategies,
            first=day_of(first),
            last=day_of(last),
            out=out,
            symbols=symbols,
            universe=universe,
            capital=capital,
            fill_at=fill_at,
            half_spread_bps=half_spread_bps,
            impact_bps=impact_bps,
            commission_per_share=commission_per_share,
            commission_bps=commission_bps,
            volume_share=volume_share,
            borrow_bps=borrow_bps,
            close_cutoff_minutes=close_cutoff_minutes,
            resume_after=resume_after,
            seed=seed,
            env_file=env_file,
            as_json=as_json,
        )
    )


def report_command(
    folder: Annotated[Path, typer.Argument(help="The folder a backtest was saved in.")],
    out: Annotated[
        Path | None, typer.Option("--out", help="The page; report.html in the folder by default.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Make one self-contained page of a backtest, or print its figures as JSON."""
    require_research("report", REPORT)
    from research.reports.command import run_report

    run_report(folder, out, as_json=as_json)


def _audits() -> None:
    """See whether anything knows what it cannot have known yet."""


def audit_lookahead_command(  # noqa: PLR0913 - one parameter for each option
    names: Annotated[
        list[str] | None,
        typer.Argument(metavar="[STRATEGY]...", help="As in STRATEGIES; all files by default."),
    ] = None,
    data: Annotated[
        Path | None, typer.Option(help="Audit on these bars; on made-up ones by default.")
    ] = None,
    first: Annotated[
        str | None, typer.Option("--from", help="The span that is judged begins, YYYY-MM-DD.")
    ] = None,
    last: Annotated[str | None, typer.Option("--to", help="… and ends.")] = None,
    seed: Annotated[int, typer.Option(min=0, help="Of the made-up bars.")] = 1,
    env_file: EnvFile = None,
    as_json: AsJson = False,
) -> None:
    """Look for strategies, fitted files and runs that use later bars; exit 1 when one does."""
    from research.audit.command import Options, run_audit

    run_audit(
        Options(
            names=tuple(names or ()),
            data=data,
            first=day_of(first),
            last=day_of(last),
            seed=seed,
            env_file=env_file,
            as_json=as_json,
        )
    )


CataloguePath = Annotated[
    Path | None, typer.Option("--catalogue", help="Where bars are kept; STATE_DIR/data.")
]


def data_download_command(  # noqa: PLR0913 - one parameter for each option
    first: Annotated[str, typer.Option("--from", help="First day, YYYY-MM-DD.")],
    last: Annotated[str | None, typer.Option("--to", help="Last day; yesterday.")] = None,
    symbols: Annotated[str | None, typer.Option(help="AAPL,MSFT,…; the universe.")] = None,
    timeframe: Annotated[str, typer.Option(help="1Day or 1Min.")] = "1Day",
    adjustment: Annotated[str, typer.Option(help="raw, split, dividend or all.")] = "split",
    catalogue: CataloguePath = None,
    url: Annotated[
        str | None, typer.Option(help="An embedded exchange, instead of the venue in VENUE.")
    ] = None,
    env_file: EnvFile = None,
    as_json: AsJson = False,
) -> None:
    """Download bars into Parquet files; what is there already is not asked for again."""
    from research.catalogue.command import DownloadOptions, run_download

    begin = day_of(first)
    if begin is None:
        raise typer.BadParameter("--from is missing")
    run_download(
        DownloadOptions(
            catalogue=catalogue,
            symbols=symbols,
            timeframe=timeframe,
            first=begin,
            last=day_of(last),
            adjustment=adjustment,
            url=url,
            env_file=env_file,
            as_json=as_json,
        )
    )


def data_list_command(
    catalogue: CataloguePath = None, env_file: EnvFile = None, as_json: AsJson = False
) -> None:
    """Show what has been downloaded."""
    from research.catalogue.command import run_list

    run_list(catalogue, env_file, as_json=as_json)


def data_check_command(
    path: Annotated[
        Path | None, typer.Argument(help="A catalogue, folder or file; STATE_DIR/data.")
    ] = None,
    strict: Annotated[bool, typer.Option("--strict", help="Exit 1 for notices too.")] = False,
    env_file: EnvFile = None,
    as_json: AsJson = False,
) -> None:
    """Look for gaps, duplicates, impossible bars, mixed splits, stale runs; exit 1 for faults."""
    from research.catalogue.command import run_check

    run_check(path, env_file, strict=strict, as_json=as_json)


def replay_command(
    state_dir: Annotated[Path, typer.Argument(help="STATE_DIR, or one account's folder in it.")],
    run: Annotated[int | None, typer.Option(help="One run of the daemon; all by default.")] = None,
    with_settings: Annotated[
        bool,
        typer.Option("--with-settings", help="Decide by today's settings, not the recorded ones."),
    ] = False,
    env_file: EnvFile = None,
    as_json: AsJson = False,
) -> None:
    """Let the engine hear a recorded session again; exit 1 when it decides otherwise."""
    from research.replay.command import Options, run_replay

    run_replay(
        Options(
            state_dir=state_dir,
            run=run,
            with_settings=with_settings,
            env_file=env_file,
            as_json=as_json,
        )
    )


def parity_command(
    state_dir: Annotated[Path, typer.Argument(help="STATE_DIR, or one account's folder in it.")],
    run: Annotated[
        int | None, typer.Option(help="Of the daemon; the latest that began with cash alone.")
    ] = None,
    half_spread_bps: Annotated[
        float | None, typer.Option(help="Of the backtest; the exchange's model by default.")
    ] = None,
    impact_bps: Annotated[float, typer.Option(help="Of the backtest.")] = 100.0,
    env_file: EnvFile = None,
    as_json: AsJson = False,
) -> None:
    """Run the backtest over a recorded session's bars and split the difference in profit."""
    from research.parity.command import Options, run_parity

    run_parity(
        Options(
            state_dir=state_dir,
            run=run,
            half_spread_bps=half_spread_bps,
            impact_bps=impact_bps,
            env_file=env_file,
            as_json=as_json,
        )
    )
