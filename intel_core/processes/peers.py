r"""What do the processes that share each batch tell each other? As much as makes their step that of one.

Every process holds the same model, the same order of the data and the same random numbers, draws the whole batch's
indices and noise and computes its own slice of the rows. What must be the whole batch's is made so: gradients are
averaged, a mapping with auxiliary losses is given the y of all rows, and batch normalisation has the statistics of all
rows. So a seed means what it means in one process, and the result is the same but for rounding.

The algebra. Process r has the loss :math:`L_r`, a mean over its rows; that of the whole batch is
:math:`L = \frac1W \sum_r L_r`.
Wherever values of other processes were used, the way back sums over all processes, so that each holds
:math:`\partial \sum_q L_q / \partial` of its own activations; the average of all gradients is then that of L. A
regulariser of the whole batch is the same number in each :math:`L_r`, and so once in L.
"""

from __future__ import annotations

import contextlib
import functools
import re
import subprocess
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any, TypeVar, cast

import torch
import torch.distributed as dist
from torch import Tensor, nn

from intel_core.errors import DivergenceError, RunError, SpecError
from intel_core.processes.batch_norm import normalise

if TYPE_CHECKING:
    from intel_core.mappings.contract import Regularised
    from intel_core.model.vae import InteLVAE

__all__ = ["Gradients", "PeerError", "Peers", "agreeing", "part", "reason_of"]

_T = TypeVar("_T")
_FAILED = "intelvae/failed"
_LOOK_EVERY = 10
"""Steps between looks at the flags on an accelerator, which has to be waited for to read them."""
_DRIFT = 1e-3


class PeerError(RunError):
    """Another process of this run has failed or is gone."""


def agreeing(peers: Peers | None) -> contextlib.AbstractContextManager[None]:
    """A block that goes wrong in all processes if it does in one; nothing special in a single process.

    No process may wait for another one inside.
    """
    return contextlib.nullcontext() if peers is None else peers.agreeing()


class Peers:
    """The processes that share each batch.

    Args:
        rank: number of this process, from 0.
        size: how many there are.
        device: where this one computes.
        size_here: how many are on this machine.
        children: those that this one has started.

    Attributes:
        computing: whether this process is in a step that the others take as well; only then values are exchanged on
            the way through the model.
        wish: why this process wants to stop, if it does.
        must_stop: whether some process wanted to stop when the gradients were averaged last.
        must_save: whether the first process found then that a checkpoint is due.
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
        self.rank, self.size, self.device = rank, size, device
        self._children = children
        self.size_here = size if size_here is None else size_here
        self.computing = False
        self.wish: str | None = None
        self.must_stop = self.must_save = False
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
        """What each process says."""
        said: list[Any] = [None] * self.size
        with self._talking():
            dist.all_gather_object(said, value)
        return said

    def from_first(self, say: Callable[[], _T]) -> _T:
        """What the first process says, which alone is asked.

        Raises:
            PeerError: in the others, where that fails.
        """
        said: list[Any] = [None]
        with self.agreeing():
            if self.rank == 0:
                said = [say()]
        with self._talking():
            dist.broadcast_object_list(said, src=0)
        return cast("_T", said[0])

    @contextlib.contextmanager
    def agreeing(self) -> Iterator[None]:
        """See `agreeing`."""
        own: Exception | None = None
        try:
            yield
        except PeerError:
            raise
        except Exception as error:
            own = error
        told = self.exchange(None if own is None else _in_a_line(own))
        for rank, text in enumerate(told):
            if text is not None:
                self._agreed = PeerError(f"process {rank}: {text}") if own is None else own
                raise self._agreed

    def is_agreed(self, error: BaseException) -> bool:
        """Whether all processes have this error at the same moment, and can still talk."""
        return error is self._agreed or isinstance(error, DivergenceError)

    def leave(self, error: BaseException) -> None:
        """Tell the others what has happened here, and let none of them wait for this process any more."""
        if not isinstance(error, PeerError):
            with contextlib.suppress(Exception):
                text = _in_a_line(error)
                dist.distributed_c10d._get_default_store().set(_FAILED, f"process {self.rank}: {text}")
        if self.device.type == "cuda":  # where a process that waits for another one does not see that it is gone
            for child in self._children:
                child.kill()
        part()

    @contextlib.contextmanager
    def _talking(self) -> Iterator[None]:
        """A connection that breaks is told as what the other process said last."""
        try:
            yield
        except (RuntimeError, ValueError) as error:
            said = ""
            with contextlib.suppress(Exception):
                store = dist.distributed_c10d._get_default_store()
                said = store.get(_FAILED).decode() if store.check([_FAILED]) else ""
            gone = f"another of the {self.size} processes has ended or does not answer ({reason_of(error)})"
            raise PeerError(said or f"{gone}; resume goes on from the newest checkpoint") from error

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
        """Give every process the first one's weights and buffers, in place."""
        with self._talking():
            for tensor in model.state_dict().values():
                whole = tensor.contiguous()
                dist.broadcast(whole, src=0)
                tensor.copy_(whole)

    def spread(self, model: InteLVAE) -> None:
        """Let a model see the whole batch wherever a row's result hangs on the others, while `computing`."""
        model.peers = self
        for layer in model.modules():
            if isinstance(layer, nn.modules.batchnorm._BatchNorm):
                # On this object alone, which keeps its class and the names of its tensors.
                setattr(layer, "forward", functools.partial(normalise, layer, type(layer).forward, self))  # noqa: B010

    @staticmethod
    def release(model: InteLVAE) -> None:
        """Undo `spread`."""
        model.peers = None
        for layer in model.modules():
            if isinstance(layer, nn.modules.batchnorm._BatchNorm):
                layer.__dict__.pop("forward", None)

    def map_whole(self, mapping: Regularised, y: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
        """Representations of this process's rows, and the auxiliary losses of all rows.

        Args:
            mapping: a mapping with auxiliary losses.
            y: this process's rows, ``(..., n, y_dim)``.
        """
        rows = y.shape[-2]
        z, losses = mapping.map_with_regularisers(_Gather.apply(y, self))  # type: ignore[no-untyped-call]  # torch's own gap
        return z[..., self.rank * rows : (self.rank + 1) * rows, :], losses

    # --- the end -----------------------------------------------------------------------------------------------

    def agree_on_wish(self) -> str | None:
        """Why some process wants to stop, the same answer in all."""
        own = self.wish
        wishes = self.exchange(own)
        if own is not None:
            self.wish = None  # one that a signal brought while the others were waited for is still to be told
        return next((wish for wish in wishes if wish is not None), None)

    def require_same(self, model: nn.Module) -> None:
        """Find out where something, a plugin say, has changed the model of one process alone.

        Raises:
            RunError: in all processes, if the norms of their weights differ by more than a thousandth.
        """
        norm = float(torch.nn.utils.get_total_norm([p.detach() for p in model.parameters()]))
        norms = self.exchange(norm)
        if max(norms) - min(norms) > _DRIFT * max(norms):
            self._agreed = RunError(
                f"the models of the {self.size} processes differ; does a plugin change one of them?"
            )
            raise self._agreed


class Gradients:
    """The gradients of some parameters as one buffer, so that one message a step averages them.

    Behind them lie two flags, somebody wants to stop and a checkpoint is due, and for each parameter how many
    processes have a gradient for it.
    """

    def __init__(self, peers: Peers, parameters: Sequence[nn.Parameter]) -> None:
        self._peers, self._parameters, self._taken = peers, parameters, 0
        dtype = functools.reduce(torch.promote_types, (p.dtype for p in parameters), torch.float32)
        sizes = [p.numel() for p in parameters]
        self._flat = torch.zeros(sum(sizes) + 2 + len(sizes), dtype=dtype, device=peers.device)
        *parts, self._flags = torch.split(self._flat, [*sizes, 2 + len(sizes)])
        self._views = [part.view(p.shape) for part, p in zip(parts, parameters, strict=True)]
        self._usual = torch.ones_like(self._flags)
        self._usual[:2] = 0

    @torch.no_grad()
    def average(self, *, due: bool) -> None:
        """Replace each gradient by its mean over processes; a missing one counts as zero where another has one.

        Args:
            due: whether this process finds that a checkpoint is due.
        """
        peers = self._peers
        self._flags.copy_(self._usual)
        if peers.wish is not None:
            self._flags[0] = 1
        if due:
            self._flags[1] = 1
        own = [p.grad for p in self._parameters]
        missing = [i for i, gradient in enumerate(own) if gradient is None]
        for i in missing:
            self._flags[2 + i] = 0
            self._views[i].zero_()
        there = [(view, gradient) for view, gradient in zip(self._views, own, strict=True) if gradient is not None]
        views, gradients = [view for view, _ in there], [gradient for _, gradient in there]
        torch._foreach_copy_(views, gradients)
        peers.sum_(self._flat).div_(peers.size)
        torch._foreach_copy_(gradients, views)
        for i in missing:
            if bool(self._flags[2 + i] > 0):
                self._parameters[i].grad = self._views[i].to(self._parameters[i].dtype, copy=True)
        self._taken += 1
        looks = peers.device.type == "cpu" or self._taken % _LOOK_EVERY == 0
        peers.must_stop, peers.must_save = (self._flags[:2] > 0).tolist() if looks else (False, False)


class _Gather(torch.autograd.Function):
    """``(..., n, d)`` of each process, as ``(..., W n, d)``; on the way back, the sum over processes of own rows."""

    @staticmethod
    def forward(ctx: Any, rows: Tensor, peers: Peers) -> Tensor:
        ctx.peers, ctx.rows = peers, rows.shape[-2]
        return peers.gather(rows, -2)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None]:
        whole = ctx.peers.sum_(gradient.clone(memory_format=torch.contiguous_format))
        return whole[..., ctx.peers.rank * ctx.rows : (ctx.peers.rank + 1) * ctx.rows, :], None


def part() -> None:
    """Close the connections, if they are still open."""
    with contextlib.suppress(Exception):
        dist.destroy_process_group()


def reason_of(error: BaseException) -> str:
    """The first sentence of what torch says, without the place in its source."""
    return re.sub(r"^\[\S+:\d+\] ", "", _in_a_line(error)).split(". ")[0]


def _in_a_line(error: BaseException) -> str:
    return " ".join(str(error).split()) or type(error).__name__
