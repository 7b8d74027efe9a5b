"""torch's private names stand in one file and are there; one switch computes everything without them."""

from __future__ import annotations

import ast
import os
import subprocess
import sys
from collections.abc import Iterator
from functools import reduce
from pathlib import Path

import pytest
import torch
import torch.autograd.forward_ad

from electra.hardware import torch_internals
from electra.hardware.torch_internals import PRIVATE_NAMES, SWITCH, _switched_on

PACKAGE = Path(__file__).parents[1] / "src/electra"
HOME = Path(torch_internals.__file__)
TORCH = {
    "torch": "torch",
    "nn": "torch.nn",
    "forward_ad": "torch.autograd.forward_ad",
    "_pytree": "torch.utils._pytree",
}
OF_MODULES = ("_forward_hooks", "_forward_pre_hooks", "_backward_hooks", "_backward_pre_hooks")


def value_of(name: str) -> object:
    """What a dotted name of the list stands for."""
    if "()" in name:
        return getattr(torch.nn.Module(), name.rpartition(".")[2])
    return reduce(getattr, name.split(".")[1:], torch)


def is_there(name: str) -> bool:
    try:
        value_of(name)
    except (AttributeError, RuntimeError):
        return False
    return True


def test_every_private_name_is_there() -> None:
    gone = [name for name in PRIVATE_NAMES if not is_there(name)]
    assert gone == [], f"torch {torch.__version__} has no {gone}: until they are replaced, set {SWITCH}=1"


def test_a_name_that_is_gone_is_named() -> None:
    assert not is_there("torch._C._no_such_name")
    assert not is_there("torch.ops.mkldnn._no_such_operation")


def dotted(node: ast.expr) -> str:
    """`torch._C._x` of an expression; "" of one that is no chain of names."""
    if isinstance(node, ast.Name):
        return TORCH.get(node.id, "")
    if isinstance(node, ast.Attribute):
        before = dotted(node.value)
        return f"{before}.{node.attr}" if before else ""
    return ""


def private_names(file: Path) -> Iterator[str]:
    """torch's private names in a module: attributes, and names that are imported."""
    tree = ast.parse(file.read_text(encoding="utf-8"))
    inner = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Attribute)}
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and id(node) not in inner:
            name = dotted(node)
            if any(part.startswith("_") and not part.startswith("__") for part in name.split(".")):
                yield name
            if node.attr in OF_MODULES:
                yield f"torch.nn.Module().{node.attr}"
        if isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == "torch":
            yield from (f"{node.module}.{alias.name}" for alias in node.names if alias.name.startswith("_"))


def test_the_list_is_the_file_s() -> None:
    used = set(private_names(HOME)) - {"torch.utils._pytree"}
    assert used == set(PRIVATE_NAMES)


def test_no_other_file_has_one() -> None:
    others = {file: sorted(set(private_names(file))) for file in PACKAGE.rglob("*.py") if file != HOME}
    assert {str(file.relative_to(PACKAGE)): names for file, names in others.items() if names} == {}


@pytest.mark.parametrize(("value", "expected"), [("", False), ("0", False), ("1", True)])
def test_the_switch(value: str, expected: bool) -> None:
    assert _switched_on(value) is expected


@pytest.mark.parametrize("value", ["yes", "true", " 1", "2"])
def test_what_the_switch_does_not_take(value: str) -> None:
    with pytest.raises(ValueError, match=f"{SWITCH} is '{value}': it must be 1"):
        _switched_on(value)


# Logits and gradients of padded and ragged batches, with the fast paths that were taken. Dropout is 0 in what is
# compared, since fast dropout has other random numbers; it is computed all the same, to see which functions run.
SCRIPT = """
import sys, torch
from electra import Batch, ElectraConfig, ElectraForSequenceClassification, ElectraForTokenClassification, Row
from electra.nn import attention, encoder
from electra.nn.kernels import cpu_kernels
from torch.nn import functional as F

taken = set()
def recorded(module, name):
    inner = getattr(module, name)
    def call(*given, **options):
        taken.add(name)
        return inner(*given, **options)
    setattr(module, name, call)

cpu_kernels.onednn_is_faster = lambda: True
for module, name in [(cpu_kernels, "onednn_product"), (cpu_kernels, "keep_mask"), (attention, "attend_with_dropout"),
                     (attention, "attend_in_groups"), (encoder, "attend_first"), (F, "scaled_dot_product_attention")]:
    recorded(module, name)

sizes = dict(vocab_size=99, embedding_size=16, hidden_size=32, intermediate_size=64, num_hidden_layers=2,
             num_attention_heads=2, max_position_embeddings=64)
rows = [Row([2, *[5 + (i * j) % 90 for j in range(5 + 3 * (i % 9))], 3]) for i in range(24)]
batch = Batch.from_rows(rows)
ids, mask = batch.padded()
results = []
for probability in (0.0, 0.1):
    config = ElectraConfig(**sizes, hidden_dropout_prob=probability, attention_probs_dropout_prob=probability)
    for kind in (ElectraForTokenClassification, ElectraForSequenceClassification):
        model = kind(config)
        for seed, parameter in enumerate(model.parameters()):
            torch.nn.init.normal_(parameter, std=0.3, generator=torch.Generator().manual_seed(seed))
        for inputs in ((batch,), (ids, mask)):
            logits = model(*inputs).logits
            gradients = torch.autograd.grad(logits.pow(2).mean(), list(model.parameters()), allow_unused=True)
            if probability == 0.0:
                logits = logits[mask.bool()] if logits.dim() == 3 else logits
                results.append([logits, *gradients])
                results.append([model.eval()(*inputs).logits[:1]])
                model.train()
torch.save({"results": results, "taken": sorted(taken)}, sys.argv[1])
"""


def computed(folder: Path, switch: str) -> dict[str, list[object]]:
    file = folder / f"computed{switch}.pt"
    environment = {**os.environ, SWITCH: switch}
    subprocess.run([sys.executable, "-c", SCRIPT, str(file)], check=True, env=environment)
    saved: dict[str, list[object]] = torch.load(file)
    return saved


@pytest.mark.skipif(not torch.backends.mkldnn.is_available(), reason="this torch has no oneDNN")
def test_without_fast_paths_the_results_are_the_same(tmp_path: Path) -> None:
    fast, reference = computed(tmp_path, ""), computed(tmp_path, "1")
    assert fast["taken"] == [
        *("attend_first", "attend_in_groups", "attend_with_dropout", "keep_mask", "onednn_product"),
        "scaled_dot_product_attention",
    ]
    assert reference["taken"] == []
    for ours, theirs in zip(fast["results"], reference["results"], strict=True):
        for one, other in zip(ours, theirs, strict=True):  # type: ignore[call-overload]
            assert (one is None) == (other is None)
            if one is not None:
                assert torch.allclose(one, other, rtol=1e-4, atol=1e-5 * max(1.0, other.abs().max().item()))
