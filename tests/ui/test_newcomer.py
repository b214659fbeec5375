"""The first minute of a new user: open the sample, click Segment, see the nuclei."""

import numpy as np
from qtpy.QtCore import Qt
from qtpy.QtTest import QTest
from qtpy.QtWidgets import QPushButton

from napari_unet.labels.metrics import dice, f1
from napari_unet.sample_data import read_truth, sample_path

PLUGIN = "napari-unet-annotator"


def test_open_click_and_see(make_napari_viewer, qtbot, tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    viewer = make_napari_viewer(show=True)
    viewer.window._qt_window.resize(1400, 900)
    viewer.open(str(sample_path("nuclei")), plugin=PLUGIN)
    _, dock = viewer.window.add_plugin_dock_widget(PLUGIN, "U-Net: Segment")
    image = viewer.layers["nuclei"]
    before = viewer.screenshot(flash=False)

    (button,) = [b for b in dock.findChildren(QPushButton) if b.text() == "Segment"]
    QTest.mouseClick(button, Qt.MouseButton.LeftButton)
    assert button.text() == "Cancel"
    qtbot.waitUntil(lambda: button.text() == "Segment", timeout=120_000)

    labels = viewer.layers["nuclei [nuclei]"]
    truth = read_truth("nuclei")
    assert dice(truth, labels.data) >= 0.9
    assert f1(truth, labels.data) >= 0.85
    np.testing.assert_allclose(labels.scale, image.scale)
    assert labels.units == image.units
    assert len(labels.features) == labels.metadata["napari_unet"]["objects"]

    viewer.reset_view()
    after = viewer.screenshot(flash=False)
    colourful = np.ptp(after[..., :3].astype(int), axis=-1) > 40
    assert colourful.mean() > 0.05
    assert (np.ptp(before[..., :3].astype(int), axis=-1) > 40).mean() < 0.01
    window = viewer.screenshot(tmp_path / "window.png", canvas_only=False, flash=False)
    assert window.shape[1] > after.shape[1]
