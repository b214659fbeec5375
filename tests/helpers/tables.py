"""Tables of a batch, as they are read again."""

import csv
from pathlib import Path

import numpy as np
from helpers.stacks import EXACT

from napari_unet.options import BatchOptions

MEASURE = BatchOptions(EXACT, measure=True)


def table(path: Path) -> dict[str, np.ndarray]:
    with path.open(newline="") as file:
        rows = list(csv.DictReader(file))
    kinds = {name: str if name.endswith("unit") else float for name in rows[0]}
    return {n: np.array([kind(row[n]) for row in rows]) for n, kind in kinds.items()}
