"""The project folder: what is saved, what survives, and what is said of the rest."""

import io
import json
import os
import signal
import sys
import threading
import time
import tracemalloc
import zipfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import tifffile
from helpers.processes import Forked
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from napari_unet._files import pack, unpack
from napari_unet.errors import CorrectionError, OutputError
from napari_unet.io.image import Image
from napari_unet.io.open import open_image
from napari_unet.options import SegmentOptions
from napari_unet.project.block_store import SIDE
from napari_unet.project.corrections import FOREGROUND, IGNORE, Correction
from napari_unet.project.location import holds_work, lists, projects_beside
from napari_unet.project.project import Project, project_place

BOX = slice(250, 262), slice(10, 20)  # over the border of two blocks


def noise(*shape: int, seed: int = 0):
    return np.random.default_rng(seed).integers(0, 4000, shape).astype(np.uint16)


def write_image(folder: Path, name: str = "cells.tif", seed: int = 0) -> Image:
    folder.mkdir(exist_ok=True)
    tifffile.imwrite(folder / name, noise(300, 420, seed=seed), compression="zlib")
    return open_image(folder / name)


def paint(project: Project, key: str, value: int = 1, box=BOX, plane=()) -> None:
    shape = tuple(s.stop - s.start for s in box)
    pixels = np.full(shape, value, np.uint8), np.full(shape, 7, np.int32)
    project.write(key, plane, box, pixels)


@pytest.fixture
def image(tmp_path: Path) -> Image:
    return write_image(tmp_path / "data")


@pytest.fixture
def saved(tmp_path: Path, image: Image) -> Path:
    """A project with two blocks of one image, and two models."""
    project = Project.open(tmp_path / "cells.unet")
    paint(project, project.add_image(image))
    project.update(("background", "cell"), {"diameter": 12})
    project.add_model("v1", b"one", parent="nuclei", strokes=3)
    project.add_model("v2", b"two", parent="v1", score=0.75, strokes=5)
    project.activate("v1")
    project.flush()
    return project.folder


def files(folder: Path) -> list[str]:
    return sorted(p.relative_to(folder).as_posix() for p in folder.rglob("*.*"))


def test_nothing_is_written_before_something_is_saved(tmp_path, image) -> None:
    project = Project.open(tmp_path / "cells.unet")
    key = project.add_image(image)
    project.flush()
    assert (project.read(key, (), BOX)[0] == IGNORE).all()
    assert not project.folder.exists()


def test_what_was_painted_comes_back(saved, image) -> None:
    project = Project.open(saved)
    key = project.add_image(image)
    target, shown = project.read(key, (), (slice(249, 262), slice(10, 20)))
    assert (target[0] == IGNORE).all()
    assert (target[1:] == 1).all()
    assert (shown[1:] == 7).all()
    assert not project.notes
    assert not project.unsaved


def test_models_classes_and_settings_come_back(saved) -> None:
    index = Project.open(saved).index
    assert index.classes == ("background", "cell")
    assert index.settings == {"diameter": 12}
    assert [(m.name, m.parent, m.score, m.strokes) for m in index.models] == [
        ("v1", "nuclei", None, 3),
        ("v2", "v1", 0.75, 5),
    ]
    assert index.active == "v1"
    assert Project.open(saved).model_file("v2").read_bytes() == b"two"


def test_corrections_hold_the_image_around_them(saved, image) -> None:
    upper, lower = Project.open(saved).corrections()
    for found, top in ((upper, 0), (lower, 160)):
        raw = found.image.read((), slice(None), slice(None))
        height, width = raw.shape[1:]
        assert (height, width) == (300 - top, 256 + 96)
        expected = image.read((), slice(top, None), slice(0, width))
        np.testing.assert_array_equal(raw, expected)
        np.testing.assert_array_equal(found.sample, image.sample())
    rows, columns = np.nonzero(lower.reviewed)
    assert (rows.min(), rows.max(), columns.min(), columns.max()) == (0, 5, 10, 19)
    assert lower.corner == (96, 0)
    assert lower.target.shape == (44, 256)
    assert (upper.place, lower.place) == (((), (0, 0)), ((), (256, 0)))
    assert (upper.source, upper.model) == ("cells", "v1")
    assert upper.key == Project.open(saved).add_image(image)
    assert upper.time.endswith("+00:00")


def test_training_sees_blocks_as_it_sees_the_whole_image(
    saved, image, tiny_model
) -> None:
    from napari_unet.training.examples import read_examples

    target = np.full((300, 420), IGNORE, np.uint8)
    target[BOX] = 1
    (whole,) = read_examples(tiny_model, [Correction(image, target)])
    found = read_examples(tiny_model, Project.open(saved).corrections())
    assert len(found) == 2
    for example, top in zip(found, (0, 160), strict=True):
        part = whole.image[:, top:, :352]
        np.testing.assert_array_equal(example.image, part)
    np.testing.assert_array_equal(found[0].target[:256, :256], target[:256, :256])
    np.testing.assert_array_equal(found[1].target[96:, :256], target[256:, :256])


@pytest.mark.parametrize(
    ("stored", "channel", "diameter"),
    [
        ({"channel": 1, "diameter": 24.0}, 1, 24.0),
        ({"channel": None, "diameter": None}, None, None),
        ({"channel": [1], "diameter": -3}, None, None),
        ({"channel": 1, "diameter": "24"}, 1, None),
        ({"channel": [1], "diameter": 24.0}, None, 24.0),
        ("damaged", None, None),
    ],
    ids=["both", "neither", "nonsense", "no number", "no channel", "no object"],
)
def test_corrections_know_how_the_image_was_segmented(
    saved, image, stored, channel, diameter
) -> None:
    project = Project.open(saved)
    project.update(settings={"seen": {project.add_image(image): stored}})
    for correction in Project.open(saved).corrections():
        assert correction.seen == SegmentOptions(channel=channel, diameter=diameter)


def test_how_images_were_segmented_is_unknown_where_that_makes_no_sense(saved) -> None:
    Project.open(saved).update(settings={"seen": 3})
    assert {c.seen for c in Project.open(saved).corrections()} == {SegmentOptions()}


def test_unsaved_corrections_count_too(tmp_path, image) -> None:
    project = Project.open(tmp_path / "cells.unet")
    paint(project, project.add_image(image))
    assert sum(int(c.reviewed.sum()) for c in project.corrections()) == 120
    assert not project.folder.exists()


def test_one_project_keeps_many_images_and_planes(tmp_path, image) -> None:
    project = Project.open(tmp_path / "many.unet")
    stack = Image(
        "stack",
        noise(2, 3, 4, 60, 70),
        "TCZYX",
        scale=(1, 1, 2.0, 0.5, 0.25),
        units=("second", "pixel", *["micrometer"] * 3),
        channel_names=("a", "b", "c"),
    )
    key = project.add_image(stack)
    paint(project, key, 2, (slice(0, 60), slice(0, 70)), (1, 3))
    paint(project, project.add_image(image), FOREGROUND)
    project.flush()
    found = {c.source: c for c in Project.open(project.folder).corrections()}
    assert set(found) == {"stack", "cells"}
    stored = found["stack"].image
    whole = slice(None)
    assert (stored.channels, stored.channel_names) == (3, ("a", "b", "c"))
    assert (stored.label_scale, stored.label_units[1]) == ((0.5, 0.25), "micrometer")
    np.testing.assert_array_equal(
        stored.read((), whole, whole), stack.read((1, 3), whole, whole)
    )
    assert found["stack"].place == ((1, 3), (0, 0))
    assert (found["stack"].target == 2).all()
    assert found["stack"].target.shape == (60, 70)


def test_image_moves_to_another_project_with_what_was_painted(saved, tmp_path) -> None:
    image = write_image(tmp_path / "data", "b.tif", seed=1)
    folder = tmp_path / "data" / "b.unet"
    own, joint = Project.open(folder), Project.open(saved)
    paint(own, own.add_image(image))
    own.flush()
    said = own.read(own.add_image(image), (), BOX)
    assert holds_work(folder)
    assert not lists(saved, image.source)
    joint.take_over(own, image)
    assert not holds_work(folder)
    assert Project.open(folder).corrections() == []
    assert lists(saved, image.source)
    again = Project.open(saved)
    assert {c.source for c in again.corrections()} == {"cells", "b"}
    for part, other in zip(
        said, again.read(again.add_image(image), (), BOX), strict=True
    ):
        np.testing.assert_array_equal(part, other)


def test_image_that_joins_unpainted_is_listed(saved, tmp_path) -> None:
    image = write_image(tmp_path / "data", "b.tif", seed=1)
    own = Project.open(tmp_path / "data" / "b.unet")
    Project.open(saved).take_over(own, image)
    assert lists(saved, image.source)
    assert not own.folder.exists()


@pytest.mark.parametrize("index", [None, b"{", b'{"version": 99}'])
def test_project_that_cannot_be_read_lists_nothing(tmp_path, index) -> None:
    folder = tmp_path / "cells.unet"
    folder.mkdir()
    if index is not None:
        (folder / "project.json").write_bytes(index)
    assert not lists(folder, tmp_path / "cells.tif")
    assert not holds_work(folder)
    assert projects_beside(tmp_path / "cells.tif") == [folder]


def test_colours_come_back_without_alpha(tmp_path) -> None:
    image = Image("rgba", noise(40, 50, 4).astype(np.uint8), "YXC", rgb=True)
    project = Project.open(tmp_path / "a.unet")
    paint(project, project.add_image(image), 1, (slice(0, 4), slice(0, 4)))
    (found,) = project.corrections()
    assert found.image.rgb
    assert found.image.channels == 3
    assert found.sample.shape == (3, 2000)


def test_undone_strokes_leave_no_file(saved, image) -> None:
    project = Project.open(saved)
    paint(project, project.add_image(image), IGNORE)
    project.flush()
    assert not list(saved.glob("corrections/**/*.npz"))
    assert not Project.open(saved).corrections()


def test_image_that_was_moved_is_known_by_its_pixels(saved, image, tmp_path) -> None:
    moved = tmp_path / "renamed.tif"
    image.source.rename(moved)
    project = Project.open(saved)
    key = project.add_image(open_image(moved))
    assert (project.read(key, (), BOX)[0] == 1).all()
    assert [r.name for r in project.index.images] == ["renamed"]


def test_image_whose_old_place_cannot_be_looked_at_was_moved(saved, image) -> None:
    file = saved / "project.json"
    stored = json.loads(file.read_text())
    stored["images"][0]["path"] = "/" + 300 * "x"  # no system looks this one up
    file.write_text(json.dumps(stored))
    project = Project.open(saved)
    assert (project.read(project.add_image(image), (), BOX)[0] == 1).all()


def test_equal_images_in_two_files_are_two_images(saved, image, tmp_path) -> None:
    project = Project.open(saved)
    copy = write_image(tmp_path / "other")
    assert project.add_image(copy) != project.add_image(image)
    assert (project.read(project.add_image(copy), (), BOX)[0] == IGNORE).all()


def test_image_that_takes_the_place_of_a_moved_one_is_another(
    saved, image, tmp_path
) -> None:
    image.source.rename(tmp_path / "moved.tif")
    project = Project.open(saved)
    moved = project.add_image(open_image(tmp_path / "moved.tif"))
    again = write_image(image.source.parent)  # the same pixels at the old place
    assert project.add_image(again) != moved
    assert (project.read(project.add_image(again), (), BOX)[0] == IGNORE).all()
    assert (project.read(moved, (), BOX)[0] == 1).all()
    assert len({record.key for record in project.index.images}) == 2


def test_images_that_are_mostly_black_are_not_the_same(tmp_path) -> None:
    """Where one looks for a fingerprint there may be nothing to see."""
    project = Project.open(tmp_path / "a.unet")
    samples = {}
    for name, gain in (("dim", 1), ("light", 50)):
        pixels = np.zeros((5, 700, 900), np.uint16)
        pixels[1, 30:60, 800:850] = gain * np.arange(1, 51)
        pixels[4, 600:640, 20:70] = gain
        image = Image(name, pixels, "ZYX")
        samples[name] = image.sample()
        paint(project, project.add_image(image), 1, BOX, (1,))
    project.flush()
    for found in Project.open(project.folder).corrections():
        np.testing.assert_array_equal(found.sample, samples[found.source])


def test_layers_without_a_file_are_known_by_name_and_pixels(tmp_path) -> None:
    project = Project.open(tmp_path / "a.unet")
    keys = [
        project.add_image(Image(name, noise(40, 50, seed=seed), "YX"))
        for name, seed in (("a", 0), ("a", 0), ("b", 0), ("a", 1))
    ]
    assert keys[0] == keys[1]
    assert len(set(keys)) == 3


def test_image_whose_shape_changed_is_named(saved, image) -> None:
    tifffile.imwrite(image.source, noise(300, 421))
    with pytest.raises(
        CorrectionError, match=r"cells\.tif has shape \(300, 421\).*420"
    ):
        Project.open(saved).add_image(open_image(image.source))


def test_image_with_other_pixels_keeps_its_corrections(saved, image) -> None:
    before = image.read((), *BOX)
    changed = write_image(image.source.parent, seed=1)
    project = Project.open(saved)
    key = project.add_image(changed)
    assert "cells.tif has other pixels" in project.notes[0]
    paint(project, key, 0, (slice(256, 258), slice(0, 9)))
    project.flush()
    upper, lower = project.corrections()  # the upper block was not painted again
    np.testing.assert_array_equal(upper.image.read((), *BOX), before)
    np.testing.assert_array_equal(
        lower.image.read((), slice(0, 140), slice(0, 352))[0],
        noise(300, 420, seed=1)[160:, :352],
    )
    np.testing.assert_array_equal(lower.sample, changed.sample())
    assert not np.array_equal(upper.sample, lower.sample)


def test_newer_project_is_left_alone(saved) -> None:
    file = saved / "project.json"
    file.write_text(json.dumps({"version": 99, "unknown": True}))
    before = {path: path.read_bytes() for path in saved.rglob("*.*") if path.is_file()}
    with pytest.raises(CorrectionError, match=r"newer version.*format 99"):
        Project.open(saved)
    after = {path: path.read_bytes() for path in saved.rglob("*.*") if path.is_file()}
    assert after == before


@pytest.mark.parametrize("damage", [b"", b"PK\x03\x04 no zip", None])
def test_damaged_block_is_set_aside_and_the_rest_used(saved, image, damage) -> None:
    block = min(saved.glob("corrections/*/*.npz"))
    content = block.read_bytes()
    block.write_bytes(content[: len(content) // 2] if damage is None else damage)
    project = Project.open(saved)
    (found,) = project.corrections()
    assert found.corner == (96, 0)
    assert f"{block.name} is damaged" in project.notes[0]
    assert block.with_name(block.name + ".damaged").exists()
    assert project.squares == 1
    paint(project, project.add_image(image))
    project.flush()
    assert len(Project.open(saved).corrections()) == 2


FOREIGN = {
    "(9, 256), uint8": ("target", lambda pixels: pixels[:9]),
    "(256, 256), int32": ("target", lambda pixels: pixels.astype(np.int32)),
    "(256, 256), int64": ("shown", lambda pixels: pixels.astype(np.int64)),
    "(300, 352), uint16": ("raw", lambda pixels: pixels[0]),
    "(1, 300, 352), complex128": ("raw", lambda pixels: pixels.astype(complex)),
}


@pytest.mark.parametrize("kind", FOREIGN)
def test_block_with_foreign_arrays_is_set_aside(saved, image, kind) -> None:
    block = min(saved.glob("corrections/*/*.npz"))
    arrays = unpack(block.read_bytes())
    name, change = FOREIGN[kind]
    block.write_bytes(pack(**{**arrays, name: change(arrays[name])}))
    project = Project.open(saved)
    target, _ = project.read(project.add_image(image), (), BOX)
    assert (target == IGNORE).any()
    assert f"is damaged (pixels of {kind})" in project.notes[0]


def test_block_that_is_gone_is_no_square_any_more(saved) -> None:
    project = Project.open(saved)
    min(saved.glob("corrections/*/*.npz")).unlink()
    assert len(project.corrections()) == 1
    assert project.squares == 1
    assert not project.notes


def rewrite(block: Path, about: bytes) -> None:
    """Let a block say something else about itself."""
    arrays = unpack(block.read_bytes())
    block.write_bytes(pack(**{**arrays, "about": np.frombuffer(about, np.uint8)}))


def alter(block: Path, **changes: object) -> None:
    """Let a block say something else of some things."""
    about = json.loads(unpack(block.read_bytes())["about"].tobytes())
    rewrite(block, json.dumps({**about, **changes}).encode())


@pytest.mark.parametrize(
    "about",
    [
        *(b"\xff", b"{", b"{}", b"[]", b"3", b"[" * 100_000),
        *(b'{"version": "1"}', b'{"version": null}', None),
    ],
    ids=[
        *("no text", "open", "nothing", "list", "number", "deep", "text", "null"),
        "no array",
    ],
)
def test_block_that_makes_no_sense_is_set_aside(saved, about) -> None:
    block = min(saved.glob("corrections/*/*.npz"))
    if about is None:
        arrays = unpack(block.read_bytes())
        del arrays["shown"]
        block.write_bytes(pack(**arrays))
    else:
        rewrite(block, about)
    project = Project.open(saved)
    (found,) = project.corrections()
    assert found.corner == (96, 0)
    assert f"{block.name} is damaged" in project.notes[0]
    assert block.with_name(block.name + ".damaged").exists()


@pytest.mark.parametrize("lost", [False, True], ids=["index", "no index"])
@pytest.mark.parametrize(
    "about",
    [{}, {"image": 3}, {"image": None}, {"image": {}}, {"image": {"fingerprint": 3}}],
    ids=str,
)
def test_block_that_does_not_say_of_which_image_is_left_out(saved, about, lost) -> None:
    block = min(saved.glob("corrections/*/*.npz"))
    rewrite(block, json.dumps({"version": 1, **about}).encode())
    if lost:
        (saved / "project.json").unlink()
    project = Project.open(saved)
    (found,) = project.corrections()
    assert found.corner == (96, 0)
    assert any(f"{block.name} cannot be learned from" in n for n in project.notes)
    assert [record.name for record in project.index.images] == ["cells"]


@pytest.mark.parametrize("kind", [zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_block_that_is_packed_otherwise_is_set_aside(saved, kind) -> None:
    block = min(saved.glob("corrections/*/*.npz"))
    with zipfile.ZipFile(block) as file:
        members = {name: file.read(name) for name in file.namelist()}
    with zipfile.ZipFile(block, "w", kind) as file:
        for name, content in members.items():
            file.writestr(name, content)
    packed = bytearray(block.read_bytes())
    packed[80] ^= 255
    block.write_bytes(packed)
    project = Project.open(saved)
    assert len(project.corrections()) == 1
    assert "is damaged" in project.notes[0]


def test_block_that_claims_more_than_it_holds_is_set_aside(saved) -> None:
    block = min(saved.glob("corrections/*/*.npz"))
    arrays = unpack(block.read_bytes())
    with zipfile.ZipFile(block, "w") as file:
        for name, array in arrays.items():
            content = io.BytesIO()
            np.lib.format.write_array(content, array)
            claim = content.getvalue()
            if name == "raw":
                claim = claim.replace(b"(1, ", b"(10000000000, ", 1)
            file.writestr(f"{name}.npy", claim)
    project = Project.open(saved)
    assert len(project.corrections()) == 1
    assert "is damaged" in project.notes[0]


@pytest.mark.parametrize(
    "change",
    [
        *({"image": 3}, {"corner": ["a", 0]}, {"corner": [7, 0]}, {"plane": [0]}),
        *({"plane": None}, {"origin": [-5, 0]}, {"corner": [2**80, 0]}),
        {"corner": None},
    ],
    ids=str,
)
def test_block_that_says_nonsense_is_named_and_the_rest_used(saved, change) -> None:
    block = min(saved.glob("corrections/*/*.npz"))
    alter(block, **change)
    project = Project.open(saved)
    assert len(project.corrections()) == 1
    assert f"{block.name} cannot be learned from" in project.notes[0]


@pytest.mark.parametrize(
    "plane", [[-1, 0], [0.5, 0], [True, 0], [2, 0], [0], "00"], ids=str
)
def test_block_of_a_plane_that_cannot_be_is_named(tmp_path, plane) -> None:
    project = Project.open(tmp_path / "a.unet")
    key = project.add_image(Image("stack", noise(2, 3, 40, 50), "TZYX"))
    paint(project, key, 1, (slice(0, 5), slice(0, 5)), (1, 2))
    project.flush()
    (block,) = project.folder.glob("corrections/*/*.npz")
    alter(block, plane=plane)
    again = Project.open(project.folder)
    assert not again.corrections()
    assert f"{block.name} cannot be learned from" in again.notes[0]


def test_block_cannot_point_out_of_its_project(saved, tmp_path) -> None:
    (tmp_path / "mine.npz").write_bytes(b"of somebody else")
    block = min(saved.glob("corrections/*/*.npz"))
    about = json.loads(unpack(block.read_bytes())["about"].tobytes())
    alter(block, image={**about["image"], "fingerprint": "../../mine"})
    project = Project.open(saved)
    assert len(project.corrections()) == 1
    assert "names no image" in project.notes[0]
    assert (tmp_path / "mine.npz").read_bytes() == b"of somebody else"


@pytest.mark.parametrize("where", ["block", "sample"])
@pytest.mark.parametrize("change", ["more channels", "no pixels"])
def test_pixels_that_are_not_those_of_the_image_are_not_learned_from(
    saved, where, change
) -> None:
    file = min(saved.glob(f"{'corrections/*' if where == 'block' else 'samples'}/*"))
    name = "raw" if where == "block" else "pixels"
    arrays = unpack(file.read_bytes())
    pixels = arrays[name]
    arrays[name] = np.repeat(pixels, 2, 0) if change[0] == "m" else pixels[..., :0]
    file.write_bytes(pack(**arrays))
    project = Project.open(saved)
    assert len(project.corrections()) == (1 if where == "block" else 0)
    assert "cannot be learned from" in project.notes[0]


@pytest.mark.parametrize(
    "name", ["plane-0_0_0.npz", "plane_512_0.npz", "plane_7_0.npz", "plane_0_768.npz"]
)
def test_block_of_no_plane_of_its_image_is_left_out(saved, image, name) -> None:
    block = min(saved.glob("corrections/*/*.npz"))
    block.with_name(name).write_bytes(block.read_bytes())
    project = Project.open(saved)
    key = project.add_image(image)
    assert [plane for plane, _ in project.reviewed(key)] == [(), ()]
    assert f"{name} lies outside of cells.tif" in project.notes[0]
    assert block.with_name(name).exists()


def test_block_is_never_executed(saved) -> None:
    block = min(saved.glob("corrections/*/*.npz"))
    arrays = unpack(block.read_bytes())
    with block.open("wb") as file:
        np.savez(file, **{**arrays, "raw": np.array([print], object)})
    project = Project.open(saved)
    assert len(project.corrections()) == 1
    assert "is damaged" in project.notes[0]


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(at=st.floats(0, 1, exclude_max=True), bits=st.integers(1, 255))
def test_one_wrong_byte_is_damage_or_changes_nothing(at, bits) -> None:
    arrays = {"target": np.arange(300, dtype=np.int32), "raw": np.ones((2, 3))}
    data = bytearray(pack(**arrays))
    data[int(at * len(data))] ^= bits
    try:
        found = unpack(bytes(data))
    except ValueError:
        return
    for name in found.keys() & arrays.keys():
        np.testing.assert_array_equal(found[name], arrays[name])


def _index(**changes: object) -> bytes:
    whole = {"version": 1, "classes": [], "images": [], "models": [], "active": ""}
    return json.dumps({**whole, "settings": {}, **changes}).encode()


@pytest.mark.parametrize(
    "content",
    [
        *(b"", b"\xff{", b"[]", b"{}", b'{"version": "1"}', b"[" * 100_000),
        b'{"version": 1, "images": 3}',
        *(_index(classes="abc"), _index(classes=[1, 2]), _index(settings=[])),
        *(_index(version=1e400), _index(models=[{"name": "a", "file": "a"}, 3])),
    ],
    ids=[
        *("empty", "no text", "list", "nothing", "text", "deep", "number", "letters"),
        *("numbers", "settings", "endless", "models"),
    ],
)
def test_damaged_index_is_made_again(saved, content) -> None:
    (saved / "project.json").write_bytes(content)
    project = Project.open(saved)
    assert "project.json is damaged" in project.notes[0]
    assert "made again" in project.notes[1]
    assert (saved / "project.json.damaged").read_bytes() == content
    assert project.index.classes == ("background", "cell")
    assert [r.name for r in project.index.images] == ["cells"]
    assert {m.name for m in project.index.models} == {"v1", "v2"}
    assert len(project.corrections()) == 2


@pytest.mark.parametrize(
    "change",
    [
        *({"key": "../x"}, {"fingerprint": "../x"}, {"name": 3}, {"rgb": "no"}),
        *({"shape": [300, 420, 1], "axes": "YXQ"}, {"shape": [300, 420, 1]}),
        *({"axes": "YY"}, {"axes": "ZX"}, {"shape": 3}, {"shape": ["300", 420]}),
        *({"shape": [0, 420]}, {"shape": [300.0, 420]}, {"shape": [True, 420]}),
        *({"units": [1, 2]}, {"channel_names": [1]}, {"scale": ["1", "1"]}),
        *({"scale": [1.0]}, {"units": ["pixel"]}, {"scale": [1.0, 1e999]}),
    ],
    ids=str,
)
def test_index_with_an_image_that_cannot_be_is_made_again(saved, change) -> None:
    file = saved / "project.json"
    stored = json.loads(file.read_text())
    stored["images"][0] |= change
    file.write_text(json.dumps(stored))
    project = Project.open(saved)
    assert "project.json is damaged" in project.notes[0]
    (record,) = project.index.images
    assert (record.name, record.shape, record.axes) == ("cells", (300, 420), "YX")
    assert len(project.corrections()) == 2


@pytest.mark.parametrize("active", ["v9", 3])
def test_model_in_use_is_one_that_there_is(saved, active) -> None:
    file = saved / "project.json"
    stored = json.loads(file.read_text())
    file.write_text(json.dumps({**stored, "active": active}))
    project = Project.open(saved)
    assert project.index.active == ""
    assert not project.notes


def test_index_that_is_damaged_meanwhile_is_set_aside(saved) -> None:
    project = Project.open(saved)
    (saved / "project.json").write_bytes(b"broken")
    project.update(settings={"brush": 9})
    assert "project.json is damaged" in project.notes[0]
    assert (saved / "project.json.damaged").read_bytes() == b"broken"
    index = Project.open(saved).index
    assert index.settings == {"diameter": 12, "brush": 9}
    assert [model.name for model in index.models] == ["v1", "v2"]


def test_lost_index_is_made_again_beside_files_of_others(saved) -> None:
    block = min(saved.glob("corrections/*/*.npz"))
    others = saved / "models" / "my own.safetensors", block.with_name("notes.npz")
    for file in (*others, saved / "project.json"):
        file.write_bytes(b"nothing of ours")
    project = Project.open(saved)
    assert {model.name for model in project.index.models} == {"v1", "v2"}
    assert len(project.corrections()) == 2
    assert all(file.read_bytes() == b"nothing of ours" for file in others)


def test_index_cannot_point_out_of_its_folder(saved, tmp_path) -> None:
    file = saved / "project.json"
    stored = json.loads(file.read_text())
    stored["models"][0]["file"] = "../secret.safetensors"
    file.write_text(json.dumps(stored))
    project = Project.open(saved)
    assert "names no model" in project.notes[0]
    assert project.model_file("v1").parent == saved / "models"


def test_lost_index_is_made_again(saved, image) -> None:
    (saved / "project.json").unlink()
    project = Project.open(saved)
    assert "was missing and was made again" in project.notes[0]
    paint(project, project.add_image(image))
    project.flush()
    again = Project.open(saved)
    assert not again.notes
    assert len(again.corrections()) == 2


@pytest.mark.parametrize("damaged", [False, True])
def test_lost_sample_is_taken_again_from_the_image(saved, image, damaged) -> None:
    (sample,) = saved.glob("samples/*.npz")
    if damaged:
        sample.write_bytes(b"nothing")
    else:
        sample.unlink()
    project = Project.open(saved)
    assert not project.corrections()
    assert "the image itself is needed again" in project.notes[-1]
    paint(project, project.add_image(image))
    assert len(project.corrections()) == 2
    project.flush()
    assert len(Project.open(saved).corrections()) == 2


@pytest.mark.parametrize(
    "arrays",
    [
        {"pixels": np.arange(9)},
        {"pixels": np.array([["a", "b"]])},
        {"others": np.ones((1, 9))},
    ],
    ids=["no channels", "text", "other names"],
)
def test_sample_that_makes_no_sense_is_set_aside(saved, image, arrays) -> None:
    (sample,) = saved.glob("samples/*.npz")
    sample.write_bytes(pack(**arrays))
    project = Project.open(saved)
    assert not project.corrections()
    assert f"{sample.name} is damaged" in project.notes[0]
    assert sample.with_name(sample.name + ".damaged").exists()
    project.add_image(image)
    assert len(project.corrections()) == 2


def test_lost_sample_is_saved_as_soon_as_the_image_is_open(saved, image) -> None:
    """A program that was killed just before it wrote the sample owes it still."""
    (sample,) = saved.glob("samples/*.npz")
    sample.unlink()
    project = Project.open(saved)
    project.add_image(image)
    assert project.unsaved
    project.flush()
    again = Project.open(saved)
    assert len(again.corrections()) == 2
    assert not again.notes


class Drive:
    """An array on a drive that can be pulled out."""

    def __init__(self, array) -> None:
        self.array, self.shape, self.dtype = array, array.shape, array.dtype
        self.present, self.while_read = True, lambda: None

    def __getitem__(self, key):
        if not self.present:
            raise OSError("the drive is gone")
        self.while_read()
        return self.array[key]


def test_image_lost_while_painting_costs_no_stroke(tmp_path) -> None:
    drive = Drive(noise(300, 420))
    project = Project.open(tmp_path / "a.unet")
    key = project.add_image(Image("cells", drive, "YX"))
    paint(project, key)
    project.flush()
    drive.present = False
    paint(project, key, 0)
    far = slice(0, 5), slice(400, 410)  # in a block that has no pixels yet
    paint(project, key, 1, far)
    project.flush()
    assert any("the drive is gone" in note for note in project.notes)
    again = Project.open(project.folder)
    assert (again.read(key, (), BOX)[0] == 0).all()
    assert (again.read(key, (), far)[0] == 1).all()
    assert len(again.corrections()) == 2
    assert "cannot be learned from" in again.notes[0]


@pytest.mark.parametrize(
    "box",
    [(slice(290, 301), slice(0, 5)), (slice(-1, 5), slice(0, 5))],
    ids=["below", "above"],
)
def test_strokes_outside_the_image_are_refused(tmp_path, image, box) -> None:
    project = Project.open(tmp_path / "a.unet")
    key = project.add_image(image)
    with pytest.raises(CorrectionError, match=r"do not fit cells\.tif"):
        paint(project, key, 1, box)
    with pytest.raises(CorrectionError, match="is not open"):
        paint(project, "other")


def test_folder_of_other_files_is_no_project(tmp_path) -> None:
    (tmp_path / "letter.txt").write_text("Dear")
    with pytest.raises(CorrectionError, match="holds other files"):
        Project.open(tmp_path)
    with pytest.raises(CorrectionError, match="cannot be opened as a project"):
        Project.open(tmp_path / "letter.txt")


@pytest.mark.parametrize("name", ["models", "samples", "corrections"])
def test_folder_of_another_program_is_no_project(tmp_path, name) -> None:
    """One name in common with a project does not make it one."""
    (tmp_path / name).mkdir()
    (tmp_path / name / "thesis.docx").write_text("Dear")
    (tmp_path / "letter.txt").write_text("Dear")
    with pytest.raises(CorrectionError, match="holds other files"):
        Project.open(tmp_path)


def test_other_files_in_a_project_do_no_harm(saved) -> None:
    (saved / "notes.txt").write_text("first try")
    assert len(Project.open(saved).corrections()) == 2
    (saved / "project.json").unlink()
    assert len(Project.open(saved).corrections()) == 2
    (saved / "project.json").write_text("broken")
    assert len(Project.open(saved).corrections()) == 2


def test_names_of_models(saved) -> None:
    project = Project.open(saved)
    with pytest.raises(CorrectionError, match="'v1': the name is taken"):
        project.add_model("v1", b"again")
    with pytest.raises(CorrectionError, match=r"no model 'v9'\. It has: v1, v2"):
        project.activate("v9")
    odd = [
        project.add_model(name, b"x").file for name in ("../a b", "..-a_b", "Zelle µ")
    ]
    assert len(set(odd)) == 3
    assert all((saved / "models" / name).is_file() for name in odd)
    project.activate("")
    assert Project.open(saved).index.active == ""


def test_model_is_kept_from_a_file(saved, tmp_path) -> None:
    (tmp_path / "m.safetensors").write_bytes(b"weights")
    project = Project.open(saved)
    project.add_model("m", tmp_path / "m.safetensors")
    assert project.model_file("m").read_bytes() == b"weights"


def test_model_is_renewed_in_its_place(saved, tmp_path) -> None:
    project = Project.open(saved)
    project.add_model("m", b"weights", parent="nuclei", score=0.8, before=0.5)
    project.add_model("n", b"others")
    other = Project.open(saved)  # of another program
    old = project.index.models[-2]
    (tmp_path / "better").write_bytes(b"better weights")
    project.renew_model("m", tmp_path / "better", 0.9)
    assert project.model_file("m").read_bytes() == b"better weights"
    assert project.model_file("n").read_bytes() == b"others"
    assert project.index.models[-2] == replace(old, score=0.9)
    other.update(settings={"a": 1})  # which saves its index, and knows of no 0.9 yet
    assert Project.open(saved).index.models == project.index.models
    with pytest.raises(CorrectionError, match="has no model 'q'"):
        project.renew_model("q", tmp_path / "better", 0.9)


RENEWING = """
import sys
from pathlib import Path
from napari_unet.project.project import Project
project, files = Project.open(sys.argv[1]), list(map(Path, sys.argv[2:]))
print("begin", flush=True)
while True:
    for file in files:
        project.renew_model("m", file, 0.9)
"""


@pytest.mark.skipif(os.name != "posix", reason="has no SIGKILL")
def test_killed_while_a_model_is_renewed_it_leaves_the_old_or_the_new(
    saved, tmp_path
) -> None:
    Project.open(saved).add_model("m", bytes(300_000), score=0.8)
    contents = bytes([1]) * 400_000, bytes([2]) * 500_000
    files = [tmp_path / "one", tmp_path / "two"]
    for file, content in zip(files, contents, strict=True):
        file.write_bytes(content)
    chance = np.random.default_rng(0)
    for _ in range(5):
        job = Forked(RENEWING, saved, *files)
        job.stdout.readline()
        time.sleep(chance.uniform(0, 0.2))  # at any moment
        assert job.returncode is None
        job.send_signal(signal.SIGKILL)
        job.end()
        project = Project.open(saved)
        assert not project.notes
        assert project.model_file("m").read_bytes() in (bytes(300_000), *contents)
        assert project.index.models[-1].score in (0.8, 0.9)
        assert not list(saved.rglob("*.part"))


def test_stroke_in_a_block_that_is_being_saved_is_saved_next(tmp_path) -> None:
    drive = Drive(noise(300, 420))
    project = Project.open(tmp_path / "a.unet")
    key = project.add_image(Image("cells", drive, "YX"))
    box = slice(0, 5), slice(0, 5)
    paint(project, key, 1, box)

    def once() -> None:
        drive.while_read = lambda: None
        paint(project, key, 2, box)

    drive.while_read = once
    project.flush()
    assert project.unsaved
    project.flush()
    assert not project.unsaved
    assert (Project.open(project.folder).read(key, (), box)[0] == 2).all()


def test_painting_goes_on_while_it_is_saved(tmp_path, image) -> None:
    project = Project.open(tmp_path / "a.unet")
    key = project.add_image(image)
    done = threading.Event()

    def save() -> None:
        while not done.is_set():
            project.flush()

    thread = threading.Thread(target=save)
    thread.start()
    for value in range(200):
        paint(project, key, value)
    done.set()
    thread.join()
    project.flush()
    assert not project.unsaved
    assert (Project.open(project.folder).read(key, (), BOX)[0] == 199).all()


def test_memory_does_not_grow_with_what_is_read(tmp_path) -> None:
    image = Image("wide", np.zeros((SIDE, 100 * SIDE), np.uint8), "YX")
    project = Project.open(tmp_path / "a.unet")
    key = project.add_image(image)
    for at in range(100):
        paint(project, key, at, (slice(0, 1), slice(at * SIDE, at * SIDE + 1)))
    project.flush()
    again = Project.open(project.folder)
    tracemalloc.start()
    target, _ = again.read(key, (), (slice(0, 1), slice(0, 100 * SIDE)))
    kept = tracemalloc.get_traced_memory()[0]
    tracemalloc.stop()
    assert target[0, ::SIDE].tolist() == list(range(100))
    assert kept < 75 * SIDE**2 * (1 + 4)  # bytes: of 64 blocks, and of what was read
    again.add_image(image)
    for at in range(100):  # what is not saved yet is never dropped
        paint(again, key, at + 100, (slice(0, 1), slice(at * SIDE, at * SIDE + 1)))
    again.flush()
    target, _ = again.read(key, (), (slice(0, 1), slice(0, 100 * SIDE)))
    assert target[0, ::SIDE].tolist() == list(range(100, 200))


START = """
import sys
import numpy as np
from napari_unet.io.open import open_image
from napari_unet.project.project import Project
project = Project.open(sys.argv[2])
key = project.add_image(open_image(sys.argv[1]))
box = slice(250, 262), slice(10, 20)
def paint(value):
    shown = np.full((12, 10), value, np.int32)
    project.write(key, (), box, (np.full_like(shown, value % 250, np.uint8), shown))
"""

PAINT_FOR_EVER = """
import itertools
for value in itertools.count(1):
    paint(value)
    project.flush()
    print(value, flush=True)
"""


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="needs SIGKILL")
@pytest.mark.parametrize("after", [1, 2, 7])
def test_killed_program_loses_nothing_that_was_flushed(tmp_path, image, after) -> None:
    folder = tmp_path / "a.unet"
    process = Forked(START + PAINT_FOR_EVER, image.source, folder)
    for _ in range(after):
        flushed = int(process.stdout.readline())
    process.send_signal(signal.SIGKILL)
    rest = process.end()[0].split()
    flushed = int(rest[-1]) if rest else flushed
    project = Project.open(folder)
    _, shown = project.read(project.add_image(image), (), BOX)
    assert ((shown == flushed) | (shown == flushed + 1)).all()
    assert len(project.corrections()) == 2
    assert not project.notes
    assert not list(folder.rglob("*.part"))


FILL_THE_DISK = """
import resource
from napari_unet.errors import OutputError
paint(1)
project.flush()
soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
resource.setrlimit(resource.RLIMIT_FSIZE, (1000, hard))
paint(2)
try:
    project.flush()
except OutputError as error:
    print(error)
_, shown = Project.open(sys.argv[2]).read(key, (), box)
print(project.unsaved, (shown == 1).all())
try:
    project.add_model("v1", bytes(5000))
except OutputError as error:
    print(error)
print(len(project.index.models))
resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
project.flush()
project.add_model("v1", bytes(5000))
"""


@pytest.mark.skipif(sys.platform == "win32", reason="needs limits on file sizes")
def test_full_disk_is_said_and_saved_later(tmp_path, image) -> None:
    folder = tmp_path / "a.unet"
    process = Forked(START + FILL_THE_DISK, image.source, folder)
    first, state, second, models = process.end()[0].splitlines()
    assert process.returncode == 0
    assert "_0_0.npz' could not be saved: the disk is full. Make room" in first
    assert state == "True True"
    assert "v1.safetensors' could not be saved: the disk is full" in second
    assert models == "0"
    project = Project.open(folder)
    assert (project.read(project.add_image(image), (), BOX)[1] == 2).all()
    assert project.model_file("v1").name == "v1.safetensors"
    assert not [name for name in files(folder) if name.endswith(".part")]


def test_place_that_takes_no_file_is_said(saved, image) -> None:
    project = Project.open(saved)
    paint(project, project.add_image(image), 0)
    block = min(saved.glob("corrections/*/*.npz"))
    block.unlink()
    block.mkdir()  # nothing can be put in its place, whoever runs the tests
    (block / "file").touch()
    with pytest.raises(OutputError, match="could not be saved"):
        project.flush()
    assert project.unsaved


# --- two programs in one project ---------------------------------------------------


def test_models_and_settings_of_two_programs_are_all_kept(saved) -> None:
    one, two = Project.open(saved), Project.open(saved)
    one.add_model("v3", b"three")
    two.update(settings={"brush": 9})
    two.add_model("w", b"four")
    one.activate("v3")
    two.update(settings={"diameter": 15})
    one.update(("background", "worm"))
    index = Project.open(saved).index
    assert [m.name for m in index.models] == ["v1", "v2", "v3", "w"]
    assert index.settings == {"brush": 9, "diameter": 15}
    assert index.active == "v3"
    assert index.classes == ("background", "worm")


def test_name_that_another_program_gave_is_taken(saved) -> None:
    one, two = Project.open(saved), Project.open(saved)
    one.add_model("v3", b"three")
    with pytest.raises(CorrectionError, match="'v3': the name is taken"):
        two.add_model("v3", b"another")
    assert two.model_file("v3").read_bytes() == b"three"


def test_images_of_two_programs_are_all_kept(saved, tmp_path) -> None:
    one, two = Project.open(saved), Project.open(saved)
    for project, name in ((one, "a"), (two, "b")):
        image = Image(name, noise(40, 50, seed=len(name)), "YX")
        paint(project, project.add_image(image), 1, (slice(0, 5), slice(0, 5)))
        project.flush()
    assert {r.name for r in Project.open(saved).index.images} == {"cells", "a", "b"}
    assert len(Project.open(saved).corrections()) == 4


def test_strokes_of_two_programs_on_one_block_are_all_kept(saved, image) -> None:
    one, two = Project.open(saved), Project.open(saved)
    keys = [project.add_image(image) for project in (one, two)]
    left, middle, right = ((slice(10, 20), slice(x, x + 10)) for x in (100, 105, 130))
    paint(two, keys[1], 2, right)  # in its memory now, as it was on the disk
    paint(one, keys[0], 3, left)
    one.flush()
    two.flush()
    paint(one, keys[0], 4, middle)
    one.flush()
    target, _ = Project.open(saved).read(keys[0], (), (slice(15, 16), slice(95, 145)))
    wanted = [IGNORE] * 5 + [3] * 5 + [4] * 10 + [IGNORE] * 15 + [2] * 10 + [IGNORE] * 5
    assert target[0].tolist() == wanted
    assert (one.read(keys[0], (), right)[0] == 2).all()


def test_first_strokes_of_two_programs_on_one_block_are_all_kept(
    tmp_path, image
) -> None:
    one, two = (Project.open(tmp_path / "cells.unet") for _ in range(2))
    keys = [project.add_image(image) for project in (one, two)]
    left, right = ((slice(10, 20), slice(x, x + 10)) for x in (100, 130))
    paint(one, keys[0], 3, left)
    one.flush()
    paint(two, keys[1], 2, right)  # it knew of no block when it was opened
    assert (two.read(keys[1], (), left)[0] == 3).all()
    two.flush()
    kept = Project.open(tmp_path / "cells.unet")
    assert (kept.read(keys[0], (), left)[0] == 3).all()
    assert (kept.read(keys[0], (), right)[0] == 2).all()


def test_what_was_written_as_it_was_is_no_stroke_on_what_another_painted(
    saved, image
) -> None:
    one, two = Project.open(saved), Project.open(saved)
    keys = [project.add_image(image) for project in (one, two)]
    box = slice(10, 20), slice(100, 140)  # around a stroke that is no rectangle
    target, shown = two.read(keys[1], (), box)
    paint(one, keys[0], 3, (slice(10, 20), slice(100, 110)))
    one.flush()
    target[:, 30:] = 2
    two.write(keys[1], (), box, (target, shown))
    two.flush()
    target, _ = Project.open(saved).read(keys[0], (), box)
    assert (target[:, :10] == 3).all()
    assert (target[:, 30:] == 2).all()


def test_block_that_somebody_deleted_is_written_again(saved, image) -> None:
    """Rather too much than too little: what is in memory is not lost with the file."""
    project = Project.open(saved)
    key = project.add_image(image)
    project.read(key, (), BOX)
    for block in saved.glob("corrections/*/*.npz"):
        block.unlink()
    paint(project, key, 0, (slice(100, 110), slice(100, 110)))
    project.flush()
    assert (Project.open(saved).read(key, (), BOX)[0][:6] == 1).all()


def test_newer_program_in_the_same_project_is_not_written_over(saved, image) -> None:
    project = Project.open(saved)
    newer = json.dumps({"version": 99})
    (saved / "project.json").write_text(newer)
    paint(project, project.add_image(image), 0)
    project.flush()  # the strokes are saved all the same
    with pytest.raises(OutputError, match="newer version"):
        project.activate("v2")
    assert (saved / "project.json").read_text() == newer
    other = Image("other", noise(40, 50), "YX")
    paint(project, project.add_image(other), 1, (slice(0, 5), slice(0, 5)))
    with pytest.raises(OutputError, match="newer version"):
        project.flush()
    assert project.unsaved


def test_newer_block_is_not_written_over(saved, image) -> None:
    project = Project.open(saved)
    key = project.add_image(image)
    paint(project, key, 0)
    block = min(saved.glob("corrections/*/*.npz"))
    arrays = unpack(block.read_bytes())
    about = json.loads(arrays["about"].tobytes()) | {"version": 99}
    arrays["about"] = np.frombuffer(json.dumps(about).encode(), np.uint8)
    newer = pack(**arrays)
    block.write_bytes(newer)
    with pytest.raises(OutputError, match="newer version"):
        project.flush()
    assert block.read_bytes() == newer
    with pytest.raises(CorrectionError, match="newer version"):
        Project.open(saved).corrections()


def test_project_lies_beside_its_image(tmp_path) -> None:
    for name in ("cells.tif", "cells.ome.tif", "cells.OME.zarr", "cells"):
        assert project_place(tmp_path / name) == tmp_path / "cells.unet"
    assert project_place(tmp_path / "a.b.tif") == tmp_path / "a.b.unet"


def test_project_of_a_read_only_image_is_kept_elsewhere(tmp_path, monkeypatch) -> None:
    (tmp_path / "file").touch()
    for name in ("XDG_DATA_HOME", "WIN_PD_OVERRIDE_LOCAL_APPDATA", "HOME"):
        monkeypatch.setenv(name, str(tmp_path / "home"))
    places = {
        project_place(tmp_path / "file" / "a.tif"),
        project_place("/nowhere/a.tif"),
    }
    assert len(places) == 2
    for place in places:
        assert place.is_relative_to(tmp_path / "home")
        assert place.name.startswith("a-")
        assert place.suffix == ".unet"


def test_projects_without_an_image_lie_where_they_always_did(
    tmp_path, monkeypatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("XDG_DATA_HOME", raising=False)
    usual = tmp_path / ".local" / "share" / "napari-unet" / "projects"
    assert project_place(None, "cells") == usual / "cells.unet"


def test_on_macos_a_project_is_found_where_xdg_does_not_look(
    tmp_path, monkeypatch
) -> None:
    monkeypatch.setattr("sys.platform", "darwin")
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    own = tmp_path / "data" / "napari-unet" / "projects"
    usual = tmp_path / "Library" / "Application Support" / "napari-unet" / "projects"
    assert project_place(None, "cells").parent == own
    usual.mkdir(parents=True)
    assert project_place(None, "cells").parent == usual
    own.mkdir(parents=True)
    assert project_place(None, "cells").parent == own


def test_changes_from_two_threads_are_both_kept(tmp_path):
    project = Project.open(tmp_path / "p.unet")
    with project._saving:  # as while corrections are written
        threads = [
            threading.Thread(target=project.update, args=(("a", "b"),)),
            threading.Thread(target=project.update, kwargs={"settings": {"x": 1}}),
            threading.Thread(target=project.add_model, args=("v1", b"weights")),
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(0.2)  # it waits
    for thread in threads:
        thread.join()
    again = Project.open(tmp_path / "p.unet").index
    assert again.classes == ("a", "b")
    assert again.settings == {"x": 1}
    assert [model.name for model in again.models] == ["v1"]


# --- more than can be held ---------------------------------------------------------


def fill(folder: Path, side: int, name: str = "many", rows: int = 99) -> Project:
    """Return a project with a stroke in every block of some rows, saved."""
    folder.mkdir(exist_ok=True)
    tifffile.imwrite(folder / f"{name}.tif", noise(side * SIDE, side * SIDE))
    project = Project.open(folder / f"{name}.unet")
    key = project.add_image(open_image(folder / f"{name}.tif"))
    for y in range(0, min(side, rows) * SIDE, SIDE):
        for x in range(0, side * SIDE, SIDE):
            box = slice(y + 5, y + 9), slice(x + 5, x + 40)
            paint(project, key, (x // SIDE) % 2, box)
    project.update(("background", "cell", "debris"))
    project.flush()
    return project


ROOM = 6 * 10**6  # of two or three blocks


def test_corrections_that_cannot_be_held_are_read_when_looked_at(tmp_path) -> None:
    project = fill(tmp_path, 4)
    usual = {c.spot: c for c in project.corrections()}
    assert len(usual) == 16
    assert not project.notes
    found = project.corrections(ROOM)
    assert 1 <= len(found) < 8
    for _ in range(2):
        for correction in found:
            same = usual[correction.spot]
            np.testing.assert_array_equal(correction.target, same.target)
            np.testing.assert_array_equal(correction.image.data, same.image.data)
    (note,) = project.notes
    assert f"{len(found)} of the 16 squares" in note


def test_what_was_painted_last_is_learned_from_first(tmp_path) -> None:
    project = fill(tmp_path, 4)
    (key,) = [record.key for record in project.index.images]
    old = sorted((project.folder / "corrections").glob("*/*.npz"))
    for path in old:
        os.utime(path, (0, 0))
    last = slice(520, 530), slice(600, 620)
    paint(project, key, 1, last)  # not saved yet
    for _ in range(2):
        found = project.corrections(ROOM)[0]
        assert found.place[1] == (512, 512)
        assert found.target[8:18, 88:108].all()
        project.flush()
    again = Project.open(project.folder).corrections(ROOM)
    assert again[0].place[1] == (512, 512)


def test_all_corrections_come_in_the_end_and_again(tmp_path) -> None:
    project = fill(tmp_path, 3)
    everything = {c.spot for c in project.corrections()}
    draws = project.more(seed=1)
    for _ in range(2):
        found = [next(draws) for _ in range(9)]
        assert {c.spot for c in found if c is not None} == everything
    min((project.folder / "corrections").glob("*/*.npz")).write_bytes(b"broken")
    found = [next(draws) for _ in range(9)]
    assert found.count(None) == 1
    assert any("is damaged" in note for note in project.notes)


def test_greatest_class_is_that_of_all_blocks(tmp_path) -> None:
    project = fill(tmp_path, 3)
    (key,) = [record.key for record in project.index.images]
    assert project.greatest() == 1
    paint(project, key, 2, (slice(600, 610), slice(600, 610)))
    paint(project, key, FOREGROUND, (slice(10, 20), slice(100, 110)))
    assert project.greatest() == 2


def test_memory_does_not_grow_with_the_blocks(tmp_path) -> None:
    taken = []
    for rows in (2, 6):
        project = Project.open(fill(tmp_path, 6, f"{rows}", rows).folder)
        tracemalloc.start()
        for _ in project.corrections(2 * ROOM):
            pass
        taken.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert taken[1] < 1.2 * taken[0]


@pytest.mark.parametrize("make", [os.mkfifo, lambda path: path.symlink_to("/dev/zero")])
def test_project_file_that_is_a_pipe_or_a_device_is_refused_at_once(saved, make):
    for file in (saved / "project.json", next((saved / "corrections").rglob("*.npz"))):
        whole = file.read_bytes()
        file.unlink()
        make(file)
        with pytest.raises(CorrectionError, match="a pipe or a device"):
            list(Project.open(saved).corrections())
        file.unlink()
        file.write_bytes(whole)


def test_model_that_is_a_link_out_of_the_project_is_not_followed(saved, tmp_path):
    (tmp_path / "secret").write_bytes(b"not of the project")
    project = Project.open(saved)
    file = project.model_file("v1")
    file.unlink()
    file.symlink_to(tmp_path / "secret")
    with pytest.raises(CorrectionError, match=r"'v1' .* leads out of it"):
        project.model_file("v1")
