"""What was reviewed in all images of the project on the desk."""

from napari_unet.imagereviews import Count, ImageReviews
from napari_unet.project import Project

from .session import Session

__all__ = ["Collection"]


class Collection:
    """The images of a project, and how much was said of each.

    Counting is done once for each image, and anew where somebody painted.
    """

    def __init__(self, session: Session, project: Project) -> None:
        self._session, self.project = session, project
        self._reviews: dict[str, ImageReviews] = {}  # else they would be counted anew

    def reviews(self, key: str) -> ImageReviews:
        """Return what was reviewed of an image."""
        found = self._session.reviews_of(self.project, key)
        self._reviews[key] = found
        return found

    def counts(self) -> dict[int, Count]:
        """Return what was said of every class, in all images."""
        found: dict[int, Count] = {}
        for record in self.project.index.images:
            for value, count in self.reviews(record.key).counts().items():
                found[value] = found.get(value, Count()) + count
        return found
