"""Segment large stacks with the workers of a dask cluster.

python dask_cluster.py images results 4
python dask_cluster.py images results tcp://10.0.0.1:8786
"""

import sys

import napari_unet as nu


def main() -> None:
    """Take local workers, or a scheduler that is there already."""
    images, results, where = sys.argv[1:]
    cluster = {"workers": int(where)} if where.isdigit() else {"scheduler": where}
    report = nu.batch(images, results, progress=print, memory=2 * 10**9, **cluster)
    for file in report.files:
        print(file.source.name, file.state, file.reason)


if __name__ == "__main__":  # workers import this file
    main()
