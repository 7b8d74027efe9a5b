"""The examples for clusters: the shell and the YAML are whole, and the command lines in them are understood."""

from __future__ import annotations

import re
import shlex
import subprocess
from pathlib import Path
from typing import Any

import yaml

from electra import cli
from electra.training.interruption import EXIT_CODES

EXAMPLES = Path(__file__).parents[2] / "examples"
SBATCH = EXAMPLES / "pretrain.sbatch"
KUBERNETES = EXAMPLES / "pretrain-kubernetes.yaml"


def assert_understood(words: list[str]) -> None:
    """Words that begin with `electra` are a command line."""
    assert words[:2] == ["electra", "pretrain"]
    cli.application().parse_args(words[1:], exit_on_error=False, print_error=False)


def test_the_slurm_script() -> None:
    done = subprocess.run(["bash", "-n", str(SBATCH)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    script = SBATCH.read_text(encoding="utf-8")
    [command] = re.findall(r"^srun (?:.*\\\n)*.*", script, flags=re.MULTILINE)
    words = shlex.split(command)
    assert_understood(words[words.index("electra") :])
    [(name, seconds)] = re.findall(r"^#SBATCH --signal=(\w+)@(\d+)$", script, flags=re.MULTILINE)
    codes = {number.name: code for number, code in EXIT_CODES.items()}
    assert f'"$code" -eq {codes["SIG" + name]}' in script
    assert int(seconds) >= 60


def test_the_kubernetes_manifest() -> None:
    service, job = yaml.safe_load_all(KUBERNETES.read_text(encoding="utf-8"))
    assert (service["kind"], job["kind"]) == ("Service", "Job")
    [container] = job["spec"]["template"]["spec"]["containers"]
    words, options = container["args"], launcher_options(container["args"])
    assert container["command"] == ["torchrun"]
    assert_understood(words[words.index("electra") :])
    name, pods = job["metadata"]["name"], job["spec"]["completions"]
    assert service["metadata"]["name"] == job["spec"]["template"]["spec"]["subdomain"]
    assert options.rdzv_endpoint.startswith(f"{name}-0.{service['metadata']['name']}:")
    assert int(options.nnodes) == pods == job["spec"]["parallelism"]
    assert int(options.nproc_per_node) == container["resources"]["limits"]["nvidia.com/gpu"]


def launcher_options(words: list[str]) -> Any:
    """torchrun's own reading of its words."""
    from torch.distributed.run import parse_args

    return parse_args(words)
