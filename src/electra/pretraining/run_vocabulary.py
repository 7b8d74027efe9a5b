"""The tokenizer of a run: the given one, that of the network to start from, or one trained on the text"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path

from electra.data.corpus.documents import Document, Lines, Progress, read_documents
from electra.data.corpus.held_out import holding_out
from electra.files.atomic import write_text, writing_folder
from electra.files.digests import describe_sources
from electra.pretraining.pretrain_config import PretrainConfig
from electra.pretraining.text_source import TextSource
from electra.text.tokenizer import ElectraTokenizer
from electra.text.training.letters import choose_casing
from electra.text.training.tokenizer_report import problems_of, report_of
from electra.text.training.vocabulary import read_vocabulary, train_vocabulary
from electra.training.interruption import listening
from electra.training.progress import Reporter
from electra.training.run.run_folder import Run

SAMPLED_CHARACTERS = 2**20
SAMPLED_FROM_DOCUMENT = 2**13
"""How much text a tokenizer is tried on, and how much of one document, in characters."""


def tokenizer_of(
    config: PretrainConfig, source: TextSource, run: Run, report: Reporter, check: Callable[[], None]
) -> ElectraTokenizer:
    """The given tokenizer, else that of the network to start from, else one trained on the files.

    The last two are kept in the run folder, and a resumed run uses them from there. A new run warns when the tokenizer
    does not suit the text.

    Args:
        check: called while one is trained; what it raises ends the training.
    """
    if config.vocab is not None:
        tokenizer = _given(config.vocab)
    elif config.init_tokenizer is not None:
        tokenizer = _of_network(config.init_tokenizer, run)
    elif source.prepared:
        raise ValueError(
            f"{source.prepared} holds prepared examples: give the tokenizer that they were prepared with (vocab)"
        )
    else:
        tokenizer = _trained(config, source.files, run, report, check)
    if not source.prepared and not run.resumes:
        for problem in problems_of(report_of(tokenizer, _sample(config, source.files))):
            report.say(f"warning: {problem}")
    return tokenizer


def _given(vocab: Path) -> ElectraTokenizer:
    return _checked(ElectraTokenizer.from_pretrained(vocab) if vocab.is_dir() else read_vocabulary(vocab), str(vocab))


def _of_network(name: str, run: Run) -> ElectraTokenizer:
    folder = run.folder / "tokenizer"
    if not (folder.is_dir() and run.resumes):
        tokenizer = _checked(ElectraTokenizer.from_pretrained(name), name)
        with writing_folder(folder) as partial:
            tokenizer.save_pretrained(partial)
    return ElectraTokenizer.from_pretrained(folder)


def _checked(tokenizer: ElectraTokenizer, name: str) -> ElectraTokenizer:
    if None in (tokenizer.mask_token_id, tokenizer.cls_token_id, tokenizer.sep_token_id):
        raise ValueError(f"{name} lacks [MASK], [CLS] or [SEP], which pretraining needs: add what is missing")
    if (highest := max(tokenizer.get_vocab().values())) >= len(tokenizer):
        raise ValueError(
            f"{name} has {len(tokenizer):,} tokens and an id of {highest:,}: number them from 0 on without a gap"
        )
    return tokenizer


def _trained(
    config: PretrainConfig, files: tuple[str, ...], run: Run, report: Reporter, check: Callable[[], None]
) -> ElectraTokenizer:
    folder = run.folder / "tokenizer"
    sources, size = describe_sources(map(Path, files)), config.recipe.vocab_size
    marks = config.word_boundaries
    made_from = {"files": sources, "size": size, "cased": config.cased, "word_boundaries": marks, **config.reading}
    origin = folder / "made_from.json"
    if origin.is_file() and (run.resumes or json.loads(origin.read_text("utf-8")) == made_from):
        return ElectraTokenizer.from_pretrained(folder)
    with report.counting("training the vocabulary") as count, writing_folder(folder) as partial:
        lines = Lines(files, progress=checking(count, check), word_boundaries=marks, **config.reading)
        trained = listening(lambda: _train_on(lines, size, config.cased, report))
        trained.save_pretrained(partial)
        write_text(partial / origin.name, json.dumps(made_from, indent=1) + "\n")
    return ElectraTokenizer.from_pretrained(folder)


def _train_on(lines: Lines, size: int, cased: bool | None, report: Reporter) -> ElectraTokenizer:
    choice = choose_casing(lines, cased=cased, keep_accents=None if cased is None else False)
    if choice.reason:
        report.say(choice.reason.partition(". --")[0] + ". --cased=false lowercases and strips accents, as BERT does")
    casing = choice.casing
    return train_vocabulary(lines, size=size, lowercase=casing.lowercase, strip_accents=casing.strip_accents)


def checking(count: Progress, check: Callable[[], None]) -> Progress:
    """Progress that calls `check` too."""

    def progress(done: int, whole: int) -> None:
        check()
        count(done, whole)

    return progress


def _sample(config: PretrainConfig, files: tuple[str, ...]) -> Iterator[str]:
    """A million characters of the held-out documents, a few thousand of each."""
    is_held_out = holding_out(config.held_out_fraction)
    taken = 0
    for number, document in enumerate(read_documents(files, **config.reading)):
        if not is_held_out(number):
            continue
        for line in _beginning(document):
            yield line if config.word_boundaries is None else line.replace(config.word_boundaries, "")
            taken += len(line)
        if taken >= SAMPLED_CHARACTERS:
            return


def _beginning(document: Document) -> Iterator[str]:
    taken = 0
    for line in document.lines:
        if taken >= SAMPLED_FROM_DOCUMENT:
            return
        yield line[:SAMPLED_FROM_DOCUMENT]
        taken += len(line)
