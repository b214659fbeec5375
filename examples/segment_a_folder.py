"""Segment every image of a folder; the same command goes on where it was interrupted.

python segment_a_folder.py images results
"""

import sys

import napari_unet as nu

folder, results = sys.argv[1:]
run = nu.batch_iter(folder, results, measure=True, format="ome-tiff")
for step in run:  # leaving the loop stops; what is finished is kept
    print(f"{step.fraction:.0%} {step.stage} {step.event.source.name}")
for file in run.result.files:
    print(file.source.name, file.state, file.objects, file.reason)
