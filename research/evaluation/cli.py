"""The options of `tradewind walk-forward`; heavy imports wait until it runs."""

from pathlib import Path
from typing import Annotated

import typer

from daemon.commands.options import EnvFile
from daemon.commands.printing import AsJson
from research.extras import SEARCH, require_research
from research.options import day_of


def walk_forward_command(  # noqa: PLR0913 - one parameter for each option
    data: Annotated[Path, typer.Option(help="A file or folder of bars, Parquet or CSV.")],
    strategies: Annotated[
        str,
        typer.Option(help="What to search: names, or name(parameter=5|10|20,other=10:50:10)."),
    ],
    first: Annotated[str | None, typer.Option("--from", help="First session, YYYY-MM-DD.")] = None,
    last: Annotated[str | None, typer.Option("--to", help="Last session, YYYY-MM-DD.")] = None,
    out: Annotated[
        Path | None, typer.Option("--out", help="Where it is saved; a new folder by default.")
    ] = None,
    symbols: Annotated[str | None, typer.Option(help="Only these: AAPL,MSFT,…")] = None,
    universe: Annotated[
        Path | None,
        typer.Option(help="Sector and kind of symbols that the shipped universe lacks (CSV)."),
    ] = None,
    train: Annotated[int, typer.Option(help="Sessions to search on.")] = 756,
    test: Annotated[int, typer.Option(help="Sessions to judge on, and the step.")] = 252,
    purge: Annotated[int, typer.Option(help="Sessions left out between the two.")] = 5,
    embargo: Annotated[
        int, typer.Option(help="Sessions left out after a tested group (cross-validation).")
    ] = 21,
    fold: Annotated[
        list[str] | None,
        typer.Option(help="A fold of your own, TRAIN_FROM:TRAIN_TO:TEST_FROM:TEST_TO; repeatable."),
    ] = None,
    cross_validate: Annotated[
        str, typer.Option(help="Combinatorial purged: GROUPS,TESTED; or off.")
    ] = "6,2",
    method: Annotated[str, typer.Option(help="grid, random, tpe or nsga2.")] = "grid",
    trials: Annotated[int, typer.Option(help="Trials of a search; a grid is searched whole.")] = 20,
    seed: Annotated[int, typer.Option(help="Of random, tpe and nsga2.")] = 0,
    half_spread_bps: Annotated[
        float | None, typer.Option(help="Half the spread; the exchange's model by default.")
    ] = None,
    commission_bps: Annotated[float, typer.Option(help="Of the traded value.")] = 0.0,
    resume_after: Annotated[
        int, typer.Option(min=0, help="Sessions until a simulated operator resumes a halt.")
    ] = 20,
    workers: Annotated[
        int | None, typer.Option(help="Processes; as many as there are processors by default.")
    ] = None,
    ray: Annotated[
        str | None, typer.Option(help="Work on the Ray cluster at HOST:PORT, or auto.")
    ] = None,
    env_file: EnvFile = None,
    as_json: AsJson = False,
) -> None:
    """Search on one span, judge on the next, again and again; Ctrl-C keeps the whole folds."""
    require_research("walk-forward", SEARCH)
    from research.evaluation.command import Options, run_walk_forward

    run_walk_forward(
        Options(
            data=data,
            strategies=strategies,
            first=day_of(first),
            last=day_of(last),
            out=out,
            symbols=symbols,
            universe=universe,
            train=train,
            test=test,
            purge=purge,
            embargo=embargo,
            folds=tuple(fold or ()),
            cross_validate=cross_validate,
            method=method,
            trials=trials,
            seed=seed,
            commission_bps=commission_bps,
            half_spread_bps=half_spread_bps,
            resume_after=resume_after,
            workers=workers,
            ray=ray,
            env_file=env_file,
            as_json=as_json,
        )
    )
