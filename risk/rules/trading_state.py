"""ACTIVE trades, REDUCING only closes, HALTED and quarantined symbols only flatten."""

from dataclasses import dataclass, replace
from decimal import Decimal
from typing import ClassVar

from domain.money import ZERO
from domain.orders import Denial, Leg, OrderIntent, Severity
from domain.snapshot import TradingState
from risk.rule import BUILT_IN, Wording, deny
from risk.screening import Sketch
from risk.view import RiskView
from risk.witnesses import Witnesses, between, calm_view, entry

# Looked up once: a member of an enumeration is found through its class, and orders are many.
_ACTIVE, _FLATTEN = TradingState.ACTIVE, Leg.FLATTEN


@dataclass(frozen=True, slots=True, kw_only=True)
class TradingStateRule:
    """What the latched trading state and a symbol's quarantine leave open.

    Where the book cannot be trusted, not even a sale is known to close: only an operator's
    flatten passes. A flatten closes and does nothing else in every state.
    """

    name: ClassVar[str] = "trading_state"
    setting: ClassVar[str] = BUILT_IN
    binds_closing: ClassVar[bool] = True

    def check(self, intent: OrderIntent, view: RiskView) -> Denial | None:
        """Return an objection unless the state lets the whole order pass."""
        state = view.trading.state
        quarantine = view.quarantined.get(intent.symbol)
        is_flatten = intent.leg is Leg.FLATTEN
        if state is TradingState.ACTIVE and quarantine is None and not is_flatten:
            return None
        is_distrusted = state is TradingState.HALTED or quarantine is not None
        if is_distrusted and not is_flatten:
            return self._deny(view, quarantine, ZERO)
        closing = view.closing_shares(intent)
        return None if closing >= intent.quantity_shares else self._deny(view, quarantine, closing)

    def spares(self, order: Sketch) -> bool:
        """Spare all but a flatten while ACTIVE, with nothing in quarantine."""
        view = order.view
        if view.trading.state is not _ACTIVE or view.quarantined:
            return False
        return order.intent.leg is not _FLATTEN

    def _deny(self, view: RiskView, quarantine: str | None, allowed_shares: Decimal) -> Denial:
        status = view.trading
        if quarantine is not None:
            value = f"quarantined: {quarantine}"
            action = "reconcile the symbol with the venue, then `tradewind resume`"
        else:
            value = f"{status.state}, {status.cause or 'no cause given'}"
            action = status.resumes or status.action or "see `tradewind risk`"
        wording = Wording(
            limit="ACTIVE: all; REDUCING: only toward zero; HALTED: only flatten",
            value=value,
            headroom=f"{allowed_shares:f} shares",
            action=action,
            severity=max(status.severity, Severity.WARNING, key=_RANK.__getitem__),
        )
        return deny(self, wording, allowed_shares)

    def witnesses(self) -> Witnesses:
        """Return an entry while ACTIVE, and the same while REDUCING."""
        calm = calm_view()
        reducing = replace(calm.trading, state=TradingState.REDUCING, cause="operator")
        return between(
            entry(), inside=calm, outside=replace(calm, trading=reducing), unit="1 state"
        )


_RANK = {Severity.INFO: 0, Severity.WARNING: 1, Severity.CRITICAL: 2}
