"""No entry while the market is closed, nor in the first minutes after the open."""

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
class SessionOpenRule:
    """Spreads are wide just after the open; entries begin `no_entry_first_minutes` later."""

    no_entry_first_minutes: int
    _wait: timedelta = field(init=False, repr=False, compare=False)
    name: ClassVar[str] = "session_open"
    setting: ClassVar[str] = SETTING_OF["no_entry_first_minutes"]
    binds_closing: ClassVar[bool] = False

    def __post_init__(self) -> None:
        # As a length once, for screens: only a memory of what the field above says.
        object.__setattr__(self, "_wait", timedelta(minutes=self.no_entry_first_minutes))

    def check(self, intent: OrderIntent, view: RiskView) -> Denial | None:
        """Return an objection before entries begin."""
        session = view.session
        if session is None:
            return deny(self, self._wording("the market is closed"))
        begins_at = session.opens_at + timedelta(minutes=self.no_entry_first_minutes)
        if view.as_of >= begins_at:
            return None
        wait_s = (begins_at - view.as_of).total_seconds()
        return deny(self, self._wording(f"{wait_s:.0f} s before entries begin"))

    def spares(self, order: Sketch) -> bool:
        """Spare every order once entries have begun."""
        session = order.view.session
        return session is not None and order.view.as_of >= session.opens_at + self._wait

    def _wording(self, value: str) -> Wording:
        return Wording(
            limit=f"no entry in the first {self.no_entry_first_minutes} minutes of a session",
            value=value,
            headroom="0 shares until then",
            action="wait; exits pass meanwhile",
        )

    def witnesses(self) -> Witnesses:
        """Return an entry as entries begin, and one a second before."""
        begins_at = SESSION.opens_at + timedelta(minutes=self.no_entry_first_minutes)
        return between(
            entry(),
            inside=at_instant(calm_view(), begins_at),
            outside=at_instant(calm_view(), begins_at - timedelta(seconds=1)),
            unit="1 s",
        )
