"""Signals are heard where nothing is left half done; a second one everywhere."""

import os
import signal

import pytest

from streams.interruption import SIGNALS, Interruption


@pytest.mark.parametrize("number", SIGNALS)
def test_a_signal_waits_for_the_next_check_and_raises_once(number: signal.Signals) -> None:
    with Interruption() as interruption:
        interruption.check()
        os.kill(os.getpid(), number)
        with pytest.raises(KeyboardInterrupt):
            interruption.check()
        # What ends the work may warn, and a warning checks.
        interruption.check()


def test_a_signal_raises_at_once_where_that_is_allowed() -> None:
    with Interruption() as interruption:
        interruption.allowed = True
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGINT)
        interruption.check()


def test_a_second_signal_raises_everywhere() -> None:
    with Interruption():
        signal.raise_signal(signal.SIGINT)
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGINT)


def test_handlers_are_put_back() -> None:
    before = [signal.getsignal(number) for number in SIGNALS]
    with Interruption():
        assert signal.getsignal(signal.SIGINT) != before[0]
    assert [signal.getsignal(number) for number in SIGNALS] == before
