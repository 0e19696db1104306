"""Networks: the paper's layer by layer, SAME padding as TensorFlow defines it, and any size of data."""

import itertools
import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from intel_core import SpecError, make_dataset, parse_spec
from intel_core.networks.specs import ConvSpec
from intel_core.recipe.resolving import resolve
from intel_core.recipe.runspec import make_run_spec


def build(spec, x_shape, latent):
    """Encoder and decoder of one spec or text."""
    spec = parse_spec("networks", spec) if isinstance(spec, str) else spec
    return spec.build_encoder(x_shape, 2 * latent), spec.build_decoder(latent, x_shape)


def traced(net, x):
    """Every layer without children, with what went in and what came out."""
    calls = []
    leaves = [m for m in net.modules() if not list(m.children())]
    handles = [m.register_forward_hook(lambda m, i, o: calls.append((m, i[0], o))) for m in leaves]
    with torch.no_grad():
        net(x)
    for handle in handles:
        handle.remove()
    return calls


# --- the paper's nets ------------------------------------------------------------------------------------------

CONV_28 = ConvSpec()
CONV_64 = ConvSpec(channels=(64, 128, 256), last_stride=2)
CONV, UP, DENSE, NORM = nn.Conv2d, nn.ConvTranspose2d, nn.Linear, nn.BatchNorm2d

# Layer, and for dense and convolutional layers the shape of one example after it and the weights; by hand. A bias
# before batch normalisation, which the authors' code has, is left out: it does nothing.
NETS = {
    "28x28 encoder": (
        (CONV_28, (1, 28, 28), 50, 0),
        [
            (CONV, (32, 14, 14), 4 * 4 * 1 * 32),
            (NORM, None, 64),
            (nn.LeakyReLU, None, 0),
            (CONV, (64, 7, 7), 4 * 4 * 32 * 64),
            (NORM, None, 128),
            (nn.LeakyReLU, None, 0),
            (CONV, (128, 4, 4), 4 * 4 * 64 * 128),
            (NORM, None, 256),
            (nn.LeakyReLU, None, 0),
            (DENSE, (100,), 2048 * 100 + 100),
        ],
        369_924 - (32 + 64 + 128),
        4.0e6,
    ),
    "28x28 decoder": (
        (CONV_28, (1, 28, 28), 50, 1),
        [
            (DENSE, (128, 7, 7), 50 * 6272 + 6272),
            (nn.ReLU, None, 0),
            (NORM, None, 256),
            (nn.ReLU, None, 0),
            (UP, (64, 14, 14), 4 * 4 * 128 * 64),
            (NORM, None, 128),
            (nn.ReLU, None, 0),
            (UP, (32, 28, 28), 4 * 4 * 64 * 32),
            (NORM, None, 64),
            (nn.ReLU, None, 0),
            (UP, (1, 28, 28), 4 * 4 * 32 * 1 + 1),
        ],
        484_769 - (64 + 32),
        13.6e6,
    ),
    "64x64 encoder": (
        (CONV_64, (3, 64, 64), 128, 0),
        [
            (CONV, (64, 32, 32), 4 * 4 * 3 * 64),
            (NORM, None, 128),
            (nn.LeakyReLU, None, 0),
            (CONV, (128, 16, 16), 4 * 4 * 64 * 128),
            (NORM, None, 256),
            (nn.LeakyReLU, None, 0),
            (CONV, (256, 8, 8), 4 * 4 * 128 * 256),
            (NORM, None, 512),
            (nn.LeakyReLU, None, 0),
            (DENSE, (256,), 16384 * 256 + 256),
        ],
        4_854_336 - (64 + 128 + 256),
        74.4e6,
    ),
    "64x64 decoder": (
        (CONV_64, (3, 64, 64), 128, 1),
        [
            (DENSE, (256, 8, 8), 128 * 16384 + 16384),
            (nn.ReLU, None, 0),
            (NORM, None, 512),
            (nn.ReLU, None, 0),
            (UP, (128, 16, 16), 4 * 4 * 256 * 128),
            (NORM, None, 256),
            (nn.ReLU, None, 0),
            (UP, (64, 32, 32), 4 * 4 * 128 * 64),
            (NORM, None, 128),
            (nn.ReLU, None, 0),
            (UP, (3, 64, 64), 4 * 4 * 64 * 3 + 3),
        ],
        2_773_059 - (128 + 64),
        72.4e6,
    ),
}
each_net = pytest.mark.parametrize("name", NETS)


def _paper_net(name):
    (spec, shape, latent, which), layers, total, macs = NETS[name]
    net = build(spec, shape, latent)[which]
    return net, torch.zeros(2, *(shape if which == 0 else (latent,))), layers, total, macs


@each_net
def test_paper_nets_layer_by_layer(name):
    """A cropped border may sit between two layers, so the shape is read where the next layer receives it."""
    net, x, layers, total, _ = _paper_net(name)
    calls = [call for call in traced(net, x) if not isinstance(call[0], nn.ZeroPad2d)]
    received = [call[1] for call in calls[1:]] + [net(x)]
    assert len(calls) == len(layers)
    for (module, _, out), after, (kind, shape, weights) in zip(calls, received, layers, strict=True):
        assert isinstance(module, kind)
        assert sum(p.numel() for p in module.parameters()) == weights
        if shape is not None:
            assert tuple((out if kind is DENSE else after).shape[1:]) == shape
    assert sum(p.numel() for p in net.parameters()) == total


@each_net
def test_paper_nets_cost_what_the_paper_facts_say(name):
    """Multiplications per image: weights of a dense layer; of a convolution, weights times positions."""
    net, x, _, _, expected = _paper_net(name)
    macs = 0
    for module, given_, out in traced(net, x):
        if isinstance(module, DENSE):
            macs += module.weight.numel()
        elif isinstance(module, CONV | UP):
            grid = out if isinstance(module, CONV) else given_
            macs += module.weight.numel() * math.prod(grid.shape[-2:])
    assert macs == pytest.approx(expected, rel=0.013)


@each_net
def test_paper_nets_settings_and_initial_weights(name):
    net, *_ = _paper_net(name)
    for module in net.modules():
        if isinstance(module, NORM):
            assert (module.eps, module.momentum, module.affine, module.track_running_stats) == (1e-3, 0.01, True, True)
            assert torch.equal(module.weight, torch.ones_like(module.weight))
            assert torch.equal(module.bias, torch.zeros_like(module.bias))
        elif isinstance(module, nn.LeakyReLU):
            assert module.negative_slope == 0.2
        elif isinstance(module, CONV | UP):
            assert module.kernel_size == (4, 4)


@pytest.mark.parametrize(
    ("spec", "shape"),
    [(CONV_28, (1, 28, 28)), (CONV_64, (3, 64, 64)), ("mlp", (784,)), ("mlp:hidden=[300,50]", (1, 28, 28))],
)
def test_weights_are_glorot_uniform_and_biases_zero(spec, shape):
    """Keras: uniform within sqrt(6 / (fan_in + fan_out)), fans of a convolution times the kernel's 16 places."""
    torch.manual_seed(0)
    for net in build(spec, shape, 20):
        for module in net.modules():
            if not isinstance(module, CONV | UP | DENSE):
                continue
            places = math.prod(module.weight.shape[2:])
            bound = math.sqrt(6 / ((module.weight.shape[0] + module.weight.shape[1]) * places))
            weight = module.weight.detach()
            assert float(weight.abs().max()) <= bound
            assert float(weight.abs().max()) > 0.98 * bound
            # Uniform: variance bound² / 3, its estimate off by 0.9 / sqrt(n); mean off by 0.58 / sqrt(n).
            n = weight.numel()
            assert float(weight.var()) == pytest.approx(bound**2 / 3, rel=5 * 0.9 / math.sqrt(n))
            assert abs(float(weight.mean())) < 5 * 0.58 * bound / math.sqrt(n)
            assert module.bias is None or torch.equal(module.bias, torch.zeros_like(module.bias))


@pytest.mark.parametrize(
    ("shape", "expected"),
    [((28, 28), "mlp"), ((47, 90), "mlp"), ((64, 64), "conv:channels=[64,128,256],last_stride=2")],
)
def test_default_networks_of_images(shape, expected):
    x = torch.rand(10, 1, *shape, generator=torch.Generator().manual_seed(0))
    spec = resolve(make_run_spec(data="memory:examples=10,shape=[1]"), make_dataset("images", x))
    assert spec.encoder == spec.decoder == parse_spec("networks", expected)


@pytest.mark.parametrize("activation", ["relu", "leaky_relu", "tanh", "elu", "gelu", "silu", "softplus"])
def test_dense_nets_are_affine_layers_with_the_activation_between(activation):
    encoder, decoder = build(f"mlp:hidden=[7,5],activation={activation}", (3,), 2)
    functions = {"relu": torch.relu, "tanh": torch.tanh} | {
        name: getattr(nn.functional, name) for name in ("leaky_relu", "elu", "gelu", "silu", "softplus")
    }
    for net, widths, x in ((encoder, (3, 7, 5, 4), torch.randn(6, 3)), (decoder, (2, 5, 7, 3), torch.randn(6, 2))):
        dense = [m for m in net.modules() if isinstance(m, DENSE)]
        assert [(m.in_features, m.out_features) for m in dense] == list(itertools.pairwise(widths))
        expected = x
        for i, layer in enumerate(dense):
            expected = (functions[activation](expected) if i else expected) @ layer.weight.T + layer.bias
        torch.testing.assert_close(net(x), expected)


def test_linear_net_is_one_affine_layer():
    encoder, decoder = build("linear", (3,), 2)
    for net, sizes in ((encoder, (3, 4)), (decoder, (2, 3))):
        (layer,) = net
        assert (layer.in_features, layer.out_features) == sizes


@pytest.mark.parametrize("spec", [CONV_28, CONV_64])
def test_paper_nets_can_be_written_as_text(spec):
    channels = ",".join(str(c) for c in spec.channels)
    assert parse_spec("networks", f"conv:channels=[{channels}],last_stride={spec.last_stride}") == spec


@pytest.mark.parametrize("shape", [(5,), (1, 1)])
def test_convolutions_refuse_what_is_no_image(shape):
    spec = parse_spec("networks", "conv")
    for make in (lambda: spec.build_encoder(shape, 4), lambda: spec.build_decoder(4, shape)):
        with pytest.raises(SpecError, match="use mlp"):
            make()


# --- what is left out, and the order in memory -----------------------------------------------------------------


class Crop(nn.Module):
    def __init__(self, size):
        super().__init__()
        self.size = size

    def forward(self, x):
        return x[..., : self.size[0], : self.size[1]]


def plain_nets(shape, latent, last_stride):
    """The nets of ``conv:channels=[4,6]`` for 9x7 images in torch's own layers, with every bias, none of them zero."""
    norm = [nn.BatchNorm2d(c, eps=1e-3, momentum=0.01) for c in (4, 6, 6, 4)]
    middle, small = ((5, 4), (3, 2)) if last_stride == 2 else ((9, 7), (5, 4))
    encoder = nn.Sequential(
        *(nn.ZeroPad2d((1, 2, 1, 2)), CONV(shape[0], 4, 4, stride=2), norm[0], nn.LeakyReLU(0.2)),
        *(nn.ZeroPad2d((1, 1, 1, 2)), CONV(4, 6, 4, stride=2), norm[1], nn.LeakyReLU(0.2)),
        *(nn.Flatten(), nn.Linear(6 * 3 * 2, 2 * latent)),
    )
    decoder = nn.Sequential(
        *(nn.Linear(latent, 6 * math.prod(small)), nn.ReLU(), nn.Unflatten(1, (6, *small))),
        *(norm[2], nn.ReLU(), UP(6, 4, 4, stride=2, padding=1), Crop(middle)),
        *(norm[3], nn.ReLU(), UP(4, shape[0], 4, stride=last_stride, padding=1), Crop(shape[1:])),
    )
    return encoder, decoder


@pytest.mark.parametrize("rows", [2, 40])
@pytest.mark.parametrize("channels", [1, 3, 5])
@pytest.mark.parametrize("last_stride", [1, 2])
def test_nets_compute_what_plain_layers_with_all_biases_do(last_stride, channels, rows):
    """Outputs, gradients, and evaluations with running statistics."""
    torch.manual_seed(4)
    shape, latent = (channels, 9, 7), 3
    ours = build(ConvSpec(channels=(4, 6), last_stride=last_stride), shape, latent)
    inputs = (torch.randn(rows, *shape).double(), torch.randn(rows, latent).double())
    for net, plain, x in zip(ours, plain_nets(shape, latent, last_stride), inputs, strict=True):
        for module in (*net.double().modules(), *plain.double().modules()):
            if isinstance(module, NORM):
                module.momentum = 1.0  # running statistics are those of the last batch
        convolutions = [m for m in plain if isinstance(m, CONV)] or [m for m in plain if isinstance(m, UP)][:-1]
        idle = [m.bias for m in convolutions]
        shared = [p for p in plain.parameters() if not any(p is bias for bias in idle)]
        with torch.no_grad():
            for mine, theirs in zip(net.parameters(), shared, strict=True):
                theirs.copy_(mine)
            for bias in idle:
                bias.normal_()
        out, expected = net(x), plain(x)
        torch.testing.assert_close(out, expected, rtol=1e-9, atol=1e-9)
        gradient = torch.randn_like(expected)
        out.backward(gradient)
        expected.backward(gradient)
        for mine, theirs in zip(net.parameters(), shared, strict=True):
            torch.testing.assert_close(mine.grad, theirs.grad, rtol=1e-8, atol=1e-8)
        torch.testing.assert_close(net.eval()(x), plain.eval()(x), rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("rows", [4, 50])
def test_values_and_their_gradients_keep_channels_last_in_memory(rows):
    """From the first layer to the last: a layer that turns them round costs as much time as its neighbours."""
    seen = []

    def note(module, _, out):
        if out.dim() == 4 and out.shape[1] > 1:
            seen.append((module, out))
            out.register_hook(lambda gradient: seen.append((module, gradient)))

    inputs = (torch.rand(rows, 1, 28, 28), torch.rand(rows, 10))
    for net, x in zip(build(CONV_28, (1, 28, 28), 10), inputs, strict=True):
        for module in net:
            if not isinstance(module, nn.ReLU | nn.LeakyReLU):  # in place: the same memory
                module.register_forward_hook(note)
        net(x).square().sum().backward()
    assert len(seen) == 2 * (3 + 3 + 1 + 1 + 3 + 2)
    for module, values in seen:
        assert values.is_contiguous(memory_format=torch.channels_last), module


@pytest.mark.promptly("0-5", "1-120", "3-5")
@pytest.mark.filterwarnings("ignore::torch.jit.TracerWarning", "ignore:.*torch.jit.trace:DeprecationWarning")
@pytest.mark.parametrize("latent", [5, 120])
@pytest.mark.parametrize("rows", [0, 1, 3, 150])
def test_any_number_of_rows_after_tracing_with_another_one(rows, latent):
    """None may be a constant of the code, for whoever exports a model."""
    torch.compiler.reset()  # torch 2.6 traces no more than eight times what it takes for one function
    nets = build(ConvSpec(channels=(4, 6)), (1, 9, 7), latent)
    for net, shape in zip(nets, ((1, 9, 7), (latent,)), strict=True):
        net.eval()
        traced_net = torch.jit.trace(net, torch.randn(2, *shape), check_trace=False)
        batch = torch.export.Dim("batch", min=2, max=1000)
        exported = torch.export.export(net, (torch.randn(2, *shape),), dynamic_shapes=({0: batch},)).module()
        x = torch.randn(rows, *shape)
        torch.testing.assert_close(traced_net(x), net(x))
        if rows >= 2:
            torch.testing.assert_close(exported(x), net(x), rtol=1e-4, atol=1e-5)


# --- SAME padding ----------------------------------------------------------------------------------------------


def same_conv(x, weight, stride):
    """TensorFlow's documented SAME cross-correlation in numpy; x (n, C, H, W), weight (out, C, k, k)."""
    k = weight.shape[-1]
    pads, outs = [], []
    for n in x.shape[-2:]:
        out = -(-n // stride)
        total = max((out - 1) * stride + k - n, 0)
        pads.append((total // 2, total - total // 2))
        outs.append(out)
    padded = np.pad(x, [(0, 0), (0, 0), *pads])
    result = np.zeros((len(x), len(weight), *outs))
    for i in range(outs[0]):
        for j in range(outs[1]):
            patch = padded[:, :, i * stride : i * stride + k, j * stride : j * stride + k]
            result[:, :, i, j] = np.einsum("ncab,ocab->no", patch, weight)
    return result


SIZES = [(1, 1), (2, 2), (1, 4), (3, 3), (4, 4), (5, 8), (8, 5), (7, 7), (28, 28), (9, 12), (13, 6)]


@pytest.mark.parametrize("size", SIZES)
def test_encoder_convolutions_pad_as_tensorflow_does(size):
    torch.manual_seed(1)
    encoder, _ = build(ConvSpec(channels=(3, 2, 4)), (2, *size), 3)
    encoder.double()
    given_, checked = None, 0
    for module, x, out in traced(encoder, torch.randn(3, 2, *size, dtype=torch.float64)):
        if isinstance(module, nn.ZeroPad2d):
            given_ = x
        elif isinstance(module, CONV):
            source = x if given_ is None else given_
            np.testing.assert_allclose(out, same_conv(source.numpy(), module.weight.detach().numpy(), 2), atol=1e-12)
            given_, checked = None, checked + 1
    assert checked == 3


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("last_stride", [1, 2])
def test_decoder_layers_are_the_adjoints_of_same_convolutions(size, last_stride):
    """<conv(x), y> = <x, up(y)> with the same weights: a transposed convolution's weight is (in, out, k, k)."""
    torch.manual_seed(2)
    _, decoder = build(ConvSpec(channels=(3, 2, 4), last_stride=last_stride), (2, *size), 3)
    decoder.double()
    ups = [m for m in decoder.children() if isinstance(m, UP)]
    seen = []
    for up in ups:
        up.register_forward_hook(lambda m, i, o: seen.append((m, i[0], o)))
    with torch.no_grad():
        decoder(torch.randn(2, 3, dtype=torch.float64))
    assert len(seen) == 3
    for (conv, y, out), stride in zip(seen, (2, 2, last_stride), strict=True):
        assert conv.bias is None or not conv.bias.any()
        x = np.random.default_rng(0).normal(size=out.shape)
        forward = same_conv(x, conv.weight.detach().numpy(), stride)
        assert forward.shape == tuple(y.shape)
        assert float((forward * y.numpy()).sum()) == pytest.approx(float((x * out.numpy()).sum()), rel=1e-10, abs=1e-10)
    assert tuple(seen[-1][2].shape[1:]) == (2, *size)


# --- any size --------------------------------------------------------------------------------------------------


@settings(deadline=None, max_examples=60)
@given(
    shape=st.tuples(st.integers(1, 4), st.integers(1, 40), st.integers(1, 40)),
    depth=st.integers(1, 5),
    last_stride=st.sampled_from([1, 2]),
    latent=st.integers(1, 5),
)
def test_convolutions_fit_any_image(shape, depth, last_stride, latent):
    spec = ConvSpec(channels=(2, 3, 2, 1, 2)[:depth], last_stride=last_stride)
    encoder, decoder = build(spec, shape, latent)
    assert encoder(torch.randn(2, *shape)).shape == (2, 2 * latent)
    assert decoder(torch.randn(2, latent)).shape == (2, *shape)


@settings(deadline=None, max_examples=30)
@given(
    shape=st.one_of(
        st.tuples(st.integers(1, 300)), st.tuples(st.integers(1, 4), st.integers(1, 20), st.integers(1, 20))
    ),
    hidden=st.lists(st.integers(1, 9), max_size=3),
    latent=st.integers(1, 9),
)
def test_dense_nets_fit_any_data(shape, hidden, latent):
    encoder, decoder = build(f"mlp:hidden={hidden}", shape, latent)
    assert encoder(torch.randn(3, *shape)).shape == (3, 2 * latent)
    assert decoder(torch.randn(3, latent)).shape == (3, *shape)
