"""No entry in the last minutes before the close."""

from dataclasses import dataclass, field
from datetime import timedelta
from typing import ClassVar

from domain.orders import Denial, OrderIntent
from risk.limits import SETTING_OF
from risk.rule import Wording, deny
from risk.screening import Sketch
from risk.view import RiskView
from risk.witnesses import SESSION, Witnesses, at_instant, between, calm_view, entry


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionCloseRule:
    """Just before the close spreads widen and no time is left to get out again.

    A closed market is the business of `session_open`.
    """

    no_entry_last_minutes: int
    _left: timedelta = field(init=False, repr=False, compare=False)
    name: ClassVar[str] = "session_close"
    setting: ClassVar[str] = SETTING_OF["no_entry_last_minutes"]
    binds_closing: ClassVar[bool] = False

    def __post_init__(self) -> None:
        # As a length once, for screens: only a memory of what the field above says.
        object.__setattr__(self, "_left", timedelta(minutes=self.no_entry_last_minutes))

    def check(self, intent: OrderIntent, view: RiskView) -> Denial | None:
        """Return an objection once entries have ended."""
        if view.session is None:
            return None
        ends_at = view.session.closes_at - timedelta(minutes=self.no_entry_last_minutes)
        if view.as_of < ends_at:
            return None
        left_s = (view.session.closes_at - view.as_of).total_seconds()
        wording = Wording(
            limit=f"no entry in the last {self.no_entry_last_minutes} minutes of a session",
            value=f"{left_s:.0f} s before the close",
            headroom="0 shares until the next session",
            action="wait for the next session; exits pass meanwhile",
        )
        return deny(self, wording)

    def spares(self, order: Sketch) -> bool:
        """Spare every order until entries end."""
        session = order.view.session
        return session is None or order.view.as_of < session.closes_at - self._left

    def witnesses(self) -> Witnesses:
        """Return an entry a second before entries end, and one as they end."""
        ends_at = SESSION.closes_at - timedelta(minutes=self.no_entry_last_minutes)
        return between(
            entry(),
            inside=at_instant(calm_view(), ends_at - timedelta(seconds=1)),
            outside=at_instant(calm_view(), ends_at),
            unit="1 s",
        )
