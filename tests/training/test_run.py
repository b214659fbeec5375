"""A training run that is stopped."""

import math

from napari_unet.options import TrainOptions
from napari_unet.training.run import TrainingData, TrainingRun


def test_stopped_before_there_was_a_model_nothing_is_judged(tiny_model) -> None:
    run = TrainingRun(tiny_model, TrainingData([], None, []), TrainOptions())
    stopped = run.stopped()
    assert not stopped.published
    assert stopped.model is tiny_model
    assert math.isnan(stopped.score_before)
    assert math.isnan(stopped.score_after)
