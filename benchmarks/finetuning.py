"""Does fine-tuning here do what a plain loop does, and what does it cost against HF's Trainer with its defaults?

Prints one JSON line for each task. `largest_difference`: from the same checkpoint, with the same hyperparameters and no
dropout, between the first losses here and in a loop over transformers' model that is written out below. `scores` and
`cpu_seconds`: `electra finetune` and Trainer, each with its own defaults but for the epochs, which are the same. The
best epoch is chosen here on a slice of the training file that neither learns from, so that the scores are of examples
that nothing was chosen by.

    python benchmarks/finetuning.py [--model FOLDER] [--tasks sst2 mrpc conll2003] [--train 600] [--test 400]

It reads $ELECTRA_SHARED/data (default: ../shared/data) and needs transformers and accelerate. Without `--model` it
pretrains a tiny one on the corpus there for `--pretrain-steps`: it knows little, so that scores are only compared.
"""

from __future__ import annotations

import argparse
import gzip
import json
import logging
import os
import platform
import random
import statistics
import tempfile
import time
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import torch

from electra.config import ElectraConfig
from electra.finetune import FinetuneConfig, finetune
from electra.finetuning.batches import batches
from electra.finetuning.fit import Fitting
from electra.finetuning.network import new_model
from electra.finetuning.rates import Rates, layer_multiplier, usual_rates
from electra.predict import load, predict
from electra.pretrain import PretrainConfig, pretrain
from electra.tasks.metrics import EntityOutcomes
from electra.tasks.text_classification import TextClassification
from electra.tasks.token_classification import TokenClassification
from electra.text.tokenizer import ElectraTokenizer

SHARED = Path(os.environ.get("ELECTRA_SHARED", Path(__file__).parents[2] / "shared"))
FILES = {"sst2": "glue/sst2", "mrpc": "glue/mrpc", "conll2003": "conll2003"}
STEPS, BATCH_SIZE, MAX_LENGTH = 50, 32, 128


def examples(task: str, split: str, count: int) -> list[dict[str, Any]]:
    """So many of a set, drawn with one seed, under the names that our tasks use."""
    with gzip.open(SHARED / "data" / FILES[task] / f"{split}.jsonl.gz", "rt", encoding="utf-8") as file:
        rows = [json.loads(line) for line in file]
    chosen = random.Random(0).sample(rows, min(count, len(rows)))
    if task == "conll2003":
        return [{"tokens": row["tokens"], "tags": row["ner"]} for row in chosen]
    if "text_a" in chosen[0]:
        return [{"text": row["text_a"], "text_pair": row["text_b"], "label": row["label"]} for row in chosen]
    return [{"text": row["text"], "label": row["label"]} for row in chosen]


def task_of(rows: list[dict[str, Any]], tokenizer: Any) -> Any:
    kind = TokenClassification if "tokens" in rows[0] else TextClassification
    return kind.from_examples(rows, max_length=MAX_LENGTH).for_tokenizer(tokenizer)


def checkpoint(folder: Path, steps: int) -> str:
    """A tiny discriminator, pretrained for a minute."""
    corpus = str(SHARED / "data/corpus/small.txt.xz")
    settings: dict[str, Any] = {"steps": steps, "vocab_size": 4096, "device": "cpu", "quiet": True}
    return str(pretrain(PretrainConfig((corpus,), output=folder, size="tiny", **settings)) / "discriminator")


# -- the same losses -----------------------------------------------------------------


def both_losses(model: str, rows: list[dict[str, Any]], folder: Path) -> tuple[list[float], list[float]]:
    """The mean loss of each of the first steps, here and in the plain loop."""
    tokenizer = ElectraTokenizer.from_pretrained(model)
    task = task_of(rows, tokenizer)
    items = task.training_items(rows, tokenizer)
    ours = new_model(model, task, seed=0)
    for part in ours.modules():
        if isinstance(part, torch.nn.Dropout):
            part.p = 0.0
    ours.config.update({"hidden_dropout_prob": 0.0, "attention_probs_dropout_prob": 0.0, "classifier_dropout": 0.0})
    ours.save_pretrained(folder)
    ours = load(type(task), folder)
    rate, decay = usual_rates(ours.config.hidden_size)
    epochs = STEPS * BATCH_SIZE / len(items)
    fitting = Fitting(ours, items, task, Rates(rate, decay), epochs=epochs, batch_size=BATCH_SIZE)
    found: list[float] = []
    fitting.train(periodic=[lambda step, values: found.append(float(values["loss"]) / float(values["labels"]))])
    return found, list(plain_loop(folder, batches(items, task, STEPS, BATCH_SIZE, 0), fitting.rates))


def plain_loop(folder: Path, steps: Iterator[list[Any]], rates: Rates) -> Iterator[float]:
    """A padded grid a step, the summed loss, clipping, Google's Adam and schedule, as plain arithmetic."""
    import transformers

    kind = getattr(transformers, ElectraConfig.from_pretrained(folder).architectures[0])
    model = kind.from_pretrained(folder).train()
    moments = {name: (torch.zeros_like(p), torch.zeros_like(p)) for name, p in model.named_parameters()}
    layers, pad = model.config.num_hidden_layers, torch.nn.utils.rnn.pad_sequence
    for number, parts in enumerate(steps):
        rows, types, labels = [], [], []
        for part in parts:
            split = part.batch.layout.split
            rows += split(part.batch.input_ids)
            types += split(part.batch.token_type_ids)
            given = part.labels["labels"]
            labels += split(given) if len(given) == part.batch.layout.tokens else given.split(1)
        model.zero_grad()
        logits = model(
            pad(rows, batch_first=True),
            attention_mask=pad([torch.ones_like(row) for row in rows], batch_first=True),
            token_type_ids=pad(types, batch_first=True),
        ).logits
        targets = pad(labels, batch_first=True, padding_value=-100).reshape(-1)
        total = torch.nn.functional.cross_entropy(logits.reshape(len(targets), -1), targets, reduction="sum")
        total.backward()
        yield float(total) / int((targets != -100).sum())
        norm = torch.stack([p.grad.norm() for p in model.parameters()]).norm()
        with torch.no_grad():
            for name, p in model.named_parameters():
                gradient = p.grad * (1.0 / (norm + 1e-6)).clamp(max=1.0)
                m, v = moments[name]
                m.mul_(0.9).add_(0.1 * gradient)
                v.mul_(0.999).add_(0.001 * gradient.square())
                weight_decay = 0.0 if "bias" in name or "LayerNorm" in name else 0.01
                factor = layer_multiplier(name, layers, rates.layer_decay)
                p -= rates.at(number, STEPS) * factor * (m / (v.sqrt() + 1e-6) + weight_decay * p)


# -- the same epochs -----------------------------------------------------------------


def ours(model: str, rows: list[dict[str, Any]], test: list[dict[str, Any]], epochs: float, seed: int) -> Any:
    """Scores of `electra finetune` and the CPU seconds that it took, with the choice of the epoch."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        held_out = len(rows) // 10
        for part, chosen in (("train", rows[held_out:]), ("choose", rows[:held_out])):
            (folder / f"{part}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in chosen))
        begin = time.process_time()
        finetune(
            FinetuneConfig(
                model,
                task="token-classification" if "tokens" in rows[0] else "text-classification",
                train=folder / "train.jsonl",
                eval=folder / "choose.jsonl",
                output=folder / "fitted",
                epochs=epochs,
                seed=seed,
                restarts=0,
                device="cpu",
                quiet=True,
            )
        )
        seconds = time.process_time() - begin
        tokenizer = ElectraTokenizer.from_pretrained(folder / "fitted")
        task = task_of(rows, tokenizer).for_scoring()
        answers = list(predict(load(type(task), folder / "fitted"), tokenizer, task, test))
        return task.score(answers, test), seconds


def trainer(model: str, rows: list[dict[str, Any]], test: list[dict[str, Any]], epochs: float, seed: int) -> Any:
    """The same of HF's Trainer: 8 rows a step, 5e-5, AdamW, no warm-up; rows padded to the longest of their batch."""
    import transformers

    tokenizer = transformers.AutoTokenizer.from_pretrained(model)
    rows = rows[len(rows) // 10 :]
    of_words = "tokens" in rows[0]
    names = task_of(rows, ElectraTokenizer.from_pretrained(model)).labels
    begin = time.process_time()
    learnt, judged = ([encoded(row, tokenizer, names, of_words) for row in part] for part in (rows, test))
    kind = transformers.AutoModelForTokenClassification if of_words else transformers.AutoModelForSequenceClassification
    collator = transformers.DataCollatorForTokenClassification if of_words else transformers.DataCollatorWithPadding
    transformers.set_seed(seed)
    with tempfile.TemporaryDirectory() as folder:
        run = transformers.Trainer(
            kind.from_pretrained(model, num_labels=len(names)),
            transformers.TrainingArguments(
                folder,
                num_train_epochs=epochs,
                seed=seed,
                use_cpu=True,
                report_to="none",
                disable_tqdm=True,
                save_strategy="no",
            ),
            train_dataset=learnt,
            data_collator=collator(tokenizer),
        )
        run.remove_callback(transformers.PrinterCallback)  # stdout is for the result
        run.train()
        seconds = time.process_time() - begin
        found = run.predict(judged)
    predicted = found.predictions.argmax(-1)
    if not of_words:
        right = np.array([names.index(str(row["label"])) for row in test])
        return {"accuracy": float((predicted == right).mean())}, seconds
    pairs = [
        (row[: len(ids)][ids != -100], ids[ids != -100]) for row, ids in zip(predicted, found.label_ids, strict=True)
    ]
    said, expected = ([[names[i] for i in pair[side]] for pair in pairs] for side in (0, 1))
    return EntityOutcomes(said, expected).scores(), seconds


def encoded(row: dict[str, Any], tokenizer: Any, names: tuple[str, ...], of_words: bool) -> dict[str, Any]:
    """What one writes for Trainer: the first token of a word has its label."""
    if not of_words:
        texts = [row["text"], *([row["text_pair"]] if "text_pair" in row else [])]
        return {**tokenizer(*texts, truncation=True, max_length=MAX_LENGTH), "labels": names.index(str(row["label"]))}
    found = tokenizer(row["tokens"], is_split_into_words=True, truncation=True, max_length=MAX_LENGTH)
    words = found.word_ids()
    first = [word is not None and (i == 0 or word != words[i - 1]) for i, word in enumerate(words)]
    return {**found, "labels": [names.index(row["tags"][w]) if f else -100 for w, f in zip(words, first, strict=True)]}


def warm_up() -> None:
    """Import what either side imports when it is first used: that is no part of training."""
    for module in ("sklearn.metrics", "seqeval.metrics", "torch.distributed.tensor"):
        import_module(module)
    library = import_module("transformers")
    library.utils.logging.set_verbosity_error()
    assert library.Trainer
    assert library.TrainingArguments


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", help="a discriminator's folder; by default one is pretrained")
    parser.add_argument("--pretrain-steps", type=int, default=150)
    parser.add_argument("--tasks", nargs="+", default=list(FILES), choices=FILES)
    parser.add_argument("--train", type=int, default=600, help="examples to learn from")
    parser.add_argument("--test", type=int, default=400, help="examples to score")
    parser.add_argument("--epochs", type=float, default=3.0)
    parser.add_argument("--seeds", type=int, default=1)
    options = parser.parse_args()
    logging.getLogger("electra").setLevel(logging.ERROR)
    warm_up()
    with tempfile.TemporaryDirectory() as folder:
        model = options.model or checkpoint(Path(folder) / "run", options.pretrain_steps)
        for task in options.tasks:
            rows, test = examples(task, "train", options.train), examples(task, "dev", options.test)
            one, other = both_losses(model, rows, Path(folder) / "same")
            found: dict[str, list[Any]] = {"electra": [], "trainer": []}
            for seed in range(options.seeds):
                found["electra"].append(ours(model, rows, test, options.epochs, seed))
                found["trainer"].append(trainer(model, rows, test, options.epochs, seed))
            main_score = "f1" if task == "conll2003" else "accuracy"
            seconds = {name: round(sum(run[1] for run in runs), 2) for name, runs in found.items()}
            scores = {name: [round(run[0][main_score], 4) for run in runs] for name, runs in found.items()}
            result = {
                "benchmark": "finetuning",
                "machine": f"{platform.machine()}, {torch.get_num_threads()} threads, torch {torch.__version__}",
                "task": task,
                "examples": {"train": len(rows), "test": len(test)},
                "losses": {"steps": len(one), "first": one[0], "last": one[-1]},
                "largest_difference": max(abs(a - b) for a, b in zip(one, other, strict=True)),
                "score": main_score,
                "scores": scores,
                "means": {name: round(statistics.mean(values), 4) for name, values in scores.items()},
                "cpu_seconds": seconds,
                "times_the_trainer": round(seconds["electra"] / seconds["trainer"], 2),
            }
            print(json.dumps(result), flush=True)


if __name__ == "__main__":
    main()
