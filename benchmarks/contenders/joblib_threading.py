#!/usr/bin/python3
"""joblib's own threads on the same questions, with fewer tasks: the answer is still per task or per call.

Its long tasks run the same instructions as everybody's, from libbenchmark_work.so beside this file, without the interpreter's lock.
"""
import ctypes
import os
import random
import sys
import time

from joblib import Parallel, delayed

from python_measure import LeftOut, check, identity
from python_measure import time_of as time_of_checked

_work = ctypes.CDLL(os.path.join(os.path.dirname(os.path.abspath(__file__)), "libbenchmark_work.so"))
_work.benchmark_spin.restype = ctypes.c_uint64
_work.benchmark_spin.argtypes = [ctypes.c_uint64]


def spin(rounds, plus=0):
    return _work.benchmark_spin(rounds) + plus


def trivial(i):
    return i * i + 1


def wait(i):
    time.sleep(0.001)
    return i


def time_of(run, expected):
    return time_of_checked(run, lambda result: result == expected)


def task_overhead(parallel, variant, spins):
    if variant == "empty":
        tasks = 10_000
        return time_of(lambda: parallel(delayed(identity)(i) for i in range(tasks)), list(range(tasks))) / tasks
    tasks, rounds = {"1us": (5_000, spins), "100us": (1_000, 100 * spins)}[variant]
    return time_of(lambda: parallel(delayed(spin)(rounds, i) for i in range(tasks)), [rounds + i for i in range(tasks)]) / tasks


def call_latency(parallel, variant):
    tasks, _, pause = variant.partition("_after_")
    tasks = int(tasks)
    expected = [trivial(i) for i in range(tasks)]
    run = lambda: parallel(delayed(trivial)(i) for i in range(tasks))
    if not pause:
        return time_of(run, expected), -1
    pause = {"200us": 200e-6, "5ms": 5e-3}[pause]
    times, calls, warm_up = [], 40, 10
    for call in range(warm_up + calls):
        if call == warm_up:
            worked, first = time.process_time() - time.thread_time(), time.perf_counter()
        paused = time.perf_counter()
        if pause < 1e-3:
            while time.perf_counter() - paused < pause:
                pass
        else:
            time.sleep(pause)
        begin = time.perf_counter()
        result = run()
        if call >= warm_up:
            times.append(time.perf_counter() - begin)
        check(result == expected)
    busy = (time.process_time() - time.thread_time() - worked) / (time.perf_counter() - first)
    kept = sorted(times)[: calls - calls // 10]
    return sum(kept) / len(kept), busy


def uneven(parallel, variant, spins):
    tasks, longest, total = 5_000, 1_000, 240_000
    lengths = [1 / (1 - (i + 0.5) / tasks * (1 - 1 / longest)) for i in range(tasks)]
    work = [int(length / sum(lengths) * total * spins) for length in lengths]
    if variant == "longest_first":
        work.reverse()
    if variant == "random":
        random.Random(1).shuffle(work)
    return time_of(lambda: parallel(delayed(spin)(rounds) for rounds in work), work)


def nested(parallel, workers, spins):
    def inner(i):
        return Parallel(n_jobs=workers, backend="threading")(delayed(spin)(spins, 1_000 * i + k) for k in range(1_000))

    expected = [[spins + 1_000 * i + k for k in range(1_000)] for i in range(8)]
    return time_of(lambda: parallel(delayed(inner)(i) for i in range(8)), expected)


def answer(question, workers, spins):
    """Seconds, and how many workers were busy in the pauses (or -1)."""
    name, _, variant = question.partition("/")
    if name == "memory_bound":
        raise LeftOut("a task for each of 67 million elements takes an hour")
    if name == "io_bound":
        workers = 64
    with Parallel(n_jobs=workers, backend="threading") as parallel:
        if name == "task_overhead":
            return task_overhead(parallel, variant, spins), -1
        if name == "call_latency":
            return call_latency(parallel, variant)
        if name == "uneven":
            return uneven(parallel, variant, spins), -1
        if name == "nested":
            return nested(parallel, workers, spins), -1
        if name == "io_bound":
            return time_of(lambda: parallel(delayed(wait)(i) for i in range(2_000)), list(range(2_000))), -1
    raise SystemExit(f"no such question: {question}")


if __name__ == "__main__":
    try:
        seconds, busy_workers = answer(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]))
        print(f"{seconds * 1e9:.1f} {busy_workers:.4f}")
    except LeftOut as reason:
        print(f"left out: {reason}")
