"""Google's Adam and schedule, against Google's own rates and against the formula in float64."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from torch import nn

from electra.training.optimizer import Adam, decays, linear_schedule


def test_the_learning_rates_are_googles(shared: Path) -> None:
    reference = json.loads((shared / "fixtures/tf1/reference/learning_rates.json").read_text())
    checked = 0
    for run in reference["pretrain"]:
        for step, expected in run["step_lr"]:
            rate = linear_schedule(step, rate=run["lr"], steps=run["num_train_steps"], warmup_steps=run["warmup"])
            assert rate == pytest.approx(expected, rel=2e-6, abs=1e-7 * run["lr"])  # Google's are float32
            checked += 1
    assert checked >= 24


def test_without_warmup_the_first_step_has_the_whole_rate() -> None:
    assert linear_schedule(0, rate=0.5, steps=10) == 0.5
    assert linear_schedule(5, rate=0.5, steps=10, power=2.0) == pytest.approx(0.125)
    assert linear_schedule(11, rate=0.5, steps=10) == 0.0


@pytest.mark.parametrize(
    ("name", "decayed"),
    [
        ("discriminator.electra.embeddings.word_embeddings.weight", True),
        ("discriminator.electra.embeddings.LayerNorm.weight", False),
        ("generator.generator_lm_head.bias", False),
        ("generator.electra.encoder.layer.0.output.dense.weight", True),
    ],
)
def test_biases_and_layer_norms_do_not_decay(name: str, decayed: bool) -> None:
    assert decays(name) is decayed


def network() -> nn.Module:
    torch.manual_seed(0)
    return nn.ModuleDict({"dense": nn.Linear(5, 3), "LayerNorm": nn.LayerNorm(3)})


def gradients(model: nn.Module, step: int) -> None:
    draw = torch.Generator().manual_seed(step)
    for parameter in model.parameters():
        parameter.grad = torch.randn(parameter.shape, generator=draw) * 10 ** (step % 5 - 3)


def by_the_formula(model: nn.Module, steps: int, rate: float, clip_norm: float) -> dict[str, torch.Tensor]:
    """p <- p - rate (m / (sqrt(v) + 1e-6) + 0.01 p), gradients clipped by their global norm, all in float64."""
    values = {name: parameter.detach().double() for name, parameter in model.named_parameters()}
    m = {name: torch.zeros_like(value) for name, value in values.items()}
    v = {name: torch.zeros_like(value) for name, value in values.items()}
    for step in range(steps):
        gradients(model, step)
        norm = sum(float((p.grad.double() ** 2).sum()) for p in model.parameters()) ** 0.5
        for name, parameter in model.named_parameters():
            gradient = parameter.grad.double() * min(1.0, clip_norm / norm)
            m[name] = 0.9 * m[name] + 0.1 * gradient
            v[name] = 0.999 * v[name] + 0.001 * gradient**2
            update = m[name] / (v[name].sqrt() + 1e-6)
            if name == "dense.weight":
                update = update + 0.01 * values[name]
            values[name] = values[name] - rate * update
    return values


def test_the_updates_are_googles_formula() -> None:
    expected = by_the_formula(network(), 40, 3e-3, 1.0)
    model = network()
    optimizer = Adam(model.named_parameters())
    for step in range(40):
        gradients(model, step)
        optimizer.clip(1.0)
        optimizer.step(3e-3)
    for name, parameter in model.named_parameters():
        torch.testing.assert_close(parameter.double(), expected[name], rtol=0, atol=1e-6)


def test_a_multiplier_scales_the_rate_of_its_parameters() -> None:
    moved = {}
    for factor in (1.0, 0.25):
        model = network()
        before = model["dense"].weight.detach().clone()
        optimizer = Adam(model.named_parameters(), multiplier=lambda name, by=factor: by if "weight" in name else 1.0)
        gradients(model, 1)
        optimizer.step(1e-2)
        moved[factor] = (model["dense"].weight - before, model["dense"].bias.detach().clone())
    torch.testing.assert_close(moved[0.25][0], moved[1.0][0] / 4, rtol=1e-4, atol=1e-7)
    torch.testing.assert_close(moved[0.25][1], moved[1.0][1])


def test_moments_taken_over_go_on_bit_for_bit() -> None:
    model, twin = network(), network()
    first, second = Adam(model.named_parameters()), Adam(twin.named_parameters())
    for step in range(6):
        gradients(model, step)
        first.step(1e-2)
    saved = {name: tensor.clone() for name, tensor in first.moments().items()}
    twin.load_state_dict(model.state_dict())
    second.load_moments(saved)
    for optimizer, network_ in ((first, model), (second, twin)):
        gradients(network_, 6)
        optimizer.step(1e-2)
    for mine, theirs in zip(model.parameters(), twin.parameters(), strict=True):
        assert torch.equal(mine, theirs)


def test_moments_of_another_model_are_refused() -> None:
    optimizer = Adam(network().named_parameters())
    moments = dict(optimizer.moments())
    with pytest.raises(ValueError, match=r"dense.weight.m has shape \[2\], the parameter has \[3, 5\]"):
        optimizer.load_moments(moments | {"dense.weight.m": torch.zeros(2)})
    moments.pop("dense.bias.v")
    with pytest.raises(ValueError, match=r"another model: missing dense\.bias\.v, unknown nothing"):
        optimizer.load_moments(moments)


def test_nothing_to_train_is_refused() -> None:
    with pytest.raises(ValueError, match="nothing to train"):
        Adam(network().requires_grad_(False).named_parameters())
