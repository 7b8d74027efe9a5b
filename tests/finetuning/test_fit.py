"""Google's law of training: rates by layer, the loss of a step, the order of the examples."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from electra.config import ElectraConfig
from electra.finetuning import fit as batching
from electra.finetuning.fit import batches, fit
from electra.finetuning.learning_rates import layer_multiplier, usual_rates
from electra.models import ElectraForSequenceClassification
from electra.tasks.text_classification import TextClassification
from electra.text.tokenizer import ElectraTokenizer
from tests.finetuning.toy import SIZES, examples


def test_layer_multipliers_are_google_s(shared: Path) -> None:
    reference = json.loads((shared / "fixtures/tf1/reference/ft_mrpc.json").read_text())
    layers = reference["hparams"]["model_hparam_overrides"]["num_hidden_layers"]
    for name, expected in reference["lr_multiplier"].items():
        ours = name.replace("/", ".").replace("layer_", "layer.").replace("task_specific.mrpc", "classifier")
        assert math.isclose(layer_multiplier(ours, layers, 0.8), expected, rel_tol=1e-6), name


def test_a_fit_is_the_written_out_loop(tokenizer: ElectraTokenizer, monkeypatch: pytest.MonkeyPatch) -> None:
    """Padded batches, the summed loss, clipping, Adam and the schedule as plain arithmetic give the same weights."""
    monkeypatch.setattr(batching, "PART_TOKENS", 30)  # a step's batch comes in several parts
    task = TextClassification(labels=("no", "yes"), max_length=24)
    rows = task.training_items(examples(24), tokenizer)
    sizes = {**SIZES, "intermediate_size": 64, "hidden_dropout_prob": 0.0, "attention_probs_dropout_prob": 0.0}
    torch.manual_seed(1)
    model = ElectraForSequenceClassification(ElectraConfig(vocab_size=len(tokenizer), initializer_range=0.3, **sizes))
    twin = ElectraForSequenceClassification(model.config)
    twin.load_state_dict(model.state_dict())

    fit(
        model,
        rows,
        task,
        epochs=2,
        batch_size=8,
        learning_rate=1e-2,
        layer_decay=0.7,
        warmup_fraction=0.4,
        weight_decay=0.1,
        seed=3,
    )
    plain_loop(twin, list(batches(rows, task, 6, 8, 3)), rate=1e-2, warmup_steps=2)
    for (name, one), other in zip(model.named_parameters(), twin.parameters(), strict=True):
        if name.endswith("key.bias"):  # softmax takes no notice of it: its gradient is rounding
            continue
        torch.testing.assert_close(one, other, rtol=1e-4, atol=2e-6, msg=lambda text, name=name: f"{name}: {text}")


def plain_loop(model: Any, steps: list[Any], *, rate: float, warmup_steps: int) -> None:
    """What `fit` does, step by step, with padded grids."""
    moments = {name: (torch.zeros_like(p), torch.zeros_like(p)) for name, p in model.named_parameters()}
    for number, parts in enumerate(steps):
        rows = [ids for part in parts for ids in part.batch.layout.split(part.batch.input_ids)]
        labels = torch.cat([part.labels["labels"] for part in parts])
        ids = torch.nn.utils.rnn.pad_sequence(rows, batch_first=True)
        mask = torch.nn.utils.rnn.pad_sequence([torch.ones_like(row) for row in rows], batch_first=True)
        model.zero_grad()
        logits = model(ids, attention_mask=mask).logits
        torch.nn.functional.cross_entropy(logits, labels, reduction="sum").backward()
        norm = math.sqrt(sum(float(p.grad.square().sum()) for p in model.parameters()))
        assert norm > 1
        lr = rate * (1 - number / len(steps)) * min(1, number / warmup_steps)
        for name, p in model.named_parameters():
            step_of(name, p, moments[name], p.grad / norm, lr * layer_multiplier(name, 2, 0.7))


@torch.no_grad()
def step_of(name: str, p: Tensor, moments: tuple[Tensor, Tensor], gradient: Tensor, lr: float) -> None:
    m, v = moments
    m.mul_(0.9).add_(0.1 * gradient)
    v.mul_(0.999).add_(0.001 * gradient.square())
    decay = 0.0 if "bias" in name or "LayerNorm" in name else 0.1
    p -= lr * (m / (v.sqrt() + 1e-6) + decay * p)


def test_every_example_comes_once_an_epoch_in_an_order_by_seed(tokenizer: ElectraTokenizer) -> None:
    task = TextClassification(labels=("no", "yes"), max_length=24)
    rows = task.training_items(examples(20), tokenizer)

    def order(seed: int) -> list[tuple[int, ...]]:
        parts = [part for step in batches(rows, task, 8, 5, seed) for part in step]
        return [tuple(row.tolist()) for part in parts for row in part.batch.layout.split(part.batch.input_ids)]

    expected = sorted(tuple(item.rows[0].input_ids) for item in rows)
    assert sorted(order(0)[:20]) == sorted(order(0)[20:]) == expected
    assert order(0)[:20] != order(0)[20:]
    assert order(0) == order(0) != order(1)


def test_processes_share_a_step_s_items(tokenizer: ElectraTokenizer) -> None:
    """All of them together have what one has, and each has long and short ones."""
    task = TextClassification(labels=("no", "yes"), max_length=24)
    items = task.training_items(examples(20), tokenizer)

    def lengths(**share: Any) -> list[int]:
        (part,) = next(batches(items, task, 1, 9, 0, **share))
        return list(part.batch.layout.lengths)

    shares = [lengths(shard=(rank, 2)) for rank in range(2)]
    assert [len(share) for share in shares] == [5, 4]
    assert sorted(shares[0] + shares[1], reverse=True) == lengths()
    assert lengths()[::2] == shares[0]


def test_even_decay_slows_each_layer_by_the_same_factor() -> None:
    names = ["classifier.out_proj.weight", *(f"electra.encoder.layer.{i}.output.dense.weight" for i in (1, 0))]
    names.append("electra.embeddings.word_embeddings.weight")
    even = [layer_multiplier(name, 2, 0.8, even=True) for name in names]
    assert even == pytest.approx([1, 0.8, 0.64, 0.512])
    assert [layer_multiplier(name, 2, 0.8) for name in names] == pytest.approx([1, 0.64, 0.512, 0.4096])


def test_rates_go_by_the_size_of_the_model() -> None:
    assert usual_rates(ElectraConfig.preset("small").hidden_size) == (3e-4, 0.8)
    assert usual_rates(ElectraConfig.preset("base").hidden_size) == (1e-4, 0.8)
    assert usual_rates(ElectraConfig.preset("large").hidden_size) == (5e-5, 0.9)


def test_a_loss_that_is_no_number_ends_a_fit(tokenizer: ElectraTokenizer) -> None:
    task = TextClassification(labels=("no", "yes"), max_length=24)
    torch.manual_seed(0)
    model = ElectraForSequenceClassification(ElectraConfig(vocab_size=len(tokenizer), **SIZES, intermediate_size=64))
    rows = task.training_items(examples(24), tokenizer)
    with pytest.raises(ValueError, match=r"the loss is NaN or infinite after step .*Lower the learning rate"):
        fit(model, rows, task, epochs=3, batch_size=4, learning_rate=1e20, layer_decay=1.0)
