"""Are the first losses of fine-tuning those of a plain loop over transformers' model?

Prints one JSON line for each task. `largest_difference`: from the same checkpoint, with the same batches and
hyperparameters and no dropout, between the first losses here and in a loop that is written out below.

    python benchmarks/finetuning_losses.py [CHECKPOINT] [--tasks sst2,mrpc,conll2003] [--steps 50]

It reads $ELECTRA_SHARED/data (default: ../shared/data) and needs transformers. Without a checkpoint it pretrains a tiny
one for a minute.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch

from electra.config import ElectraConfig
from electra.finetuning.fit import Fitting, batches
from electra.finetuning.learning_rates import Rates, layer_multiplier, usual_rates
from electra.finetuning.task_network import new_model
from electra.inference.predictor import load
from electra.tasks.text_classification import TextClassification
from electra.tasks.token_classification import TokenClassification
from electra.text.tokenizer import ElectraTokenizer
from finetuning import checkpoint, examples

BATCH_SIZE, MAX_LENGTH, EXAMPLES = 32, 128, 600


def both_losses(model: str, rows: list[dict[str, Any]], folder: Path, steps: int) -> tuple[list[float], list[float]]:
    """The mean loss of each of the first steps, here and in the plain loop."""
    tokenizer = ElectraTokenizer.from_pretrained(model)
    kind = TokenClassification if "tokens" in rows[0] else TextClassification
    task: Any = kind.from_examples(rows, max_length=MAX_LENGTH).for_tokenizer(tokenizer)
    items = task.training_items(rows, tokenizer)
    ours = new_model(model, task, seed=0)
    for part in ours.modules():
        if isinstance(part, torch.nn.Dropout):
            part.p = 0.0
    ours.config.update({"hidden_dropout_prob": 0.0, "attention_probs_dropout_prob": 0.0, "classifier_dropout": 0.0})
    ours.save_pretrained(folder)
    ours = load(type(task), folder)
    rate, decay = usual_rates(ours.config.hidden_size)
    epochs = steps * BATCH_SIZE / len(items)
    fitting = Fitting(ours, items, task, Rates(rate, decay), epochs=epochs, batch_size=BATCH_SIZE)
    found: list[float] = []
    fitting.train(periodic=[lambda step, values: found.append(float(values["loss"]) / float(values["labels"]))])
    return found, list(plain_loop(folder, batches(items, task, steps, BATCH_SIZE, 0), fitting.rates, steps))


def plain_loop(folder: Path, batches_of_steps: Iterator[list[Any]], rates: Rates, steps: int) -> Iterator[float]:
    """A padded grid a step, the summed loss, clipping, Google's Adam and schedule, as plain arithmetic."""
    import transformers

    kind = getattr(transformers, ElectraConfig.from_pretrained(folder).architectures[0])
    model = kind.from_pretrained(folder).train()
    moments = {name: (torch.zeros_like(p), torch.zeros_like(p)) for name, p in model.named_parameters()}
    layers, pad = model.config.num_hidden_layers, torch.nn.utils.rnn.pad_sequence
    for number, parts in enumerate(batches_of_steps):
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
                p -= rates.at(number, steps) * factor * (m / (v.sqrt() + 1e-6) + weight_decay * p)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("checkpoint", nargs="?", help="a discriminator's folder; by default one is made")
    parser.add_argument("--tasks", default="sst2,mrpc,conll2003")
    parser.add_argument("--steps", type=int, default=50)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        model = options.checkpoint or str(checkpoint(Path(folder) / "run"))
        for task in options.tasks.split(","):
            rows = examples(task, "train", EXAMPLES)
            ours, plain = both_losses(model, rows, Path(folder) / "same", options.steps)
            result = {
                "benchmark": "finetuning_losses",
                "torch": torch.__version__,
                "task": task,
                "losses": {"steps": len(ours), "first": ours[0], "last": ours[-1]},
                "largest_difference": max(abs(a - b) for a, b in zip(ours, plain, strict=True)),
            }
            print(json.dumps(result), flush=True)


if __name__ == "__main__":
    main()
