"""Words and keys that no client knows, in replies and messages. Pure functions on decoded JSON."""

from collections.abc import Mapping
from typing import Any

from exchange.ids import hex_text

EVENT, KEY = "event", "key"
ORDER_WORDS = ("status", "type", "side", "order_class", "time_in_force")
"""What may be unknown of an order, and of whatever else has fields of these names."""
_DRAWN_FROM = ("status", "type", "side")
"""What is unknown where a script does not say: the last two have few words, and seldom new ones."""
_TWINS = {"type": "order_type"}


class Dice:
    """Numbers that belong to one occasion of one rule, the same each time they are asked for."""

    def __init__(self, seed: int, name: str, number: int) -> None:
        self._parts = (seed, "word", name, number)

    def word(self, name: str) -> str:
        """Return a word that no client knows, for a field or key."""
        return f"unheard_{name}_{hex_text(*self._parts, name)[:6]}"

    def index(self, count: int) -> int:
        """Return one of `count` places."""
        return int(hex_text(*self._parts, "place")[:8], 16) % count


def unheard_reply(body: Any, how: str, dice: Dice) -> Any:
    """Return a trading reply in which one object says what nobody knows; of a list one row.

    A reply without such a field stays as it is.
    """
    if isinstance(body, list):
        rows = [n for n, row in enumerate(body) if _fields(_inner(row), how)]
        if not rows:
            return body
        place = rows[dice.index(len(rows))]
        return [unheard_reply(row, how, dice) if n == place else row for n, row in enumerate(body)]
    if not isinstance(body, dict):
        return body
    if isinstance(body.get("body"), dict):
        return {**body, "body": _changed(body["body"], how, dice)}
    return _changed(body, how, dice)


def unheard_update(message: Mapping[str, Any], how: str, dice: Dice) -> dict[str, Any]:
    """Return a message of the trading stream whose event or order says what nobody knows."""
    data = dict(message["data"])
    if how == EVENT or (not how and dice.index(len(_DRAWN_FROM) + 1) == 0):
        data[EVENT] = dice.word(EVENT)
    elif how == KEY:
        data[dice.word(KEY)] = {"unheard": True}
    else:
        data["order"] = _changed(data["order"], how, dice)
    return {**message, "data": data}


def unheard_point(how: str, dice: Dice) -> dict[str, Any]:
    """Return the fields that make a message of the data stream one that nobody knows."""
    return {dice.word(KEY): 1} if how == KEY else {"T": dice.word("T")}


def _inner(row: Any) -> Any:
    return row["body"] if isinstance(row, dict) and isinstance(row.get("body"), dict) else row


def _fields(found: Any, how: str) -> list[str]:
    """Return the fields that may say an unknown word."""
    if not isinstance(found, dict):
        return []
    wanted = (how,) if how else _DRAWN_FROM
    return [name for name in wanted if name == KEY or isinstance(found.get(name), str)]


def _changed(found: dict[str, Any], how: str, dice: Dice) -> dict[str, Any]:
    names = _fields(found, how)
    if not names:
        return found
    name = names[dice.index(len(names))]
    word = dice.word(name)
    if name == KEY:
        return {**found, word: {"unheard": True}}
    twin = _TWINS.get(name)
    return {**found, name: word, **({twin: word} if twin in found else {})}
