"""Models of a project: names, saving, the one in use, and what their labels mean."""

import itertools
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from napari_unet.annotation.painting import LabelSchema
from napari_unet.errors import CorrectionError
from napari_unet.io.image import Image
from napari_unet.options import Output
from napari_unet.project.project import Project
from napari_unet.project.settings import StoredSettings

if TYPE_CHECKING:
    from napari_unet.network.model import Model

__all__ = [
    "agree",
    "drafted",
    "fits",
    "free_name",
    "keep",
    "kind_of",
    "meaning",
    "name_of",
    "note_draft",
    "renew",
    "source_of",
    "use",
    "worked_on",
]


def free_name(project: Project, stem: str) -> str:
    """Return the first of stem1, stem2, ... that no model of the project has.

    Raises
    ------
    OutputError
        If a newer version saved the project meanwhile.
    """
    project.refresh()  # another program may have given one
    taken = {record.name for record in project.index.models}
    names = (f"{stem}{number}" for number in itertools.count(1))
    return next(name for name in names if name not in taken)


def keep(
    project: Project,
    model: "Model",
    parent: str,
    *,
    score: float | None = None,
    before: float | None = None,
    strokes: int = 0,
) -> str:
    """Put a model into a project, and in use; return its file.

    Parameters
    ----------
    parent
        Name or file of the model that it was made from.

    Raises
    ------
    UNetError
        If the disk does not take it.
    """
    with _file_of(model) as file:
        project.add_model(
            model.name,
            file,
            parent=name_of(project, parent),
            score=score,
            before=before,
            strokes=strokes,
        )
    project.activate(model.name)
    return str(project.model_file(model.name))


def renew(project: Project, model: "Model", score: float) -> str:
    """Put a better model into the place of one of the same name; return its file.

    Raises
    ------
    UNetError
        If the disk does not take it.
    """
    with _file_of(model) as file:
        project.renew_model(model.name, file, score)
    return str(project.model_file(model.name))


@contextmanager
def _file_of(model: "Model") -> Iterator[Path]:
    """Yield a file of a model, which is gone afterwards."""
    from napari_unet.network.model import save

    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "model.safetensors"
        save(model, file)
        yield file


def use(project: Project, source: str) -> None:
    """Remember which model is in use, by name or file.

    Raises
    ------
    OutputError
        If the disk does not take it.
    """
    name = name_of(project, source)
    own = any(record.name == name for record in project.index.models)
    if project.index.active != (name if own else ""):
        project.activate(name if own else "")


def meaning(rules: LabelSchema) -> StoredSettings:
    """Return the settings of a project in which labels mean what `rules` say."""
    return {"labels": rules.kind}


def drafted(project: Project) -> tuple[str, ...]:
    """Return the classes that somebody named for the next new model; empty if none."""
    return project.index.known.draft


def note_draft(project: Project, names: Sequence[str]) -> None:
    """Remember the classes for the next new model; none: those that there are.

    Raises
    ------
    OutputError
        If the disk does not take it.
    """
    if tuple(names) != drafted(project):
        project.update(settings={"draft": list(names)})


def kind_of(project: Project) -> Output | None:
    """Return what the labels in a project stand for; None if there are none."""
    return project.index.known.labels


def worked_on(project: Project) -> bool:
    """Return whether a project holds models, or corrections."""
    index = project.index
    return bool(index.models) or any(project.reviewed(i.key) for i in index.images)


def agree(project: Project, rules: LabelSchema) -> bool:
    """See to it that labels mean the same as those that are in a project.

    Returns
    -------
    bool
        Whether the project does not say yet what its labels mean.

    Raises
    ------
    CorrectionError
        If they do not.
    """
    index = project.index
    if not any(project.reviewed(record.key) for record in index.images):
        return True
    known = kind_of(project)
    kind = known or rules.kind
    if kind == rules.kind and index.classes in ((), rules.classes):
        return known is None or not index.classes
    raise CorrectionError(
        f"{project.folder.name} holds corrections of {_listed(kind, index.classes)}; "
        f"here it is {_listed(rules.kind, rules.classes)}. Correct a result of the "
        "kind that it holds, or choose another project with 'Open...'."
    )


def fits(project: Project, image: Image, rules: LabelSchema | None) -> bool:
    """Return whether an image, with labels that mean `rules`, can join a project.

    It has as many channels as one of the project's images, and the same classes.
    """
    index = project.index
    channels = {
        (r.rgb, r.shape[r.axes.index("C")] if "C" in r.axes else 1)
        for r in index.images
    }
    if (image.rgb, image.channels) not in channels:
        return False
    return rules is None or (
        kind_of(project) in (None, rules.kind) and index.classes in ((), rules.classes)
    )


def _listed(kind: str, classes: tuple[str, ...]) -> str:
    return f"{kind} ({', '.join(classes)})"


def name_of(project: Project, source: str) -> str:
    """Return how a project calls the model of a file: by name, if it is its own."""
    for record in project.index.models:
        if str(project.model_file(record.name)) == source:
            return record.name
    return source


def source_of(project: Project, name: str) -> str:
    """Return the file of a model of the project; other names stand for themselves."""
    if any(record.name == name for record in project.index.models):
        return str(project.model_file(name))
    return name
