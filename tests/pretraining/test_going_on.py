"""Runs that go on from another run, or from a checkpoint of Google's: networks, moments, step."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from electra.commands.convert import convert
from electra.commands.pretrain import PretrainConfig, pretrain
from electra.google.convert_config import ConvertConfig
from electra.pretraining import session
from electra.pretraining.session import Pretraining
from electra.training.run.checkpoints import Checkpoint, Checkpoints
from electra.training.trainer import Trainer
from tests.parity.google import discriminator_head, drawn, embeddings, encoder, generator_head, write_checkpoint
from tests.pretraining.toy import toy

STEP = 7


pytestmark = pytest.mark.usefixtures("quick")


@pytest.fixture(scope="module")
def google(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A checkpoint of Google's code after 7 steps, with moments, of the networks of size tiny; values of order 0.1."""
    folder = tmp_path_factory.mktemp("google")
    toy(folder)  # for its vocabulary
    words = len((folder / "vocab.txt").read_text().split())
    shapes = {
        **embeddings("electra", 64, words, 512),
        **encoder("electra", 64, 128, 512, 4),
        **discriminator_head(128),
        **encoder("generator", 64, 32, 128, 4),
        **generator_head(32, 64, words=words),
    }
    values = drawn(shapes, slots=True, step=STEP)
    small = {name: 0.1 * value if name != "global_step" else value for name, value in values.items()}
    write_checkpoint(folder, {name: abs(value) if name.endswith("adam_v") else value for name, value in small.items()})
    return folder


@pytest.fixture(scope="module")
def converted(google: Path) -> Path:
    convert(ConvertConfig(google, google / "converted", optimizer=True))
    return google / "converted"


@pytest.fixture(scope="module")
def other(tmp_path_factory: pytest.TempPathFactory) -> PretrainConfig:
    """The settings of a run of 12 steps that was stopped after 6."""
    config = toy(tmp_path_factory.mktemp("other"))
    stop_after(config, 6)
    return config


def stop_after(config: PretrainConfig, steps: int) -> None:
    """Take so many steps of a run, save, and stop."""
    asked: list[int] = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Trainer, "highest", lambda self, number: asked.append(1) or 75 * (len(asked) == steps))
        with pytest.raises(SystemExit):
            pretrain(config)


def begun(config: PretrainConfig, monkeypatch: pytest.MonkeyPatch) -> Pretraining:
    """A run before its first step."""
    found: list[Pretraining] = []
    with monkeypatch.context() as patch:
        patch.setattr(Pretraining, "run_to_the_end", lambda self: found.append(self))
        pretrain(config)
    return found[0]


def after_a_step(training: Pretraining) -> dict[str, torch.Tensor]:
    """Everything that a step changes, by name, after one."""
    taken: list[int] = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(session, "Every", lambda *arguments, **options: lambda step, values: taken.append(step))
        patch.setattr(Pretraining, "save", lambda self, step, values=None: None)
        patch.setattr(Trainer, "highest", lambda self, number: 75)
        with pytest.raises(SystemExit):
            training.run_to_the_end()
    assert set(taken) == {training.first_step + 1}
    weights = {name: parameter.detach().clone() for name, parameter in training.networks.named_parameters()}
    return weights | {name: moment.clone() for name, moment in training.optimizer.moments().items()}


def metrics(run: Path, split: str) -> list[dict[str, Any]]:
    lines = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    return [line for line in lines if line["split"] == split]


def test_a_run_goes_on_in_another_folder_to_the_same_bits(other: PretrainConfig, tmp_path: Path) -> None:
    """Weights, moments, schedule, data: nothing but the folder is another."""
    shutil.copytree(other.output, tmp_path / "first")
    moved = pretrain(replace(other, output=tmp_path / "second", init=tmp_path / "first", keep_step=True))
    kept = pretrain(replace(other, output=tmp_path / "first"))
    assert moved is not None
    assert kept is not None
    for name in ("networks", "optimizer"):
        ours, theirs = (load_file(run / "checkpoints" / "step-12" / f"{name}.safetensors") for run in (moved, kept))
        assert [key for key in theirs if not torch.equal(ours[key], theirs[key])] == []
    assert [line["step"] for line in metrics(moved, "train")] == [8, 12]
    assert metrics(moved, "train")[-1]["learning_rate"] == metrics(kept, "train")[-1]["learning_rate"] > 0


def test_a_run_on_google_s_weights_and_moments_takes_the_written_out_step(
    converted: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """optimization.py: AdamWeightDecayOptimizer, after a clip to norm 1; written out here in float64."""
    config = toy(tmp_path, vocab=None, init=converted, keep_step=True, dropout=0, warmup_steps=10)
    training = begun(config, monkeypatch)
    assert training.first_step == STEP
    before = {name: parameter.detach().clone() for name, parameter in training.networks.named_parameters()}
    moments = {name: moment.clone() for name, moment in training.optimizer.moments().items()}
    assert all(moment.abs().sum() > 0 for moment in moments.values())
    batch = training.batches(training.text, 4).batch(STEP)
    training.networks.train()
    training.losses(batch)["loss"].backward()
    gradients = {name: parameter.grad.double() for name, parameter in training.networks.named_parameters()}
    training.optimizer.zero_grad()
    norm = sum(gradient.square().sum() for gradient in gradients.values()).sqrt().item()
    rate = 3e-4 * (1 - STEP / 12) * STEP / 10
    found = after_a_step(training)
    for name, weight in before.items():
        gradient = gradients[name] / max(1.0, norm)
        m = 0.9 * moments[f"{name}.m"].double() + 0.1 * gradient
        v = 0.999 * moments[f"{name}.v"].double() + 0.001 * gradient.square()
        decay = 0.0 if "LayerNorm" in name or name.endswith("bias") else 0.01
        expected = weight.double() - rate * (m / (v.sqrt() + 1e-6) + decay * weight.double())
        for key, value in ((name, expected), (f"{name}.m", m), (f"{name}.v", v)):
            assert (found[key] - value).abs().max() < 3e-7, key
        assert (found[name] - weight).abs().max() > 1e-5


def test_without_its_step_a_new_schedule_begins_on_the_same_moments(
    converted: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    training = begun(toy(tmp_path, vocab=None, init=converted, quiet=False), monkeypatch)
    assert (training.first_step, training.learning_rate(0)) == (0, 0.0)
    told = " ".join(capsys.readouterr().err.split())
    assert f"starting from networks and moments of {converted / 'checkpoints' / 'step-7'}, at step 0 here" in told
    saved = Checkpoints(converted / "checkpoints").latest()
    assert saved is not None
    moments = training.optimizer.moments()
    assert all(torch.equal(moments[name], tensor) for name, tensor in saved.tensors["optimizer"].items())


def test_a_folder_without_moments_gives_its_networks(
    converted: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("discriminator", "generator"):
        shutil.copytree(converted / name, tmp_path / "pair" / name)
    training = begun(toy(tmp_path, vocab=None, init=tmp_path / "pair", quiet=False), monkeypatch)
    assert "it has no checkpoints, so the optimizer starts without moments" in " ".join(capsys.readouterr().err.split())
    given = load_file(converted / "discriminator" / "model.safetensors")
    state = training.networks.discriminator.state_dict()
    assert all(torch.equal(state[name], tensor) for name, tensor in given.items())
    assert not any(moment.any() for moment in training.optimizer.moments().values())
    with pytest.raises(ValueError, match="has no checkpoints, so its step is not known: leave keep_step out"):
        pretrain(toy(tmp_path / "kept", vocab=None, init=tmp_path / "pair", keep_step=True))


def test_masked_language_modelling_goes_on_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = pretrain(toy(tmp_path / "first", objective="mlm", steps=2))
    config = toy(tmp_path / "second", objective="mlm", vocab=None, init=first, keep_step=True)
    assert begun(config, monkeypatch).first_step == 2
    shutil.rmtree(first / "checkpoints")
    training = begun(replace(config, output=tmp_path / "third", keep_step=False), monkeypatch)
    given = load_file(first / "model" / "model.safetensors")
    assert all(torch.equal(training.networks.generator.state_dict()[name], tensor) for name, tensor in given.items())


def test_it_goes_on_by_itself_when_what_it_began_with_is_gone(converted: Path, tmp_path: Path) -> None:
    shutil.copytree(converted, tmp_path / "init")
    config = toy(tmp_path, vocab=None, init=tmp_path / "init", keep_step=True)
    stop_after(config, 2)
    shutil.rmtree(tmp_path / "init")
    assert pretrain(config) == config.output
    card = (config.output / "discriminator" / "README.md").read_text()
    assert f"Pretrained from {tmp_path / 'init'} by" in card
    assert "--keep-step" in card


def test_a_dry_run_tells_of_the_steps_that_are_left(
    converted: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pretrain(toy(tmp_path, vocab=None, init=converted, keep_step=True, dry_run=True, json=True))
    assert json.loads(capsys.readouterr().out)["steps"] == 12 - STEP


# -- refused -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"keep_step": True}, "keep_step is True: it must be False without init"),
        ({"init": "run", "init_discriminator": "d"}, r"init \(run\) and init_discriminator or init_generator"),
        ({"init": "run", "vocab": None, "cased": True}, "the tokenizer is that of run/tokenizer, and cased"),
    ],
)
def test_options_that_do_not_go_together(changes: dict[str, Any], message: str, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=message):
        toy(tmp_path, **changes)


def refused(config: PretrainConfig, message: str, error: type[Exception] = ValueError) -> None:
    """With these words, and nothing is left of the new run but the text, where that was prepared by then."""
    with pytest.raises(error, match=message):
        pretrain(config)
    left = {path.name for path in config.output.glob("*")}
    assert left <= {"config.toml", "tokenizer", "examples", "examples.json"}


def test_runs_that_cannot_be_gone_on_from(converted: Path, other: PretrainConfig, tmp_path: Path) -> None:
    refused(toy(tmp_path, init=tmp_path / "nowhere"), "nowhere: there is no such folder", FileNotFoundError)
    (tmp_path / "empty").mkdir()
    refused(toy(tmp_path, init=tmp_path / "empty", vocab=None), "empty has no tokenizer: give vocab")
    refused(toy(tmp_path, init=tmp_path / "empty"), "no checkpoints, and no .*discriminator and no .*generator: give")
    refused(toy(tmp_path, init=converted, keep_step=True, steps=7), "has taken 7 steps and steps is 7, so none is left")
    refused(toy(tmp_path, init=converted, size="small"), "hidden_size 128, here 256.*give size tiny")
    refused(toy(tmp_path, init=other.output, generator_fraction=0.5), "step-6: .* holds other networks .* do not fit")
    refused(toy(tmp_path, init=other.output, objective="mlm"), "and [0-9]+ more do not fit")


def damaged(converted: Path, folder: Path, change: Any) -> Path:
    """A run whose one checkpoint has other moments."""
    saved = Checkpoints(converted / "checkpoints").latest()
    assert saved is not None
    moments = dict(saved.tensors["optimizer"])
    change(moments)
    Checkpoints(folder / "checkpoints").save(Checkpoint(saved.step, {**saved.tensors, "optimizer": moments}))
    return folder


def test_moments_that_do_not_fit(converted: Path, tmp_path: Path) -> None:
    name = "discriminator.electra.encoder.layer.0.output.dense.weight.v"
    lacking = damaged(converted, tmp_path / "lacking", lambda moments: moments.pop(name))
    refused(toy(tmp_path, init=lacking), rf"lacking/checkpoints/step-7: .* another model: missing {name}, unknown no")
    turned = damaged(converted, tmp_path / "turned", lambda moments: moments.update({name: moments[name].T}))
    refused(toy(tmp_path, init=turned), r"output.dense.weight.v has shape \[512, 128\], the parameter has \[128, 512\]")
    none = damaged(converted, tmp_path / "none", lambda moments: moments.clear())
    refused(toy(tmp_path, init=none), "of another model: missing .* and [0-9]+ more, unknown nothing")
    file = tmp_path / "turned" / "checkpoints" / "step-7" / "optimizer.safetensors"
    file.write_bytes(np.frombuffer(file.read_bytes(), np.uint8)[:-4].tobytes())
    refused(toy(tmp_path, init=tmp_path / "turned"), "every checkpoint in .* is damaged")
