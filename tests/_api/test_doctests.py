"""What the docstrings of the front door show is what happens."""

import doctest
from importlib import import_module

import pytest


@pytest.mark.parametrize(
    "module", ["batch", "images", "results", "segment", "strokes", "train"]
)
def test_examples_of_the_docstrings_run(module, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    done = doctest.testmod(import_module(f"napari_unet._api.{module}"))
    assert done.attempted > 0
    assert done.failed == 0
