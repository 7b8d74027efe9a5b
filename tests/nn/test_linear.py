"""Products by the other library: the same values, gradients and gradients of gradients, and only where they are due."""

from __future__ import annotations

import warnings
from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn
from torch.autograd import forward_ad

from electra import Batch, ElectraConfig, ElectraForSequenceClassification, ElectraForTokenClassification, Row
from electra.nn.activations import activation
from electra.nn.kernels import cpu_kernels
from electra.nn.kernels.cpu_kernels import padding_tokens, project

if not torch.backends.mkldnn.is_available():
    pytest.skip("this torch has no oneDNN", allow_module_level=True)

ROWS = 300


@pytest.fixture(autouse=True)
def products(monkeypatch: pytest.MonkeyPatch) -> list[tuple[int, ...]]:
    """On every processor the products are oneDNN's; the shapes of those that were."""
    made: list[tuple[int, ...]] = []
    product = cpu_kernels.onednn_product

    def noted(rows: Tensor, weight: Tensor, bias: Tensor | None = None, *, gelu: bool = False) -> Tensor:
        made.append((*rows.shape, weight.shape[0]))
        return product(rows, weight, bias, gelu=gelu)

    monkeypatch.setattr(cpu_kernels, "onednn_is_faster", lambda: True)
    monkeypatch.setattr(cpu_kernels, "onednn_product", noted)
    return made


def drawn(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def layer(inputs: int, outputs: int, bias: bool = True) -> nn.Linear:
    made = nn.Linear(inputs, outputs, bias=bias)
    nn.init.normal_(made.weight, generator=torch.Generator().manual_seed(1))
    return made


def assert_near(found: Tensor, expected: Tensor) -> None:
    assert found.shape == expected.shape
    assert (found - expected).abs().max() <= 1e-6 * expected.abs().max()


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize(("inputs", "outputs"), [(16, 48), (48, 16), (32, 32)])
def test_values_and_gradients(inputs: int, outputs: int, bias: bool, products: list[tuple[int, ...]]) -> None:
    dense, hidden, weigh = layer(inputs, outputs, bias), drawn(ROWS, inputs).requires_grad_(), drawn(ROWS, outputs)
    asked = [hidden, *dense.parameters()]
    found, expected = project(dense, hidden), dense(hidden)
    assert products == [(ROWS, inputs, outputs)]
    assert_near(found, expected)
    ours, theirs = (torch.autograd.grad((x * weigh).sum(), asked) for x in (found, expected))
    assert len(products) == 3
    for mine, other in zip(ours, theirs, strict=True):
        assert_near(mine, other)


@pytest.mark.parametrize("name", ["gelu", "gelu_new", "relu", "prelu"])
def test_an_activation(name: str, products: list[tuple[int, ...]]) -> None:
    """With a gradient and without one, of which GELU is the library's own."""
    dense, hidden, function = layer(16, 24), drawn(ROWS, 16), activation(name)
    expected = function(dense(hidden))
    assert_near(project(dense, hidden, function), expected)
    with torch.no_grad():
        assert_near(project(dense, hidden, function), expected)
    assert len(products) == 2
    assert_near(project(dense, hidden[:9], function), expected[:9])


def test_what_is_frozen_has_no_gradient(products: list[tuple[int, ...]]) -> None:
    """And costs no product."""
    dense, hidden = layer(16, 24), drawn(ROWS, 16)
    project(dense, hidden).sum().backward()
    assert dense.weight.grad is not None
    assert len(products) == 2
    dense.zero_grad()
    dense.requires_grad_(False)
    hidden.requires_grad_()
    project(dense, hidden).sum().backward()
    assert hidden.grad is not None
    assert len(products) == 4
    dense.bias.requires_grad_()
    project(dense, hidden.detach()).sum().backward()
    assert torch.equal(dense.bias.grad, torch.full((24,), float(ROWS)))
    dense.requires_grad_(False)
    assert not project(dense, hidden.detach()).requires_grad


@pytest.mark.parametrize(("learnt", "expected"), [("weight", ["hidden"]), ("hidden", ["weight"]), ("bias", [])])
def test_no_more_is_kept_than_the_gradients_need(learnt: str, expected: list[str]) -> None:
    given = {"hidden": drawn(ROWS, 16), "weight": (dense := layer(16, 24)).weight, "bias": dense.bias}
    for name, values in given.items():
        values.requires_grad_(name == learnt)
    names = {values.data_ptr(): name for name, values in given.items()}
    kept: list[str] = []
    with torch.autograd.graph.saved_tensors_hooks(lambda saved: kept.append(names[saved.data_ptr()]), lambda _: None):
        project(dense, given["hidden"])
    assert kept == expected


def test_parameters_in_any_order_of_memory() -> None:
    dense, hidden = layer(16, 24), drawn(ROWS, 16)
    dense.weight = nn.Parameter(drawn(16, 24).t())
    dense.bias = nn.Parameter(drawn(48)[::2])
    assert_near(project(dense, hidden), dense(hidden))


def test_a_gradient_of_a_gradient() -> None:
    dense, hidden = layer(16, 24), drawn(ROWS, 16).requires_grad_()

    def second(call: Callable[[Tensor], Tensor]) -> tuple[Tensor, ...]:
        (first,) = torch.autograd.grad(call(hidden).pow(3).sum(), [hidden], create_graph=True)
        return torch.autograd.grad(first.pow(2).sum(), [hidden, dense.weight])

    for mine, other in zip(second(lambda x: project(dense, x)), second(dense), strict=True):
        assert_near(mine, other)


class Doubled(nn.Linear):
    def forward(self, hidden: Tensor) -> Tensor:
        return 2 * super().forward(hidden)


def hooked() -> nn.Linear:
    made = layer(16, 24)
    made.register_forward_hook(lambda module, given, output: 2 * output)
    return made


def doubled() -> nn.Linear:
    made = Doubled(16, 24)
    made.load_state_dict(layer(16, 24).state_dict())
    return made


def patched() -> nn.Linear:
    made = layer(16, 24)
    plainly = made.forward
    made.forward = lambda hidden: 2 * plainly(hidden)  # type: ignore[method-assign]
    return made


@pytest.mark.parametrize("dense", [hooked(), doubled(), patched()], ids=["hook", "class", "patch"])
def test_a_layer_of_someone_s_own_is_called(dense: nn.Linear, products: list[tuple[int, ...]]) -> None:
    assert torch.equal(project(dense, drawn(ROWS, 16)), 2 * layer_of(dense)(drawn(ROWS, 16)))
    assert products == []


def test_a_hook_on_all_modules_is_called(products: list[tuple[int, ...]]) -> None:
    seen: list[nn.Module] = []
    dense = layer(16, 24)
    hook = nn.modules.module.register_module_forward_pre_hook(lambda module, given: seen.append(module))
    try:
        project(dense, drawn(ROWS, 16))
    finally:
        hook.remove()
    assert seen == [dense]
    assert products == []


def layer_of(dense: nn.Linear) -> nn.Linear:
    made = nn.Linear(16, 24)
    made.load_state_dict(dense.state_dict())
    return made


def test_torch_s_other_ways_see_torch_s_operations(
    products: list[tuple[int, ...]], monkeypatch: pytest.MonkeyPatch
) -> None:
    dense, hidden = layer(16, 24), drawn(ROWS, 16)
    assert project(layer(16, 24).double(), hidden.double()).dtype == torch.float64
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert project(dense, hidden).dtype == torch.bfloat16
    with monkeypatch.context() as without:  # as torch.backends.mkldnn.flags(enabled=False) does, with a warning
        without.setattr(torch._C, "_get_mkldnn_enabled", lambda: False)
        project(dense, hidden)
    mapped = torch.func.vmap(lambda x: project(dense, x))(hidden.expand(2, ROWS, 16))
    assert_near(mapped[1], dense(hidden))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        traced = torch.jit.trace(lambda x: project(dense.requires_grad_(False), x), hidden, check_trace=False)
    assert_near(traced(2 * hidden), dense(2 * hidden))
    project(dense, hidden[: cpu_kernels.FEWEST_TOKENS - 1])
    assert products == []


@pytest.mark.filterwarnings("ignore:.torch.jit.script. is deprecated")  # torch's own, when it is first asked for them
def test_tangents_go_through(products: list[tuple[int, ...]]) -> None:
    dense, tangent = layer(16, 24).requires_grad_(False), drawn(ROWS, 16, seed=2)
    with forward_ad.dual_level():
        dual = forward_ad.make_dual(drawn(ROWS, 16), tangent)
        found = forward_ad.unpack_dual(project(dense, dual)).tangent
    assert_near(found, tangent @ dense.weight.t())
    assert products == []


def test_batches_of_many_sizes_have_products_of_few_shapes() -> None:
    sizes = {rows: rows + padding_tokens(torch.empty(rows, 1)) for rows in range(1024, 2048)}
    assert len(set(sizes.values())) == 17
    assert all(rows <= filled <= rows * 17 / 16 for rows, filled in sizes.items())
    assert padding_tokens(torch.empty(cpu_kernels.FEWEST_TOKENS - 1, 1)) == 0
    assert padding_tokens(torch.empty(1025, 1, dtype=torch.float64)) == 0


@pytest.mark.parametrize("kind", [ElectraForTokenClassification, ElectraForSequenceClassification])
def test_a_ragged_batch_that_is_filled_up(
    kind: Callable[[ElectraConfig], nn.Module], products: list[tuple[int, ...]], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Logits and gradients are those without; what stands behind the rows is nowhere to be seen.

    Nor would it be if all biases were 0, and rows of zeros divided by the square root of 0.
    """
    sizes = {"vocab_size": 99, "embedding_size": 16, "hidden_size": 32, "intermediate_size": 64}
    config = ElectraConfig(**sizes, num_hidden_layers=2, num_attention_heads=2, layer_norm_eps=0.0)
    model = kind(config).eval()
    for seed, parameter in enumerate(model.parameters()):
        nn.init.normal_(parameter, std=0.3, generator=torch.Generator().manual_seed(seed))
    nn.init.zeros_(model.electra.embeddings_project.bias)  # type: ignore[union-attr,arg-type]
    nn.init.zeros_(model.electra.embeddings.LayerNorm.bias)  # type: ignore[union-attr,arg-type]
    rows = [Row([2, *[5 + (i * j) % 90 for j in range(7 + 3 * (i % 9))], 3]) for i in range(24)]
    batch = Batch.from_rows(rows)
    assert padding_tokens(torch.empty(batch.layout.tokens, 1)) > 0
    given = list(model.parameters())

    def answered() -> tuple[Tensor, ...]:
        logits = model(batch).logits
        return (logits, *torch.autograd.grad(logits.pow(2).sum(), given))

    found = answered()
    filled = batch.layout.tokens + padding_tokens(torch.empty(batch.layout.tokens, 1))
    assert {rows for rows, *shape in products if shape == [32, 64]} == {filled}
    monkeypatch.setattr(cpu_kernels, "onednn_is_faster", lambda: False)
    for mine, other in zip(found, answered(), strict=True):
        assert (mine - other).abs().max() <= 2e-5 * max(1.0, other.abs().max().item())
    monkeypatch.setattr(cpu_kernels, "onednn_is_faster", lambda: True)
    states = model(batch, output_hidden_states=True).hidden_states
    assert {state.shape[0] for state in states} == {batch.layout.tokens}
