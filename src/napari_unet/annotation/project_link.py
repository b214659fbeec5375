"""A project as a job reaches it: the open one, or its folder opened elsewhere."""

from functools import partial
from pathlib import Path
from typing import Any

from napari_unet.compute.call import Here
from napari_unet.project.project import Project

__all__ = ["ProjectLink"]


class ProjectLink:
    """A way to a project that also leads there from another process.

    That process opens the folder once more, as any other program may: what is written
    there is merged, see `Project.refresh`.

    Attributes
    ----------
    folder
        Of the project.
    """

    def __init__(self, project: Project) -> None:
        self.folder: Path = project.folder
        self._project: Project | None = project
        self._flush = Here(project.flush)
        self._take_over = Here(partial(_take_over, project))

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_project": None}

    def open(self) -> Project:
        """Return the project, with all that was painted until now.

        Raises
        ------
        UNetError
            If the disk does not take what was painted, or it cannot be read.
        """
        if self._project is None:
            self._flush()
            return Project.open(self.folder)
        return self._project

    def flush(self) -> None:
        """Write what was painted.

        Raises
        ------
        OutputError
            If the disk does not take it.
        """
        self._flush()

    def tell(self, project: Project) -> None:
        """Tell the open project what was written to `project`, which came of `open`."""
        if self._project is not project:
            self._take_over(list(project.notes))


def _take_over(project: Project, notes: list[str]) -> None:
    project.refresh()
    project.notes += [note for note in notes if note not in project.notes]
