"""The library: what is chosen by hand, files that are damaged or foreign, kernels that are wrong."""

from __future__ import annotations

import shutil
import subprocess
import sys
import warnings
from pathlib import Path

import pytest
import torch

from electra.inference.checks import available_precisions, differences, kernels_for
from electra.inference.compiling import CompilerError, find_compiler, sealed
from electra.inference.engine import Engine
from electra.inference.kernel_library import KernelsError, Library, open_library
from tests.inference.kernels.toy import batch, model


def test_every_set_agrees_with_torch(library: Library) -> None:
    assert library.sets
    for kernels in library.sets:
        for precision in kernels.precisions:
            found = differences(library, kernels, precision)
            assert set(found) == {"product", "product and GELU", "attention", "LayerNorm"}
            assert max(found.values()) < {"float32": 1e-5, "bfloat16": 0.02, "int8": 0.08}[precision]


def test_the_choice_by_hand(library: Library, monkeypatch: pytest.MonkeyPatch) -> None:
    for kernels in library.sets:
        monkeypatch.setenv("ELECTRA_KERNELS", kernels.name)
        for precision in kernels.precisions:
            assert kernels_for(precision)[1] == kernels
    monkeypatch.setenv("ELECTRA_KERNELS", "none")
    assert available_precisions() == []
    engine = Engine(model())
    assert engine.kernels is None
    assert engine(batch([3])).last_hidden_state.shape == (3, 128)
    monkeypatch.setenv("ELECTRA_KERNELS", "avx1024")
    with pytest.raises(KernelsError, match="there is no such set; choose one of none, "):
        kernels_for("float32")


def test_a_set_that_the_processor_lacks(library: Library, monkeypatch: pytest.MonkeyPatch) -> None:
    names = [kernels.name for kernels in library.every]
    monkeypatch.setattr(library, "sets", library.sets[-1:])
    if len(names) == 1:
        pytest.skip("this kind of processor has one set alone")
    monkeypatch.setenv("ELECTRA_KERNELS", names[0])
    with pytest.raises(KernelsError, match=f"this processor lacks it; choose one of none, {names[-1]}"):
        kernels_for("float32")


def test_plain_torch_by_hand(monkeypatch: pytest.MonkeyPatch) -> None:
    network, given = model("ElectraForSequenceClassification"), batch([5, 3])
    monkeypatch.setenv("ELECTRA_REFERENCE_KERNELS", "1")
    engine = Engine(network)
    assert engine.why_torch == "ELECTRA_REFERENCE_KERNELS is set"
    assert torch.equal(engine(given).logits, network(given).logits)


def test_no_library(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ELECTRA_KERNELS_LIBRARY", str(tmp_path / "absent.so"))
    engine = Engine(model())
    assert engine.why_torch is not None
    assert "not built: run `python -m electra.inference.compiling`" in engine.why_torch
    with pytest.raises(ValueError, match=r"Possible here: float32$"):
        Engine(model(), precision="int8")


@pytest.mark.parametrize("what", ["damaged", "text", "empty", "foreign"])
def test_files_that_are_no_library_of_ours(
    what: str, library_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "libelectra_kernels.so"
    if what == "foreign":
        shutil.copy(sys.modules["_ctypes"].__file__ or "", path)
    else:
        whole = library_file.read_bytes()
        path.write_bytes({"damaged": whole[: len(whole) // 3], "text": b"hello", "empty": b""}[what])
    monkeypatch.setenv("ELECTRA_KERNELS_LIBRARY", str(path))
    with pytest.warns(RuntimeWarning, match="The model runs on torch"):
        engine = Engine(model())
    assert engine.why_torch
    assert Engine(model()).why_torch == engine.why_torch  # said once
    assert engine(batch([3])).last_hidden_state.shape == (3, 128)


def test_a_library_of_another_version(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from electra.inference import kernel_library as module

    try:
        compiler = find_compiler()
    except CompilerError as error:
        pytest.skip(str(error))
    functions = "".join(f'extern "C" void {name}() {{}}\n' for name in module._FUNCTIONS)
    source, path = tmp_path / "other.cpp", tmp_path / "other.so"
    source.write_text(f'extern "C" int electra_interface() {{ return 99; }}\n{functions}')
    subprocess.run([*compiler, "-shared", "-fPIC", "-o", str(path), str(source)], check=True)
    path.write_bytes(sealed(path.read_bytes()))
    monkeypatch.setenv("ELECTRA_KERNELS_LIBRARY", str(path))
    with (
        pytest.warns(
            RuntimeWarning,
            match=r"\(interface 99, and 1 is needed\): run `python -m electra.inference.compiling` again",
        ),
        pytest.raises(KernelsError, match="another version"),
    ):
        open_library()


def test_wrong_kernels_are_left_out(library: Library, monkeypatch: pytest.MonkeyPatch) -> None:
    from electra.inference import checks

    fastest = library.sets[0].name
    real = differences

    def wrong(of: Library, kernels: object, precision: str) -> dict[str, float]:
        found = real(of, kernels, precision)  # type: ignore[arg-type]
        return found | {"product": 0.7} if getattr(kernels, "name", "") == fastest else found

    monkeypatch.setattr(checks, "differences", wrong)
    checks._is_right.cache_clear()
    try:
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            found = available_precisions()
        told = [str(warning.message) for warning in caught]
        assert len(told) == len(library.sets[0].precisions)
        assert all(f"the {fastest} kernels for " in message for message in told)
        assert "product differs from torch by 7.0e-01" in told[0]
        assert all(kernels_for(precision)[1].name != fastest for precision in found)
    finally:
        checks._is_right.cache_clear()
