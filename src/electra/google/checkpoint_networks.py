"""Which networks a checkpoint of Google's code holds, and their sizes, from the variables' names and shapes alone."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from electra.google.checkpoint_heads import JOINT_SPAN, JOINT_SPAN_ALONE, SPAN, TAGGER, Head, classifier
from electra.google.variable_names import Scopes, is_kept

Shapes = Mapping[str, tuple[int, ...]]

HEAD_WIDTH = 64
"""Attention heads cannot be read from shapes; Google's sizes have one for every 64 units (util/training_utils.py)."""

# finetune/classification and finetune/tagging: in the order of their outputs
_LABELS = {
    "cola": ("0", "1"),
    "mrpc": ("0", "1"),
    "sst": ("0", "1"),
    "qqp": ("0", "1"),
    "mnli": ("contradiction", "entailment", "neutral"),
    "qnli": ("entailment", "not_entailment"),
    "rte": ("entailment", "not_entailment"),
}
_REGRESSION = ("sts",)
_TAGGING = ("chunk",)
KINDS = ("text-classification", "token-classification")

# google-research/electra run_pretraining.py, with electric_objective
_ELECTRIC = ("generator_ltr/", "generator_rtl/", "cloze_predictions/")

TAGGERS_TOKEN_TYPES = (1, 1, 0)
"""The row of Google's table for each token type of a tagger. Google's code gives taggers token type 1
(tagging_tasks.py), whereas a single text has type 0 everywhere else. So types 0 and 1 are both Google's row 1; the
unused row 0 comes last."""


@dataclass(frozen=True)
class Network:
    """One network of a checkpoint."""

    name: str
    """discriminator, generator, encoder, or the name of the task that it was fine-tuned for."""
    architecture: str
    """The name of our model class."""
    fields: Mapping[str, Any]
    """The fields of its configuration, without the number of attention heads."""
    scopes: Scopes
    head: Head | None = None
    """The task head of a fine-tuned network."""
    token_types: tuple[int, ...] | None = None
    """Google's row for each of our token types; None where the tables are equal."""


def networks_in(shapes: Shapes, kind: str | None = None) -> list[Network]:
    """The networks in a checkpoint with variables of these shapes.

    Args:
        shapes: by the variables' names.
        kind: one of KINDS, for a task that Google's code does not have.

    Raises:
        ValueError: there is no network, or one that has no class here; the message names it.
    """
    heads = {name.split("/")[0] for name in shapes if is_kept(name)}
    networks = []
    if "discriminator_predictions" in heads:
        extra = _generator_fraction(shapes)
        networks.append(
            Network("discriminator", "ElectraForPreTraining", {**_sizes(shapes, Scopes()), **extra}, Scopes())
        )
    if "generator_predictions" in heads:
        scopes = _of_generator(shapes)
        networks.append(Network("generator", "ElectraForMaskedLM", _sizes(shapes, scopes), scopes))
    networks += [_fine_tuned(task, shapes, kind) for task in _tasks(shapes)]
    if not networks and "electra/embeddings/word_embeddings" in shapes:
        networks.append(Network("encoder", "ElectraModel", _sizes(shapes, Scopes()), Scopes()))
    if not networks:
        raise ValueError(_nothing(shapes, heads))
    return networks


def heads_of(width: int) -> int:
    """The default number of attention heads in Google's code.

    Args:
        width: the hidden size of the encoder.
    """
    return max(1, width // HEAD_WIDTH)


def describe_unused(unused: Iterable[str]) -> list[str]:
    """Messages about variables of a checkpoint that belong to none of its networks.

    Args:
        unused: the names of these variables.
    """
    rest = sorted(filter(is_kept, unused))
    electric = [name for name in rest if name.startswith(_ELECTRIC)]
    others = [name for name in rest if name not in electric]
    messages = []
    if electric:
        messages.append(
            f"{len(electric)} variables of Electric's two-tower cloze model, for which there is no class here. The "
            "discriminator's scores are its energies"
        )
    if others:
        messages.append(f"{len(others)} variables of no known network: {', '.join(others[:5])}")
    return messages


def _of_generator(shapes: Shapes) -> Scopes:
    """A generator has its own encoder, or it is the only one (a BERT, or untied_generator=False)."""
    own_encoder = any(name.startswith("generator/encoder/") for name in shapes)
    own_embeddings = "generator/embeddings/word_embeddings" in shapes
    return Scopes("generator" if own_encoder else "electra", "generator" if own_embeddings else "electra")


def _generator_fraction(shapes: Shapes) -> dict[str, float]:
    """The generator's hidden size as a fraction of the discriminator's, for continued training; empty without both."""
    scopes = _of_generator(shapes)
    name = "{}/encoder/layer_0/attention/output/dense/bias"
    own, shared = shapes.get(name.format(scopes.encoder)), shapes.get(name.format("electra"))
    if scopes.encoder == "electra" or own is None or shared is None:
        return {}
    return {"generator_hidden_size": own[0] / shared[0]}


def _sizes(shapes: Shapes, scopes: Scopes) -> dict[str, Any]:
    """The fields of a configuration that are sizes."""
    words = _shape(shapes, f"{scopes.embeddings}/embeddings/word_embeddings", 2)
    wide = _shape(shapes, f"{scopes.encoder}/encoder/layer_0/intermediate/dense/kernel", 2)
    layers = {int(match[1]) for name in shapes if (match := re.match(rf"{scopes.encoder}/encoder/layer_(\d+)/", name))}
    return {
        "vocab_size": words[0],
        "embedding_size": words[1],
        "hidden_size": wide[0],
        "intermediate_size": wide[1],
        "num_hidden_layers": max(layers) + 1,
        "max_position_embeddings": _shape(shapes, f"{scopes.embeddings}/embeddings/position_embeddings", 2)[0],
        "type_vocab_size": _shape(shapes, f"{scopes.embeddings}/embeddings/token_type_embeddings", 2)[0],
    }


def _shape(shapes: Shapes, name: str, dimensions: int) -> tuple[int, ...]:
    if name not in shapes:
        raise ValueError(f"it has no variable {name!r}, so it is no whole ELECTRA")
    if len(shapes[name]) != dimensions:
        raise ValueError(f"its variable {name!r} has the shape {list(shapes[name])}, not one of {dimensions} numbers")
    return shapes[name]


# -- fine-tuned networks -------------------------------------------------------------------------------------------


def _tasks(shapes: Shapes) -> list[str]:
    return sorted({name.split("/")[1] for name in shapes if name.startswith("task_specific/") and name.count("/") > 1})


def _fine_tuned(task: str, shapes: Shapes, kind: str | None) -> Network:
    sizes = _sizes(shapes, Scopes())
    layers = _layers(task, shapes)
    if set(layers) == {"dense"}:
        return _labelling(task, layers["dense"][1], sizes, kind)
    head, fields = _span_head(task, layers, sizes["hidden_size"])
    return Network(task, head.architecture, {**sizes, **fields}, Scopes(), head)


def _layers(task: str, shapes: Shapes) -> dict[str, tuple[int, ...]]:
    """The layers of a task's head, with the shapes of their kernels."""
    prefix = f"task_specific/{task}/"
    names = {name.removeprefix(prefix).split("/")[0] for name in shapes if name.startswith(prefix)}
    return {name: _shape(shapes, f"{prefix}{name}/kernel", 2) for name in sorted(names)}


def _labelling(task: str, outputs: int, sizes: dict[str, Any], kind: str | None) -> Network:
    """A classifier or a tagger: the shapes are the same, so the task or `kind` decides."""
    labels = dict(enumerate(_LABELS.get(task, ())))
    fields = {**sizes, **({"id2label": labels} if len(labels) == outputs else {"num_labels": outputs})}
    if task in _TAGGING or kind == "token-classification":
        fields["type_vocab_size"] = len(TAGGERS_TOKEN_TYPES)
        return Network(task, TAGGER.architecture, fields, Scopes(), TAGGER, TAGGERS_TOKEN_TYPES)
    if task in _REGRESSION or (kind == "text-classification" and outputs == 1):
        fields["problem_type"] = "regression"
    elif task not in _LABELS and kind is None:
        raise ValueError(
            f"{task!r} is no task that Google's code comes with, and its variables are the same for a text classifier "
            f"and a tagger: say which it is, --task {' or --task '.join(KINDS)}"
        )
    head = classifier(sizes["hidden_size"])
    return Network(task, head.architecture, fields, Scopes(), head)


def _span_head(task: str, layers: Mapping[str, tuple[int, ...]], width: int) -> tuple[Head, dict[str, Any]]:
    """The question-answering head with these layers (finetune/qa/qa_tasks.py), and its configuration fields."""
    for head in (JOINT_SPAN, JOINT_SPAN_ALONE):
        if set(layers) == set(head.names) and layers["qa_hidden"][0] == 2 * width:
            answerable = head is JOINT_SPAN
            return head, {"joint_hidden_size": layers["qa_hidden"][1], "answerability": answerable}
    if set(layers) == set(SPAN.names) and layers["dense_1"] == (width, 1):
        return SPAN, {}
    if layers.get("dense_1") == (width, 1):
        what = "question answering with joint_prediction off and a classifier of answerability"
    elif "qa_hidden" in layers:
        what = "question answering with answerable_uses_start_logits off"
    else:
        what = f"a head with the layers {', '.join(layers)}"
    raise ValueError(f"the task {task!r} is {what}, for which there is no class here")


def _nothing(shapes: Shapes, heads: set[str]) -> str:
    if "bert" in heads:
        return "it holds a BERT and no ELECTRA"
    if any("/.ATTRIBUTES/" in name for name in shapes):
        return "it was saved by Keras, by objects and not by names, and is no checkpoint of google-research/electra"
    if any(name.startswith(_ELECTRIC) for name in shapes):
        return "it holds Electric's cloze model alone, for which there is no class here"
    return f"it holds no ELECTRA: its variables are {', '.join(sorted(shapes)[:5])} and so on ({len(shapes)} in all)"
