"""Two readers of features make up one head, and can be taken apart again."""

import pytest
import torch
from torch import Tensor

from napari_unet.network.hypercolumn import Hypercolumn
from napari_unet.network.unet import UNet, UNetSpec
from napari_unet.project.corrections import IGNORE
from napari_unet.training.head_fit import Aim
from napari_unet.training.readers import (
    apart,
    filter_reader,
    filters_of,
    joined,
    widened,
    with_hypercolumn,
)
from napari_unet.training.stacking import _loss, _parts, filters_share


def two_readers(channels: int) -> tuple[UNet, Hypercolumn]:
    torch.manual_seed(0)
    net = UNet(UNetSpec(channels, ("a", "b", "c"), 4, 3))
    net = with_hypercolumn(net)
    reader = filter_reader(net.hypercolumn)
    with torch.no_grad():
        for head in (net.hypercolumn, reader):
            for parameter in head.parameters():
                if parameter.requires_grad:
                    parameter.normal_(0, 0.3)
        for level in range(4):
            net.hypercolumn.mean[level].normal_()
            net.hypercolumn.gain[level].uniform_(0.5, 2)
            count = net.hypercolumn.filters[level]
            reader.mean[level].copy_(net.hypercolumn.mean[level][:count])
            reader.gain[level].copy_(net.hypercolumn.gain[level][:count])
    return net, reader


@pytest.mark.parametrize("channels", [1, 3])
@torch.no_grad()
def test_joined_readers_say_what_both_say(channels: int) -> None:
    net, reader = two_readers(channels)
    image = torch.rand(1, channels, 32, 48)
    features = net.features(image)
    nothing = [f[:, :0] for f in features]
    first = net.head(features[0])
    ours, theirs = net.hypercolumn(image, features), reader(image, nothing)
    for share in (0.0, 0.3):
        whole = joined(net, reader, share)
        expected = first + (1 - share) * ours + theirs
        torch.testing.assert_close(whole(image), expected, atol=1e-4, rtol=1e-4)
        alone = apart(whole, share)(image)
        torch.testing.assert_close(alone, net(image), atol=1e-4, rtol=1e-4)


def test_net_that_was_never_joined_is_left_as_it_is() -> None:
    net = UNet(UNetSpec(1, width=4, depth=2, hypercolumn=8)).eval()
    assert apart(net, 0.3).spec == net.spec
    bare = UNet(UNetSpec(1, width=4, depth=2)).eval()
    assert apart(bare, 0.3).spec == bare.spec


@torch.no_grad()
def test_reader_of_filters_that_may_read_all_says_what_it_said() -> None:
    net, reader = two_readers(2)
    image = torch.rand(1, 2, 32, 32)
    features = net.features(image)
    wide = widened(reader, net.hypercolumn)
    said = reader(image, [f[:, :0] for f in features])
    torch.testing.assert_close(wide(image, features), said, atol=1e-4, rtol=1e-4)
    assert len(wide.mean[0]) == len(net.hypercolumn.mean[0]) > len(reader.mean[0])


def test_filters_are_found_among_the_features_of_all_levels() -> None:
    net, reader = two_readers(2)
    sizes = [len(mean) for mean in net.hypercolumn.mean]
    marks = [torch.zeros(n) for n in sizes]
    for mark, count in zip(marks, net.hypercolumn.filters, strict=True):
        mark[:count] = 1
    features = torch.cat(marks)[None].repeat(5, 1)
    found = filters_of(net.hypercolumn, features)
    assert bool((found == 1).all())
    assert found.shape[1] == sum(len(mean) for mean in reader.mean)
    assert int(features[0].sum()) == found.shape[1]


def told(filters: Tensor, others: Tensor, target: Tensor) -> float:
    """Return the share of filters that tell of the target as `filters` say."""
    torch.manual_seed(0)
    net = with_hypercolumn(UNet(UNetSpec(1, width=2, depth=1)))
    head = net.hypercolumn
    columns = []
    for mean, count in zip(head.mean, head.filters, strict=True):
        wide = filters[:, None].repeat(1, count)
        rest = others[:, None].repeat(1, len(mean) - count)
        columns.append(torch.cat([wide, rest], 1))
    count = len(target)
    stroke = torch.arange(count) // 20  # each of another weight
    nothing = torch.zeros(count, 2)
    weight = (1 + stroke) / (1 + stroke).sum()
    aim = Aim(target, weight, nothing, nothing.softmax(1), torch.zeros(count))
    return filters_share(head, torch.cat(columns, 1), aim)


@pytest.mark.usefixtures("usual_steps")
def test_filters_count_as_far_as_they_foretell_strokes_that_were_left_out() -> None:
    torch.manual_seed(1)
    target = (torch.arange(400) // 20 % 2).to(torch.uint8)
    assert not bool((target == IGNORE).any())
    good, bad = target * 2.0 - 1 + 0.3 * torch.randn(400), torch.randn(400)
    by_heart = torch.randn(20).repeat_interleave(20)  # of each stroke, another one
    assert told(good, 3 * by_heart, target) > 0.5
    assert told(bad, good, target) == 0.0


def test_strokes_of_each_class_are_spread_over_the_parts() -> None:
    stroke = torch.arange(16).repeat_interleave(3)  # 8 of each class, 3 pixels in each
    target, weight = (stroke % 2).to(torch.uint8), (1 + stroke).float()
    nothing = torch.zeros(48, 2)
    parts = _parts(Aim(target, weight, nothing, nothing, nothing[:, 0]))
    assert all(len(parts[stroke == one].unique()) == 1 for one in range(16))
    for part in range(4):
        assert (target[parts == part] == 0).sum() == (target[parts == part] == 1).sum()


def test_one_stroke_that_is_wrong_does_not_decide_alone() -> None:
    target, weight = torch.zeros(10, dtype=torch.uint8), torch.full((10,), 0.1)
    nothing = torch.zeros(10, 2)
    aim = Aim(target, weight, nothing, nothing, nothing[:, 0])
    unsure = torch.tensor([-0.5, 0.5]).repeat(10, 1)  # all are wrong, none by much
    sure = torch.tensor([3.0, -3.0]).repeat(10, 1)
    sure[0] = torch.tensor([-30.0, 30.0])  # one is wrong by far
    assert _loss(aim, sure) < _loss(aim, unsure)
