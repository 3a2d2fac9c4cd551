"""Laying text out on a terminal: panels that get the rows they need, columns that fit."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from rich.console import Console, ConsoleOptions, RenderResult
from rich.segment import Segment
from rich.text import Text

from daemon.api_client import Document
from daemon.words import printable

GAP = "  "


@dataclass(frozen=True, slots=True)
class Cell:
    """A column of a panel: heading, how a row's value is written, its side and its colour.

    Columns are given in the order of their worth: those that do not fit are left out.
    """

    heading: str
    write: Callable[[Document], str]
    is_number: bool = False
    style: Callable[[Document], str] = field(default=lambda row: "")


@dataclass(frozen=True, slots=True, kw_only=True)
class Panel:
    """A titled list. `draw(width)` gives its lines, the most important first; `rows_min` are kept
    when room is short, and spare room is given out by `weight`."""

    title: str
    draw: Callable[[int], Sequence[Text]]
    rows_min: int = 2
    weight: int = 1


class Page:
    """Lines that fill a terminal exactly, so that redrawing them never flickers or scrolls."""

    def __init__(self, lines: Sequence[Text]) -> None:
        self.lines = list(lines)

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        for number, line in enumerate(self.lines):
            if number:
                yield Segment.line()
            yield from line.render(console)


def fitted(line: Text, width: int) -> Text:
    """Return the line cut or padded to exactly `width` cells."""
    cut = line.copy()
    cut.plain = printable(cut.plain)
    cut.no_wrap = True
    cut.truncate(width, overflow="ellipsis", pad=True)
    cut.end = ""
    return cut


def rows_of(rows: Sequence[Document], cells: Sequence[Cell], width: int) -> list[Text]:
    """Return rows under headings, as many columns as fit."""
    written = [[cell.write(row) for row in rows] for cell in cells]
    chosen: list[tuple[Cell, list[str], int]] = []
    left = width
    for cell, texts in zip(cells, written, strict=True):
        needed = max([len(cell.heading), *map(len, texts)])
        room = left - (len(GAP) if chosen else 0)
        if needed > room and not (not chosen or _may_shrink(cell, room)):
            continue
        chosen.append((cell, texts, min(needed, room)))
        left = room - min(needed, room)
    head = [_aligned(cell.heading, size, cell) for cell, _, size in chosen]
    lines = [Text(GAP.join(head), style="dim")]
    for number, row in enumerate(rows):
        line = Text()
        for at, (cell, texts, size) in enumerate(chosen):
            line.append(GAP if at else "")
            line.append(_aligned(texts[number], size, cell), style=cell.style(row))
        lines.append(line)
    return lines


WORDS_MIN = 12
"""A column of words may be cut to this many characters rather than left out."""


def _may_shrink(cell: Cell, room: int) -> bool:
    return not cell.is_number and room >= WORDS_MIN


def _aligned(text: str, size: int, cell: Cell) -> str:
    if len(text) > size:
        return text[: max(0, size - 1)] + "…"
    return text.rjust(size) if cell.is_number else text.ljust(size)


def column(panels: Sequence[Panel], width: int, height: int) -> list[Text]:
    """Return panels one under another in exactly `height` lines of `width` cells."""
    drawn = [list(panel.draw(width)) for panel in panels]
    sizes = _shares(panels, [len(lines) for lines in drawn], height - len(panels))
    page: list[Text] = []
    for panel, lines, size in zip(panels, drawn, sizes, strict=True):
        page.append(fitted(_title(panel.title, len(lines) - size, width), width))
        page += [fitted(line, width) for line in lines[:size]]
    blank = fitted(Text(""), width)
    return [*page, *[blank] * (height - len(page))][:height]


def _title(title: str, hidden: int, width: int) -> Text:
    more = f" (+{hidden})" if hidden > 0 else ""
    text = Text(f"{title}{more} ", style="bold cyan")
    text.append("─" * max(0, width - len(text)), style="dim cyan")
    return text


def _shares(panels: Sequence[Panel], needs: Sequence[int], height: int) -> list[int]:
    """Return how many rows each panel gets: its least, then by weight until it needs no more."""
    sizes = [min(need, panel.rows_min) for panel, need in zip(panels, needs, strict=True)]
    while sum(sizes) > max(0, height):
        sizes[sizes.index(max(sizes))] -= 1
    while sum(sizes) < height:
        wanting = [i for i, need in enumerate(needs) if sizes[i] < need]
        if not wanting:
            break
        neediest = min(wanting, key=lambda i: (sizes[i] / panels[i].weight, i))
        sizes[neediest] += 1
    return sizes


def side_by_side(left: Sequence[Text], right: Sequence[Text]) -> list[Text]:
    """Return two columns of equal height as one."""
    joined = []
    for one, other in zip(left, right, strict=True):
        line = one.copy()
        line.append(GAP)
        line.append_text(other)
        line.end = ""
        joined.append(line)
    return joined


def wrapped(text: str, width: int, lines_max: int, style: str = "") -> list[Text]:
    """Return words broken into lines of a width; what is beyond the last is cut."""
    lines: list[str] = [""]
    for word in text.split():
        longer = f"{lines[-1]} {word}".strip()
        if len(longer) <= width or len(lines) == lines_max:
            lines[-1] = longer
        else:
            lines.append(word)
    return [fitted(Text(line, style=style), width) for line in lines]
