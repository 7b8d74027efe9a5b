"""The head whose end depends on its start: against its plain twin, ragged against padded, and calls that it refuses.

That it gives what Google's code gives is tested in tests/parity.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from electra import Batch, ElectraConfig, ElectraForJointQuestionAnswering, Row
from tests.parity.twins import SIZES, redraw

ROWS, COLUMNS = 3, 11


def model(**fields: Any) -> ElectraForJointQuestionAnswering:
    values = {**SIZES, "joint_hidden_size": 13, "beam_size": 4, **fields}
    built = redraw(ElectraForJointQuestionAnswering(ElectraConfig(**values))).eval()
    assert isinstance(built, ElectraForJointQuestionAnswering)
    return built


def grid() -> dict[str, Tensor]:
    """Rows of 11, 8 and 6 tokens; the answers lie in the second half of each."""
    numbers = torch.Generator().manual_seed(3)
    lengths = torch.tensor([11, 8, 6])
    mask = torch.arange(COLUMNS) < lengths[:, None]
    types = (torch.arange(COLUMNS) >= torch.tensor([4, 3, 2])[:, None]) & mask
    ids = torch.randint(5, 97, (ROWS, COLUMNS), generator=numbers) * mask
    return {"input_ids": ids, "attention_mask": mask.long(), "token_type_ids": types.long()}


GOLD = {
    "start_positions": torch.tensor([5, 3, 0]),
    "end_positions": torch.tensor([7, 3, 0]),
    "is_impossible": torch.tensor([0, 0, 1]),
}


def written_out(network: Any, given: dict[str, Tensor], starts: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Scores of starts [B, L], of ends for each of C starts [B, C, L], of having no answer [B]; as qa_tasks.py says."""
    hidden = network.electra(**given).last_hidden_state
    allowed = (given["attention_mask"] * given["token_type_ids"]).float()
    allowed[:, 0] = 1
    start = network.start(hidden).squeeze(-1) + 1000 * (allowed - 1)
    chosen = hidden[torch.arange(ROWS)[:, None], starts][:, :, None].expand(-1, -1, COLUMNS, -1)
    pairs = torch.cat([chosen, hidden[:, None].expand(-1, starts.shape[1], -1, -1)], -1)
    end = network.end(F.gelu(network.end_hidden(pairs))).squeeze(-1) + 1000 * (allowed[:, None] - 1)
    begun = torch.einsum("bl,blh->bh", start.softmax(-1), hidden)
    none = network.answerable(F.gelu(network.answerable_hidden(torch.cat([hidden[:, 0], begun], -1))))
    return start, end, none.squeeze(-1)


def test_the_beam_equals_its_plain_twin() -> None:
    network = model()
    with torch.no_grad():
        found = network(**grid())
        start, end, none = written_out(network, grid(), found.start_top_index)
    torch.testing.assert_close(found.start_logits, start)
    torch.testing.assert_close(found.impossible_logits, none)
    best = start.log_softmax(-1).topk(4)
    torch.testing.assert_close(found.start_top_log_probs, best.values)
    assert torch.equal(found.start_top_index, best.indices)
    ends = end.log_softmax(-1).topk(4)
    torch.testing.assert_close(found.end_top_log_probs, ends.values)
    assert torch.equal(found.end_top_index, ends.indices)
    assert found.loss is None
    assert found.end_logits is None


def test_the_loss_equals_its_plain_twin() -> None:
    network = model(answerability_weight=0.25).double()
    found = network(**grid(), **GOLD)
    start, end, none = written_out(network, grid(), GOLD["start_positions"][:, None])
    costs = F.cross_entropy(start, GOLD["start_positions"]) + F.cross_entropy(end[:, 0], GOLD["end_positions"])
    judged = F.binary_cross_entropy_with_logits(none, GOLD["is_impossible"].double())
    torch.testing.assert_close(found.loss, costs / 2 + 0.25 * judged)
    torch.testing.assert_close(found.end_logits, end[:, 0])
    assert found.start_top_index is None


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_half_precision(dtype: torch.dtype) -> None:
    network = model()
    with torch.no_grad():
        exact = network(**grid(), **GOLD)
        found = network.to(dtype)(**grid(), **GOLD)
        assert network(**grid()).end_top_index.shape == (ROWS, 4, 4)
    assert found.start_logits.dtype == found.impossible_logits.dtype == dtype
    torch.testing.assert_close(found.loss.float(), exact.loss, rtol=0.05, atol=0.05)


def test_every_parameter_learns() -> None:
    network = model()
    network(**grid(), **GOLD).loss.backward()
    still = [
        name
        for name, p in network.named_parameters()
        if p.grad is None or not p.grad.abs().max() > 1e-6 * p.abs().max()
    ]
    # softmax takes no notice of what is added to all scores
    assert [name for name in still if not name.endswith("key.bias")] == ["start.bias", "end.bias"]


def test_ragged_rows_answer_as_padded_ones() -> None:
    network, given = model(), grid()
    lengths = given["attention_mask"].sum(1).tolist()
    rows = [
        Row(given["input_ids"][i, :length].tolist(), given["token_type_ids"][i, :length].tolist())
        for i, length in enumerate(lengths)
    ]
    with torch.no_grad():
        padded, ragged = network(**given, **GOLD), network(Batch.from_rows(rows), **GOLD)
        found, beam = network(**given), network(Batch.from_rows(rows))
    torch.testing.assert_close(ragged.loss, padded.loss, rtol=1e-5, atol=1e-5)
    for name in ("start_top_log_probs", "end_top_log_probs", "impossible_logits"):
        torch.testing.assert_close(beam[name], found[name], rtol=1e-5, atol=1e-5)
    for name in ("start_top_index", "end_top_index"):
        assert torch.equal(beam[name], found[name])


def test_labels_of_minus_100_do_not_count() -> None:
    network = model()
    only_first = {name: torch.where(torch.arange(ROWS) == 0, value, -100) for name, value in GOLD.items()}
    first = {name: value[:1] for name, value in GOLD.items()}
    with torch.no_grad():
        found = network(**grid(), **only_first).loss
        alone = network(**{name: value[:1] for name, value in grid().items()}, **first).loss
    torch.testing.assert_close(ROWS * found, alone, rtol=1e-5, atol=1e-6)


def test_of_equal_scores_the_first_token_comes_first() -> None:
    network = model()
    with torch.no_grad():
        network.start.weight.zero_()
        found = network(**grid())
    assert found.start_top_index.tolist() == [[0, 4, 5, 6], [0, 3, 4, 5], [0, 2, 3, 4]]


def test_a_beam_is_no_wider_than_the_row() -> None:
    assert model()(**grid(), beam_size=50).end_top_index.shape == (ROWS, COLUMNS, COLUMNS)


def test_a_network_without_answerability(tmp_path: Path) -> None:
    network = model(answerability=False)
    assert not [name for name, _ in network.named_parameters() if name.startswith("answerable")]
    assert network(**grid()).impossible_logits is None
    network.save_pretrained(tmp_path)
    loaded = ElectraForJointQuestionAnswering.from_pretrained(tmp_path)
    assert torch.equal(loaded(**grid()).start_logits, network(**grid()).start_logits)
    with pytest.raises(ValueError, match="this network does not judge it: its configuration has answerability=False"):
        loaded(**grid(), **GOLD)


@pytest.mark.parametrize(
    ("changes", "match"),
    [
        ({"end_positions": None}, "start_positions and end_positions belong together"),
        (
            {"start_positions": None, "end_positions": None},
            "is_impossible goes with start_positions and end_positions: give all three",
        ),
        ({"start_positions": torch.tensor([5, 3, 11])}, "start_positions"),
        ({"end_positions": torch.tensor([5, 3])}, "end_positions"),
        ({"is_impossible": torch.tensor([0, 2, 1])}, "is_impossible"),
        ({"beam_size": 0}, "beam_size is 0: it must be a whole number, 1 or more"),
    ],
)
def test_calls_that_are_refused(changes: dict[str, Any], match: str) -> None:
    with pytest.raises(ValueError, match=match):
        model()(**grid(), **{**GOLD, **changes})


@pytest.mark.parametrize(
    "fields",
    [{"joint_hidden_size": 0}, {"beam_size": 2.5}, {"answerability": "yes"}, {"answerability_weight": -1}],
)
def test_configurations_that_are_refused(fields: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=next(iter(fields))):
        model(**fields)
