"""Workers of dask compute the same bytes, also when one of them is killed."""

import os
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from test_batch import STACK, arrays, batch, write_image

from napari_unet import cli
from napari_unet.batch import segment_stack
from napari_unet.errors import ImageError, OptionsError

pytest.importorskip("distributed")


@pytest.fixture(scope="module")
def cluster() -> Any:
    from distributed import LocalCluster

    options = {"dashboard_address": None, "memory_limit": None, "silence_logs": 50}
    with LocalCluster(n_workers=2, threads_per_worker=1, **options) as found:
        found.wait_for_workers(2)
        yield found


def test_cluster_computes_the_same_bytes(
    tmp_path: Path, bright_model: Path, cluster: Any
) -> None:
    source = write_image(tmp_path / "cells.ome.tif", "ZYX")
    options = replace(STACK, scheduler=cluster.scheduler_address)
    batch(source, tmp_path / "one.ome.zarr", bright_model)
    events, report = batch(source, tmp_path / "two.ome.zarr", bright_model, options)
    assert arrays(tmp_path / "one.ome.zarr") == arrays(tmp_path / "two.ome.zarr")
    assert report.tiles_done == 27
    assert [e.done for e in events if e.phase == "segmenting"][-1] == 27


def test_cancelled_cluster_run_goes_on_here(
    tmp_path: Path, bright_model: Path, cluster: Any
) -> None:
    source = write_image(tmp_path / "cells.ome.tif", "ZYX")
    options = replace(STACK, scheduler=cluster.scheduler_address)
    target = tmp_path / "two.ome.zarr"
    job = segment_stack(source, target, options, model=str(bright_model))
    for _ in range(3):
        next(job)
    job.close()
    batch(source, tmp_path / "one.ome.zarr", bright_model)
    _, report = batch(source, target, bright_model)
    assert 3 <= report.tiles_resumed < 27
    assert arrays(tmp_path / "one.ome.zarr") == arrays(target)


def test_error_of_a_worker_arrives_as_its_sentence(
    tmp_path: Path, bright_model: Path, cluster: Any
) -> None:
    source = write_image(tmp_path / "cells.ome.tif", "ZYX")
    options = replace(STACK, scheduler=cluster.scheduler_address)
    job = segment_stack(
        source, tmp_path / "o.ome.zarr", options, model=str(bright_model)
    )
    next(job)
    os.truncate(source, source.stat().st_size // 2)
    with pytest.raises(ImageError, match=r"cells\.ome\.tif"):
        for _ in job:
            pass


@pytest.mark.skipif(os.name != "posix", reason="has no SIGKILL")
def test_killed_worker_costs_only_its_own_tiles(
    tmp_path: Path, bright_model: Path, cluster: Any
) -> None:
    from distributed import Client

    source = write_image(tmp_path / "cells.ome.tif", "TZYX")
    options = replace(STACK, scheduler=cluster.scheduler_address)
    batch(source, tmp_path / "one.ome.zarr", bright_model)
    target = tmp_path / "two.ome.zarr"
    job = segment_stack(source, target, options, model=str(bright_model))
    for _ in range(4):
        next(job)
    with Client(cluster) as client:
        first, *_ = client.run(os.getpid).values()
    os.kill(first, signal.SIGKILL)
    for _ in job:
        pass
    assert arrays(tmp_path / "one.ome.zarr") == arrays(target)


def test_scheduler_that_does_not_answer_is_a_sentence(
    tmp_path: Path, bright_model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("napari_unet.cluster._PATIENCE", "1s")
    source = write_image(tmp_path / "cells.ome.tif", "YX")
    options = replace(STACK, scheduler="tcp://127.0.0.1:1")
    with pytest.raises(OptionsError, match="does not answer"):
        batch(source, tmp_path / "out.ome.zarr", bright_model, options)


def test_without_dask_a_sentence_says_what_to_install(
    tmp_path: Path, bright_model: Path
) -> None:
    source = write_image(tmp_path / "cells.ome.tif", "YX")
    (tmp_path / "distributed.py").write_text("raise ImportError")
    words = [sys.executable, "-m", "napari_unet.cli", "batch", source, "-o", "out"]
    words += ["--model", bright_model, "--workers", "2"]
    path = os.pathsep.join([str(tmp_path), os.environ.get("PYTHONPATH", "")])
    done = subprocess.run(
        [str(word) for word in words],
        capture_output=True,
        text=True,
        check=False,
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": path},
    )
    assert done.returncode == 2
    assert "napari-unet-annotator[dask]" in done.stderr


def test_local_workers_from_the_command_line(
    tmp_path: Path, bright_model: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    source = write_image(tmp_path / "cells.ome.tif", "ZYX")
    words = ["batch", source, "-o", tmp_path / "out", "--model", bright_model]
    words += ["--workers", 2, "--tile", 300, "--precision", "fp32", "--min-size", 3]
    assert cli.main([str(word) for word in words]) == 0
    assert "1 done" in capsys.readouterr().out
    batch(source, tmp_path / "one.ome.zarr", bright_model)
    found = arrays(tmp_path / "out" / "cells.ome.zarr")
    assert found == arrays(tmp_path / "one.ome.zarr")
