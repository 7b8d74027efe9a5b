"""What a checkpoint of Google's holds, read from names and shapes alone; its heads, and what is refused."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from electra.google.checkpoint_heads import JOINT_SPAN, JOINT_SPAN_ALONE, SPAN, TAGGER, Head, classifier
from electra.google.checkpoint_networks import describe_unused, heads_of, networks_in
from electra.google.hparams import heads, overrides, read_settings, settings_of
from electra.google.variable_names import Scopes, variable_name
from tests.parity.google import SHAPES, fine_tuned, torch_name

ENCODER = Scopes()


@pytest.mark.parametrize("kind", ["pair", "mnli"])
def test_names_are_googles(kind: str) -> None:
    """By another table of names, that of the tests."""
    for variable in SHAPES[kind]:
        if not variable.startswith("task_specific"):
            network, parameter = torch_name(variable)
            scopes = Scopes("generator", "electra") if network == "generator" else Scopes()
            assert variable_name(parameter, scopes) == variable


def test_a_generator_s_own_embeddings_are_under_its_name() -> None:
    scopes = Scopes("generator", "generator")
    name = "electra.embeddings.word_embeddings.weight"
    assert variable_name(name, scopes) == "generator/embeddings/word_embeddings"
    assert variable_name(name, Scopes("generator", "electra")) == "electra/embeddings/word_embeddings"


SIZES = {"vocab_size": 37, "max_position_embeddings": 24, "type_vocab_size": 2, "num_hidden_layers": 2}
LARGE = {**SIZES, "embedding_size": 12, "hidden_size": 16, "intermediate_size": 20}
SMALL = {**SIZES, "embedding_size": 12, "hidden_size": 8, "intermediate_size": 32}
TASK = {**SIZES, "embedding_size": 16, "hidden_size": 16, "intermediate_size": 20}
OWN = Scopes("generator", "electra")


@pytest.mark.parametrize(
    ("kind", "expected"),
    [
        (
            "pair",
            {
                "discriminator": ("ElectraForPreTraining", {**LARGE, "generator_hidden_size": 0.5}, ENCODER),
                "generator": ("ElectraForMaskedLM", SMALL, OWN),
            },
        ),
        (
            "generator as wide",
            {
                "discriminator": ("ElectraForPreTraining", {**LARGE, "generator_hidden_size": 1.0}, ENCODER),
                "generator": ("ElectraForMaskedLM", {**LARGE, "intermediate_size": 64}, OWN),
            },
        ),
        (
            "generator not as deep",
            {
                "discriminator": ("ElectraForPreTraining", {**LARGE, "generator_hidden_size": 0.5}, ENCODER),
                "generator": ("ElectraForMaskedLM", {**SMALL, "num_hidden_layers": 1}, OWN),
            },
        ),
        (
            "untied embeddings",
            {
                "discriminator": ("ElectraForPreTraining", {**LARGE, "generator_hidden_size": 0.5}, ENCODER),
                "generator": ("ElectraForMaskedLM", {**SMALL, "embedding_size": 8}, Scopes("generator", "generator")),
            },
        ),
        (
            "one encoder",
            {
                "discriminator": ("ElectraForPreTraining", LARGE, ENCODER),
                "generator": ("ElectraForMaskedLM", LARGE, ENCODER),
            },
        ),
        ("no generator", {"discriminator": ("ElectraForPreTraining", LARGE, ENCODER)}),
        ("electric", {"discriminator": ("ElectraForPreTraining", LARGE, ENCODER)}),
        ("masked language model", {"generator": ("ElectraForMaskedLM", LARGE, ENCODER)}),
        ("encoder", {"encoder": ("ElectraModel", LARGE, ENCODER)}),
        (
            "mnli",
            {
                "mnli": (
                    "ElectraForSequenceClassification",
                    {**TASK, "id2label": {0: "contradiction", 1: "entailment", 2: "neutral"}},
                    ENCODER,
                )
            },
        ),
        (
            "sts",
            {
                "sts": (
                    "ElectraForSequenceClassification",
                    {**TASK, "num_labels": 1, "problem_type": "regression"},
                    ENCODER,
                )
            },
        ),
        (
            "chunk",
            {"chunk": ("ElectraForTokenClassification", {**TASK, "num_labels": 9, "type_vocab_size": 3}, ENCODER)},
        ),
        (
            "squadv1 joint",
            {
                "squadv1": (
                    "ElectraForJointQuestionAnswering",
                    {**TASK, "joint_hidden_size": 11, "answerability": False},
                    ENCODER,
                )
            },
        ),
        ("squadv1 apart", {"squadv1": ("ElectraForQuestionAnswering", TASK, ENCODER)}),
    ],
)
def test_networks_and_sizes(kind: str, expected: dict[str, tuple[str, dict[str, Any], Scopes]]) -> None:
    found = networks_in({**SHAPES[kind], "global_step": ()})
    assert {network.name: (network.architecture, dict(network.fields), network.scopes) for network in found} == expected


def test_several_tasks_are_several_networks() -> None:
    assert [network.name for network in networks_in(SHAPES["two tasks"])] == ["chunk", "mnli"]


@pytest.mark.parametrize(
    ("kind", "outputs", "architecture", "problem"),
    [
        ("text-classification", 4, "ElectraForSequenceClassification", None),
        ("text-classification", 1, "ElectraForSequenceClassification", "regression"),
        ("token-classification", 4, "ElectraForTokenClassification", None),
    ],
)
def test_a_task_of_one_s_own_is_what_is_said(kind: str, outputs: int, architecture: str, problem: str | None) -> None:
    [network] = networks_in(fine_tuned("mine", dense=(16, outputs)), kind)
    assert (network.architecture, network.fields.get("problem_type")) == (architecture, problem)
    assert network.fields["num_labels"] == outputs


@pytest.mark.parametrize(
    ("shapes", "what"),
    [
        ({"bert/embeddings/word_embeddings": (9, 8)}, "a BERT and no ELECTRA"),
        ({"model/layer/.ATTRIBUTES/VARIABLE_VALUE": (9, 8)}, "saved by Keras"),
        ({"generator_ltr/encoder/layer_0/output/dense/bias": (8,)}, "Electric's cloze model alone"),
        ({"weights": (9, 8)}, "no ELECTRA: its variables are weights"),
        ({"discriminator_predictions/dense/bias": (8,)}, "no variable 'electra/embeddings/word_embeddings'"),
        ({**SHAPES["encoder"], "electra/embeddings/word_embeddings": (9,)}, r"has the shape \[9\]"),
        (fine_tuned("mine", dense=(16, 4)), "'mine' is no task that Google's code comes with"),
        (fine_tuned("squad", dense=(16, 1), dense_1=(16, 1), dense_2=(16, 1)), "joint_prediction off"),
        (
            fine_tuned("squad", dense=(16, 1), qa_hidden=(32, 9), dense_1=(9, 1), dense_2=(16, 1)),
            "answerable_uses_start_logits off",
        ),
        (fine_tuned("mine", dense=(16, 4), other=(4, 4)), "a head with the layers dense, other"),
    ],
)
def test_what_has_no_class_is_named(shapes: dict[str, tuple[int, ...]], what: str) -> None:
    with pytest.raises(ValueError, match=what):
        networks_in(shapes)


def test_unused_variables_are_described() -> None:
    electric = [name for name in SHAPES["electric"] if name.startswith(("generator_", "cloze_"))]
    [message] = describe_unused([*electric, "global_step", "electra/embeddings/word_embeddings/adam_m"])
    assert f"{len(electric)} variables of Electric's two-tower cloze model" in message
    assert describe_unused(["stray/thing"]) == ["1 variables of no known network: stray/thing"]


@pytest.mark.parametrize(("width", "expected"), [(16, 1), (64, 1), (256, 4), (768, 12), (1024, 16)])
def test_heads_follow_from_the_width(width: int, expected: int) -> None:
    assert heads_of(width) == expected


# -- heads ---------------------------------------------------------------------------------------------------------


def variables_for(head: Head, width: int, outputs: int, inner: int = 11) -> dict[str, Tensor]:
    """Kernels as [outputs, inputs], and biases."""
    sizes = {
        "dense": (outputs, width),
        "qa_hidden": (inner, 2 * width),
        "dense_1": (1, inner if "qa_hidden" in head.names else width),
        "dense_2": (inner, 2 * width),
        "dense_3": (1, inner),
    }
    numbers = torch.Generator().manual_seed(1)
    shapes = {f"{n}/kernel": sizes[n] for n in head.names} | {f"{n}/bias": sizes[n][:1] for n in head.names}
    return {name: torch.randn(shape, generator=numbers) for name, shape in shapes.items()}


@pytest.mark.parametrize(
    ("head", "outputs"),
    [(classifier(16), 3), (classifier(16), 8), (TAGGER, 9), (JOINT_SPAN, 1), (JOINT_SPAN_ALONE, 1), (SPAN, 1)],
)
def test_heads_come_back_to_the_same_bits(head: Head, outputs: int) -> None:
    variables = variables_for(head, 16, outputs)
    back = head.variables(head.parameters(variables.__getitem__))
    assert back.keys() == variables.keys()
    assert all(torch.equal(back[name], value) for name, value in variables.items())


def test_two_layers_with_gelu_between_are_googles_one() -> None:
    variables = variables_for(classifier(16), 16, 3)
    state = {name.removeprefix("classifier."): v for name, v in classifier(16).parameters(variables.get).items()}  # type: ignore[arg-type]
    first = 3 * torch.randn(40, 16, generator=torch.Generator().manual_seed(2))
    inner = torch.nn.functional.gelu(first @ state["dense.weight"].T + state["dense.bias"])
    ours = inner @ state["out_proj.weight"].T + state["out_proj.bias"]
    theirs = first @ variables["dense/kernel"].T + variables["dense/bias"]
    assert theirs.abs().max() > 10
    torch.testing.assert_close(ours, theirs, rtol=1e-5, atol=1e-6)


def test_more_labels_than_two_layers_can_tell_apart_are_refused() -> None:
    variables = variables_for(classifier(16), 16, 9)
    with pytest.raises(ValueError, match="tells 9 labels apart with an encoder 16 wide; up to 8"):
        classifier(16).parameters(variables.__getitem__)


@pytest.mark.parametrize("changed", ["dense.weight", "dense.bias", "out_proj.weight", "out_proj.bias"])
def test_a_classifier_that_was_trained_on_cannot_be_written_back(changed: str) -> None:
    state = classifier(16).parameters(variables_for(classifier(16), 16, 3).__getitem__)
    state[f"classifier.{changed}"].view(-1)[-1] += 0.5
    with pytest.raises(ValueError, match="only what was converted from there, and not trained since"):
        classifier(16).variables(state)


# -- hparams.json --------------------------------------------------------------------------------------------------


def test_settings_come_back(tmp_path: Path) -> None:
    fields = {**LARGE, "num_attention_heads": 4, "hidden_act": "relu", "initializer_range": 0.1}
    fields |= {"hidden_dropout_prob": 0.2, "attention_probs_dropout_prob": 0.3}
    generator = {"hidden_size": 8, "num_hidden_layers": 1}
    (tmp_path / "hparams.json").write_text(settings_of(fields, generator=generator, task="cola"))
    found = read_settings(tmp_path / "hparams.json", LARGE)
    assert heads(found) == 4
    assert overrides(found) == {name: fields[name] for name in overrides(found)}
    assert len(overrides(found)) == 4
    assert (found["generator_hidden_size"], found["generator_layers"]) == (0.5, 0.5)
    assert (found["task_names"], found["embedding_size"]) == (["cola"], 12)


def test_no_settings_say_nothing(tmp_path: Path) -> None:
    assert read_settings(tmp_path / "hparams.json", LARGE) == {}
    assert (heads({}), overrides({})) == (None, {})


@pytest.mark.parametrize("text", ["[1]", "{", '{"model_hparam_overrides": 3}'])
def test_settings_that_are_none_are_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / "hparams.json").write_text(text)
    with pytest.raises(ValueError, match=r"hparams.json does not hold the --hparams"):
        read_settings(tmp_path / "hparams.json", LARGE)


def test_settings_of_another_network_are_refused(tmp_path: Path) -> None:
    (tmp_path / "hparams.json").write_text(json.dumps({"model_hparam_overrides": {"num_hidden_layers": 5}}))
    with pytest.raises(ValueError, match=r"another network: num_hidden_layers is 5 there, and 2 in the variables"):
        read_settings(tmp_path / "hparams.json", LARGE)
