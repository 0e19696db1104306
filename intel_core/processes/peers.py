r"""What do the processes that share each batch exchange? Enough for their step to equal that of one process.

Every process holds the same model, the same order of the data and the same random numbers, draws the whole batch's
indices and noise and computes its own slice of the rows. Whatever depends on the whole batch is exchanged: gradients
are averaged, a mapping with auxiliary losses is given the y of all rows, and batch normalisation has the statistics of
all rows. A seed therefore has the same meaning as in one process, and the result is the same up to rounding.

The algebra. Process r has the loss :math:`L_r`, a mean over its rows; that of the whole batch is
:math:`L = \frac1W \sum_r L_r`.
Wherever values of other processes were used, the backward pass sums over all processes, so that each holds
:math:`\partial \sum_q L_q / \partial` of its own activations; the average of all gradients is then that of L. A
regulariser of the whole batch is the same number in each :math:`L_r`, and so once in L.
"""

from __future__ import annotations

import contextlib
import math
import re
import subprocess
from collections.abc import Callable, Iterator, Sequence
from typing import TypeVar, cast

import torch
import torch.distributed as dist
from torch import Tensor, nn

from intel_core.errors import DataError, DivergenceError, EnvironmentProblem, PluginError, RunError, SpecError
from intel_core.processes.messages import MOST_BYTES, decode, encode
from intel_core.processes.whole_batch import Gradients, release, spread
from intel_core.training.process_group import ProcessGroup
from intel_core.training.stopping import StopReason

__all__ = ["PeerError", "Peers", "disconnect", "first_sentence"]

_T = TypeVar("_T")
_FAILED = "intelvae/failed"
_DRIFT = 1e-3
_KINDS: dict[str, type[Exception]] = {
    kind.__name__: kind
    for kind in (DataError, DivergenceError, EnvironmentProblem, PluginError, RunError, SpecError, Exception)
}
"""Errors that are told apart in other processes, by name."""


class PeerError(EnvironmentProblem):
    """Another process of this run has failed or is gone.

    Args:
        message: what is told of it.
        kind: which error the other process had; its exit code is that of the run.
    """

    def __init__(self, message: str, kind: type[Exception] = EnvironmentProblem) -> None:
        super().__init__(message)
        self.kind = kind


class Peers(ProcessGroup):
    """Several processes that share each batch.

    Args:
        rank: number of this process, from 0.
        size: how many there are.
        device: where this one computes.
        size_here: how many are on this machine.
        children: those that this one has started.

    Attributes:
        is_computing: whether this process is in a step that the others take as well; only then does the model exchange
            values with them.
        wish: why this process wants to stop, if it does.
        must_stop: whether some process wanted to stop when the gradients were last averaged.
        must_save: whether the first process found at that time that a checkpoint is due.
    """

    def __init__(
        self,
        rank: int,
        size: int,
        device: torch.device,
        *,
        size_here: int | None = None,
        children: Sequence[subprocess.Popen[bytes]] = (),
    ) -> None:
        self.rank, self.size = rank, size
        self.device: torch.device = device
        self._children = children
        self.size_here = size if size_here is None else size_here
        self.is_computing = False
        self.wish: StopReason | None = None
        self.must_stop = self.must_save = False
        self._rows = slice(None)
        self._gradients: Gradients | None = None
        self._agreed: BaseException | None = None

    def rows(self, batch_size: int) -> slice:
        """This process's rows of a batch.

        Raises:
            SpecError: if the batch cannot be divided evenly.

        >>> Peers(1, 2, torch.device("cpu")).rows(100)
        slice(50, 100, None)
        >>> Peers(1, 2, torch.device("cpu")).rows(101)
        Traceback (most recent call last):
        intel_core.errors.SpecError: a batch of 101 examples does not divide among 2 processes; 100 or 102 would
        """
        share, rest = divmod(batch_size, self.size)
        if rest:
            near = " or ".join(str(n * self.size) for n in (share, share + 1) if n)
            raise SpecError(
                f"a batch of {batch_size} examples does not divide among {self.size} processes; {near} would"
            )
        return slice(self.rank * share, (self.rank + 1) * share)

    def exchange(self, value: _T) -> list[_T]:
        """What each process says; see `intel_core.processes.messages` for what that may be, tensors not among it.

        Raises:
            TypeError: for any other value.
        """
        content, tensors = encode(value)
        if tensors:
            raise TypeError("a tensor is no word; see from_first, sum_, mean and gather")
        own = torch.frombuffer(bytearray(content), dtype=torch.uint8).to(self.device)
        sizes = self.gather(torch.tensor([len(own)], device=self.device)).tolist()
        self._require_bounded(sizes)
        padded = torch.nn.functional.pad(own, (0, max(sizes) - len(own)))
        said = self.gather(padded[None]).cpu().unbind()
        return [decode(row[:size].numpy().tobytes()) for row, size in zip(said, sizes, strict=True)]

    def from_first(self, say: Callable[[], _T]) -> _T:
        """What the first process says, which alone is asked; tensors may be in it.

        Raises:
            PeerError: in the others, where that fails.
        """
        said: list[_T] = []
        content, tensors = b"", list[Tensor]()
        with self.agreeing():
            if self.rank == 0:
                said = [say()]
                content, tensors = encode(said[0])
        size = self._broadcast(torch.tensor([len(content)], device=self.device))
        self._require_bounded([int(size)])
        row = torch.frombuffer(bytearray(content), dtype=torch.uint8) if content else torch.empty(int(size)).byte()
        content = self._broadcast(row.to(self.device)).cpu().numpy().tobytes()
        if self.rank == 0:
            for tensor in tensors:
                self._broadcast(tensor.to(self.device).contiguous().reshape(-1).view(torch.uint8))
            return said[0]
        return cast("_T", decode(content, self._receive))

    def _receive(self, dtype: torch.dtype, shape: list[int]) -> Tensor:
        row = torch.empty(math.prod(shape) * dtype.itemsize, dtype=torch.uint8, device=self.device)
        return self._broadcast(row).view(dtype).reshape(shape).cpu()

    def _broadcast(self, values: Tensor) -> Tensor:
        """The first process's values in the place of these."""
        if values.numel():
            with self._talking():
                dist.broadcast(values, src=0)
        return values

    def _require_bounded(self, sizes: Sequence[int]) -> None:
        """Whether messages are as long as messages are, before there is room made for them."""
        if not all(0 < size <= MOST_BYTES for size in sizes):
            raise PeerError(f"another of the {self.size} processes sends a message of {max(sizes):,} bytes")

    @contextlib.contextmanager
    def agreeing(self) -> Iterator[None]:
        """As `ProcessGroup.agreeing`."""
        own: Exception | None = None
        try:
            yield
        except PeerError:
            raise
        except Exception as error:
            own = error
        told = self.exchange(None if own is None else (_kind_of(own), _in_a_line(own)))
        for rank, said in enumerate(told):
            if said is not None:
                kind, text = said
                self._agreed = PeerError(f"process {rank}: {text}", _KINDS[kind]) if own is None else own
                raise self._agreed

    def is_agreed(self, error: BaseException) -> bool:
        """Whether all processes have this error at the same moment, and can still communicate."""
        return error is self._agreed or isinstance(error, DivergenceError)

    def leave(self, error: BaseException) -> None:
        """Tell the others what has happened here, and make sure that none of them waits for this process."""
        if not isinstance(error, PeerError):
            with contextlib.suppress(Exception):
                text = _in_a_line(error)
                said = f"{_kind_of(error)} process {self.rank}: {text}"
                dist.distributed_c10d._get_default_store().set(_FAILED, said)
        if self.device.type == "cuda":  # there a process that waits for another does not notice that it has ended
            for child in self._children:
                child.kill()
        disconnect()

    @contextlib.contextmanager
    def _talking(self) -> Iterator[None]:
        """A block in which a broken connection is reported as the last error of the other process."""
        try:
            yield
        except (RuntimeError, ValueError) as error:
            said = ""
            with contextlib.suppress(Exception):
                store = dist.distributed_c10d._get_default_store()
                said = store.get(_FAILED).decode() if store.check([_FAILED]) else ""
            if said:
                kind, _, said = said.partition(" ")
                raise PeerError(said, _KINDS[kind]) from error
            gone = f"another of the {self.size} processes has ended or does not answer ({first_sentence(error)})"
            raise PeerError(f"{gone}; resume goes on from the newest checkpoint") from error

    # --- tensors -----------------------------------------------------------------------------------------------

    def sum_(self, values: Tensor) -> Tensor:
        """The sum over processes, in place."""
        with self._talking():
            dist.all_reduce(values)
        return values

    def mean(self, values: Tensor) -> Tensor:
        """The mean over processes of equally many rows."""
        return self.sum_(values.detach().clone()).div_(self.size)

    def gather(self, values: Tensor, dim: int = 0) -> Tensor:
        """The values of all processes, one after another along a dimension; no gradient."""
        values = values.detach().contiguous()
        parts = [torch.empty_like(values) for _ in range(self.size)]
        with self._talking():
            dist.all_gather(parts, values)
        return torch.cat(parts, dim)

    @torch.no_grad()
    def share(self, model: nn.Module) -> None:
        """As `ProcessGroup.share`."""
        for tensor in model.state_dict().values():
            tensor.copy_(self._broadcast(tensor.contiguous()))

    # --- around a training -------------------------------------------------------------------------------------

    def begin(self, model: nn.Module, batch_size: int) -> None:
        """While steps are computed, let a model see the whole batch wherever the result of a row depends on other rows.

        Raises:
            SpecError: if a batch does not divide among the processes.
        """
        self._rows = self.rows(batch_size)
        self._gradients = Gradients(self, list(model.parameters()))
        spread(model, self)

    def end(self, model: nn.Module) -> None:
        """As `ProcessGroup.end`."""
        release(model)
        self._gradients = self.wish = None

    def require_same(self, model: nn.Module) -> None:
        """As `ProcessGroup.require_same`; norms of weights may differ by one part in a thousand."""
        norm = float(torch.nn.utils.get_total_norm([p.detach() for p in model.parameters()]))
        norms = self.exchange(norm)
        if max(norms) - min(norms) > _DRIFT * max(norms):
            self._agreed = RunError(
                f"the models of the {self.size} processes differ; does a plugin change one of them?"
            )
            raise self._agreed

    # --- within a step -----------------------------------------------------------------------------------------

    def own(self, rows: Tensor, dim: int) -> Tensor:
        """As `ProcessGroup.own`."""
        return rows.narrow(dim, self._rows.start, self._rows.stop - self._rows.start)

    @contextlib.contextmanager
    def computing(self) -> Iterator[None]:
        """As `ProcessGroup.computing`."""
        self.is_computing = True
        yield
        self.is_computing = False  # not after an exception, when whatever is still computed is computed alone

    def average_gradients(self, is_due: Callable[[], bool]) -> None:
        """As `ProcessGroup.average_gradients`: one message, which also carries the requests to stop and to save."""
        assert self._gradients is not None
        self.must_stop, self.must_save = self._gradients.average(wants_to_stop=self.wish is not None, is_due=is_due())

    # --- what is agreed upon -----------------------------------------------------------------------------------

    def ask_to_stop(self, reason: StopReason) -> None:
        """As `ProcessGroup.ask_to_stop`: the others are told with the next step."""
        self.wish = self.wish or reason

    def agree_to_stop(self) -> StopReason | None:
        """As `ProcessGroup.agree_to_stop`."""
        own = self.wish
        wishes = self.exchange(own)
        if own is not None:
            self.wish = None  # but a request that came by a signal during the exchange is kept, to be told next time
        return next((wish for wish in wishes if wish is not None), None)

    def agree_is_due(self, is_due: Callable[[], bool]) -> bool:
        """As `ProcessGroup.agree_is_due`: what the first process found when gradients were last averaged."""
        return self.must_save


def disconnect() -> None:
    """Close the connections, if they are still open."""
    with contextlib.suppress(Exception):
        dist.destroy_process_group()


def first_sentence(error: BaseException) -> str:
    """The first sentence of torch's message, without the place in its source."""
    return re.sub(r"^\[\S+:\d+\] ", "", _in_a_line(error)).split(". ")[0]


def _kind_of(error: BaseException) -> str:
    """The name of the kind of error that a user can correct; of bugs it is Exception."""
    if isinstance(error, MemoryError | torch.OutOfMemoryError | OSError) or isinstance(error.__cause__, OSError):
        return EnvironmentProblem.__name__
    if not isinstance(error, Exception):  # such as an interruption
        return EnvironmentProblem.__name__
    return next((kind.__name__ for kind in type(error).__mro__ if kind.__name__ in _KINDS), Exception.__name__)


def _in_a_line(error: BaseException) -> str:
    return " ".join(str(error).split()) or type(error).__name__
