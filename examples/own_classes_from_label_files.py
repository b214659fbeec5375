"""Train a model for classes of your own from label files, and use it.

python own_classes_from_label_files.py images labels mine.safetensors 60

A label file has the name of its image: 0, 1, 2 are classes, 255 where nobody looked.
"""

import sys

import napari_unet as nu

images, labels, out, seconds = sys.argv[1:]
trained = nu.train(
    out,
    images=images,
    labels=labels,
    new=("background", "cell"),  # the names of 0, 1, ...
    seconds=float(seconds),
    progress=lambda step: print(f"{step.fraction:.0%} loss {step.event.loss:.3f}"),
)
print(trained.rule, trained.score_before, "->", trained.score_after)

run = nu.batch(images, f"{out}-results", model=trained.model, format="ome-tiff")
print(run.count("done"), "files segmented")
