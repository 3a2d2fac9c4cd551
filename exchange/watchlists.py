"""Watchlists: named lists of assets that an account keeps. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from exchange import errors

NAME_CHARACTERS_MAX = 64
WATCHLISTS_MAX = 200
"""Lists an account may have; Alpaca's own number is not known."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Watchlist:
    """One list; its symbols in the order in which they were put there, none twice."""

    id: str
    name: str
    symbols: tuple[str, ...]
    created_ns: int
    updated_ns: int


Watchlists = tuple[Watchlist, ...]


def by_id(lists: Watchlists, list_id: str) -> Watchlist:
    """Return the list of an id. Raises Refusal when there is none."""
    return _found(next((known for known in lists if known.id == list_id), None), list_id)


def by_name(lists: Watchlists, name: str) -> Watchlist:
    """Return the list of a name. Raises Refusal when there is none."""
    return _found(next((known for known in lists if known.name == name), None), name)


def _found(found: Watchlist | None, asked: str) -> Watchlist:
    if found is None:
        raise errors.not_found(f"watchlist not found for {asked[:80]}")
    return found


def with_new(lists: Watchlists, new: Watchlist) -> Watchlists:
    """Return the lists and a new one. Raises Refusal for a name that is taken or none."""
    if len(lists) >= WATCHLISTS_MAX:
        raise errors.invalid(f"an account has no more than {WATCHLISTS_MAX} watchlists")
    _judge_name(lists, new)
    return (*lists, new)


def with_changed(lists: Watchlists, changed: Watchlist) -> Watchlists:
    """Return the lists with one in the place of that of its id. Raises Refusal for a name that
    is taken or none."""
    _judge_name(lists, changed)
    return tuple(changed if known.id == changed.id else known for known in lists)


def without(lists: Watchlists, gone: Watchlist) -> Watchlists:
    """Return the lists without one."""
    return tuple(known for known in lists if known.id != gone.id)


def updated(
    old: Watchlist, now_ns: int, *, name: str | None, symbols: Sequence[str] | None
) -> Watchlist:
    """Return a list with another name or other symbols; None leaves them as they are."""
    return replace(
        old,
        name=old.name if name is None else name,
        symbols=old.symbols if symbols is None else tuple(dict.fromkeys(symbols)),
        updated_ns=now_ns,
    )


def with_symbol(old: Watchlist, symbol: str, now_ns: int) -> Watchlist:
    """Return a list with one more symbol. Raises Refusal when it is there already."""
    if symbol in old.symbols:
        raise errors.invalid(f"duplicated symbol: {symbol}")
    return replace(old, symbols=(*old.symbols, symbol), updated_ns=now_ns)


def without_symbol(old: Watchlist, symbol: str, now_ns: int) -> Watchlist:
    """Return a list without a symbol. Raises Refusal when it is not there."""
    if symbol not in old.symbols:
        raise errors.not_found(f"symbol not found in watchlist: {symbol[:40]}")
    left = tuple(known for known in old.symbols if known != symbol)
    return replace(old, symbols=left, updated_ns=now_ns)


def _judge_name(lists: Watchlists, wanted: Watchlist) -> None:
    if not wanted.name:
        raise errors.invalid("watchlist name is required")
    if len(wanted.name) > NAME_CHARACTERS_MAX:
        raise errors.invalid(
            f"watchlist name must be no more than {NAME_CHARACTERS_MAX} characters"
        )
    if any(known.name == wanted.name and known.id != wanted.id for known in lists):
        raise errors.invalid("watchlist name must be unique")
