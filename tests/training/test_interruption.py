"""Signals: they are noted, a second Ctrl-C acts, and afterwards all is as before."""

from __future__ import annotations

import os
import signal
import threading

import pytest

from electra.training.interruption import Interruption


@pytest.mark.parametrize(
    ("number", "code"),
    [(signal.SIGTERM, 75), (signal.SIGINT, 130), (signal.SIGUSR1, 75), (signal.SIGUSR2, 75)],
)
def test_a_signal_is_noted_and_names_its_exit_code(number: signal.Signals, code: int) -> None:
    before = signal.getsignal(number)
    with Interruption() as interruption:
        assert not interruption()
        os.kill(os.getpid(), number)
        assert interruption()
        assert interruption.exit_code == code
    assert signal.getsignal(number) is before


@pytest.mark.parametrize("second", [signal.SIGTERM, signal.SIGINT, signal.SIGUSR1])
@pytest.mark.parametrize("first", [signal.SIGTERM, signal.SIGINT, signal.SIGUSR1])
def test_a_second_signal_soon_after_the_first_changes_nothing(first: signal.Signals, second: signal.Signals) -> None:
    """As when the whole group of processes is signalled, and a launcher hands the signal on."""
    acted: list[int] = []
    before = {number: signal.signal(number, lambda *arguments: acted.append(1)) for number in {first, second}}
    try:
        with Interruption() as interruption:
            for number in (first, second, second):
                os.kill(os.getpid(), number)
            assert interruption.received == first
        assert acted == []
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def test_the_second_ctrl_c_interrupts_after_a_second(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 100.0
    monkeypatch.setattr("electra.training.interruption.time.monotonic", lambda: now)
    before = signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background jobs ignore it
    try:
        with Interruption() as interruption:
            os.kill(os.getpid(), signal.SIGTERM)
            for now in (102.0, 102.9):  # noqa: B007  the clock; a signal of another kind is no Ctrl-C
                os.kill(os.getpid(), signal.SIGINT)
            now = 103.1
            with pytest.raises(KeyboardInterrupt):
                os.kill(os.getpid(), signal.SIGINT)
            os.kill(os.getpid(), signal.SIGTERM)
            assert interruption.exit_code == 75
        assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    finally:
        signal.signal(signal.SIGINT, before)


def test_a_thread_may_train_too() -> None:
    codes: list[int] = []

    def work() -> None:
        with Interruption() as interruption:
            codes.append(interruption.exit_code)

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert codes == [0]
