"""What happens when a process is asked to end? A run is saved and ends; anything else ends as by Ctrl-C."""

from __future__ import annotations

import contextlib
import signal
import threading
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, NoReturn, Protocol

from intel_core.training.stopping import StopReason

if TYPE_CHECKING:
    from types import FrameType

__all__ = ["Stoppable", "interrupt_on_signals", "stop_on_signals"]

_SIGNALS = (signal.SIGINT, signal.SIGTERM)


class Stoppable(Protocol):
    """Something that ends after its current step when it is told to."""

    @property
    def stop_reason(self) -> StopReason | None:
        """Why it is to end, if it is."""
        ...

    def stop(self, reason: StopReason) -> None:
        """End after the current step."""
        ...


@contextlib.contextmanager
def stop_on_signals(trainer: Stoppable) -> Iterator[None]:
    """The first SIGINT or SIGTERM ends a run after its step, saved; a second one raises KeyboardInterrupt."""

    def stop(number: int, frame: FrameType | None) -> None:
        if trainer.stop_reason is not None:
            raise KeyboardInterrupt
        trainer.stop(StopReason(f"signal {signal.Signals(number).name}", "signal"))

    with _handled(stop):
        yield


@contextlib.contextmanager
def interrupt_on_signals() -> Iterator[None]:
    """SIGTERM raises KeyboardInterrupt as SIGINT does, so that what is open is closed and said.

    >>> try:
    ...     with interrupt_on_signals():
    ...         signal.raise_signal(signal.SIGTERM)
    ... except KeyboardInterrupt as error:
    ...     print("closed by", error)
    closed by SIGTERM
    """

    def interrupt(number: int, frame: FrameType | None) -> NoReturn:
        raise KeyboardInterrupt(signal.Signals(number).name)

    with _handled(interrupt):
        yield


@contextlib.contextmanager
def _handled(handler: Callable[[int, FrameType | None], None]) -> Iterator[None]:
    """Both signals go to a handler; outside the main thread, where Python allows none, to nobody."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {number: signal.signal(number, handler) for number in _SIGNALS}
    try:
        yield
    finally:
        for number, former in before.items():
            signal.signal(number, former)
