"""torch.compile and torch.export take every head whole, and one graph serves every shape."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from typing import Any

import pytest
import torch
from torch._dynamo.utils import counters
from torch.export import Dim

import electra
from electra import Batch, Row
from tests.parity.twins import SIZES, assert_close, redraw

pytestmark = pytest.mark.interop

HEADS: dict[str, tuple[str, dict[str, Any]]] = {
    "encoder": ("ElectraModel", {}),
    "replaced tokens": ("ElectraForPreTraining", {}),
    "masked": ("ElectraForMaskedLM", {}),
    "causal": ("ElectraForCausalLM", {"is_decoder": True}),
    "classes": ("ElectraForSequenceClassification", {"num_labels": 3}),
    "token classes": ("ElectraForTokenClassification", {"num_labels": 3}),
    "question answering": ("ElectraForQuestionAnswering", {}),
    "choices": ("ElectraForMultipleChoice", {"summary_type": "mean"}),
}
SHAPES = [(6, 17), (4, 9), (8, 30), (10, 5)]
RAGGED = [(4, 9, 3, 2, 5, 6), (5, 2, 7, 7), (8, 3, 4, 4, 4, 9, 2, 6), (3, 3, 3, 9, 9, 1)]


@pytest.fixture(autouse=True)
def _fresh() -> Iterator[None]:
    torch._dynamo.reset()
    counters.clear()
    yield
    torch._dynamo.reset()


def graphs() -> int:
    """How many this test has cost so far."""
    return int(counters["stats"]["unique_graphs"])


def build(head: str) -> Any:
    name, fields = HEADS[head]
    return redraw(getattr(electra, name)(electra.ElectraConfig(**{**SIZES, "num_hidden_layers": 1, **fields})))


def labels(head: str, rows: int, tokens: tuple[int, ...]) -> dict[str, torch.Tensor]:
    numbers = torch.Generator().manual_seed(rows)

    def draw(size: int, *shape: int) -> torch.Tensor:
        return torch.randint(0, size, shape, generator=numbers)

    return {
        "encoder": {},
        "classes": {"labels": draw(3, rows)},
        "choices": {"labels": draw(2, rows // 2)},
        "question answering": {"start_positions": draw(2, rows), "end_positions": draw(2, rows)},
    }.get(head, {"labels": draw(2, *tokens)})


def grid(head: str, rows: int, columns: int) -> dict[str, torch.Tensor]:
    """A padded batch with its labels; `choices` has two to a question."""
    numbers = torch.Generator().manual_seed(rows)
    lengths = torch.randint(2, columns, (rows,), generator=numbers)
    mask = (torch.arange(columns) < lengths[:, None]).long()
    ids = torch.randint(1, 97, (rows, columns), generator=numbers) * mask
    inputs = {"input_ids": ids, "attention_mask": mask, "token_type_ids": mask * (ids % 2)}
    if head == "choices":
        inputs = {name: value.view(-1, 2, columns) for name, value in inputs.items()}
    return {**inputs, **labels(head, rows, (rows, columns))}


def ragged(head: str, lengths: tuple[int, ...]) -> tuple[Batch, dict[str, Any]]:
    rows = [Row([(7 * n + i) % 90 + 1 for i in range(n)]) for n in lengths]
    more = {"num_choices": 2} if head == "choices" else {}
    return Batch.from_rows(rows), {**labels(head, len(rows), (sum(lengths),)), **more}


def answer(output: Any) -> torch.Tensor:
    """The loss, or of the encoder something like one."""
    return output.loss if "loss" in output else output[0].square().mean()


def assert_equal_to_eager(model: Any, compiled: Any, *given: Any, **named: Any) -> None:
    """Outputs and gradients."""
    results = []
    for run in (model, compiled):
        model.zero_grad()
        output = run(*given, **named)
        answer(output).backward()
        gradients = [p.grad.clone() for p in model.parameters() if p.grad is not None]
        results.append((output, gradients))
    (eager, expected), (graph, gradients) = results
    for key in eager:
        if key != "past_key_values":
            assert_close(graph[key], eager[key], 1e-5, key)
    assert len(expected) > 10
    assert_close(gradients, expected, 1e-4)


@pytest.mark.parametrize("head", HEADS)
def test_padded_grids_of_several_shapes_take_one_graph(head: str) -> None:
    model = build(head)
    compiled = torch.compile(model, fullgraph=True, dynamic=True, backend="aot_eager")
    for rows, columns in SHAPES:
        assert_equal_to_eager(model, compiled, **grid(head, rows, columns))
    assert graphs() == 1


def test_sizes_that_are_equal_or_one_by_chance() -> None:
    """Equal sizes are one symbol to the compiler and a size of 1 is none; shapes have to be compared all the same."""
    model = build("choices")
    compiled = torch.compile(model, fullgraph=True, dynamic=True, backend="aot_eager")
    for rows in (4, 6, 2):
        assert_equal_to_eager(model, compiled, **grid("choices", rows, 9))


@pytest.mark.parametrize("head", HEADS)
def test_ragged_batches_take_one_graph(head: str) -> None:
    model = build(head)
    compiled = torch.compile(model, fullgraph=True, dynamic=True, backend="aot_eager")
    for lengths in RAGGED:
        batch, more = ragged(head, lengths)
        assert_equal_to_eager(model, compiled, batch, **more)
    assert graphs() == 1


def test_without_being_told_the_second_shape_makes_the_graph_dynamic() -> None:
    """Two graphs, as for any network: one for the first shape, one for all others."""
    model = build("masked").eval()
    compiled = torch.compile(model, fullgraph=True, backend="eager")
    for lengths in RAGGED:
        batch, _ = ragged("masked", lengths)
        assert_close(compiled(batch).logits, model(batch).logits, 1e-5)
    assert graphs() == 2


@pytest.mark.skipif(shutil.which("g++") is None, reason="inductor needs a C++ compiler")
@pytest.mark.filterwarnings("ignore:`torch.jit:DeprecationWarning")  # inductor's own imports
def test_inductor_computes_the_same() -> None:
    model = build("classes").eval()
    batch, more = ragged("classes", RAGGED[0])
    with torch.no_grad():
        assert_close(torch.compile(model, fullgraph=True)(batch, **more).loss, model(batch, **more).loss, 1e-5)


@pytest.mark.parametrize("head", HEADS)
def test_an_exported_head_runs_at_another_shape(head: str) -> None:
    """A decoder's cache is no tensor: it is exported with `use_cache=False`."""
    model = build(head).eval()
    more = {"use_cache": False} if head == "causal" else {}
    names = ("input_ids", "attention_mask", "token_type_ids")
    inputs = {name: value for name, value in grid(head, 4, 17).items() if name in names}
    shape = {0: Dim("rows"), inputs["input_ids"].dim() - 1: Dim("tokens", max=SIZES["max_position_embeddings"])}
    shapes: dict[str, Any] = {**dict.fromkeys(names, shape), **dict.fromkeys(more)}
    program = torch.export.export(model, (), {**inputs, **more}, dynamic_shapes=shapes)
    for rows, columns in ((4, 40), (10, 5), (2, 2)):
        inputs = {name: value for name, value in grid(head, rows, columns + 1).items() if name in names}
        inputs = {name: value[..., :columns] for name, value in inputs.items()}
        exported, eager = program.module()(**inputs, **more), model(**inputs, **more)
        assert list(exported.keys()) == list(eager.keys())
        for key in eager:
            assert_close(exported[key], eager[key], 1e-5, key)
