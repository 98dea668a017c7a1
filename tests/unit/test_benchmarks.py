"""The benchmarks run as their documentation says."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"


def call(folder: Path, name: str, *words: str) -> subprocess.CompletedProcess:
    return subprocess.run(
        [sys.executable, BENCHMARKS / name, *words], cwd=folder, capture_output=True, text=True
    )


def test_all_benchmarks_are_tried_here() -> None:
    assert {path.name for path in BENCHMARKS.glob("*.py")} == {"full_scale.py", "overhead.py"}


def test_sampling_is_measured_on_a_cpu(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    done = call(tmp_path, "full_scale.py", "--small")
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert found["size"] == "small"
    assert found["seconds_per_position"] > 0
    assert found["images_per_second"] == pytest.approx(30 / found["seconds_per_position"])
    assert found["hours_for_ipc_100"] == pytest.approx(found["seconds_per_position"] * 90 / 3600)
    assert sum(found["shares"].values()) == pytest.approx(1)
    assert set(found["shares"]) == {"transformer", "decoder", "learner"}


def test_imports_and_the_dag_are_measured(tmp_path: Path) -> None:
    (tmp_path / "Snakefile").write_text("rule all:\n    output: 'table.csv'\n    shell: 'true'\n")
    times = tmp_path / "results" / "benchmarks" / "evaluate"
    times.mkdir(parents=True)
    (times / "one.tsv").write_text("s\th:m:s\n80.0\t0:01:20\n")
    done = call(tmp_path, "overhead.py", "table.csv")
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert any(line.split()[:4] == ["evaluate", "1", "jobs", "80.0"] for line in lines)
    assert "of 80.0 s of jobs" in lines[-2]
    assert lines[-1].startswith("DAG: ")


def test_a_run_without_recorded_times_is_refused(tmp_path: Path) -> None:
    done = call(tmp_path, "overhead.py", "table.csv")
    assert done.returncode == 1
    assert done.stderr.startswith("error: results/benchmarks: found no times of jobs")
