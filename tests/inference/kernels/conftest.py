"""The library of kernels for these tests: the installed one, or one that is compiled for them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from electra.inference.compiling import CompilerError, compile_kernels
from electra.inference.kernel_library import Library, library_path, open_library


@pytest.fixture(scope="session")
def library_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    installed = library_path()
    if installed.is_file():
        return installed
    built = tmp_path_factory.mktemp("kernels") / installed.name
    try:
        compile_kernels(built)
    except CompilerError as error:
        pytest.skip(str(error))
    return built


@pytest.fixture(autouse=True)
def _kernels(library_file: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Every test sees the library, and all that this processor has."""
    monkeypatch.setenv("ELECTRA_KERNELS_LIBRARY", str(library_file))
    monkeypatch.delenv("ELECTRA_KERNELS", raising=False)
    monkeypatch.delenv("ELECTRA_REFERENCE_KERNELS", raising=False)
    with torch.inference_mode():
        yield


@pytest.fixture
def library(_kernels: None) -> Library:
    return open_library()
