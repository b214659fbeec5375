"""How corrections begin in U-Net: Correct, and how models are kept."""

import numpy as np
import pytest
import tifffile
from helpers.window import missed, squares
from qtpy.QtWidgets import QFileDialog

from napari_unet.network.model import load
from napari_unet.ui.segment.dock import SegmentDock


def rename(window, *names):
    """Type these names into the table of classes; add rows that are missing."""
    table = window.correct.form.classes
    while len(table.names()) < len(names):
        window.click("+ class")
        window.events()
    for row, name in enumerate(names):
        if table.names()[row] != name:
            window.rename(row, name)
    assert table.names() == names


def paint_classes(window, count=2):
    """Paint background, and the other classes on one square each."""
    for value in range(1, count):
        x = 10 + 16 * (value - 1)
        window.correct.form.classes.chosen.emit(value)
        window.layer.brush_size = 5
        window.drag((6, x), (10, x))
    window.correct.form.classes.chosen.emit(0)
    window.drag((30, 10), (30, 60))


@pytest.mark.parametrize(
    ("names", "image"),
    [
        (("background", "cell"), squares()),
        (("background", "cell", "debris"), squares()),
        (("ground", "cell"), np.stack([squares() // 2] * 3, -1).astype(np.uint8)),
        (("ground", "cell"), np.stack([squares(), squares(count=2)])),
    ],
    ids=["two", "three", "rgb", "two channels"],
)
@pytest.mark.parametrize("start", ["New model for my classes", "Start from nothing"])
def test_new_model_learns_the_users_own_classes(window, names, image, start):
    keywords = {"rgb": True} if image.shape[-1] == 3 else {}
    if image.shape[0] == 2:
        keywords["axis_labels"] = ("c", "y", "x")
    window.viewer.add_image(image, name="cells", **keywords)
    window.look()
    rename(window, *names)
    window.do(start)
    assert window.layer.name == "cells [new1]"
    assert window.labels.shape == (64, 96)
    assert window.state.result.rules.classes == names
    assert window.viewer.layers.selection.active is window.layer
    if start == "Start from nothing":
        assert not window.labels.any()
    paint_classes(window, len(names))
    painted = window.target()
    assert set(np.unique(painted)) == {*range(len(names)), 255}
    window.do("Improve")
    np.testing.assert_array_equal(
        window.labels[painted != 255], painted[painted != 255]
    )
    made = load(window.project.model_file(window.project.index.active))
    assert made.spec.classes == names
    assert made.spec.in_channels == {3: 3, 2: 2}.get(
        image.shape[-1] if "rgb" in keywords else image.shape[0], 1
    )


def test_nothing_is_offered_while_a_model_is_made(window):
    window.file(squares())
    form = window.correct.form
    offered = []

    def ended():
        offered.append(form.offer.isVisible() or form.go_on.isVisible())
        return not window.correct.task.doing

    window.correct.task.yielded.connect(lambda _: ended())
    window.viewer.layers.events.inserted.connect(lambda _: ended())
    window.click("New model for my classes")
    window.until(ended)
    assert len(offered) > 2
    assert not any(offered)


def test_class_that_is_added_is_seen_on_the_canvas(window):
    window.file(squares())
    rename(window, "background", "cell")
    window.do("Start from nothing")
    rename(window, "background", "cell", "debris")
    window.correct.form.classes.chosen.emit(2)
    assert window.layer.selected_label == 2
    assert window.layer.get_color(2)[3] == 1


@pytest.mark.parametrize("count", [2, 3])
def test_corrections_of_objects_are_kept_by_a_model_for_classes(window, count):
    window.file(squares())
    window.segmented()
    window.paint(300, (40, 20), (40, 40), size=7)
    window.erase((30, 20), (30, 40))
    objects = window.target()
    assert {1, 2} <= set(np.unique(objects))
    names = ("background", "cell", "debris")[:count]
    rename(window, *names)
    window.do("New model for my classes")
    assert window.layer.name == "cells [new1]"
    assert window.state.correcting is not None, window.line
    said = window.target()
    np.testing.assert_array_equal(said == 255, objects == 255)
    np.testing.assert_array_equal(said == 0, objects == 0)
    assert set(np.unique(said)) == {0, 1 if count == 2 else 254, 255}
    seen = said != 255
    assert (window.labels[seen] == (said[seen] > 0)).all()
    paint_classes(window, count)
    window.do("Improve")
    assert "went wrong" not in window.line
    window.viewer.layers.selection.active = window.viewer.layers["cells [bright]"]
    window.events()
    assert window.state.correcting is None
    assert "background, cell" in window.line


def own_labels(kind):
    """Return labels as a user might have made them."""
    labels = np.zeros((64, 96), np.int32)
    for i in range(4):
        value = i + 1 if kind == "objects" else 1
        labels[4:12, 6 + 16 * i : 14 + 16 * i] = value
    return labels


@pytest.mark.parametrize(
    ("net", "labels", "zero", "values"),
    [
        ("bright", own_labels("objects"), 0, {0, 1, 2}),
        ("bright", own_labels("objects"), 1, {1, 2, 255}),
        ("plain", own_labels("classes"), 0, {0, 1}),
        ("plain", own_labels("classes") * 2, 1, {1, 255}),
    ],
    ids=["objects", "some objects", "classes", "some classes"],
)
def test_start_from_labels(window, net, labels, zero, values):
    window.use(net)
    window.file(squares())
    window.segmented()  # remembers the model
    window.viewer.layers.remove(window.layer)
    window.viewer.add_labels(labels, name="mine")
    assert "mine: your labels" in window.correct.form.subject.currentText()
    window.correct.form.zero.setCurrentIndex(zero)
    window.do("Start from labels")
    assert window.layer.name == f"cells [{net}]"
    assert set(np.unique(window.target())) == values
    seen = window.target() != 255
    np.testing.assert_array_equal(window.labels[seen] > 0, (labels > 0)[seen])
    assert window.viewer.layers["mine"].data is not window.layer.data
    np.testing.assert_array_equal(window.viewer.layers["mine"].data, labels)
    if zero == 0:
        window.segmented("Segment this view")
        np.testing.assert_array_equal(window.labels > 0, labels > 0)


def test_labels_that_replace_what_was_painted_are_told(window):
    window.file(squares())
    window.segmented()
    window.paint(9, (40, 20), (40, 40))
    painted = np.count_nonzero(window.target() != 255)
    window.viewer.add_labels((squares() > 100).astype(np.int32), name="mine")
    window.correct.form.subject.choose(window.viewer.layers["mine"])
    line = window.do("Start from labels")
    assert f"{painted} pixels that were reviewed before follow the labels" in line


@pytest.mark.parametrize("zero", [0, 1])
@pytest.mark.parametrize(
    ("net", "told"),
    [("bright", "each of the 4 parts"), ("plain", "255 is taken as class 1, cell")],
)
def test_a_mask_is_taken_as_people_mean_it(window, net, told, zero):
    window.use(net)
    window.file(squares())
    window.segmented()
    window.viewer.layers.remove(window.layer)
    labels = own_labels("objects")
    mask = np.where(labels > 0, 255, 0).astype(np.uint8)
    window.viewer.add_labels(mask, name="mine")
    assert "Start from labels" in window.line
    window.correct.form.zero.setCurrentIndex(zero)
    assert told in window.do("Start from labels")
    seen = window.target() != 255
    wanted = labels if net == "bright" else labels > 0
    np.testing.assert_array_equal(window.labels[seen], wanted[seen])
    assert set(np.unique(window.labels[labels > 0])) == set(wanted[labels > 0])


def test_labels_of_another_shape_are_not_offered(window):
    window.file(squares())
    window.viewer.add_labels(np.ones((32, 96), int), name="mine")
    texts = [
        window.correct.form.subject.itemText(i)
        for i in range(window.correct.form.subject.count())
    ]
    assert texts == ["cells: no labels yet"]


def test_labels_with_a_class_too_many_are_refused_with_a_way_out(window):
    window.use("plain")
    window.file(squares())
    window.segmented()
    window.viewer.layers.remove(window.layer)
    window.viewer.add_labels(own_labels("objects"), name="mine")
    line = window.do("Start from labels")
    assert "class 4" in line
    assert "background, cell" in line
    assert line.endswith("a class for each number ('New model for my classes').")
    assert [layer.name for layer in window.viewer.layers] == ["cells", "mine"]
    assert window.button("Start from labels").isEnabled()


def test_labels_belong_to_the_image_that_the_user_says(window):
    for name in ("DAPI", "GFP"):
        window.viewer.add_image(squares(), name=name)
    window.viewer.add_labels(own_labels("objects"), name="mine")
    subject = window.correct.form.subject
    texts = [subject.itemText(i) for i in range(subject.count())]
    assert "mine: your labels, of DAPI" in texts
    subject.setCurrentIndex(texts.index("mine: your labels, of DAPI"))
    window.do("Start from labels")
    assert window.layer.name.startswith("DAPI [")


def learned(window):
    """Paint what was missed, improve, and return the name of the model in use."""
    window.file(missed())
    window.segmented()
    window.paint(9, (40, 20), (40, 40))
    window.erase((30, 20), (30, 40))
    window.do("Improve")
    return window.state.known_as


def test_saved_model_is_in_the_list_of_segment_and_loads(window, monkeypatch):
    name = learned(window)
    assert name == "v1", window.line
    place = window.folder / "mine"  # without its suffix, as Qt returns it on Linux
    monkeypatch.setattr(QFileDialog, "getSaveFileName", lambda *_: (str(place), ""))
    window.click("Save model as...")
    file = place.with_suffix(".safetensors")
    model = load(file)
    assert model.card["history"]
    chooser = window.segment.form.model
    assert chooser.name() == "v1"
    said = window.target()
    window.segmented()  # goes on in the layer with the strokes
    assert [x.name for x in window.viewer.layers] == ["cells", "cells [v1]"]
    np.testing.assert_array_equal(window.target(), said)
    chooser.setCurrentIndex(chooser.findData(str(file)))
    window.segmented()
    window.viewer.layers.selection.active = window.viewer.layers["cells [mine]"]
    window.events()
    seen = said != 255
    assert ((window.labels > 0) == (said > 0))[seen].all()


@pytest.mark.filterwarnings("ignore")  # napari shows errors as warnings in tests
def test_docks_that_are_opened_later_know_the_models(window, monkeypatch):
    assert learned(window) == "v1", window.line
    place = str(window.folder / "mine")
    monkeypatch.setattr(QFileDialog, "getSaveFileName", lambda *_: (place, ""))
    window.close_dock(window.segment)
    window.click("Save model as...")
    assert "in the list of U-Net: Segment" in window.line
    dock = SegmentDock(window.viewer)
    window.viewer.window.add_dock_widget(dock, name="U-Net: Segment", area="right")
    chooser = dock.form.model
    assert chooser.name() == "v1"
    assert chooser.findData(f"{place}.safetensors") >= 0
    window.click("Save model as...")  # the dialog has asked about another name
    assert "mine.safetensors exists already" in window.line
    again = window.again()
    assert again.segment.form.model.findData(f"{place}.safetensors") >= 0


@pytest.mark.filterwarnings("ignore")
def test_model_that_cannot_be_saved_is_told(window, monkeypatch):
    learned(window)
    monkeypatch.setattr(
        QFileDialog, "getSaveFileName", lambda *_: ("/proc/no/mine.safetensors", "")
    )
    window.click("Save model as...")
    assert "/proc/no" in window.line
    assert "color" in window.correct.form.progress.line.styleSheet()


def test_segment_with_the_improved_model_fills_the_same_layer(window):
    learned(window)
    said, labels = window.target(), window.labels.copy()
    assert window.segment.form.model.name() == "v1"
    window.segmented()
    assert [x.name for x in window.viewer.layers] == ["cells", "cells [v1]"]
    np.testing.assert_array_equal(window.target(), said)
    seen = said != 255
    np.testing.assert_array_equal(window.labels[seen] > 0, labels[seen] > 0)


def test_another_output_leaves_the_corrected_objects_alone(window):
    window.file(squares())
    window.segmented()
    window.paint(300, (40, 20), (40, 40))
    labels = window.labels.copy()
    layer = window.layer
    window.segment.form.output.setCurrentText("classes")
    window.segmented()
    assert layer.data is not window.viewer.layers["cells [bright] 2"].data
    np.testing.assert_array_equal(layer.data, labels)
    assert window.viewer.layers["cells [bright] 2"].data.max() == 1


def test_chosen_channel_is_what_is_learned_and_gone_on_with(window):
    image = np.stack([squares(count=1), missed(count=3)])
    window.viewer.add_image(image, name="two", axis_labels=("c", "y", "x"))
    window.look()
    window.segment.form.channel.setCurrentIndex(1)
    assert window.segmented().startswith("3 objects")
    window.paint(9, (40, 20), (40, 40))
    window.erase((30, 20), (30, 40))
    assert "v1" in window.do("Improve")
    assert len(np.unique(window.labels)) >= 4
    window.do("Next uncertain")
    assert "Choose a channel" not in window.line
    window.until(lambda: not window.project.unsaved)
    window.underlay()
    window.viewer.layers.remove(window.layer)
    window.viewer.layers.selection.active = window.viewer.layers["two"]
    window.events()
    assert "Choose a channel" not in window.do("Go on")


def test_image_is_learned_as_it_was_segmented_last(window):
    window.file(squares())
    for diameter in (20, 8):  # nothing is painted in between the last two
        window.segment.form.advanced.diameter.setValue(diameter)
        window.segmented()
        if diameter == 20:
            window.paint(9, (40, 20), (40, 40))
            window.erase((30, 20), (30, 40))
            window.until(lambda: not window.project.unsaved)
    window.do("Improve")
    assert {c.seen.diameter for c in window.project.corrections()} == {8.0}


def test_file_of_a_stack_goes_on_plane_by_plane(window):
    image = squares((3, 64, 96))
    path = window.file(image, imagej=True, metadata={"axes": "ZYX"})
    assert tifffile.imread(path).shape == (3, 64, 96)
    window.segmented()
    window.viewer.dims.set_point(0, 1)
    window.paint(99, (40, 20), (40, 40))
    assert (window.target((1,)) != 255).any()
    assert (window.target((0,)) == 255).all()
    other = window.labels[2].copy()
    window.erase((30, 20), (30, 40))
    window.do("Improve")
    np.testing.assert_array_equal(window.labels[2], other)
