"""Is real MNIST split and selected as in the paper? Counts of the official files, checked where they exist."""

import torch


def sizes(data):
    return len(data.train), len(data.validation), len(data.test)


def counts(split):
    return split.labels.bincount().tolist()


def test_the_paper_split_of_all_classes(load, real_data):
    data = load("mnist:download=false", real_data)
    assert sizes(data) == (55_000, 5_000, 10_000)
    assert (data.x_shape, data.train.x.dtype, data.support) == ((1, 28, 28), torch.uint8, "unit")
    assert data.train.labels[:10].tolist() == [5, 0, 4, 1, 9, 2, 1, 3, 1, 4]  # the well-known first ten
    assert data.test.labels[:5].tolist() == [7, 2, 1, 0, 4]
    # The mean grey value that every MNIST normalisation quotes for the 60,000 training images.
    total = (data.train.x.sum() + data.validation.x.sum()) / 255
    assert abs(float(total) / (60_000 * 784) - 0.1307) < 1e-4


def test_fashion_mnist_is_another_set_with_names(load, real_data):
    data = load("fashion_mnist:download=false", real_data)
    assert sizes(data) == (55_000, 5_000, 10_000)
    assert data.class_names[9] == "Ankle boot"
    assert data.train.labels[0] == 9
    assert counts(data.test) == [1000] * 10


def test_zeros_and_ones_keep_their_natural_frequencies(load, real_data):
    data = load("mnist:download=false,classes=[0,1]", real_data)
    assert len(data.train) + len(data.validation) == 12_665
    both = [a + b for a, b in zip(counts(data.train), counts(data.validation), strict=True)]
    assert both == [5923, 6742]
    assert len(data.validation) == 1055  # a twelfth
    assert counts(data.test) == [980, 1135]


def test_classes_are_numbered_in_the_order_given(load, real_data):
    data = load("mnist:download=false,classes=[1,0]", real_data)
    assert counts(data.test) == [1135, 980]
    assert data.class_names == ("1", "0")


def test_the_balanced_split_is_the_papers_mnist_01(load, real_data):
    data = load("mnist:download=false,classes=[0,1],split=balanced", real_data)
    assert (counts(data.train), counts(data.validation)) == ([5000, 5000], [500, 500])
    assert counts(data.test) == [980, 1000]  # the official test set has only 980 zeros
    whole = load("mnist:download=false", real_data)
    zeros = torch.cat([p.x[p.labels == 0] for p in (whole.train, whole.validation)])
    assert torch.equal(data.train.x[data.train.labels == 0], zeros[:5000])
    assert torch.equal(data.validation.x[data.validation.labels == 0], zeros[5000:5500])


def test_shares_hold_in_every_part_and_keep_what_limits(load, real_data):
    data = load("mnist:download=false,classes=[0,1],split=balanced,shares=[0.25,0.75]", real_data)
    assert counts(data.train) == [1667, 5000]
    assert counts(data.validation) == [167, 500]
    assert counts(data.test) == [333, 1000]
    other = load("mnist:download=false,classes=[0,1],split=balanced,shares=[0.25,0.75],data_seed=1", real_data)
    assert not torch.equal(data.train.x, other.train.x)


def test_a_share_of_zero_removes_a_class(load, real_data):
    data = load("mnist:download=false,classes=[0,1],split=balanced,shares=[0,1]", real_data)
    assert counts(data.train) == [0, 5000]


def test_examples_caps_the_training_part_only(load, real_data):
    whole, capped = (load(f"mnist:download=false{more}", real_data) for more in ("", ",examples=100"))
    assert sizes(capped) == (100, 5_000, 10_000)
    assert torch.equal(capped.train.x, whole.train.x[:100])


def test_binarizing_thresholds_at_one_half(load, real_data):
    grey = load("mnist:download=false,examples=500", real_data)
    data = load("mnist:download=false,examples=500,binarize=true", real_data)
    assert (data.support, data.train.x.dtype) == ("binary", torch.uint8)
    assert torch.equal(data.train.x == 255, grey.train.x / 255 >= 0.5)
    assert set(data.train.x.unique().tolist()) == {0, 255}
