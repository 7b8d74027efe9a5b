"""Compiling the kernels: compilers that are absent or fail, objects that share no code."""

from __future__ import annotations

import os
import shutil
import stat
import subprocess
from pathlib import Path

import pytest

from electra.inference import compiling
from electra.inference.compiling import CompilerError, compile_kernels, find_compiler, instruction_sets


def fake_compiler(folder: Path, script: str) -> list[str]:
    program = folder / "compiler"
    program.write_text(f"#!/bin/sh\n{script}\n")
    program.chmod(program.stat().st_mode | stat.S_IXUSR)
    return [str(program)]


def test_no_compiler(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("CXX", raising=False)
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(CompilerError, match=r"no C\+\+ compiler was found"):
        compile_kernels(tmp_path / "library.so")


def test_the_compiler_that_cxx_names(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("CXX", "no-such-compiler -O1")
    with pytest.raises(CompilerError, match="CXX=no-such-compiler -O1: there is no such program"):
        find_compiler()
    monkeypatch.setenv("CXX", f"{fake_compiler(tmp_path, 'exit 0')[0]} -O1")
    assert find_compiler()[1:] == ["-O1"]


def test_a_failing_compiler_is_reported_by_its_first_error(tmp_path: Path) -> None:
    script = "echo 'note: included' >&2; echo 'kernels.cpp:3: error: no such flag' >&2; echo 'more' >&2; exit 1"
    with pytest.raises(CompilerError, match=r"failed: kernels.cpp:3: error: no such flag$"):
        compile_kernels(tmp_path / "library.so", compiler=fake_compiler(tmp_path, script))
    with pytest.raises(CompilerError, match="no message"):
        compile_kernels(tmp_path / "library.so", compiler=fake_compiler(tmp_path, "exit 1"))
    (tmp_path / "compiler").chmod(0)
    with pytest.raises(CompilerError, match="cannot be started"):
        compile_kernels(tmp_path / "library.so", compiler=[str(tmp_path)])
    assert not (tmp_path / "library.so").exists()


def test_other_processors(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    assert list(instruction_sets("AMD64")) == ["amx", "avx512", "avx2_vnni", "avx2"]
    assert list(instruction_sets("arm64")) == ["neon"]
    with pytest.raises(CompilerError, match="no kernels for this kind of processor"):
        instruction_sets("riscv64")
    monkeypatch.setattr(compiling.sys, "platform", "win32")
    with pytest.raises(CompilerError, match="for Linux"):
        compile_kernels(tmp_path / "library.so")


@pytest.mark.skipif(not shutil.which("nm"), reason="needs nm")
def test_objects_share_no_code_that_needs_an_instruction_set(tmp_path: Path) -> None:
    """A function that two objects define would be one of them in the library, perhaps of a set that is not there."""
    try:
        compiler = find_compiler()
        names = instruction_sets()
    except CompilerError as error:
        pytest.skip(str(error))
    name, (flags, needs) = list(names.items())[-1]
    made = tmp_path / "kernels.o"
    defines = [f"-DKERNEL_SET=kernels_{name}", f'-DKERNEL_NAME="{name}"', f"-DKERNEL_NEEDS={needs}"]
    source = str(compiling.SOURCES / "kernels.cpp")
    subprocess.run(
        [*compiler, *compiling.FLAGS, "-O1", *flags.split(), *defines, "-c", source, "-o", str(made)], check=True
    )
    symbols = subprocess.run(["nm", "--defined-only", str(made)], check=True, capture_output=True, text=True).stdout
    shared = [line.split() for line in symbols.splitlines() if line.split()[-2] not in "trdbnp"]
    assert [words[-1] for words in shared] == [f"kernels_{name}"]


@pytest.mark.slow
def test_arm(tmp_path: Path) -> None:
    compiler = shutil.which("aarch64-linux-gnu-g++")
    if not compiler:
        pytest.skip("needs a compiler for ARM (apt install g++-aarch64-linux-gnu)")
    compile_kernels(tmp_path / "library.so", compiler=[compiler], machine="aarch64")
    assert (tmp_path / "library.so").stat().st_size > 10_000


@pytest.mark.slow
def test_the_library_is_written_whole(tmp_path: Path) -> None:
    try:
        compile_kernels(tmp_path / "new" / "library.so")
    except CompilerError as error:
        pytest.skip(str(error))
    assert os.listdir(tmp_path / "new") == ["library.so"]
