"""Write strokes into a project, as if painted, improve the model, read them back.

python strokes_from_a_script.py cells.tif cells.unet better.safetensors 20
"""

import sys

import numpy as np

import napari_unet as nu

source, folder, out, seconds = sys.argv[1:]
image = nu.open_image(source)
strokes = np.full(image.label_shape, 255, np.uint8)  # 255: nobody looked
strokes[..., 10:14, 10:60] = image.data[..., 10:14, 10:60] > image.data[:].mean()

project = nu.Project.open(folder)  # a new one, or one that was painted in napari
nu.write_strokes(project, image, strokes, classes=("background", "cell"))
for correction in project.corrections():
    print(correction.source, correction.corner, correction.counts(2))

new = ("background", "cell")
trained = nu.train(out, project=project, new=new, seconds=float(seconds))
print(trained.rule, nu.segment(trained.model, image).output)
