"""What do all candidates have in common? Seeded streams, a level, the precisions, and what repeats one check."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import Any, TypeVar

import torch

from intel_conformance.levels import LEVELS, Level
from intel_core.compute.device import pick_device
from intel_core.errors import SpecError
from intel_core.randomness import stream

__all__ = ["DTYPES", "Examined"]

Own = TypeVar("Own", bound="Examined")
Value = TypeVar("Value")
DTYPES = {"float32": torch.float32, "float64": torch.float64}


class Examined:
    """What is checked, whatever its kind.

    Attributes:
        function: name of the function that checks it.
        specs: its specs; None if an object or a function was given.
        y_dim: number of dimensions of y; 0 if it is not built for one.
        z_dim: number of dimensions of z.
        label: its name, for messages.

    Raises:
        SpecError: if an argument is not one of its choices.
    """

    function: str
    specs: Any
    y_dim: int = 0
    z_dim: int = 0
    label: str

    def __init__(self, y_dim: int | None, seed: int, device: str, dtypes: Sequence[str], level: Level) -> None:
        dtypes = [dtypes] if isinstance(dtypes, str) else dtypes
        if not dtypes:
            raise SpecError(f"no dtype is given; choices: {', '.join(DTYPES)}")
        if y_dim is not None and (not isinstance(y_dim, int) or isinstance(y_dim, bool) or y_dim < 1):
            raise SpecError(f"y_dim={y_dim!r}: expected a number of dimensions, 1 or more")
        for name in dtypes:
            if name not in DTYPES:
                raise SpecError(f"no dtype {name!r}; choices: {', '.join(DTYPES)}")
        self.failed: set[str] = set()
        self.seed, self.device, self.level = seed, pick_device(device), level
        self.dtypes = tuple(DTYPES[name] for name in dtypes)

    @property
    def words(self) -> str:
        """What the command is told to check, quoted for a shell."""
        raise NotImplementedError

    @property
    def about(self) -> str:
        """How large it is, in words."""
        return f"{self.y_dim} dimension{'s' if self.y_dim > 1 else ''} of y"

    def __repr__(self) -> str:
        return f"<{self.label}, {self.about}, seed {self.seed}>"

    def generator(self, name: str) -> torch.Generator:
        """The random stream with some name, on the CPU."""
        return torch.Generator().manual_seed(stream(self.seed, name))

    def at_least(self: Own, level: Level) -> Own:
        """The same candidate with the number of draws of a level, if that is higher than its own."""
        if LEVELS.index(level) <= LEVELS.index(self.level):
            return self
        other = copy.copy(self)
        other.level = level
        return other

    def size(self, quick: Value, standard: Value, deep: Value) -> Value:
        """The one of three values, numbers of draws for instance, that belongs to the level."""
        return (quick, standard, deep)[LEVELS.index(self.level)]

    def repro(self, id: str) -> str:
        """The command or call that repeats a check."""
        names = [name for name, dtype in DTYPES.items() if dtype in self.dtypes]
        fewer = names if len(names) < len(DTYPES) else []
        if self.specs is None:
            more = f", device={str(self.device)!r}" if self.device.type != "cpu" else ""
            more += f", dtypes={fewer}" if fewer else ""
            dims = f"y_dim={self.y_dim}, " if self.y_dim else ""
            settings = f"{dims}only=[{id!r}], level={self.level!r}, seed={self.seed}{more}"
            return f"{self.function}({self.label}, {settings})"
        more = f" --device {self.device}" if self.device.type != "cpu" else ""
        more += "".join(f" --dtype {name}" for name in fewer)
        dims = f" --latent {self.y_dim}" if self.y_dim else ""
        return f"intel check {self.words}{dims} --only {id} --level {self.level} --seed {self.seed}{more}"
