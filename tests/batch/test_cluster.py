"""Workers of dask compute the same bytes, also when one of them is killed."""

import json
import os
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from helpers import many_files as many
from helpers.processes import until
from helpers.stacks import EXACT, STACK, arrays, batch, write_image

from napari_unet.batch.cluster import _resources, connected
from napari_unet.batch.loaded_model import LoadedModel
from napari_unet.batch.setup import prepare
from napari_unet.batch.stack import segment_stack
from napari_unet.cli import commands
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
    monkeypatch.setattr("napari_unet.batch.cluster._PATIENCE", "1s")
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
    words += ["--min-score", 0.7]
    assert commands.main([str(word) for word in words]) == 0
    assert "1 done" in capsys.readouterr().out
    options = replace(STACK, segment=replace(EXACT, min_score=0.7))
    batch(source, tmp_path / "one.ome.zarr", bright_model, options)
    found = arrays(tmp_path / "out" / "cells.ome.zarr")
    assert found == arrays(tmp_path / "one.ome.zarr")


def test_cancel_does_not_wait_for_workers_that_are_gone(
    tmp_path: Path, bright_model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from distributed import LocalCluster

    monkeypatch.setattr("napari_unet.batch.cluster._GRACE", 1.0)
    source = write_image(tmp_path / "cells.ome.tif", "TZYX")
    kind = {"dashboard_address": None, "memory_limit": None, "silence_logs": 50}
    with LocalCluster(n_workers=1, threads_per_worker=1, **kind) as lonely:
        options = replace(STACK, scheduler=lonely.scheduler_address)
        target = tmp_path / "two.ome.zarr"
        job = segment_stack(source, target, options, model=str(bright_model))
        next(job)
        lonely.scale(0)
        until(lambda: not lonely.scheduler_info["workers"])
        job.close()
    _, report = batch(source, target, bright_model)
    assert report.tiles_resumed > 0


@pytest.mark.skipif(os.name != "posix", reason="sends SIGINT")
def test_ctrl_c_in_a_terminal_lets_workers_end_their_tiles(
    tmp_path: Path, bright_model: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    image = many.write_image(tmp_path / "big.tif", size=700, planes=10)
    out = tmp_path / "out"
    words = [image, "-o", out, "--model", bright_model, "--tile", 300, "--json"]
    job = subprocess.Popen(
        many.command(*words, "--workers", 2),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    ledger = out / ".napari-unet" / "big.ome.zarr.jsonl"
    until(lambda: job.poll() is not None or many.lines(ledger) > 5)
    os.killpg(job.pid, signal.SIGINT)  # as a terminal does: to the workers, too
    said, error = job.communicate(timeout=60)
    assert (job.returncode, said) == (130, "")
    assert "the same command goes on" in error
    assert error.count("\n") == 1
    assert commands.main(["batch", *map(str, words)]) == 0  # with workers or without
    assert json.loads(capsys.readouterr().out)["tiles_resumed"] >= 5


@pytest.mark.skipif(sys.platform != "linux", reason="VmHWM is Linux's")
def test_memory_bounds_every_worker(tmp_path: Path, bright_model: Path) -> None:
    image = many.write_image(tmp_path / "big.tif", size=1200, planes=6)
    words = many.command(image, "-o", tmp_path / "out", "--model", bright_model)
    words += ["--workers", "1", "--memory", "700MB", "--json"]
    done = subprocess.run(words, capture_output=True, text=True, check=True)
    assert 100 < json.loads(done.stdout)["peak_rss_mb"] < 700


def test_tiles_for_a_gpu_go_where_dask_says_that_one_is(
    tmp_path: Path, bright_model: Path
) -> None:
    from distributed import Client, LocalCluster

    source = write_image(tmp_path / "cells.ome.tif", "YX")
    setup = prepare(source, STACK, LoadedModel(str(bright_model)))
    task = setup.task(tmp_path)
    on_gpu = replace(task, options=replace(task.options, device="cuda:0"))
    options = {"dashboard_address": None, "processes": False, "n_workers": 1}
    with LocalCluster(**options, resources={"GPU": 1}) as some, Client(some) as client:
        assert _resources(client, on_gpu) == {"GPU": 1}
        assert _resources(client, task) is None
    with LocalCluster(**options) as none, Client(none) as client:
        assert _resources(client, on_gpu) is None


def test_local_workers_take_orders_from_this_run_alone() -> None:
    pytest.importorskip("cryptography")
    from distributed import Client

    with connected(replace(STACK, workers=1)) as client:
        address = client.scheduler.address
        assert client.submit(sum, [1, 2]).result() == 3
        assert address.startswith("tls://127.0.0.1:")
        with pytest.raises(OSError, match=r"closed|reset|[Tt]imed out"):
            Client(address.replace("tls", "tcp"), timeout="3s")
