"""How fast the engine's user is, as a ratio to the bare net within one run."""

import time

import numpy as np
import pytest
import torch

from napari_unet.images import Image, open_image
from napari_unet.inference import engine
from napari_unet.model import load
from napari_unet.options import SegmentOptions
from napari_unet.predict import segment
from napari_unet.samples import sample_path

MOST = 1.6  # times what the bare net takes over exactly the image's pixels


@pytest.fixture
def one_thread():
    """One thread's processor time hardly depends on what else the machine does."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def cpu_seconds(call):
    began = time.process_time()
    call()
    return time.process_time() - began


def test_segmenting_takes_little_longer_than_the_bare_net(one_thread):
    model = load("nuclei")
    cells = np.asarray(open_image(sample_path("nuclei")).data)
    image = Image("cells", np.tile(cells, (2, 2)), "YX")
    run = engine(model, "cpu")
    piece = torch.rand(1, 1, 512, 512)

    def ours():
        return list(segment(model, image, SegmentOptions(device="cpu")))

    def bare():
        x = piece.contiguous(memory_format=torch.channels_last)
        with torch.inference_mode():
            for _ in range(4):
                run.net(x)

    ours(), bare()  # warm
    taken = [(cpu_seconds(ours), cpu_seconds(bare)) for _ in range(4)]
    best, floor = (min(times) for times in zip(*taken, strict=True))
    assert best <= MOST * floor, f"{best:.3f} s, the bare net {floor:.3f} s"


def test_auto_takes_the_dtype_that_is_computed_faster(one_thread):
    window = np.zeros((1, 384, 384), np.float32)
    taken = {}
    for precision in ("auto", "fp32", "bf16"):
        run = engine(load("nuclei"), "cpu", precision)
        run(window)  # warm
        taken[precision] = min(cpu_seconds(lambda r=run: r(window)) for _ in range(3))
    assert taken["auto"] <= 1.5 * min(taken.values()), taken
