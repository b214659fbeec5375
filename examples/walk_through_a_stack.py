"""Walk through a stack, plane by plane: made for the cells of a notebook.

python walk_through_a_stack.py
"""

# %% An array of several axes: say what they are, and how large a pixel is
import numpy as np

import napari_unet as nu

movie = nu.open_image(nu.sample_path("nuclei_movie")).data[:3]
units = ("second", "micrometer", "micrometer")
stack = nu.open_image(movie, "TYX", scale=(60, 0.5, 0.5), units=units)
# %% Planes come as they are finished
run = nu.segment_iter("nuclei", stack)
for step in run:
    if hasattr(step.event, "labels"):
        print(f"{step.fraction:.0%}: plane {step.event.plane}")
labels = np.asarray(run.result.labels)  # (T, Y, X) int32
# %% One row for each object of each plane
table = nu.measure(run.result, stack)
for t in range(len(labels)):
    areas = table["area_physical"][table["t"] == t]
    print(f"t={t}: {len(areas)} nuclei, the median has {np.median(areas):.1f} µm²")
# %% Kept with its scale; napari opens it
run.result.save("walk.ome.zarr")
