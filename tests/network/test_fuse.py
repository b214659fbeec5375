"""A net made ready to run computes what it did."""

import pytest
import torch
from torch.nn import functional as F

from napari_unet.network.fuse import fold
from napari_unet.network.model import load

IMAGE = torch.rand(1, 1, 64, 96, generator=torch.Generator().manual_seed(0))


def test_a_folded_net_answers_as_before():
    net = load("nuclei").net
    folded = fold(net)
    with torch.inference_mode():
        before, after = net(IMAGE), folded(IMAGE)
    torch.testing.assert_close(after, before, atol=1e-3, rtol=1e-4)
    assert not any(isinstance(m, torch.nn.BatchNorm2d) for m in folded.modules())
    assert any(isinstance(m, torch.nn.BatchNorm2d) for m in net.modules())


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("layout", [torch.channels_last, torch.contiguous_format])
def test_relu_inside_a_convolution_is_relu_after_it_to_the_bit(dtype, layout):
    _, second = fold(load("nuclei").net).to(dtype).to(memory_format=layout).encoder[0]
    x = torch.randn(1, 16, 64, 96, generator=torch.Generator().manual_seed(0))
    x = x.to(dtype).contiguous(memory_format=layout)[..., 3:-5, 7:]
    with torch.inference_mode():
        after = F.relu(second.conv(x))
        assert torch.equal(second(x), after)
        assert 0 < torch.count_nonzero(after) < after.numel()
