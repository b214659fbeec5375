"""Our docks share one place of the window."""

import pytest
from napari._app_model import get_app_model
from qtpy.QtWidgets import QDockWidget

from napari_unet.ui.batch.dock import BatchDock
from napari_unet.ui.correct.dock import CorrectDock
from napari_unet.ui.segment.dock import SegmentDock
from napari_unet.ui.widgets.dock_tabs import bring

DOCKS = {
    "U-Net: Segment": SegmentDock,
    "U-Net: Correct": CorrectDock,
    "U-Net: Batch": BatchDock,
}


@pytest.mark.parametrize("last", DOCKS)
def test_whichever_dock_is_opened_last_is_a_tab_on_top(
    make_napari_viewer, qtbot, tmp_path, monkeypatch, last
):
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))
    viewer = make_napari_viewer(show=True)
    for name in (*(name for name in DOCKS if name != last), last):
        dock = DOCKS[name](viewer)
        viewer.window.add_dock_widget(dock, name=name, area="right")
        qtbot.waitUntil(lambda dock=dock: dock._placed)
        qtbot.wait(10)
    window = viewer.window._qt_window
    docks = {d.objectName(): d for d in window.findChildren(QDockWidget)}
    tabs = {d.objectName() for d in window.tabifiedDockWidgets(docks[last])}
    assert tabs == DOCKS.keys() - {last}
    qtbot.waitUntil(lambda: not docks[last].widget().visibleRegion().isEmpty())


def test_docks_that_a_script_adds_at_once_are_tabs(
    make_napari_viewer, qtbot, tmp_path, monkeypatch
):
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))
    viewer = make_napari_viewer(show=True)
    docks = [
        viewer.window.add_dock_widget(make(viewer), name=name, area="right")
        for name, make in DOCKS.items()
    ]
    qtbot.waitUntil(lambda: all(dock.inner_widget()._placed for dock in docks))
    qtbot.wait(10)
    window = viewer.window._qt_window
    tabs = {d.objectName() for d in window.tabifiedDockWidgets(docks[0])}
    assert tabs == DOCKS.keys() - {docks[0].objectName()}


def open_docks(viewer):
    """Return the docks of ours in a window, by their titles."""
    found = viewer.window._qt_window.findChildren(QDockWidget)
    return {d.objectName(): d for d in found if d.objectName().startswith("U-Net: ")}


@pytest.mark.parametrize("name", DOCKS)
def test_there_is_one_dock_of_each_kind_whoever_opens_it(
    make_napari_viewer, qtbot, tmp_path, monkeypatch, name
):
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))
    viewer = make_napari_viewer(show=True)
    viewer.window.add_dock_widget(DOCKS[name](viewer), name="mine", area="right")
    first = DOCKS[name](viewer)
    command = f"napari-unet-annotator.{name.split()[-1].lower()}"
    for ask in (
        lambda: get_app_model().commands.execute_command(command).result(),
        lambda: viewer.window.add_plugin_dock_widget("napari-unet-annotator", name),
        lambda: bring(viewer, name),
    ):
        ask()
        qtbot.wait(10)
        (dock,) = open_docks(viewer).values()
        assert dock.widget() is first
        qtbot.waitUntil(lambda: not first.visibleRegion().isEmpty())


def test_menu_shows_the_dock_that_is_behind_another(
    make_napari_viewer, qtbot, tmp_path, monkeypatch
):
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))
    viewer = make_napari_viewer(show=True)
    commands = get_app_model().commands
    for kind in ("correct", "segment"):
        commands.execute_command(f"napari-unet-annotator.{kind}").result()
        qtbot.wait(10)
    docks = {title.split()[1]: dock for title, dock in open_docks(viewer).items()}
    qtbot.waitUntil(lambda: not docks["Segment"].visibleRegion().isEmpty())
    qtbot.waitUntil(lambda: docks["Correct"].visibleRegion().isEmpty())
    commands.execute_command("napari-unet-annotator.correct").result()
    qtbot.waitUntil(lambda: not docks["Correct"].visibleRegion().isEmpty())
    assert docks["Segment"].isVisible()
