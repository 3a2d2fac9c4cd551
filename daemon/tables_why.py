"""`why-not` and `explain` as pages for people."""

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from daemon.api_client import Document
from daemon.tables import facts
from daemon.words import figure, instant, percent, strength, usd


def why_not_page(answer: Document) -> RenderableType:
    """Return why one symbol was or was not ordered, in words."""
    head = Text(f"{answer['symbol']}: {answer['in_words']}", style="bold")
    head.append(f": {answer['meaning']}", style="not bold")
    parts: dict[str, str | Text] = {
        "Decision": f"slot {instant(answer['slot_at'])}, taken {instant(answer['decided_at'])}",
        "Signals": _signals(answer),
        "Target": _target(answer),
        "Held": f"{answer['held_shares']} shares",
        "Wanted": f"{answer['wanted_shares']} shares",
        "Order": answer["client_order_id"],
        "Reasons": "\n".join(answer["reasons"]),
        "Denied by": "\n".join(_denial(row) for row in answer["denials"]),
        "Quarantined": answer["quarantined"],
        "Trading": _trading(answer),
        "Benched": "\n".join(f"{name}: {why}" for name, why in answer["benched"].items()),
    }
    return Group(head, Text(""), facts(parts))


def _signals(answer: Document) -> str:
    lines = []
    for name, value in answer["strengths"].items():
        prefix = f"{name}."
        evidence = [
            f"{key.removeprefix(prefix)} {figure(shown)}"
            for key, shown in answer["evidence"].items()
            if key.startswith(prefix)
        ]
        because = f" ({', '.join(evidence)})" if evidence else ""
        lines.append(f"{name} {strength(value)}{because}")
    return "\n".join(lines) or "no strategy has an opinion"


def _target(answer: Document) -> str:
    weight = answer["target_weight"]
    if weight is None:
        return "none: the order did not come from a slot's decision"
    worth = usd(weight * float(answer["equity_usd"]))
    return f"{percent(weight)} of equity ({worth})"


def _denial(row: Document) -> str:
    return (
        f"{row['rule']}: {row['value']}; limit {row['limit']}; headroom {row['headroom']}; "
        f"{row['allowed_shares']} shares would pass\n  {row['setting']}: {row['action']}"
    )


def _trading(answer: Document) -> str:
    if answer["trading_state"] == "ACTIVE":
        return ""
    return f"{answer['trading_state']} ({answer['cause']}); resumes: {answer['resumes']}"


def explained(found: Document) -> RenderableType:
    """Return an order's lineage, one step a line."""
    order = found["order"]
    head = Text(f"Order {found['client_order_id']}", style="bold")
    if order is not None:
        said = (
            f": {order['side']} {order['quantity_shares']} {order['symbol']}, {order['status']}, "
            f"{order['filled_shares']} filled"
        )
        average = order["filled_average_usd"]
        head.append(said + (f" at {usd(average)} on average" if average else ""), style="not bold")
    grid = Table.grid(padding=(0, 2, 0, 0))
    grid.add_column(no_wrap=True)
    grid.add_column(no_wrap=True, style="bold")
    grid.add_column(overflow="fold")
    for step in found["steps"]:
        grid.add_row(instant(step["at"]), step["kind"], step["text"])
    others = facts(
        {
            "Books (shares)": ", ".join(
                f"{n} {s}" for n, s in (order or {"books": {}})["books"].items()
            ),
            "Venue's id": (order or {"venue_order_id": ""})["venue_order_id"],
            "Same wish": ", ".join(found["same_wish"]),
            "Note": found["note"],
        }
    )
    return Group(head, Text(""), grid, Text(""), others)
