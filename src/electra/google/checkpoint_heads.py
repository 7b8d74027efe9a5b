"""Convert the task heads of Google's fine-tuned networks to our heads and back, bit-exactly.

Google's classifier is one layer on the first token; ours has two layers with GELU between (as in transformers). Since
GELU(x) - GELU(-x) = x, two layers can compute the same as one: the first layer holds every output's row twice, with
both signs, and the second subtracts. The remaining rows of the first layer are zero.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

Tensors = dict[str, Tensor]
Read = Callable[[str], Tensor]

_JOINT = {
    "start": "dense",
    "end_hidden": "qa_hidden",
    "end": "dense_1",
    "answerable_hidden": "dense_2",
    "answerable": "dense_3",
}


@dataclass(frozen=True)
class Head:
    """How the variables of a task head become parameters, and the reverse.

    Variables are named without `task_specific/<task>/`.
    """

    architecture: str
    names: tuple[str, ...]
    """Its variables, without /kernel and /bias."""
    parameters: Callable[[Read], Tensors]
    """Makes parameters; its argument returns a variable's values by name, kernels as [outputs, inputs]."""
    variables: Callable[[Mapping[str, Tensor]], Tensors]
    """Makes variables of our parameters; ValueError for a head that Google's code does not have."""


def classifier(width: int) -> Head:
    """The head for one label or number per sequence.

    Args:
        width: the hidden size of the encoder.
    """
    return Head("ElectraForSequenceClassification", ("dense",), lambda read: _split(read, width), _joined)


def _split(read: Read, width: int) -> Tensors:
    kernel, bias = read("dense/kernel"), read("dense/bias")
    outputs = len(bias)
    if 2 * outputs > width:
        raise ValueError(
            f"the classifier tells {outputs} labels apart with an encoder {width} wide; up to {width // 2} can be "
            "written as the two layers that a text classifier has here"
        )
    dense, dense_bias = torch.zeros(width, width, dtype=kernel.dtype), torch.zeros(width, dtype=kernel.dtype)
    dense[:outputs], dense[outputs : 2 * outputs] = kernel, -kernel
    dense_bias[:outputs], dense_bias[outputs : 2 * outputs] = bias, -bias
    return {
        "classifier.dense.weight": dense,
        "classifier.dense.bias": dense_bias,
        "classifier.out_proj.weight": _difference(outputs, width).to(kernel.dtype),
        "classifier.out_proj.bias": torch.zeros(outputs, dtype=kernel.dtype),
    }


def _joined(state: Mapping[str, Tensor]) -> Tensors:
    dense, bias = state["classifier.dense.weight"], state["classifier.dense.bias"]
    last, last_bias = state["classifier.out_proj.weight"], state["classifier.out_proj.bias"]
    outputs = len(last)
    both = torch.cat([dense, bias[:, None]], 1)
    if not (
        2 * outputs <= len(dense)
        and torch.equal(last, _difference(outputs, len(dense)).to(last.dtype))
        and torch.equal(both[outputs : 2 * outputs], -both[:outputs])
        and not both[2 * outputs :].any()
        and not last_bias.any()
    ):
        raise ValueError(
            "its classifier has two layers, as in transformers, and Google's code has a classifier of one: only what "
            "was converted from there, and not trained since, can be converted back"
        )
    return {"dense/kernel": dense[:outputs], "dense/bias": bias[:outputs]}


def _difference(outputs: int, width: int) -> Tensor:
    """[outputs, width]: each output is the difference of two inputs."""
    one = torch.eye(outputs)
    return torch.cat([one, -one, torch.zeros(outputs, width - 2 * outputs)], 1)


def _renamed(names: Mapping[str, str]) -> tuple[Callable[[Read], Tensors], Callable[[Mapping[str, Tensor]], Tensors]]:
    """Both conversions of a head that has the same layers under other names.

    Args:
        names: our layer -> Google's layer.
    """
    pairs = {
        f"{ours}.{our_kind}": f"{theirs}/{their_kind}"
        for ours, theirs in names.items()
        for our_kind, their_kind in (("weight", "kernel"), ("bias", "bias"))
    }

    def parameters(read: Read) -> Tensors:
        return {ours: read(theirs) for ours, theirs in pairs.items()}

    def variables(state: Mapping[str, Tensor]) -> Tensors:
        return {theirs: state[ours] for ours, theirs in pairs.items()}

    return parameters, variables


TAGGER = Head("ElectraForTokenClassification", ("dense",), *_renamed({"classifier": "dense"}))
"""A label for every token."""

JOINT_SPAN = Head("ElectraForJointQuestionAnswering", tuple(_JOINT.values()), *_renamed(_JOINT))
"""Question answering: an end that depends on the start, and answerability."""

JOINT_SPAN_ALONE = Head(
    "ElectraForJointQuestionAnswering",
    tuple(_JOINT.values())[:3],
    *_renamed({ours: theirs for ours, theirs in _JOINT.items() if not ours.startswith("answerable")}),
)
"""The same without answerability, for tasks where every question has an answer."""


def _two_layers_as_one(read: Read) -> Tensors:
    return {
        "qa_outputs.weight": torch.cat([read("dense/kernel"), read("dense_1/kernel")]),
        "qa_outputs.bias": torch.cat([read("dense/bias"), read("dense_1/bias")]),
    }


def _one_layer_as_two(state: Mapping[str, Tensor]) -> Tensors:
    weight, bias = state["qa_outputs.weight"], state["qa_outputs.bias"]
    return {
        "dense/kernel": weight[:1],
        "dense/bias": bias[:1],
        "dense_1/kernel": weight[1:],
        "dense_1/bias": bias[1:],
    }


SPAN = Head("ElectraForQuestionAnswering", ("dense", "dense_1"), _two_layers_as_one, _one_layer_as_two)
"""Question answering: start and end predicted independently."""
