"""Pretraining from text files to model folders, on a toy language: resuming, stopping, refusing."""

from __future__ import annotations

import json
import os
import random
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from electra.commands.pretrain import PretrainConfig, pretrain
from electra.models import ElectraForMaskedLM, ElectraForPreTraining
from electra.pretraining.session import Pretraining
from electra.text.tokenizer import ElectraTokenizer
from electra.text.training.vocabulary import read_vocabulary
from electra.training.interruption import Interruption
from electra.training.run import checkpoints
from electra.training.run.checkpoints import Checkpoints
from electra.training.trainer import Diverged

WORDS = {
    "who": ["cat", "dog", "bird", "fish", "king", "queen"],
    "does": ["sees", "eats", "likes", "finds", "follows"],
    "how": ["big", "small", "old", "young", "red"],
}
SPECIAL = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]


def sentence(draw: random.Random) -> str:
    return " ".join(draw.choice(WORDS[kind]) for kind in ("how", "who", "does", "how", "who")) + "."


@pytest.fixture(scope="module", autouse=True)
def one_thread() -> Iterator[None]:
    """Networks this small are quickest so; and bits are compared at one number of threads."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="module")
def text(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """120 documents of a few sentences."""
    draw = random.Random(0)
    documents = ["\n".join(sentence(draw) for _ in range(draw.randint(4, 12))) for _ in range(120)]
    path = tmp_path_factory.mktemp("text") / "text.txt"
    path.write_text("\n\n".join(documents) + "\n")
    return path


@pytest.fixture(scope="module")
def vocab(text: Path) -> Path:
    path = text.with_name("vocab.txt")
    path.write_text("\n".join([*SPECIAL, ".", *(word for words in WORDS.values() for word in words)]) + "\n")
    return path


def small(text: Path, vocab: Path | None, output: Path, **changes: Any) -> PretrainConfig:
    """A run of seconds: 12 steps of 4 examples of up to 24 tokens, with dropout."""
    settings = {
        "size": "tiny",
        "vocab": vocab,
        "steps": 12,
        "batch_size": 4,
        "max_length": 24,
        "report_every": 4,
        "evaluate_every": 6,
        "evaluate_examples": 4,
        "save_every": 3,
        "held_out_fraction": 0.1,
        "device": "cpu",
        "quiet": True,
    }
    return PretrainConfig((str(text),), output=output, **(settings | changes))


@pytest.fixture(scope="module")
def whole(text: Path, vocab: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The run folder of an uninterrupted run."""
    return pretrain(small(text, vocab, tmp_path_factory.mktemp("whole") / "run"))


def weights(run: Path) -> dict[str, torch.Tensor]:
    folders = {name: load_file(run / name / "model.safetensors") for name in ("discriminator", "generator")}
    return {f"{name}.{key}": tensor for name, tensors in folders.items() for key, tensor in tensors.items()}


def metrics(run: Path) -> list[dict[str, Any]]:
    """All lines but for those that tell of a process's start, without what depends on the machine."""
    lines = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    return [
        {name: value for name, value in line.items() if not re.search("second|memory|utilization", name)}
        for line in lines
        if line["split"] != "start"
    ]


def assert_same_bits(one: Path, other: Path) -> None:
    first, second = weights(one), weights(other)
    assert first.keys() == second.keys()
    assert [name for name in first if not torch.equal(first[name], second[name])] == []
    assert metrics(one) == metrics(other)


def test_the_folders_hold_models_tokenizers_cards_and_figures(whole: Path, vocab: Path) -> None:
    discriminator = ElectraForPreTraining.from_pretrained(whole / "discriminator")
    generator = ElectraForMaskedLM.from_pretrained(whole / "generator")
    shared = [model.electra.embeddings.word_embeddings.weight for model in (discriminator, generator)]
    assert torch.equal(*shared)
    assert len(ElectraTokenizer.from_pretrained(whole / "generator")) == len(vocab.read_text().split())
    assert "ElectraForPreTraining" in (whole / "discriminator" / "README.md").read_text()
    assert [(line["step"], line["split"]) for line in metrics(whole)] == [
        (4, "train"),
        (6, "held_out"),
        (8, "train"),
        (12, "train"),
        (12, "held_out"),
    ]
    last = metrics(whole)[-1]
    assert 0 < last["replaced"] < 0.3
    assert last["loss"] == pytest.approx(last["generator_loss"] + 50 * last["discriminator_loss"], rel=1e-4)


def test_embeddings_are_in_a_checkpoint_once(whole: Path) -> None:
    saved = load_file(whole / "checkpoints" / "step-12" / "networks.safetensors")
    assert sum("word_embeddings" in name for name in saved) == 1
    moments = load_file(whole / "checkpoints" / "step-12" / "optimizer.safetensors")
    assert {name.rsplit(".", 1)[0] for name in moments} == set(saved)


def test_the_seed_decides(text: Path, vocab: Path, whole: Path, tmp_path: Path) -> None:
    other = pretrain(small(text, vocab, tmp_path / "run", seed=1, steps=4))
    name = "discriminator.electra.encoder.layer.0.attention.self.query.weight"
    assert not torch.equal(weights(other)[name], weights(whole)[name])


def test_a_finished_run_is_left_as_it_is(text: Path, vocab: Path, whole: Path) -> None:
    before, lines = weights(whole), metrics(whole)
    pretrain(small(text, vocab, whole, keep_checkpoints=4))
    assert all(torch.equal(before[name], tensor) for name, tensor in weights(whole).items())
    assert metrics(whole) == lines


KILLED = """
import json, os, signal, sys, torch
from pathlib import Path
import electra.training.run.checkpoints as checkpoints
from electra.commands.pretrain import PretrainConfig, pretrain
from electra.pretraining.session import Pretraining

def die(): os.kill(os.getpid(), signal.SIGKILL)

where, settings = sys.argv[1], json.loads(sys.argv[2])
torch.set_num_threads(1)
if where == "between checkpoints":
    log = Pretraining.log
    Pretraining.log = lambda self, step, values: die() if step == 8 else log(self, step, values)
else:
    write = checkpoints._write
    def half(path, tensors):
        if "step-9" in str(path): die() if path.stem == "optimizer" else None
        write(path, tensors)
    checkpoints._write = half
pretrain(PretrainConfig(**settings))
"""


@pytest.mark.parametrize("where", ["between checkpoints", "in a checkpoint"])
def test_a_killed_run_that_goes_on_ends_with_the_same_bits(
    where: str, text: Path, vocab: Path, whole: Path, tmp_path: Path
) -> None:
    config = small(text, vocab, tmp_path / "run")
    settings = json.dumps(vars(config), default=str)
    command = [sys.executable, "-c", KILLED, where, settings]
    killed = subprocess.run(command, capture_output=True, text=True, check=False)
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    assert not (tmp_path / "run" / "discriminator").exists()
    assert_same_bits(pretrain(config), whole)
    assert not list((tmp_path / "run" / "checkpoints").glob(".*"))


@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 75), (signal.SIGINT, 130)])
def test_a_stopped_run_saves_and_goes_on(
    number: int, code: int, text: Path, vocab: Path, whole: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = small(text, vocab, tmp_path / "run")
    rate = Pretraining.learning_rate

    def signalled(self: Pretraining, step: int) -> float:
        if step == 6:  # in the middle of the seventh
            os.kill(os.getpid(), number)
        return rate(self, step)

    monkeypatch.setattr(Pretraining, "learning_rate", signalled)
    with pytest.raises(SystemExit) as left:
        pretrain(config)
    monkeypatch.undo()
    assert left.value.code == code
    assert max(int(path.name[5:]) for path in (tmp_path / "run" / "checkpoints").iterdir()) == 7
    assert_same_bits(pretrain(config), whole)


SIGNALLED = """
import json, os, signal, sys, time, torch
import electra.training.run.checkpoints as checkpoints
from electra.commands.pretrain import PretrainConfig, pretrain
from electra.pretraining import session

def signalled(before, when=lambda *arguments: True):
    def work(*arguments):
        if when(*arguments):
            os.kill(os.getpid(), signal.SIGTERM)
            time.sleep(0.02)
        return before(*arguments)
    return work

where, settings = sys.argv[1], json.loads(sys.argv[2])
torch.set_num_threads(1)
if where == "before the first step":
    session.build_networks = signalled(session.build_networks)
else:
    session.Pretraining.learning_rate = signalled(session.Pretraining.learning_rate, lambda training, step: step == 6)
    checkpoints._write = signalled(checkpoints._write, lambda path, tensors: ".step-7." in str(path))
pretrain(PretrainConfig(**settings))
"""


@pytest.mark.parametrize(("where", "last"), [("while it saves too", 7), ("before the first step", 1)])
def test_signals_at_any_time_leave_a_checkpoint(where: str, last: int, text: Path, vocab: Path, tmp_path: Path) -> None:
    settings = json.dumps(vars(small(text, vocab, tmp_path / "run")), default=str)
    left = subprocess.run([sys.executable, "-c", SIGNALLED, where, settings], capture_output=True, check=False)
    assert left.returncode == 75, left.stderr
    found = Checkpoints(tmp_path / "run" / "checkpoints").latest()
    assert found is not None
    assert found.step == last


def test_what_was_just_saved_is_not_saved_again(
    text: Path, vocab: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    saved: list[int] = []
    save = Checkpoints.save
    monkeypatch.setattr(Checkpoints, "save", lambda self, one: saved.append(one.step) or save(self, one))
    monkeypatch.setattr(
        Interruption, "exit_code", property(lambda self: 75 * (6 in saved), lambda self, code: None), raising=False
    )
    with pytest.raises(SystemExit):
        pretrain(small(text, vocab, tmp_path / "run"))
    assert saved == [3, 6]


def test_a_loss_that_is_no_number_stops_the_run_at_the_last_good_checkpoint(
    text: Path, vocab: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    losses = Pretraining.losses
    steps: list[int] = []

    def spoilt(self: Pretraining, example: Any) -> dict[str, torch.Tensor]:
        steps.append(len(steps))
        found = losses(self, example)
        return found | {"loss": found["loss"] * (float("nan") if len(steps) == 5 else 1.0)}

    monkeypatch.setattr(Pretraining, "losses", spoilt)
    config = small(text, vocab, tmp_path / "run", save_every=4, report_every=8, evaluate_every=12)
    with pytest.raises(
        Diverged, match=r"the loss is NaN or infinite after step 8.* last good checkpoint is .*step-4\b"
    ):
        pretrain(config)
    assert [path.name for path in (tmp_path / "run" / "checkpoints").iterdir()] == ["step-4"]
    assert not (tmp_path / "run" / "discriminator").exists()


def test_weights_that_are_no_numbers_are_not_saved(
    text: Path, vocab: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Pretraining, "learning_rate", lambda self, step: float("inf"))
    with pytest.raises(Diverged, match=r"a weight is NaN or infinite after step 3.* There was no checkpoint yet"):
        pretrain(small(text, vocab, tmp_path / "run"))
    assert not list(tmp_path.glob("run/checkpoints/*"))


def test_a_vocabulary_is_trained_where_none_is_given(text: Path, tmp_path: Path) -> None:
    run = pretrain(small(text, None, tmp_path / "run", vocab_size=60, steps=2))
    tokenizer = ElectraTokenizer.from_pretrained(run / "discriminator")
    assert 30 < len(tokenizer) <= 60
    assert tokenizer.fingerprint() == ElectraTokenizer.from_pretrained(run / "tokenizer").fingerprint()


def test_the_command_line_reaches_it(text: Path, vocab: Path, tmp_path: Path) -> None:
    words = f"pretrain {text} --output {tmp_path / 'run'} --size tiny --steps 1 --batch-size 2 --max-length 16"
    words += f" --vocab {vocab} --held-out-fraction 0.1 --evaluate-examples 2 --dropout 0"
    done = subprocess.run(
        [sys.executable, "-m", "electra", *words.split()], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == str(tmp_path / "run")
    assert "step 1/1" in done.stderr


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"steps": 0}, "steps is 0: it must be a whole number, 1 or more"),
        ({"batch_size": -1}, "batch_size is -1: it must be a whole number, 1 or more"),
        ({"learning_rate": -1e-4}, "learning_rate is -0.0001: it must be a finite number above 0"),
        ({"max_length": 513}, "max_length is 513: it must be 5 to 512, the positions"),
        ({"max_length": 4}, "max_length is 4: it must be 5"),
        ({"warmup_steps": 13}, "warmup_steps is 13: it must be 0 to 12, the number of steps"),
        ({"mask_fraction": 1.5}, "mask_fraction is 1.5: it must be above 0 and at most 1"),
        ({"generator_fraction": 2.0}, "generator_hidden_size is 2.0"),
        ({"dropout": 1.0}, "dropout is 1.0: it must be 0 or more and below 1"),
        ({"seed": -1}, "seed is -1: it must be 0"),
        ({"size": "smal"}, r"size is 'smal': choose one of tiny, small, small\+\+, base, large\. Did you mean small\?"),
        ({"vocab_size": 100}, r"vocab \(.*\) and vocab_size \(100\) are both given"),
        ({"cased": True}, r"vocab \(.*\) and cased are both given"),
        ({"precision": "float16"}, "precision is 'float16': choose one of auto, float32, tf32, bfloat16"),
        ({"accumulate": 0}, "accumulate is 0: it must be a whole number, 1 or more"),
        ({"keep_checkpoints": 0}, "keep_checkpoints is 0"),
    ],
)
def test_settings_that_are_refused(
    changes: dict[str, Any], message: str, text: Path, vocab: Path, tmp_path: Path
) -> None:
    with pytest.raises(ValueError, match=message):
        small(text, vocab, tmp_path / "run", **changes)


@pytest.mark.parametrize(
    ("content", "message"),
    [(b"", "text.txt"), (b"\n\n", "text.txt"), (b"\x00\x01\x02\xff" * 99, "text.txt"), (b"a cat.\n", "text|document")],
)
@pytest.mark.parametrize("trained", [False, True])
def test_text_that_is_refused_leaves_nothing(
    content: bytes, message: str, trained: bool, vocab: Path, tmp_path: Path
) -> None:
    (tmp_path / "text.txt").write_bytes(content)
    with pytest.raises(ValueError, match=message):
        pretrain(small(tmp_path / "text.txt", None if trained else vocab, tmp_path / "run"))
    assert [path.name for path in tmp_path.iterdir()] == ["text.txt"]


def test_a_missing_file_and_a_vocabulary_without_a_mask_leave_nothing(text: Path, vocab: Path, tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"none\.txt"):
        pretrain(small(tmp_path / "none.txt", vocab, tmp_path / "run"))
    (tmp_path / "vocab.txt").write_text(vocab.read_text().replace("[MASK]\n", ""))
    with pytest.raises(ValueError, match=r"\[MASK\]"):
        pretrain(small(text, tmp_path / "vocab.txt", tmp_path / "run"))
    assert [path.name for path in tmp_path.iterdir()] == ["vocab.txt"]


def test_names_that_are_not_utf_8_are_refused_before_anything_is_made(vocab: Path, tmp_path: Path) -> None:
    name = tmp_path / os.fsdecode(b"caf\xe9.txt")
    with pytest.raises(ValueError, match=r"files: '.*caf\\udce9.txt' is not a name in UTF-8"):
        small(name, vocab, tmp_path / "run")
    with pytest.raises(ValueError, match=r"vocab: .*is not a name in UTF-8"):
        small(vocab, name, tmp_path / "run")


def test_a_vocabulary_with_a_gap_is_refused_before_the_text_is_prepared(
    text: Path, vocab: Path, tmp_path: Path
) -> None:
    read_vocabulary(vocab).save_pretrained(tmp_path / "gap")
    path = tmp_path / "gap" / "tokenizer.json"
    told = json.loads(path.read_text())
    told["model"]["vocab"]["red"] = 5000
    path.write_text(json.dumps(told))
    (tmp_path / "gap" / "vocab.txt").unlink(missing_ok=True)
    with pytest.raises(ValueError, match=r"gap has 22 tokens and an id of 5,000: number them from 0 on without a gap"):
        pretrain(small(text, tmp_path / "gap", tmp_path / "run"))
    assert not (tmp_path / "run").exists()


def test_another_config_or_another_text_in_the_folder_is_refused(text: Path, vocab: Path, tmp_path: Path) -> None:
    mine = tmp_path / "mine.txt"
    mine.write_text(text.read_text())
    pretrain(small(mine, vocab, tmp_path / "run", steps=3))
    with pytest.raises(ValueError, match=r"other settings: .*batch_size: 4 before, 8 now"):
        pretrain(small(mine, vocab, tmp_path / "run", steps=3, batch_size=8))
    mine.write_text(text.read_text() + "\na new end\n")
    with pytest.raises(ValueError, match="files changed"):
        pretrain(small(mine, vocab, tmp_path / "run", steps=3))


def test_outputs_that_are_refused(text: Path, vocab: Path, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="is a file: give a folder"):
        pretrain(small(text, vocab, vocab))
    with pytest.raises(ValueError, match="is not a run"):
        pretrain(small(text, vocab, text.parent))
    with pytest.raises(OSError, match=r"vocab\.txt"):
        pretrain(small(text, vocab, vocab / "run"))


def test_a_disk_that_is_full_in_the_middle_leaves_the_last_checkpoint(
    text: Path, vocab: Path, whole: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write = checkpoints._write

    def full(path: Path, tensors: Any) -> None:
        write(path, tensors)
        if "step-9" in str(path):
            raise OSError(28, "No space left on device")

    monkeypatch.setattr(checkpoints, "_write", full)
    with pytest.raises(OSError, match="No space left on device"):
        pretrain(small(text, vocab, tmp_path / "run"))
    assert sorted(path.name for path in (tmp_path / "run" / "checkpoints").iterdir()) == ["step-3", "step-6"]
    monkeypatch.undo()
    assert_same_bits(pretrain(small(text, vocab, tmp_path / "run")), whole)


@pytest.mark.skipif(os.name != "posix" or os.geteuid() == 0, reason="the superuser may write everywhere")
def test_an_output_that_cannot_be_written_is_refused(text: Path, vocab: Path, tmp_path: Path) -> None:
    tmp_path.chmod(0o555)
    with pytest.raises(PermissionError):
        pretrain(small(text, vocab, tmp_path / "run"))
