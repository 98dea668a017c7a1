"""The benchmarks run as their documentation says, and both ways that they compare agree."""

import json
import os
import re
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from benchmarks import orchestration, sampling, training
from benchmarks.measuring import Comparison, Machine, operations_of
from lgd_core.base.errors import UserError
from lgd_core.figures import benchmarks as tables

ROOT = Path(__file__).parents[2]

TOY = Machine(torch.device("cpu"), "toy", 1)


def call(folder: Path, *words: str) -> subprocess.CompletedProcess:
    env = os.environ | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": ""}
    return subprocess.run(
        [sys.executable, *words], cwd=folder, env=env, capture_output=True, text=True
    )


@pytest.fixture(scope="module")
def records(tmp_path_factory: pytest.TempPathFactory) -> list[dict]:
    """Records of everything at toy size, in a folder that has no run."""
    folder = tmp_path_factory.mktemp("benchmarks")
    path = folder / "toy.jsonl"
    words = ("--size", "toy", "--repeats", "1", "--out", str(path))
    done = call(folder, "-m", "benchmarks", *words)
    assert done.returncode == 0, done.stderr
    return tables.read_records(path)


def test_everything_is_measured_and_stamped(records: list[dict]) -> None:
    assert {record["benchmark"] for record in records} == {
        "matrix products",
        "guided sampling",
        "guided sampling, small decoder",
        "parts of guided sampling",
        "training",
        "growth",
        "plan",
    }
    for record in records:
        assert record["size"] == "toy"
        assert record["device"] == "cpu"
        assert record["versions"]["torch"] == torch.__version__.partition("+")[0]


def test_the_ratio_is_that_of_the_seconds_per_unit(records: list[dict]) -> None:
    for record in (record for record in records if "ratio" in record):
        expected = record["plain_seconds"] / record["seconds"]
        assert record["ratio"] == pytest.approx(expected, rel=1e-6)
        assert record["operations"] > 0
        assert record["difference"] < 1e-2


def test_growth_counts_what_grows(records: list[dict]) -> None:
    grown = [record for record in records if record["benchmark"] == "growth"]
    assert {record["grown"] for record in grown} == set(tables.GROWN)
    assert all(record["seconds"] > 0 and record["memory_mb"] > 0 for record in grown)
    assert not tables.growth(records).isna().any(axis=None)
    for name in tables.GROWN:
        small, large = (record[name] for record in grown if record["grown"] == name)
        assert large == 2 * small


def test_tables_and_figure_are_made_of_records(records: list[dict], tmp_path: Path) -> None:
    text = tables.readable(records)
    assert "guided sampling kept image" in text
    assert "imports: not measured" in text
    shares = tables.parts(records)["share (%)"]
    assert shares.sum() == pytest.approx(100, abs=0.5)
    left, right = tables.growth_figure(records).axes
    assert [line.get_label() for line in left.lines] == [
        "classes",
        "images per class",
        "candidates",
        "shards",
    ]
    assert all(list(line.get_xdata()) == [1, 2] for line in right.lines)


def test_a_file_of_records_is_printed_and_drawn(records: list[dict], tmp_path: Path) -> None:
    path, picture = tmp_path / "records.jsonl", tmp_path / "growth.png"
    path.write_text("".join(f"{json.dumps(record)}\n" for record in records))
    done = call(tmp_path, "-m", "lgd_core.figures.benchmarks", str(path), str(picture))
    assert done.returncode == 0, done.stderr
    assert "snakemake -n --configfile config/comparison.yaml" in done.stdout
    assert picture.read_bytes().startswith(b"\x89PNG")
    path.write_text("{}\n")
    done = call(tmp_path, "-m", "lgd_core.figures.benchmarks", str(path), str(picture))
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.endswith(
        "records.jsonl: found other JSON, expected the records of benchmarks\n"
    )


def test_packages_for_a_bare_machine_are_those_of_the_lock_with_their_hashes() -> None:
    script = ROOT / "benchmarks" / "gpu.sh"
    printed = subprocess.run(["bash", script, "list"], capture_output=True, text=True, check=True)
    wanted = re.search(r"PACKAGES=\((.*?)\)", script.read_text(), re.DOTALL)[1].split()
    blocks = re.split(r"\n(?=\S)", printed.stdout.strip())
    assert [block.partition("==")[0] for block in blocks] == sorted(wanted)
    lock = (ROOT / "requirements.lock").read_text()
    for block in blocks:
        assert block.strip() in lock
        assert "--hash=sha256:" in block


def test_imports_are_a_share_of_all_jobs() -> None:
    base = {"hardware": "a machine", "versions": {"torch": "1"}, "benchmark": "imports"}
    rows = [
        base | {"rule": "evaluate", "jobs": 4, "seconds": 80.0, "each": 3.0},
        base | {"rule": "table", "jobs": 1, "seconds": 20.0, "each": 1.0},
    ]
    assert list(tables.imports(rows)["share (%)"]) == [15.0, 5.0]
    assert tables.overheads(rows) == ["imports: 13.0 % of 100 s of jobs"]


@pytest.mark.parametrize("text", ["", "nothing", '{"size": "toy"}', "[]"])
def test_other_files_are_refused(tmp_path: Path, text: str) -> None:
    path = tmp_path / "records.jsonl"
    path.write_text(text)
    with pytest.raises(UserError, match=r"records\.jsonl: found .*expected the records of bench"):
        tables.read_records(path)
    with pytest.raises(UserError, match=r"none\.jsonl: No such file"):
        tables.read_records(tmp_path / "none.jsonl")


def test_results_that_differ_are_refused() -> None:
    same = Comparison(
        name="one",
        unit="call",
        plain=lambda: None,
        plain_units=1,
        ours=lambda: None,
        units=2,
        checked=(lambda: 1.0, lambda: 1.0),
        differ=lambda a, b: abs(a - b),
        tolerance=0.1,
    )
    found = same.run(TOY, None)
    assert (found["difference"], found["operations"], found["share_of_limit"]) == (0, None, None)
    with pytest.raises(AssertionError, match=r"one: results differ by 0\.5"):
        replace(same, checked=(lambda: 1.0, lambda: 1.5)).run(TOY, None)


def test_another_choice_of_candidates_is_a_difference() -> None:
    drawn = {"latents": torch.ones(1, 1, 2, 4), "scores": torch.tensor([[[0.1, 0.2]]])}
    assert sampling.differ(drawn, drawn) == 0
    assert sampling.differ(drawn, drawn | {"scores": torch.tensor([[[0.3, 0.2]]])}) == float("inf")


def test_plain_training_sees_the_same_batches(tmp_path: Path) -> None:
    epoch = training.epoch(TOY, tmp_path)
    drawn = [row for rows, _ in epoch.draws() for row in rows]
    assert sorted(row.file for row in drawn) == sorted(epoch.files)
    untrained = torch.cat([weights.flatten() for weights in epoch.start()[0].parameters()])
    assert not torch.equal(epoch.ours()[0], untrained), "nothing was learned"


def test_operations_are_counted() -> None:
    a, b = torch.ones(2, 3), torch.ones(3, 5)
    assert operations_of(lambda: a @ b) == 2 * 2 * 3 * 5
    layer, x = torch.nn.Linear(3, 5), torch.ones(2, 3, requires_grad=True)
    forward = operations_of(lambda: layer(x))
    assert operations_of(lambda: layer(x).sum().backward()) == 3 * forward


def test_imports_are_those_of_the_scripts() -> None:
    rules = "".join(path.read_text() for path in (ROOT / "rules").glob("**/*.smk"))
    for script in orchestration.SCRIPTS.glob("*.py"):
        shared = ("artifacts", "job", "lessons", "figure")
        assert script.stem in shared or f"rule {script.stem}:" in rules
    assert "from lgd_core.evaluation.students import" in orchestration.imports_of("evaluate")
    assert orchestration.imports_of("redundancy_heatmap") == orchestration.imports_of("figure")


def test_the_times_that_snakemake_recorded_are_read(tmp_path: Path) -> None:
    assert orchestration.recorded(tmp_path) == {}
    times = tmp_path / "results" / "benchmarks" / "evaluate"
    times.mkdir(parents=True)
    for name, seconds in (("one", 80.0), ("two", 20.5)):
        (times / f"{name}.tsv").write_text(f"s\th:m:s\n{seconds}\t0:01:20\n")
    assert sorted(orchestration.recorded(tmp_path)["evaluate"]) == [20.5, 80.0]


def test_the_hours_in_the_documentation_are_those_that_are_computed() -> None:
    done = call(ROOT, "-m", "benchmarks.planned_hours")
    assert done.returncode == 0, done.stderr
    size, table, small = re.split(r"\n\w+, \d+ images per class\n", done.stdout)
    assert "transformer: 237.3 billion operations" in size, "DiT's authors: 118.6 of two each"
    page = (ROOT / "docs" / "imagenet.md").read_text()
    assert table.strip() in page
    performance = (ROOT / "docs" / "performance.md").read_text()
    assert small.strip() in performance
    for line in ("decoder is 622 billion", "DiT-XL/2 237, one of TAESD's decoder 35"):
        assert line in performance
    table = table.strip()
    total, igd = (float(row.split("|")[-2]) for row in table.splitlines()[-1:-4:-2])
    assert f"about {total - igd:.0f} for all rows" in page
