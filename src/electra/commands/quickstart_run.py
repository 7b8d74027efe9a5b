"""What the quickstart does: gather text, pretrain, show what was learnt, fine-tune, compare with random weights"""

from __future__ import annotations

import math
import random
import statistics
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from rich.console import Console
from rich.text import Text

from electra.batch import Batch, Row
from electra.commands.pretrain import PretrainConfig, pretrain
from electra.commands.quickstart_config import QuickstartConfig
from electra.config import ElectraConfig
from electra.data.corpus.python_docs import gather
from electra.files.atomic import write_text, writing_folder
from electra.files.locks import LOCK_FILES
from electra.files.output_places import holding_place
from electra.finetuning.fit import fit
from electra.inference.predictor import predict
from electra.models import ElectraForMaskedLM, ElectraForPreTraining, ElectraForTokenClassification
from electra.objective.replaced_token_detection import ReplacedTokenDetection, ReplacedTokenDetectionOutput
from electra.pretraining.monitoring.pretraining_metrics import (
    discriminator_statistics,
    generator_statistics,
    metrics_of,
)
from electra.tasks.token_classification import OUTSIDE, TokenClassification
from electra.text.tokenizer import ElectraTokenizer

INTRUDER = "INTRUDER"
HELD_OUT_EVERY = 5  # one document in so many is never pretrained on


# -- a small task: which word does not belong? ------------------------------------------------------------------------


def with_intruder(sentence: str, words: Sequence[str], draw: random.Random) -> dict[str, Any]:
    """The sentence's words, one of them (not the first) replaced by one of `words`, and a tag for each word."""
    tokens = sentence.rstrip(".!?").split()
    place = draw.randrange(1, len(tokens))
    intruder = draw.choice([word for word in draw.choices(words, k=9) if word.lower() != tokens[place].lower()])
    tokens[place] = intruder
    return {"tokens": tokens, "tags": [INTRUDER if i == place else OUTSIDE for i in range(len(tokens))]}


def pointed_at(answer: Sequence[dict[str, Any]], example: dict[str, Any]) -> int:
    """The number of the word that a token classifier's answer gives the highest probability of being the intruder."""
    token = max(answer, key=lambda token: token["score"] if token["entity"] == INTRUDER else 1 - token["score"])
    return len(" ".join(example["tokens"])[: token["start"] + 1].split()) - 1


# -- the life of the model --------------------------------------------------------------------------------------------

PRETRAINING: dict[str, Any] = {
    "size": "tiny",
    "vocab_size": 2048,
    "max_length": 64,
    "batch_size": 32,
    "dropout": 0.0,
}
FINETUNING: dict[str, Any] = {"epochs": 4, "batch_size": 16, "learning_rate": 5e-5, "layer_decay": 1.0}
PRETRAINED, RANDOM = "pretrained", "random weights"
Right = list[bool]
"""For each example, whether the answer was right."""
LABELLED = 1000  # examples to fine-tune on; the rest of the held-out sentences are scored
SHOWN = 5


def run_quickstart(config: QuickstartConfig) -> None:
    """What `electra.commands.quickstart.quickstart` does."""
    console = Console(highlight=False, soft_wrap=True)
    started = time.monotonic()
    draw = random.Random(config.seed)
    with holding_place(config.output):
        learnt, held_out = _gather_text(config, console, draw)
        pretrained = _pretrain(config, console, learnt)
        _show_detection(pretrained, held_out, console, config.seed)
        _compare(config, pretrained, held_out, console, draw)
    _farewell(config, console, time.monotonic() - started)


def _gather_text(config: QuickstartConfig, console: Console, draw: random.Random) -> tuple[Path, list[str]]:
    """The file of text to pretrain on, and the held-out sentences."""
    _headline(console, "1  Text: what Python says about itself")
    sources = gather()
    draw.shuffle(sources)
    apart, kept = sources[::HELD_OUT_EVERY], [s for i, s in enumerate(sources) if i % HELD_OUT_EVERY]
    path = config.output / "text.txt"
    text = "".join(f"{sentence}\n\n" for source in kept for sentence in source.sentences)
    _check_output(config.output, path, text)
    # every sentence is a document, so that sequences are as short as those it will judge, and nothing is truncated
    write_text(path, text)
    held_out = [sentence for source in apart for sentence in source.sentences]
    draw.shuffle(held_out)
    count = sum(len(source.sentences) for source in kept)
    words = sum(len(sentence.split()) for source in kept for sentence in source.sentences)
    console.print(
        f"{count:,} sentences ({words:,} words) of help topics and docstrings to pretrain on.\n"
        f"{len(held_out):,} sentences of other files are held out: the model first reads them in parts 3 and 4."
    )
    return path, held_out


def _check_output(output: Path, path: Path, text: str) -> None:
    """Refuse an output folder with files that no earlier quickstart wrote: they would be replaced.

    An earlier quickstart is recognised by its run, or by the same text.
    """
    if not output.is_dir() or (output / "pretrained" / "config.toml").is_file():
        return
    others = sorted(each.name for each in output.iterdir() if each.name not in LOCK_FILES)
    if others and not (path.is_file() and path.read_bytes() == text.encode()):
        raise ValueError(
            f"{output / others[0]} is there already, and no quickstart wrote it: give another --output, or remove the "
            "folder first"
        )


def _pretrain(config: QuickstartConfig, console: Console, text: Path) -> Path:
    _headline(console, "2  Pretraining: a generator swaps words, a discriminator learns to notice")
    run = config.output / "pretrained"
    settings = PretrainConfig((str(text),), output=run, steps=config.steps, seed=config.seed, **PRETRAINING)
    began = time.monotonic()
    pretrain(settings)
    console.print(
        f"{config.steps:,} steps in {time.monotonic() - began:.0f} s: {run}/generator and {run}/discriminator"
    )
    return run


# -- what it has learnt -----------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Detection:
    """A sentence, what the generator made of it, and the discriminator's probabilities; one entry per token."""

    original: tuple[str, ...]
    read: tuple[str, ...]
    probabilities: tuple[float, ...]

    @property
    def replaced(self) -> tuple[bool, ...]:
        return tuple(a != b for a, b in zip(self.original, self.read, strict=True))


def _show_detection(run: Path, held_out: Sequence[str], console: Console, seed: int) -> None:
    """A few sentences in colour, and the metrics over all of them."""
    _headline(console, "3  Held-out sentences: which words did the generator put there?")
    detections, found = detect(run, held_out, seed=seed)
    plain = console.no_color or not console.color_system
    marks = "" if not plain else " Words that it predicts as replaced are in \\[brackets]."
    console.print(f"Coloured: what the discriminator predicts as replaced. Underlined: what was replaced.{marks}\n")
    worth = [d for d in detections if any(d.replaced) and 6 <= len(d.read) <= 24]
    for detection in worth[:SHOWN]:
        console.print(Text("  text   ", style="dim").append(_joined(detection.original), style="dim"), soft_wrap=True)
        console.print(
            Text("  reads  ", style="dim").append_text(coloured(detection, plain)),
            soft_wrap=True,
        )
        console.print()
    console.print(
        f"All {len(detections):,} held-out sentences ({found['tokens']:,} tokens, {found['replaced']:.1%} replaced):\n"
        f"  the generator predicts {found['generator_accuracy']:.1%} of the masked words correctly\n"
        f"  the discriminator's area under the ROC curve is {found['discriminator_auc']:.3f} (chance: 0.5)\n"
        f"  its precision is {_percent(found['discriminator_precision'])}, "
        f"its recall {_percent(found['discriminator_recall'])}"
    )


def detect(run: Path, texts: Sequence[str], *, seed: int) -> tuple[list[Detection], dict[str, float | None]]:
    """A run's generator corrupts texts, its discriminator judges them: the tokens of each text, and metrics over all.

    The metrics are those of pretraining, over the texts' own tokens, without [CLS] and [SEP].
    """
    tokenizer = ElectraTokenizer.from_pretrained(run / "discriminator")
    generator = ElectraForMaskedLM.from_pretrained(run / "generator")
    discriminator = ElectraForPreTraining.from_pretrained(run / "discriminator")
    both = ReplacedTokenDetection(generator, discriminator, tokenizer=tokenizer).eval()
    torch.manual_seed(seed)
    detections: list[Detection] = []
    totals: Counter[str] = Counter()
    rows = [Row(ids) for ids in tokenizer(list(texts), truncation=True, max_length=128)["input_ids"]]
    for start in range(0, len(rows), 64):
        batch = Batch.from_rows(rows[start : start + 64])
        with torch.inference_mode():
            out = both(batch)
        totals.update(_statistics(batch, out))
        parts = (batch.input_ids, out.corrupted_ids, out.discriminator_logits.sigmoid())
        for original, read, probabilities in zip(*map(batch.layout.split, parts), strict=True):
            before, after = (tuple(tokenizer.convert_ids_to_tokens(ids[1:-1].tolist())) for ids in (original, read))
            detections.append(Detection(before, after, tuple(probabilities[1:-1].tolist())))
    return detections, {"tokens": totals["tokens"], **metrics_of(totals)}


def _statistics(batch: Batch, out: ReplacedTokenDetectionOutput) -> dict[str, float]:
    masked = out.masked
    ends = torch.tensor(batch.layout.offsets)
    inner = torch.ones(len(batch.input_ids), dtype=torch.bool)
    inner[ends[:-1]] = inner[ends[1:] - 1] = False
    found = {
        **generator_statistics(
            out.generator_loss, out.generator_logits, masked.original_ids, out.sampled_ids, masked.weights
        ),
        **discriminator_statistics(out.discriminator_loss, out.discriminator_logits[inner], out.labels[inner]),
    }
    return {name: value.item() for name, value in found.items()}


def _percent(value: float | None) -> str:
    return "-" if value is None else f"{value:.0%}"


def coloured(detection: Detection, plain: bool = False) -> Text:
    """What the discriminator read, each token coloured by its probability, underlined if it was replaced."""
    text = Text()
    for token, probability, replaced in zip(detection.read, detection.probabilities, detection.replaced, strict=True):
        glued = token.startswith("##")
        shown = f"[{token.removeprefix('##')}]" if plain and probability >= 0.5 else token.removeprefix("##")
        text.append("" if glued or not text else " ")
        text.append(shown, style=_colour(probability) + (" underline" if replaced else ""))
    return text


def _colour(probability: float) -> str:
    steps = ((0.8, "bold white on red"), (0.5, "black on yellow"), (0.25, "yellow"))
    return next((style for least, style in steps if probability >= least), "default")


def _joined(tokens: Sequence[str]) -> str:
    return " ".join(tokens).replace(" ##", "")


# -- what it is good for ----------------------------------------------------------------------------------------------


def _compare(
    config: QuickstartConfig, run: Path, held_out: Sequence[str], console: Console, draw: random.Random
) -> None:
    """Fine-tune the discriminator and the same network with random weights, several times each; print both scores."""
    _headline(console, "4  Fine-tuning: which word of this sentence does not belong?")
    words = [word for sentence in held_out for word in sentence.rstrip(".!?").split()[1:]]
    examples = [with_intruder(sentence, words, draw) for sentence in held_out]
    labelled, test = examples[:LABELLED], examples[LABELLED:]
    console.print(
        "One word of each sentence was replaced by a word of another sentence; the model has to find it.\n"
        f"{len(labelled):,} labelled sentences to fine-tune on, {len(test):,} others to score.\n"
    )
    right: dict[str, list[Right]] = {PRETRAINED: [], RANDOM: []}
    for seed in range(config.seed, config.seed + config.seeds):
        for start, of_start in right.items():
            keep = config.output / "finder" if start == PRETRAINED and not of_start else None
            of_start.append(_fitted(run / "discriminator", labelled, test, seed, start == PRETRAINED, keep))
    _print_scores(console, right, test, config.seeds)


def _fitted(
    folder: Path, labelled: list[Any], test: list[Any], seed: int, pretrained: bool, keep: Path | None
) -> Right:
    """Fine-tune once and return which of the test examples it answers right; `keep`: save the model there."""
    tokenizer = ElectraTokenizer.from_pretrained(folder)
    task = TokenClassification.from_examples(labelled, max_length=128)
    torch.manual_seed(seed)
    model = ElectraForTokenClassification(ElectraConfig.from_pretrained(folder, **task.config_fields()))
    if pretrained:
        model.electra.load_state_dict(ElectraForPreTraining.from_pretrained(folder).electra.state_dict())
    fit(model, task.training_items(labelled, tokenizer), task, seed=seed, **FINETUNING)
    answers = predict(model, tokenizer, task.for_scoring(), test)
    right = [
        example["tags"][pointed_at(answer, example)] == INTRUDER for answer, example in zip(answers, test, strict=True)
    ]
    if keep is not None:
        with writing_folder(keep) as new:
            model.save_pretrained(new)
            tokenizer.save_pretrained(new)
    return right


def standard_error(values: Sequence[Sequence[float]]) -> float:
    """The standard error of the mean over several seeds and the same examples: `values[seed][example]`.

    It covers the variation between seeds and the choice of examples. The chance of one seed at one example counts in
    both, so it is rather too large.
    """
    of_seeds = [statistics.fmean(of_seed) for of_seed in values]
    of_examples = [statistics.fmean(of_example) for of_example in zip(*values, strict=True)]
    return math.sqrt(
        sum(statistics.variance(means) / len(means) for means in (of_seeds, of_examples) if len(means) > 1)
    )


def _print_scores(console: Console, right: dict[str, list[Right]], test: Sequence[Any], seeds: int) -> None:
    for start, of_start in right.items():
        mean, error = statistics.fmean(map(statistics.fmean, of_start)), standard_error(of_start)
        console.print(f"  {start:<16}{mean:7.1%}  ± {error:.1%}   [dim]{'█' * round(80 * mean)}[/dim]")
    guessing = statistics.mean(1 / len(example["tokens"]) for example in test)
    console.print(f"  {'guessing':<16}{guessing:7.1%}           [dim]{'█' * round(80 * guessing)}[/dim]")
    console.print(f"\n{verdict(right[PRETRAINED], right[RANDOM])}", soft_wrap=True)
    console.print(
        f"How often it finds the word: the mean of {seeds} seeds on {len(test):,} sentences, "
        "± a standard error.\n"
        "Network, tokenizer, examples and settings are the same; only the initial weights differ."
    )


def verdict(pretrained: Sequence[Right], random_weights: Sequence[Right]) -> str:
    """The difference of the two in words, paired by seed and example, or that it is within its error."""
    gains = [
        [float(a) - float(b) for a, b in zip(*of_seed, strict=True)]
        for of_seed in zip(pretrained, random_weights, strict=True)
    ]
    gain, error = statistics.fmean(map(statistics.fmean, gains)), standard_error(gains)
    if gain > 2 * error:
        return f"Pretraining gained {gain:.1%}, ± {error:.1%}."
    if gain < -2 * error:
        return f"Pretraining cost {-gain:.1%}, ± {error:.1%}: a run this short does not help."
    return (
        f"The difference ({gain:+.1%}, ± {error:.1%}) is within twice its error: a run this short shows neither gain "
        "nor loss."
    )


def _farewell(config: QuickstartConfig, console: Console, seconds: float) -> None:
    _headline(console, f"Done in {seconds / 60:.1f} minutes. In Python:")
    console.print(
        "from electra import pipeline\n"
        f'find = pipeline("replaced-token-detection", "{config.output}/pretrained/discriminator")\n'
        """print(*(f"{t['token']} {t['score']:.2f}" for t in find("Return the number of wait in the list.")))""",
        markup=False,
        style="bold",
        soft_wrap=True,
    )


def _headline(console: Console, words: str) -> None:
    console.print(f"\n[bold]{words}[/bold]")
