"""Processes that read damaged files, and somebody who watches them."""

import faulthandler
import os
import re
import signal
from collections import Counter, deque
from collections.abc import Callable, Sequence
from multiprocessing import get_context
from multiprocessing.connection import Connection, wait
from pathlib import Path

from damaged_files import Kind, spoil

# Of the processor: on the clock a busy machine would be measured.
SLOW_S = 10.0
# On the clock: for what waits and does not work.
STILL_S = 120.0
LARGE_MIB = 1024
# Outcomes that are as they should be.
READ, REFUSED = "read", "refused"
# Exit codes of processes that the watchdogs ended.
ENDS = {-signal.SIGPROF: f"took {SLOW_S:g} s", 1: f"stood still for {STILL_S:g} s"}
Case = tuple[int, int]  # number of the kind, number of the file


def read_damaged(
    kinds: Sequence[Kind],
    cases: int,
    seed: int,
    folder: Path,
    on_outcome: Callable[[int, str], None],
) -> None:
    """Read so many damaged files of every kind in other processes.

    A process reads one file after the other. Where it dies or is stopped by its watchdog, that is
    the outcome of the file that it read, and another process goes on behind it.

    Args:
        kinds: of files.
        cases: files of each.
        seed: decides the damage.
        folder: for the files.
        on_outcome: told the kind's number and what happened, file by file.
    """
    todo = [(k, n) for k in range(len(kinds)) for n in range(cases)]
    count = os.cpu_count() or 1
    readers = {}
    for n in range(count):
        _start(readers, kinds, deque(todo[n::count]), seed, folder)
    while readers:
        for connection in wait(list(readers)):
            process, left = readers.pop(connection)
            number, _ = left.popleft()
            try:
                on_outcome(number, connection.recv())
            except EOFError:
                process.join()
                on_outcome(number, ENDS.get(process.exitcode, f"died with {process.exitcode}"))
                _start(readers, kinds, left, seed, folder)
                continue
            if left:
                readers[connection] = process, left


def _start(
    readers: dict, kinds: Sequence[Kind], left: deque[Case], seed: int, folder: Path
) -> None:
    """Start a process for what is left, if anything is."""
    if not left:
        return
    context = get_context("spawn")
    ours, theirs = context.Pipe(duplex=False)
    arguments = (theirs, kinds, list(left), seed, folder)
    process = context.Process(target=_read_all, args=arguments, daemon=True)
    process.start()
    theirs.close()
    readers[ours] = process, left


def _read_all(
    connection: Connection, kinds: Sequence[Kind], cases: Sequence[Case], seed: int, folder: Path
) -> None:
    os.dup2(os.open(os.devnull, os.O_WRONLY), 2)  # what codecs print
    known = set()
    for number, n in cases:
        kind = kinds[number]
        if number not in known:
            kind.read(kind.intact)  # loads what it needs, before the clock runs
            known.add(number)
        connection.send(try_file(kind, spoil(kind, (seed, number, n)), folder))
    connection.close()


def try_file(kind: Kind, content: bytes, folder: Path) -> str:
    """Read one file; return what happened in a word. Ends the process where it takes too long."""
    path = folder / f"case{os.getpid()}{kind.intact.suffix}"
    path.write_bytes(content)
    _forget_peak()
    # Both end the process from outside Python, which a codec may never return to.
    signal.setitimer(signal.ITIMER_PROF, SLOW_S)
    faulthandler.dump_traceback_later(STILL_S, exit=True, file=2)
    outcome = outcome_of(kind, path)
    signal.setitimer(signal.ITIMER_PROF, 0)
    faulthandler.cancel_dump_traceback_later()
    return outcome[:200] if _peak_mib() <= LARGE_MIB else "large"


def outcome_of(kind: Kind, path: Path) -> str:
    """Read a file of a kind; return READ, REFUSED, or what it was instead."""
    try:
        kind.read(path)
    except kind.refusals as error:
        return REFUSED if path.name in str(error) else f"refused without its name: {error}"
    except Exception as error:
        return f"{type(error).__name__}: {error}"
    return READ


def _forget_peak() -> None:
    counters = Path("/proc/self/clear_refs")
    if counters.exists():
        counters.write_text("5")


def _peak_mib() -> float:
    """Peak of this process's memory since it was forgotten; 0 where the system does not say."""
    status = Path("/proc/self/status")
    found = re.search(r"VmHWM:\s+(\d+)", status.read_text()) if status.exists() else None
    return int(found[1]) / 1024 if found else 0.0


def table_row(kind: Kind, outcomes: Counter[str]) -> str:
    """Format what happened to the files of a kind."""
    rest = Counter(outcomes)
    read, refused = rest.pop(READ, 0), rest.pop(REFUSED, 0)
    other = "; ".join(f"{count} {what}" for what, count in rest.most_common(5)) or "0"
    return f"| {kind.name} | {outcomes.total()} | {read} | {refused} | {other} |"
