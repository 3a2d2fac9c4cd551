"""What a rule is, and how it words an objection."""

from typing import Protocol

from domain.orders import Denial, OrderIntent
from risk.view import RiskView
from risk.witnesses import Witnesses

BUILT_IN = "built in"
"""Setting of a rule that no key in `.env` moves."""
SHARE_SLACK = 1e-9
"""A billionth of a share: absorbs float rounding where a limit falls exactly on a whole lot."""


class RiskRule(Protocol):
    """One reason to trade less. Pure: same intent and view, same answer.

    `setting` is the key in `.env` of its limit, or BUILT_IN. `binds_closing` is True only for a
    rule that may hold back even what only closes.
    """

    @property
    def name(self) -> str:
        """The name of its file, and what denials are counted by."""
        ...

    @property
    def setting(self) -> str:
        """The key of its limit."""
        ...

    @property
    def binds_closing(self) -> bool:
        """Whether it is asked about orders that only close."""
        ...

    def check(self, intent: OrderIntent, view: RiskView) -> Denial | None:
        """Return an objection saying how many shares would pass, or None."""
        ...

    def witnesses(self) -> Witnesses:
        """Return an order one unit inside and one a unit outside the limit."""
        ...
