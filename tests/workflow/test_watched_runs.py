"""What a run prints, with and without a terminal."""

import contextlib
import os
import pty
import re
import subprocess
import sys

import pytest
from conftest import Project

TARGET = "results/digits/data/prepared.json"


def test_a_line_per_finished_job_without_a_terminal(fresh: Project) -> None:
    printed = fresh.make("--", TARGET)
    lines = re.findall(r"^\d\d:\d\d:\d\d (\[\d+/\d+\] \w+ digits), \d+ s$", printed, re.MULTILINE)
    assert lines == ["[1/2] fetch_dataset digits", "[2/2] prepare_dataset digits"]
    for part in ("jobid:", "reason:", "Select jobs", "steps ("):
        assert part not in printed
    assert "rule prepare_dataset:" in fresh.make("-n", "-F", "--", TARGET), "a dry run is as ever"


def on_a_terminal(project: Project, *words: str) -> tuple[int, str]:
    """Call Snakemake as from a terminal; return its exit status and what was printed, as text."""
    ours, theirs = pty.openpty()
    known = os.environ | {"TERM": "xterm-256color", "COLUMNS": "120", "LINES": "40"}
    run = subprocess.Popen(
        project.command(*words), cwd=project.folder, stdout=theirs, stderr=theirs, env=known
    )
    os.close(theirs)
    printed = b""
    with contextlib.suppress(OSError):  # raised when the other side is closed
        while part := os.read(ours, 65536):
            printed += part
    os.close(ours)
    return run.wait(), re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", printed.decode(errors="replace"))


@pytest.mark.skipif(sys.platform != "linux", reason="needs a terminal of Linux")
def test_a_terminal_shows_jobs_what_is_left_and_why_one_failed(fresh: Project) -> None:
    status, text = on_a_terminal(fresh, "--", TARGET)
    assert status == 0
    assert "> prepare_dataset digits, " in text
    assert "1 of 2 jobs, " in text
    assert " left" not in text, "no job of prepare_dataset has shown how long it takes"
    assert "jobid:" not in text
    benchmark = fresh.folder / "results/benchmarks/prepare_dataset/earlier.tsv"
    benchmark.parent.mkdir(parents=True)
    benchmark.write_text("s\th:m:s\n600\t0:10:00\n")
    status, text = on_a_terminal(fresh, "-F", "--", TARGET)
    assert status == 0
    assert re.search(r"1 of 2 jobs, .*, about 9 min .* left", text), "by the benchmark"
    damaged = fresh.folder / "results/digits/data/train_images.npy"
    damaged.write_bytes(damaged.read_bytes()[:-1] + b"x")
    status, text = on_a_terminal(fresh, "--", "results/digits/reference/metrics.json")
    assert status == 1
    # In a line of its own, besides that of the running job.
    assert re.search(r"[\r\n]error: results/digits/data/train_images.npy: ", text)
