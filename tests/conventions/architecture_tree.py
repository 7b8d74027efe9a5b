"""The tree in docs/architecture.md, drawn from the package: a file's line is the first line of its docstring.

`python tests/conventions/architecture_tree.py` writes it anew into the page; a test compares the two.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs/architecture.md"
START, END = "```text\n", "```\n"
WIDTH = 48


def tree() -> str:
    """Every module and folder of the package, folders after files."""
    return "".join(f"{line}\n" for line in _lines(ROOT / "src/electra", 0))


def written() -> str:
    """The tree as the page has it."""
    text = PAGE.read_text(encoding="utf-8")
    return text.split(START, 1)[1].split(END, 1)[0]


def _lines(folder: Path, depth: int) -> Iterator[str]:
    yield _line(f"{folder.name}/", folder / "__init__.py", depth)
    for file in sorted(folder.glob("*.py")):
        if file.name != "__init__.py":
            yield _line(file.name, file, depth + 1)
    for inner in sorted(path for path in folder.iterdir() if any(path.rglob("*.py"))):
        yield from _lines(inner, depth + 1)


def _line(name: str, module: Path, depth: int) -> str:
    docstring = ast.get_docstring(ast.parse(module.read_text(encoding="utf-8")))
    assert docstring, f"{module} has no docstring"
    return f"{'  ' * depth + name:<{WIDTH}} {docstring.splitlines()[0].rstrip('.')}"


if __name__ == "__main__":
    before, _, rest = PAGE.read_text(encoding="utf-8").partition(START)
    PAGE.write_text(before + START + tree() + END + rest.partition(END)[2], encoding="utf-8")
