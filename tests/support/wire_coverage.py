"""The guide's coverage table, made of the specification's rows and the tests that carry their ids.

`python -m tests.support.wire_coverage` writes it into docs/exchange.md. A test says which rows it
checks by `@pytest.mark.wire("row-id", ...)`, on itself or on one of its parameter sets; the
markers are read from the source, so that nothing need run.
"""

import ast
import tomllib
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

ROOT = Path(__file__).parents[2]
ROWS = Path(__file__).with_name("wire_rows.toml")
GUIDE = ROOT / "docs" / "exchange.md"
BEGIN = "<!-- coverage: made by python -m tests.support.wire_coverage -->"
END = "<!-- end of coverage -->"
GRADES = frozenset({"D", "P", "O", "I", "own"})
TESTS_NAMED_MAX = 3


@dataclass(frozen=True, slots=True)
class Row:
    """One thing the wire's specification says, and the grade of its evidence."""

    id: str
    group: str
    what: str
    grade: str


def rows() -> list[Row]:
    """Return every row of the specification, in its order."""
    return [Row(**row) for row in tomllib.loads(ROWS.read_text(encoding="utf-8"))["row"]]


@cache
def checks() -> dict[str, list[str]]:
    """Return row id → the names of the tests that check it, in order."""
    found: dict[str, set[str]] = defaultdict(set)
    for file in (ROOT / "tests").rglob("test_*.py"):
        text = file.read_text(encoding="utf-8")
        if "mark.wire(" in text:
            for row, test in checks_in(ast.parse(text)):
                found[row].add(test)
    return {row: sorted(tests) for row, tests in found.items()}


def checks_in(module: ast.Module) -> Iterator[tuple[str, str]]:
    """Yield (row id, name of a test) of a module: marked itself, in a parameter set, or in a table
    of them that it names."""
    tables = {
        target.id: node.value
        for node in module.body
        if isinstance(node, ast.Assign | ast.AnnAssign) and node.value is not None
        for target in (node.targets if isinstance(node, ast.Assign) else [node.target])
        if isinstance(target, ast.Name)
    }
    groups = [node.body for node in module.body if isinstance(node, ast.ClassDef)]
    for node in [*module.body, *(member for group in groups for member in group)]:
        if not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            continue
        for decorator in node.decorator_list:
            named = [n.id for n in ast.walk(decorator) if isinstance(n, ast.Name)]
            for tree in (decorator, *(tables[n] for n in named if n in tables)):
                for row in _rows_of(tree):
                    yield row, node.name


def _rows_of(tree: ast.AST) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and getattr(node.func, "attr", "") == "wire":
            for argument in node.args:
                assert isinstance(argument, ast.Constant), "a row's id is written out"
                yield str(argument.value)


def table() -> str:
    """Return the table as Markdown, between its marks."""
    tests = checks()
    lines = [BEGIN]
    group = ""
    missing = []
    for row in rows():
        named = tests.get(row.id, [])
        if not named:
            missing.append(row)
            continue
        if row.group != group:
            group = row.group
            lines += ["", f"### {group}", "", "| What | Evidence | Test |", "|---|---|---|"]
        shown = ", ".join(f"`{test}`" for test in named[:TESTS_NAMED_MAX])
        more = len(named) - TESTS_NAMED_MAX
        lines.append(
            f"| {row.what} | {row.grade} | {shown}{f' and {more} more' if more > 0 else ''} |"
        )
    lines += ["", "### Rows without a check", ""]
    lines += [f"- {row.group}: {row.what}" for row in missing] or ["None."]
    return "\n".join([*lines, "", END])


def written(guide: str) -> str:
    """Return a guide with the table of today in it."""
    head, _, rest = guide.partition(BEGIN)
    _, _, tail = rest.partition(END)
    return f"{head}{table()}{tail}"


if __name__ == "__main__":
    GUIDE.write_text(written(GUIDE.read_text(encoding="utf-8")), encoding="utf-8")
