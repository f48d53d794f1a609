#!/usr/bin/python3
"""joblib on a Dask cluster of this machine, for the questions about ranks. QUESTION WORKERS SPINS_PER_MICROSECOND."""
import logging
import sys

import joblib
from distributed import Client, LocalCluster

from python_measure import LARGE_RESULTS, are_large, identity, large, time_of


def mapped(function, tasks):
    return joblib.Parallel()(joblib.delayed(function)(i) for i in range(tasks))


def batches(tasks):
    return time_of(lambda: mapped(identity, tasks), lambda results: results == list(range(tasks))) / tasks


QUESTIONS = {
    "cluster/batch_auto": lambda: batches(2_000),
    "cluster/1_MiB_kept": lambda: time_of(lambda: mapped(large, LARGE_RESULTS), are_large),
}

if __name__ == "__main__":
    if sys.argv[1] not in QUESTIONS:
        print("left out: it was not asked this")
    else:
        with LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=None, silence_logs=logging.ERROR) as cluster, Client(cluster):
            with joblib.parallel_backend("dask"):
                print(f"{QUESTIONS[sys.argv[1]]() * 1e9:.1f} -1")
