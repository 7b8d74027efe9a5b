"""Runs with other networks, objectives and starts than the usual ones."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from electra import ElectraConfig, ElectraForMaskedLM, ElectraForPreTraining, ElectraForSequenceClassification
from electra.commands.pretrain import PretrainConfig, pretrain
from electra.pretraining.initial_weights import evenly_spaced, start_from_networks
from electra.pretraining.networks import build_networks, continuing_pieces
from electra.pretraining.pretrain_config import with_saved_settings
from electra.pretraining.session import Pretraining
from electra.text.tokenizer import ElectraTokenizer
from electra.text.training.vocabulary import read_vocabulary
from electra.training.run.settings import read_settings
from electra.training.trainer import Trainer
from tests.pretraining.toy import SPECIAL, WORDS, toy

pytestmark = pytest.mark.usefixtures("quick")


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of two steps with its two networks."""
    run = pretrain(toy(tmp_path_factory.mktemp("pair"), steps=2))
    assert run is not None
    return run


def run_of(config: PretrainConfig) -> Path:
    run = pretrain(config)
    assert run is not None
    return run


def weights(run: Path) -> dict[str, torch.Tensor]:
    files = sorted(run.glob("*/model.safetensors"))
    assert files
    return {f"{file.parent.name}.{name}": tensor for file in files for name, tensor in load_file(file).items()}


def records(run: Path, split: str) -> list[dict[str, Any]]:
    lines = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    return [line for line in lines if line["split"] == split]


def write_pieces(path: Path) -> Path:
    """A vocabulary in which every word of the toy language has two pieces."""
    words = [word for kind in WORDS.values() for word in kind]
    pieces = {word[:2] for word in words} | {f"##{word[2:]}" for word in words}
    path.write_text("\n".join([*SPECIAL, ".", *sorted(pieces)]) + "\n")
    return path


@pytest.mark.parametrize(("most", "expected"), [(3, [3]), (4, [4]), (11, [4, 4])])
def test_no_more_is_evaluated_than_was_asked_for(
    most: int, expected: list[int], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    evaluated, losses = [], Pretraining.losses

    def counted(self: Pretraining, example: Any) -> dict[str, torch.Tensor]:
        if not self.networks.training:
            evaluated.append(example[0].layout.rows)
        return losses(self, example)

    monkeypatch.setattr(Pretraining, "losses", counted)
    pretrain(toy(tmp_path, steps=1, evaluate_examples=most, held_out_fraction=0.3))
    assert evaluated == expected


def test_masked_language_modelling(tmp_path: Path) -> None:
    run = run_of(toy(tmp_path, objective="mlm", learning_rate=1e-3, warmup_steps=0))
    model = ElectraForMaskedLM.from_pretrained(run / "model")
    assert model.config.hidden_size == ElectraConfig.preset("tiny").hidden_size
    assert not (run / "discriminator").exists()
    assert not (run / "generator").exists()
    last = records(run, "held_out")[-1]
    assert set(last) == {"step", "split", "loss", "generator_loss", "generator_accuracy", "seconds"}
    losses = [record["generator_loss"] for record in records(run, "train")]
    assert losses[0] > max(losses[2:])
    assert last["loss"] == pytest.approx(last["generator_loss"], rel=1e-3)
    assert "masked language modelling" in (run / "model" / "README.md").read_text()
    assert "ElectraForMaskedLM" in (run / "model" / "README.md").read_text()


def test_an_untied_generator_has_embeddings_as_wide_as_itself(tmp_path: Path) -> None:
    """Google's untied_generator_embeddings (recipe: run_pretraining.py)."""
    run = run_of(toy(tmp_path, untied=True, steps=1))
    generator = ElectraForMaskedLM.from_pretrained(run / "generator")
    discriminator = ElectraForPreTraining.from_pretrained(run / "discriminator")
    assert generator.config.embedding_size == generator.config.hidden_size == 32
    assert not hasattr(generator.electra, "embeddings_project")
    assert discriminator.config.embedding_size == 64
    saved = load_file(run / "checkpoints" / "step-1" / "networks.safetensors")
    assert sum("word_embeddings" in name for name in saved) == 2


def test_whole_words_are_pieces_with_what_goes_before(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    vocab = write_pieces(tmp_path / "pieces.txt")
    continues = continuing_pieces(read_vocabulary(vocab))
    assert continues.sum() == sum(piece.startswith("##") for piece in vocab.read_text().split())
    seen, losses = [], Pretraining.losses

    def watched(self: Pretraining, example: Any, whole: Any = None) -> Any:
        seen.append(example)
        return losses(self, example, whole)

    monkeypatch.setattr(Pretraining, "losses", watched)
    run_of(toy(tmp_path, vocab=vocab, whole_words=True, mask_fraction=0.3, steps=2))
    for batch, masked in seen:
        chosen = set(masked.positions.tolist())
        inside = [place for place in range(len(batch.input_ids)) if continues[batch.input_ids[place]]]
        assert len(chosen) > 10
        assert all((place in chosen) == (place - 1 in chosen) for place in inside), "a word was cut"


def test_whole_words_without_pieces_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="no piece of this vocabulary begins with ##"):
        pretrain(toy(tmp_path, whole_words=True))


OPTIONS: dict[str, dict[str, Any]] = {
    "replica": {"mode": "replica"},
    "mlm": {"objective": "mlm"},
    "untied whole words": {"untied": True, "whole_words": True},
    "from a pair": {"init_discriminator": "discriminator", "init_generator": "generator", "vocab": None},
    "shrunk": {"init_discriminator": "discriminator", "init_generator": "shrink", "vocab": None},
}


@pytest.mark.parametrize("name", OPTIONS)
def test_a_run_that_broke_off_goes_on_to_the_same_bits(
    name: str, pair: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    changes = dict(OPTIONS[name])
    for network in ("init_discriminator", "init_generator"):
        if changes.get(network, "shrink") != "shrink":
            copied = tmp_path / changes[network]
            copied.mkdir()
            for file in (pair / changes[network]).iterdir():
                (copied / file.name).write_bytes(file.read_bytes())
            changes[network] = str(copied)
    if changes.get("whole_words"):
        changes["vocab"] = write_pieces(tmp_path / "pieces.txt")
    settings = {"steps": 6, "save_every": 2, "report_every": 3, "evaluate_every": 6} | changes
    config = toy(tmp_path, **settings)
    whole = run_of(replace(config, output=tmp_path / "whole"))

    log = Pretraining.log

    def broken(self: Pretraining, step: int, values: Any) -> None:
        if step == 3:
            raise RuntimeError("power cut")
        log(self, step, values)

    monkeypatch.setattr(Pretraining, "log", broken)
    with pytest.raises(RuntimeError, match="power cut"):
        pretrain(config)
    monkeypatch.setattr(Pretraining, "log", log)
    for file in (file for folder in ("discriminator", "generator") for file in tmp_path.glob(f"{folder}/*")):
        file.unlink()  # going on needs nothing but the run
    found, expected = weights(run_of(config)), weights(whole)
    assert found.keys() == expected.keys()
    assert [name for name in found if not torch.equal(found[name], expected[name])] == []


# -- starting from given networks ----------------------------------------------------------------------------------


def started(config: PretrainConfig, tokenizer: ElectraTokenizer) -> Any:
    networks = build_networks(config, tokenizer)
    start_from_networks(networks, config)
    return networks


def test_given_networks_are_taken_over_whole(pair: Path, tmp_path: Path) -> None:
    tokenizer = ElectraTokenizer.from_pretrained(pair / "generator")
    config = toy(
        tmp_path, init_discriminator=str(pair / "discriminator"), init_generator=str(pair / "generator"), seed=5
    )
    networks = started(config, tokenizer)
    for name in ("discriminator", "generator"):
        given = load_file(pair / name / "model.safetensors")
        own = getattr(networks, name).state_dict()
        assert all(torch.equal(own[key], tensor) for key, tensor in given.items())
    embeddings = networks.generator.electra.embeddings.word_embeddings.weight
    assert embeddings is networks.discriminator.electra.embeddings.word_embeddings.weight
    assert embeddings is networks.generator.generator_lm_head.weight


def test_one_given_network_leaves_the_other_as_it_was_drawn(pair: Path, tmp_path: Path) -> None:
    tokenizer = ElectraTokenizer.from_pretrained(pair / "generator")
    query = "electra.encoder.layer.0.attention.self.query.weight"
    fresh = build_networks(toy(tmp_path), tokenizer)
    from_discriminator = started(toy(tmp_path, init_discriminator=str(pair / "discriminator")), tokenizer)
    from_generator = started(toy(tmp_path, init_generator=str(pair / "generator")), tokenizer)
    assert torch.equal(from_discriminator.generator.get_parameter(query), fresh.generator.get_parameter(query))
    assert torch.equal(from_generator.discriminator.get_parameter(query), fresh.discriminator.get_parameter(query))
    given = load_file(pair / "generator" / "model.safetensors")
    name = "electra.embeddings.word_embeddings.weight"
    assert torch.equal(from_generator.discriminator.get_parameter(name), given[name])


def test_a_head_that_is_not_given_is_drawn_by_the_seed(pair: Path, tmp_path: Path) -> None:
    tokenizer = ElectraTokenizer.from_pretrained(pair / "discriminator")
    classifier = ElectraForSequenceClassification.from_pretrained(pair / "discriminator", num_labels=3)
    classifier.save_pretrained(tmp_path / "classifier")
    config = toy(tmp_path, init_discriminator=str(tmp_path / "classifier"), seed=3)
    fresh, networks = build_networks(config, tokenizer), started(config, tokenizer)
    name = "discriminator_predictions.dense.weight"
    assert torch.equal(networks.discriminator.get_parameter(name), fresh.discriminator.get_parameter(name))


def test_a_masked_language_model_goes_on_from_one(tmp_path: Path) -> None:
    first = run_of(toy(tmp_path / "first", objective="mlm", steps=1))
    config = toy(tmp_path / "second", objective="mlm", steps=1, vocab=None, init_generator=str(first / "model"))
    networks = started(config, ElectraTokenizer.from_pretrained(first / "model"))
    given = load_file(first / "model" / "model.safetensors")
    assert all(torch.equal(networks.generator.state_dict()[key], tensor) for key, tensor in given.items())


def test_a_shrunk_generator_has_evenly_spaced_units(pair: Path, tmp_path: Path) -> None:
    assert evenly_spaced(torch.arange(12).view(3, 4), torch.Size((2, 2))).tolist() == [[0, 2], [4, 6]]
    tokenizer = ElectraTokenizer.from_pretrained(pair / "discriminator")
    config = toy(tmp_path, init_discriminator=str(pair / "discriminator"), init_generator="shrink")
    networks = started(config, tokenizer)
    for layer in ("encoder.layer.3.attention.output.LayerNorm", "encoder.layer.0.intermediate.dense"):
        large = networks.discriminator.electra.get_submodule(layer)
        small = networks.generator.electra.get_submodule(layer)
        assert torch.equal(small.bias, large.bias[::4])
    dense = "encoder.layer.0.intermediate.dense.weight"
    expected = networks.discriminator.electra.get_parameter(dense)[::4, ::4]
    assert torch.equal(networks.generator.electra.get_parameter(dense), expected)
    assert torch.equal(
        networks.generator.electra.embeddings_project.weight,
        networks.discriminator.electra.embeddings_project.weight[::4],
    )


def test_a_shrunk_generator_of_a_network_without_a_projection_picks_units_of_the_embeddings() -> None:
    from electra.pretraining.initial_weights import shrink

    shape = ElectraConfig(
        vocab_size=9, embedding_size=12, hidden_size=12, num_hidden_layers=1, num_attention_heads=2, intermediate_size=8
    )
    discriminator, generator = ElectraForPreTraining(shape), ElectraForMaskedLM(shape.generator(1 / 3))
    with torch.no_grad():
        generator.electra.embeddings_project.bias.fill_(1.0)
        shrink(discriminator, generator)
    vectors = torch.randn(5, 12)
    assert torch.equal(generator.electra.embeddings_project(vectors), vectors[:, ::3])


def test_networks_that_do_not_fit_are_refused(pair: Path, tmp_path: Path) -> None:
    tokenizer = ElectraTokenizer.from_pretrained(pair / "discriminator")
    discriminator, generator = str(pair / "discriminator"), str(pair / "generator")
    for changes, message in (
        ({"size": "small", "init_discriminator": discriminator}, "hidden_size 128, here 256.*give size tiny"),
        ({"size": "small", "init_generator": generator}, "hidden_size 32, here 64.*give size tiny"),
        (
            {"generator_fraction": 0.5, "init_generator": generator},
            "hidden_size 32, here 64.*of the shape of size tiny",
        ),
        ({"untied": True, "init_generator": generator}, "embedding_size 64, here 32"),
    ):
        with pytest.raises(ValueError, match=message):
            started(toy(tmp_path, **changes), tokenizer)
    with pytest.raises(OSError, match="nowhere"):
        started(toy(tmp_path, init_discriminator=str(tmp_path / "nowhere")), tokenizer)
    larger = ElectraTokenizer([*tokenizer.convert_ids_to_tokens(list(range(len(tokenizer)))), "new"])
    with pytest.raises(ValueError, match=r"vocab_size .*give its own vocabulary as vocab, or leave vocab out"):
        started(toy(tmp_path, init_discriminator=discriminator), larger)


def test_two_networks_of_different_runs_are_refused(pair: Path, tmp_path: Path) -> None:
    other = ElectraForMaskedLM.from_pretrained(pair / "generator")
    with torch.no_grad():
        other.electra.embeddings.word_embeddings.weight += 0.1
    other.save_pretrained(tmp_path / "other")
    tokenizer = ElectraTokenizer.from_pretrained(pair / "generator")
    given = {"init_discriminator": str(pair / "discriminator"), "init_generator": str(tmp_path / "other")}
    with pytest.raises(ValueError, match="have different word embeddings"):
        started(toy(tmp_path, **given), tokenizer)


def test_a_discriminator_in_the_generator_s_place_is_refused(pair: Path, tmp_path: Path) -> None:
    tokenizer = ElectraTokenizer.from_pretrained(pair / "generator")
    with pytest.raises(ValueError, match="does not fit"):
        started(toy(tmp_path, init_generator=str(pair / "discriminator")), tokenizer)


def test_a_run_resumes_from_its_folder_alone(tmp_path: Path) -> None:
    steps: list[int] = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Trainer, "highest", lambda self, number: steps.append(1) or 75 * (len(steps) == 5))
        with pytest.raises(SystemExit):
            pretrain(toy(tmp_path / "a", dropout=0.2))
    pretrain(output=tmp_path / "a" / "run")
    pretrain(toy(tmp_path / "b", dropout=0.2))
    one, other = ((tmp_path / name / "run" / "discriminator" / "model.safetensors").read_bytes() for name in "ab")
    assert one == other
    with pytest.raises(ValueError, match=r"holds a run with other settings: dropout: 0.2 before, 0.3 now"):
        pretrain(output=tmp_path / "a" / "run", dropout=0.3)


def test_a_finished_run_takes_more_steps(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pretrain(toy(tmp_path, steps=6, quiet=False))
    pretrain(output=tmp_path / "run", steps=8)
    assert "more steps than before: the learning rate now falls to 0 at step 8" in capsys.readouterr().err
    assert (tmp_path / "run" / "checkpoints" / "step-8").is_dir()
    pretrain(output=tmp_path / "run")  # nothing is left, and the new number is the run's
    with pytest.raises(ValueError, match="steps: 8 before, 7 now"):
        pretrain(output=tmp_path / "run", steps=7)


def test_settings_from_a_file(tmp_path: Path) -> None:
    pretrain(toy(tmp_path, steps=2))
    pretrain(config=tmp_path / "run" / "config.toml", output=tmp_path / "second", steps=3)
    before, now = (read_settings(tmp_path / name / "config.toml") for name in ("run", "second"))
    assert now == {**before, "steps": 3}
    (tmp_path / "old.toml").write_text('length = 24\nfiles = ["text.txt"]\n')
    assert with_saved_settings(PretrainConfig(config=tmp_path / "old.toml", output=tmp_path)).max_length == 24
    (tmp_path / "wrong.toml").write_text("step = 24\n")
    with pytest.raises(ValueError, match=r"wrong.toml has a setting 'step': .*Did you mean steps\?"):
        pretrain(config=tmp_path / "wrong.toml", output=tmp_path / "third")


def test_without_files_the_output_is_a_run(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"files is 'empty': .*without files, output must be a run to resume"):
        pretrain(output=tmp_path / "nowhere")
