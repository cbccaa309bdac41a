"""Calls on the workers of an existing Dask cluster."""

import traceback
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Any

TIMEOUT = 20  # s, to find the scheduler
RETRIES = 1  # of a call that raises: another worker may have what this one lacks


def on_cluster(
    call: Callable, arguments: Sequence, address: str
) -> Iterator[tuple[int, Any]]:
    """Number and result of ``call(argument)`` for each argument, as they come.

    In place of the result of a call that failed stands what `in_words` says. A call
    whose worker died is run again by Dask, as often as the scheduler's
    `allowed-failures` says. As Dask also blames the calls that waited on that worker,
    each then gets a last chance, alone.

    Raises:
        ValueError: if Dask is not installed, or no scheduler answers at `address`.
    """
    try:
        from distributed import Client, KilledWorker, as_completed
    except ImportError as error:
        raise ValueError(
            "scheduler: needs Dask, which is not installed here; "
            "pip install 'tpainn-lite[cluster]', or use jobs"
        ) from error
    try:
        client = Client(address, timeout=TIMEOUT, set_as_default=False)
    except (OSError, ValueError) as error:
        raise ValueError(
            f"scheduler: no Dask scheduler answers at {address!r}; give the address "
            "that `dask scheduler` prints, such as tcp://host:8786"
        ) from error
    suspects = []
    with client:
        submit = partial(client.submit, call, pure=False, retries=RETRIES)
        waiting = {submit(argument): k for k, argument in enumerate(arguments)}
        for future in as_completed(list(waiting), loop=client.loop):
            k = waiting.pop(future)
            if isinstance(future.exception(), KilledWorker):
                suspects.append(k)
            else:
                yield k, _outcome(future)
        for k in suspects:
            yield k, _outcome(submit(arguments[k]))


def _outcome(future: Any) -> Any:
    try:
        return future.result()
    except Exception as error:  # the call's own, or that its workers died
        return in_words(error)


def in_words(error: Exception) -> str:
    """What failed, on the first line, and where."""
    lines = traceback.format_exception(error)
    return f"{type(error).__name__}: {error}\n{''.join(lines)}"
