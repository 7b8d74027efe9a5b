"""Pretraining on a CUDA device: as on a CPU, compiled as not, resumed as whole, and nobody waits.

python -m pytest -m gpu
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from electra.batch import Layout
from electra.commands.pretrain import PretrainConfig, pretrain
from electra.nn.attention import attend, attend_padded
from electra.pretraining import session
from electra.pretraining.session import Pretraining
from electra.training.distributed.processes import Processes
from electra.training.trainer import Trainer
from tests.pretraining.toy import toy

DEVICE = "cuda"
pytestmark = [
    pytest.mark.gpu,
    # of torch's compiler and of CUDA's libraries, in whatever version this machine has
    pytest.mark.filterwarnings("ignore"),
]
WAYS: dict[str, dict[str, Any]] = {"eager": {}, "layers": {"compile": True}, "whole": {"compile": True}}


@pytest.fixture(autouse=True)
def cuda(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    if DEVICE == "cuda" and not torch.cuda.is_available():
        pytest.skip("torch finds no CUDA device here")
    monkeypatch.setattr("electra.pretraining.pretraining_run.write_report", lambda *arguments: None)
    yield
    torch._dynamo.reset()


def config_of(folder: Path, way: str = "eager", **changes: Any) -> PretrainConfig:
    """A run on the device that tells the losses of every step."""
    settings = {"steps": 8, "report_every": 1, "save_every": 4, "device": DEVICE, "precision": "float32", "dropout": 0}
    return toy(folder, **settings | WAYS[way] | changes)


def run(config: PretrainConfig, way: str = "eager") -> list[dict[str, float]]:
    """The lines of the metrics."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(session, "compiles_whole_step", lambda device, **options: way == "whole")
        done = pretrain(config)
    assert done is not None
    lines = [json.loads(line) for line in (done / "metrics.jsonl").read_text().splitlines()]
    return [line for line in lines if line["split"] in ("train", "held_out")]


def assert_alike(ours: list[dict[str, float]], theirs: list[dict[str, float]], tolerance: float) -> None:
    assert [line["step"] for line in ours] == [line["step"] for line in theirs]
    for one, other in zip(ours, theirs, strict=True):
        for name in ("loss", "generator_loss", "discriminator_loss", "discriminator_auc", "replaced", "gradient_norm"):
            if name in other:
                assert one[name] == pytest.approx(other[name], rel=tolerance, abs=tolerance), (one["step"], name)


def session_of(folder: Path, way: str = "eager", **changes: Any) -> Pretraining:
    """A run before its first step."""
    found: list[Pretraining] = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Pretraining, "run_to_the_end", lambda self: found.append(self))
        patch.setattr(Pretraining, "publish", lambda self: None)
        patch.setattr(session, "compiles_whole_step", lambda device, **options: way == "whole")
        pretrain(toy(folder, **{"device": DEVICE} | WAYS[way] | changes))
    found[0].networks.train()
    return found[0]


@pytest.mark.parametrize("mode", ["fast", "replica"])
def test_a_run_in_float32_is_that_of_a_cpu(mode: str, tmp_path: Path) -> None:
    """A sample may fall on the other side of a rounding, and one token in a hundred is then another: hence 2 %."""
    ours = run(config_of(tmp_path / "cuda", mode=mode))
    theirs = run(config_of(tmp_path / "cpu", mode=mode, device="cpu"))
    assert_alike(ours[:2], theirs[:2], 1e-3)
    assert_alike(ours, theirs, 2e-2)


def test_bfloat16_is_near_float32(tmp_path: Path) -> None:
    half, single = run(config_of(tmp_path / "half", precision="bfloat16")), run(config_of(tmp_path / "single"))
    assert_alike(half[:2], single[:2], 5e-2)


@pytest.mark.parametrize("causal", [False, True])
def test_attention_of_variable_length_is_that_over_a_grid(causal: bool) -> None:
    """Values and gradients, with rows that are empty as they are behind filler."""
    torch.manual_seed(0)
    lengths = [5, 64, 1, 33, 128]
    layout = Layout.ragged(lengths, DEVICE)
    tokens = sum(lengths)
    query, key, value, given = (torch.randn(tokens, 4, 64, device=DEVICE) for _ in range(4))

    def attended(dtype: torch.dtype, layout: Layout) -> list[Tensor]:
        inputs = [tensor.to(dtype, copy=True).requires_grad_() for tensor in (query, key, value)]
        function = attend if dtype == torch.bfloat16 else attend_padded
        found = function(*inputs, layout, causal=causal)
        found.backward(given.to(dtype))
        return [found.detach().float(), *(tensor.grad.float() for tensor in inputs if tensor.grad is not None)]

    expected = attended(torch.float32, layout)
    assert layout.cumulative_lengths is not None
    ends = layout.cumulative_lengths[-1:].expand(3)
    padded = Layout(None, None, tuple(lengths), torch.cat([layout.cumulative_lengths, ends]), tokens, 128)
    for shape in (layout, padded):
        for ours, theirs in zip(attended(torch.bfloat16, shape), expected, strict=True):
            assert (ours - theirs).abs().max() < 2e-2 * max(1.0, theirs.abs().max().item())


@pytest.mark.parametrize("objective", ["rtd", "mlm"])
@pytest.mark.parametrize("way", ["layers", "whole"])
def test_a_compiled_run_is_that_without(way: str, objective: str, tmp_path: Path) -> None:
    plain = run(config_of(tmp_path / "plain", objective=objective))
    compiled = run(config_of(tmp_path / "compiled", way, objective=objective), way)
    assert_alike(compiled[:2], plain[:2], 1e-3)
    assert_alike(compiled, plain, 2e-2)


@pytest.mark.parametrize("way", WAYS)
def test_dropout_follows_from_the_step_and_the_seed(way: str, tmp_path: Path) -> None:
    """Also where steps are recorded and played back: what they draw must be drawn anew."""
    training = session_of(tmp_path, way, dropout=0.5)
    training.learning_rate = lambda step: 0.0  # type: ignore[method-assign]
    example = training._filled(training.batches(training.text, 4).batch(0))
    losses = [loss_of(training, example, seed) for seed in (0, 1, 0, 1, 2, 0, 1)]
    assert losses[0] == pytest.approx(losses[2], rel=1e-5) == pytest.approx(losses[5], rel=1e-5)
    assert losses[1] == pytest.approx(losses[3], rel=1e-5) == pytest.approx(losses[6], rel=1e-5)
    assert len({round(loss, 3) for loss in losses}) == 3


def loss_of(training: Pretraining, example: Any, seed: int) -> float:
    torch.manual_seed(seed)
    loss = training.losses(example)["loss"]
    loss.backward()  # type: ignore[no-untyped-call]
    training.optimizer.zero_grad()
    return loss.item()


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("precision", ["bfloat16", "float32"])
def test_no_step_waits_for_the_device(way: str, precision: str, tmp_path: Path) -> None:
    """After the first steps, in which kernels are made and recorded."""
    training = session_of(tmp_path, way, precision=precision, steps=12)

    def strict(step: int, values: Any) -> None:
        if step >= 6 and DEVICE == "cuda":
            torch.cuda.set_sync_debug_mode("error")

    try:
        assert training.take_steps(training.window.add, strict) == 12
    finally:
        if DEVICE == "cuda":
            torch.cuda.set_sync_debug_mode("default")
    assert training.window.read()["steps"] == 12


@pytest.mark.parametrize("way", ["eager", "whole"])
def test_a_run_that_goes_on_is_the_whole_one(way: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With dropout; sums may be added up in another order, so not to the bit."""
    whole = run(config_of(tmp_path / "whole", way, dropout=0.1), way)
    config = config_of(tmp_path / "run", way, dropout=0.1)
    asked: list[int] = []
    highest = Processes.highest
    monkeypatch.setattr(Trainer, "highest", lambda self, number: asked.append(1) or 75 * (len(asked) == 3))
    with pytest.raises(SystemExit):
        run(config, way)
    monkeypatch.setattr(Trainer, "highest", highest)
    assert_alike(run(config, way), whole, 2e-2)
