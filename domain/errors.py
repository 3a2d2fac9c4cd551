"""What can go wrong, sorted by who must act."""

from enum import StrEnum


class TradewindError(Exception):
    """Base of every error a person may see; never raised itself."""

    exit_code = 1


class ConfigurationFault(TradewindError):
    """The operator's settings cannot be used; nothing was started."""

    exit_code = 4


class Refused(TradewindError):
    """Going on would be unsafe (second instance, foreign state, other exchange); nothing lost."""

    exit_code = 5


class StateCorrupt(Refused):
    """The saved state cannot be trusted; the message names file, fault and repairing command."""


class DaemonNotRunning(TradewindError):
    """The command needs a running daemon."""

    exit_code = 3


class InvalidMarketData(TradewindError):
    """The feed's fault: a datum that cannot be true. Drop the datum, count it, go on."""


class VenueError(TradewindError):
    """The venue's fault or answer; subclasses say what may be concluded from it."""


class VenueUnavailable(VenueError):
    """No answer, or one that proves nothing (time-out, reset, 5xx, unreadable body): ambiguous."""


class RequestNotSent(VenueUnavailable):
    """Nothing reached the venue (no connection, no budget): whatever was asked did not happen."""


class WhyRefused(StrEnum):
    """What about an order the venue refuses, by what has to change before it is asked again."""

    MOMENT = "the moment"
    FUNDS = "the money there is"
    SHARES = "the shares there are"
    OPPOSITE = "an order on the other side"
    ASSET = "the asset"
    ACCOUNT = "what the account may do"
    TERMS = "the order's own terms"
    UNKNOWN = "something that this program does not know"

    @property
    def is_lasting(self) -> bool:
        """Whether the same is refused again until something changes that time alone does not."""
        return self not in _PASSING


_PASSING = frozenset({WhyRefused.MOMENT, WhyRefused.FUNDS, WhyRefused.SHARES, WhyRefused.OPPOSITE})


class VenueRejected(VenueError):
    """A definite refusal: the request was understood and not carried out."""

    def __init__(
        self,
        message: str,
        *,
        http_status: int,
        code: int | None,
        why: WhyRefused = WhyRefused.MOMENT,
    ) -> None:
        super().__init__(message)
        self.http_status = http_status
        self.code = code
        self.why = why


class AccountBlocked(VenueRejected):
    """The account may not trade, though the keys are right: a person must see to it."""


class NotAuthorized(VenueRejected):
    """Keys missing, wrong, or without the right: the operator must act."""

    exit_code = 4
