#!/usr/bin/python3
"""mpi4py's executor, for the questions about ranks: support/on_ranks.sh starts three. QUESTION WORKERS SPINS_PER_MICROSECOND."""
import sys
import time

from mpi4py import MPI
from mpi4py.futures import MPICommExecutor

from python_measure import LARGE_RESULTS, are_large, check, identity, is_large, large, time_of

WARM_UP = 3  # as support/measure.hpp has it


def batches(executor, tasks, batch):
    run = lambda: list(executor.map(identity, range(tasks), chunksize=batch))
    return time_of(run, lambda results: results == list(range(tasks)), WARM_UP) / tasks


def one_task(executor):
    calls = 500
    for _ in range(10):
        executor.submit(identity, 0).result()
    begin = time.perf_counter()
    for _ in range(calls):
        check(executor.submit(identity, 0).result() == 0)
    return (time.perf_counter() - begin) / calls


def kept(executor):
    return time_of(lambda: list(executor.map(large, range(LARGE_RESULTS))), are_large, WARM_UP)


def streamed(executor):
    run = lambda: sum(is_large(result, i) for i, result in enumerate(executor.map(large, range(LARGE_RESULTS))))
    return time_of(run, lambda right: right == LARGE_RESULTS, WARM_UP)


QUESTIONS = {
    "batch_1": lambda executor: batches(executor, 5_000, 1),
    "batch_256": lambda executor: batches(executor, 100_000, 256),
    "one_task": one_task,
    "1_MiB_kept": kept,
    "1_MiB_streamed": streamed,
}

with MPICommExecutor(MPI.COMM_WORLD, root=0) as ranks:
    if ranks is not None:
        asked = sys.argv[1].partition("/")[2]  # of cluster/, or of hosts/
        print(f"{QUESTIONS[asked](ranks) * 1e9:.1f} -1" if asked in QUESTIONS else "left out: it was not asked this")
