"""Tables: columns, spread, redundancy, the paper's numbers."""

import math

import pandas as pd
import pytest

from lgd_core.metrics import mean_off_diagonal, mean_std
from lgd_core.summary import summary, table_page
from lgd_core.tables import (
    TABLE_COLUMNS,
    curve_table,
    mean_redundancy,
    paper_results,
    redundancy_table,
    result_row,
    result_table,
    write_csv,
)

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
        ]
    )
    assert tuple(table.columns) == TABLE_COLUMNS
    assert table["paper_top1"].iloc[0] == 84.3
    assert table["paper_std"].iloc[0] == 0.5
    assert math.isnan(table["paper_top1"].iloc[1])


def test_paper_results_are_whole():
    paper = paper_results()
    assert len(paper) == 2 * 2 * 3 * 9, "data sets x IPC x students x methods"
    assert not paper.duplicated(["dataset", "ipc", "method", "student"]).any()
    lgd = paper[(paper["method"] == "lgd") & (paper["dataset"] == "imagewoof")]
    assert sorted(lgd["top1"]) == [53.9, 61.9, 62.5, 65.1, 71.1, 72.9]


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


def test_csv_and_summary(tmp_path):
    table = result_table([result_row("digits", 50, "lgd", "ConvNet-3", "hard", RUNS)])
    write_csv(table, tmp_path / "table.csv")
    write_csv(redundancy_table({"lgd": [[[100, 50], [30, 100]]]}), tmp_path / "redundancy.csv")
    (tmp_path / "samples.png").touch()
    assert pd.read_csv(tmp_path / "table.csv")["top1_std"].iloc[0] == 1.41
    text = summary(tmp_path)
    assert "81.0 ± 1.4" in text
    assert "redundancy of lgd: 40.0 %" in text
    assert "samples.png" in text


def test_table_page_joins_mean_and_spread_and_escapes():
    row = result_row("digits", 50, "<lgd>", "ConvNet-3", "hard", RUNS)
    page = table_page("a & b", result_table([row]))
    assert "<td>81.0 ± 1.4</td>" in page
    assert "<caption>a &amp; b</caption>" in page
    assert "&lt;lgd&gt;" in page
    assert "paper" not in page, "a column without numbers is left out"
