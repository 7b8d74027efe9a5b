"""Replaced token detection against numbers that Google's own code wrote: losses, labels, gradients, one step."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from electra import ElectraConfig, ElectraForMaskedLM, ElectraForPreTraining, ReplacedTokenDetection
from electra.nn.masking import MaskedTokens
from electra.training.optimizer import Adam
from tests.parity.google import oriented, read_checkpoint, torch_name


@pytest.fixture(scope="module")
def folder(shared: Path) -> Path:
    return shared / "fixtures/tf1/pretrain/small"


@pytest.fixture(scope="module")
def reference(folder: Path) -> dict[str, np.ndarray]:
    with np.load(folder / "reference.npz") as file:
        return dict(file)


@pytest.fixture(scope="module")
def checkpoint(folder: Path) -> dict[str, np.ndarray]:
    return read_checkpoint(folder / "model.ckpt-20")


@pytest.fixture
def detection(checkpoint: dict[str, np.ndarray]) -> ReplacedTokenDetection:
    config = ElectraConfig(
        vocab_size=256,
        embedding_size=48,
        hidden_size=64,
        num_hidden_layers=2,
        num_attention_heads=4,
        intermediate_size=160,
        max_position_embeddings=64,
        generator_hidden_size=0.5,
    )
    pair = ReplacedTokenDetection(ElectraForMaskedLM(config.generator()), ElectraForPreTraining(config)).eval()
    parameters = dict(pair.named_parameters())
    seen = set()
    for name, value in checkpoint.items():
        if name.endswith(("adam_m", "adam_v")) or name == "global_step":
            continue
        ours = parameter_name(pair, name)
        with torch.no_grad():
            parameters[ours].copy_(torch.from_numpy(oriented(name, value).copy()))
        seen.add(ours)
    assert seen == set(parameters), "the checkpoint and the two networks have the same variables"
    return pair


def parameter_name(pair: ReplacedTokenDetection, name: str) -> str:
    """The name under which the pair lists the variable: what is shared is listed with the generator."""
    network, inner = torch_name(name)
    shared = inner.startswith("electra.embeddings.")
    return f"{'generator' if shared else network}.{inner}"


def batch(reference: dict[str, np.ndarray]) -> dict[str, Any]:
    ids, mask, types = (
        torch.from_numpy(reference[f"in/{name}"]).long() for name in ("input_ids", "input_mask", "segment_ids")
    )
    rows, columns = ids.shape
    positions = torch.from_numpy(reference["mask/positions"]).long() + torch.arange(rows)[:, None] * columns
    masked = MaskedTokens(
        input_ids=torch.from_numpy(reference["mask/input_ids"]).long().flatten(),
        positions=positions.flatten(),
        original_ids=torch.from_numpy(reference["mask/ids"]).long().flatten(),
        weights=torch.from_numpy(reference["mask/weights"]).flatten(),
        uniforms=torch.zeros(positions.numel()),
    )
    sampled = torch.from_numpy(reference["fake/sampled_ids"]).long().flatten()
    return {"input_ids": ids, "attention_mask": mask, "token_type_ids": types, "masked": masked, "sampled_ids": sampled}


def test_losses_logits_and_labels(detection: ReplacedTokenDetection, reference: dict[str, np.ndarray]) -> None:
    output = detection(**batch(reference))
    real = reference["in/input_mask"].flatten() == 1
    used = reference["mask/weights"].flatten() > 0
    generator = output.generator_logits.detach().numpy()
    assert np.abs(generator[used] - reference["gen/logits"].reshape(-1, 256)[used]).max() < 1e-5
    discriminator = output.discriminator_logits.detach().numpy()
    assert np.abs(discriminator[real] - reference["disc/logits_raw"].flatten()[real]).max() < 1e-5
    assert (output.corrupted_ids.numpy() == reference["fake/input_ids"].flatten()).all()
    assert (output.labels.numpy() == reference["fake/labels"].flatten()).all()
    assert output.labels.sum() > 20
    assert output.generator_loss.item() == pytest.approx(float(reference["gen/loss"]), abs=1e-5)
    assert output.discriminator_loss.item() == pytest.approx(float(reference["disc/loss"]), abs=1e-5)
    assert output.loss.item() == pytest.approx(float(reference["total_loss"]), rel=1e-6)


def test_gradients_and_one_optimizer_step(
    detection: ReplacedTokenDetection, reference: dict[str, np.ndarray], checkpoint: dict[str, np.ndarray]
) -> None:
    detection(**batch(reference)).loss.backward()
    parameters = dict(detection.named_parameters())
    variables = {name.removeprefix("grad/"): value for name, value in reference.items() if name.startswith("grad/")}
    assert len(variables) == len(parameters)
    norm = float(reference["global_grad_norm"])
    for name, expected in variables.items():
        ours = parameters[parameter_name(detection, name)].grad
        assert ours is not None, name
        difference = np.abs(ours.numpy() - oriented(name, expected)).max()
        # a key's bias has no gradient but rounding, hence the floor
        assert difference <= 1e-4 * max(np.abs(expected).max(), 1e-5 * norm), name

    adam = Adam(detection.named_parameters())
    adam.load_moments(
        {
            f"{parameter_name(detection, name)}.{moment}": torch.from_numpy(
                oriented(name, checkpoint[f"{name}/adam_{moment}"]).copy()
            )
            for name in variables
            for moment in "mv"
        }
    )
    assert adam.clip(1.0).item() == pytest.approx(norm, rel=1e-5)
    assert norm > 2, "clipping must matter here"
    adam.step(float(reference["step/effective_learning_rate"]))
    for name in variables:
        ours = parameters[parameter_name(detection, name)].detach().numpy()
        assert np.abs(ours - oriented(name, reference[f"after/{name}"])).max() < 1e-6, name
