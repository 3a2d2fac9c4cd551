"""Figures of the documents, written for people: money, shares of one, instants, strengths."""

from datetime import UTC, datetime
from decimal import Decimal

from domain.calendar import NEW_YORK
from domain.money import CENT

UNKNOWN = ""


def usd(amount: object) -> str:
    """Return money to the cent, with sign and thousands ("-$1,234.50"); nothing for None."""
    if amount is None:
        return UNKNOWN
    value = Decimal(str(amount))
    exact = value.quantize(CENT)
    return f"{'-' if value < 0 else ''}${abs(exact):,}"


def signed_usd(amount: object) -> str:
    """Return a gain or loss ("+$12.00", "-$3.10", "$0.00")."""
    if amount is None:
        return UNKNOWN
    return f"+{usd(amount)}" if Decimal(str(amount)) > 0 else usd(amount)


def percent(share: object) -> str:
    """Return a share of one as a percentage ("2.35 %")."""
    if share is None:
        return UNKNOWN
    return f"{Decimal(str(share)) * 100:.2f} %"


def strength(value: float | None) -> str:
    """Return a strength with its sign ("+0.71"); nothing for no opinion."""
    return UNKNOWN if value is None else f"{value:+.2f}"


def parsed(at: object) -> datetime | None:
    """Return an instant of a document, None for none."""
    return datetime.fromisoformat(str(at)).astimezone(UTC) if at else None


def instant(at: object) -> str:
    """Return an instant to the second ("2026-01-05 14:40:03 UTC"), nothing for none."""
    known = parsed(at)
    return f"{known:%Y-%m-%d %H:%M:%S} UTC" if known else UNKNOWN


def time_of_day(at: object) -> str:
    """Return an instant's time in New York, where the market is ("09:40:03"); nothing for none."""
    known = parsed(at)
    return f"{known.astimezone(NEW_YORK):%H:%M:%S}" if known else UNKNOWN


def day_and_time(at: object) -> str:
    """Return an instant in New York ("Mon 2026-01-05 09:40:03 New York"), nothing for none."""
    known = parsed(at)
    return f"{known.astimezone(NEW_YORK):%a %Y-%m-%d %H:%M:%S} New York" if known else UNKNOWN


def figure(value: float) -> str:
    """Return an observed number with as many digits as mean something."""
    return f"{value:,.4f}".rstrip("0").rstrip(".") if abs(value) < 1 else f"{value:,.2f}"


def printable(text: str) -> str:
    """Return a text without line breaks and control characters: it may come from a user's file,
    and must not steer the terminal."""
    return text if text.isprintable() else "".join(c if c.isprintable() else " " for c in text)
