"""Compile the kernels for CPUs into one shared library: `python -m electra.inference.compiling`

The library is written beside this file, or to the path that is given as an argument. It has an object for each
instruction set, and the engine chooses among them by the processor. Installation does not compile anything: until this
command (or `make kernels`) has run, everything is computed by torch. Only the standard library is imported.
"""

from __future__ import annotations

import hashlib
import os
import platform
import shlex
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

SOURCES = Path(__file__).parent / "native"
LIBRARY_NAME = "libelectra_kernels.so"

MARK = b"electra kernels\0"

FLAGS = ["-std=c++17", "-O3", "-fPIC", "-pthread", "-fvisibility=hidden", "-fno-exceptions", "-fno-rtti"]
FLAGS += ["-ffp-contract=off"]  # every sum is rounded alike, whichever function it is in
FLAGS += ["-Wall", "-Wextra", "-Wno-uninitialized", "-Wno-maybe-uninitialized"]  # GCC 12 warns of its own headers

# object: the instruction set's flags, and the features that its code needs
X86 = {
    "amx": ("-march=sapphirerapids", "AMX"),
    "avx512": ("-march=cascadelake", "AVX512 | AVX512_VNNI"),
    "avx2_vnni": ("-march=haswell -mavxvnni", "AVX2 | AVX_VNNI"),
    "avx2": ("-march=haswell", "AVX2"),
}
ARM = {"neon": ("-march=armv8.2-a+dotprod", "NEON")}


class CompilerError(Exception):
    """There is no C++ compiler, or it fails; the message is one line."""


def find_compiler() -> list[str]:
    """The command of the C++ compiler: `CXX`, or the first of c++, g++ and clang++ that exists."""
    chosen = os.environ.get("CXX", "").strip()
    if chosen:
        command = shlex.split(chosen)
        if not shutil.which(command[0]):
            raise CompilerError(f"CXX={chosen}: there is no such program")
        return command
    for name in ("c++", "g++", "clang++"):
        if shutil.which(name):
            return [name]
    raise CompilerError("no C++ compiler was found (c++, g++, clang++, or the program that CXX names)")


def instruction_sets(machine: str | None = None) -> dict[str, tuple[str, str]]:
    """The objects for a machine: "x86_64", "aarch64"; default: this one."""
    machine = (machine or platform.machine()).lower()
    if machine in ("x86_64", "amd64"):
        return X86
    if machine in ("aarch64", "arm64"):
        return ARM
    raise CompilerError(f"there are no kernels for this kind of processor ({machine})")


def compile_kernels(
    target: Path,
    *,
    compiler: list[str] | None = None,
    machine: str | None = None,
    further_flags: Sequence[str] = (),
) -> None:
    """Write the library to `target`, whole or not at all.

    Args:
        target: the library's path; its folder is made if need be.
        compiler: the command. Default: `find_compiler()`.
        machine: the kind of processor to compile for. Default: this one.
        further_flags: for the compiler, behind its own.

    Raises:
        CompilerError: no compiler, or its first line of error.
    """
    if not sys.platform.startswith("linux") and machine is None:
        raise CompilerError(f"the kernels are for Linux, and this is {sys.platform}")
    compiler = compiler or find_compiler()
    flags = [*compiler, *FLAGS, *further_flags]
    with tempfile.TemporaryDirectory() as temporary:
        commands = [
            [*flags, "-c", str(SOURCES / f"{name}.cpp"), "-o", f"{temporary}/{name}.o"] for name in ("library", "team")
        ]
        for name, (options, needs) in instruction_sets(machine).items():
            names = [f"-DKERNEL_SET=kernels_{name}", f'-DKERNEL_NAME="{name}"', f"-DKERNEL_NEEDS={needs}"]
            source = str(SOURCES / "kernels.cpp")
            commands.append([*flags, *options.split(), *names, "-c", source, "-o", f"{temporary}/{name}.o"])
        with ThreadPoolExecutor(os.cpu_count()) as pool:
            list(pool.map(_run, commands))
        built = Path(temporary) / LIBRARY_NAME
        objects = [command[-1] for command in commands]
        _run([*compiler, *further_flags, "-shared", "-pthread", *objects, "-o", str(built)])
        target.parent.mkdir(parents=True, exist_ok=True)
        partial = target.with_name(f"{target.name}.{os.getpid()}.partial")
        partial.write_bytes(sealed(built.read_bytes()))
        os.replace(partial, target)


def sealed(library: bytes) -> bytes:
    """A library with a checksum behind it. The system loads a damaged one too, and the process dies."""
    return library + MARK + hashlib.sha256(library).digest()


def is_whole(library: bytes) -> bool:
    """Whether a file's bytes are those that `sealed` gave."""
    return len(library) > len(MARK) + 32 and sealed(library[: -len(MARK) - 32]) == library


def _run(command: list[str]) -> None:
    try:
        result = subprocess.run(command, capture_output=True, text=True, errors="replace")
    except OSError as error:
        raise CompilerError(f"{command[0]} cannot be started: {error}") from error
    if result.returncode:
        lines = [line.strip() for line in result.stderr.splitlines() if line.strip()]
        first = next((line for line in lines if "error" in line.lower()), lines[0] if lines else "no message")
        raise CompilerError(f"{command[0]} failed: {first}")


if __name__ == "__main__":
    path = Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).parent / LIBRARY_NAME
    try:
        compile_kernels(path)
    except CompilerError as failure:
        sys.exit(str(failure))
    print(path)
