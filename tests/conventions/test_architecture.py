"""The tree of docs/architecture.md is the package's, and its rooms are of a size that one can look over."""

from __future__ import annotations

import re
import tomllib
from collections import Counter
from pathlib import Path

from tests.conventions.architecture_tree import PAGE, ROOT, tree, written

MODULES = [path for path in (ROOT / "src/electra").rglob("*.py") if path.name != "__init__.py"]
LARGEST_FOLDER = 14
README = (ROOT / "README.md").read_text(encoding="utf-8")


def test_the_tree_is_the_package() -> None:
    assert written() == tree(), "run python tests/conventions/architecture_tree.py"


def test_no_folder_is_crowded() -> None:
    sizes = Counter(path.parent for path in MODULES)
    assert {folder.name: size for folder, size in sizes.items() if size > LARGEST_FOLDER} == {}


def test_a_file_name_occurs_once() -> None:
    named = Counter(path.name for path in MODULES if path.name != "__main__.py")
    assert [name for name, times in named.items() if times > 1] == []


def test_no_file_is_long() -> None:
    assert [str(path) for path in MODULES if len(Path(path).read_text(encoding="utf-8").splitlines()) > 400] == []


def test_the_map_of_the_readme_names_every_room_in_the_order_of_the_imports() -> None:
    [block] = re.findall(r"^src/electra/\n((?:  .*\n)+)", README, flags=re.MULTILINE)
    named = [name.strip(" /,") for line in block.splitlines() for name in line[:19].split(",")]
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    layers = project["tool"]["importlinter"]["contracts"][0]["layers"]
    rooms = [room.strip() for layer in layers for room in layer.split("|")]
    assert named == [room for room in rooms if room != "__main__"]


def test_the_files_and_rooms_that_the_page_names_exist() -> None:
    text = PAGE.read_text(encoding="utf-8").split("## The tree")[0]
    named = re.findall(r"`((?:[a-z_]+/)*[a-z_]+\.py|(?:[a-z_]+/)+)`", text)
    assert named
    assert [name for name in named if not (ROOT / "src/electra" / name).exists() and not (ROOT / name).exists()] == []
