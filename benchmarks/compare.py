#!/usr/bin/python3
"""Runs the contenders in turn, A B C A B C, and prints medians and ratios.

    compare.py [--build DIR] [--rounds N] [--workers N | --scaling N,N,...] [--contenders NAME,...] [--write FILE] [QUESTION...]

A QUESTION is a name as `--list` shows it or part of one, and so is a contender's NAME: `compare.py --rounds 3 --contenders manyhands,onetbb uneven`. Without a
question all are asked. Each answer is that of a process of its own, checked by it. Needs nothing but Python and what CMakeLists.txt has built.
"""
import argparse
import ctypes
import dataclasses
import datetime
import functools
import json
import os
import pathlib
import platform
import re
import resource
import shlex
import statistics
import subprocess
import sys
import tempfile
import time

HERE = pathlib.Path(__file__).resolve().parent
UNITS = {"ns": 1, "µs": 1e3, "ms": 1e6, "s": 1e9}
OURS = "manyhands"
PROCESSES_OURS, LOKY_OURS = "manyhands processes", "manyhands loky"
MPI_OURS, MPI4PY, DASK = "manyhands mpi", "mpi4py.futures", "joblib dask"
CALL, GENERATOR, UNORDERED = "manyhands call", "manyhands generator", "manyhands generator_unordered"
OBSERVED, CHECKPOINT = "manyhands observed", "manyhands checkpoint"
RAW, RAW_WARM = "by hand, forked for the call", "by hand, warm"
FORK, FORK_AND_END = "(a fork)", "(a fork, its end and its collection)"
ROUND_TRIP, ROUND_TRIP_ANYWHERE = "(a futex round trip between processors)", "(a futex round trip, placed by the system)"
SPINS = 0.5  # of a pause of 5 ms, for each worker beside the caller: who is busy for longer, without work, spins
DISTURBED = 0.1  # of all processors' time, taken by other programs: an answer given beside them is asked for again


@dataclasses.dataclass
class Bar:
    """The most times of what `beside` takes that `ours` may take."""

    ours: str
    beside: str
    ratio: float | None  # None: shown, and no bar


@dataclasses.dataclass
class Question:
    name: str
    text: str
    unit: str
    bar: float | None  # the ratio to the best contender that manyhands is to keep to
    pauses: bool = False  # between the calls: then only contenders that do not spin in them count for the bar
    times_joblib: float = 0  # how many times joblib's rate it is to reach
    bars: list[Bar] = dataclasses.field(default_factory=list)  # not empty: a question for `OTHERS`, each beside another


@dataclasses.dataclass
class Contender:
    program: str
    label: str
    environment: dict = dataclasses.field(default_factory=dict)
    slow: bool = False  # takes part in every third round
    peer: bool = True  # counts as the best
    only: str = ""  # part of the names of the questions that it answers
    spins: bool = False  # while there is nothing to do; measured


QUESTIONS = [
    Question("task_overhead/empty", "1,000,000 empty tasks, results in a vector; a task", "ns", 1.10, times_joblib=1000),
    Question("task_overhead/1us", "200,000 tasks of 1 µs; a task", "ns", 1.05),
    Question("task_overhead/100us", "5,000 tasks of 100 µs; a task", "µs", 1.05),
    Question("call_latency/2", "a call of 2 trivial tasks, back to back", "µs", 1.00, times_joblib=1000),
    Question("call_latency/8", "a call of 8 trivial tasks, back to back", "µs", 1.00, times_joblib=1000),
    Question("call_latency/2_after_200us", "a call of 2 trivial tasks, 200 µs apart", "µs", 0.50, pauses=True),
    Question("call_latency/8_after_200us", "a call of 8 trivial tasks, 200 µs apart", "µs", 0.50, pauses=True),
    Question("call_latency/2_after_5ms", "a call of 2 trivial tasks, 5 ms apart", "µs", 0.50, pauses=True),
    Question("call_latency/8_after_5ms", "a call of 8 trivial tasks, 5 ms apart", "µs", 0.50, pauses=True),
    Question("uneven/longest_first", "5,000 tasks of 7 µs to 7 ms, longest first", "ms", 1.05),
    Question("uneven/longest_last", "5,000 tasks of 7 µs to 7 ms, longest last", "ms", 1.05),
    Question("uneven/random", "5,000 tasks of 7 µs to 7 ms, in random order", "ms", 1.05),
    Question("memory_bound", "a pass over 2^26 doubles, a task each", "ms", 1.10),
    Question("nested", "8 tasks that each call 1,000 tasks of 1 µs", "ms", 1.05),
    Question("io_bound", "2,000 sleeps of 1 ms on 64 workers", "ms", 1.05),
    Question("process_startup", "2 worker processes started, 2 tasks run, and all ended", "ms", None, bars=[Bar(PROCESSES_OURS, RAW, 2)]),
    Question("result_transport/8_bytes", "1,000,000 results of 8 bytes, forks included; a task", "ns", None,
             bars=[Bar(PROCESSES_OURS, RAW, 3), Bar(PROCESSES_OURS, "multiprocessing.Pool", 1 / 3)]),
    Question("result_transport/strings", "1,000,000 short strings; a task", "ns", None, bars=[Bar(PROCESSES_OURS, RAW, 3)]),
    Question("result_transport/1_MiB", "1,000 results of 1 MiB, as vectors", "ms", None,
             bars=[Bar(PROCESSES_OURS, RAW, 1.15), Bar(PROCESSES_OURS, "manyhands threads", 1.3)]),
    Question("process_latency/2", "a call of 2 trivial tasks on warm processes", "µs", None,
             bars=[Bar(LOKY_OURS, ROUND_TRIP, 1.5), Bar(LOKY_OURS, ROUND_TRIP_ANYWHERE, None), Bar(LOKY_OURS, RAW_WARM, None)]),
    Question("process_latency/million", "1,000,000 trivial tasks on warm processes; a task", "ns", None, bars=[Bar(LOKY_OURS, RAW_WARM, 2)]),
    Question("process_latency/after_kill", "from a worker's SIGKILL until a task runs in its replacement", "ms", None,
             bars=[Bar(PROCESSES_OURS, FORK, 3), Bar(LOKY_OURS, FORK, 3), Bar(PROCESSES_OURS, FORK_AND_END, None), Bar(LOKY_OURS, FORK_AND_END, None)]),
    Question("watching/stream", "1,000,000 empty tasks, results one by one; a task", "ns", None, bars=[Bar(GENERATOR, CALL, 3), Bar(UNORDERED, CALL, None)]),
    Question("watching/tasks", "100,000 tasks of 10 µs, an observer that does nothing; a task", "µs", None, bars=[Bar(OBSERVED, CALL, 1.10)]),
    Question("watching/journal", "1,000,000 empty tasks, results kept in a checkpoint; a task", "ns", None, bars=[Bar(CHECKPOINT, CALL, None)]),
    Question("cluster/batch_1", "trivial tasks on 2 ranks, one at a time; a task", "µs", None, bars=[Bar(MPI_OURS, MPI4PY, 1 / 10)]),
    Question("cluster/batch_256", "trivial tasks on 2 ranks, 256 at a time; a task", "ns", None, bars=[Bar(MPI_OURS, MPI4PY, 1 / 3)]),
    Question("cluster/batch_auto", "trivial tasks on 2 ranks, as many at a time as the library likes; a task", "ns", None, bars=[Bar(MPI_OURS, DASK, 1 / 50)]),
    Question("cluster/one_task", "a call of one task on 2 ranks", "µs", None, bars=[Bar(MPI_OURS, MPI4PY, 1 / 3)]),
    Question("cluster/1_MiB_kept", "300 results of 1 MiB from 2 ranks, all kept", "ms", None, bars=[Bar(MPI_OURS, MPI4PY, 1), Bar(MPI_OURS, DASK, 1 / 3)]),
    Question("cluster/1_MiB_streamed", "300 results of 1 MiB from 2 ranks, one by one", "ms", None, bars=[Bar(MPI_OURS, MPI4PY, 1 / 2)]),
    Question("hosts/batch_1", "trivial tasks on 2 ranks on other hosts, one at a time; a task", "µs", None, bars=[Bar(MPI_OURS, MPI4PY, 1 / 5)]),
    Question("hosts/batch_256", "trivial tasks on 2 ranks on other hosts, 256 at a time; a task", "ns", None, bars=[Bar(MPI_OURS, MPI4PY, 1 / 2)]),
    Question("hosts/1_MiB_streamed", "300 results of 1 MiB from 2 ranks on other hosts, one by one", "ms", None, bars=[Bar(MPI_OURS, MPI4PY, 1)]),
    Question("compile_time/include", "compiling an empty program with the library's header", "s", 1.00),
    Question("compile_time/one_call", "compiling a program with one call", "s", None),
]

PASSIVE = {"OMP_WAIT_POLICY": "passive"}
CONTENDERS = [
    Contender("manyhands", OURS),
    Contender("openmp_dynamic_gcc", "OpenMP dynamic, gcc"),
    Contender("openmp_guided_gcc", "OpenMP guided, gcc"),
    Contender("openmp_static_gcc", "OpenMP static, gcc"),
    Contender("openmp_taskloop_gcc", "OpenMP taskloop, gcc"),
    Contender("openmp_dynamic_gcc", "OpenMP dynamic, gcc, passive", PASSIVE, only="after"),
    Contender("openmp_static_gcc", "OpenMP static, gcc, passive", PASSIVE, only="after"),
    Contender("openmp_dynamic_clang", "OpenMP dynamic, clang"),
    Contender("openmp_guided_clang", "OpenMP guided, clang"),
    Contender("openmp_static_clang", "OpenMP static, clang"),
    Contender("openmp_taskloop_clang", "OpenMP taskloop, clang"),
    Contender("openmp_dynamic_clang", "OpenMP dynamic, clang, passive", PASSIVE, only="after"),
    Contender("openmp_static_clang", "OpenMP static, clang, passive", PASSIVE, only="after"),
    Contender("onetbb_auto", "oneTBB auto"),
    Contender("onetbb_static", "oneTBB static"),
    Contender("onetbb_simple", "oneTBB simple"),
    Contender("std_execution", "std::execution::par"),
    Contender("asio_post", "asio::post per task"),
    Contender("std_async", "std::async per task", slow=True),
    Contender("joblib_threading", "joblib threading", slow=True),
    Contender("plain_loop", "(plain loop, one thread)", peer=False),
]
OTHERS = [  # beside each other only: what a plain call on threads takes is another question
    Contender("manyhands_call", CALL, only="watching/"),
    Contender("manyhands_generator", GENERATOR, only="watching/stream"),
    Contender("manyhands_generator_unordered", UNORDERED, only="watching/stream"),
    Contender("manyhands_observed", OBSERVED, only="watching/tasks"),
    Contender("manyhands_checkpoint", CHECKPOINT, only="watching/journal"),
    Contender("manyhands_mpi", MPI_OURS, only="cluster/"),
    Contender("mpi4py_futures", MPI4PY, only="cluster/"),
    Contender("joblib_dask", DASK, slow=True, only="cluster/"),
    Contender("manyhands_mpi_hosts", MPI_OURS, only="hosts/"),
    Contender("mpi4py_futures_hosts", MPI4PY, only="hosts/"),
    Contender("manyhands_processes", PROCESSES_OURS),
    Contender("manyhands_loky", LOKY_OURS),
    Contender("manyhands_threads", "manyhands threads", only="1_MiB"),
    Contender("raw_forked", RAW),
    Contender("raw_warm", RAW_WARM, only="process_latency"),
    Contender("system_alone", ROUND_TRIP, peer=False, only="process_latency/2"),
    Contender("system_alone", ROUND_TRIP_ANYWHERE, {"ROUND_TRIP_ANYWHERE": "1"}, peer=False, only="process_latency/2"),
    Contender("system_alone", FORK, peer=False, only="after_kill"),
    Contender("system_alone", FORK_AND_END, {"FORK_AND_END": "1"}, peer=False, only="after_kill"),
    Contender("joblib_loky", "joblib loky", slow=True),
    Contender("joblib_multiprocessing", "joblib multiprocessing", slow=True),
    Contender("process_pool_executor", "ProcessPoolExecutor", slow=True),
    Contender("multiprocessing_pool", "multiprocessing.Pool", slow=True),
]
COMPILED = [  # compile_time/*/PROGRAM.cpp
    Contender("manyhands", OURS),
    Contender("onetbb", "oneTBB, <tbb/tbb.h>"),
    Contender("std_execution", "(<execution>)", peer=False),
    Contender("asio", "(<boost/asio.hpp>)", peer=False),
    Contender("nothing", "(nothing included)", peer=False),
    Contender("its_standard_headers", "(the standard's headers that manyhands includes)", peer=False, only="/include"),
    Contender("its_foreign_headers", "(those, and Asio's)", peer=False, only="/include"),
]
# Taskflow is not in Debian. Its figures, and that of <tbb/tbb.h> beside which they were taken, in seconds on another day: g++ 12 -O2.
TASKFLOW = {"compile_time/include": 2.11, "compile_time/one_call": 5.1}
TBB_BESIDE_TASKFLOW = 1.84
SCALING = "## Scaling"  # the last part of a file of results, which lives on when the rest is written anew


class Failure(Exception):
    pass


class Answers:
    """What one contender has answered to one question so far, in nanoseconds."""

    def __init__(self, contender):
        self.contender = contender
        self.times = []
        self.busy = []  # of each worker beside the caller, between the calls: a share of the time
        self.disturbed = []  # by other programs: a share of all processors' time
        self.left_out = ""
        self.quoted = False

    @property
    def median(self):
        return statistics.median(self.times)


# --- asking


def clean_environment(extra):
    """Without what would steer a runtime from outside, so that each is asked as it is."""
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("OMP_", "GOMP_", "KMP_", "LIBOMP_", "TBB_", "MANYHANDS_", "JOBLIB_", "LOKY_"))}
    return {**kept, **extra}


class Processors:
    """What other programs, and other guests of the machine, take of them from now on."""

    def __init__(self):
        self.begin = self.read()

    @staticmethod
    def read():
        with open("/proc/stat", encoding="utf-8") as stat:
            user, nice, system, idle, iowait, irq, softirq, steal, *_ = map(int, stat.readline().split()[1:])
        own = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
        ticks = os.sysconf("SC_CLK_TCK")
        taken = (user + nice + system + irq + softirq + steal) / ticks
        return taken + (idle + iowait) / ticks, taken - sum(usage.ru_utime + usage.ru_stime for usage in own)

    def others(self):
        total, others = (now - then for now, then in zip(self.read(), self.begin))
        return min(max(others / total, 0), 1) if total > 0 else 0


def ask(contender, question, options, spins_per_microsecond):
    """One answer: what it printed, and how much it was disturbed."""
    processors = Processors()
    run = subprocess.run([options.build / contender.program, question.name, str(options.workers), str(spins_per_microsecond)],
                         env=clean_environment(contender.environment), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, timeout=300, check=False)
    if run.returncode != 0:
        raise Failure(f"{contender.label}: {question.name}: ended with {run.returncode}: {run.stderr.strip()}")
    return run.stdout.strip(), processors.others()


def parsed(printed, options):
    """Nanoseconds, and the share of the pauses in which each worker was busy, or None."""
    nanoseconds, busy_workers = map(float, printed.split())
    return nanoseconds, busy_workers / (options.workers - 1) if busy_workers >= 0 and options.workers > 1 else None


def find_who_spins(contenders, options, spins_per_microsecond):
    question = next(q for q in QUESTIONS if q.name == "call_latency/8_after_5ms")
    for contender in contenders:
        _, busy = parsed(ask(contender, question, options, spins_per_microsecond)[0], options)
        contender.spins = busy is not None and busy > SPINS


class Patience:
    """Asks again when other programs were at work, whatever the answer was, and takes the one that was disturbed least.

    Up to twice, and not on a machine where quiet never comes: there each answer would only take three times as long.
    """

    def __init__(self):
        self.left = 30

    def ask(self, answers, question, options, spins_per_microsecond):
        contender = answers.contender
        tries = [ask(contender, question, options, spins_per_microsecond)]
        while tries[-1][1] > DISTURBED and len(tries) < 3 and self.left > 0:
            self.left -= 1
            tries.append(ask(contender, question, options, spins_per_microsecond))
        if tries[-1][1] <= DISTURBED:
            self.left += 1
        printed, disturbed = min(tries, key=lambda one: one[1])
        if printed.startswith("left out: "):
            answers.left_out = printed[len("left out: "):]
            return
        nanoseconds, busy = parsed(printed, options)
        answers.times.append(nanoseconds)
        answers.disturbed.append(disturbed)
        if busy is not None:
            answers.busy.append(busy)


@functools.cache
def foreign_headers(compiler, include):
    """What our headers include that is not ours, as the compiler finds it."""
    run = subprocess.run([compiler, "-std=c++20", "-I", include, "-fsyntax-only", "-H", "-x", "c++", "-"], input="#include <manyhands.hpp>\n",
                         stderr=subprocess.PIPE, text=True, check=True)
    found, chain = [], []
    for dots, path in re.findall(r"^(\.+) (.+)$", run.stderr, re.MULTILINE):
        del chain[len(dots) - 1:]
        if not path.startswith(include) and all(outer.startswith(include) for outer in chain):
            found.append(path)
        chain.append(path)
    return found


def source_of(contender, question, versions, folder):
    """Where the program is, written now if it is but what manyhands includes today."""
    if not contender.program.startswith("its_"):
        return HERE / question.name / f"{contender.program}.cpp"
    kept = [path for path in foreign_headers(versions["compiler"], versions["include"]) if contender.program == "its_foreign_headers" or "/boost/" not in path]
    written = pathlib.Path(folder) / f"{contender.program}.cpp"
    written.write_text("".join(f'#include "{path}"\n' for path in kept) + "int main() {}\n", encoding="utf-8")
    return written


def compile_once(answers, question, versions):
    with tempfile.TemporaryDirectory() as folder:
        source = source_of(answers.contender, question, versions, folder)
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        subprocess.run([versions["compiler"], "-std=c++20", "-O2", "-I", versions["include"], "-c", source, "-o", f"{folder}/object.o"], check=True)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
    answers.times.append((after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime) * 1e9)


def calibrate(build):
    """How many spins take a microsecond, undisturbed."""
    work = ctypes.CDLL(str(build / "libbenchmark_work.so"))
    work.benchmark_spin.argtypes = [ctypes.c_uint64]
    spins, best = 1_000_000, float("inf")
    for _ in range(50):
        begin = time.perf_counter()
        work.benchmark_spin(spins)
        best = min(best, time.perf_counter() - begin)
    return round(spins / (best * 1e6))


def rounds_of(question, contenders, one, rounds):
    """Lets `one(answers)` answer for each contender in turn, so many times. Gives all Answers."""
    everybody = [Answers(contender) for contender in contenders]
    show = sys.stderr.isatty()
    for number in range(rounds):
        if show:
            print(f"\r\033[K{question.name}: round {number + 1} of {rounds}", end="", file=sys.stderr, flush=True)
        for answers in everybody:
            if not answers.left_out and (number % 3 == 0 or not answers.contender.slow):
                one(answers)
    if show:
        print("\r\033[K", end="", file=sys.stderr, flush=True)
    return everybody


def answers_to(question, options, versions, spins_per_microsecond, patience):
    wanted = lambda c: any(name in c.program for name in options.contenders.split(","))
    if not question.name.startswith("compile_time/"):
        apart = lambda name: name.split("/")[0] if name.startswith(("watching/", "cluster/", "hosts/")) else ""  # these have their own contenders
        suits = lambda c: c.only in question.name and apart(c.only) == apart(question.name)
        present = [c for c in (OTHERS if question.bars else CONTENDERS) if wanted(c) and suits(c) and (options.build / c.program).exists()]
        if question.pauses:
            find_who_spins(present, options, spins_per_microsecond)
        return rounds_of(question, present, lambda a: patience.ask(a, question, options, spins_per_microsecond), options.rounds)

    exists = lambda c: c.program.startswith("its_") or (HERE / question.name / f"{c.program}.cpp").exists()
    present = [c for c in COMPILED if wanted(c) and c.only in question.name and exists(c) and (c.program not in ("onetbb", "std_execution") or "oneTBB" in versions)]
    everybody = rounds_of(question, present, lambda a: compile_once(a, question, versions), options.rounds)
    for tbb in [a for a in everybody if a.contender.program == "onetbb"]:
        scale = tbb_include_time(options, versions, question, tbb) / TBB_BESIDE_TASKFLOW
        quoted = Answers(Contender("taskflow", "Taskflow (a figure from elsewhere, scaled)"))
        quoted.times, quoted.quoted = [TASKFLOW[question.name] * scale * 1e9], True
        everybody.append(quoted)
    return everybody


def tbb_include_time(options, versions, question, measured):
    """Seconds that <tbb/tbb.h> takes here, for the scale of what was measured beside it elsewhere."""
    if question.name == "compile_time/include":
        return measured.median / 1e9
    alone = Answers(measured.contender)
    for _ in range(min(options.rounds, 3)):
        compile_once(alone, next(q for q in QUESTIONS if q.name == "compile_time/include"), versions)
    return alone.median / 1e9


# --- telling


def number(nanoseconds, unit):
    value = nanoseconds / UNITS[unit]
    return f"{value:,.0f}" if value >= 1000 else f"{value:.1f}" if value >= 100 else f"{value:#.3g}"


def table(header, rows):
    """Markdown that is a table to the eye, too."""
    cells = [header, *rows]
    widths = [max(len(row[i]) for row in cells) for i in range(len(header))]
    line = lambda row: "| " + " | ".join(cell.ljust(width) for cell, width in zip(row, widths)) + " |"
    return [line(header), "|" + "|".join("-" * (width + 2) for width in widths) + "|", *map(line, rows)]


def peers(everybody):
    return [a for a in everybody if a.times and a.contender.peer and not a.contender.label.startswith(OURS)]


def of(everybody, label):
    return next((a for a in everybody if a.times and a.contender.label == label), None)


def question_table(question, everybody):
    others = peers(everybody)
    best = min((a.median for a in others), default=None)
    header = ["", f"median, {question.unit}", "least to most", "to the best"] + (["workers busy between calls"] if question.pauses else [])
    rows = []
    for a in sorted((a for a in everybody if a.times), key=lambda a: a.median):
        bold = "**" if a.contender.label.startswith(OURS) else ""
        row = [bold + a.contender.label + bold, number(a.median, question.unit),
               "quoted" if a.quoted else f"{number(min(a.times), question.unit)} to {number(max(a.times), question.unit)}", f"{a.median / best:.2f}" if best else ""]
        if question.pauses:
            row.append(f"{statistics.median(a.busy):.0%}" + (", spins" if a.contender.spins else "") if a.busy else "")
        rows.append(row)
    lines = [f"### {question.name}", "", f"{question.text[0].upper()}{question.text[1:]}.", "", *table(header, rows)]
    for reason in dict.fromkeys(a.left_out for a in everybody if a.left_out):
        lines += ["", f"Left out, as {reason}: " + "; ".join(a.contender.label for a in everybody if a.left_out == reason) + "."]
    return lines


def process_row(question, everybody, bar):
    """Nothing where one of the two has not answered."""
    ours, beside = of(everybody, bar.ours), of(everybody, bar.beside)
    if not ours or not beside:
        return None
    ratio = ours.median / beside.median
    return [question.text, question.unit, bar.ours, number(ours.median, question.unit), bar.beside, number(beside.median, question.unit), f"{ratio:.2f}",
            *(("", "") if bar.ratio is None else (f"{bar.ratio:.2f}", "yes" if round(ratio, 2) <= bar.ratio else "**no**"))]


def summary(results):
    header = ["question", "unit", OURS, "best contender", "its time", "ratio", "bar", "kept"]
    rows, joblib_rows = [], []
    for question, everybody in results:
        ours = of(everybody, OURS)
        if not ours:
            continue
        for spinning_too in [False, True] if question.pauses else [True]:
            others = [a for a in peers(everybody) if spinning_too or not a.contender.spins]
            if not others:
                continue
            best = min(others, key=lambda a: a.median)
            ratio = ours.median / best.median
            counts = not (question.pauses and spinning_too) and question.bar is not None
            rows.append(["... beside those that spin, too" if question.pauses and spinning_too else question.text, question.unit, number(ours.median, question.unit), best.contender.label,
                         number(best.median, question.unit), f"{ratio:.2f}", f"{question.bar:.2f}" if counts else "",
                         ("yes" if round(ratio, 2) <= question.bar else "**no**") if counts else ""])
        if question.times_joblib and (joblib := of(everybody, "joblib threading")):
            times = joblib.median / ours.median
            joblib_rows.append([question.text, f"{times:,.0f}", f"{question.times_joblib:,.0f}", "yes" if times >= question.times_joblib else "**no**"])
    process_rows = [process_row(question, everybody, bar) for question, everybody in results for bar in question.bars]
    lines = table(header, rows) if rows else []
    if any(process_rows):
        lines += [""] * bool(lines) + [*table(["question", "unit", "contender", "its time", "beside", "its time", "ratio", "bar", "kept"], [row for row in process_rows if row])]
    if joblib_rows:
        lines += ["", *table(["question", "times joblib's rate", "bar", "kept"], joblib_rows)]
    return lines


def scaling_table(question, counts, answers):
    """`answers`: for each number of workers, everybody's. The fastest with most workers comes first."""
    medians = [{a.contender.label: a.median for a in everybody if a.times} for everybody in answers]
    rows = []
    for label in sorted(dict.fromkeys(label for column in medians for label in column), key=lambda label: [column.get(label, float("inf")) for column in reversed(medians)]):
        bold = "**" if label.startswith(OURS) else ""
        rows.append([bold + label + bold, *(number(column[label], question.unit) if label in column else "" for column in medians)])
    header = [question.unit, *(f"{count} worker{'s' * (count != 1)}" for count in counts)]
    return [f"### {question.name}, by workers", "", f"{question.text[0].upper()}{question.text[1:]}.", "", *table(header, rows)]


def kept_scaling(path):
    """That part of a file of results, if there is one."""
    before, found, part = path.read_text(encoding="utf-8").partition(f"\n{SCALING}\n") if path.exists() else ("", "", "")
    return (before, found + part) if found else (before, "")


def machine(options, versions, spins_per_microsecond, begun, results):
    processor = next((line.split(":", 1)[1].strip() for line in open("/proc/cpuinfo", encoding="utf-8") if line.startswith("model name")), platform.machine())
    memory = next((int(line.split()[1]) for line in open("/proc/meminfo", encoding="utf-8") if line.startswith("MemTotal")), 0)
    system = next((line.split("=", 1)[1].strip().strip('"') for line in open("/etc/os-release", encoding="utf-8") if line.startswith("PRETTY_NAME")), "")
    command = shlex.join(["benchmarks/compare.py", *sys.argv[1:]])
    took = datetime.datetime.now() - begun
    disturbed = [share for _, everybody in results for a in everybody for share in a.disturbed]
    quiet = (f", during which other programs took {statistics.mean(disturbed):.0%} of the processors, and more than {DISTURBED:.0%} beside "
             f"{sum(share > DISTURBED for share in disturbed) / len(disturbed):.0%} of the answers") if disturbed else ""
    hidden = ("compiler", "include", "flags")
    workers = ", ".join(map(str, options.scaling)) if options.scaling else options.workers
    return [
        f"- {processor}, {len(os.sched_getaffinity(0))} processors, {memory / 2**20:.0f} GiB; {system}, Linux {platform.release()}",
        "- " + ", ".join(f"{name} {version}" for name, version in versions.items() if name not in hidden and version) + f"; compiled with {versions['flags']}",
        f"- {workers} workers, {options.rounds} rounds; 1 µs of work is {spins_per_microsecond} steps",
        f"- {begun:%Y-%m-%d %H:%M}, {took.total_seconds() / 60:.0f} minutes" + quiet,
        f"- `{command}`",
    ]


def parse(arguments):
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("questions", nargs="*", metavar="QUESTION", help="part of a question's name")
    parser.add_argument("--build", type=pathlib.Path, default=HERE.parent / "build/bench/benchmarks", help="where the contenders were built")
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--workers", type=int, default=len(os.sched_getaffinity(0)), help="for all contenders; all processors unless given")
    parser.add_argument("--scaling", type=lambda text: [int(count) for count in text.split(",")], default=[], metavar="N,N,...",
                        help="asks with each of these numbers of workers, and writes only the part about scaling")
    parser.add_argument("--contenders", default="", help="parts of their names, with commas between")
    parser.add_argument("--write", type=pathlib.Path, help="the results as Markdown")
    parser.add_argument("--list", action="store_true", help="the names of questions and contenders")
    options = parser.parse_args(arguments)
    options.build = options.build.resolve()
    if options.rounds < 1 or min([options.workers, *options.scaling]) < 1:
        parser.error("rounds and workers are positive numbers")
    return parser, options


def scale(asked, options, versions, spins_per_microsecond, patience, begun):
    results, tables = [], []
    for question in asked:
        answers = []
        for options.workers in options.scaling:
            answers.append(answers_to(question, options, versions, spins_per_microsecond, patience))
            results.append((question, answers[-1]))
        lines = scaling_table(question, options.scaling, answers)
        print("\n".join(lines), end="\n\n", flush=True)
        tables += ["", *lines]
    lines = [SCALING, "", "The same with more and more workers, on a machine that has a processor for each.", "",
             *machine(options, versions, spins_per_microsecond, begun, results), *tables]
    if options.write:
        options.write.write_text(kept_scaling(options.write)[0] + "\n" + "\n".join(lines) + "\n", encoding="utf-8")
    return 0


def main():
    parser, options = parse(sys.argv[1:])
    names = [q.name for q in QUESTIONS]
    asked = [q for q in QUESTIONS if not options.questions or any(q.name == part if part in names else part in q.name for part in options.questions)]
    if options.list:
        print(*(q.name for q in QUESTIONS), "", *dict.fromkeys(c.program for c in CONTENDERS + OTHERS), sep="\n")
        return 0
    if not asked:
        parser.error("no such question: see --list")
    if not (options.build / "versions.json").exists():
        parser.error(f"nothing is built in {options.build}: benchmarks/run.sh builds it")

    versions = json.loads((options.build / "versions.json").read_text(encoding="utf-8"))
    for absent in dict.fromkeys(c.program for c in CONTENDERS + OTHERS if not (options.build / c.program).exists()):
        print(f"left out, not built: {absent}", file=sys.stderr)
    begun = datetime.datetime.now()
    spins_per_microsecond = calibrate(options.build)

    results, patience = [], Patience()
    if options.scaling:
        return scale(asked, options, versions, spins_per_microsecond, patience, begun)
    for question in asked:
        everybody = answers_to(question, options, versions, spins_per_microsecond, patience)
        if not any(a.times for a in everybody):
            continue
        results.append((question, everybody))
        print("\n".join(question_table(question, everybody)), end="\n\n", flush=True)

    lines = ["## Summary", "", *summary(results), "", "## Machine", "", *machine(options, versions, spins_per_microsecond, begun, results)]
    print("\n".join(lines))
    if options.write:
        text = ["# Results", "", "Written by `benchmarks/run.sh`; [README.md](README.md) says how to read it. Less is better, but for joblib's table.", "", *lines, "",
                "## Questions"]
        for question, everybody in results:
            text += ["", *question_table(question, everybody)]
        options.write.write_text("\n".join(text) + "\n" + kept_scaling(options.write)[1], encoding="utf-8")
    return 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except Failure as failure:
        sys.exit(f"\n{failure}")
