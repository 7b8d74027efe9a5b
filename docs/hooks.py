"""Pages that are made when the site is built: command line, reference of verbs and tasks, benchmarks, changelog."""

from __future__ import annotations

import dataclasses
import re
from importlib import import_module
from pathlib import Path
from typing import Any

from mkdocs.structure.files import File, Files

from electra import cli
from electra.commands.verb import field_docstrings
from electra.tasks.catalogue import TASKS

ROOT = Path(__file__).parent.parent


def on_files(files: Files, config: Any) -> Files:
    """Add the generated pages."""
    for name, text in (
        ("command-line.md", command_line()),
        ("api/verbs.md", verbs()),
        ("api/tasks.md", tasks()),
        ("benchmarks.md", benchmarks()),
        ("changelog.md", (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")),
    ):
        files.append(File.generated(config, name, content=text))
    return files


def on_page_markdown(markdown: str, **_: Any) -> str:
    """Links to files that are not pages become the file's name; links as the repository's root has them work."""
    markdown = re.sub(r"\]\(docs/([\w-]+\.md)\)", r"](\1)", markdown)
    return re.sub(r"\[([^\]]+)\]\(\.\./[^)]+\)", r"\1", markdown)


def command_line() -> str:
    """Every verb with its arguments, flags, defaults and what they do."""
    parts = ["# Command line\n", f"```text\nelectra VERB …\n```\n\n{_exit_codes()}"]
    for verb, sentence in cli.VERBS.items():
        config = _config_of(verb)
        parts.append(f"## electra {verb}\n\n{sentence}\n\n| argument | default | |\n|---|---|---|\n{_rows(config)}")
    return "\n".join(parts)


def verbs() -> str:
    """The functions of the verbs and their configs."""
    parts = [
        "# Verbs as functions\n\nEach verb of the command line is a function of the package. It takes the fields of "
        "its config as arguments, or the config.\n"
    ]
    for verb in cli.VERBS:
        config = _config_of(verb)
        function = cli.FUNCTIONS.get(verb, verb)
        parts.append(f"::: {cli.module_of(verb)}.{function}\n::: {config.__module__}.{config.__name__}")
    return "\n".join(parts) + "\n"


def tasks() -> str:
    """The function `pipeline` and the class of each task."""
    parts = [
        "# Pipelines and tasks\n\n`pipeline(task, model)` gives a callable. A task's options are the fields of its "
        "class; they are arguments of `pipeline(…)` and of each call.\n\n::: electra.pipeline"
    ]
    parts += [f"::: {task.__module__}.{task.__name__}" for task in TASKS]
    return "\n".join(parts) + "\n"


def _config_of(verb: str) -> type[Any]:
    config: type[Any] = getattr(import_module(cli.module_of(verb)), f"{verb.title().replace(' ', '')}Config")
    return config


def _rows(config: type[Any]) -> str:
    described = field_docstrings(config)
    rows = []
    annotations = list(config.__annotations__)
    for field in dataclasses.fields(config):
        positional = "_" not in annotations[: annotations.index(field.name)]
        flag = f"--{field.name.replace('_', '-')}"
        name = f"`{field.name.upper()}` or `{flag}`" if positional else f"`{flag}`"
        required = field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING
        default = (
            "required" if required else "" if field.default is None or field.default is False else f"`{field.default}`"
        )
        text = " ".join(described[field.name].split()).replace("|", "\\|").replace("<", "&lt;")
        rows.append(f"| {name} | {default} | {text} |\n")
    return "".join(rows)


def _exit_codes() -> str:
    return (
        "Data go to stdout, messages to stderr; `-` is stdin or stdout. Exit codes: 0 done; 1 failed or refused; "
        "2 flags that do not exist or are missing; 75 stopped by a signal after saving a checkpoint, run the same "
        "command to resume; 130 interrupted; 141 the reader of the output left; 143 ended by SIGTERM.\n"
    )


def benchmarks() -> str:
    """The committed results, newest first, and what did not work."""
    results = sorted((ROOT / "benchmarks/results").glob("*.md"), key=lambda path: path.stem[-10:], reverse=True)
    parts = ["# Benchmarks\n\nEach is a script in `benchmarks/` and was run with all sides in turn.\n"]
    pages = (*results, ROOT / "benchmarks/LOG.md")
    parts += [re.sub(r"^#", "##", path.read_text(encoding="utf-8"), flags=re.MULTILINE) for path in pages]
    return "\n".join(parts)
