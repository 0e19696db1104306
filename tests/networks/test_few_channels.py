"""Convolutions to and from few channels by blocks of pixels are torch's, and so are their derivatives."""

import itertools

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.func import jacfwd, vmap
from torch.nn import functional as F

from intel_core.networks.few_channels import MOST_CHANNELS, conv_from_few, conv_transpose_to_few
from intel_core.networks.layers import ConvEncoder


def inputs(n, channels, size, *, grad=True):
    """x, weight and bias in float64."""
    generator = torch.Generator().manual_seed(sum(size))
    shapes = ((n, channels[0], *size), (*channels, 4, 4), (channels[1],))
    return [torch.randn(s, generator=generator, dtype=torch.float64, requires_grad=grad) for s in shapes]


def reference(x, weight, bias, stride, size):
    return F.conv_transpose2d(x, weight, bias, stride=stride, padding=1)[..., : size[0], : size[1]]


def largest(stride, n):
    """What a transposed convolution of n values has."""
    return stride * (n - 1) + 2


@settings(deadline=None, max_examples=150)
@given(
    stride=st.sampled_from([1, 2]),
    n=st.integers(1, 3),
    channels=st.tuples(st.integers(1, 5), st.integers(1, MOST_CHANNELS)),
    size=st.tuples(st.integers(1, 13), st.integers(1, 13)),
    cut=st.tuples(st.integers(0, 1), st.integers(0, 1)),
)
def test_values_and_gradients_are_those_of_torch(stride, n, channels, size, cut):
    """Of any size: that the output does not divide into blocks is the usual case."""
    to = tuple(max(1, largest(stride, m) - c) for m, c in zip(size, cut, strict=True))
    tensors = inputs(n, channels, size)
    ours, theirs = conv_transpose_to_few(*tensors, stride, to), reference(*tensors, stride, to)
    torch.testing.assert_close(ours, theirs, rtol=0, atol=1e-12)
    gradient = torch.randn(theirs.shape, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    for one, other in zip(
        torch.autograd.grad(ours, tensors, gradient), torch.autograd.grad(theirs, tensors, gradient), strict=True
    ):
        torch.testing.assert_close(one, other, rtol=0, atol=1e-11)


@pytest.mark.parametrize("stride", [1, 2])
def test_second_derivatives(stride):
    tensors = inputs(2, (2, 1), (3, 4))
    size = (largest(stride, 3) - 1, largest(stride, 4))

    def function(x, weight, bias):
        return conv_transpose_to_few(x, weight, bias, stride, size)

    assert torch.autograd.gradgradcheck(function, tensors)


@pytest.mark.parametrize("stride", [1, 2])
def test_derivatives_forwards(stride):
    x, weight, bias = inputs(2, (2, 1), (3, 4), grad=False)
    size = (largest(stride, 3) - 1, largest(stride, 4))
    for argument in range(3):
        ours, theirs = (
            jacfwd(lambda *t, f=f: f(*t, stride, size), argnums=argument)(x, weight, bias)
            for f in (conv_transpose_to_few, reference)
        )
        torch.testing.assert_close(ours, theirs)


@pytest.mark.parametrize("wanted", [w for w in itertools.product([False, True], repeat=3) if any(w)])
def test_only_what_asks_for_a_gradient_gets_one(wanted):
    tensors = inputs(2, (3, 2), (4, 4), grad=False)
    for tensor, wants in zip(tensors, wanted, strict=True):
        tensor.requires_grad_(wants)
    conv_transpose_to_few(*tensors, 1, (4, 4)).square().sum().backward()
    expected = [t.detach().clone().requires_grad_(t.requires_grad) for t in tensors]
    reference(*expected, 1, (4, 4)).square().sum().backward()
    for ours, theirs in zip(tensors, expected, strict=True):
        assert (ours.grad is None) == (theirs.grad is None)
        if theirs.grad is not None:
            torch.testing.assert_close(ours.grad, theirs.grad)


def test_several_kernels_at_once_under_vmap():
    """Stacked replicates map networks over their weights."""
    sets = [inputs(2, (3, 1), (7, 5 + 0 * i)) for i in range(3)]
    sets = [[t.detach() + i for t in tensors] for i, tensors in enumerate(sets)]
    stacked = [torch.stack(column) for column in zip(*sets, strict=True)]
    together = vmap(lambda x, w, b: conv_transpose_to_few(x, w, b, 1, (7, 5)))(*stacked)
    for one, tensors in zip(together, sets, strict=True):
        torch.testing.assert_close(one, reference(*tensors, 1, (7, 5)))


@pytest.mark.parametrize("order", [torch.contiguous_format, torch.channels_last])
@pytest.mark.parametrize("channels", [1, 3])
def test_any_order_in_memory_goes_in_and_the_usual_one_comes_out(order, channels):
    x, weight, bias = (t.detach() for t in inputs(2, (8, channels), (6, 6)))
    x = x.contiguous(memory_format=order)
    out = conv_transpose_to_few(x, weight, bias, 2, (12, 12))
    assert out.is_contiguous()
    torch.testing.assert_close(out, reference(x, weight, bias, 2, (12, 12)))


def test_single_precision_rounds_as_torch_does():
    """Against float64, the error is of the size of that of torch's own kernel."""
    x, weight, bias = (t.detach() for t in inputs(4, (32, 1), (28, 28)))
    exact = reference(x, weight, bias, 1, (28, 28))
    low = [t.float() for t in (x, weight, bias)]
    errors = [(f(*low, 1, (28, 28)) - exact).abs().max() for f in (conv_transpose_to_few, reference)]
    assert errors[0] <= 3 * errors[1]


# --- from few channels to features -------------------------------------------------------------------------------


def images(n, channels, size):
    """Images and weights in float64."""
    generator = torch.Generator().manual_seed(sum(size))
    shapes = ((n, channels[0], *size), (channels[1], channels[0], 4, 4))
    return [torch.randn(s, generator=generator, dtype=torch.float64, requires_grad=True) for s in shapes]


def plain(x, weight):
    return F.conv2d(x, weight, stride=2, padding=1)


@settings(deadline=None, max_examples=100)
@given(
    n=st.integers(1, 3),
    channels=st.tuples(st.integers(1, MOST_CHANNELS), st.integers(1, 5)),
    halves=st.tuples(st.integers(1, 9), st.integers(1, 9)),
)
def test_features_of_images_that_learn_are_those_of_torch_and_so_are_gradients(n, channels, halves):
    tensors = images(n, channels, [2 * half for half in halves])
    ours, theirs = conv_from_few(*tensors), plain(*tensors)
    assert torch.equal(ours, theirs)
    gradient = torch.randn(theirs.shape, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    for one, other in zip(
        torch.autograd.grad(ours, tensors, gradient), torch.autograd.grad(theirs, tensors, gradient), strict=True
    ):
        torch.testing.assert_close(one, other, rtol=0, atol=1e-11)


def test_other_derivatives_of_images_that_learn():
    tensors = images(2, (1, 2), (4, 6))
    assert torch.autograd.gradgradcheck(conv_from_few, tensors)
    x, weight = (tensor.detach() for tensor in tensors)
    for argument in range(2):
        ours, theirs = (jacfwd(f, argnums=argument)(x, weight) for f in (conv_from_few, plain))
        torch.testing.assert_close(ours, theirs)
    stacked = [torch.stack([tensor, 2 * tensor]) for tensor in (x, weight)]
    torch.testing.assert_close(vmap(conv_from_few)(*stacked)[1], plain(2 * x, 2 * weight))


@pytest.mark.parametrize("size", [28, 13])
def test_an_encoder_gives_images_of_a_data_set_to_torch_and_images_that_learn_the_same_features(size):
    encoder = ConvEncoder((1, size, size), (8, 16), 4).eval()
    x = torch.rand(5, 1, size, size, generator=torch.Generator().manual_seed(0))
    usual = encoder(x)
    for layer in encoder:
        x = F.conv2d(x, layer.weight, stride=2, padding=1) if isinstance(layer, torch.nn.Conv2d) else layer(x)
    assert torch.equal(usual, x)
    learned = torch.rand(5, 1, size, size, generator=torch.Generator().manual_seed(0)).requires_grad_()
    assert torch.equal(encoder(learned), usual)
    (ours,) = torch.autograd.grad(encoder(learned).square().sum(), learned)
    again = learned.detach().double().requires_grad_()
    (theirs,) = torch.autograd.grad(encoder.double()(again).square().sum(), again)
    torch.testing.assert_close(ours.double(), theirs, rtol=1e-4, atol=1e-5)
