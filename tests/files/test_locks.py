"""One process at a time in a folder, and who is refused learns by whom."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from electra.files.locks import LOCK_FILES, lock_folder, try_lock_folder

HOLDS = """
import sys, time
from pathlib import Path
from electra.files.locks import lock_folder
lock = lock_folder(Path(sys.argv[1]), "works here", "wait")
print("held", flush=True)
sys.stdin.readline()
lock.release()
"""


def held_by_another(folder: Path) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", HOLDS, str(folder)]
    other = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert other.stdout is not None
    assert other.stdout.readline() == "held\n"
    return other


def test_a_folder_that_another_process_holds_is_refused_with_its_number(tmp_path: Path) -> None:
    with held_by_another(tmp_path) as other:
        with pytest.raises(BlockingIOError, match=rf"another process \(process {other.pid} on .*\) works here: wait"):
            lock_folder(tmp_path, "works here", "wait")
        assert try_lock_folder(tmp_path) is None
        other.communicate("\n")
    assert not any(tmp_path.iterdir()), "a released lock leaves no file"
    lock_folder(tmp_path, "works here", "wait").release()


@pytest.mark.skipif(os.name != "posix", reason="SIGKILL")
def test_what_a_killed_process_held_is_free(tmp_path: Path) -> None:
    with held_by_another(tmp_path) as other:
        other.send_signal(signal.SIGKILL)
        other.wait()
        assert {path.name for path in tmp_path.iterdir()} == set(LOCK_FILES)
        lock_folder(tmp_path, "works here", "wait").release()
    assert not any(tmp_path.iterdir())


def test_a_released_lock_can_be_released_again_and_its_folder_may_be_gone(tmp_path: Path) -> None:
    folder = tmp_path / "folder"
    folder.mkdir()
    lock = lock_folder(folder, "works here", "wait")
    lock.moved(folder.rename(tmp_path / "other"))
    lock.release()
    lock.release()
    assert not any((tmp_path / "other").iterdir())
