"""A step as GPUs take it, on machines without one: no value is read on the way, sizes are fixed, one graph fits all."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from electra.commands.pretrain import pretrain
from electra.data.dataset.batches import MaskedBatch
from electra.data.dataset.bucketing import Sizes, pad_to_sizes
from electra.nn import attention
from electra.objective.replaced_token_detection import ReplacedTokenDetection
from electra.pretraining import compilation, session
from electra.pretraining.session import Pretraining
from electra.training.optimizer import Adam
from electra.training.trainer import train
from tests.pretraining.toy import toy

RUNS: dict[str, dict[str, Any]] = {
    "fast": {},
    "replica": {"mode": "replica"},
    "mlm": {"objective": "mlm"},
    "packed": {"segments": "packed"},
}


@pytest.fixture(scope="module", autouse=True)
def quick() -> Iterator[None]:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="module")
def sessions(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Pretraining]:
    """Runs before their first step, by name."""

    def made(name: str) -> Pretraining:
        found: list[Pretraining] = []
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(Pretraining, "run_to_the_end", lambda self: found.append(self))
            patch.setattr(Pretraining, "publish", lambda self: None)
            patch.setattr("electra.pretraining.pretraining_run.write_report", lambda *arguments: None)
            pretrain(toy(tmp_path_factory.mktemp("run"), **{"dropout": 0.1, **RUNS[name]}))
        found[0].networks.train()
        return found[0]

    return made


def sizes_of(training: Pretraining) -> Sizes:
    most = training.networks.masking.max_predictions
    assert most is not None
    return Sizes.of(training.text.lengths, examples=4, length=24, predictions=most)


def batch(training: Pretraining, step: int = 0) -> MaskedBatch:
    return training.batches(training.text, 4).batch(step)


# -- nothing is read -----------------------------------------------------------------------------------------------


class OnTheDevice(TorchDispatchMode):
    """Fails where a step makes a tensor on the host, or where a copy to the device has the host wait."""

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Mapping[str, Any] | None = None) -> Any:
        options = dict(kwargs or {})
        made = func(*args, **options)
        if func is torch.ops.aten._to_copy.default and args[0].device.type == "cpu":
            assert options.get("non_blocking"), "the host waits until a copy is there"
        elif any(isinstance(tensor, Tensor) and tensor.device.type == "cpu" for tensor in tree_leaves(made)):
            raise AssertionError(f"{func} makes a tensor on the host")
        return made


def on_meta(training: Pretraining, patch: pytest.MonkeyPatch) -> None:
    """Move a run to the device that has shapes and no values: to read one is an error there."""
    training.device = torch.device("meta")
    training.networks.to("meta")
    if isinstance(training.networks, ReplacedTokenDetection) and not training.networks.untied:
        training.networks.share_embeddings()  # this device's parameters are new objects
    training.optimizer = Adam(training.networks.named_parameters())
    patch.setattr(torch, "autocast", lambda *arguments, **options: nullcontext())
    patch.setattr(attention, "_has_varlen_kernel", lambda query, dropout: dropout == 0)


def take_a_step(training: Pretraining, fill: bool) -> Mapping[str, Tensor]:
    found: list[Mapping[str, Tensor]] = []
    example = pad_to_sizes(batch(training), sizes_of(training)) if fill else batch(training)
    with OnTheDevice():
        train(
            training.losses,
            [[example]],
            training.optimizer,
            learning_rate=training.learning_rate,
            steps=1,
            periodic=[lambda step, values: found.append(values)],
        )
    return found[0]


@pytest.mark.parametrize("fill", [False, True])
@pytest.mark.parametrize("name", RUNS)
def test_a_step_reads_no_value(
    name: str, fill: bool, sessions: Callable[[str], Pretraining], monkeypatch: pytest.MonkeyPatch
) -> None:
    """From the copy of the batch to the changed weights: forward, backward, clip, optimizer, all statistics."""
    training = sessions(name)
    on_meta(training, monkeypatch)
    values = take_a_step(training, fill)
    assert {value.device.type for value in values.values()} == {"meta"}
    assert {"loss", "gradient_norm", "generator_correct", "tokens"} <= set(values)


READS: dict[str, Callable[[Tensor], object]] = {
    "item": lambda values: values.sum().item(),
    "list": lambda values: values.tolist(),
    "bool": lambda values: bool(values.isfinite().all()),
    "cpu": lambda values: values.cpu(),
    "chosen": lambda values: values[values > 0],
    "nonzero": lambda values: values.nonzero(),
    "host": lambda values: values + torch.ones(3).sum(),
}


@pytest.mark.parametrize("how", READS)
def test_a_value_that_is_read_is_found(
    how: str, sessions: Callable[[str], Pretraining], monkeypatch: pytest.MonkeyPatch
) -> None:
    training = sessions("mlm")
    on_meta(training, monkeypatch)
    statistics = session.statistics

    def reading(found: Any, layout: Any) -> Any:
        READS[how](found.loss[None])
        return statistics(found, layout)

    monkeypatch.setattr(session, "statistics", reading)
    with pytest.raises((RuntimeError, NotImplementedError, AssertionError)):
        take_a_step(training, fill=False)


# -- fixed sizes ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", RUNS)
def test_filling_up_changes_no_loss_no_figure_and_no_gradient(
    name: str, sessions: Callable[[str], Pretraining]
) -> None:
    """All batches become one size, or two, and say the same."""
    training, shapes = sessions(name), set()
    for module in training.networks.modules():
        if isinstance(module, nn.Dropout):
            module.p = 0.0
    sizes = sizes_of(training)
    for step in range(4):
        example = batch(training, step)
        assert example[0].layout.tokens < sizes.tokens[0]
        plain, gradients = computed(training, example)
        full = pad_to_sizes(example, sizes)
        shapes.add((len(full[0].input_ids), full[0].layout.rows, full[0].layout.longest, len(full[1].positions)))
        found, others = computed(training, full)
        assert found == pytest.approx(plain, rel=1e-6)
        for key, gradient in gradients.items():
            assert (others[key] - gradient).abs().max() <= 1e-5 * max(1.0, gradient.abs().max().item()), key
    assert len(shapes) == 1


def computed(training: Pretraining, example: MaskedBatch) -> tuple[dict[str, float], dict[str, Tensor]]:
    """All figures, and all gradients."""
    training.optimizer.zero_grad()
    values = training.losses(example)
    values["loss"].backward()
    gradients = {name: parameter.grad for name, parameter in training.networks.named_parameters()}
    return {name: value.item() for name, value in values.items()}, {n: g for n, g in gradients.items() if g is not None}


def test_filling_up_is_for_attention_over_a_grid_too(sessions: Callable[[str], Pretraining]) -> None:
    """Rows of filler are rows, and empty ones are in nobody's way."""
    layout = pad_to_sizes(batch(sessions("fast")), Sizes((128,), rows=16, slots=12, longest=24))[0].layout
    assert layout.rows == 16 > len(layout.lengths) > 4
    query, key, value = torch.randn(3, 128, 2, 8).unbind()
    padded = attention.attend_padded_copy(query, key, value, layout)
    torch.testing.assert_close(padded, attention.attend(query, key, value, layout), rtol=1e-5, atol=1e-6)


def test_sizes_follow_from_the_lengths_of_the_text() -> None:
    lengths = np.full(1000, 100, np.int32)
    lengths[::2] = 80
    sizes = Sizes.of(lengths, examples=16, length=128, predictions=19)
    assert sizes == Sizes((1600, 2048), rows=32, slots=304, longest=128)  # 16 * 90 + 3 * 10 * 4 = 1560
    assert Sizes.of(lengths * 0 + 128, examples=16, length=128, predictions=19).tokens == (2048,)
    assert Sizes.of(lengths, examples=2, length=100, predictions=15).tokens == (200,)


def test_a_batch_that_is_larger_than_usual_gets_the_next_size(sessions: Callable[[str], Pretraining]) -> None:
    example = batch(sessions("mlm"))
    tokens = example[0].layout.tokens
    for sizes, expected in (((tokens - 1, 96), 96), ((tokens,), tokens), ((tokens - 1,), tokens)):
        found = pad_to_sizes(example, Sizes(sizes, rows=8, slots=5, longest=24))
        assert (found[0].layout.tokens, len(found[1].positions) % 5) == (expected, 0)
        assert found[0].layout.count_real() == tokens


# -- one graph -----------------------------------------------------------------------------------------------------


def test_what_is_compiled_as_a_whole() -> None:
    cuda = torch.device("cuda:0")
    assert compilation.compiles_whole_step(cuda, processes=1, parts=1)
    assert not compilation.compiles_whole_step(torch.device("cpu"), processes=1, parts=1)
    assert not compilation.compiles_whole_step(cuda, processes=2, parts=1)
    assert not compilation.compiles_whole_step(cuda, processes=1, parts=2)


class Recorded:
    """A compiler that keeps the graphs and computes them as they are."""

    def __init__(self) -> None:
        self.graphs: list[torch.fx.GraphModule] = []

    def __call__(self, graph: torch.fx.GraphModule, inputs: Any) -> Any:
        self.graphs.append(graph)
        return graph


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:.*is deprecated:DeprecationWarning")  # within torch's compiler
@pytest.mark.parametrize("name", ["fast", "mlm"])
def test_a_compiled_run_has_one_graph_and_the_same_figures(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    compiler = Recorded()
    monkeypatch.setattr("electra.pretraining.pretraining_run.write_report", lambda *arguments: None)
    plain = pretrain(toy(tmp_path / "plain", dropout=0, steps=4, report_every=1, **RUNS[name]))
    torch._dynamo.reset()
    monkeypatch.setattr(session, "compiles_whole_step", lambda device, **options: True)
    compiled = torch.compile
    monkeypatch.setattr(
        torch,
        "compile",
        lambda compute, *, fullgraph, dynamic, mode: compiled(
            compute, fullgraph=fullgraph, dynamic=dynamic, backend=compiler
        ),
    )
    whole = pretrain(toy(tmp_path / "whole", dropout=0, steps=4, report_every=1, compile=True, **RUNS[name]))
    torch._dynamo.reset()
    assert len(compiler.graphs) == 1
    assert plain is not None
    assert whole is not None
    for ours, theirs in zip(figures(whole), figures(plain), strict=True):
        assert ours == pytest.approx(theirs, rel=1e-5)


def figures(run: Path) -> list[dict[str, float]]:
    """Of all steps and evaluations, what does not depend on the machine."""
    lines = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    return [
        {key: value for key, value in line.items() if isinstance(value, (int, float)) and not re.search(MACHINE, key)}
        for line in lines
        if line["split"] != "start"
    ]


MACHINE = "second|memory|utilization"


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:.*is deprecated:DeprecationWarning")  # within torch's compiler
@pytest.mark.parametrize("name", ["fast", "mlm"])
def test_the_graph_makes_nothing_on_the_host_and_takes_the_kernel_for_gpus(
    name: str, sessions: Callable[[str], Pretraining], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A tensor that a graph makes from nothing is on the host, and keeps it from being recorded on a GPU."""
    from torch._dynamo.backends.common import aot_autograd

    training, graphs = sessions(name), []
    monkeypatch.setattr(attention, "_has_varlen_kernel", lambda query, dropout: dropout == 0)

    class Stop(Exception):
        pass

    def stop(graph: torch.fx.GraphModule, inputs: Any) -> Any:
        graphs.append(graph)
        raise Stop

    torch._dynamo.reset()
    compute = torch.compile(training._forward, fullgraph=True, backend=aot_autograd(fw_compiler=stop))
    with pytest.raises(Exception, match="Stop"):
        compute(training.networks, *pad_to_sizes(batch(training), sizes_of(training)), None)
    torch._dynamo.reset()
    calls = [node for node in graphs[0].graph.nodes if node.op == "call_function"]
    assert [node for node in calls if not node.all_input_nodes] == []
    kernels = sum("varlen" in str(node.target) for node in calls)
    assert kernels == {"fast": 8, "mlm": 4}[name]


# -- the benchmark -------------------------------------------------------------------------------------------------


@pytest.mark.slow
def test_the_benchmark_for_gpus_runs_here_too(tmp_path: Path) -> None:
    """On a small network; a way that fails is in the report, and does not stop the others."""
    script = Path(__file__).parents[2] / "benchmarks" / "pretraining_gpu.py"
    options = ["--device", "cpu", "--size", "tiny", "--way", "eager", "--steps", "2", "--output", str(tmp_path)]
    done = subprocess.run([sys.executable, str(script), *options], capture_output=True, text=True, check=True)
    [run] = json.loads(done.stdout)["runs"]
    assert run["tokens_per_second"] > 0
    assert run["kernels_a_step"] > 100
    assert sum(share for _, share, _ in run["top"]) > 0.5
    [written] = tmp_path.glob("pretraining_*.md")
    assert "| tiny | 8 x 128 | eager |" in written.read_text(encoding="utf-8")
    failing = [sys.executable, str(script), *options, "--minutes", "0.001"]
    done = subprocess.run(failing, capture_output=True, text=True, check=True)
    assert json.loads(done.stdout)["runs"][0]["error"] == "no result after 0.001 minutes"
