#!/usr/bin/python3
"""mpi4py's executor, for the questions about ranks: support/on_ranks.sh starts three. QUESTION WORKERS SPINS_PER_MICROSECOND."""
import sys
import time

from mpi4py import MPI
from mpi4py.futures import MPICommExecutor

MIB = 1 << 20
LARGE_RESULTS = 300
ENOUGH = 50e-3


def same(i):
    return i


def large(i):
    return bytes([i % 100]) * MIB


def is_right_large(result, i):
    return len(result) == MIB and result[0] == i % 100 and result[-1] == i % 100


def check(right):
    if not right:
        raise RuntimeError("wrong answer")


def time_of(run, is_right):
    """Nanoseconds, warmed up as in support/measure.hpp."""
    for _ in range(3):
        check(is_right(run()))
    total, runs = 0.0, 0
    while total < ENOUGH:
        begin = time.perf_counter()
        result = run()
        total += time.perf_counter() - begin
        runs += 1
        check(is_right(result))
    return total / runs * 1e9


def batches(executor, tasks, batch):
    return time_of(lambda: list(executor.map(same, range(tasks), chunksize=batch)), lambda results: results == list(range(tasks))) / tasks


def one_task(executor):
    calls = 500
    for _ in range(10):
        executor.submit(same, 0).result()
    begin = time.perf_counter()
    for _ in range(calls):
        check(executor.submit(same, 0).result() == 0)
    return (time.perf_counter() - begin) / calls * 1e9


def kept(executor):
    return time_of(lambda: list(executor.map(large, range(LARGE_RESULTS))),
                   lambda results: len(results) == LARGE_RESULTS and all(is_right_large(result, i) for i, result in enumerate(results)))


def streamed(executor):
    return time_of(lambda: sum(is_right_large(result, i) for i, result in enumerate(executor.map(large, range(LARGE_RESULTS)))), lambda right: right == LARGE_RESULTS)


QUESTIONS = {
    "cluster/batch_1": lambda executor: batches(executor, 5_000, 1),
    "cluster/batch_256": lambda executor: batches(executor, 100_000, 256),
    "cluster/one_task": one_task,
    "cluster/1_MiB_kept": kept,
    "cluster/1_MiB_streamed": streamed,
}

with MPICommExecutor(MPI.COMM_WORLD, root=0) as ranks:
    if ranks is not None:
        print(f"{QUESTIONS[sys.argv[1]](ranks):.4f} -1")
