from __future__ import annotations

from dataclasses import asdict, replace
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import settings as quick
from hypothesis import strategies as st
from myosweep.errors import InputError
from myosweep.networks import ifssnet
from myosweep.networks.ifssnet import Settings
from myosweep.networks.modules.atrous import Pyramid, Separable
from myosweep.networks.modules.siamese import Siamese
from myosweep.networks.modules.slices import Conv, same_weights, to_slices, to_windows
from myosweep.training.device import autocast
from myosweep.training.settings import split_settings
from torch.nn import functional

SMALL: dict[str, Any] = {"widths": (8, 8, 12), "pooling": (2, 2, 1), "extent": 4, "dropout": (0, 0, 0)}
# The paper's numbers, without those of its training.
PAPER = Settings(**split_settings("ifssnet", ifssnet.PRESETS["paper"])[1])


def network_of(**changes: Any) -> Siamese:
    torch.manual_seed(0)
    network = ifssnet.build(1, 2, Settings(**{**SMALL, **changes}))
    assert isinstance(network, Siamese)
    return network


def count(module: torch.nn.Module | None) -> int:
    return 0 if module is None else sum(weights.numel() for weights in module.parameters())


def run(network: Siamese, size: int = 8, cases: int = 1) -> torch.Tensor:
    image = torch.randn(cases, 1, network.window, size, size)
    result: torch.Tensor = network(image, torch.rand(cases, network.window, size, size))
    return result


def test_the_encoder_has_the_weights_of_the_paper_s_layers() -> None:
    """A stage from a to b maps: 4 rates x 27 a filters; a mixture a b + b; norm 2 b.

    1-30: 108 + 30 + 30 + 60 = 228; 30-30: 3240 + 900 + 30 + 60 = 4230; 30-60: 3240 + 1800 + 60 + 120 = 5220;
    60-60: 6480 + 3600 + 60 + 120 = 10260; 60-120: 6480 + 7200 + 120 + 240 = 14040.
    """
    network = Siamese(1, PAPER)
    assert [count(stage) for stage in network.encoder] == [228, 4230, 5220, 10260, 14040]


def test_the_rest_has_the_weights_of_the_paper_s_layers() -> None:
    """Matching: two orders of 3 x 240 x 120 + 120 and twice 16 x 120 x 120 + 120. Residual block: twice
    27 x 120 x 120 + 120. ConvLSTM: four gates of 3 x 3 from 120 + 120 to 120 maps and a bias, once for both
    ways. A refinement from a to b maps with b of the encoder's: 4 a b + b; twice a separable 27 b + b b + b;
    norm 2 b.
    """

    def refinement(a: int, b: int) -> int:
        return 4 * a * b + b + 2 * (27 * b + b * b + b) + 2 * b

    network = Siamese(1, PAPER)
    assert count(network.match) == 2 * (3 * 240 * 120 + 120 + 2 * (16 * 120 * 120 + 120)) == 1_095_120
    assert count(network.residual) == 2 * (27 * 120 * 120 + 120) == 777_840
    assert count(network.memory) == 4 * 120 * (9 * 240 + 1) == 1_037_280
    decoder = [(120, 120), (120, 60), (60, 60), (60, 30), (30, 30)]
    assert [count(stage) for stage in network.decoder] == [refinement(a, b) for a, b in decoder]
    assert count(network.head) == 62
    assert network.balance is not None
    assert network.balance.numel() == 2
    parts = 228 + 4230 + 5220 + 10260 + 14040 + 1_095_120 + 777_840 + 1_037_280 + 62 + 2
    assert count(network) == parts + sum(refinement(a, b) for a, b in decoder)


def test_512_pixels_end_in_16() -> None:
    """Five poolings by 2 in plane: 512 / 32 = 16, as the paper has it; the window's 3 slices stay.

    Columns are fewer, to spare time.
    """
    network = Siamese(1, PAPER).eval()
    with torch.inference_mode():
        maps = network.encode(torch.zeros(1, 1, 3, 512, 32))
        assert maps.end.shape == (3, 120, 16, 1)
        assert [tuple(stage.shape[1:]) for stage in maps.stages] == [
            (30, 512, 32),
            (30, 256, 16),
            (60, 128, 8),
            (60, 64, 4),
            (120, 32, 2),
        ]

    network = Siamese(1, PAPER).eval()
    assert network(torch.zeros(1, 1, 3, 64, 96), torch.zeros(1, 3, 64, 96)).shape == (1, 2, 3, 64, 96)


def test_the_encoder_s_end_sees_1148_pixels() -> None:
    # A stage's rate of 18 adds 36 steps, a pooling one step and doubles it: 37, 38 (step 2), 110, 112 (4),
    # 256, 260 (8), 548, 556 (16), 1132, 1148 (32): 558 on each side of the 32 that a place is made of.
    field, step = 1, 1
    for _ in range(5):
        field, step = field + 36 * step + step, 2 * step
    assert (field, step) == (1148, 32)
    network = ifssnet.build(1, 2, replace(PAPER, widths=(4, 4, 4, 4, 4), dropout=(0, 0, 0))).eval()
    assert isinstance(network, Siamese)
    middle, reach = 20, (field - step) // 2
    first, last = middle * step - reach, middle * step + step - 1 + reach
    for column, seen in ((first - 1, False), (first, True), (last, True), (last + 1, False)):
        probe = torch.zeros(1, 1, 3, 32, 41 * step)
        probe[..., column] = torch.nan
        # A blocked algorithm would carry NaN to neighbours within its block.
        with torch.inference_mode(), torch.backends.mkldnn.flags(enabled=False):
            assert bool(network.encode(probe).end[1, :, :, middle].isnan().any()) is seen


def test_maps_are_shared_out_between_the_rates() -> None:
    widths = [branch.pointwise.weight.shape[0] for branch in Pyramid(30, 30, (1, 6, 12, 18)).branches]
    assert widths == [8, 8, 7, 7]


@pytest.mark.parametrize("rate", [1, 6, 12, 18])
def test_a_rate_reaches_as_far_as_it_says(rate: int) -> None:
    """3 taps at distance r span 2 r + 1 voxels; along a window of 3 only rate 1 sees neighbours."""
    image = torch.zeros(3, 2, 41, 41)
    image.requires_grad_()
    Separable(2, 1, rate)(image, 3)[1, 0, 20, 20].backward()
    assert image.grad is not None
    seen = image.grad.abs().sum(1).nonzero()
    assert (seen[:, 1].max() - seen[:, 1].min() + 1).item() == 2 * rate + 1
    assert (seen[:, 2].max() - seen[:, 2].min() + 1).item() == 2 * rate + 1
    assert sorted(set(seen[:, 0].tolist())) == ([0, 1, 2] if rate == 1 else [1])


def test_the_matching_sees_the_whole_bottleneck_in_both_orders() -> None:
    network = network_of(extent=8)
    image = torch.zeros(3, 12, 4, 4, requires_grad=True)
    network.match(image, torch.zeros(3, 12, 4, 4), 3)[1, 0, 0, 3].backward()
    assert image.grad is not None
    assert (image.grad.abs().sum(1) > 0).all()


@quick(max_examples=40, deadline=None)
@given(
    kernel=st.tuples(*[st.integers(1, 5)] * 3),
    size=st.tuples(st.integers(1, 5), st.integers(1, 6), st.integers(1, 6)),
    rate=st.integers(1, 4),
    depthwise=st.booleans(),
    cases=st.integers(1, 2),
)
def test_slice_by_slice_is_the_padded_convolution_in_3d(
    kernel: tuple[int, int, int], size: tuple[int, int, int], rate: int, depthwise: bool, cases: int
) -> None:
    conv = Conv(3, 3, kernel, rate=rate, depthwise=depthwise)
    assert conv.bias is not None
    torch.nn.init.normal_(conv.bias)
    windows = torch.randn(cases, 3, *size, requires_grad=True)
    pads = [pad for k in reversed(kernel) for pad in (rate * ((k - 1) // 2), rate * (k // 2))]
    expected = functional.conv3d(
        functional.pad(windows, pads), conv.weight, conv.bias, dilation=rate, groups=3 if depthwise else 1
    )
    with same_weights(conv):
        found = to_windows(conv(to_slices(windows), size[0]), size[0])
        again = to_windows(conv(to_slices(windows), size[0]), size[0])
    torch.testing.assert_close(found, expected, atol=1e-4, rtol=1e-4)
    assert torch.equal(found, again)
    weights = torch.randn_like(expected)
    of_both = [
        torch.autograd.grad((result * weights).sum(), [windows, conv.weight], retain_graph=True)
        for result in (found, expected)
    ]
    for mine, theirs in zip(*of_both, strict=True):
        torch.testing.assert_close(mine, theirs, atol=1e-3, rtol=1e-3)


@pytest.mark.parametrize("channels", [2, 16])
def test_gradients_in_bfloat16_are_those_of_float64_but_for_rounding(channels: int) -> None:
    torch.manual_seed(1)
    conv = Conv(channels, channels, (3, 3, 3), rate=6, depthwise=True, bias=False)
    windows = torch.randn(4, channels, 3, 30, 32)
    weights = torch.randn_like(windows)
    with autocast(torch.device("cpu"), "bfloat16"):
        found = to_windows(conv(to_slices(windows), 3), 3).float()
    (mine,) = torch.autograd.grad((found * weights).sum(), [conv.weight])
    kernel = conv.weight.detach().double().requires_grad_()
    expected = functional.conv3d(windows.double(), kernel, padding=6, dilation=6, groups=channels)
    (theirs,) = torch.autograd.grad((expected * weights).sum(), [kernel])
    # bfloat16 has 8 bits.
    assert float((mine - theirs).abs().max() / theirs.abs().max()) < 2**-7


@pytest.mark.parametrize(
    ("inputs", "outputs", "rate", "edge"),
    [(1, 4, 1, 40), (2, 8, 2, 40), (16, 8, 1, 12), (8, 16, 3, 24), (6, 5, 1, 24), (40, 30, 2, 12)],
    ids=["fewest", "fewest, dilated", "small", "one tap", "apart", "apart, small"],
)
def test_filter_and_mixture_at_once_or_apart_are_a_convolution_in_3d(
    inputs: int, outputs: int, rate: int, edge: int
) -> None:
    """In float64, with the gradients of both weights and of what is filtered."""
    torch.manual_seed(1)
    separable = Separable(inputs, outputs, rate).double()
    windows = torch.randn(2, inputs, 3, edge, edge + 1, dtype=torch.float64, requires_grad=True)
    filters, mixture = separable.depthwise.weight, separable.pointwise.weight
    deep = functional.conv3d(windows, filters, padding=rate, dilation=rate, groups=inputs)
    expected = functional.conv3d(deep, mixture, separable.pointwise.bias)
    with same_weights(separable):
        found = [to_windows(separable(to_slices(windows), 3), 3) for _ in range(2)]
    assert torch.equal(*found)
    torch.testing.assert_close(found[0], expected)
    scale = torch.randn_like(expected)
    mine, theirs = (
        torch.autograd.grad((result * scale).sum(), [windows, filters, mixture])
        for result in (found[1], expected)
    )
    for own, other in zip(mine, theirs, strict=True):
        torch.testing.assert_close(own, other)


def test_rates_beyond_the_map_change_nothing() -> None:
    torch.manual_seed(1)
    separable = Separable(4, 5, 6)
    slices = torch.randn(6, 4, 5, 6)
    deep = functional.conv3d(
        to_windows(slices, 3), separable.depthwise.weight, padding=6, dilation=6, groups=4
    )
    expected = functional.conv3d(deep, separable.pointwise.weight, separable.pointwise.bias)
    torch.testing.assert_close(to_windows(separable(slices, 3), 3), expected, atol=1e-5, rtol=1e-4)


def test_each_logit_follows_its_own_case() -> None:
    network = network_of().eval()
    image, mask = torch.randn(2, 1, 3, 8, 8), torch.rand(2, 3, 8, 8)
    both = network(image, mask)
    assert both.shape == (2, 2, 3, 8, 8)
    for case in range(2):
        alone = network(image[case : case + 1], mask[case : case + 1])
        torch.testing.assert_close(both[case : case + 1], alone, atol=1e-5, rtol=1e-4)


def test_gradients_reach_every_weight() -> None:
    network = network_of()
    assert network.balance is not None
    (run(network) ** 2).sum().backward()
    still = [name for name, value in network.named_parameters() if value.grad is None or not value.grad.any()]
    assert still == ["balance"]


def test_one_cell_remembers_both_ways() -> None:
    """The first slice reaches the last and the other way round; forwards alone, only the first."""
    for memory, expected in (
        ("biconvlstm", [True, True]),
        ("convlstm", [True, False]),
        ("none", [False] * 2),
    ):
        network = network_of(memory=memory)
        reached = []
        for source, end in ((0, 2), (2, 0)):
            fused = torch.zeros(3, 12, 2, 2, requires_grad=True)
            result = network._remember(fused, 3) if network.memory is not None else fused
            result[end].sum().backward()
            assert fused.grad is not None
            reached.append(bool(fused.grad[source].any()))
        assert reached == expected, memory


def test_both_ways_are_the_mirror_of_each_other() -> None:
    network = network_of()
    fused = torch.randn(3, 12, 2, 2)
    torch.testing.assert_close(network._remember(fused.flip(0), 3).flip(0), network._remember(fused, 3))


def test_ablations_take_away_what_they_say() -> None:
    full = network_of()
    assert count(network_of(memory="convlstm")) == count(full)
    assert count(full) - count(network_of(memory="none")) == count(full.memory)
    assert count(network_of(matching="correlation").match) == 0
    assert count(network_of(matching="concatenation").match) == 24 * 12 + 12
    assert network_of(index="dice").balance is None
    assert count(full) - count(network_of(index="dice")) == 2
    assert not network_of(recurrence=False).recurrence
    assert run(network_of(window=10)).shape == (1, 2, 10, 8, 8)
    for changes in (
        {"memory": "none"},
        {"matching": "correlation"},
        {"matching": "concatenation"},
        {"memory": "convlstm"},
    ):
        assert torch.isfinite(run(network_of(**changes))).all()


def test_the_thesis_s_variants_differ_by_one_setting() -> None:
    assert ifssnet.PRESETS["pgnet"] == {"memory": "none"}
    assert ifssnet.PRESETS["segnet"] == {"index": "dice"}
    for changes in (changes for name, changes in ifssnet.PRESETS.items() if name != "paper"):
        assert asdict(Settings(**changes)) == {**asdict(Settings()), **changes}


def test_correlation_is_the_sum_of_products_of_shifted_maps() -> None:
    network = network_of(matching="correlation")
    image, mask = torch.randn(1, 1, 3, 4), torch.randn(1, 1, 3, 4)
    found = network.match(image, mask, 1)[0, 0]
    assert found[1, 1].item() == pytest.approx((image * mask).sum().item() / 12, abs=1e-6)
    assert found[1, 2].item() == pytest.approx((image[..., 1:] * mask[..., :-1]).sum().item() / 12, abs=1e-6)


def test_the_mask_stream_sees_the_image_s_maps_and_the_other_channels() -> None:
    network = ifssnet.build(3, 2, Settings(**SMALL)).eval()
    image = torch.randn(1, 3, 3, 8, 8, requires_grad=True)
    network(image, torch.rand(1, 3, 8, 8)).sum().backward()
    assert image.grad is not None
    assert image.grad.flatten(3).any(3).all()


def test_the_same_seed_gives_the_same_weights() -> None:
    first, second = network_of().state_dict(), network_of().state_dict()
    assert all(torch.equal(first[name], second[name]) for name in first)


def test_pooling_sets_what_sizes_must_be_a_multiple_of() -> None:
    assert ifssnet.multiple(PAPER) == (1, 32, 32)
    assert ifssnet.multiple(Settings(**SMALL)) == (1, 4, 4)


def test_the_published_code_s_numbers_can_be_set() -> None:
    deep = [[1, 6, 12, 18], [1, 6, 12, 18], [1, 4, 6, 8], [1, 2, 4, 6], [1, 2, 4, 6]]
    changes = {"widths": (30, 30, 60, 120, 120), "rates": deep, "memory_kernel": 1}
    settings = replace(PAPER, **changes)
    network = Siamese(1, settings).eval()
    assert network(torch.zeros(1, 1, 3, 32, 32), torch.zeros(1, 3, 32, 32)).shape == (1, 2, 3, 32, 32)


@pytest.mark.parametrize(
    "changes",
    [
        {"window": 1},
        {"widths": ()},
        {"widths": (3, 8, 12)},
        {"rates": ()},
        {"rates": (0,)},
        {"rates": ((1,), (2,))},
        {"pooling": (2, 2)},
        {"extent": 0},
        {"matching": "sum"},
        {"memory": "lstm"},
        {"memory_kernel": 2},
        {"recurrence": 1},
        {"index": "focal"},
        {"l2": -1},
        {"parts": 0},
        {"lead": -1},
        {"lead": 2, "reach": 0},
        {"balance_rate": -1},
        {"margin_mm": -1},
        {"supervision": "none"},
        {"annotated_percent": 0},
        {"dropout": (0.1, 1.0, 0.1)},
    ],
)
def test_bad_settings_are_named(changes: dict[str, Any]) -> None:
    with pytest.raises(InputError, match=next(iter(changes))):
        Settings(**{**SMALL, **changes})


def test_one_structure_per_network() -> None:
    with pytest.raises(InputError, match="structures"):
        ifssnet.build(1, 3, Settings(**SMALL))
