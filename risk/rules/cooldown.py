"""What a stop has sold is not bought straight back."""

from dataclasses import dataclass, replace
from datetime import timedelta
from typing import ClassVar

from domain.orders import Denial, OrderIntent
from risk.limits import SETTING_OF
from risk.rule import Wording, deny
from risk.screening import Sketch
from risk.view import RiskView
from risk.witnesses import NOON, OTHER, STOCK, Witnesses, between, calm_view, entry


@dataclass(frozen=True, slots=True, kw_only=True)
class CooldownRule:
    """No entry into a symbol while it cools down after a protective exit.

    It stays so until its instant has passed *and* its signal was seen to reset
    (`risk.exits.lift_cooldowns`): presence counts, not the clock.
    """

    name: ClassVar[str] = "cooldown"
    setting: ClassVar[str] = SETTING_OF["stop_loss_percent"]
    binds_closing: ClassVar[bool] = False

    def check(self, intent: OrderIntent, view: RiskView) -> Denial | None:
        """Return an objection while the symbol cools down."""
        until_at = view.cooldown_until.get(intent.symbol)
        if until_at is None:
            return None
        wording = Wording(
            limit="no entry after a stop before the next session and a reset of the signal",
            value=f"{intent.symbol} cools down until {until_at:%Y-%m-%d %H:%M}Z and a reset",
            headroom="0 shares until then",
            action="wait",
        )
        return deny(self, wording)

    def spares(self, order: Sketch) -> bool:
        """Spare what does not cool down."""
        return order.symbol not in order.view.cooldown_until

    def witnesses(self) -> Witnesses:
        """Return an entry while another symbol cools down, and while this one does."""
        calm, until_at = calm_view(), NOON + timedelta(days=1)
        return between(
            entry(),
            inside=replace(calm, cooldown_until={OTHER: until_at}),
            outside=replace(calm, cooldown_until={STOCK: until_at}),
            unit="1 symbol",
        )
