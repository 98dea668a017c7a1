"""What a run shows while it runs: stages and running jobs on a terminal, elsewhere a line per job.

It takes the place of Snakemake's own record of every job, a page each. All other messages of
Snakemake stay as they are. Its log file under `.snakemake/log` has everything.
"""

import logging
import os
import re
import sys
import time
from collections import Counter, deque
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

if TYPE_CHECKING:
    from rich.console import Group

# Set for jobs whose terminal shows their progress already, so that they write to their logs alone.
WATCHED = "LGD_WATCHED"
# Snakemake's name of the handler that writes to the terminal.
PLAIN = "DefaultStreamHandler"
# Of a log's end, what is read for its last line.
TAIL_BYTES = 4096
STAGES_SHOWN = 12
# Where rules record how long their jobs took, and how many of a rule's are read for the mean.
BENCHMARKS = Path("results/benchmarks")
BENCHMARKS_READ = 100
# What a progress bar draws in a log's line; the terminal has room for its numbers alone.
DRAWN = re.compile(r" *(\d+%)\|[# 0-9]*\|")
# How lines of a log begin that say why a job failed, those of a traceback; what is said without.
REASONS = ("error: ", "stopped by ")
TRACEBACK = ("Traceback ", "    raise ", "  File ")
NO_REASON = (
    "its log breaks off, as when a job is killed or memory runs out: the same command goes on from "
    "what was saved, if need be with fewer jobs at once"
)


@dataclass
class Job:
    """A job that runs: its rule, its wildcards in words, its log, and when it began.

    ``log_changed`` is when the log had been changed by then, 0 if there was none.
    """

    rule: str
    words: str
    log: Path | None
    began: float
    log_changed: float = 0.0

    @property
    def title(self) -> str:
        """The rule and its wildcards."""
        return f"{self.rule} {self.words}".strip()

    def reason(self) -> str:
        """Return why the job failed by its log; nothing if the log is an earlier job's."""
        return last_line(self.log, REASONS) if self._wrote() else ""

    def broke_off(self) -> bool:
        """Whether the job has written to its log, but not why it failed, as when it is killed."""
        return self._wrote() and not last_line(self.log, REASONS + TRACEBACK)

    def _wrote(self) -> bool:
        return _changed(self.log) != self.log_changed


@dataclass
class Progress:
    """How far a run is: jobs by rule, in the order of the rules, and which of them run.

    ``planned`` are the jobs of every rule, ``earlier`` the mean seconds of those of earlier runs;
    ``clock`` returns seconds.
    """

    planned: dict[str, int]
    clock: Callable[[], float] = time.monotonic
    earlier: Mapping[str, float] = field(default_factory=dict[str, float])
    done: Counter[str] = field(default_factory=Counter[str])
    running: dict[int, Job] = field(default_factory=dict[int, Job])
    seconds: dict[str, float] = field(default_factory=dict[str, float])

    def __post_init__(self) -> None:
        self.began = self.clock()

    @property
    def total(self) -> int:
        """All jobs of the run."""
        return sum(self.planned.values())

    def start(self, number: int, rule: str, wildcards: Mapping[str, Any], logs: list[str]) -> None:
        """Note that a job has begun; one that is tried again begins anew."""
        said = {name: str(value) for name, value in wildcards.items() if str(value)}
        words = " ".join(f"{n}={v}" if v.isdecimal() else v for n, v in said.items())
        log = Path(logs[0]) if logs else None
        self.running[number] = Job(rule, words, log, self.clock(), _changed(log))

    def end(self, number: int, finished: bool) -> tuple[Job, float] | None:
        """Note that a job has ended; return it and its seconds, None for an unknown one."""
        job = self.running.pop(number, None)
        if job is None:
            return None
        took = self.clock() - job.began
        if finished:
            self.done[job.rule] += 1
            self.seconds[job.rule] = self.seconds.get(job.rule, 0.0) + took
        return job, took

    def mean(self, rule: str) -> float | None:
        """Return the mean seconds of a rule's jobs, else those of earlier runs; None if unknown."""
        done = self.done[rule]
        return self.seconds[rule] / done if done else self.earlier.get(rule)

    def left(self) -> tuple[float, bool]:
        """Return the seconds that are left, and whether those are of all rules.

        A rule of which no job has finished yet, now or earlier, counts nothing. Jobs are taken to
        run as many at a time as now.
        """
        means = {rule: self.mean(rule) for rule in self.planned if self._unfinished(rule)}
        work = sum(self._unfinished(rule) * (mean or 0.0) for rule, mean in means.items())
        for job in self.running.values():
            work -= min(self.clock() - job.began, means.get(job.rule) or 0.0)
        return max(work, 0.0) / max(1, len(self.running)), None not in means.values()

    def _unfinished(self, rule: str) -> int:
        """Return how many jobs of a rule have not finished."""
        return max(0, self.planned[rule] - self.done[rule])


def earlier_seconds(rules: Iterable[str], folder: Path) -> dict[str, float]:
    """Return the mean seconds of each rule's jobs by their benchmarks, ``folder/rule/*.tsv``.

    Rules without benchmarks, or with some that cannot be read, are left out: it is an estimate.
    """
    means = dict[str, float]()
    for rule in rules:
        files = sorted((folder / rule).glob("*.tsv"))[:BENCHMARKS_READ]
        try:
            seconds = [float(path.read_text().splitlines()[1].split("\t")[0]) for path in files]
        except (OSError, ValueError, IndexError):
            continue
        if seconds:
            means[rule] = sum(seconds) / len(seconds)
    return means


def words_of(seconds: float) -> str:
    """Return a duration as it is read: 42 s, 3 min 20 s, 2 h 5 min."""
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60} s"
    return f"{whole // 3600} h {whole % 3600 // 60} min"


def _changed(log: Path | None) -> float:
    try:
        return 0.0 if log is None else log.stat().st_mtime
    except OSError:
        return 0.0


def last_line(log: Path | None, start: str | tuple[str, ...] = "") -> str:
    """Return the last line of a log that begins with ``start``; nothing without a log."""
    try:
        if log is None:
            return ""
        with open(log, "rb") as stream:
            stream.seek(max(0, os.fstat(stream.fileno()).st_size - TAIL_BYTES))
            text = stream.read().decode(errors="replace")
    except OSError:
        return ""
    lines = [line for line in text.replace("\r", "\n").splitlines() if line.startswith(start)]
    return lines[-1].strip() if lines else ""


class Watch(logging.Handler):
    """Shows a run in place of Snakemake's handler ``plain``, which formats all other messages.

    ``apart``: jobs do not write to this terminal, so that it is told of what is in their logs.
    """

    def __init__(
        self, plain: "logging.StreamHandler[Any]", progress: Progress, apart: bool = False
    ) -> None:
        super().__init__()
        self.apart = apart
        self.plain, self.progress = plain, progress
        self.filters = list(plain.filters)
        self.actions: dict[str, Callable[[Any], None]] = {
            "job_info": self._started,
            "job_finished": self._finished,
            "job_error": self._failed,
        }

    def emit(self, record: logging.LogRecord) -> None:
        event = str(getattr(record, "event", None) or "")
        if event in self.actions:
            self.actions[event](record)
        elif event not in ("job_started", "progress") and not self._is_noise(record):
            self.say(self.plain.format(record))

    def say(self, text: str) -> None:
        """Write a message."""
        if text and text != "None":
            self.plain.stream.write(text + "\n")
            self.plain.flush()

    def _is_noise(self, record: logging.LogRecord) -> bool:
        return record.getMessage().startswith("Select jobs to execute")

    def _started(self, record: Any) -> None:
        wildcards: dict[str, Any] = record.wildcards or {}
        logs: list[str] = record.log or []
        self.progress.start(record.jobid, record.rule_name, wildcards, logs)

    def _finished(self, record: Any) -> None:
        ended = self.progress.end(record.job_id, finished=True)
        if ended is None:
            return
        job, took = ended
        if self.apart:
            for line in notes_of(job.log):
                self.say(line)
        place = f"[{self.progress.done.total()}/{self.progress.total}]"
        self.tell(f"{time.strftime('%H:%M:%S')} {place} {job.title}, {words_of(took)}")

    def _failed(self, record: Any) -> None:
        ended = self.progress.end(record.jobid, finished=False)
        self.say(self.plain.format(record))
        if ended is None:
            return
        job, _ = ended
        if self.apart:
            self.say(job.reason())
        if job.broke_off():
            self.say(f"{job.title}: {NO_REASON}")

    def tell(self, line: str) -> None:
        """Write the line of a finished job."""
        self.say(line)


def notes_of(log: Path | None) -> Iterable[str]:
    """Return the notes in a job's log, each a line."""
    if log is None or not log.is_file():
        return []
    lines = log.read_text(errors="replace").splitlines()
    return [line[9:] for line in lines if line[9:].startswith("note: ")]


class LiveWatch(Watch):
    """Shows stages, running jobs and the time left at the foot of a terminal."""

    def __init__(self, plain: "logging.StreamHandler[Any]", progress: Progress) -> None:
        from rich.console import Console
        from rich.live import Live

        super().__init__(plain, progress, apart=True)
        self.finished: deque[str] = deque(maxlen=3)
        self.live: Live = Live(
            get_renderable=self.picture,
            console=Console(file=plain.stream, force_terminal=True),
            refresh_per_second=2,
            transient=True,
        )
        self.live.start()

    def say(self, text: str) -> None:
        """Write a message above the picture."""
        from rich.text import Text

        if text and text != "None":
            self.live.console.print(Text(text), soft_wrap=True)

    def tell(self, line: str) -> None:
        """Keep the line of a finished job for the picture, which shows the last ones."""
        self.finished.append(line)

    def close(self) -> None:
        """Take the picture away."""
        self.live.stop()
        super().close()

    def picture(self) -> "Group":
        """Return what the terminal shows: the last jobs, stages, running jobs and the time left."""
        from rich.console import Group
        from rich.progress_bar import ProgressBar
        from rich.table import Table
        from rich.text import Text

        progress = self.progress
        table = Table.grid(padding=(0, 1))
        for rule, planned in self._open()[:STAGES_SHOWN]:
            bar = ProgressBar(planned, progress.done[rule], width=20)
            table.add_row(Text(rule), bar, Text(f"{progress.done[rule]}/{planned}"))
        jobs = [Text(self._described(job), no_wrap=True) for job in progress.running.values()]
        lines = [Text(line, style="dim", no_wrap=True) for line in self.finished]
        return Group(*lines, table, *jobs, Text(self._summary(), style="bold"))

    def _open(self) -> list[tuple[str, int]]:
        """Return the rules that have jobs left, with the number of all their jobs."""
        planned, done = self.progress.planned, self.progress.done
        return [(rule, count) for rule, count in planned.items() if done[rule] < count]

    def _described(self, job: Job) -> str:
        took = words_of(self.progress.clock() - job.began)
        state = DRAWN.sub(r" \1", last_line(job.log))
        return f"> {job.title}, {took}  {state}"

    def _summary(self) -> str:
        progress, (left, whole) = self.progress, self.progress.left()
        more = f", {'about' if whole else 'more than'} {words_of(left)} left" if left else ""
        took = words_of(progress.clock() - progress.began)
        return f"{progress.done.total()} of {progress.total} jobs, {took}{more}"


def watch(rules: Iterable[str], jobs: Iterable[str], apart: bool) -> None:
    """Show the run from now on; ``rules`` are names in their order, ``jobs`` one per job.

    ``apart``: whether jobs run on other machines, where they do not write to this terminal.
    Does nothing where Snakemake shows its jobs in another way, by a logger plugin.
    """
    logger = logging.getLogger("snakemake.logging")
    handlers = [handler for handler in logger.handlers if handler.name == PLAIN]
    if not handlers:
        return
    plain = cast("logging.StreamHandler[Any]", handlers[0])
    counts = Counter(jobs)
    planned = {rule: counts[rule] for rule in rules if counts[rule]}
    progress = Progress(planned, earlier=earlier_seconds(planned, BENCHMARKS))
    terminal = plain.stream is sys.stderr and sys.stderr.isatty()
    if terminal:
        os.environ[WATCHED] = "1"
    logger.removeHandler(plain)
    logger.addHandler(LiveWatch(plain, progress) if terminal else Watch(plain, progress, apart))
