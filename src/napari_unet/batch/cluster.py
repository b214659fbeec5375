"""Distributed tiles: local workers or a cluster, through dask.distributed.

Only this file knows dask.distributed. What travels is a `StackTask` and a number; every
process opens the image and the model by itself, and writes whole shards that nobody
else does.
"""

import logging
from collections.abc import Callable, Generator, Iterable, Iterator
from contextlib import contextmanager, suppress
from functools import lru_cache
from itertools import islice
from threading import Lock
from typing import Any

from napari_unet._memory import peak_memory, share_heaps
from napari_unet.batch.loaded_model import LoadedModel
from napari_unet.batch.worker import StackTask, StackWorker, open_worker
from napari_unet.errors import OptionsError, OutputError
from napari_unet.options import BatchOptions

__all__ = ["connected", "run_tiles", "worker_peaks"]

_AHEAD = 2  # tiles that wait for each thread of a worker, so that none is idle
_PATIENCE = "10s"  # for a scheduler that may not be there
_GRACE = 60.0  # seconds for tiles to end after a cancel: workers may be gone
# Ctrl-C in a terminal reaches all processes; the workers' tiles are to be finished.
_DEAF = "import signal; signal.signal(signal.SIGINT, signal.SIG_IGN)"


@contextmanager
def connected(options: BatchOptions) -> Iterator[Any]:
    """Yield a dask client as `options` ask for, or None if they ask for none.

    Raises
    ------
    OptionsError
        If dask is not installed, or the scheduler cannot be reached.
    """
    if options.workers is None and options.scheduler is None:
        yield None
        return
    try:
        import dask
        from distributed import Client, LocalCluster
    except ImportError as error:
        raise OptionsError(
            "Workers need dask, which is not installed. Install it (pip install "
            '"napari-unet-annotator[dask]"), or do without workers.',
            option=("workers", "scheduler"),
        ) from error
    if options.scheduler is not None:
        try:
            client = Client(options.scheduler, timeout=_PATIENCE)
        except (OSError, ValueError) as error:
            raise OptionsError(
                f"The scheduler {options.scheduler} does not answer ({error}). Start "
                "one with 'dask scheduler', or check the address."
            ) from error
        with client:
            yield client
        return
    # Memory is bounded by the plan; dask would only kill who comes near a guess.
    with (
        dask.config.set({"distributed.worker.daemon": True}),
        LocalCluster(
            n_workers=options.workers,
            threads_per_worker=1,
            processes=True,
            memory_limit=None,
            dashboard_address=None,
            preload=_DEAF,
            security=_ours_alone(),
            silence_logs=logging.CRITICAL,  # what matters arrives as an exception
        ) as cluster,
        Client(cluster) as client,
    ):
        yield client


def _ours_alone() -> Any:
    """Return what keeps other users of this machine off the workers; None without it.

    Whoever reaches a scheduler can run programs as its owner, and a port of this
    machine is open to all of its users: so both sides show a key that is only in
    memory.
    """
    from distributed import Security

    try:
        return Security.temporary()
    except ImportError:  # of cryptography
        return None


def worker_peaks(client: Any) -> list[int]:
    """Return the most resident bytes that each worker of a dask client has had."""
    return [] if client is None else list(client.run(peak_memory).values())


def run_tiles(
    client: Any,
    task: StackTask,
    numbers: Iterable[int],
    finished: Callable[[int, bool], None],
) -> Generator[int, None, None]:
    """Do what `StackWorker.run_tiles` does, on the workers of `client`.

    A tile whose worker died is done by another one. Closing the generator waits for
    what is running, but not for ever.

    Raises
    ------
    OutputError
        If workers die again and again.
    """
    from distributed import as_completed

    threads = max(1, sum(client.nthreads().values()))
    needs = _resources(client, task)
    todo = iter(numbers)

    def submit(number: int) -> Any:
        return client.submit(
            _run_tile, task, number, pure=False, retries=2, resources=needs
        )

    running = {submit(n): n for n in islice(todo, threads * _AHEAD)}
    queue = as_completed(list(running))
    try:
        for future in queue:
            number = running.pop(future)
            finished(number, _result(future))
            if (following := next(todo, None)) is not None:
                running[again := submit(following)] = following
                queue.add(again)
            yield number
    except GeneratorExit:
        with suppress(TimeoutError):
            for future, number in running.items():
                finished(number, _result(future, _GRACE))
        raise
    finally:
        client.cancel(list(running))


def _resources(client: Any, task: StackTask) -> dict[str, int] | None:
    """Return what a worker must have, if any of them says what it has."""
    workers = client.scheduler_info(n_workers=-1)["workers"].values()
    some = any("GPU" in worker.get("resources", {}) for worker in workers)
    return {"GPU": 1} if some and task.options.device.startswith("cuda") else None


def _result(future: Any, timeout: float | None = None) -> bool:
    from distributed import KilledWorker

    try:
        return bool(future.result(timeout))
    except KilledWorker as error:
        raise OutputError(
            "Workers died again and again on one tile, perhaps for want of memory. "
            "Started again, the batch goes on from what is finished. Look at their "
            "log, or let them use less memory.",
            option="memory",
        ) from error


def _run_tile(task: StackTask, number: int) -> bool:
    """Do one tile in a process of the cluster, one at a time."""
    worker, lock = _opened(task)
    with lock:
        return worker.run_tile(number)


@lru_cache(maxsize=1)
def _opened(task: StackTask) -> tuple[StackWorker, Any]:
    import torch

    share_heaps()
    torch.set_num_threads(1)  # as many processes as cores need no more
    return open_worker(task, _loaded(task.model)), Lock()


@lru_cache(maxsize=1)
def _loaded(path: str) -> LoadedModel:
    return LoadedModel(path)
