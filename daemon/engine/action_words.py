"""Corporate actions in words a person can read."""

from daemon.engine.commands import Notify
from domain.corporate import ActionKind, CorporateAction
from domain.orders import Severity

WAITING = "a corporate action is not in the account yet: "
UNKNOWN = "a corporate action this program cannot book: "
MIXED = "shares were traded since, so what ours cost is not certain: "


def told(action: CorporateAction) -> str:
    """Return what a company does, in one clause."""
    if action.kind is ActionKind.DIVIDEND:
        return f"{action.symbol} pays {action.cash_usd} USD a share, ex {action.ex_day}"
    parts = [f"{action.ratio.normalize():f} {action.becomes}"] if action.ratio else []
    parts += [f"{action.cash_usd} USD"] if action.cash_usd else []
    gets = " and ".join(parts) or "nothing"
    clause = f"{action.kind.value} of {action.symbol}: {gets} for each share, ex {action.ex_day}"
    return f"{clause} ({action.detail})" if action.detail else clause


def odd(action: CorporateAction) -> Notify:
    """Return the word to a person of a split that only the account told of."""
    return Notify(
        key=f"seen:{action.action_id}",
        severity=Severity.CRITICAL,
        message=f"{action.symbol} has split in the account, and nobody announced it: "
        f"{action.ratio.normalize():f} for one; compare with the venue",
    )
