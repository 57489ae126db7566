from __future__ import annotations

import pytest
import torch
from myosweep.errors import InputError
from myosweep.networks import create, module_of, sizes_of
from myosweep.networks.modules.attentive_pyramid import AttentivePyramid, Bottleneck, _halved
from myosweep.networks.modules.linear_resize import linear_resize
from myosweep.training.losses import segmentation_loss
from myosweep.training.settings import TrainingSettings
from torch.nn.functional import interpolate, max_pool3d

torch.set_num_threads(1)
SMALL = {"width": 32, "blocks": [1, 1, 1, 1]}


def built(in_channels: int = 1, classes: int = 2, **settings: object) -> AttentivePyramid:
    torch.manual_seed(0)
    network = create("daf3d", in_channels, classes, settings)
    assert isinstance(network, AttentivePyramid)
    return network


def count(module: torch.nn.Module) -> int:
    return sum(weights.numel() for weights in module.parameters())


# By hand, for C channels and K classes; a group norm has 2 weights per map, a PReLU 1.
# Block of p maps inside and a in: a p + 2 p, 27 p p / 32 + 2 p, 2 p p + 4 p, one PReLU; a first block's
# shortcut 2 a p + 4 p.
def block(a: int, p: int, first: bool) -> int:
    return a * p + 2 * p + 27 * p * p // 32 + 2 * p + 2 * p * p + 4 * p + 1 + first * (2 * a * p + 4 * p)


def weights_of(channels: int, classes: int, width: int = 64, blocks: tuple[int, ...] = (3, 4, 6, 3)) -> int:
    total = 343 * channels * width + 2 * width + 1
    before = width
    for level, number in enumerate(blocks):
        p = width * 2 ** (level + 1)
        total += block(before, p, first=True) + (number - 1) * block(2 * p, p, first=False)
        before = 2 * p
        total += (2 * p * 128 + 128) + 2 * 128 + 1

    def three(maps: int) -> int:
        return (64 * maps + 64 + 128 + 1) + 2 * (27 * 64 * 64 + 64 + 128 + 1)

    total += three(512)
    total += 4 * (three(192) - 129) + 4 * three(192)
    total += 256 * 64 + 64 + 128 + 1
    total += 4 * (27 * 64 * 64 + 64 + 128) + (256 * 64 + 64 + 128)
    return total + 4 * (128 * classes + classes) + 5 * (64 * classes + classes)


def test_weights_are_as_many_as_its_layers_give() -> None:
    with torch.device("meta"):
        assert count(create("daf3d", 1, 1, {})) == weights_of(1, 1)
        assert count(create("daf3d", 3, 4, {})) == weights_of(3, 4)
    assert count(built(1, 2, **SMALL)) == weights_of(1, 2, 32, (1, 1, 1, 1))


def test_stages_are_as_wide_dilated_and_strided_as_the_source_says() -> None:
    with torch.device("meta"):
        network = create("daf3d", 1, 1, {})
        shapes: list[tuple[int, ...]] = []
        for stage in network.stages:
            stage.register_forward_hook(lambda _m, _i, out: shapes.append(tuple(out.shape[1:])))
        blocks = [[m for m in stage.modules() if isinstance(m, Bottleneck)] for stage in network.stages]
        network(torch.zeros(1, 1, 16, 64, 32))
    assert [len(stage) for stage in blocks] == [3, 4, 6, 3]
    assert [stage[0].body[3].dilation[0] for stage in blocks] == [1, 1, 2, 2]
    assert shapes == [(256, 8, 16, 8), (512, 8, 8, 4), (1024, 8, 8, 4), (2048, 8, 8, 4)]
    assert [branch[0].dilation for branch in network.atrous] == [(1, r, r) for r in (1, 6, 12, 18)]


@pytest.mark.parametrize("shape", [(8, 16, 24), (7, 18, 23)])
def test_nine_outputs_of_the_input_s_size_and_the_last_is_the_result(shape: tuple[int, int, int]) -> None:
    assert sizes_of("daf3d", SMALL).multiple == (2, 8, 8)
    network = built(2, 3, **SMALL).eval()
    channels = torch.randn(1, 2, *shape)
    with torch.inference_mode():
        outputs = network.outputs(channels)
        assert len(outputs) == 9
        assert {out.shape for out in outputs} == {(1, 3, *shape)}
        assert torch.equal(outputs[-1], network(channels))


def test_the_objective_weighs_nine_losses_and_reaches_every_weight() -> None:
    module = module_of("daf3d")
    network = built(1, 2, **SMALL).train()
    objective = module.objective(module.Settings(**SMALL), TrainingSettings())
    channels = torch.randn(1, 1, 8, 16, 16)
    target = torch.softmax(torch.randn(1, 2, 8, 16, 16), dim=1)
    ((index, loss),) = objective.losses(network, channels, target)
    assert index == 0
    weights = (0.4, 0.5, 0.7, 0.8) * 2 + (1.0,)
    single = [segmentation_loss(out, target).item() for out in network.outputs(channels)]
    assert loss.item() == pytest.approx(sum(w * x for w, x in zip(weights, single, strict=True)), rel=1e-5)
    loss.backward()
    (learned,) = objective.parameters(network)
    assert len(learned) == len(list(network.parameters()))
    silent = [name for name, w in network.named_parameters() if w.grad is None or not w.grad.abs().max() > 0]
    # The largest of 27 normalised values is above 0, so the slope below 0 before the pooling is idle here.
    assert set(silent) <= {"stem.2.weight"}


def test_the_loss_falls_clearly_in_a_few_steps() -> None:
    module = module_of("daf3d")
    network = built(1, 2, **SMALL).train()
    objective = module.objective(module.Settings(**SMALL), TrainingSettings())
    optimiser = torch.optim.Adam(network.parameters(), lr=1e-3)
    z, y, x = torch.meshgrid(torch.arange(8), torch.arange(32), torch.arange(32), indexing="ij")
    mask = (((z - 4) / 3) ** 2 + ((y - 15) / 9) ** 2 + ((x - 12) / 9) ** 2 < 1).float()
    channels = (1 - 2 * mask + 0.3 * torch.randn(mask.shape))[None, None]
    target = torch.stack([1 - mask, mask])[None]
    told = []
    for _ in range(12):
        ((_, loss),) = objective.losses(network, channels, target)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        told.append(loss.item())
    assert told[-1] < 0.6 * told[0]


@pytest.mark.parametrize(("old", "new"), [((3, 4, 5), (6, 9, 5)), ((8, 1, 7), (3, 4, 14))])
def test_resizing_is_torch_s_trilinear(old: tuple[int, ...], new: tuple[int, ...]) -> None:
    torch.manual_seed(0)
    volume = torch.randn(2, 3, *old, dtype=torch.float64)
    expected = interpolate(volume, size=new, mode="trilinear", align_corners=False)
    torch.testing.assert_close(linear_resize(volume, new), expected, rtol=0, atol=1e-12)


@pytest.mark.parametrize("shape", [(4, 6, 8), (5, 7, 9)])
def test_pooling_in_two_steps_is_pooling(shape: tuple[int, ...]) -> None:
    volume = torch.randn(2, 3, *shape)
    assert torch.equal(_halved(volume), max_pool3d(volume, 3, stride=2, padding=1))


@pytest.mark.parametrize(
    ("key", "value"),
    [("width", 48), ("width", 0), ("blocks", [3, 4, 6]), ("blocks", [3, 4, 6, 0]), ("supervision", [1, 1])],
)
def test_bad_settings_are_named(key: str, value: object) -> None:
    with pytest.raises(InputError, match=f"settings of daf3d, {key}"):
        create("daf3d", 1, 2, {key: value})
