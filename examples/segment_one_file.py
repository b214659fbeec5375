"""Segment one image, save its labels, and write a table of its objects.

python segment_one_file.py cells.tif labels.ome.tif objects.csv
"""

import csv
import sys
from pathlib import Path

import napari_unet as nu

source, target, csv_file = sys.argv[1:]
image = nu.open_image(source)
result = nu.segment("nuclei", image, progress=print)  # or diameter=30, and more
result.save(target)
print(f"{result.objects} objects, pixels of {result.scale} {result.units}")

table = nu.measure(result, image)  # pandas.DataFrame(table) takes it, too
with Path(csv_file).open("w", newline="") as file:
    writer = csv.writer(file)
    writer.writerow(table)
    writer.writerows(zip(*table.values(), strict=True))
