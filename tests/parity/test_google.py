"""Converted checkpoints against numbers that Google's own code wrote: every output, losses, gradients, one step.

The bounds are what is reached, rounded up: float32, and values of order one.
"""

from __future__ import annotations

import json
import math
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import transformers
from torch.nn import functional as F

from electra import (
    ElectraForJointQuestionAnswering,
    ElectraForMaskedLM,
    ElectraForPreTraining,
    ElectraForSequenceClassification,
    ReplacedTokenDetection,
    pipeline,
)
from electra.commands.convert import convert
from electra.commands.pretrain import PretrainConfig
from electra.finetuning.learning_rates import layer_multiplier
from electra.google.convert_config import ConvertConfig
from electra.objective.masking import MaskedTokens
from electra.pretraining.initial_weights import start_from_run
from electra.training.optimizer import Adam, linear_schedule
from electra.training.run.checkpoints import Checkpoints, restore
from tests.parity.google import FIXTURE, oriented, torch_name

Arrays = dict[str, np.ndarray]
Pairs = dict[str, tuple[np.ndarray, np.ndarray]]


@pytest.fixture(scope="module")
def google(shared: Path) -> Path:
    return shared / FIXTURE


@pytest.fixture(scope="module")
def converted(google: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """All checkpoints of the fixture, each as `electra convert` writes it: run/, cola/, squad/."""
    folder, vocab = tmp_path_factory.mktemp("converted"), google / "data/vocab.txt"
    convert(ConvertConfig(google / "pretrain/small", folder / "run", vocab=vocab, optimizer=True))
    for task in ("cola", "squad"):
        convert(ConvertConfig(google / "finetune" / task, folder / task, vocab=vocab))
    return folder


def reference(folder: Path) -> Arrays:
    with np.load(folder / "reference.npz") as file:
        return dict(file)


def inputs(given: Arrays, prefix: str = "in/", ids: str | None = None) -> tuple[torch.Tensor, ...]:
    """ids [B, L], mask, types."""
    names = (ids or f"{prefix}input_ids", f"{prefix}input_mask", f"{prefix}segment_ids")
    return tuple(torch.from_numpy(given[name]).long() for name in names)


def assert_within(pairs: Pairs, name: str, bound: float) -> None:
    ours, theirs = pairs[name]
    assert ours.shape == theirs.shape, name
    difference = np.abs(ours.astype(np.float64) - theirs.astype(np.float64)).max()
    assert difference <= bound, f"{name} differs by {difference:.2e}"


def bounds(values: dict[str, float]) -> list[Any]:
    return [pytest.param(name, bound, id=f"{name} to {bound:g}") for name, bound in values.items()]


# -- pretraining: every output of both networks --------------------------------------------------------------------


@pytest.fixture(scope="module")
def pretraining(google: Path, converted: Path) -> Pairs:
    """Ours and theirs, by their names."""
    given = reference(google / "pretrain/small")
    discriminator = ElectraForPreTraining.from_pretrained(converted / "run/discriminator")
    generator = ElectraForMaskedLM.from_pretrained(converted / "run/generator")
    real = torch.from_numpy(given["in/input_mask"])
    with torch.no_grad():
        disc = discriminator(*inputs(given, ids="fake/input_ids"), output_hidden_states=True)
        gen = generator(*inputs(given, ids="mask/input_ids"), output_hidden_states=True)
        positions = torch.from_numpy(given["mask/positions"]).long()
        words = gen.logits.gather(1, positions[:, :, None].expand(-1, -1, gen.logits.shape[-1]))
        labels = torch.from_numpy(given["fake/labels"]).float()
        costs = real * F.binary_cross_entropy_with_logits(disc.logits, labels, reduction="none")
        guesses = F.cross_entropy(
            words.flatten(0, 1), torch.from_numpy(given["mask/ids"]).long().flatten(), reduction="none"
        )
    ours = {
        "disc/embedding_output": disc.hidden_states[0],
        "disc/layers": torch.stack(disc.hidden_states[1:]),
        "disc/sequence_output": disc.hidden_states[-1],
        "disc/logits_raw": disc.logits,
        "disc/probs": disc.logits.sigmoid(),
        "disc/preds": (disc.logits > 0).int(),
        "disc/per_example_loss": costs.sum(1) / real.sum(1),
        "gen/sequence_output": gen.hidden_states[-1],
        "gen/logits": words,
        "gen/per_position_loss": guesses.view(positions.shape),
    }
    return {name: (value.numpy(), given[name]) for name, value in ours.items()}


@pytest.mark.parametrize(
    ("name", "bound"),
    bounds(
        {
            "disc/embedding_output": 2e-6,
            "disc/layers": 2e-6,
            "disc/sequence_output": 2e-6,
            "disc/logits_raw": 1e-6,
            "disc/probs": 2e-7,
            "disc/preds": 0,
            "disc/per_example_loss": 2e-7,
            "gen/sequence_output": 2e-6,
            "gen/logits": 1e-6,
            "gen/per_position_loss": 2e-6,
        }
    ),
)
def test_outputs_in_pretraining(pretraining: Pairs, name: str, bound: float) -> None:
    assert_within(pretraining, name, bound)


def test_transformers_reads_the_folders_to_1e_6(google: Path, converted: Path) -> None:
    given = reference(google / "pretrain/small")
    found = transformers.ElectraForPreTraining.from_pretrained(converted / "run/discriminator").eval()
    generator = transformers.ElectraForMaskedLM.from_pretrained(converted / "run/generator").eval()
    ours = ElectraForMaskedLM.from_pretrained(converted / "run/generator")
    classifier = transformers.ElectraForSequenceClassification.from_pretrained(converted / "cola/cola").eval()
    masked = inputs(given, ids="mask/input_ids")
    tuned = reference(google / "finetune/cola")
    with torch.no_grad():
        logits = found(*inputs(given, ids="fake/input_ids")).logits.numpy()
        assert np.abs(logits - given["disc/logits_raw"]).max() < 1e-6
        assert (generator(*masked).logits - ours(*masked).logits).abs().max() < 1e-6
        assert np.abs(classifier(*inputs(tuned, "dev/in/")).logits.numpy() - tuned["dev/out/logits"]).max() < 1e-6


# -- pretraining: losses, gradients, one step, from the converted run ----------------------------------------------


@pytest.fixture
def detection(converted: Path) -> ReplacedTokenDetection:
    """The two networks, as the converted checkpoint of a run has them."""
    pair = ReplacedTokenDetection(
        ElectraForMaskedLM.from_pretrained(converted / "run/generator"),
        ElectraForPreTraining.from_pretrained(converted / "run/discriminator"),
    ).eval()
    with torch.no_grad():
        for parameter in pair.parameters():
            parameter.zero_()
    saved = Checkpoints(converted / "run/checkpoints").latest()
    assert saved is not None
    restore(dict(pair.named_parameters()), saved.tensors["networks"])
    return pair


def parameter_name(name: str) -> str:
    """The name under which the pair lists the variable: what is shared is listed with the generator."""
    network, inner = torch_name(name)
    shared = inner.startswith("electra.embeddings.")
    return f"{'generator' if shared else network}.{inner}"


def batch(given: Arrays) -> dict[str, Any]:
    ids, mask, types = inputs(given)
    rows, columns = ids.shape
    positions = torch.from_numpy(given["mask/positions"]).long() + torch.arange(rows)[:, None] * columns
    masked = MaskedTokens(
        input_ids=torch.from_numpy(given["mask/input_ids"]).long().flatten(),
        positions=positions.flatten(),
        original_ids=torch.from_numpy(given["mask/ids"]).long().flatten(),
        weights=torch.from_numpy(given["mask/weights"]).flatten(),
        uniforms=torch.zeros(positions.numel()),
    )
    sampled = torch.from_numpy(given["fake/sampled_ids"]).long().flatten()
    return {"input_ids": ids, "attention_mask": mask, "token_type_ids": types, "masked": masked, "sampled_ids": sampled}


def test_losses_to_2e_6_and_labels_exactly(detection: ReplacedTokenDetection, google: Path) -> None:
    given = reference(google / "pretrain/small")
    output = detection(**batch(given))
    assert (output.corrupted_ids.numpy() == given["fake/input_ids"].flatten()).all()
    assert (output.labels.numpy() == given["fake/labels"].flatten()).all()
    assert output.labels.sum() > 20
    assert output.generator_loss.item() == pytest.approx(float(given["gen/loss"]), abs=2e-6)
    assert output.discriminator_loss.item() == pytest.approx(float(given["disc/loss"]), abs=2e-7)
    assert output.loss.item() == pytest.approx(float(given["total_loss"]), rel=1e-6)


def test_gradients_to_5e_6_of_their_size_and_one_step_to_3e_7(
    detection: ReplacedTokenDetection, google: Path, converted: Path
) -> None:
    given = reference(google / "pretrain/small")
    detection(**batch(given)).loss.backward()
    parameters = dict(detection.named_parameters())
    variables = {name.removeprefix("grad/"): value for name, value in given.items() if name.startswith("grad/")}
    assert {parameter_name(name) for name in variables} == set(parameters)
    norm = float(given["global_grad_norm"])
    for name, expected in variables.items():
        ours = parameters[parameter_name(name)].grad
        assert ours is not None, name
        difference = np.abs(ours.numpy() - oriented(name, expected)).max()
        # a key's bias has no gradient but rounding
        assert difference <= (2e-6 if name.endswith("key/bias") else 5e-6 * np.abs(expected).max()), name

    adam = Adam(detection.named_parameters())
    config = PretrainConfig(("text.txt",), output=Path("run"), init=converted / "run", keep_step=True, steps=21)
    step, _ = start_from_run(detection, adam, config)  # what `electra pretrain --init` does
    assert step == given["step/global_step_before"]
    assert adam.clip(1.0).item() == pytest.approx(norm, rel=1e-5)
    assert norm > 2, "clipping must matter here"
    adam.step(float(given["step/effective_learning_rate"]))
    for name in variables:
        ours = parameters[parameter_name(name)].detach().numpy()
        assert np.abs(ours - oriented(name, given[f"after/{name}"])).max() < 3e-7, name


# -- fine-tuned networks -------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def classification(google: Path, converted: Path) -> Pairs:
    given = reference(google / "finetune/cola")
    model = ElectraForSequenceClassification.from_pretrained(converted / "cola/cola")
    pairs: Pairs = {}
    for split in ("dev", "train"):
        labels = torch.from_numpy(given[f"{split}/in/cola_label_ids"]).long()
        with torch.no_grad():
            logits = model(*inputs(given, f"{split}/in/")).logits
            losses = F.cross_entropy(logits, labels, reduction="none")
        ours = {"logits": logits, "loss": losses, "predictions": logits.argmax(-1), "total_loss": losses.sum()}
        pairs |= {f"{split}/{name}": (value.numpy(), given[f"{split}/out/{name}"]) for name, value in ours.items()}
    return pairs


@pytest.mark.parametrize(
    ("name", "bound"),
    bounds(
        {
            f"{split}/{name}": bound
            for split in ("dev", "train")
            for name, bound in {"logits": 1e-6, "loss": 5e-7, "predictions": 0, "total_loss": 2e-6}.items()
        }
    ),
)
def test_outputs_of_a_classifier(classification: Pairs, name: str, bound: float) -> None:
    assert_within(classification, name, bound)


@pytest.fixture(scope="module")
def answers(google: Path, converted: Path) -> Pairs:
    """The training branch on train, where the end is that of the true start; the beam on dev."""
    given = reference(google / "finetune/squad")
    model = ElectraForJointQuestionAnswering.from_pretrained(converted / "squad/squad")
    names = ("start_positions", "end_positions", "is_impossible")
    gold = {name: torch.from_numpy(given[f"train/in/squad_{name}"]).long() for name in names}
    with torch.no_grad():
        train = model(*inputs(given, "train/in/"), **gold)
        dev = model(*inputs(given, "dev/in/"), beam_size=5)
    pairs: Pairs = {}
    for split, output in (("train", train), ("dev", dev)):
        for name, theirs in ((name.split("/")[-1], value) for name, value in given.items() if name.startswith(split)):
            if name in output:
                open_ = theirs > -500  # the others are closed: 1000 less, where float32 has steps of 6e-5
                pairs[f"{split}/{name}"] = (output[name].numpy() * open_, theirs * open_)
        pairs[f"{split}/answerable_logit"] = (
            output["impossible_logits"].numpy(),
            given[f"{split}/out/answerable_logit"],
        )
    pairs["train/total_loss"] = (train.loss.numpy() * len(gold["is_impossible"]), given["train/out/total_loss"])
    pairs["dev/loss"] = (dev_loss(dev, given), given["dev/out/loss"])
    return pairs


def dev_loss(output: Any, given: Arrays) -> np.ndarray:
    """Google's loss of the beam branch, which has no scores of ends and takes them for equal."""
    starts, impossible = (torch.from_numpy(given[f"dev/in/squad_{n}"]) for n in ("start_positions", "is_impossible"))
    start = F.cross_entropy(output.start_logits, starts.long(), reduction="none")
    judged = F.binary_cross_entropy_with_logits(output.impossible_logits, impossible.float(), reduction="none")
    return ((start + math.log(output.start_logits.shape[1])) / 2 + 0.5 * judged).numpy()


@pytest.mark.parametrize(
    ("name", "bound"),
    bounds(
        {
            "train/start_logits": 2e-6,
            "train/end_logits": 2e-6,
            "train/answerable_logit": 1e-6,
            "train/total_loss": 4e-6,
            "dev/start_logits": 2e-6,
            "dev/start_top_log_probs": 2e-6,
            "dev/start_top_index": 0,
            "dev/end_top_log_probs": 2e-6,
            "dev/end_top_index": 0,
            "dev/answerable_logit": 1e-6,
            "dev/loss": 1e-6,
        }
    ),
)
def test_outputs_of_the_joint_question_answerer(answers: Pairs, name: str, bound: float) -> None:
    assert np.abs(answers[name][1]).max() > 0.1, "all near zero: the comparison says nothing"
    assert_within(answers, name, bound)


def test_a_converted_classifier_answers_texts(google: Path, converted: Path) -> None:
    line = (google / "data/finetuning_data/cola/dev.tsv").read_text(encoding="utf-8").splitlines()[0]
    given = reference(google / "finetune/cola")
    found = pipeline("text-classification", converted / "cola/cola", device="cpu")(line.split("\t")[3], top_k=None)
    [row] = (i for i, number in enumerate(given["dev/in/cola_eid"]) if number == 0)
    expected = torch.from_numpy(given["dev/out/logits"][row]).softmax(-1)
    assert {answer["label"]: answer["score"] for answer in found} == pytest.approx(
        {str(label): expected[label].item() for label in (0, 1)}, abs=1e-6
    )


# -- fine-tuning: the learning rate of every variable --------------------------------------------------------------


@pytest.mark.parametrize("task", ["chunk", "cola", "mrpc", "newsqa", "squad", "squadv1", "sts"])
def test_layer_multipliers_to_1e_6_of_their_size(google: Path, task: str) -> None:
    given = json.loads((google / f"reference/ft_{task}.json").read_text())
    layers = given["hparams"]["model_hparam_overrides"]["num_hidden_layers"]
    assert any(name.startswith("task_specific") for name in given["lr_multiplier"])
    for name, expected in given["lr_multiplier"].items():
        ours = "classifier.dense.weight" if name.startswith("task_specific/") else torch_name(name)[1]
        assert math.isclose(layer_multiplier(ours, layers, 0.8), expected, rel_tol=1e-6), name


def test_learning_rates_of_all_sizes_to_2e_6_of_their_size(google: Path) -> None:
    runs = json.loads((google / "reference/learning_rates.json").read_text())["finetune"]
    for run in runs:
        for key, expected in run["multiplier_by_key"].items():
            name = "classifier.dense.weight" if "task_specific" in key else torch_name(key.strip("/"))[1] + "."
            ours = layer_multiplier(name, run["n_layers"], run["layerwise_lr_decay"])
            assert math.isclose(ours, expected, rel_tol=1e-6), (run["name"], key)
            for step, rates in run["lr_by_step_and_key"].items():
                steps, warmup = run["num_train_steps"], int(run["num_train_steps"] * run["warmup_proportion"])
                rate = ours * linear_schedule(int(step), rate=run["lr"], steps=steps, warmup_steps=warmup)
                assert math.isclose(rate, rates[key], rel_tol=2e-6, abs_tol=1e-6 * run["lr"]), (run["name"], step, key)
    assert len(runs) == 4


# -- docs/coming-from-google.md ------------------------------------------------------------------------------------

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs/coming-from-google.md").read_text(encoding="utf-8")


def test_the_page_s_code_runs(converted: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "converted").symlink_to(converted / "squad")
    monkeypatch.chdir(tmp_path)
    [code] = re.findall(r"^```python\n(.*?)^```", PAGE, flags=re.DOTALL | re.MULTILINE)
    exec(code, {})


def test_the_tests_that_the_page_names_are_there() -> None:
    named = re.findall(r"`(tests/[\w/]+\.py)(?:::(\w+))?`", PAGE)
    assert len(named) > 20
    for file, test in named:
        assert not test or f"def {test}(" in (ROOT / file).read_text(encoding="utf-8"), (file, test)
        assert (ROOT / file).is_file(), file


def test_the_page_s_flags_are_there() -> None:
    """Those in the right column of the tables of scripts; every verb's flags are one list here."""
    flags = (ROOT / "tests/conventions/flags.txt").read_text(encoding="utf-8")
    known = set(re.findall(r"--[a-z-]+", flags))
    rows = [line.split("|")[2] for line in PAGE.splitlines() if line.startswith("| `") and line.count("|") == 3]
    used = {flag for row in rows for flag in re.findall(r"`(--[a-z-]+)", row)}
    assert len(used) > 20
    assert used <= known
