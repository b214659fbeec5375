"""A model for other classes and channels begins with what its parent knows."""

import pytest
import torch

from napari_unet.errors import ModelError, OptionsError
from napari_unet.network.model import Model, UNet, UNetSpec, load
from napari_unet.network.transfer import new_model


def like_parent(logits: torch.Tensor) -> torch.Tensor:
    """Return background, and the mean of the parent's other classes."""
    return torch.stack([logits[:, 0], logits[:, 1:].mean(1)], 1)


def test_new_classes_begin_as_the_mean_of_the_parents() -> None:
    parent = load("nuclei")
    child = new_model(parent, ["background", "cell"], name="cells")
    image = torch.rand(1, 1, 64, 64)
    old, new = parent.net(image), child.net(image)
    torch.testing.assert_close(new, like_parent(old))
    assert child.spec.classes == ("background", "cell")
    assert child.card["history"][-1] == "new classes, nuclei"


def test_classes_that_begin_alike_are_told_apart() -> None:
    child = new_model(load("nuclei"), ["background", "a", "b"])
    logits = child.net(torch.rand(1, 1, 64, 64))
    assert (logits[:, 1] != logits[:, 2]).any()
    again = new_model(load("nuclei"), ["background", "a", "b"])
    assert again.checksum() == child.checksum()


@pytest.mark.parametrize("channels", [2, 3, 5])
def test_equal_channels_look_like_the_parents_one(channels: int) -> None:
    parent = load("nuclei")
    child = new_model(parent, ["background", "cell"], channels=channels)
    image = torch.rand(1, 1, 32, 32)
    torch.testing.assert_close(
        child.net(image.repeat(1, channels, 1, 1)),
        like_parent(parent.net(image)),
        atol=1e-3,
        rtol=1e-3,
    )


def test_parent_with_a_hypercolumn_passes_on_its_encoder() -> None:
    spec = UNetSpec(1, ("background", "x"), 4, 2, hypercolumn=8)
    parent = Model(UNet(spec).eval(), name="p")
    child = new_model(parent, ["background", "a", "b"])
    assert child.spec.hypercolumn == 0
    torch.testing.assert_close(
        child.net.encoder[0][0].weight, parent.net.encoder[0][0].weight
    )


def test_impossible_classes_are_refused() -> None:
    with pytest.raises(ModelError, match="two or more different names"):
        new_model(load("nuclei"), ["background"])
    with pytest.raises(OptionsError, match="cannot be painted"):
        new_model(load("nuclei"), ["background", "interior", "boundary"])
