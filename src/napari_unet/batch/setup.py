"""Preparation of one stack: image, model and options checked, and planned.

Opening reads no more of the image than a sample, so this is also what a dry run does.
"""

from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

from napari_unet._memory import return_freed
from napari_unet.batch.loaded_model import LoadedModel
from napari_unet.batch.plan import StackPlan, plan_stack
from napari_unet.batch.record import header
from napari_unet.batch.store import Layout
from napari_unet.batch.worker import StackTask, StackWorker
from napari_unet.errors import OptionsError
from napari_unet.io.chunks import keeping
from napari_unet.io.image import Image
from napari_unet.io.open import open_image
from napari_unet.network.model import Model
from napari_unet.network.normalization import Intensities
from napari_unet.network.predictor import Predictor
from napari_unet.options import BatchOptions, Output
from napari_unet.segmentation.inputs import ModelInput, model_input
from napari_unet.segmentation.output import least_score, output_kind, output_shape
from napari_unet.segmentation.room import planned

__all__ = ["StackSetup", "prepare"]


@dataclass(frozen=True, slots=True)
class StackSetup:
    """An image and a model that fit together, and how the work is cut.

    Attributes
    ----------
    options
        With all that was left open decided.
    header
        What fixes the result, for the ledger.
    """

    options: BatchOptions
    net: LoadedModel
    source: ModelInput
    run: Predictor
    kind: Output
    intensities: Intensities | None
    plan: StackPlan
    layout: Layout
    header: dict[str, Any]

    @property
    def image(self) -> Image:
        """The image."""
        return self.source.image

    @property
    def model(self) -> Model:
        """The model."""
        return self.net.model

    @property
    def links(self) -> bool:
        """Whether there are planes to link."""
        return self.options.link_z and "Z" in self.image.plane_axes

    @property
    def least_score(self) -> float:
        """The score that an object has at least; 0: none is computed."""
        return self.options.segment.min_score or 0.0

    def task(self, array: Path, scores: Path | None = None) -> StackTask:
        """Return what is to be done with every tile, written to the arrays there."""
        return StackTask(
            source=(self.image.source or Path()).resolve(),
            axes=self.options.axes,
            model=self._model_path(),
            checksum=self.net.checksum,
            options=self.options.segment,
            kind=self.kind,
            layout=self.layout,
            window=self.plan.window,
            array=array.resolve(),
            scores=None if scores is None else scores.resolve(),
            intensities=self.intensities,
            room=self.plan.room,
        )

    def _model_path(self) -> str:
        path = Path(self.net.path)
        return str(path.resolve()) if path.is_file() else self.net.path

    def worker(self, array: Path, scores: Path | None = None) -> StackWorker:
        """Return what computes tiles in this process, with what is open already."""
        return StackWorker(self.task(array, scores), self.source, self.run)


def prepare(
    path: Path,
    options: BatchOptions,
    net: LoadedModel,
    begun: dict[str, Any] | None = None,
    *,
    complete: bool = False,
) -> StackSetup:
    """Open an image and plan how it is segmented; nothing is written.

    Parameters
    ----------
    begun
        Header of a run that may be gone on with: its tile and device are kept.
    complete
        Whether nothing of that run is left to do: then no memory is asked for.

    Raises
    ------
    UNetError
        If image, model, options and memory do not fit together.
    """
    image, model = open_image(path, options.axes), net.model
    segment = replace(options.segment, min_score=least_score(model, options.segment))
    if begun is not None and segment.device == "auto":
        segment = replace(segment, device=begun["engine"][0])
    source = model_input(model, image, segment)
    kind = output_kind(model, segment)
    _check_objects(options, kind, model)
    apart = options.workers is not None or options.scheduler is not None
    fixed = None if begun is None else _fixed(begun["tile"])
    how = partial(plan_stack, apart=apart, fixed=fixed, complete=complete)
    run, plan = planned(
        lambda run: how(source, run, segment, kind),
        segment.device,
        lambda device: net.engine(device, segment.precision),
    )
    intensities = None if segment.per_plane else source.intensities()
    image = keeping(image, 0)  # what that has read is not held
    source = replace(source, image=image)
    return_freed()
    if options.format == "ome-tiff":  # is written from the store, which is there, too
        plan = replace(plan, disk=2 * plan.disk)
    source = replace(source, image=keeping(image, plan.room))
    segment = replace(segment, output=kind, device=str(run.device))
    options = replace(options, segment=segment)
    about = header(image, net.checksum, run, options, intensities)
    about["tile"] = [list(plan.side), plan.window]
    return StackSetup(
        options,
        net,
        source,
        run,
        kind,
        intensities,
        plan,
        _layout(model, image, options, plan),
        about,
    )


def _check_objects(options: BatchOptions, kind: Output, model: Model) -> None:
    """Ask whether there will be objects where an option is about them."""
    for name, what in (("measure", "Measuring"), ("link_z", "Joining through Z")):
        if getattr(options, name) and kind != "objects":
            raise OptionsError(
                f"{what} is about objects; the model {model.name} gives {kind}. Leave "
                "it out, or choose objects as the output.",
                option=(name, "output"),
            )


def _fixed(tile: Any) -> tuple[tuple[int, int], int]:
    (height, width), window = tile
    return (int(height), int(width)), int(window)


def _layout(
    model: Model, image: Image, options: BatchOptions, plan: StackPlan
) -> Layout:
    shape, dtype, axes = output_shape(model, image, options.segment)
    channels = axes.startswith("C")  # of probabilities: one for each class
    return Layout(
        axes=axes,
        shape=shape,
        scale=(1.0,) * channels + image.label_scale,
        units=("pixel",) * channels + image.label_units,
        dtype=dtype.name,
        side=plan.side,
        name=image.name,
        channel_names=model.spec.classes if channels else (),
        translate=(0.0,) * channels + image.label_translate,
    )
