"""One row for an object of many planes says what one measured at once would."""

import numpy as np
import pytest

from napari_unet._steps import Steps
from napari_unet.io.image import Image
from napari_unet.labels.measures import measure_stack
from napari_unet.labels.solids import one_row_each, step_in_z


def test_rows_say_what_is_measured_of_the_whole_object():
    random = np.random.default_rng(0)
    image = random.integers(0, 99, (3, 20, 30)).astype(np.uint16)
    labels = np.zeros((3, 20, 30), np.int32)
    labels[0, 3:9, 4:8], labels[1, 2:10, 4:12], labels[2, 5:6, 5:6] = 4, 4, 4
    labels[1, 15:18, 20:22] = 2
    job = measure_stack(
        labels,
        [(0,), (1,), (2,)],
        lambda plane, y, x: image[(*plane, y, x)][None],
        axes="Z",
        scale=(0.5, 0.5),
    )
    rows = one_row_each(Steps(job).finish(), 2.0)
    assert rows["label"].tolist() == [2, 4]
    assert rows["planes"].tolist() == [1, 3]
    assert rows["z"].tolist() == [1, 1]  # where it is largest
    assert rows["area"].tolist() == [6, 64]
    assert rows["diameter"][1] == pytest.approx(np.sqrt(64 * 4 / np.pi))
    where = labels == 4
    at = np.argwhere(where)
    assert rows["volume"][1] == where.sum()
    assert rows["volume_physical"][1] == pytest.approx(where.sum() * 0.5)
    for i, axis in enumerate("zyx"):
        assert rows[f"centroid_{axis}"][1] == pytest.approx(at[:, i].mean())
        assert rows[f"bbox_{axis}0"][1] == at[:, i].min()
        assert rows[f"bbox_{axis}1"][1] == at[:, i].max() + 1
    assert rows["intensity_mean"][1] == pytest.approx(image[where].mean())
    assert rows["intensity_min"][1] == image[where].min()
    assert rows["intensity_max"][1] == image[where].max()


def test_score_is_that_of_the_pixels_of_all_planes():
    random = np.random.default_rng(0)
    labels = np.zeros((3, 20, 30), np.int32)
    labels[0, 3:9, 4:8], labels[1, 2:10, 4:12], labels[2, 5:6, 5:6] = 4, 4, 4
    labels[1, 15:18, 20:22] = 2  # where the net sees no interior
    scores = random.integers(0, 256, labels.shape).astype(np.uint8)
    scores[scores < 90] = 0
    scores[2, 5, 5] = scores[labels == 2] = 0
    job = measure_stack(labels, [(0,), (1,), (2,)], axes="Z", scores=scores, block=7)
    inside = scores[(labels == 4) & (scores > 0)]
    rows = one_row_each(table := Steps(job).finish())
    assert rows["label"].tolist() == [2, 4]
    assert rows["interior"].tolist() == [0, inside.size]
    assert np.isnan(rows["score"][0])
    assert rows["score"][1] == pytest.approx(inside.mean() / 255, rel=1e-12)
    first, rest = (
        {name: column[of] for name, column in table.items()}
        for of in (table["z"] == 0, table["z"] > 0)
    )
    again = one_row_each(rest, before=one_row_each(first))
    np.testing.assert_allclose(again["score"], rows["score"], rtol=1e-12)


def test_without_pixel_sizes_there_is_no_physical_volume():
    job = measure_stack(np.ones((2, 4, 4), np.int32), [(0,), (1,)], axes="Z")
    rows = one_row_each(Steps(job).finish())
    assert "volume_physical" not in rows
    assert rows["volume"].tolist() == [32]


def test_volume_is_in_cubic_micrometers_with_its_unit():
    job = measure_stack(
        np.ones((2, 4, 4), np.int32),
        [(0,), (1,)],
        axes="Z",
        scale=(0.5, 0.5),
        units=("micrometer", "micrometer"),
    )
    table = Steps(job).finish()
    nanometers = {"scale": (250.0, 1, 1), "units": ("nanometer",) * 3}
    image = Image("a", np.zeros((2, 4, 4)), "ZYX", **nanometers)
    rows = one_row_each(table, step_in_z(image))
    assert rows["volume_physical"] == pytest.approx([2 * 16 * 0.25 * 0.25])
    assert rows["volume_physical_unit"].tolist() == ["cubic micrometer"]
    table["area_physical_unit"] = np.array(["pixel", "pixel"])
    rows = one_row_each(table, 2.0)
    assert rows["volume_physical_unit"].tolist() == ["pixel x micrometer"]
    assert step_in_z(Image("a", np.zeros((2, 4, 4)), "ZYX")) is None
