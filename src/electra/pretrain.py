"""Text files -> a run folder with a generator and a discriminator, trained together by replaced-token detection."""

from __future__ import annotations

import json
from pathlib import Path

from electra import hardware
from electra.data.documents import read_documents
from electra.data.prepare import prepare
from electra.data.sources import describe_sources
from electra.data.text_files import find_text_files
from electra.hub.files import write_text, writing_folder
from electra.pretraining.config import CHANGEABLE
from electra.pretraining.config import PretrainConfig as PretrainConfig
from electra.pretraining.session import Pretraining
from electra.text.tokenizer import ElectraTokenizer
from electra.text.vocabulary import read_vocabulary, train_vocabulary
from electra.training.progress import Reporter
from electra.training.run import Run


def pretrain(config: PretrainConfig) -> Path:
    """Pretrain, or go on with the run in `config.output`, and return that folder.

    In it are afterwards `discriminator` and `generator` (model folders with tokenizer and card), `metrics.jsonl`,
    `config.toml` and `checkpoints`. SIGTERM and SIGINT end it after the step with a checkpoint and the exit code 75 or
    130; the same call goes on from there, or from the last checkpoint when it was killed.

    Raises:
        ValueError: the text, the vocabulary or the run folder is not usable, or the loss is no longer a number.
        OSError: a file cannot be read or written.
    """
    hardware.choose(config.device)  # refused now, and not when the text is prepared
    report = Reporter(quiet=config.quiet)
    with Run(config.output, config.settings(), changeable=CHANGEABLE, keep=config.keep_checkpoints) as run:
        tokenizer = _tokenizer(config, run, report)
        with report.counting("tokenizing the text") as count:
            texts = prepare(
                config.files,
                tokenizer,
                run.folder / "examples",
                length=config.recipe.length,
                seed=config.seed,
                held_out_fraction=config.held_out_fraction,
                progress=count,
                reuse_only=bool(run.checkpoints.steps()),
            )
        training = Pretraining(config, run, tokenizer, texts, report)
        training.run_to_the_end()
        training.publish()
    report.say(f"done: {run.folder / 'discriminator'} and {run.folder / 'generator'}")
    return run.folder


def _tokenizer(config: PretrainConfig, run: Run, report: Reporter) -> ElectraTokenizer:
    """The given tokenizer, or one trained on the files and kept in the run folder."""
    if config.vocab is not None:
        given = config.vocab
        tokenizer = ElectraTokenizer.from_pretrained(given) if given.is_dir() else read_vocabulary(given)
        if None in (tokenizer.mask_token_id, tokenizer.cls_token_id, tokenizer.sep_token_id):
            raise ValueError(f"{given} needs [MASK], [CLS] and [SEP] for pretraining: add those that it does not have")
        return tokenizer
    folder = run.folder / "tokenizer"
    sources, size = describe_sources(find_text_files(config.files)), config.recipe.vocab_size
    made_from = {"files": sources, "size": size, "cased": config.cased}
    origin = folder / "made_from.json"
    if origin.is_file() and (run.checkpoints.steps() or json.loads(origin.read_text("utf-8")) == made_from):
        return ElectraTokenizer.from_pretrained(folder)
    with report.counting("training the vocabulary") as count, writing_folder(folder) as partial:
        lines = (text for document in read_documents(config.files, progress=count) for text in document.lines)
        train_vocabulary(lines, size=size, lowercase=not config.cased).save_pretrained(partial)
        write_text(partial / origin.name, json.dumps(made_from, indent=1) + "\n")
    return ElectraTokenizer.from_pretrained(folder)
