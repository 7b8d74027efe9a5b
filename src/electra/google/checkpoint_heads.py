"""The heads of Google's fine-tuned networks, as heads that are here: read, and written back to the same bits.

A classifier is there one layer on the first token, and here two with GELU between (as in transformers). Since
GELU(x) - GELU(-x) = x, the two can be the one: the first layer holds every output's row twice, with both signs, and the
second subtracts. What is left of the first layer is zero.
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
    """How the variables of a task's head become parameters, and the reverse.

    parameters: from a function of a variable's name to its values, [outputs, inputs] where it is a kernel.
    variables: from our parameters; raises ValueError where they are of a head that Google's code does not have.
    Variables are named without `task_specific/<task>/`.
    """

    architecture: str
    names: tuple[str, ...]
    """Its variables, without /kernel and /bias."""
    parameters: Callable[[Read], Tensors]
    variables: Callable[[Mapping[str, Tensor]], Tensors]


def classifier(width: int) -> Head:
    """One label or number for the row, for an encoder of this `width`."""
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
    """[outputs, width]: each output is one input less another."""
    one = torch.eye(outputs)
    return torch.cat([one, -one, torch.zeros(outputs, width - 2 * outputs)], 1)


def _renamed(names: Mapping[str, str]) -> tuple[Callable[[Read], Tensors], Callable[[Mapping[str, Tensor]], Tensors]]:
    """For heads that are the same layers under other names: ours -> theirs."""
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
"""A span whose end depends on its start, and whether there is one."""

JOINT_SPAN_ALONE = Head(
    "ElectraForJointQuestionAnswering",
    tuple(_JOINT.values())[:3],
    *_renamed({ours: theirs for ours, theirs in _JOINT.items() if not ours.startswith("answerable")}),
)
"""The same for a task where there always is one."""


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
"""A span whose start and end are found apart."""
