r"""Who else is computing this step? Processes that share each batch, on one machine or several.

Every process holds the same model, the same order of the data and the same random numbers, draws the whole batch's
indices and noise and computes its own slice of the rows. What must be the whole batch's is made so: gradients are
averaged, a mapping with auxiliary losses is given the y of all rows, and batch normalisation has the statistics of all
rows. So a seed means what it means in one process, and the result is the same but for rounding.

The algebra. Process r has the loss :math:`L_r`, a mean over its rows; that of the whole batch is
:math:`L = \frac1W \sum_r L_r`.
Wherever values of other processes were used, the way back sums over all processes, so that each holds
:math:`\partial \sum_q L_q / \partial` of its own activations; the average of all gradients is then that of L. A
regulariser of the whole batch is the same number in each :math:`L_r`, and so once in L.

Processes are started by Lightning Fabric, or by ``torchrun``. It is imported for several processes only.
"""

from __future__ import annotations

import atexit
import contextlib
import datetime
import functools
import importlib
import logging
import os
import re
import subprocess
import sys
import warnings
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar, cast

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.nn import functional as F

from intel_core.errors import DivergenceError, RunError, SpecError

if TYPE_CHECKING:
    from intel_core.mapping import Regularised
    from intel_core.model import InteLVAE

__all__ = ["PeerError", "Peers", "agreeing", "is_first", "joined", "process_count", "tells"]

_T = TypeVar("_T")
_TIMEOUT = datetime.timedelta(minutes=30)
_FAILED = "intelvae/failed"
_LOOK_EVERY = 10
"""Steps between looks at the flags on an accelerator, which has to be waited for to read them."""
_FROM_OUTSIDE = {"RANK", "WORLD_SIZE", "LOCAL_RANK"}
"""What torchrun tells the processes that it starts."""
_DRIFT = 1e-3
_PER_CORE = 4
"""Processes per core of a CPU that may be started: more than one is good for trying things out only."""


class PeerError(RunError):
    """Another process of this run has failed or is gone."""


# --- joining ---------------------------------------------------------------------------------------------------

_joined: Peers | None = None


def is_first() -> bool:
    """Whether this process is the one that writes and speaks; any process that computes alone is.

    >>> is_first()
    True
    """
    return _joined is None or _joined.rank == 0


def tells(error: BaseException) -> bool:
    """Whether this process is the one that tells its user of an error, which several may have at the same moment."""
    if _joined is not None:
        return _joined.rank == 0
    is_another = any(os.environ.get(name, "0") != "0" for name in ("RANK", "LOCAL_RANK"))
    return not (is_another and isinstance(error, PeerError))


def process_count(devices: int, nodes: int) -> tuple[int, int]:
    """How many processes there are to be on each machine, and how many machines: as asked, or as torchrun says.

    Raises:
        SpecError: if torchrun has started another number of processes than were asked for.

    >>> process_count(2, 1)
    (2, 1)
    """
    if _joined is not None:
        size, here = _joined.size, _joined.size_here
        who = "this script runs in"
    elif os.environ.keys() >= _FROM_OUTSIDE:
        size = int(os.environ["WORLD_SIZE"])
        here = int(os.environ.get("LOCAL_WORLD_SIZE", size))
        who = "torchrun has started"
    else:
        return devices, nodes
    if devices * nodes not in (1, size):
        raise SpecError(f"{who} {size} processes, but devices={devices}, nodes={nodes} ask for {devices * nodes}")
    return here, max(1, size // here)


@contextlib.contextmanager
def joined(devices: int, nodes: int, device: str, batch_size: int = 0) -> Iterator[Peers | None]:
    """The other processes of this run while a block lasts; None where this one computes alone.

    Where several are asked for and none have been started, this script is started again as often as needed. An error
    in any process ends the block in all: in the first one as that error, or as a `PeerError` that tells it.

    Args:
        devices: processes on each machine.
        nodes: machines.
        device: as in `RunSpec`; each process has one of its kind.
        batch_size: examples per step, where they are known.

    Raises:
        SpecError: if the batch does not divide among so many processes, or so many processes cannot be started here.
        PeerError: if another process fails.
    """
    global _joined
    here, machines = process_count(devices, nodes)
    if here * machines == 1:
        yield None
        return
    if _joined is None:
        Peers(0, here * machines, torch.device("cpu")).rows(batch_size)  # before anything is started
        _joined = _join(here, machines, device)
    peers = _joined
    with warnings.catch_warnings():
        if peers.rank > 0:
            warnings.simplefilter("ignore")
        try:
            yield peers
        except BaseException as error:
            if not peers.is_agreed(error):
                peers.leave(error)
            raise


def _join(here: int, machines: int, device: str) -> Peers:
    kind = _kind_of(device, here)
    outside = os.environ.keys() >= _FROM_OUTSIDE
    if not outside:
        _require_a_script(here)
        if machines > 1 and not os.environ.keys() >= {"MASTER_ADDR", "MASTER_PORT", "NODE_RANK"}:
            raise SpecError(
                f"nodes={machines}: start the command on each machine with torchrun --nnodes {machines} "
                f"--nproc-per-node {here} …, or set MASTER_ADDR, MASTER_PORT and NODE_RANK there"
            )
    try:
        fabric_module = importlib.import_module("lightning_fabric")
        strategies = importlib.import_module("lightning_fabric.strategies")
        environments = importlib.import_module("lightning_fabric.plugins.environments")
    except ImportError:
        raise SpecError(
            f"{here * machines} processes need Lightning Fabric: pip install 'intelvae-core[distributed]'"
        ) from None
    logging.getLogger("lightning_fabric").setLevel(logging.WARNING)  # it tells of every process that joins
    strategy = strategies.DDPStrategy(timeout=_TIMEOUT, process_group_backend="nccl" if kind == "cuda" else "gloo")
    fabric = fabric_module.Fabric(
        accelerator=kind,
        devices=here,
        num_nodes=machines,
        strategy=strategy,
        plugins=[environments.TorchElasticEnvironment()] if outside else None,
    )
    # What torch says of a connection that breaks, with its stack, is told here in a line; for those started next.
    os.environ.setdefault("TORCH_CPP_LOG_LEVEL", "ERROR")
    try:
        fabric.launch()
    except (RuntimeError, ValueError) as error:
        raise PeerError(f"{here * machines} processes could not be joined: {_reason(error)}") from error
    atexit.register(_part)  # or threads that still talk may abort the interpreter as it ends
    children = getattr(strategy.launcher, "procs", ())
    return Peers(fabric.global_rank, fabric.world_size, fabric.device, size_here=here, children=children)


def _part() -> None:
    """Close the connections, if they are still open."""
    with contextlib.suppress(Exception):
        dist.destroy_process_group()


def _kind_of(device: str, here: int) -> str:
    kind = device
    if device == "auto":
        kind = "cuda" if torch.cuda.is_available() else "cpu"
    if kind not in ("cpu", "cuda"):
        raise SpecError(f"device {device!r} is one device; for {here} processes say cpu, cuda or auto")
    there = torch.cuda.device_count() if kind == "cuda" else here
    if there < here:
        raise SpecError(
            f"devices={here}, but there are {there} CUDA devices here; device=cpu takes processes of the CPU"
        )
    cores = os.cpu_count() or 1
    if kind == "cpu" and here > _PER_CORE * cores:
        raise SpecError(
            f"devices={here} processes on {cores} CPU cores would only wait for each other; at most {_PER_CORE * cores}"
        )
    return kind


def _require_a_script(here: int) -> None:
    """Processes are started by running this script again, so there must be one."""
    main = sys.modules.get("__main__")
    if getattr(main, "__spec__", None) is None and not Path(sys.argv[0]).is_file():
        raise SpecError(
            f"devices={here} starts this script again for each process, and there is no script here, as in a notebook: "
            f"put fit() into a file, or use: intel train --devices {here}"
        )


def agreeing(peers: Peers | None) -> contextlib.AbstractContextManager[None]:
    """A block that goes wrong in all processes if it does in one; nothing special in a single process.

    No process may wait for another one inside.
    """
    return contextlib.nullcontext() if peers is None else peers.agreeing()


# --- talking ---------------------------------------------------------------------------------------------------


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
        global _joined
        if not isinstance(error, PeerError):
            with contextlib.suppress(Exception):
                text = _in_a_line(error)
                dist.distributed_c10d._get_default_store().set(_FAILED, f"process {self.rank}: {text}")
        if self.device.type == "cuda":  # where a process that waits for another one does not see that it is gone
            for child in self._children:
                child.kill()
        _part()
        # Who computes on goes on alone; `_joined` stays, so that the others remain silent.

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
            gone = f"another of the {self.size} processes has ended or does not answer ({_reason(error)})"
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
        for part in model.modules():
            if isinstance(part, nn.modules.batchnorm._BatchNorm):
                # On this object alone, which keeps its class and the names of its tensors.
                setattr(part, "forward", functools.partial(_normalise, part, type(part).forward, self))  # noqa: B010

    @staticmethod
    def release(model: InteLVAE) -> None:
        """Undo `spread`."""
        model.peers = None
        for part in model.modules():
            if isinstance(part, nn.modules.batchnorm._BatchNorm):
                part.__dict__.pop("forward", None)

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


# --- batch normalisation ---------------------------------------------------------------------------------------


def _normalise(norm: Any, alone: Callable[[Any, Tensor], Tensor], peers: Peers, x: Tensor) -> Tensor:
    """Batch normalisation with the statistics of all processes, and the running ones of a single process."""
    if not (peers.computing and norm.training):
        return alone(norm, x)
    y, mean, variance = _WholeBatchNorm.apply(x, norm.weight, norm.bias, norm.eps, peers)  # type: ignore[no-untyped-call]  # torch's own gap
    if norm.track_running_stats and norm.running_mean is not None:
        with torch.no_grad():
            norm.num_batches_tracked += 1
            share = 1.0 / float(norm.num_batches_tracked) if norm.momentum is None else norm.momentum
            count = peers.size * x.numel() // x.shape[1]
            norm.running_mean.mul_(1 - share).add_(mean.to(norm.running_mean), alpha=share)
            unbiased = variance * (count / max(1, count - 1))
            norm.running_var.mul_(1 - share).add_(unbiased.to(norm.running_var), alpha=share)
    return cast(Tensor, y)


class _WholeBatchNorm(torch.autograd.Function):
    r""":math:`y = w (x - \mu) / \sqrt{v + \epsilon} + b` with mean and variance over the rows of all processes.

    One exchange each way. With :math:`\hat x` the normalised x and :math:`\langle\rangle` the mean over all rows,
    :math:`dx = w / \sqrt{v + \epsilon} \; (dy - \langle dy \rangle - \hat x \langle dy\, \hat x \rangle)`.
    """

    @staticmethod
    def forward(
        ctx: Any, x: Tensor, weight: Tensor | None, bias: Tensor | None, eps: float, peers: Peers
    ) -> tuple[Tensor, Tensor, Tensor]:
        wide = x.to(torch.promote_types(x.dtype, torch.float32))
        own = torch.stack(torch.ops.aten.batch_norm_update_stats(wide, None, None, 0.0))
        # Deviations from each process's own mean, then those of the means: a large mean costs the variance nothing.
        means, own_variances = peers.gather(own[None]).unbind(1)
        mean = means.mean(0)
        variance = own_variances.mean(0) + (means - mean).square().mean(0)
        y = F.batch_norm(wide, mean, variance, weight, bias, training=False, eps=eps)
        ctx.save_for_backward(x, weight, mean, variance)
        ctx.peers, ctx.eps, ctx.has_bias = peers, eps, bias is not None
        ctx.mark_non_differentiable(mean, variance)
        return y.to(x.dtype), mean, variance

    @staticmethod
    def backward(ctx: Any, gradient: Tensor, *_: Tensor) -> tuple[Tensor | None, ...]:
        x, weight, mean, variance = ctx.saved_tensors
        peers, shape = ctx.peers, [1, -1, *[1] * (x.dim() - 2)]
        x, wide, scale = x.to(mean.dtype), gradient.to(mean.dtype), torch.rsqrt(variance + ctx.eps)
        _, of_weight, of_bias = torch.ops.aten.native_batch_norm_backward(
            wide, x, weight, None, None, mean, scale, True, ctx.eps, [False, True, True]
        )
        of_all = peers.sum_(torch.stack([of_bias, of_weight])) / (peers.size * x.numel() // x.shape[1])
        factor = scale if weight is None else scale * weight
        slope, offset = -factor * scale * of_all[1], -factor * of_all[0]
        back = (x - mean.view(shape)).mul_(slope.view(shape)).add_(offset.view(shape))
        back.addcmul_(wide, factor.view(shape))
        of_weight = None if weight is None else of_weight
        return back.to(gradient.dtype), of_weight, of_bias if ctx.has_bias else None, None, None


def _reason(error: BaseException) -> str:
    """The first sentence of what torch says, without the place in its source."""
    return re.sub(r"^\[\S+:\d+\] ", "", _in_a_line(error)).split(". ")[0]


def _in_a_line(error: BaseException) -> str:
    return " ".join(str(error).split()) or type(error).__name__
