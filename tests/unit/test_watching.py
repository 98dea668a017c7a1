"""What a run shows: a line per finished job, or stages and running jobs on a terminal."""

import io
import logging
from pathlib import Path

import pytest
from rich.console import Console

from lgd_core.base import watching
from lgd_core.base.watching import LiveWatch, Progress, Watch, last_line, watch, words_of


class Clock:
    """A clock that the tests set."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def progress(clock: Clock) -> Progress:
    return Progress({"draw": 4, "learn": 2, "table": 1}, clock)


@pytest.fixture
def plain() -> logging.StreamHandler:
    handler = logging.StreamHandler(io.StringIO())
    handler.name = watching.PLAIN
    return handler


def record(text: str = "", **facts: object) -> logging.LogRecord:
    made = logging.LogRecord("snakemake", logging.INFO, "", 0, text, None, None)
    vars(made).update(facts)
    return made


def started(number: int, rule: str, log: Path | None = None, **wildcards: str) -> logging.LogRecord:
    logs = [] if log is None else [str(log)]
    facts = {"jobid": number, "rule_name": rule, "wildcards": wildcards, "log": logs}
    return record("a page", event="job_info", **facts)


def test_the_time_left_is_by_the_mean_of_each_rule(progress: Progress, clock: Clock) -> None:
    assert progress.left() == (0, False), "nothing is known"
    progress.start(1, "draw", {}, [])
    clock.now = 10
    progress.end(1, finished=True)
    assert progress.left() == (3 * 10, False), "other rules are not known yet"
    progress.start(2, "learn", {}, [])
    progress.start(3, "draw", {}, [])
    clock.now = 40
    # 3 draws of 10 s, of which one has begun and takes long; two jobs at a time.
    assert progress.left() == ((30 - 10) / 2, False)
    progress.end(2, finished=True)
    # 3 draws, of which one is due, and one learner of 30 s; the table is not known.
    assert progress.left() == (30 - 10 + 30, False)
    progress.end(3, finished=True)
    progress.start(4, "table", {}, [])
    clock.now = 42
    progress.end(4, finished=True)
    assert progress.left() == (2 * 20 + 30, True), "20 s is the mean of 10 and 30"


def test_earlier_runs_say_how_long_a_rule_takes(clock: Clock, tmp_path: Path) -> None:
    for rule, name, text in (
        ("draw", "a", "s\th:m:s\n10.0\t0:00:10\n"),
        ("draw", "b", "s\th:m:s\n20.0\t0:00:20\n"),
        ("learn", "a", ""),
        ("table", "a", "s\th:m:s\nsome\n"),
    ):
        (tmp_path / rule).mkdir(exist_ok=True)
        (tmp_path / rule / f"{name}.tsv").write_text(text)
    found = watching.earlier_seconds(["draw", "learn", "table", "score"], tmp_path)
    assert found == {"draw": 15.0}, "what cannot be read says nothing"
    progress = Progress({"draw": 4}, clock, found)
    assert progress.left() == (4 * 15, True)
    progress.start(1, "draw", {}, [])
    clock.now = 5
    progress.end(1, finished=True)
    assert progress.left() == (3 * 5, True), "this run's own jobs say more"


def test_a_job_that_failed_is_not_done_and_may_begin_anew(progress: Progress, clock: Clock) -> None:
    progress.start(1, "draw", {}, [])
    clock.now = 5
    assert progress.end(1, finished=False) is not None
    assert progress.done.total() == 0
    progress.start(1, "draw", {}, [])
    clock.now = 9
    assert progress.end(1, finished=True)[1] == 4
    assert progress.end(7, finished=True) is None, "a job that nobody has seen begin"


@pytest.mark.parametrize(
    ("seconds", "words"), [(0.4, "0 s"), (59, "59 s"), (200, "3 min 20 s"), (7500, "2 h 5 min")]
)
def test_durations_in_words(seconds: float, words: str) -> None:
    assert words_of(seconds) == words


def test_the_last_line_of_a_log_is_the_last_state_of_a_bar(tmp_path: Path) -> None:
    log = tmp_path / "log"
    log.write_text("x" * 9000 + "\nerror: found 3, expected 4\ncandidates: 10%\rcandidates: 20%\n")
    assert last_line(log) == "candidates: 20%"
    assert last_line(log, "error: ") == "error: found 3, expected 4"
    assert last_line(tmp_path / "none") == last_line(None) == ""


def test_a_line_per_finished_job_and_all_other_messages(
    plain: logging.StreamHandler, progress: Progress, clock: Clock
) -> None:
    handler = Watch(plain, progress)
    handler.handle(record("Building DAG of jobs..."))
    handler.handle(record("Select jobs to execute..."))
    handler.handle(started(4, "draw", method="lgd", seed="0"))
    handler.handle(record("Execute 1 jobs...", event="job_started"))
    clock.now = 65
    handler.handle(record("Finished jobid: 4", event="job_finished", job_id=4))
    handler.handle(record("1 of 7 steps (14%) done", event="progress"))
    first, second = plain.stream.getvalue().splitlines()
    assert first == "Building DAG of jobs..."
    assert second[8:] == " [1/7] draw lgd seed=0, 1 min 5 s"


def test_a_failure_has_snakemake_s_own_record(
    plain: logging.StreamHandler, progress: Progress
) -> None:
    handler = Watch(plain, progress)
    handler.handle(started(4, "draw"))
    handler.handle(record("Error in rule draw", event="job_error", jobid=4))
    assert plain.stream.getvalue() == "Error in rule draw\n"
    assert not progress.running


@pytest.mark.parametrize("apart", [True, False])
@pytest.mark.parametrize("line", ["error: found 3, expected 4", "stopped by SIGTERM: saved a.pt"])
def test_a_job_elsewhere_says_why_it_failed_and_what_is_to_note(
    plain: logging.StreamHandler, progress: Progress, tmp_path: Path, apart: bool, line: str
) -> None:
    """A job beside the terminal has said it there."""
    handler, log, noted = Watch(plain, progress, apart), tmp_path / "log", tmp_path / "noted"
    handler.handle(started(1, "draw", log))
    handler.handle(started(2, "table", noted))
    log.write_text(f"12:00:00 draw: 1 threads\n{line}\n")
    noted.write_text("12:00:00 note: left out 1 file\n")
    handler.handle(record("Error in rule draw", event="job_error", jobid=1))
    handler.handle(record("Finished", event="job_finished", job_id=2))
    first, *others = plain.stream.getvalue().splitlines()
    assert first == "Error in rule draw"
    assert others[:-1] == ([line, "note: left out 1 file"] if apart else [])
    assert " table, " in others[-1]


def test_what_an_earlier_job_has_left_in_a_log_is_no_reason(
    plain: logging.StreamHandler, progress: Progress, tmp_path: Path
) -> None:
    """Jobs of a group that failed before this one began have not opened their logs."""
    handler, log = Watch(plain, progress, apart=True), tmp_path / "log"
    log.write_text("error: of yesterday\n")
    handler.handle(started(1, "draw", log))
    handler.handle(record("Error in rule draw", event="job_error", jobid=1))
    assert plain.stream.getvalue() == "Error in rule draw\n"


@pytest.mark.parametrize(
    "reason", ["error: found 3", "stopped by SIGTERM: saved a.pt", "Traceback"]
)
def test_a_job_that_was_killed_is_said_to_have_given_no_reason(
    plain: logging.StreamHandler, progress: Progress, tmp_path: Path, reason: str
) -> None:
    handler, log = Watch(plain, progress), tmp_path / "log"
    handler.handle(started(4, "draw", log))
    log.write_text("12:00:00 draw: 1 threads\ncandidates: 10%\n")
    handler.handle(record("Error", event="job_error", jobid=4))
    lines = plain.stream.getvalue().splitlines()
    assert lines == ["Error", f"draw: {watching.NO_REASON}"]
    log.unlink()
    handler.handle(started(4, "draw", log))
    log.write_text(f"12:00:00 draw: 1 threads\n{reason} (most\n  File x\nValueError: a\n")
    handler.handle(record("Error", event="job_error", jobid=4))
    assert plain.stream.getvalue().splitlines() == [*lines, "Error"]


def test_filters_of_snakemake_s_handler_hold(
    plain: logging.StreamHandler, progress: Progress
) -> None:
    plain.addFilter(lambda record: "quiet" not in record.getMessage())
    handler = Watch(plain, progress)
    handler.handle(record("quiet please"))
    handler.handle(record("loud"))
    assert plain.stream.getvalue() == "loud\n"


def test_a_terminal_shows_stages_running_jobs_and_the_time_left(
    plain: logging.StreamHandler,
    progress: Progress,
    clock: Clock,
    tmp_path: Path,
) -> None:
    (tmp_path / "done.log").write_text("12:00:00 note: left out 1 file\n")
    bar = "candidates:  40%|######5        | 4/10 [00:01<00:02,  3.2it/s, S=0.52]"
    (tmp_path / "log").write_text(f"{bar}\n")
    handler = LiveWatch(plain, progress)
    try:
        handler.handle(started(1, "draw", tmp_path / "done.log", method="dit"))
        clock.now = 10
        handler.handle(record("Finished", event="job_finished", job_id=1))
        handler.handle(started(2, "draw", tmp_path / "log", method="lgd"))
        clock.now = 12
        shown = Console(file=io.StringIO(), width=100)
        shown.print(handler.picture())
    finally:
        handler.close()
    text = shown.file.getvalue()
    assert "draw dit, 10 s" in text
    assert "> draw lgd, 2 s  candidates: 40% 4/10 [00:01<00:02,  3.2it/s, S=0.52]" in text
    assert "1/4" in text
    assert "1 of 7 jobs, 12 s, more than 28 s left" in text
    assert "note: left out 1 file" in plain.stream.getvalue()


def test_stages_that_are_done_make_room(
    plain: logging.StreamHandler, progress: Progress, clock: Clock
) -> None:
    handler = LiveWatch(plain, progress)
    handler.handle(started(1, "table"))
    handler.handle(record("Finished", event="job_finished", job_id=1))
    handler.close()
    assert [rule for rule, _ in handler._open()] == ["draw", "learn"]


def test_another_way_to_show_jobs_is_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    logger = logging.getLogger("snakemake.logging")
    monkeypatch.setattr(logger, "handlers", [logging.NullHandler()])
    watch(["draw"], ["draw"], apart=False)
    assert [type(handler) for handler in logger.handlers] == [logging.NullHandler]


def test_it_takes_the_place_of_snakemake_s_handler(
    plain: logging.StreamHandler, monkeypatch: pytest.MonkeyPatch
) -> None:
    logger = logging.getLogger("snakemake.logging")
    monkeypatch.setattr(logger, "handlers", [plain])
    watch(["draw", "rest", "table"], ["table", "draw", "draw"], apart=True)
    (handler,) = logger.handlers
    assert type(handler) is Watch, "no terminal here"
    assert handler.apart
    assert list(handler.progress.planned.items()) == [("draw", 2), ("table", 1)]
