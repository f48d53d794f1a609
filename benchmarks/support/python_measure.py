"""What support/measure.hpp and questions/cluster.hpp are to the others, for contenders in Python."""
import time

ENOUGH = 0.05  # seconds
MIB = 2**20
LARGE_RESULTS = 300


class LeftOut(Exception):
    """A question that does not suit the contender: its text is shown beside the table."""


def check(right):
    if not right:
        raise AssertionError("wrong answer")


def time_of(run, is_right, warm_up=1):
    """Seconds that `run` takes, warmed up by so many runs. `is_right` is asked about the result of each, outside the time."""
    for _ in range(warm_up):
        check(is_right(run()))
    total, runs = 0.0, 0
    while total < ENOUGH:
        begin = time.perf_counter()
        result = run()
        total += time.perf_counter() - begin
        runs += 1
        check(is_right(result))
    return total / runs


def identity(i):
    return i


def large(i):
    return bytes([i % 100]) * MIB


def is_large(result, i):
    return len(result) == MIB and result[0] == i % 100 and result[-1] == i % 100


def are_large(results):
    return len(results) == LARGE_RESULTS and all(is_large(result, i) for i, result in enumerate(results))
