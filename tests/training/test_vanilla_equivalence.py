"""With the identity mapping the framework is a vanilla VAE, bit for bit: against a training loop written out here."""

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional as F

from intel_core import fit, make_dataset, parse_spec
from intel_core.randomness import stream

# Divisions by a power of two are exact, so no result hangs on the order in which a mean is scaled.
BATCH, STEPS, SEED = 32, 60, 3


def glorot(net):
    for layer in net.modules():
        if isinstance(layer, nn.Linear):
            nn.init.xavier_uniform_(layer.weight)
            nn.init.zeros_(layer.bias)
    return net


def dense_nets():
    def encoder():
        return glorot(nn.Sequential(nn.Linear(5, 16), nn.ReLU(), nn.Linear(16, 8), nn.ReLU(), nn.Linear(8, 6)))

    def decoder():
        return glorot(nn.Sequential(nn.Linear(3, 8), nn.ReLU(), nn.Linear(8, 16), nn.ReLU(), nn.Linear(16, 5)))

    return encoder, decoder


def conv_nets():
    """The framework's own: that they compute what torch's layers do is shown in test_networks.py, up to rounding."""
    spec = parse_spec("networks", "conv:channels=[4,6]")
    return lambda: spec.build_encoder((1, 9, 9), 6), lambda: spec.build_decoder(3, (1, 9, 9))


def squared_error(output, x):
    """Minus the log-density of N(output, 1), up to a constant."""
    return (0.5 * (x - output).square()).sum() / len(x)


def cross_entropy(output, x):
    return F.binary_cross_entropy_with_logits(output, x, reduction="sum") / len(x)


def normal_data():
    return np.random.default_rng(0).normal(size=(300, 5)).astype(np.float32)


def byte_images():
    return np.random.default_rng(1).integers(0, 256, size=(300, 9, 9), dtype=np.uint8)


CASES = {
    "dense": (
        normal_data,
        dense_nets,
        squared_error,
        {"encoder": "mlp:hidden=[16,8]", "likelihood": "gaussian:variance=fixed"},
    ),
    "conv": (
        byte_images,
        conv_nets,
        cross_entropy,
        {"encoder": "conv:channels=[4,6]", "likelihood": "bernoulli", "precision": "float32"},
    ),
    "conv in bfloat16": (
        byte_images,
        conv_nets,
        cross_entropy,
        {"encoder": "conv:channels=[4,6]", "likelihood": "bernoulli", "precision": "bfloat16"},
    ),
}


def plainly(net, x):
    return net(x)


def in_bfloat16(net, x):
    """Autocast for the network alone; what it puts out is widened at once."""
    with torch.autocast("cpu", torch.bfloat16):
        return net(x).float()


def vanilla_vae(data, nets, loss_of, *, kl_weight, clip=None, learning_rate=1e-3, apply=plainly):
    """A plain VAE in plain PyTorch: final weights and buffers by the names that the framework gives them."""
    x = make_dataset("data", data).train.x
    models = {}
    with torch.random.fork_rng(devices=[]):
        for name, net in zip(("encoder", "decoder"), nets(), strict=True):
            torch.manual_seed(stream(SEED, name))
            models[name] = net()
    model = nn.ModuleDict(models).train()
    optimizer = torch.optim.Adam(model.parameters(), lr=learning_rate, betas=(0.9, 0.999), eps=1e-7, fused=True)
    noise = torch.Generator().manual_seed(stream(SEED, "noise"))
    batches = []
    for step in range(STEPS):
        if not batches:
            epoch = step // (len(x) // BATCH)
            order = torch.randperm(len(x), generator=torch.Generator().manual_seed(stream(SEED, f"order/{epoch}")))
            batches = [order[i : i + BATCH] for i in range(0, len(x) - BATCH + 1, BATCH)]
        batch = x[batches.pop(0)]
        if batch.dtype == torch.uint8:
            batch = batch.float() / 255
        mean, log_variance = apply(model["encoder"], batch).chunk(2, -1)
        y = torch.addcmul(mean, torch.randn(1, BATCH, 3, generator=noise)[0], torch.exp(0.5 * log_variance))
        reconstruction = loss_of(apply(model["decoder"], y), batch)
        kl = 0.5 * (mean.square() + (torch.expm1(log_variance) - log_variance)).sum() / BATCH
        loss = reconstruction + kl_weight(step) * kl
        optimizer.zero_grad()
        loss.backward()
        if clip is not None:
            nn.utils.clip_grad_norm_(model.parameters(), clip)
        optimizer.step()
    return model.state_dict()


def framework(data, folder, settings, **more):
    run = fit(
        mapping="identity", data=data, latent=3, steps=STEPS, batch_size=BATCH, seed=SEED, device="cpu",
        run_dir=folder, **settings, **more,
    )  # fmt: skip
    return run.model.state_dict()


def same(ours, theirs):
    """All tensors equal, in order."""
    assert len(ours) == len(theirs)
    return all(torch.equal(a, b) for a, b in zip(ours.values(), theirs.values(), strict=True))


APPLY = {"conv in bfloat16": in_bfloat16}
VARIANTS = {
    "warm-up": ({"schedules": {"kl": "linear:steps=15"}}, {"kl_weight": lambda step: min(step / 15, 1)}),
    "plain": ({"schedules": {"kl": "constant"}}, {"kl_weight": lambda step: 1.0}),
    "clipped": (
        {"schedules": {"kl": "constant"}, "clip_norm": 0.5, "learning_rate": 0.01},
        {"kl_weight": lambda step: 1.0, "clip": 0.5, "learning_rate": 0.01},
    ),
}


@pytest.mark.promptly("dense-plain", "dense-clipped", "conv-warm-up", "conv in bfloat16-clipped")
@pytest.mark.parametrize(
    ("case", "variant"),
    [
        pytest.param(case, variant, marks=[pytest.mark.slow] if case != "dense" and variant == "plain" else [])
        for case in CASES
        for variant in VARIANTS
    ],
)
def test_identity_is_a_vanilla_vae_bit_for_bit(case, variant, tmp_path):
    make_data, nets, loss_of, settings = CASES[case]
    ours_settings, theirs_settings = VARIANTS[variant]
    ours = framework(make_data(), tmp_path / "run", settings, **ours_settings)
    assert same(ours, vanilla_vae(make_data(), nets, loss_of, apply=APPLY.get(case, plainly), **theirs_settings))


@pytest.mark.parametrize("case", CASES)
def test_the_comparison_sees_a_small_difference(case, tmp_path):
    """Another weight in one step alone is not the same run."""
    make_data, nets, loss_of, settings = CASES[case]
    ours = framework(make_data(), tmp_path / "run", settings, schedules={"kl": "constant"})
    weight = {"kl_weight": lambda step: 0.999 if step == 30 else 1.0}
    theirs = vanilla_vae(make_data(), nets, loss_of, apply=APPLY.get(case, plainly), **weight)
    assert not same(ours, theirs)
