"""Blocks of a level give what one forward pass gives, whatever net and block."""

import pytest
import torch
from helpers.nets import random_model

from napari_unet._steps import Steps
from napari_unet.network import blockwise
from napari_unet.network.blockwise import Columns, Workspace, forward_steps
from napari_unet.network.fuse import fold


def finish(job):
    """Return how often a generator yielded, and its result."""
    run = Steps(job)
    return len(list(run)), run.result


@pytest.mark.parametrize("block", [1, 20_000, 10**9], ids=["small", "some", "one"])
@pytest.mark.parametrize("up", ["transpose", "upsample"])
@pytest.mark.parametrize("convs", [1, 2, 3])
@pytest.mark.parametrize("head", [0, 8], ids=["head", "hypercolumn"])
def test_blocks_equal_one_forward_pass(block, up, convs, head):
    model = random_model(depth=3, up=up, convs_per_block=convs, hypercolumn=head)
    image = torch.rand(1, 1, 136, 200)
    with torch.inference_mode():
        whole = model.net(image)
    steps, logits = finish(forward_steps(fold(model.net), image, block=block))
    torch.testing.assert_close(logits, whole, atol=1e-4, rtol=0)
    assert steps == 7 if block == 10**9 else steps > 7


@pytest.mark.parametrize("block", [1, 10**9], ids=["small", "one"])
@pytest.mark.parametrize("up", ["transpose", "upsample"])
def test_second_head_reads_what_was_kept_of_a_part(block, up):
    model = random_model(depth=3, up=up, in_channels=2, hypercolumn=8)
    net, image = fold(model.net), torch.rand(1, 2, 136, 200)
    part, inner = (slice(32, 104), slice(64, 200)), (slice(8, -8), slice(8, None))
    columns = Columns(net, image, part)
    finish(forward_steps(net, image, block=block, reader=columns))
    with torch.inference_mode():
        whole = model.net(image)[..., *part]
    found = columns.logits(net.hypercolumn, block)
    torch.testing.assert_close(
        found[..., *inner], whole[..., *inner], atol=1e-4, rtol=0
    )


def test_colours_and_bfloat16_are_computed_in_blocks_too():
    model = random_model(depth=2, in_channels=3, hypercolumn=8)
    net = fold(model.net).to(torch.bfloat16)
    image = torch.rand(1, 3, 96, 96)
    with torch.inference_mode():
        whole = net(image)
    _, logits = finish(forward_steps(net, image, block=5000))
    assert logits.dtype == torch.bfloat16
    assert (logits.argmax(1) == whole.argmax(1)).float().mean() > 0.99


@pytest.mark.parametrize("head", [0, 8], ids=["head", "hypercolumn"])
def test_images_in_the_same_memory_do_not_mix(head):
    net = fold(random_model(depth=3, hypercolumn=head).net)
    images = [torch.rand(1, 1, *size) for size in ((96, 64), (96, 64), (64, 64))]
    space = Workspace()
    found = [finish(forward_steps(net, image, space))[1] for image in images * 2]
    alone = [finish(forward_steps(net, image))[1] for image in images * 2]
    assert all(map(torch.equal, found, alone))


def test_the_second_image_takes_the_memory_of_the_first(monkeypatch):
    net, space, fresh = fold(random_model(depth=4).net), Workspace(), []
    empty = blockwise._empty

    def counted(channels, height, width, dtype):
        fresh.append(channels * height * width)
        return empty(channels, height, width, dtype)

    monkeypatch.setattr(blockwise, "_empty", counted)
    taken = []
    for _ in range(2):
        fresh.clear()
        finish(forward_steps(net, torch.rand(1, 1, 128, 128), space))
        taken.append(sum(fresh))
    assert taken[1] < 0.6 * taken[0]


def test_inference_mode_does_not_leak_out_of_an_unfinished_pass():
    job = forward_steps(random_model().net, torch.rand(1, 1, 64, 64), block=1)
    next(job)
    assert not torch.is_inference_mode_enabled()
    job.close()
