"""The engine: every head, every layout, and whatever sends a call to torch."""

from __future__ import annotations

import os
import random
import threading
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn

import electra
from electra.batch import Batch
from electra.inference.checks import available_precisions
from electra.inference.engine import Engine
from tests.inference.kernels.toy import BOUNDS, batch, config, model, rows

HEADS = [
    "ElectraModel",
    "ElectraForSequenceClassification",
    "ElectraForTokenClassification",
    "ElectraForQuestionAnswering",
    "ElectraForJointQuestionAnswering",
    "ElectraForMultipleChoice",
    "ElectraForPreTraining",
    "ElectraForMaskedLM",
]
LENGTHS = [70, 33, 32, 31, 17, 16, 15, 3, 2, 1]


@pytest.fixture(params=["float32", "bfloat16", "int8"])
def precision(request: pytest.FixtureRequest) -> str:
    if request.param not in available_precisions():
        pytest.skip(f"no kernels for {request.param} here")
    return str(request.param)


def tensors(output: Any) -> list[Tensor]:
    return [value for value in output.values() if isinstance(value, Tensor) and value.is_floating_point()]


@pytest.mark.parametrize("kind", HEADS)
def test_every_head(kind: str, precision: str) -> None:
    network = model(kind)
    engine = Engine(network, precision=precision)
    given, further = batch(LENGTHS), {"num_choices": 2} if "Choice" in kind else {}
    expected, found = network(given, **further), engine(given, **further)
    assert type(found) is type(expected)
    assert found.keys() == expected.keys()
    for a, b in zip(tensors(found), tensors(expected), strict=True):
        if "top" not in "".join(expected.keys()):  # which spans are the best may change
            assert (a - b).abs().max() < BOUNDS[precision] * max(1.0, float(b.abs().max()))
    assert engine.why_torch is None
    assert network(given, **further).to_tuple()[0].equal(expected.to_tuple()[0])


@pytest.mark.parametrize("kind", [k for k in HEADS if k != "ElectraForJointQuestionAnswering"])
@pytest.mark.parametrize("threads", [1, 2, 3])
def test_a_sequence_has_the_same_bits_alone_and_in_a_batch(kind: str, precision: str, threads: int) -> None:
    network, draw = model(kind), random.Random(threads)
    alone = Engine(network, precision=precision, num_threads=1)
    together = Engine(network, precision=precision, num_threads=threads)
    further: dict[str, Any] = {"num_choices": 1} if "Choice" in kind else {}
    for turn in range(3):
        lengths = [draw.choice([1, 2, 5, 16, 33, draw.randrange(1, 300)]) for _ in range(draw.randrange(1, 12))]
        of_each = rows(lengths, turn)
        found = together(Batch.from_rows(of_each), **further)
        one_by_one = [alone(Batch.from_rows([row]), **further) for row in of_each]
        for i, result in enumerate(tensors(found)):
            assert torch.equal(result, torch.cat([tensors(single)[i] for single in one_by_one]))


@pytest.mark.parametrize("values", [
    {"hidden_size": 64, "num_attention_heads": 2},
    {"hidden_size": 64, "num_attention_heads": 1},
    {"hidden_size": 256, "num_attention_heads": 4, "embedding_size": 256, "intermediate_size": 1024},
    {"embedding_size": 128},
    {"vocab_size": 30522, "num_hidden_layers": 1},
    {"num_hidden_layers": 5, "type_vocab_size": 3},
])  # fmt: skip
def test_sizes(values: dict[str, Any], precision: str) -> None:
    network = model(**values)
    given = batch([40, 20, 3])
    found = Engine(network, precision=precision)(given).last_hidden_state
    assert (found - network(given).last_hidden_state).abs().max() < BOUNDS[precision]


@pytest.mark.parametrize("values", [
    {"num_attention_heads": 8},
    {"hidden_size": 96, "num_attention_heads": 3},
    {"intermediate_size": 100},
    {"hidden_act": "relu"},
])  # fmt: skip
def test_sizes_that_no_kernel_takes(values: dict[str, Any]) -> None:
    network, given = model(**values), batch([40, 20, 3])
    engine = Engine(network)
    assert engine.why_torch
    assert engine.kernels is None
    assert "torch" in engine.describe()
    assert torch.equal(engine(given).last_hidden_state, network(given).last_hidden_state)
    with pytest.raises(ValueError, match=r"int8.*Possible here: float32$"):
        Engine(network, precision="int8")
    assert Engine(network, precision="auto").precision == "float32"


def test_layouts(precision: str) -> None:
    network, draw = model(), random.Random(1)
    engines = [Engine(network, precision=precision, num_threads=n) for n in (1, 2, 5)]
    for turn in range(12):
        lengths = [draw.choice([1, 2, 31, 32, 33, 64, draw.randrange(1, 600)]) for _ in range(draw.randrange(1, 9))]
        given = batch(lengths, turn)
        expected = network(given).last_hidden_state
        found = [engine.encode(given) for engine in engines]
        assert found[0] is not None
        assert (found[0] - expected).abs().max() < BOUNDS[precision] * 1.5
        for other in found[1:]:
            assert other is not None
            assert torch.equal(other, found[0])
        some = torch.tensor(sorted(draw.sample(range(sum(lengths)), draw.randrange(sum(lengths)) + 1)))
        for engine in engines:
            assert torch.equal(engine.encode(given, selected=some), found[0][some])  # type: ignore[arg-type]
            assert torch.equal(engine.encode(given, first=True), found[0][given.layout.first_tokens()])  # type: ignore[arg-type]


def touched(change: Callable[[Any], object]) -> Callable[[Any], None]:
    """What changes a model outside of inference mode, as users do."""

    def apply(network: Any) -> None:
        with torch.inference_mode(False), torch.no_grad():
            change(network)

    return apply


CHANGES = {
    "in place": lambda m: m.encoder.layer[0].intermediate.dense.weight.mul_(0.5),
    "a table": lambda m: m.embeddings.word_embeddings.weight.mul_(0.5),
    "LayerNorm": lambda m: m.encoder.layer[1].output.LayerNorm.bias.add_(1),
    "data": lambda m: m.encoder.layer[0].intermediate.dense.weight.data.mul_(0.5),
    "another tensor": lambda m: setattr(m.encoder.layer[0].output.dense.weight, "data", torch.randn(128, 192)),
    "another parameter": lambda m: setattr(m.encoder.layer[0].output.dense, "bias", nn.Parameter(torch.randn(128))),
    "another module": lambda m: setattr(m.encoder.layer[0].output, "dense", nn.Linear(192, 128)),
    "a state dict": lambda m: m.load_state_dict(model(seed=1).state_dict()),
    "fewer layers": lambda m: m.encoder.layer.__delitem__(1),
}


@pytest.mark.parametrize("change", CHANGES)
def test_weights_that_change_are_packed_anew(change: str, precision: str) -> None:
    network, given = model(), batch(LENGTHS)
    engine = Engine(network, precision=precision)
    before = engine(given).last_hidden_state
    touched(CHANGES[change])(network)
    after = engine(given).last_hidden_state
    assert not torch.equal(before, after)
    assert (after - network(given).last_hidden_state).abs().max() < BOUNDS[precision] * 2
    assert engine.why_torch is None


def test_a_vocabulary_that_grows(precision: str) -> None:
    network: Any = model()
    engine = Engine(network, precision=precision)
    with pytest.raises(ValueError, match="input_ids"):
        engine(batch(LENGTHS, vocabulary=128))
    touched(lambda m: m.resize_token_embeddings(128))(network)
    found, expected = (m(batch(LENGTHS, vocabulary=128)).last_hidden_state for m in (engine, network))
    assert (found - expected).abs().max() < BOUNDS[precision]


def test_a_head_that_changes(precision: str) -> None:
    network, given = model("ElectraForSequenceClassification"), batch(LENGTHS)
    engine = Engine(network, precision=precision)
    engine(given)
    touched(lambda m: m.classifier.out_proj.weight.mul_(2))(network)
    assert (engine(given).logits - network(given).logits).abs().max() < BOUNDS[precision] * 3
    with torch.inference_mode(False):
        network.classifier = model("ElectraForSequenceClassification", seed=3).classifier  # type: ignore[assignment]
        network.electra = model(seed=4)  # type: ignore[assignment]
    assert (engine(given).logits - network(given).logits).abs().max() < BOUNDS[precision] * 3


class Doubled(nn.Linear):
    def forward(self, x: Tensor) -> Tensor:
        return 2 * super().forward(x)


def _patch(network: Any) -> None:
    dense = network.electra.encoder.layer[0].output.dense
    dense.forward = lambda x: 2 * nn.functional.linear(x, dense.weight, dense.bias)


def _replace(network: Any) -> None:
    other = Doubled(192, 128)
    other.load_state_dict(network.electra.encoder.layer[0].output.dense.state_dict())
    network.electra.encoder.layer[0].output.dense = other.eval()


INTRUSIONS: dict[str, Callable[[Any], Any]] = {
    "a hook": lambda m: m.electra.encoder.layer[0].register_forward_hook(lambda module, given, result: 2 * result),
    "a hook before": lambda m: m.electra.embeddings.LayerNorm.register_forward_pre_hook(lambda _, x: (x[0] ** 2,)),
    "a hook of the head": lambda m: m.classifier.dense.register_forward_hook(lambda _, __, result: 2 * result),
    "another class": _replace,
    "a patched forward": _patch,
    "a module that is no layer of ours": lambda m: setattr(m.electra.embeddings, "LayerNorm", nn.Identity()),
}  # fmt: skip


@pytest.mark.parametrize("what", INTRUSIONS)
@pytest.mark.parametrize("late", [False, True])
def test_what_kernels_cannot_do_is_torchs(what: str, late: bool) -> None:
    network, given = model("ElectraForSequenceClassification"), batch(LENGTHS)
    engine = Engine(network)
    plain = engine(given).logits if late else None
    with torch.inference_mode(False):
        INTRUSIONS[what](network)
    found = engine(given).logits
    assert (found - network(given).logits).abs().max() < 1e-5
    assert plain is None or (found - plain).abs().max() > 1e-3


def test_hidden_states_attentions_and_padded_inputs() -> None:
    network = model()
    engine, given = Engine(network), batch(LENGTHS)
    expected = network(given, output_hidden_states=True)
    found = engine(given, output_hidden_states=True)
    assert len(found.hidden_states) == 3
    assert torch.equal(found.hidden_states[1], expected.hidden_states[1])
    ids, mask = given.padded()
    padded, expected = (m(ids, attention_mask=mask, output_attentions=True) for m in (engine, network))
    assert torch.equal(padded.last_hidden_state, expected.last_hidden_state)
    assert len(padded.attentions) == 2
    embeds = torch.randn(2, 7, 64)
    assert torch.equal(engine(inputs_embeds=embeds)[0], network(inputs_embeds=embeds)[0])


def test_training_and_gradients() -> None:
    network, given = model("ElectraForSequenceClassification"), batch([5, 4])
    engine = Engine(network)
    engine(given)
    network.train()
    torch.manual_seed(0)
    first = engine(given).logits
    torch.manual_seed(0)
    assert torch.equal(first, network(given).logits)  # with dropout
    network.eval()
    with torch.inference_mode(False), torch.enable_grad():
        given = batch([5, 4])
        engine(given).logits.sum().backward()
    gradient = network.electra.encoder.layer[0].output.dense.weight.grad  # type: ignore[union-attr]
    assert gradient is not None
    assert gradient.abs().sum() > 0


def test_autocast_and_other_number_types(precision: str) -> None:
    network, given = model("ElectraForSequenceClassification"), batch(LENGTHS)
    expected = network(given).logits
    with torch.autocast("cpu", torch.bfloat16):
        assert torch.equal(Engine(network, precision=precision)(given).logits, network(given).logits)
    network = network.to(torch.bfloat16)
    found = Engine(network, precision=precision)(given).logits
    assert found.dtype == torch.bfloat16
    assert (found - expected).abs().max() < BOUNDS[precision] * 3 + 0.05


def test_decoders() -> None:
    network = model("ElectraForCausalLM", is_decoder=True)
    engine = Engine(network)
    assert engine.why_torch == "it is a decoder"
    given = batch([5, 4])
    assert torch.equal(engine(given).logits, network(given).logits)


@pytest.mark.parametrize("name", ["word_embeddings", "position_embeddings", "layer"])
@pytest.mark.parametrize("what", [float("nan"), float("inf")])
def test_weights_that_are_no_numbers(name: str, what: float, precision: str) -> None:
    network: Any = model()
    with torch.inference_mode(False), torch.no_grad():
        if name == "layer":
            network.encoder.layer[0].intermediate.dense.weight[3, 4] = what
        else:
            getattr(network.embeddings, name).weight[2] = what
    ids = torch.tensor([5, 6, 7, 8, 2, 9])
    given = Batch.from_rows([electra.batch.Row([5, 6]), electra.batch.Row([7, 2, 9])])
    if name == "position_embeddings":
        given = Batch.from_rows([electra.batch.Row([5, 6]), electra.batch.Row([7, 3, 9])])
    found = Engine(network, precision=precision)(given).last_hidden_state
    expected = network(given).last_hidden_state
    assert ids is not None
    assert torch.equal(found.isnan(), expected.isnan())
    assert found.isnan().any()


@pytest.mark.parametrize(("field", "value"), [
    ("input_ids", 97), ("input_ids", -1), ("token_type_ids", 2), ("token_type_ids", -5), ("position_ids", 600),
    ("position_ids", 1 << 40),
])  # fmt: skip
def test_wrong_ids_are_refused(field: str, value: int) -> None:
    network, given = model(), batch([5, 4])
    getattr(given, field)[6] = value
    with pytest.raises(ValueError, match=field):
        Engine(network)(given)
    with pytest.raises(ValueError, match=f"{field}: token 6"):  # as the kernels say it, where nobody else checked
        Engine(network).encode(given)


def test_wrong_layouts_are_refused() -> None:
    network, engine = model(), Engine(model())
    for boundaries in ([0, 5, 5, 9], [0, 5, 4, 9], [1, 5, 9], [0, 5, 8], [0, 5, 20], [0, 20, 9]):
        given = batch([5, 4])
        given.layout.cumulative_lengths.resize_(0)  # type: ignore[union-attr]
        given.layout.cumulative_lengths.set_(torch.tensor(boundaries))  # type: ignore[union-attr,call-overload]
        with pytest.raises(ValueError, match="sequence"):
            engine.encode(given)
    for wrong in ([1, 9], [-1, 3], [6, 2, 8]):
        with pytest.raises(ValueError, match="selected tokens"):
            engine.encode(batch([5, 4]), selected=torch.tensor(wrong))
    assert engine(batch([5, 4])).last_hidden_state.shape == network(batch([5, 4])).last_hidden_state.shape


def test_int8_layers_that_would_lose_too_much_are_named() -> None:
    network: Any = model("ElectraForSequenceClassification")
    assert Engine(network, precision="int8").higher_precision_layers == ()
    with torch.inference_mode(False), torch.no_grad():
        network.electra.encoder.layer[1].intermediate.dense.weight[5, 7] = 100.0
        network.electra.encoder.layer[0].attention.self.key.weight[0, 0] = 50.0
    engine, given = Engine(network, precision="int8"), batch(LENGTHS)
    assert engine.higher_precision_layers == ("encoder.layer.0.attention.self", "encoder.layer.1.intermediate.dense")
    assert "2 layers in a higher precision" in engine.describe()
    assert (engine(given).logits - network(given).logits).abs().max() < 0.5


@pytest.mark.parametrize("asked", ["float16", "int4", "", None, 8])
def test_unknown_precisions(asked: Any) -> None:
    with pytest.raises(ValueError, match="choose one of float32, bfloat16, int8, auto"):
        Engine(model(), precision=asked)


def test_a_precision_that_the_processor_lacks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ELECTRA_KERNELS", "avx2")
    if available_precisions() != ["float32", "int8"]:
        pytest.skip("this processor has no AVX2")
    with pytest.raises(ValueError, match=r"no kernels for bfloat16.*there are some for float32, int8"):
        Engine(model(), precision="bfloat16")


@pytest.mark.parametrize("threads", [0, -1, True, "2", 1.5])
def test_wrong_numbers_of_threads(threads: Any) -> None:
    with pytest.raises(ValueError, match="num_threads"):
        Engine(model(), num_threads=threads)


def test_automatic_precision(monkeypatch: pytest.MonkeyPatch) -> None:
    network = model("ElectraForSequenceClassification")
    engine = Engine(network, precision="auto")
    assert engine.precision in available_precisions()
    assert engine.differences
    monkeypatch.setattr("electra.inference.engine.AUTO_BOUND", 1e-9)
    strict = Engine(network, precision="auto")
    assert strict.precision == "float32"
    assert list(strict.differences) == [p for p in ("int8", "bfloat16") if p in available_precisions()]


def test_several_threads_use_one_engine(precision: str) -> None:
    network = model("ElectraForSequenceClassification")
    engine = Engine(network, precision=precision, num_threads=2)
    batches = [batch([40, 30, 20, 7, 1], seed) for seed in range(6)]
    expected = [engine(given).logits for given in batches]
    wrong: list[int] = []

    def work(offset: int) -> None:
        with torch.inference_mode():
            for turn in range(12):
                i = (turn + offset) % len(batches)
                if not torch.equal(engine(batches[i]).logits, expected[i]):
                    wrong.append(i)

    threads = [threading.Thread(target=work, args=(n,)) for n in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_a_forked_process_goes_on_computing(precision: str) -> None:
    network = model("ElectraForSequenceClassification")
    engine = Engine(network, precision=precision, num_threads=2)
    given = batch([40, 30, 20, 7, 1])
    expected = engine(given).logits
    child = os.fork()
    if child == 0:
        code = 1
        try:
            code = 0 if torch.equal(engine(given).logits, expected) else 2
        finally:
            os._exit(code)
    deadline = threading.Timer(60, os.kill, (child, 9))
    deadline.start()
    _, status = os.waitpid(child, 0)
    deadline.cancel()
    assert os.waitstatus_to_exitcode(status) == 0
    assert torch.equal(engine(given).logits, expected)


def test_the_model_stays_as_it_was() -> None:
    network = model("ElectraForSequenceClassification")
    before = {name: (id(value), value._version) for name, value in network.named_parameters()}
    modules = [id(module) for module in network.modules()]
    engine = Engine(network)
    engine(batch(LENGTHS))
    assert {name: (id(value), value._version) for name, value in network.named_parameters()} == before
    assert [id(module) for module in network.modules()] == modules
    assert config().hidden_size == 128
