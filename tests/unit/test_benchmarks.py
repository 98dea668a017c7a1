"""The benchmarks run as their documentation says."""

import importlib.util
import json
import runpy
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
    assert {path.name for path in BENCHMARKS.glob("*.py")} == {
        "full_scale.py",
        "overhead.py",
        "planned_hours.py",
    }


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


def test_what_is_said_to_be_imported_exists() -> None:
    imports = runpy.run_path(str(BENCHMARKS / "overhead.py"))["IMPORTS"]
    rules = "".join(path.read_text() for path in (BENCHMARKS.parent / "rules").glob("*.smk"))
    for rule, modules in imports.items():
        assert f"\nrule {rule}:" in rules
        assert all(importlib.util.find_spec(module) for module in modules.split(", "))


def test_imports_and_the_dag_are_measured(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    main = runpy.run_path(str(BENCHMARKS / "overhead.py"))["main"]
    monkeypatch.setitem(main.__globals__, "IMPORTS", {"evaluate": "json, csv"})
    monkeypatch.setattr(sys, "argv", ["overhead.py", "table.csv"])
    monkeypatch.chdir(tmp_path)
    (tmp_path / "Snakefile").write_text("rule all:\n    output: 'table.csv'\n    shell: 'true'\n")
    times = tmp_path / "results" / "benchmarks" / "evaluate"
    times.mkdir(parents=True)
    (times / "one.tsv").write_text("s\th:m:s\n80.0\t0:01:20\n")
    main()
    rule, imports, dag = capsys.readouterr().out.splitlines()
    assert rule.split()[:4] == ["evaluate", "1", "jobs", "80.0"]
    assert "of 80.0 s of jobs" in imports
    assert dag.startswith("DAG: ")


def test_a_run_without_recorded_times_is_refused(tmp_path: Path) -> None:
    done = call(tmp_path, "overhead.py", "table.csv")
    assert done.returncode == 1
    assert done.stderr.startswith("error: results/benchmarks: found no times of jobs")


def test_the_hours_in_the_documentation_are_those_that_are_computed() -> None:
    done = call(BENCHMARKS.parent, "planned_hours.py")
    assert done.returncode == 0, done.stderr
    size, table = done.stdout.split("|", 1)
    assert "transformer: 237.3 billion operations" in size, "DiT's authors: 118.6 of two each"
    page = (BENCHMARKS.parent / "docs" / "imagenet.md").read_text()
    assert f"|{table}".strip() in page
    total, igd = (float(row.split("|")[-2]) for row in table.splitlines()[-1:-4:-2])
    assert f"about {total - igd:.0f} for all rows" in page
