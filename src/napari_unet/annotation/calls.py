"""Calls of jobs that segment: what of a request stays while it runs in another process.

Strokes stay with the viewer, where people go on painting: a job asks for them.
"""

from collections.abc import Callable, Generator
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_unet.annotation.resegment import Request
from napari_unet.annotation.reviews import Count, Reviews
from napari_unet.compute.call import Call, Here
from napari_unet.project.block_store import Pixels
from napari_unet.tiling import Box

__all__ = ["calling", "far", "far_reviews"]


def calling(
    function: Callable[..., Generator[Any, None, Any]],
    request: Request,
    *more: Any,
    doing: str = "",
) -> Call:
    """Return the call of `function` with a request, elsewhere if that can be.

    `doing` says what it does, for people.
    """
    return Call(function, far(request), *more, apart=request.portable, doing=doing)


def far(request: Request) -> Request:
    """Return a request of which the strokes stay where they are."""
    if request.reviews is None or not request.portable:
        return request
    return replace(request, reviews=far_reviews(request.reviews))


def far_reviews(reviews: Reviews) -> Reviews:
    """Return strokes that stay where they are, and can be asked for from elsewhere."""
    return _FarReviews(reviews)


class _FarReviews:
    """The strokes on one image, from wherever they are asked for."""

    def __init__(self, reviews: Reviews) -> None:
        self.key = reviews.key
        self._ask = Here(partial(_answer, reviews), copies=True)

    def read(self, plane: tuple[int, ...], box: Box) -> Pixels:
        found: Pixels = self._ask("read", plane, box)
        return found

    def write(self, plane: tuple[int, ...], box: Box, pixels: Pixels) -> None:
        self._ask("write", plane, box, pixels)

    def renumber(
        self,
        plane: tuple[int, ...],
        box: Box,
        before: Pixels,
        numbers: NDArray[np.int32],
    ) -> None:
        self._ask("renumber", plane, box, before, numbers)

    def boxes(self, plane: tuple[int, ...]) -> list[Box]:
        found: list[Box] = self._ask("boxes", plane)
        return found

    def blocks(self) -> list[tuple[tuple[int, ...], Box]]:
        found: list[tuple[tuple[int, ...], Box]] = self._ask("blocks")
        return found

    def planes(self) -> set[tuple[int, ...]]:
        found: set[tuple[int, ...]] = self._ask("planes")
        return found

    def greatest(self) -> int:
        found: int = self._ask("greatest")
        return found

    def reviewed(self, plane: tuple[int, ...], box: Box) -> NDArray[np.bool_]:
        found: NDArray[np.bool_] = self._ask("reviewed", plane, box)
        return found

    def counts(self) -> dict[int, Count]:
        found: dict[int, Count] = self._ask("counts")
        return found


def _answer(reviews: Reviews, method: str, *arguments: Any) -> Any:
    return getattr(reviews, method)(*arguments)
