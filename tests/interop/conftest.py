"""What the tests against other libraries may ask for."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]
LIBRARIES = ("accelerate", "captum", "datasets", "peft", "sentence_transformers", "setfit")


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """These files import their libraries: where one is missing, only a run that leaves them out may pass them over."""
    missing = [name for name in LIBRARIES if find_spec(name) is None]
    left_out = "not interop" in config.getoption("markexpr")
    return True if missing and left_out and collection_path.name.startswith("test_") else None


@pytest.fixture(scope="session")
def transformers4() -> Callable[[str, Any], Any]:
    """Runs a program under transformers 4.57: `run(source, given)` -> what it prints as its last line of JSON.

    `given` reaches the program as the variable of that name. The environment is made by `make interop`.
    """
    python = ROOT / ".venv-transformers4" / "bin" / "python"
    if not python.exists():
        pytest.skip(f"no environment with transformers 4.57 at {python.parents[1]}: `make interop` makes one")

    def run(source: str, given: Any) -> Any:
        program = f"import json, sys\ngiven = json.load(sys.stdin)\n{source}"
        done = subprocess.run(
            [str(python), "-c", program], input=json.dumps(given), capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stderr[-4000:]
        return json.loads(done.stdout.splitlines()[-1])

    return run
