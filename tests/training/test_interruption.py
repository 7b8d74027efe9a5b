"""Signals: the first is noted, the second acts, and afterwards all is as before."""

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
        assert signal.getsignal(number) is before  # a second one acts
    assert signal.getsignal(number) is before


def test_the_second_ctrl_c_interrupts() -> None:
    before = signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background jobs ignore it
    try:
        with Interruption():
            os.kill(os.getpid(), signal.SIGINT)
            with pytest.raises(KeyboardInterrupt):
                os.kill(os.getpid(), signal.SIGINT)
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
