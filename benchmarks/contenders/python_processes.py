#!/usr/bin/python3
"""Python's worker processes. Copied once for each pool, and is the one whose name it has: joblib_loky, joblib_multiprocessing,
process_pool_executor, multiprocessing_pool.

Each is called as its user would call it. What takes them minutes they do with fewer tasks: the answer is still per task.
"""
import concurrent.futures
import multiprocessing
import os
import sys

from python_measure import MIB, LeftOut, identity, time_of


def trivial(i):
    return i * i + 1


def name(i):
    return f"task {i}"


def large(i):
    return (i + 1).to_bytes(8, "little") * (MIB // 8)


class Joblib:
    def __init__(self, workers, backend):
        import joblib

        self.delayed, self.backend = joblib.delayed, backend
        self.parallel = joblib.Parallel(n_jobs=workers, backend=backend)

    def __enter__(self):
        self.parallel.__enter__()
        return self

    def __exit__(self, *error):
        self.parallel.__exit__(*error)
        if self.backend == "loky":  # else its workers would live on
            from joblib.externals.loky import get_reusable_executor

            get_reusable_executor().shutdown(wait=True)

    def map(self, function, tasks):
        return self.parallel(self.delayed(function)(i) for i in range(tasks))


class Executor:
    def __init__(self, workers):
        self.pool = concurrent.futures.ProcessPoolExecutor(workers)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.pool.shutdown()

    def map(self, function, tasks):
        return list(self.pool.map(function, range(tasks)))


class Pool:
    def __init__(self, workers):
        self.pool = multiprocessing.Pool(workers)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.pool.close()
        self.pool.join()

    def map(self, function, tasks):
        return self.pool.map(function, range(tasks))


# How it is made, the most tasks it is given, and why it does not survive the loss of a worker.
POOLS = {
    "joblib_loky": (lambda workers: Joblib(workers, "loky"), 100_000, "its pool is broken then"),
    "joblib_multiprocessing": (lambda workers: Joblib(workers, "multiprocessing"), 100_000, "its call never ends then"),
    "process_pool_executor": (Executor, 10_000, "its pool is broken then"),
    "multiprocessing_pool": (Pool, 1_000_000, "its call never ends then"),
}


def answer(question, workers, pool, most_tasks, after_kill):
    """Seconds."""
    workers = max(workers, 2)

    def started(function, tasks, number_of_workers):
        with pool(number_of_workers) as ready:
            return ready.map(function, tasks)

    if question == "process_startup":
        return time_of(lambda: started(trivial, 2, 2), lambda results: results == [1, 2])
    if question == "result_transport/8_bytes":
        return time_of(lambda: started(identity, most_tasks, workers), lambda results: results == list(range(most_tasks))) / most_tasks
    if question == "result_transport/strings":
        expected = [name(i) for i in range(most_tasks)]
        return time_of(lambda: started(name, most_tasks, workers), lambda results: results == expected) / most_tasks
    if question == "result_transport/1_MiB":
        return time_of(lambda: started(large, 1_000, workers), lambda results: len(results) == 1_000 and all(r == large(i) for i, r in enumerate(results)))
    if question == "process_latency/2":
        with pool(2) as ready:
            return time_of(lambda: ready.map(trivial, 2), lambda results: results == [1, 2])
    if question == "process_latency/million":
        expected = [trivial(i) for i in range(most_tasks)]
        with pool(workers) as ready:
            return time_of(lambda: ready.map(trivial, most_tasks), lambda results: results == expected) / most_tasks
    if question == "process_latency/after_kill":
        raise LeftOut(after_kill)
    raise SystemExit(f"no such question: {question}")


if __name__ == "__main__":
    try:
        print(f"{answer(sys.argv[1], int(sys.argv[2]), *POOLS[os.path.basename(sys.argv[0])]) * 1e9:.1f} -1")
    except LeftOut as reason:
        print(f"left out: {reason}")
