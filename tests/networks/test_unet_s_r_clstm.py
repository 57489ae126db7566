from __future__ import annotations

import numpy as np
import pytest
import torch
from myosweep.errors import InputError
from myosweep.networks import complete_settings, create, module_of, sizes_of
from myosweep.networks.modules.conv_lstm import ConvLSTM
from myosweep.networks.modules.residual_blocks import ResidualBlock
from myosweep.networks.modules.two_decoders import TwoDecoders

torch.set_num_threads(1)
NAME = "unet_s_r_clstm"
WIDTHS = (16, 32, 64, 128, 256)
# Figures are the source's, so they are derived of its preset.
PAPER = module_of(NAME).PRESETS["paper"]
SMALL = {"widths": [4, 6, 8], "memory_cells": 2, "window": 4}


def built(in_channels: int = 1, classes: int = 2, seed: int = 0, **settings: object) -> TwoDecoders:
    torch.manual_seed(seed)
    network = create(NAME, in_channels, classes, {**PAPER, **settings})
    assert isinstance(network, TwoDecoders)
    return network


def count(module: torch.nn.Module | None) -> int:
    return 0 if module is None else sum(weights.numel() for weights in module.parameters())


# Weights by hand, for a maps in and b out. A separable convolution has 9 a (one 3 x 3 filter per map) and a b
# (1 x 1), a full one 9 a b, no bias; a batch norm 2 b; the shortcut a b and its norm 2 b:
#   separable block  (9 a + a b) + 2 b + (9 b + b b) + 2 b + a b + 2 b = 9 a + 2 a b + b b + 15 b
#   full block       9 a b + 2 b + 9 b b + 2 b + a b + 2 b = 10 a b + 9 b b + 6 b
def block_weights(a: int, b: int, separable: bool) -> int:
    return 9 * a + 2 * a * b + b * b + 15 * b if separable else 10 * a * b + 9 * b * b + 6 * b


# Encoder 1-16-32-64-128-256, separable: 537 + 2672 + 9440 + 35264 + 136064 = 183977.
def encoder_weights(separable: bool) -> int:
    return sum(block_weights(a, b, separable) for a, b in zip((1, *WIDTHS), WIDTHS, strict=False))


# Decoder 256-256-128-64-32-16: a transposed 2 x 2 convolution with bias (4 a b + b), then a block whose input
# is that and the skipped maps (2 b in, b out); a last 1 x 1 convolution with bias.
def decoder_weights(out: int, separable: bool) -> int:
    total = 16 * out + out
    for a, b in zip((256, 256, 128, 64, 32), (256, 128, 64, 32, 16), strict=True):
        total += 4 * a * b + b + block_weights(2 * b, b, separable)
    return total


# A cell: four gates, 3 x 3 convolutions of the 256 maps of the input and of the 256 of the state, one bias.
CELL_WEIGHTS = 4 * (9 * 256 * 256 + 9 * 256 * 256 + 256)


def test_weights_are_as_many_as_the_source_s_figures_give() -> None:
    network = built()
    assert encoder_weights(separable=True) == 183_977
    assert CELL_WEIGHTS == 4_719_616
    assert count(network.encoder) == encoder_weights(separable=True)
    assert count(network.memory) == 4 * CELL_WEIGHTS
    assert count(network.segmentation) == decoder_weights(2, separable=True)
    assert count(network.reconstruction) == decoder_weights(1, separable=True)
    assert count(network) == 183_977 + 4 * 4_719_616 + decoder_weights(2, True) + decoder_weights(1, True)


def test_the_ablations_take_away_what_they_say() -> None:
    presets = module_of(NAME).PRESETS.items()
    networks = {name: built(**settings) for name, settings in presets if name != "paper"} | {"whole": built()}
    for name, network in networks.items():
        separable = name != "unet"
        assert count(network.encoder) == encoder_weights(separable), name
        assert count(network.segmentation) == decoder_weights(2, separable), name
        assert (network.reconstruction is not None) == (name in ("unet_s_r", "whole")), name
        assert len(network.memory) == (4 if name == "whole" else 0), name
        grouped = [m.groups > 1 for m in network.modules() if isinstance(m, torch.nn.Conv2d)]
        assert any(grouped) == separable, name
    # One thing at a time: what is not added is bit for bit the same network.
    s, s_r = networks["unet_s"].state_dict(), networks["unet_s_r"].state_dict()
    assert set(s) < set(s_r)
    assert all(name.startswith("reconstruction.") for name in set(s_r) - set(s))
    assert all(torch.equal(s[name], s_r[name]) for name in s)


def test_layers_are_as_wide_and_as_large_as_the_source_says() -> None:
    network = built(in_channels=2, classes=4).eval()
    seen: list[tuple[str, tuple[int, ...]]] = []
    for name, module in network.named_modules():
        if isinstance(module, ResidualBlock | ConvLSTM):
            module.register_forward_hook(
                lambda _m, _i, out, name=name: seen.append(
                    (name, tuple((out[0] if isinstance(out, tuple) else out).shape))
                )
            )
    with torch.inference_mode():
        passed = network.run(torch.zeros(1, 2, 3, 64, 96), reconstruct=True)
        logits, image = passed.segmentation, passed.reconstruction
    assert logits.shape == (1, 4, 3, 64, 96)
    assert image.shape == (1, 1, 3, 64, 96)
    shapes = [shape for _, shape in seen]
    encoder = [(3, 16 * 2**k, 64 // 2**k, 96 // 2**k) for k in range(5)]
    memory = [(1, 3, 256, 2, 3)] * 4
    assert shapes == encoder + memory + encoder[::-1] * 2


@pytest.mark.parametrize(("pool", "edge"), [(True, 32), (False, 16)])
def test_shapes_with_and_without_the_last_pooling(pool: bool, edge: int) -> None:
    settings = complete_settings(NAME, {**PAPER, "pool_after_last": pool, "memory_cells": 1})
    assert sizes_of(NAME, settings).multiple == (1, edge, edge)
    network = built(3, 4, **settings).eval()
    with torch.inference_mode():
        assert network(torch.zeros(2, 3, 2, edge, 2 * edge)).shape == (2, 4, 2, edge, 2 * edge)


def spread(network: TwoDecoders, shape: tuple[int, int, int], at: tuple[int, int, int]) -> torch.Tensor:
    """Where logits are NaN if the input is NaN in one voxel: what sees that voxel, whatever the weights."""
    channels = torch.zeros(1, 1, *shape)
    channels[(0, 0, *at)] = torch.nan
    # A blocked algorithm would carry NaN to neighbours within its block.
    with torch.inference_mode(), torch.backends.mkldnn.flags(enabled=False):
        return network.eval()(channels)[0, 0].isnan()


def test_the_bottleneck_sees_156_pixels_and_each_cell_64_more() -> None:
    # Field and step of the encoder by hand: a block adds 2 x 2 steps, a pooling one step and doubles it.
    # Blocks and poolings in turn: 5, 6 (step 2), 14, 16 (4), 32, 36 (8), 68, 76 (16), 140, 156 (32).
    field, step = 1, 1
    for _ in range(5):
        field, step = field + 4 * step, step
        field, step = field + step, 2 * step
    assert (field, step) == (156, 32)
    size = 18 * 32
    for cells, reach in ((0, 156), (1, 156 + 64), (2, 156 + 128)):
        network = built(widths=[2, 2, 2, 2, 2], memory_cells=cells, reconstruction=False).eval()
        bottleneck: list[torch.Tensor] = []
        network.segmentation.ups[0].register_forward_pre_hook(
            lambda _m, inputs, kept=bottleneck: kept.append(inputs[0])
        )
        row = torch.zeros(1, 1, 1, 32, size)
        seeing = 0
        middle = 9
        for column in range(middle * 32 - 160, middle * 32 + 192, 4):
            bottleneck.clear()
            probe = row.clone()
            probe[..., 16, column] = torch.nan
            with torch.inference_mode(), torch.backends.mkldnn.flags(enabled=False):
                network(probe)
            seeing += 4 * int(bottleneck[0][0, 0, :, middle].isnan().any())
        assert abs(seeing - reach) < 8, cells


def test_a_slice_is_seen_by_itself_and_through_the_memory_by_later_ones() -> None:
    shape, at = (5, 16, 16), (2, 8, 8)
    alone = spread(built(**{**SMALL, "memory_cells": 0}), shape, at).flatten(1).any(dim=1)
    assert alone.tolist() == [False, False, True, False, False]
    remembered = spread(built(**SMALL), shape, at).flatten(1).any(dim=1)
    assert remembered.tolist() == [False, False, True, True, True]


@pytest.mark.parametrize("window", [1, 3, 4, 7])
def test_windows_with_carried_state_equal_the_whole_sequence(window: int) -> None:
    torch.manual_seed(1)
    channels = torch.randn(2, 2, 7, 16, 24, dtype=torch.float64)
    whole = built(2, 3, **{**SMALL, "window": 7}).double().train()
    with torch.no_grad():
        # So that batch norm and dropout do something in evaluation that could go wrong.
        whole(channels)
    whole.eval()
    parted = built(2, 3, seed=5, **{**SMALL, "window": window}).double().eval()
    parted.load_state_dict(whole.state_dict())
    with torch.inference_mode():
        expected = whole(channels)
        # 1e-12 is rounding; forgetting the state changes logits by far more.
        torch.testing.assert_close(parted(channels), expected, rtol=0, atol=1e-12)
        forgetful = torch.cat([whole(channels[:, :, :3]), whole(channels[:, :, 3:])], dim=2)
    assert (forgetful - expected)[:, :, 3:].abs().max() > 1e-5
    torch.testing.assert_close(forgetful[:, :, :3], expected[:, :, :3], rtol=0, atol=1e-12)


def test_with_the_window_s_statistics_evaluation_sees_what_training_sees() -> None:
    channels = torch.randn(1, 2, 7, 16, 24)
    for norm, window in (("window", 7), ("window", 3), ("batch", 7)):
        network = built(2, 3, norm=norm, dropout=0.0, **{**SMALL, "window": window})
        with torch.no_grad():
            network(channels)
            same = torch.equal(network.train()(channels), network.eval()(channels))
        assert same == (norm == "window")


def test_a_cell_follows_its_equations() -> None:
    torch.manual_seed(0)
    cell = ConvLSTM(1, 1, 1)
    x = torch.tensor([0.5, -1.0, 2.0])
    wx, wh = (w.detach().numpy().ravel().astype(float) for w in (cell.input.weight, cell.recurrent.weight))
    bias = cell.input.bias.detach().numpy().astype(float)
    assert bias[1] == 1
    h = c = 0.0
    for value in x.tolist():
        gates = wx * value + wh * h + bias
        i, f, _, o = 1 / (1 + np.exp(-gates))
        c = f * c + i * np.tanh(gates[2])
        h = o * np.tanh(c)
    out, (hidden, memory) = cell(x.reshape(1, 3, 1, 1, 1))
    assert out[0, -1].item() == hidden.item() == pytest.approx(h, abs=1e-6)
    assert memory.item() == pytest.approx(c, abs=1e-6)


@pytest.mark.parametrize("kernel", [1, 3])
def test_a_cell_s_gradients_are_those_of_its_output(kernel: int) -> None:
    torch.manual_seed(0)
    cell = ConvLSTM(2, 3, kernel).double()
    shapes = ((2, 4, 2, 3, 4), (2, 3, 3, 4), (2, 3, 3, 4))
    given = [torch.randn(shape, dtype=torch.float64, requires_grad=True) for shape in shapes]

    def outcome(sequence: torch.Tensor, *rest: torch.Tensor) -> tuple[torch.Tensor, ...]:
        hidden, memory, recurrent, driving = rest
        weights = {"recurrent.weight": recurrent, "input.weight": driving}
        outputs, state = torch.func.functional_call(cell, weights, (sequence, (hidden, memory)))
        return outputs, *state

    # By finite differences, from state, sequence and weights to every output and the state left behind.
    assert torch.autograd.gradcheck(outcome, (*given, cell.recurrent.weight, cell.input.weight))


def test_a_cell_s_memory_is_float32_where_convolutions_are_not() -> None:
    torch.manual_seed(0)
    cell = ConvLSTM(4, 4, 3)
    sequence = torch.randn(1, 200, 4, 5, 5)
    with torch.no_grad():
        expected, (_, memory) = cell(sequence)
        with torch.autocast("cpu", dtype=torch.bfloat16):
            outputs, (_, rough) = cell(sequence)
    assert (outputs.dtype, rough.dtype) == (torch.bfloat16, torch.float32)
    # bfloat16 has 8 bits: .4 % of a state of about 1; 200 sums in it would drift by several times that.
    assert (rough - memory).abs().mean() < 0.005 * memory.abs().max()
    assert (outputs - expected).abs().mean() < 0.005


def test_gradients_reach_every_weight() -> None:
    network = built(2, 3, **SMALL).train()
    passed = network.run(torch.randn(1, 2, 6, 16, 16), reconstruct=True)
    logits, image = passed.segmentation, passed.reconstruction
    (logits.square().mean() + image.square().mean()).backward()
    silent = [name for name, w in network.named_parameters() if w.grad is None or not w.grad.abs().max() > 0]
    assert silent == []


def test_the_same_seed_gives_the_same_weights() -> None:
    one, same, other = (built(seed=seed, **SMALL).state_dict() for seed in (3, 3, 4))
    assert all(torch.equal(one[name], same[name]) for name in one)
    assert not torch.equal(one["encoder.0.body.0.1.weight"], other["encoder.0.body.0.1.weight"])


def test_without_the_second_decoder_no_image_can_be_asked_for() -> None:
    with pytest.raises(RuntimeError, match="without a decoder"):
        built(**SMALL, reconstruction=False).run(torch.zeros(1, 1, 2, 16, 16), reconstruct=True)


def test_without_skips_the_image_passes_the_bottleneck() -> None:
    with_skips, without = built(**SMALL), built(**SMALL, reconstruction_skips=False)
    assert count(without.segmentation) == count(with_skips.segmentation)
    assert count(without.reconstruction) < count(with_skips.reconstruction)
    image = without.eval().run(torch.randn(1, 1, 2, 16, 16), reconstruct=True).reconstruction
    assert image.shape == (1, 1, 2, 16, 16)


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("widths", [16]),
        ("widths", [16, 0]),
        ("separable", 1),
        ("reconstruction", "yes"),
        ("memory_cells", -1),
        ("memory_kernel", 2),
        ("norm", "layer"),
        ("dropout", 1.0),
        ("negative_labels", "all"),
        ("window", 0),
        ("colour", 1),
    ],
)
def test_bad_settings_are_named(key: str, value: object) -> None:
    with pytest.raises(InputError, match=key):
        create(NAME, 1, 2, {key: value})
