"""The Python blocks of the page about using a model run, with small random models."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

from electra import cli

PAGE = (Path(__file__).parents[2] / "docs" / "using.md").read_text(encoding="utf-8")
MODELS = """
import electra

words = "[PAD] [UNK] [CLS] [SEP] [MASK] the sea is wide a road ann sat what ?".split()
tokenizer = electra.ElectraTokenizer(vocab={word: i for i, word in enumerate(words)})
sizes = {"hidden_size": 16, "embedding_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2}
config = electra.ElectraConfig(vocab_size=len(words), intermediate_size=32, **sizes)
for name, kind in {
    "classifier": electra.ElectraForSequenceClassification,
    "tagger": electra.ElectraForTokenClassification,
    "reader": electra.ElectraForQuestionAnswering,
    "discriminator": electra.ElectraForPreTraining,
    "generator": electra.ElectraForMaskedLM,
}.items():
    kind(config).save_pretrained(name)
    tokenizer.save_pretrained(name)
"""


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", PAGE, flags=re.DOTALL | re.MULTILINE)


def test_the_python_blocks_run_in_order(tmp_path: Path) -> None:
    script = "\n".join([MODELS, *blocks("python")])
    done = subprocess.run([sys.executable, "-c", script], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_the_commands_are_understood() -> None:
    lines = [line for block in blocks("sh") for line in block.splitlines() if line.startswith("electra ")]
    assert lines
    for line in lines:
        cli.application().parse_args(line.split(" > ")[0].split()[1:], exit_on_error=False, print_error=False)
