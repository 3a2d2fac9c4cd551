"""What the options of several research commands mean."""

from datetime import date

import typer


def day_of(text: str | None) -> date | None:
    """Return the day an option names, None for one that was not given."""
    if text is None:
        return None
    try:
        return date.fromisoformat(text)
    except ValueError as fault:
        raise typer.BadParameter(f"{text!r} is no day; write YYYY-MM-DD") from fault
