"""Every number the package computes, written down, so that two commits can be compared to the last bit.

A tool and no test: the last bits depend on the processor and on torch's build, so they cannot be committed. Run it on
one machine at the commit before a change, then at the commit after it:

    python tests/conventions/bit_equality.py before.json
    python tests/conventions/bit_equality.py after.json --against before.json

The second one prints what differs, and exits with 1 if anything does. It takes a minute and a half on one
thread.
PYTHONPATH=OTHER/src runs it on another checkout. Only doors that stay are used: the command line, run in this process
as `python -m electra` runs it, the files it writes, and the public names of `electra`. A flag that has two spellings is
tried in both (SPELLINGS). Each loss is caught at `torch.autograd.backward`, whoever calls it.

    pretrain/NAME    the loss of each step, metrics.jsonl, the tensors of the checkpoint and of the model folders
    finetune/NAME    the loss of each step, metrics.jsonl, scores.json, the weights, what evaluate and predict say
    pipeline/NAME    answers of models with seeded random weights of order one
    model/NAME       outputs, losses and gradients of each class from padded inputs, with and without dropout
    tokenizer        the rows of a few texts

Times, speeds, memory and words (of alarms, say) are left out.

The package multiplies by another library on AMD's processors with AVX-512 than on Intel's: `--vendor AuthenticAMD`
lets it read that maker's name in /proc/cpuinfo, so that both ways can be compared on one machine, each to its own file.
"""

from __future__ import annotations

import argparse
import builtins
import contextlib
import hashlib
import io
import json
import logging
import os
import platform
import random
import runpy
import sys
import tempfile
import time
import warnings
import zlib
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

# before torch and huggingface_hub are imported, which read them then
os.environ |= {"OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1", "NO_COLOR": "1"}

import torch
from safetensors.torch import load_file
from torch import Tensor, nn

import electra

STEPS = 30
MEASURED = frozenset(
    {"seconds", "tokens_per_second", "model_flops_utilization", "peak_memory_bytes", "machine", "settings"}
)
"""Keys whose values are other ones in each run, or are words and paths."""
SPELLINGS = {"--rate": "--learning-rate"}
"""Flags as they are called today, and what is tried where there is no such flag."""
LONGEST_LIST = 40
"""Of longer lists of numbers there is a digest."""

SPECIAL = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
LETTERS = "abcdefghijklmnopqrstuvwxyz"
TEXT = (
    "the a big old red small river house film music train bread cat dog king queen road sea cup map good bad dull "
    "bright wide narrow sees eats finds likes leads flows is was not and in on to from Ann Paris York Rome who where"
)
WORDS = TEXT.split()
VOCABULARY = list(
    dict.fromkeys(
        [*SPECIAL, *(word.lower() for word in WORDS), "##s", "##er", "##ing", *".,!?-'0123456789", *LETTERS]
        + [f"##{letter}" for letter in LETTERS]
    )
)
SIZES: dict[str, Any] = {
    "vocab_size": len(VOCABULARY),
    "embedding_size": 48,
    "hidden_size": 96,
    "num_hidden_layers": 3,
    "num_attention_heads": 3,
    "intermediate_size": 192,
    "max_position_embeddings": 96,
}
TEXTS = [
    "good film",
    "Ann sees the big cat in Paris, and the queen likes the old map.",
    "cat",
    "The narrow road leads from Rome to the sea - is it wide?",
    "singing Zürich 日本 in new york",
    "the bread was not good and the music was dull " * 14,  # longer than the model reads
]


# --- text and labelled examples, from seeds


def sentence(draw: random.Random, least: int = 3, most: int = 14) -> str:
    return " ".join(draw.choices(WORDS, k=draw.randint(least, most))) + "."


def write_text(path: Path, documents: int = 160) -> Path:
    draw = random.Random(7)
    texts = ("\n".join(sentence(draw) for _ in range(draw.randint(2, 24))) for _ in range(documents))
    path.write_text("\n\n".join(texts) + "\n", encoding="utf-8")
    return path


def single(draw: random.Random) -> dict[str, Any]:
    text = sentence(draw)
    return {"text": text, "label": "good" if "good" in text else "long" if len(text) > 50 else "short"}


def several(draw: random.Random) -> dict[str, Any]:
    text = sentence(draw)
    return {"text": text, "labels": [name for name in ("cat", "film", "river", "is") if name in text]}


def number(draw: random.Random) -> dict[str, Any]:
    text = sentence(draw)
    return {"text": text, "label": len(text) / 32 + 0.015625}


def pair(draw: random.Random) -> dict[str, Any]:
    first = sentence(draw)
    same = draw.random() < 0.5
    return {"text": first, "text_pair": first if same else sentence(draw), "label": ("no", "yes")[same]}


def tagged(draw: random.Random) -> dict[str, Any]:
    words = draw.choices(WORDS, k=draw.randint(3, 40))
    tags = ["B-PER" if word == "Ann" else "B-LOC" if word in ("Paris", "York", "Rome") else "O" for word in words]
    return {"tokens": ["Ann", *words], "tags": ["B-PER", *tags]}


def asked(draw: random.Random) -> dict[str, Any]:
    words = draw.choices(WORDS, k=draw.randint(12, 90))
    begin = draw.randrange(len(words) - 3)
    answer, start = " ".join(words[begin : begin + 3]), len(" ".join([*words[:begin], ""]))
    answers = [] if draw.random() < 0.2 else [{"text": answer, "answer_start": start}]
    return {"question": f"where is {words[begin]}?", "context": " ".join(words), "answers": answers}


def chosen(draw: random.Random) -> dict[str, Any]:
    choices, right = [sentence(draw, 2, 8) for _ in range(3)], draw.randrange(3)
    return {"text": choices[right].split()[0], "choices": choices, "label": right}


def ranked(draw: random.Random) -> dict[str, Any]:
    texts, right = [sentence(draw, 2, 8) for _ in range(4)], draw.randrange(4)
    return {"query": texts[right].split()[0], "texts": texts, "labels": [int(i == right) for i in range(4)]}


def taught(draw: random.Random) -> dict[str, Any]:
    texts = [sentence(draw, 2, 8) for _ in range(3)]
    return {"query": draw.choice(WORDS), "texts": texts, "scores": [len(text) / 16 for text in texts]}


def write_examples(path: Path, make: Callable[[random.Random], dict[str, Any]], count: int, seed: int) -> Path:
    draw = random.Random(seed)
    path.write_text("".join(json.dumps(make(draw)) + "\n" for _ in range(count)), encoding="utf-8")
    return path


# --- what is written down


def plain(value: Any) -> Any:
    """A value as JSON has it: tensors and long lists of numbers as digests, floats in full."""
    if isinstance(value, Tensor):
        return digest({"": value}) | {"first": [float(x) for x in value.detach().flatten()[:3]]}
    if isinstance(value, dict):
        return {str(key): plain(each) for key, each in value.items()}
    if isinstance(value, (list, tuple)):
        leaves = list(flat(value))
        if len(leaves) > LONGEST_LIST and all(isinstance(leaf, (int, float)) for _, leaf in leaves):
            text = json.dumps(value).encode()
            first = [leaf for _, leaf in leaves[:3]]
            return {"numbers": len(leaves), "first": first, "sha256": hashlib.sha256(text).hexdigest()}
        return [plain(each) for each in value]
    if value is None or isinstance(value, (bool, int, float, str)):
        return value
    return repr(value)


def numbers(value: Any) -> Any:
    """Only the numbers of a record, with their keys: not its words, and nothing that was measured by a clock."""
    if isinstance(value, dict):
        kept = {key: numbers(each) for key, each in value.items() if key not in MEASURED}
        return {key: each for key, each in kept.items() if not isinstance(value[key], str)}
    if isinstance(value, (list, tuple)):
        return [numbers(each) for each in value]
    return None if isinstance(value, str) else value


def digest(tensors: dict[str, Tensor]) -> dict[str, Any]:
    """One sha256 of names, types, shapes and bytes."""
    found = hashlib.sha256()
    for name in sorted(tensors):
        tensor = tensors[name].detach().contiguous()
        found.update(f"{name} {tensor.dtype} {list(tensor.shape)}\n".encode())
        found.update(tensor.reshape(-1).view(torch.uint8).numpy().tobytes())
    return {"tensors": len(tensors), "sha256": found.hexdigest()}


def digests(folder: Path) -> dict[str, Any]:
    """Of every file of tensors below a folder."""
    return {str(path.relative_to(folder)): digest(load_file(path)) for path in sorted(folder.rglob("*.safetensors"))}


def lines(path: Path) -> list[Any]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def flat(value: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    """(path, leaf) of nested dicts and lists."""
    if isinstance(value, dict):
        for key in sorted(value):
            yield from flat(value[key], f"{path}/{key}")
    elif isinstance(value, (list, tuple)):
        for index, each in enumerate(value):
            yield from flat(each, f"{path}[{index}]")
    else:
        yield path, value


# --- the command line, in this process


def command(*words: object) -> str:
    """What `python -m electra WORDS` writes to stdout; other spellings of its flags are tried where there are none."""
    given = [str(word) for word in words]
    code, out, err = _command(given)
    if code == 2:
        for old, new in SPELLINGS.items():
            if old in err and old in given:
                return command(*(new if word == old else word for word in given))
        if given[0] == "evaluate" and "--data" in given:  # by position
            return command(*(word for word in given if word != "--data"))
    if code:
        raise RuntimeError(f"electra {' '.join(given)}: exit code {code}: {err[-1500:]}")
    return out


def _command(words: list[str]) -> tuple[int, str, str]:
    torch.manual_seed(99)  # what does not follow from --seed would show from one order of runs to another
    before, out, err, code = sys.argv, io.StringIO(), io.StringIO(), 0
    sys.argv = ["electra", *words]
    try:
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            runpy.run_module("electra", run_name="__main__")
    except SystemExit as left:
        code = left.code if isinstance(left.code, int) else int(left.code is not None)
    finally:
        sys.argv = before
    return code, out.getvalue(), err.getvalue()


@contextlib.contextmanager
def losses_caught() -> Iterator[list[float]]:
    """What `backward` is called on, in order."""
    caught: list[float] = []
    inner = torch.autograd.backward

    def backward(tensors: Any, *rest: Any, **named: Any) -> None:
        if isinstance(tensors, Tensor) and tensors.numel() == 1:
            caught.append(tensors.item())
        inner(tensors, *rest, **named)

    torch.autograd.backward = backward
    try:
        yield caught
    finally:
        torch.autograd.backward = inner


# --- models of order one


def redrawn(model: nn.Module) -> nn.Module:
    """All parameters of order one, so that all that a layer does shows; each by its name, whatever the order is."""
    with torch.no_grad():
        for name, parameter in sorted(model.named_parameters(remove_duplicate=False)):
            drawn = torch.randn(parameter.shape, generator=torch.Generator().manual_seed(zlib.crc32(name.encode())))
            if "LayerNorm.weight" in name or "layer_norm.weight" in name:
                parameter.copy_(1 + 0.5 * drawn)
            elif "embeddings" in name:
                parameter.copy_(drawn)
            elif parameter.dim() == 1 or "attention.output.dense" in name:  # else all tokens are alike soon
                parameter.copy_(0.2 * drawn / max(1, parameter.shape[-1] if parameter.dim() > 1 else 1) ** 0.5)
            else:
                parameter.copy_(1.5 * drawn / parameter.shape[1] ** 0.5)
    return model


def tokenizer() -> Any:
    return electra.ElectraTokenizer(vocab=VOCABULARY, model_max_length=SIZES["max_position_embeddings"])


def model_folder(path: Path, name: str, *, fresh: bool = False, **fields: Any) -> Path:
    """A folder with a model of this class: weights of order one, or those that it begins with."""
    torch.manual_seed(3)
    model: Any = getattr(electra, name)(electra.ElectraConfig(**{**SIZES, **fields}))
    if not fresh:
        redrawn(model)
    model.save_pretrained(path)
    tokenizer().save_pretrained(path)
    return path


def labels(*names: str) -> dict[str, Any]:
    return {"id2label": dict(enumerate(names)), "label2id": {name: i for i, name in enumerate(names)}}


def pretend(vendor: str) -> None:
    """Let /proc/cpuinfo name this maker of the processor, to who reads it after this."""
    inner = io.open

    def opened(file: Any, *rest: Any, **named: Any) -> Any:
        if str(file) != "/proc/cpuinfo":
            return inner(file, *rest, **named)
        lines = inner(file, encoding="utf-8", errors="replace").read().splitlines()
        text = "\n".join(f"vendor_id\t: {vendor}" if line.startswith("vendor_id") else line for line in lines)
        return io.StringIO(text + "\n")

    io.open = builtins.open = opened


# --- the sections

Found = dict[str, Any]


def pretraining(folder: Path) -> Iterator[tuple[str, Callable[[], Found]]]:
    text = write_text(folder / "text.txt")
    vocabulary = folder / "vocab.txt"
    vocabulary.write_text("\n".join(VOCABULARY) + "\n", encoding="utf-8")
    own = ("--vocab", vocabulary)
    variants: dict[str, tuple[object, ...]] = {
        "fast-rtd": (*own,),
        "fast-rtd-own-vocabulary": ("--vocab-size", 300),
        "fast-rtd-without-dropout": (*own, "--dropout", 0),
        "replica-rtd": (*own, "--mode", "replica"),
        "replica-rtd-without-dropout": (*own, "--mode", "replica", "--dropout", 0),
        "fast-rtd-packed": (*own, "--segments", "packed"),
        "fast-rtd-whole-words-in-parts": (*own, "--whole-words", "--untied", "--accumulate", 2),
        "fast-rtd-bfloat16": (*own, "--precision", "bfloat16"),
        "fast-mlm": (*own, "--objective", "mlm"),
        "fast-mlm-packed-without-dropout": (*own, "--objective", "mlm", "--segments", "packed", "--dropout", 0),
        "replica-mlm": (*own, "--objective", "mlm", "--mode", "replica"),
        "fast-rtd-going-on": ("--init", folder / "fast-rtd", "--keep-step"),
    }
    for name, flags in variants.items():
        yield name, lambda name=name, flags=flags: pretrained(text, folder / name, flags)  # type: ignore[misc]


def pretrained(text: Path, run: Path, flags: Sequence[object]) -> Found:
    steps = STEPS + 10 if "--keep-step" in flags else STEPS
    every = ("--report-every", 1, "--evaluate-every", 10, "--save-every", 15, "--evaluate-examples", 16)
    size = ("--size", "tiny", "--steps", steps, "--batch-size", 8, "--learning-rate", 1e-3, "--warmup-steps", 5)
    rest = ("--held-out-fraction", 0.1, "--seed", 11, "--device", "cpu", "--quiet")
    with losses_caught() as losses:
        command("pretrain", text, "--output", run, *size, *every, *rest, *flags)
    return {
        "losses": losses,
        "metrics": [numbers(line) for line in lines(run / "metrics.jsonl")],
        "tensors": digests(run),
        "vocabularies": {
            str(path.relative_to(run)): hashlib.sha256(path.read_bytes()).hexdigest()
            for path in sorted(run.glob("*/vocab.txt"))
        },
    }


def finetuning(folder: Path) -> Iterator[tuple[str, Callable[[], Found]]]:
    base = model_folder(folder / "base", "ElectraForPreTraining", fresh=True)
    kinds: dict[str, tuple[Callable[[random.Random], dict[str, Any]], str, tuple[object, ...]]] = {
        "single-label": (single, "text-classification", ()),
        "balanced": (single, "text-classification", ("--class-weights", "balanced", "--dropout", 0)),
        "multi-label": (several, "text-classification", ()),
        "regression": (number, "text-classification", ()),
        "pair": (pair, "text-classification", ("--even-layer-decay",)),
        "two-seeds": (pair, "text-classification", ("--seeds", 2, "--dropout", 0)),
        "tokens": (tagged, "token-classification", ("--max-length", 32)),
        "questions": (asked, "question-answering", ("--max-length", 48)),
        "joint-questions": (asked, "joint-question-answering", ("--max-length", 48)),
        "choices": (chosen, "multiple-choice", ("--max-length", 48)),
        "ranking": (ranked, "text-ranking", ("--max-length", 48)),
        "ranking-of-a-teacher": (taught, "text-ranking", ("--max-length", 48)),
        "taught": (single, "text-classification", ("--teacher", folder / "single-label", "--teacher-share", 0.6)),
    }
    for name, (make, task, flags) in kinds.items():
        yield (
            name,
            lambda name=name, make=make, task=task, flags=flags: finetuned(  # type: ignore[misc]
                base, folder / name, make, task, flags
            ),
        )


def finetuned(
    base: Path, output: Path, make: Callable[[random.Random], dict[str, Any]], task: str, flags: Sequence[object]
) -> Found:
    train = write_examples(output.with_suffix(".train.jsonl"), make, 120, 1)
    held_out = write_examples(output.with_suffix(".eval.jsonl"), make, 24, 2)
    given = ("--task", task, "--train", train, "--eval", held_out, "--output", output)
    size = ("--batch-size", 8, "--epochs", 2, "--rate", 2e-3, "--seed", 5, "--restarts", 0, "--evaluate-every", 10)
    with losses_caught() as losses:
        command("finetune", base, *given, *size, "--device", "cpu", "--quiet", *flags)
    scores = json.loads((output / "scores.json").read_text(encoding="utf-8"))
    answers = output.with_suffix(".answers.jsonl")
    asking = ("--format", "jsonl", "--output", answers, "--device", "cpu")
    said = command("evaluate", output, "--data", held_out, "--resamples", 50, "--device", "cpu")
    command("predict", output, held_out, *asking, "--task", task)
    return {
        "losses": losses,
        "metrics": [numbers(line) for line in lines(output / "metrics.jsonl")],
        "scores": numbers(scores) | {"main": scores["main"]},
        "weights": digests(output),
        "predictions": [plain(line["answer"]) for line in lines(output / "predictions.jsonl")],
        "evaluate": numbers(json.loads(said.strip().splitlines()[-1])) if said.strip() else None,
        "predict": [plain(line) for line in lines(answers)],
    }


QUESTIONS = [
    {"question": "where is Ann?", "context": TEXTS[1]},
    {"question": "who likes the bread?", "context": TEXTS[5]},
]
CHOICES = {"text": "the big cat", "choices": ["eats bread.", "leads to the sea.", "is an old map and a cup."]}
RANKING = {"query": "where is the road?", "texts": TEXTS[:5]}
MASKED = ["the [MASK] sees a cat.", f"Ann [MASK] the [MASK] in Paris, {TEXTS[3]}"]

CALLS: dict[str, tuple[str, dict[str, Any], str, list[tuple[Any, dict[str, Any]]]]] = {
    "text-classification": (
        "ElectraForSequenceClassification",
        labels("bad", "dull", "good"),
        "text-classification",
        [
            (TEXTS[0], {}),
            (TEXTS, {"top_k": None}),
            ({"text": TEXTS[1], "text_pair": TEXTS[3]}, {"function_to_apply": "sigmoid"}),
        ],
    ),
    "text-classification-of-several": (
        "ElectraForSequenceClassification",
        {**labels("cat", "film"), "problem_type": "multi_label_classification"},
        "text-classification",
        [(TEXTS, {"top_k": None})],
    ),
    "text-classification-of-numbers": (
        "ElectraForSequenceClassification",
        {"num_labels": 1, "problem_type": "regression"},
        "text-classification",
        [(TEXTS, {})],
    ),
    "token-classification": (
        "ElectraForTokenClassification",
        labels("O", "B-PER", "I-PER", "B-LOC", "I-LOC"),
        "token-classification",
        [(TEXTS, {"aggregation_strategy": strategy}) for strategy in ("none", "simple", "first", "average", "max")]
        + [({"tokens": TEXTS[1].split()}, {"ignore_labels": []})],
    ),
    "question-answering": (
        "ElectraForQuestionAnswering",
        {},
        "question-answering",
        [(QUESTIONS, {}), (QUESTIONS, {"top_k": 3, "handle_impossible_answer": True, "align_to_words": False})],
    ),
    "joint-question-answering": (
        "ElectraForJointQuestionAnswering",
        {"joint_hidden_size": 40, "beam_size": 5},
        "joint-question-answering",
        [(QUESTIONS, {"top_k": 3}), (QUESTIONS, {"handle_impossible_answer": True})],
    ),
    "multiple-choice": ("ElectraForMultipleChoice", {}, "multiple-choice", [(CHOICES, {}), ([CHOICES, CHOICES], {})]),
    "text-ranking": (
        "ElectraForSequenceClassification",
        {"num_labels": 1},
        "text-ranking",
        [(RANKING, {}), ([RANKING, RANKING], {"function_to_apply": "none", "top_k": 2})],
    ),
    "zero-shot-classification": (
        "ElectraForSequenceClassification",
        labels("contradiction", "neutral", "entailment"),
        "zero-shot-classification",
        [(TEXTS[:4], {"candidate_labels": ["film", "bread", "road"], "multi_label": many}) for many in (False, True)],
    ),
    "fill-mask": (
        "ElectraForMaskedLM",
        {},
        "fill-mask",
        [(MASKED, {}), (MASKED[0], {"targets": ["king", "queen"]}), (f"{TEXTS[5]} [MASK]", {"top_k": 2})],
    ),
    "replaced-token-detection": ("ElectraForPreTraining", {}, "replaced-token-detection", [(TEXTS, {})]),
    "feature-extraction": ("ElectraModel", {}, "feature-extraction", [(TEXTS[:5], {})]),
    "text-generation": (
        "ElectraForCausalLM",
        {"is_decoder": True},
        "text-generation",
        [
            (TEXTS[:4], {"max_new_tokens": 12, "do_sample": False}),
            (TEXTS[:4], {"max_new_tokens": 12}),
            (TEXTS[:4], {"max_new_tokens": 12, "do_sample": True, "top_k": 9, "top_p": 0.8, "temperature": 1.3}),
            (TEXTS[:4], {"max_new_tokens": 12, "do_sample": False, "num_beams": 3, "num_return_sequences": 2}),
            (TEXTS[:2], {"max_new_tokens": 9, "do_sample": False, "repetition_penalty": 1.4, "return_tensors": True}),
        ],
    ),
}


def pipelines(folder: Path) -> Iterator[tuple[str, Callable[[], Found]]]:
    for name in CALLS:
        yield name, lambda name=name: answered(folder / name, name)  # type: ignore[misc]


def answered(folder: Path, name: str) -> Found:
    architecture, fields, task, calls = CALLS[name]
    model_folder(folder, architecture, **fields)
    found: Found = {}
    for dtype in (None, "bfloat16"):
        run = electra.pipeline(task, str(folder), device="cpu", dtype=dtype)
        for index, (given, options) in enumerate(calls):
            torch.manual_seed(8)  # of text generation's samples
            found[f"{dtype or 'float32'}-{index}"] = plain(run(given, **options))
    grouped = electra.pipeline(task, str(folder), device="cpu", batch_tokens=64)
    torch.manual_seed(8)
    found["in-small-batches"] = plain(grouped(calls[0][0], **calls[0][1]))
    return found


def models(folder: Path) -> Iterator[tuple[str, Callable[[], Found]]]:
    for name in sorted(electra.__all__):
        if name == "ElectraModel" or (name.startswith("ElectraFor") and not name.endswith("Output")):
            yield name, lambda name=name: computed(name)  # type: ignore[misc]


def computed(name: str) -> Found:
    draw = torch.Generator().manual_seed(5)
    rows, columns = 5, 23
    mask = (torch.arange(columns) < torch.tensor([23, 4, 17, 9, 12])[:, None]).long()
    inputs: dict[str, Tensor] = {
        "input_ids": torch.randint(5, SIZES["vocab_size"], (rows, columns), generator=draw) * mask,
        "attention_mask": mask,
        "token_type_ids": torch.randint(0, 2, (rows, columns), generator=draw) * mask,
    }
    each = torch.randint(0, 2, (rows, columns), generator=draw)
    one = torch.tensor([0, 1, 1, 0, 1])
    targets: dict[str, dict[str, Tensor]] = {
        "ElectraModel": {},
        "ElectraForSequenceClassification": {"labels": one},
        "ElectraForMultipleChoice": {"labels": torch.tensor([2])},
        "ElectraForQuestionAnswering": {"start_positions": one, "end_positions": one + 1},
        "ElectraForJointQuestionAnswering": {
            "start_positions": one,
            "end_positions": one + 1,
            "is_impossible": 1 - one,
        },
    }
    wanted = targets.get(name, {"labels": each})
    if name == "ElectraForMultipleChoice":
        inputs = {key: value[None] for key, value in inputs.items()}
    if name == "ElectraForJointQuestionAnswering":
        inputs["token_type_ids"] = inputs["attention_mask"]
    found: Found = {}
    fields = {"is_decoder": True} if name == "ElectraForCausalLM" else {}
    model: Any = redrawn(getattr(electra, name)(electra.ElectraConfig(**SIZES, **fields)))
    for attention in ("sdpa", "eager"):
        other: Any = getattr(electra, name)._from_config(model.config, attn_implementation=attention)
        other.load_state_dict(model.state_dict())
        with torch.no_grad():
            said = other.eval()(**inputs, output_hidden_states=True, output_attentions=attention == "eager")
        found[f"eval-{attention}"] = {key: plain(said[key]) for key in said.keys()}  # noqa: SIM118
    for training in (False, True):
        torch.manual_seed(4)
        model.train(training)
        model.zero_grad()
        outputs = model(**inputs, **wanted)
        loss = outputs.loss if wanted else outputs.last_hidden_state.square().mean()
        loss.backward()
        gradients = {key: value.grad for key, value in model.named_parameters() if value.grad is not None}
        found["loss-with-dropout" if training else "loss"] = {"loss": loss.item(), **digest(gradients)}
    torch.manual_seed(6)
    found["fresh"] = digest(getattr(electra, name)(electra.ElectraConfig(**SIZES, **fields)).state_dict())
    return found


def tokens(folder: Path) -> Iterator[tuple[str, Callable[[], Found]]]:
    def rows() -> Found:
        made = tokenizer()
        cut = made(TEXTS, TEXTS[::-1], truncation=True, padding=True, return_offsets_mapping=True)
        windows = made(TEXTS[5], truncation=True, max_length=20, stride=5, return_overflowing_tokens=True)
        return {"ids": made(TEXTS)["input_ids"], "cut": plain(dict(cut)), "windows": plain(dict(windows))}

    yield "rows", rows


SECTIONS = {
    "pretrain": pretraining,
    "finetune": finetuning,
    "pipeline": pipelines,
    "model": models,
    "tokenizer": tokens,
}


def gathered(sections: Sequence[str]) -> tuple[Found, list[str]]:
    """All values by section and name, and what failed."""
    found: Found = {}
    failed: list[str] = []
    with tempfile.TemporaryDirectory() as folder:
        for section in sections:
            (Path(folder) / section).mkdir()
            for name, work in SECTIONS[section](Path(folder) / section):
                began = time.perf_counter()
                try:
                    value: Any = work()
                except Exception as error:
                    failed.append(f"{section}/{name}: {type(error).__name__}: {error}")
                    value = "failed"
                found[f"{section}/{name}"] = value
                print(f"{time.perf_counter() - began:6.1f} s  {section}/{name}", file=sys.stderr)
    return found, failed


def differences(ours: Found, theirs: Found) -> list[str]:
    """Every leaf that is not the same on both sides, or on one side only."""
    here, there = ({path: json.dumps(leaf) for path, leaf in flat(found)} for found in (ours, theirs))
    missing = "nothing"
    return [
        f"{path}: {there.get(path, missing)} before, {here.get(path, missing)} now"
        for path in sorted(here.keys() | there.keys())
        if here.get(path) != there.get(path)
    ]


def machine(vendor: str | None) -> Found:
    return {
        "vendor": vendor,
        "torch": torch.__version__,
        "python": platform.python_version(),
        "processor": torch.backends.cpu.get_cpu_capability(),
        "onednn": os.environ.get("ONEDNN_MAX_CPU_ISA"),
    }


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("output", type=Path, help="the JSON file to write")
    parser.add_argument("--against", type=Path, help="one that was written before: print what differs, exit with 1")
    parser.add_argument("--only", nargs="+", choices=list(SECTIONS), default=list(SECTIONS), help="sections")
    parser.add_argument("--most", type=int, default=60, help="how many differences are printed")
    parser.add_argument("--vendor", help="the maker of the processor that the package is to see, such as AuthenticAMD")
    options = parser.parse_args(arguments)
    if options.vendor:
        pretend(options.vendor)
    torch.set_num_threads(1)
    warnings.simplefilter("ignore")
    logging.disable(logging.WARNING)
    found, failed = gathered(options.only)
    whole = {"machine": machine(options.vendor), "values": found}
    options.output.write_text(json.dumps(whole, indent=1, sort_keys=True) + "\n", encoding="utf-8")
    print(f"{len(found)} parts, {sum(1 for _ in flat(found))} values of {electra.__file__}: {options.output}")
    for problem in failed:
        print(f"FAILED {problem}")
    if options.against is None:
        return int(bool(failed))
    before = json.loads(options.against.read_text(encoding="utf-8"))
    if before["machine"] != whole["machine"]:
        print(f"another machine: {before['machine']} before, {whole['machine']} now", file=sys.stderr)
    theirs = {name: value for name, value in before["values"].items() if name.partition("/")[0] in options.only}
    # as written and read, so that both sides have been through JSON
    changed = differences(json.loads(json.dumps(found)), theirs)
    for line in changed[: options.most]:
        print(line)
    parts = [name for name in sorted(found) if any(line.startswith((f"/{name}/", f"/{name}:")) for line in changed)]
    print(f"{len(changed)} values differ{', in ' if parts else ''}{', '.join(parts)}")
    return int(bool(changed or failed))


if __name__ == "__main__":
    sys.exit(main())
