"""Are the digits what scikit-learn ships, selected and scaled as the spec says?"""

import torch
from sklearn.datasets import load_digits


def everything(data):
    parts = (data.train, data.validation, data.test)
    return torch.cat([p.x for p in parts]), torch.cat([p.labels for p in parts])


def test_all_digits_are_there_once_each_divided_by_16(load):
    data = load("digits")
    x, labels = everything(data)
    bunch = load_digits()
    loaded = sorted(zip(x.flatten(1).mul(16).tolist(), labels.tolist(), strict=True))
    assert loaded == sorted(zip(bunch["data"].tolist(), bunch["target"].tolist(), strict=True))
    assert (data.x_shape, data.support, x.dtype) == ((1, 8, 8), "unit", torch.float32)
    assert (len(data.train), len(data.validation), len(data.test)) == (1437, 180, 180)


def test_selected_classes_are_numbered_in_the_order_given(load):
    x, labels = everything(load("digits:classes=[7,3]"))
    target = load_digits()["target"]
    assert labels.bincount().tolist() == [int((target == 7).sum()), int((target == 3).sum())]
    assert load("digits:classes=[7,3]").class_names == ("7", "3")
    sevens = torch.from_numpy(load_digits()["data"][target == 7]).sum(0) / 16
    torch.testing.assert_close(x[labels == 0].flatten(1).sum(0), sevens.float())


def test_binarizing_thresholds_at_one_half(load):
    grey, _ = everything(load("digits"))
    x, _ = everything(load("digits:binarize=true"))
    assert load("digits:binarize=true").support == "binary"
    assert torch.equal(x, (grey * 16 >= 8).float())


def test_the_split_depends_on_its_seed_only(load):
    first, again, other = load("digits"), load("digits"), load("digits:split_seed=1")
    assert torch.equal(first.test.x, again.test.x)
    assert not torch.equal(first.test.x, other.test.x)
