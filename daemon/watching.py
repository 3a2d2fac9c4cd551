"""Following a daemon from outside: what it says now, what has changed, and what it announces."""

import threading
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from typing import Final

from daemon.api_client import ApiClient, Document
from daemon.screen import MarketFacts, Sight
from daemon.words import time_of_day, usd
from domain.errors import TradewindError

DENIALS_KEPT: Final = 50
NOTICES_KEPT: Final = 20
SYMBOLS_NAMED: Final = 5
STREAM_AGAIN_S: Final = 2.0
"""After the event stream broke: how long until it is asked for again."""

Facts = Callable[[Document], MarketFacts]
ENDED_UNFILLED: Final = frozenset({"canceled", "expired", "rejected", "withheld"})
PAST: Final = {"buy": "bought", "sell": "sold"}


class Announcements(threading.Thread):
    """Listens to the event stream for what no document holds: notices to a person."""

    def __init__(self, client: ApiClient) -> None:
        super().__init__(name="announcements", daemon=True)
        self._client = client
        self._notices: deque[str] = deque(maxlen=NOTICES_KEPT)
        self._ended = threading.Event()

    def run(self) -> None:
        """Listen until `end`; a broken stream is joined again."""
        while not self._ended.is_set():
            try:
                for event in self._client.events():
                    if event.kind == "notice":
                        self._notices.append(str(event.document.get("message", "")))
                    if self._ended.is_set():
                        return
            except (TradewindError, ValueError):
                pass  # the view itself says when the daemon does not answer
            self._ended.wait(STREAM_AGAIN_S)

    def end(self) -> None:
        """Stop listening at the next event."""
        self._ended.set()

    def take(self) -> list[str]:
        """Return the notices that came since last asked."""
        found = []
        while self._notices:
            found.append(self._notices.popleft())
        return found


class Watch:
    """What is known of one daemon, brought up to date by `look`."""

    def __init__(
        self,
        client: ApiClient,
        facts: Facts,
        *,
        state_dir: str,
        how_to_stop: str,
        rows: int,
    ) -> None:
        self._client = client
        self._facts = facts
        self._state_dir = state_dir
        self._how_to_stop = how_to_stop
        self._rows = rows
        self._overview: Document | None = None
        self._market = MarketFacts()
        self._denials: dict[tuple[str, str, str], Document] = {}
        self._notice = ""
        self._silent_since = ""

    def look(self, *, real_time: str, notices: Sequence[str] = ()) -> Sight:
        """Ask the daemon and return what there is to show; it may be gone. Never raises for that.

        `real_time` is the wall's, for saying since when nothing was heard.
        """
        if notices:
            self._notice = notices[-1]
        problem = ""
        try:
            self._overview = self._client.get("overview", limit=self._rows)
            self._silent_since = ""
        except TradewindError as fault:
            self._silent_since = self._silent_since or real_time
            problem = f"No answer since {self._silent_since}: {fault}"
        if self._overview is not None and not problem:
            self._market = self._facts(self._overview)
            self._note_denials(self._overview["denial_rows"])
        return Sight(
            overview=self._overview,
            facts=self._market,
            state_dir=str((self._overview or {}).get("state_dir", self._state_dir)),
            denials=tuple(reversed(self._denials.values())),
            notice=self._notice,
            problem=problem,
            how_to_stop=self._how_to_stop,
        )

    def _note_denials(self, rows: Sequence[Document]) -> None:
        for row in rows:
            self._denials.setdefault((row["decided_at"], row["symbol"], row["rule"]), row)
        for surplus in list(self._denials)[:-DENIALS_KEPT]:
            del self._denials[surplus]


# --- what has changed, in lines ------------------------------------------------------------------


def changes(before: Document, after: Document) -> list[str]:
    """Return what happened between two overviews, a line each: decisions, denials, orders, fills,
    states. Only what stands in the later one can be told."""
    return [
        *_state_change(before, after),
        *_decision(before, after),
        *_denied(before, after),
        *_ordered(before, after),
        *_filled(before, after),
    ]


def _state_change(before: Document, after: Document) -> list[str]:
    if before["trading_state"] == after["trading_state"]:
        return []
    said = f" ({after['cause']}); {after['action']}" if after["cause"] else ""
    at = time_of_day(after["trading_state_since"])
    return [f"{at}  trading   {after['trading_state']}{said}"]


def _decision(before: Document, after: Document) -> list[str]:
    if before["last_decision_at"] == after["last_decision_at"]:
        return []
    return [f"{time_of_day(after['last_decision_at'])}  decision  {after['last_decision']}"]


def _denied(before: Document, after: Document) -> list[str]:
    known = {_denial_key(row) for row in before["denial_rows"]}
    by_limit: dict[tuple[str, str, str], list[Document]] = {}
    for row in after["denial_rows"]:
        if _denial_key(row) not in known:
            key = (row["decided_at"], row["rule"], row["limit"])
            by_limit.setdefault(key, []).append(row)
    lines = []
    for (at, rule, limit), rows in by_limit.items():
        named = ", ".join(row["symbol"] for row in rows[:SYMBOLS_NAMED])
        more = f" and {len(rows) - SYMBOLS_NAMED} more" if len(rows) > SYMBOLS_NAMED else ""
        lines.append(
            f"{time_of_day(at)}  denied    {named}{more}: {rule}, {rows[0]['value']}, limit "
            f"{limit} ({rows[0]['setting']})"
        )
    return lines


def _denial_key(row: Document) -> tuple[str, str, str]:
    return row["decided_at"], row["symbol"], row["rule"]


def _ordered(before: Document, after: Document) -> list[str]:
    known: Mapping[str, Document] = {o["client_order_id"]: o for o in before["order_rows"]}
    lines = []
    for row in reversed(after["order_rows"]):
        earlier = known.get(row["client_order_id"])
        what = f"{row['side']} {row['quantity_shares']} {row['symbol']}"
        if earlier is None:
            at = time_of_day(row["intended_at"])
            terms = f"{row['terms']} {row['time_in_force']}, {row['leg']}"
            lines.append(f"{at}  order     {what}, {terms}: {row['why']}")
        was = earlier["status"] if earlier else ""
        if row["status"] in ENDED_UNFILLED and row["status"] != was:
            at = time_of_day(row["finished_at"])
            reason = f": {row['reason']}" if row["reason"] else ""
            lines.append(f"{at}  {row['status']:<8}  {what}, {row['filled_shares']} filled{reason}")
    return lines


def _filled(before: Document, after: Document) -> list[str]:
    known = {row["fill_id"] for row in before["fill_rows"]}
    return [
        f"{time_of_day(row['filled_at'])}  fill      {PAST[row['side']]} "
        f"{row['quantity_shares']} {row['symbol']} at {usd(row['price_usd'])}"
        for row in reversed(after["fill_rows"])
        if row["fill_id"] not in known
    ]
