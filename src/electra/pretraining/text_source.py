"""Where the text of a run comes from: files, stdin, or a folder of prepared examples"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from electra.data.corpus.standard_input import with_stdin
from electra.data.preparation.prepare import DESCRIPTION
from electra.files.text_files import find_text_files
from electra.pretraining.pretrain_config import PretrainConfig
from electra.training.progress import Reporter
from electra.training.run.run_folder import Run


@dataclass(frozen=True)
class TextSource:
    """The files with the text; or the folder of examples that others have prepared, where `prepared` is set."""

    files: tuple[str, ...]
    prepared: Path | None = None


def source_of(config: PretrainConfig, run: Run, report: Reporter) -> TextSource:
    """The text of a run: the files without those that the run itself writes, stdin copied into the run folder.

    Raises:
        ValueError: stdin is empty or a terminal.
        FileNotFoundError: there is no such file.
    """
    files = with_stdin(config.files, run.folder / "stdin.txt", resume=run.resumes, warn=report.say)
    if is_prepared(files):
        return TextSource(files, Path(files[0]))
    return TextSource(tuple(map(str, find_text_files(files, outside=run.folder, warn=report.say))))


def is_prepared(files: tuple[str, ...]) -> bool:
    """Whether the files are one folder of prepared examples (see `data.preparation.datatrove_pipeline`)."""
    return len(files) == 1 and (Path(files[0]) / DESCRIPTION).is_file()
