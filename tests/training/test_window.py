"""Terms between two lines: their means, over processes too, however often they are looked at."""

import torch
from torch import Tensor

from intel_core.training.process_group import ALONE, ProcessGroup
from intel_core.training.window import Window


class Doubling(ProcessGroup):
    """Stands for two processes, the other one of which has three times the terms of this one."""

    def __init__(self) -> None:
        self.rows = 0

    def mean(self, values: Tensor) -> Tensor:
        self.rows += len(values)
        return 2 * values


def filled(group: ProcessGroup, values: list[float], looks: tuple[int, ...] = ()) -> Window:
    window = Window(group)
    for i, value in enumerate(values):
        window.add({"loss": torch.tensor(value), "kl": torch.tensor(-value)})
        if i in looks:
            window.means()
    return window


def test_means_over_steps() -> None:
    assert filled(ALONE, [1.0, 2.0, 6.0]).means() == {"loss": 3.0, "kl": -3.0}


def test_looking_in_between_changes_nothing() -> None:
    values = torch.randn(7, generator=torch.Generator().manual_seed(0)).tolist()
    assert filled(ALONE, values).means() == filled(ALONE, values, looks=(1, 4)).means()


def test_each_row_is_averaged_over_processes_once() -> None:
    group = Doubling()
    assert filled(group, [1.0, 2.0, 6.0], looks=(0, 1)).means() == {"loss": 6.0, "kl": -6.0}
    assert group.rows == 3


def test_an_empty_window_says_nothing() -> None:
    window = filled(ALONE, [1.0])
    window.clear()
    assert window.means() == {}
    assert window.rows()[0] == []


def test_it_goes_on_from_its_rows() -> None:
    whole = filled(ALONE, [1.0, 2.0, 6.0])
    part = filled(ALONE, [1.0, 2.0])
    again = Window(ALONE)
    again.load(*part.rows())
    again.add({"loss": torch.tensor(6.0), "kl": torch.tensor(-6.0)})
    assert again.means() == whole.means()


def test_rows_ask_no_other_process() -> None:
    """A hook of one process may ask for them alone."""
    group = Doubling()
    window = filled(group, [1.0, 2.0], looks=(0,))
    assert window.rows()[1].tolist() == [[2.0, -2.0], [2.0, -2.0]]
    assert group.rows == 1


def test_after_a_line_only_new_steps_count() -> None:
    window = filled(ALONE, [1.0], looks=(0,))
    window.clear()
    window.add({"loss": torch.tensor(5.0), "kl": torch.tensor(0.0)})
    assert window.means() == {"loss": 5.0, "kl": 0.0}
