"""What keeps an accelerator busy, as far as a CPU can tell; and runs that go on, from far on or past damage."""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from torch.utils._python_dispatch import TorchDispatchMode

import electra
from electra.commands.pretrain import PretrainConfig, pretrain
from electra.data.dataset.batches import PretrainingBatches
from electra.hardware import devices as hardware
from electra.nn.encoder import ElectraLayer
from electra.pretraining import session
from electra.pretraining.compilation import compile_layers
from electra.pretraining.session import Pretraining
from electra.training.trainer import Trainer
from tests.parity.twins import SIZES, redraw

WORDS = ["cat", "dog", "bird", "fish", "king", "queen", "sees", "eats", "likes", "finds", "big", "small", "old", "red"]


@pytest.fixture(scope="module")
def text(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("text") / "text.txt"
    lines = [" ".join(WORDS[(start * step) % 14] for step in range(1, 4 + start % 9)) + "." for start in range(300)]
    path.write_text("\n\n".join("\n".join(lines[start : start + 6]) for start in range(0, 300, 6)) + "\n")
    path.with_name("vocab.txt").write_text(
        "\n".join(["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", ".", *WORDS]) + "\n"
    )
    return path


def small(text: Path, output: Path, **changes: Any) -> PretrainConfig:
    """A run of a second: 6 steps of 4 examples, with dropout."""
    given = {
        "size": "tiny",
        "vocab": text.with_name("vocab.txt"),
        "steps": 6,
        "batch_size": 4,
        "max_length": 24,
        "evaluate_every": 6,
        "evaluate_examples": 4,
        "save_every": 2,
        "held_out_fraction": 0.1,
        "device": "cpu",
        "quiet": True,
    }
    return PretrainConfig((str(text),), output=output, **(given | changes))


def weights(run: Path) -> dict[str, torch.Tensor]:
    return load_file(run / "discriminator" / "model.safetensors")


class NoWaiting(TorchDispatchMode):
    """Fails where a tensor's value is read by the host, which would stall an accelerator."""

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Mapping[str, Any] | None = None) -> Any:
        waits = (torch.ops.aten._local_scalar_dense.default, torch.ops.aten.nonzero.default)
        assert func not in waits, "the host waits for the device"
        return func(*args, **(kwargs or {}))


@pytest.mark.parametrize("accumulate", [1, 2])
def test_no_step_of_pretraining_waits_for_the_device(
    accumulate: int, text: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    train, steps = session.train, []

    def watched(*arguments: Any, **options: Any) -> int:
        with NoWaiting():
            return train(*arguments, **options | {"periodic": [lambda step, values: steps.append(step)]})

    monkeypatch.setattr(session, "train", watched)
    monkeypatch.setattr(
        "electra.nn.input_checks._is_readable", lambda values: False
    )  # as for tensors on an accelerator
    pretrain(small(text, tmp_path / "run", accumulate=accumulate))
    assert steps == [1, 2, 3, 4, 5, 6]


def test_batches_for_a_gpu_are_pinned_and_the_same(text: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every tensor of a part goes through page-locked memory; without a GPU there is none, so a stand-in counts."""
    pinned: list[int] = []

    def pin_memory(tensor: torch.Tensor) -> torch.Tensor:
        pinned.append(tensor.numel())
        return tensor.clone()

    monkeypatch.setattr(torch.Tensor, "pin_memory", pin_memory)
    pretrain(small(text, tmp_path / "plain"))
    assert pinned == []
    monkeypatch.setattr(hardware, "copies_faster_from_pinned", lambda device: True)
    pretrain(small(text, tmp_path / "pinned"))
    assert len(pinned) >= 6 * 9  # ids, types, positions and offsets; five of what is masked
    plain, copied = weights(tmp_path / "plain"), weights(tmp_path / "pinned")
    assert all(torch.equal(plain[name], copied[name]) for name in plain)


def test_parts_are_the_batch_and_know_nothing_of_one_another(
    text: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[PretrainingBatches] = []
    monkeypatch.setattr(Pretraining, "run_to_the_end", lambda self: seen.append(self.batches(self.text, 7)))
    pretrain(small(text, tmp_path / "run"))
    places = [range(3), range(3, 5), range(5, 7)]
    whole, [parts] = seen[0].batch(5), [next(seen[0].parts(5, places))]
    for name in ("input_ids", "token_type_ids", "position_ids"):
        assert torch.equal(torch.cat([getattr(batch, name) for batch, _ in parts]), getattr(whole[0], name))
    for name in ("input_ids", "original_ids", "uniforms"):
        assert torch.equal(torch.cat([getattr(masked, name) for _, masked in parts]), getattr(whole[1], name))
    assert len({masked.weights.sum().item() for _, masked in parts}) > 1  # so that shares have to be weighted


def test_a_run_goes_on_far_on_as_fast_as_at_the_start(
    text: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    far = 1_000_000
    options = {"steps": far + 2, "report_every": far, "evaluate_every": far, "save_every": 1, "keep_checkpoints": 1}
    config = small(text, tmp_path / "run", **options)
    highest = Trainer.highest
    monkeypatch.setattr(Trainer, "highest", lambda self, number: 75)  # stop after the first step
    with pytest.raises(SystemExit):
        pretrain(config)
    monkeypatch.setattr(Trainer, "highest", highest)
    checkpoint = (tmp_path / "run" / "checkpoints" / "step-1").rename(tmp_path / "run" / "checkpoints" / f"step-{far}")
    state = json.loads((checkpoint / "state.json").read_text())
    (checkpoint / "state.json").write_text(json.dumps(state | {"step": far}))
    batch, made = PretrainingBatches.batch, []
    monkeypatch.setattr(
        PretrainingBatches, "batch", lambda self, step, *place: made.append(step) or batch(self, step, *place)
    )
    pretrain(config)
    trained = [step for step in made if step >= far]
    assert sorted(trained)[:2] == [far, far + 1]
    assert len(made) < 20  # and not the million before


def test_a_run_whose_last_checkpoint_is_damaged_goes_on_from_the_one_before(
    text: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    pretrain(small(text, tmp_path / "whole"))
    with monkeypatch.context() as stopped:
        stopped.setattr(
            session, "Every", lambda steps, work, last: lambda step, values: step == 4 and work(step, values)
        )
        calls: list[int] = []
        stopped.setattr(Trainer, "highest", lambda self, number: calls.append(1) or 75 * (len(calls) == 5))
        with pytest.raises(SystemExit):
            pretrain(small(text, tmp_path / "run"))
    folder = tmp_path / "run" / "checkpoints"
    assert sorted(path.name for path in folder.iterdir()) == ["step-4", "step-5"]
    file = folder / "step-5" / "optimizer.safetensors"
    file.write_bytes(file.read_bytes()[:-100])
    with caplog.at_level(logging.WARNING, logger="electra"):
        pretrain(small(text, tmp_path / "run"))
    assert "step-5 is damaged and skipped" in caplog.text
    whole, other = weights(tmp_path / "whole"), weights(tmp_path / "run")
    assert all(torch.equal(whole[name], other[name]) for name in whole)


def test_tf32_is_for_the_time_of_training(monkeypatch: pytest.MonkeyPatch) -> None:
    matmul = torch.backends.cuda.matmul
    before = matmul.fp32_precision
    with hardware.matrix_products(torch.device("cuda"), "tf32"):
        assert matmul.fp32_precision == "tf32"
    assert matmul.fp32_precision == before
    for device, name in (("cpu", "tf32"), ("cuda", "float32"), ("cuda", "auto")):
        with hardware.matrix_products(torch.device(device), name):
            assert matmul.fp32_precision == before


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:The .grad attribute of a Tensor that is not a leaf")  # within torch's compiler
def test_compiled_layers_compute_the_same_and_keep_their_names() -> None:
    def step(compiled: bool) -> tuple[list[float], dict[str, torch.Tensor]]:
        config = electra.ElectraConfig(**SIZES)
        networks = redraw(
            electra.ReplacedTokenDetection(
                electra.ElectraForMaskedLM(config.generator(1.0)),
                electra.ElectraForPreTraining(config),
                mask_token_id=4,
                special_token_ids=(2, 3),
            )
        )
        if compiled:
            compile_layers(networks, backend="aot_eager")
        networks.train()
        losses = []
        for lengths in ((5, 9, 3), (7, 7, 2, 4)):
            torch.manual_seed(0)
            rows = [electra.Row([2, *((7 * place) % 90 + 5 for place in range(length)), 3]) for length in lengths]
            loss = networks(electra.Batch.from_rows(rows)).loss
            loss.backward()
            losses.append(loss.item())
        return losses, {name: parameter.grad for name, parameter in networks.named_parameters()}

    torch._dynamo.reset()
    graphs = torch._dynamo.utils.counters
    graphs.clear()
    compiled_losses, compiled = step(True)
    assert graphs["stats"]["unique_graphs"] <= 2 * 2  # one for each network, and one more when the sizes change
    torch._dynamo.reset()
    losses, plain = step(False)
    assert compiled_losses == pytest.approx(losses, rel=1e-5)
    assert compiled.keys() == plain.keys()
    for name, gradient in plain.items():
        scale = max(1.0, gradient.abs().max().item())
        torch.testing.assert_close(compiled[name] / scale, gradient / scale, rtol=1e-4, atol=1e-5)


def test_all_layers_are_compiled(monkeypatch: pytest.MonkeyPatch) -> None:
    compiled: list[Any] = []
    monkeypatch.setattr(ElectraLayer, "compile", lambda self, **options: compiled.append(options))
    config = electra.ElectraConfig(**SIZES)
    compile_layers(electra.ElectraForPreTraining(config))
    assert compiled == [{"backend": "inductor", "dynamic": True}] * config.num_hidden_layers
