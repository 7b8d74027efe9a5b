"""The recipes against the published ones, and what the two modes and the options make of them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch

from electra import Batch, ElectraConfig, ElectraForMaskedLM, ElectraForPreTraining, ReplacedTokenDetection, Row
from electra.commands.pretrain import PretrainConfig
from electra.pretraining.networks import build_networks
from electra.text.training.vocabulary import read_vocabulary
from tests.pretraining.toy import write_vocab

# google-research/electra configure_pretraining.py, util/training_utils.py and README; the paper's table 6:
# layers, width, heads, wide, embeddings; the generator's width, heads, wide; length, batch, rate, steps, warm-up,
# mask fraction, predictions
GOOGLE = {
    "small": (12, 256, 4, 1024, 128, 64, 1, 256, 128, 128, 5e-4, 1_000_000, 10_000, 0.15, 19),
    "small++": (12, 256, 4, 1024, 128, 256, 4, 1024, 512, 128, 5e-4, 4_000_000, 10_000, 0.15, 79),
    "base": (12, 768, 12, 3072, 768, 256, 4, 1024, 512, 256, 2e-4, 766_000, 10_000, 0.15, 79),
    "large": (24, 1024, 16, 4096, 1024, 256, 4, 1024, 512, 2048, 2e-4, 400_000, 10_000, 0.25, 130),
}
# recipe.md's counts, in thousands: the discriminator with its head, what is trained together
PARAMETERS = {"small": (13_549, 14_196), "small++": (13_549, 23_123), "base": (109_483, 119_386)}


def config(tmp_path: Path, **changes: Any) -> PretrainConfig:
    return PretrainConfig(("text.txt",), output=tmp_path / "run", **changes)


@pytest.mark.parametrize("size", GOOGLE)
def test_a_size_is_the_whole_published_recipe(size: str, tmp_path: Path) -> None:
    found = config(tmp_path, size=size)
    shape, recipe = found.discriminator, found.recipe
    generator = found.generator_of(shape)
    assert (
        *(shape.num_hidden_layers, shape.hidden_size, shape.num_attention_heads, shape.intermediate_size),
        shape.embedding_size,
        *(generator.hidden_size, generator.num_attention_heads, generator.intermediate_size),
        *(recipe.max_length, recipe.batch_size, recipe.learning_rate, recipe.steps, recipe.warmup_steps),
        *(recipe.mask_fraction, found.masking.max_predictions),
    ) == GOOGLE[size]
    assert (generator.num_hidden_layers, generator.embedding_size) == (shape.num_hidden_layers, shape.embedding_size)
    assert (shape.vocab_size, recipe.vocab_size, shape.max_position_embeddings) == (30522, 30522, 512)
    assert (shape.initializer_range, shape.layer_norm_eps, shape.hidden_act) == (0.02, 1e-12, "gelu")


@pytest.mark.parametrize("size", PARAMETERS)
def test_parameters_are_as_many_as_google_s(size: str) -> None:
    shape = ElectraConfig.preset(size)
    with torch.device("meta"):
        discriminator = ElectraForPreTraining(shape)
        both = ReplacedTokenDetection(ElectraForMaskedLM(shape.generator()), discriminator)
    counts = (discriminator.num_parameters() // 1000, sum(p.numel() for p in both.parameters()) // 1000)
    assert counts[0] == pytest.approx(PARAMETERS[size][0], abs=1)
    assert counts[1] == pytest.approx(PARAMETERS[size][1], abs=1)


def test_predictions_follow_from_what_is_given(tmp_path: Path) -> None:
    """Google's configuration computes them before a length that is set further down: 19 of 512."""
    assert config(tmp_path, size="small", max_length=512).masking.max_predictions == 79
    assert config(tmp_path, size="base", mask_fraction=0.25).masking.max_predictions == 130
    assert config(tmp_path, size="small", max_length=5).masking.max_predictions == 1


def test_the_replica_masks_as_google_s_code_did_on_9600_rows(shared: Path, tmp_path: Path) -> None:
    """How many positions, how many twice, and how many of them shown as [MASK]; fast masks each position once."""
    kinds = json.loads((shared / "fixtures/tf1/reference/masking_stats.json").read_text())
    for kind in (kind for kind in kinds if len(kind["lens"]) == 1):
        settings = {"max_length": kind["max_seq_length"], "mask_fraction": kind["mask_prob"]}
        laws = {mode: config(tmp_path, mode=mode, **settings).masking for mode in ("replica", "fast")}
        assert laws["replica"].max_predictions == laws["fast"].max_predictions == kind["N"]
        ids = torch.randint(200, 999, (400, kind["max_seq_length"]), generator=torch.Generator().manual_seed(0))
        ids[:, 0], ids[:, -1] = 101, 102
        batch = Batch.from_rows([Row(row) for row in ids.tolist()])
        uniforms = torch.rand(ids.numel(), 3, generator=torch.Generator().manual_seed(1))
        masked = laws["replica"](batch, uniforms, (101, 102, 103), 103)
        distinct, times = masked.positions.unique(return_counts=True)
        assert len(masked.positions) / 400 == kind["draws"] / kind["rows"]
        assert len(distinct) / 400 == pytest.approx(kind["distinct"] / kind["rows"], rel=0.005)
        again = (times > 1).float().mean().item()
        assert again == pytest.approx(kind["dup_positions_over_distinct"], abs=0.008)
        shown = (masked.input_ids[distinct] == 103).float().mean().item()
        assert shown == pytest.approx(kind["mask_token_share_of_distinct"], abs=0.01)
        once = laws["fast"](batch, uniforms, (101, 102, 103), 103).positions
        assert len(once.unique()) == len(once) == len(masked.positions)


def test_modes(tmp_path: Path) -> None:
    """What they do: tests/objective/test_masking.py, tests/parity/test_google.py; here, who asks for which."""
    tokenizer = read_vocabulary(write_vocab(tmp_path / "vocab.txt"))
    for mode, attention in (("fast", 0.0), ("replica", 0.2)):
        settings = config(tmp_path, size="tiny", mode=mode, dropout=0.2)
        assert settings.masking.with_replacement is (mode == "replica")
        networks = build_networks(settings, tokenizer)
        assert networks.masking == settings.masking
        for network in (networks.generator, networks.discriminator):
            layer = network.electra.encoder.layer[0]
            dropped = (layer.attention.self.dropout, layer.attention.output.dropout, layer.output.dropout)
            assert [dropout.p for dropout in dropped] == [attention, 0.2, 0.2]
            assert network.electra.embeddings.dropout.p == 0.2
            assert network.config.hidden_dropout_prob == network.config.attention_probs_dropout_prob == 0.1
        assert (networks.generator_weight, networks.discriminator_weight, networks.temperature) == (1.0, 50.0, 1.0)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"mode": "exact"}, "mode is 'exact': choose one of fast, replica"),
        ({"objective": "clm"}, "objective is 'clm': choose one of rtd, mlm"),
        ({"size": "small+"}, r"size is 'small\+': choose one of .*\. Did you mean small\+\+\?"),
        ({"mode": "replica", "segments": "packed"}, "segments is 'packed': it must be faithful in mode replica"),
        ({"mode": "replica", "whole_words": True}, "whole_words is True: it must be False in mode replica"),
        ({"objective": "mlm", "untied": True}, "untied is True: it must be False for mlm"),
        ({"objective": "mlm", "generator_fraction": 0.5}, "generator_fraction is 0.5: it must be left out for mlm"),
        ({"objective": "mlm", "init_discriminator": "d"}, "init_discriminator is 'd': it must be left out for mlm"),
        ({"objective": "mlm", "init_generator": "shrink"}, "init_generator is 'shrink': it must be a folder or name"),
        (
            {"init_generator": "shrink"},
            "init_generator is 'shrink': it must be a folder or name, if init_discriminator",
        ),
        ({"init_generator": "shrink", "init_discriminator": "d", "untied": True}, "for an untied generator"),
        ({"init_discriminator": "d", "cased": True}, "the tokenizer is that of d, and cased"),
        ({"init_generator": "g", "vocab_size": 9}, "the tokenizer is that of g, and cased and vocab_size"),
    ],
)
def test_choices_that_do_not_go_together(changes: dict[str, Any], message: str, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=message):
        config(tmp_path, **changes)
