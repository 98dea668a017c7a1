"""Tables: columns, spread, redundancy, the paper's numbers."""

import math
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest

from lgd_core.metrics import mean_off_diagonal, mean_std
from lgd_core.summary import summary, table_page
from lgd_core.tables import (
    TABLE_COLUMNS,
    curve_table,
    differences,
    mean_redundancy,
    read_paper,
    redundancy_table,
    result_row,
    result_table,
    runs_by_method,
    write_csv,
)

PAPER = Path(__file__).parents[2] / "config" / "paper"
RUNS = [{"top1": 80.0, "best_top1": 81.0}, {"top1": 82.0, "best_top1": 84.0}]


def test_row_has_mean_and_sample_deviation_of_last_and_best():
    row = result_row("digits", 50, "lgd", "ConvNet-3", "hard", RUNS)
    assert row["n"] == 2
    assert row["top1_mean"] == 81.0
    assert row["top1_std"] == pytest.approx(math.sqrt(2))
    assert row["best_top1_mean"] == 82.5


def test_deviation_of_one_run_is_unknown():
    assert mean_std([5.0])[0] == 5.0
    assert math.isnan(mean_std([5.0])[1])


def test_paper_columns_are_filled_only_where_the_paper_has_the_number():
    table = result_table(
        [
            result_row("imagenette", 50, "lgd", "ResNetAP-10", "hard", RUNS),
            result_row("digits", 50, "lgd", "ResNetAP-10", "hard", RUNS),
            result_row("imagenette", 50, "lgd", "ResNetAP-10", "soft", RUNS),
            result_row("imagenette", 50, "full", "ResNetAP-10", "reference", RUNS[:1]),
        ],
        read_paper([PAPER / "table_1.csv", PAPER / "table_5.csv"]),
    )
    assert tuple(table.columns) == TABLE_COLUMNS
    assert table["paper_top1"].tolist()[::3] == [84.3, 94.6]
    assert table["paper_std"].iloc[0] == 0.5
    assert table["paper_top1"].isna().tolist() == [False, True, True, False]


def test_the_first_table_that_has_a_number_counts():
    tables = [PAPER / f"table_{n}.csv" for n in (3, 1)]
    found = {}
    for paths in (tables, tables[::-1]):
        paper = read_paper(paths)
        row = paper[
            (paper["dataset"] == "imagenette")
            & (paper["ipc"] == 50)
            & (paper["method"] == "lgd")
            & (paper["student"] == "ResNetAP-10")
        ]
        found[row["paper_source"].item()] = row["paper_top1"].item()
    assert found == {"table_3": 84.7, "table_1": 84.3}


def test_without_tables_of_the_paper_its_columns_are_empty():
    row = result_row("imagenette", 50, "lgd", "ResNetAP-10", "hard", RUNS)
    table = result_table([row], read_paper([]))
    assert table["paper_top1"].isna().all()
    assert table["top1_mean"].tolist() == [81.0]


def evaluation(method, seed, *top1, student="ConvNet-3"):
    runs = [{"run": run, "top1": value} for run, value in enumerate(top1)]
    return {"method": method, "student": student, "seed": seed, "runs": runs}


def test_differences_are_paired_by_seed_and_run():
    runs = runs_by_method(
        [
            evaluation("dit", "0", 70.0, 80.0),
            evaluation("dit", "1", 60.0),
            evaluation("lgd", "1", 63.0),  # the other order of seeds
            evaluation("lgd", "0", 71.0, 82.0, 99.0),  # a run that dit does not have
            evaluation("lgd", "0", 50.0, 50.0, student="ConvNet-4"),
        ]
    )
    found = differences(runs, "dit")
    mean, error = found["lgd", "ConvNet-3"]
    assert mean == pytest.approx((1 + 2 + 3) / 3)
    assert error == pytest.approx(1.0 / math.sqrt(3))
    for key in (("dit", "ConvNet-3"), ("lgd", "ConvNet-4")):
        assert all(math.isnan(value) for value in found[key]), key
    few = differences({key: each[:1] for key, each in runs.items()}, "dit")
    assert all(math.isnan(value) for pair in few.values() for value in pair)


def test_redundancy_is_averaged_over_seeds_and_off_the_diagonal():
    table = redundancy_table({"dit": [[[100, 80], [60, 100]], [[100, 90], [70, 100]]]})
    assert table["top1"].tolist() == [100, 85, 65, 100]
    assert mean_redundancy(table) == {"dit": 75.0}
    assert mean_off_diagonal([[1.0]]) is None


def test_spike_is_the_rise_of_the_loss_where_an_increment_comes_in():
    def learner(losses, top1):
        curve = [{"phase": "plateau", "loss": x, "monitored": x} for x in losses]
        return {"curve": curve, "top1": top1}

    table = curve_table({("lgd", 0, 0): learner([2.0, 0.5], 60), ("lgd", 0, 1): learner([1.5], 70)})
    assert table["spike"].dropna().tolist() == [1.0]
    assert table["top1"].dropna().tolist() == [60, 70]


def test_summary_of_a_folder_without_a_table_is_one_line(tmp_path):
    command = [sys.executable, "-m", "lgd_core.summary", str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode != 0
    assert done.stderr.startswith(f"error: {tmp_path}/table.csv: not found")
    assert done.stderr.count("\n") == 1


def test_csv_and_summary(tmp_path):
    row = result_row("digits", 50, "lgd", "ConvNet-3", "hard", RUNS) | {"diff_to_dit": 1.23456}
    table = result_table([row], read_paper([]))
    write_csv(table, tmp_path / "table.csv")
    write_csv(redundancy_table({"lgd": [[[100, 50], [30, 100]]]}), tmp_path / "redundancy.csv")
    (tmp_path / "samples.png").touch()
    assert pd.read_csv(tmp_path / "table.csv")["top1_std"].iloc[0] == 1.41
    assert pd.read_csv(tmp_path / "table.csv")["diff_to_dit"].iloc[0] == 1.23
    text = summary(tmp_path)
    assert "81.0 ± 1.4" in text
    assert "redundancy of lgd: 40.0 %" in text
    assert "samples.png" in text


def test_table_page_joins_mean_and_spread_and_escapes():
    row = result_row("digits", 50, "<lgd>", "ConvNet-3", "hard", RUNS)
    page = table_page("a & b", result_table([row], read_paper([])))
    assert "<td>81.0 ± 1.4</td>" in page
    assert "<caption>a &amp; b</caption>" in page
    assert "&lt;lgd&gt;" in page
    assert "paper" not in page, "a column without numbers is left out"
