"""Train a vocabulary on text files, or see how well a tokenizer suits a text."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from dataclasses import KW_ONLY, asdict, dataclass
from pathlib import Path

from electra.commands.verb import verb
from electra.data.corpus.documents import Lines
from electra.data.corpus.standard_input import spooled
from electra.data.preparation.words import check_symbol
from electra.files.atomic import write_text
from electra.files.encodings import INVALID
from electra.files.output_places import holding_folder
from electra.files.text_files import find_text_files
from electra.reporting.html_page import notice, page, paragraph, section
from electra.reporting.html_tables import table
from electra.text.tokenizer import ElectraTokenizer
from electra.text.training.letters import choose_casing
from electra.text.training.tokenizer_report import Fit, problems_of, report_of
from electra.text.training.vocabulary import read_vocabulary, train_vocabulary
from electra.training.interruption import Interruption, listening
from electra.training.progress import Reporter
from electra.validation import require_count, require_one_of

UNICODE_FORMS = {"none": None, "nfc": "NFC", "nfkc": "NFKC"}
APART = ("apart", "joined")


@dataclass(frozen=True)
class TokenizerTrainConfig:
    """What vocabulary to train, on what.

    Raises:
        ValueError: a value that is not allowed; the message names it and says what is.
    """

    files: tuple[str, ...]
    """Text, .jsonl, .csv, .tsv (each also .gz, .xz, .zst), .parquet; folders, patterns; `-` for text on stdin."""
    _: KW_ONLY
    output: Path
    """A new folder for the tokenizer."""
    size: int = 30_522
    """Tokens at most, the five special ones included; little text gives fewer."""
    cased: bool | None = None
    """Keep upper case, and accents. Left out: chosen by what lowercasing would destroy in this text."""
    keep_accents: bool | None = None
    """Keep accents in a lowercase vocabulary. Left out: chosen by what stripping would destroy in this text."""
    unicode: str = "none"
    """Unicode form to apply first: none (as BERT), nfc (e and a combining accent become é), nfkc (also ﬁ to fi)."""
    chinese_characters: str = "apart"
    """apart (every ideograph is a word, as in BERT) or joined (no boundaries are added)."""
    digits: str = "joined"
    """joined (2024 is a word, as in BERT) or apart (every digit is one)."""
    min_frequency: int = 2
    """How often a pair of pieces must occur to be merged."""
    max_characters: int | None = None
    """How many different characters are known, the most frequent ones (a quarter of the size, at least 256)."""
    text_field: str = "text"
    """The field or column that has the text, in .jsonl, .csv, .tsv and .parquet files."""
    invalid_utf8: str = "refuse"
    """Bytes that are not UTF-8: refuse or replace them."""
    word_boundaries: str | None = None
    """A character that marks word boundaries in the text and is removed (electra pretrain --word-boundaries)."""
    quiet: bool = False
    """No output while running."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "files", _as_files(self.files))
        object.__setattr__(self, "output", Path(self.output))
        for name, allowed in (
            ("unicode", tuple(UNICODE_FORMS)),
            ("chinese_characters", APART),
            ("digits", APART),
            ("invalid_utf8", INVALID),
        ):
            require_one_of(name, getattr(self, name), allowed)
        check_symbol(self.word_boundaries)
        for name in ("size", "min_frequency", "max_characters"):
            if getattr(self, name) is not None:
                require_count(name, getattr(self, name))


@dataclass(frozen=True)
class TokenizerReportConfig:
    """Which tokenizer to look at, and on what text.

    Raises:
        ValueError: a value that is not allowed; the message names it and says what is.
    """

    tokenizer: str
    """A tokenizer's or model's folder, a vocab.txt, a tokenizer.json, or a name on the Hugging Face hub."""
    files: tuple[str, ...]
    """Text that the vocabulary was not trained on: files, folders, patterns, `-` for text on stdin."""
    _: KW_ONLY
    json: bool = False
    """Print one JSON object instead of a table."""
    html: Path | None = None
    """Write the report to this file, too, as one page of HTML."""
    text_field: str = "text"
    """The field or column that has the text, in .jsonl, .csv, .tsv and .parquet files."""
    invalid_utf8: str = "refuse"
    """Bytes that are not UTF-8: refuse or replace them."""
    word_boundaries: str | None = None
    """A character that marks word boundaries in the text and is removed (electra pretrain --word-boundaries)."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "files", _as_files(self.files))
        object.__setattr__(self, "html", None if self.html is None else Path(self.html))
        require_one_of("invalid_utf8", self.invalid_utf8, INVALID)
        check_symbol(self.word_boundaries)


@verb(TokenizerTrainConfig)
def train_tokenizer(config: TokenizerTrainConfig) -> Path:
    """Train a vocabulary and return its folder, which is written whole or not at all.

    SIGTERM, SIGUSR1 and SIGUSR2 end it with the exit code 75, SIGINT with 130, and leave nothing.

    Raises:
        ValueError: the text is not usable, or too small a size for its characters, or the output is not empty.
        OSError: a file cannot be read or written.
    """
    report = Reporter(quiet=config.quiet)
    inputs = {f"text {number}": file for number, file in enumerate(config.files, start=1)}
    with holding_folder(config.output, inputs) as output:
        with spooled(config.files) as files:
            tokenizer = _train(config, tuple(map(str, find_text_files(files, warn=report.say))), report)
        with output.writing() as partial:
            tokenizer.save_pretrained(partial)
    report.say(
        f"{len(tokenizer):,} tokens; `electra tokenizer report {config.output} FILES` shows how they suit a text"
    )
    return config.output


def _train(config: TokenizerTrainConfig, files: tuple[str, ...], report: Reporter) -> ElectraTokenizer:
    """Train on the files; a signal ends it by SystemExit."""
    with report.counting("training the vocabulary") as count, Interruption() as interruption:
        # called for every block that is read; the tokenizers library passes the exception on
        def progress(done: int, whole: int) -> None:
            if interruption():
                report.say("stopped; a partial vocabulary is discarded: run the same command again to restart")
                raise SystemExit(interruption.exit_code)
            count(done, whole)

        lines = Lines(files, config.text_field, config.invalid_utf8, progress, config.word_boundaries)
        return listening(lambda: _train_on(config, lines, report))


def _train_on(config: TokenizerTrainConfig, lines: Lines, report: Reporter) -> ElectraTokenizer:
    choice = choose_casing(lines, cased=config.cased, keep_accents=config.keep_accents)
    if choice.reason:
        report.say(choice.reason)
    return train_vocabulary(
        lines,
        size=config.size,
        lowercase=choice.casing.lowercase,
        strip_accents=choice.casing.strip_accents,
        chinese_chars=config.chinese_characters == "apart",
        min_frequency=config.min_frequency,
        max_characters=config.max_characters,
        unicode_form=UNICODE_FORMS[config.unicode],
        split_digits=config.digits == "apart",
    )


@verb(TokenizerReportConfig)
def report_tokenizer(config: TokenizerReportConfig) -> None:
    """Print how well a tokenizer suits a text, as a table or JSON, and write the page that was asked for.

    Raises:
        ValueError: the text or the tokenizer is not usable.
        OSError: a file cannot be read or written.
    """
    path = Path(config.tokenizer)
    tokenizer = read_vocabulary(path) if path.suffix == ".txt" else ElectraTokenizer.from_pretrained(config.tokenizer)
    with spooled(config.files) as files:
        lines = Lines(files, config.text_field, config.invalid_utf8, word_boundaries=config.word_boundaries)
        fit = report_of(tokenizer, lines)
    problems = list(problems_of(fit))
    if config.html is not None:
        write_text(config.html, _page(config.tokenizer, config.files, fit, problems))
    if config.json:
        print(json.dumps({"tokenizer": config.tokenizer, **asdict(fit), "problems": problems}, ensure_ascii=False))
    else:
        _show(config.tokenizer, fit, problems)


def _figures(fit: Fit) -> Iterator[tuple[str, object]]:
    yield "words", fit.words
    yield "unknown words", f"{fit.unknown_words:,} ({fit.unknown_rate:.3%})"
    yield "pieces for each word", round(fit.pieces_per_word, 3)
    yield "characters for each piece", round(fit.characters_per_piece, 2)
    for pieces, count in fit.words_by_pieces.items():
        yield f"words of {pieces} piece{'s' * (pieces != '1')}", f"{count:,} ({count / max(1, fit.words):.2%})"
    yield "tokens of the vocabulary", fit.vocabulary
    yield "of these in the text", fit.used
    yield "upper case", f"{fit.capitals:.2%} of the letters, {'lowercased' if fit.lowercases else 'kept'}"
    yield "accents", f"{fit.accents:.2%} of the letters, {'stripped' if fit.strips_accents else 'kept'}"
    if fit.marks:
        yield "marks of their own", f"{fit.marks:.2%} of the letters and marks, {fit.removed:.2%} removed"
    if fit.decomposed:
        yield "letters taken apart", f"{fit.decomposed:.2%} of the letters and marks"
    if fit.removed_joiners:
        yield "joiners removed", f"{fit.removed_joiners:.2%} of the characters"


def _lists(fit: Fit) -> Iterator[tuple[str, list[tuple[str, str]]]]:
    """The lists of a report: a heading and rows of two cells."""
    yield "unknown words", [(word, f"{count:,}") for word, count in fit.unknown]
    yield (
        "characters that no token has",
        [(one, f"{count:,}  U+{ord(one):04X}") for one, count in fit.unknown_characters],
    )
    yield "words of most pieces", [(word, " ".join(pieces)) for word, pieces in fit.most_cut]
    yield "longest pieces", [(piece, f"{len(piece)}") for piece in fit.longest_pieces]
    yield "samples", [(text, " ".join(tokens)) for text, tokens in fit.samples]


def _show(name: str, fit: Fit, problems: list[str]) -> None:
    from rich.console import Console
    from rich.table import Table

    console = Console(markup=False, highlight=False)
    console.print(name, style="bold")
    figures = Table.grid(padding=(0, 3))
    figures.add_column(style="dim", no_wrap=True)
    for label, value in _figures(fit):
        figures.add_row(label, f"{value:,}" if isinstance(value, int) else str(value))
    for problem in problems:
        figures.add_row("problem", problem)
    console.print(figures)
    for heading, rows in _lists(fit):
        if rows:
            console.print(f"\n{heading}", style="bold")
            listed = Table.grid(padding=(0, 3))
            for row in rows:
                listed.add_row(*row)
            console.print(listed)


def _page(name: str, files: Iterable[str], fit: Fit, problems: list[str]) -> str:
    parts = [
        paragraph(f"Measured on {', '.join(files)}: {fit.lines:,} lines, {fit.characters:,} characters."),
        *(notice("Problem", problem) for problem in problems),
        table(("", ""), _figures(fit)),
        *(section(heading.capitalize(), [table(("", ""), rows)] if rows else []) for heading, rows in _lists(fit)),
    ]
    return page(f"How {name} suits a text", parts)


def _as_files(files: str | Iterable[str]) -> tuple[str, ...]:
    paths = (files,) if isinstance(files, str | Path) else tuple(files)
    if not paths:
        raise ValueError("files is empty: it must be at least one text file, folder or pattern")
    return tuple(map(str, paths))
