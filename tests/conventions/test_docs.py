"""The documentation: every public name has its entry, every page its place, every link its file."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

import electra

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
PAGES = sorted(DOCS.rglob("*.md"))
GENERATED = {"command-line.md", "benchmarks.md", "changelog.md", "api/verbs.md", "api/tasks.md"}  # by docs/hooks.py
SITE = (ROOT / "mkdocs.yml").read_text(encoding="utf-8")
LINK = re.compile(r"\]\(([^)#\s]+)(?:#[^)]*)?\)")


def test_every_public_name_is_in_the_reference() -> None:
    entries = set(re.findall(r"^::: electra\.(\w+)$", "\n".join(p.read_text() for p in PAGES), flags=re.MULTILINE))
    verbs = {"convert", "evaluate", "finetune", "inspect", "predict", "pretrain", "quickstart", "report"}
    verbs |= {"FinetuneConfig", "PretrainConfig", "pipeline", "report_tokenizer", "train_tokenizer"}
    same = {name for name in electra.__all__ if name.startswith("AutoModelFor")} | {"ElectraTokenizerFast"}
    assert set(electra.__all__) - verbs - same == entries


def test_every_page_is_in_the_navigation() -> None:
    named = set(re.findall(r"([\w/-]+\.md)", SITE))
    assert named == {str(page.relative_to(DOCS)) for page in PAGES} | GENERATED


@pytest.mark.parametrize("page", [*PAGES, ROOT / "README.md", ROOT / "CONTRIBUTING.md"], ids=lambda page: page.name)
def test_links_lead_to_files(page: Path) -> None:
    targets = [target for target in LINK.findall(page.read_text(encoding="utf-8")) if "://" not in target]
    missing = [target for target in targets if target not in GENERATED and not (page.parent / target).exists()]
    assert missing == []
