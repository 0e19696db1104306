"""What happens when a process is asked to end? A training is saved and ends; anything else ends as by Ctrl-C."""

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
    """Something that can be asked to end after its current step."""

    @property
    def stop_reason(self) -> StopReason | None:
        """Why it ends, if it has been asked to."""
        ...

    def stop(self, reason: StopReason) -> None:
        """Ask it to end after the current step."""
        ...


@contextlib.contextmanager
def stop_on_signals(trainer: Stoppable) -> Iterator[None]:
    """The first SIGINT or SIGTERM saves and ends a run after its current step; the second raises KeyboardInterrupt."""

    def stop(number: int, frame: FrameType | None) -> None:
        if trainer.stop_reason is not None:
            raise KeyboardInterrupt
        trainer.stop(StopReason(f"signal {signal.Signals(number).name}", "signal"))

    with _handled(stop):
        yield


@contextlib.contextmanager
def interrupt_on_signals() -> Iterator[None]:
    """A block in which SIGTERM raises KeyboardInterrupt as SIGINT does, so that open resources are closed.

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
    """Handle both signals; outside the main thread, where Python allows no handlers, nothing changes."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {number: signal.signal(number, handler) for number in _SIGNALS}
    try:
        yield
    finally:
        for number, former in before.items():
            signal.signal(number, former)
