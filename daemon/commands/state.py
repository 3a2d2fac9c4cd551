"""`state verify|diff|rewind|repair`: the state directory looked at, compared, and put right."""

from typing import Annotated

import typer
from rich.console import Group, RenderableType
from rich.text import Text

from daemon import settings_rules, state_diff, state_repair
from daemon.api_client import Document
from daemon.commands.options import EnvFile
from daemon.commands.printing import AsJson, StateDir, print_json, print_page, settings_here
from daemon.saved_state import StateFolder, folder_of, state_folders
from daemon.settings import Settings
from daemon.state_diff import SideBySide
from daemon.state_repair import Plan
from daemon.state_survey import GOOD, FileFinding, Survey, findings, survey
from daemon.tables import Column, facts, table
from domain.errors import Refused, TradewindError
from domain.events import StateDistrusted
from domain.portfolio import AccountReport
from domain.snapshot import TradingState, TradingStatus
from risk.halts import next_status
from state.lock import StateLock

DAMAGED = 1
"""Exit code of a directory that a start would go on from, though something in it is damaged."""
Yes = Annotated[bool, typer.Option("--yes", help="Do it; without this it is only shown.")]
Account = Annotated[
    str | None, typer.Option("--account", help="The account, when STATE_DIR holds several.")
]


def add_to(app: typer.Typer) -> None:
    """Add this file's group of commands."""
    group = typer.Typer(
        help="The state directory: verify it, compare it with the venue, put it right.",
        no_args_is_help=True,
        rich_markup_mode=None,
    )
    group.command("verify")(verify_command)
    group.command("diff")(diff_command)
    group.command("rewind")(rewind_command)
    group.command("repair")(repair_command)
    app.add_typer(group, name="state")


# --- verify --------------------------------------------------------------------------------------


def verify_command(
    as_json: AsJson = False, state_dir: StateDir = None, env_file: EnvFile = None
) -> None:
    """Read every snapshot and the whole journal; change nothing.

    Exits 0 when all is good, 5 when a start would be refused, 1 for any other damage.
    """
    settings = settings_here(env_file, state_dir)
    found = [survey(folder) for folder in state_folders(settings.state_dir, settings.venue)]
    if as_json:
        is_whole = all(each.is_whole for each in found)
        print_json({"ok": is_whole, "states": [_verified(each) for each in found]})
    elif not found:
        print_page(f"state {settings.state_dir}", Text("Nothing is saved here yet."))
    else:
        for each in found:
            print_page(str(each.folder.path), _verdict(each))
    if any(each.start_fault for each in found):
        raise typer.Exit(Refused.exit_code)
    if not all(each.is_whole for each in found):
        raise typer.Exit(DAMAGED)


def _verified(found: Survey) -> Document:
    return {
        "path": str(found.folder.path),
        "running": found.folder.holder() is not None,
        "ok": found.is_whole,
        "start_fault": found.start_fault,
        "books_fault": found.books_fault,
        "journal_seq": found.folded.journal_seq if found.folded else None,
        "files": [
            {"file": str(f.path), "ok": not f.fault, "fault": f.fault, "text": f.text}
            for f in findings(found)
        ],
    }


def _verdict(found: Survey) -> RenderableType:
    lines = {_name(found, f): f"BAD  {f.fault}" if f.fault else _good(f) for f in findings(found)}
    folded = found.folded
    if folded is not None:
        lines["fold"] = (
            f"{GOOD}  the journal folds onto the snapshot, to record {folded.journal_seq}"
        )
        lines["books"] = (
            f"BAD  {found.books_fault}"
            if found.books_fault
            else (f"{GOOD}  the books add up to the account, and cash to the capital")
        )
    verdict = "A start goes on from this."
    if found.start_fault:
        verdict = f"A start would be refused: {found.start_fault}"
    elif not found.is_whole:
        verdict = "A start goes on from this, though something is damaged: `tradewind state repair`"
    return Group(facts(lines), Text(""), Text(verdict, style="bold"), Text(""))


def _good(finding: FileFinding) -> str:
    return finding.text if finding.text.startswith("not read") else f"{GOOD}  {finding.text}"


def _name(found: Survey, finding: FileFinding) -> str:
    return str(finding.path.relative_to(found.folder.path))


# --- diff ----------------------------------------------------------------------------------------


def diff_command(
    as_json: AsJson = False, state_dir: StateDir = None, env_file: EnvFile = None
) -> None:
    """Show the saved book beside the venue's; change nothing."""
    both = state_diff.side_by_side(settings_here(env_file, state_dir))
    if as_json:
        print_json(_compared(both))
    else:
        print_page(_heading(both), _difference(both))


def _heading(both: SideBySide) -> str:
    holder = both.folder.holder()
    moving = f", in use by process {holder}: what is in flight may differ" if holder else ""
    return f"{both.folder.path}, saved {both.saved.saved_at:%Y-%m-%d %H:%M:%S} UTC{moving}"


def _compared(both: SideBySide) -> Document:
    return {
        "same": both.is_same,
        "running": both.folder.holder() is not None,
        "account_id": both.account.account_id,
        "cash_usd": {
            "booked": str(both.saved.portfolio.cash_usd),
            "venue": str(both.account.cash_usd),
        },
        "positions": _positions(both),
        "orders": _orders(both),
        "unbooked": list(both.differences.unbooked),
    }


def _positions(both: SideBySide) -> list[Document]:
    ours, theirs = both.saved.portfolio.positions, both.account.positions
    differing = {d.symbol for d in both.differences.positions} | {*both.differences.averages}
    rows = []
    for symbol in sorted({*ours, *theirs}):
        our, their = ours.get(symbol), theirs.get(symbol)
        rows.append(
            {
                "symbol": symbol,
                "booked_shares": str(our.quantity_shares) if our else "0",
                "venue_shares": str(their.quantity_shares) if their else "0",
                "booked_average_usd": str(our.average_entry_usd) if our else None,
                "venue_average_usd": str(their.average_entry_usd) if their else None,
                "same": symbol not in differing,
            }
        )
    return rows


def _orders(both: SideBySide) -> list[Document]:
    return [
        {
            "client_order_id": d.client_order_id,
            "booked": d.ours.value,
            "venue": d.theirs.value,
            "action": d.action.value,
        }
        for d in both.differences.orders
    ]


def _difference(both: SideBySide) -> RenderableType:
    def number(key: str) -> Column:
        return Column(key.replace("_", " "), lambda row: str(row[key] or ""), is_number=True)

    def words(key: str) -> Column:
        return Column(key.replace("_", " "), lambda row: str(row[key]))

    mark = Column("", lambda row: "" if row["same"] else "differs")
    columns = ("booked_shares", "venue_shares", "booked_average_usd", "venue_average_usd")
    positions = table(
        _positions(both),
        (Column("symbol", lambda row: row["symbol"]), *map(number, columns), mark),
        empty="Neither side holds anything.",
    )
    orders = table(
        _orders(both),
        (words("client_order_id"), words("booked"), words("venue"), words("action")),
        empty="No order differs.",
    )
    cash = {
        "cash": f"${both.saved.portfolio.cash_usd} booked, ${both.account.cash_usd} at the venue"
    }
    verdict = (
        "Both sides are the same."
        if both.is_same
        else "They differ; the next start, or "
        "the running daemon, books what it can explain and halts on the rest."
    )
    blank = Text("")
    return Group(positions, blank, facts(cash), blank, orders, blank, Text(verdict, style="bold"))


# --- rewind and repair ---------------------------------------------------------------------------


def rewind_command(
    to: Annotated[
        int | None, typer.Option("--to", min=1, help="How many saves back; the newest good one.")
    ] = None,
    yes: Yes = False,
    account: Account = None,
    as_json: AsJson = False,
    state_dir: StateDir = None,
    env_file: EnvFile = None,
) -> None:
    """Make an older snapshot the current one; the journal brings it forward. Keeps all files."""
    folder = _folder(settings_here(env_file, state_dir), account)
    with StateLock(folder.path):
        _tell_or_do(folder, state_repair.plan_rewind(folder, to), does=yes, as_json=as_json)


def repair_command(
    from_broker: Annotated[
        bool, typer.Option("--from-broker", help="Begin anew from the venue's account.")
    ] = False,
    yes: Yes = False,
    account: Account = None,
    as_json: AsJson = False,
    state_dir: StateDir = None,
    env_file: EnvFile = None,
) -> None:
    """Keep the newest good snapshot and every sound record after it; move the rest aside."""
    settings = settings_here(env_file, state_dir)
    if from_broker:
        report = state_diff.venue_account(settings)
        folder = folder_of(settings.state_dir, settings.venue, report.account_id)
        if account not in (None, report.account_id):
            raise Refused(f"the venue's account is {report.account_id}, not {account}")
        if not folder.path.is_dir():
            raise TradewindError(f"{folder.path}: nothing was ever saved here; a start begins it")
    else:
        folder = _folder(settings, account)
    with StateLock(folder.path):
        if from_broker:
            plan = state_repair.plan_from_broker(folder, report, _distrusted(settings, report))
        else:
            plan = state_repair.plan_repair(folder)
        _tell_or_do(folder, plan, does=yes, as_json=as_json)


def _distrusted(settings: Settings, report: AccountReport) -> TradingStatus:
    """Return a halt that a person must lift by name: which slots were decided is not known."""
    now = report.reported_at
    active = TradingStatus(state=TradingState.ACTIVE, since_at=now)
    seen = StateDistrusted(
        at=now, cause="state repair --from-broker", evidence="the book began anew from the venue"
    )
    return next_status(active, seen, settings_rules.risk_limits(settings), now) or active


def _folder(settings: Settings, account: str | None) -> StateFolder:
    """Return the one state meant. Raises TradewindError for none, and for several."""
    found = [
        f for f in state_folders(settings.state_dir, settings.venue) if f.venue == settings.venue
    ]
    if account is not None:
        found = [f for f in found if f.account_id == account]
    if not found:
        raise TradewindError(
            f"{settings.state_dir}: no state of {settings.venue}{f'-{account}' if account else ''} "
            "is there; name it with --state-dir and VENUE"
        )
    if len(found) > 1:
        accounts = ", ".join(f.account_id for f in found)
        raise TradewindError(f"{settings.state_dir} holds several accounts: --account {accounts}")
    return found[0]


def _tell_or_do(folder: StateFolder, plan: Plan, *, does: bool, as_json: bool) -> None:
    """Show what is to be done and, told to, do it."""
    if does:
        _carry_out(folder, plan)
    document = {
        "path": str(folder.path),
        "done": does and bool(plan.deeds),
        "steps": list(plan.steps),
        "afterwards": plan.afterwards if plan.deeds else "",
    }
    if as_json:
        print_json(document)
        return
    if not plan.deeds:
        print_page(str(folder.path), Text("Nothing is to be repaired."))
        return
    ending = "Done. " if does else "Nothing was changed: --yes does it. "
    steps = [Text(f"- {step}") for step in plan.steps]
    body = Group(*steps, Text(""), Text(f"{ending}Then: {plan.afterwards}."))
    print_page(str(folder.path), body)


def _carry_out(folder: StateFolder, plan: Plan) -> None:
    try:
        plan.carry_out()
    except OSError as fault:
        raise Refused(
            f"{folder.path}: the repair stopped half way ({fault}); nothing is lost: run it again"
        ) from fault
