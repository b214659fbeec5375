"""Object diameter, from a line drawn or from the objects of a result."""

from collections.abc import Callable, Generator
from typing import Any

import numpy as np
from napari.layers import Shapes
from qtpy.QtCore import QTimer

from napari_unet.ui.layers import last_line

__all__ = ["measure_by_line", "median_diameter"]

_NAME = "Object diameter"


def measure_by_line(
    viewer: Any, layer: Any, tell: Callable[[float], None]
) -> Callable[[], None]:
    """Let the user draw a line over `layer`; `tell` gets its length, in pixels.

    The layer of the line goes when the mouse is released.

    Returns
    -------
    stop
        Takes that layer away, if it is there still.
    """
    lines = Shapes(
        ndim=2,
        name=_NAME,
        edge_color="yellow",
        face_color="transparent",
        edge_width=max(1.0, min(_size(layer)) / 300),
        scale=layer.scale[-2:],
        translate=layer.translate[-2:],
        units=tuple(layer.units)[-2:],
    )

    def on_data(event: Any = None) -> None:
        length = last_line(lines, layer)
        if length:
            tell(length)

    def stop() -> None:
        if lines in viewer.layers:
            viewer.layers.remove(lines)
            if layer in viewer.layers:
                viewer.layers.selection.active = layer

    def on_drag(_: Any, event: Any) -> Generator[None, None, None]:
        yield
        while event.type == "mouse_move":
            yield
        if last_line(lines, layer):
            QTimer.singleShot(0, stop)  # napari finishes the line first

    viewer.layers.append(lines)
    viewer.layers.selection.active = lines
    lines.mode = "add_line"
    lines.events.data.connect(on_data)
    lines.mouse_drag_callbacks.append(on_drag)
    return stop


def median_diameter(features: Any) -> float | None:
    """Return the median diameter of the objects in a layer's `features`, in pixels.

    That of the disc with the same area; None if nothing was measured.
    """
    if "area" not in features or not len(features["area"]):
        return None
    areas = np.asarray(features["area"], dtype=float)
    return float(np.median(2 * np.sqrt(areas / np.pi)))


def _size(layer: Any) -> tuple[float, ...]:
    data = layer.data[0] if layer.multiscale else layer.data
    return tuple(data.shape[layer.ndim - 2 : layer.ndim])
