"""Tables: columns, spread, redundancy, the paper's numbers."""

import math
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from conftest import crossed

from lgd_core.analysis.metrics import mean_off_diagonal, mean_std
from lgd_core.analysis.tables import (
    TABLE_COLUMNS,
    curve_table,
    differences,
    matrix_of,
    read_paper,
    redundancies,
    redundancy_table,
    result_row,
    result_table,
    runs_by_method,
)
from lgd_core.base.csv_files import write_csv
from lgd_core.base.errors import UserError
from lgd_core.figures.summary import summary

PAPER = Path(__file__).parents[2] / "config" / "paper"
RUNS = [{"top1": 80.0, "best_top1": 81.0}, {"top1": 82.0, "best_top1": 84.0}]


def test_row_has_mean_and_sample_deviation_of_last_and_best():
    row = result_row("digits", 50, "lgd", "ConvNet-3", "hard", RUNS)
    assert row["n"] == 2
    assert row["top1_mean"] == 81.0
    assert row["top1_std"] == pytest.approx(math.sqrt(2))
    assert row["best_top1_mean"] == 82.5


def test_one_set_has_its_students_as_units():
    row = result_row("digits", 50, "lgd", "ConvNet-3", "hard", RUNS)
    assert (row["n"], row["n_sets"], row["n_runs"]) == (2, 1, 2)
    assert row["std_within_sets"] == pytest.approx(row["top1_std"])
    assert math.isnan(row["std_between_sets"])


def test_several_sets_are_the_units_each_the_mean_of_its_students():
    runs = runs_by_method(
        run
        for seed, x in enumerate([(70, 74), (60, 62), (80, 84)])
        for run in evaluations("lgd", str(seed), *x)
    )
    row = result_row("digits", 50, "lgd", "ConvNet-3", "hard", runs["lgd", "ConvNet-3"])
    assert (row["n"], row["n_sets"], row["n_runs"]) == (3, 3, 6)
    assert row["top1_mean"] == pytest.approx((72 + 61 + 82) / 3)
    for column in ("top1_std", "std_between_sets", "best_top1_std"):
        assert row[column] == pytest.approx(np.std([72, 61, 82], ddof=1)), column
    assert row["std_within_sets"] == pytest.approx(math.sqrt((8 + 2 + 8) / 3))


def test_sets_of_one_student_each_have_no_spread_within():
    runs = [run | {"seed": str(seed)} for seed, run in enumerate(RUNS)]
    row = result_row("digits", 50, "lgd", "ConvNet-3", "hard", runs)
    assert (row["n"], row["n_sets"], row["n_runs"]) == (2, 2, 2)
    assert row["top1_std"] == row["std_between_sets"] == pytest.approx(math.sqrt(2))
    assert math.isnan(row["std_within_sets"])


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


def evaluations(method, seed, *top1, student="ConvNet-3"):
    known = {"method": method, "student": student, "seed": seed}
    return [
        {"run": run, "top1": value, "best_top1": value + 1, "validation_top1": value - 1} | known
        for run, value in enumerate(top1)
    ]


def test_differences_are_paired_by_seed_and_run():
    runs = runs_by_method(
        [
            *evaluations("dit", "0", 70.0, 80.0),
            *evaluations("dit", "1", 60.0),
            *evaluations("lgd", "1", 63.0),  # the other order of seeds
            *evaluations("lgd", "0", 71.0, 82.0, 99.0),  # a run that dit does not have
            *evaluations("lgd", "0", 50.0, 50.0, student="ConvNet-4"),
        ]
    )
    found = differences(runs, "dit")
    mean, error = found["lgd", "ConvNet-3"]
    # Of two sets, each the mean of the runs that both methods have: 1.5 and 3.
    assert mean == pytest.approx((1.5 + 3) / 2)
    assert error == pytest.approx(1.5 / 2)
    for key in (("dit", "ConvNet-3"), ("lgd", "ConvNet-4")):
        assert all(math.isnan(value) for value in found[key]), key
    few = differences({key: each[:1] for key, each in runs.items()}, "dit")
    assert all(math.isnan(value) for pair in few.values() for value in pair)


def test_one_set_in_common_of_several_has_no_error():
    """Its students would give one that knows nothing of other sets, of which the row's n tells."""
    runs = runs_by_method(
        [
            *evaluations("dit", "0", 70.0, 80.0, 75.0),
            *evaluations("lgd", "0", 71.0, 82.0, 78.0),
            *evaluations("lgd", "1", 60.0, 61.0, 62.0),
        ]
    )
    assert all(map(math.isnan, differences(runs, "dit")["lgd", "ConvNet-3"]))
    alone = {key: [run for run in each if run["seed"] == "0"] for key, each in runs.items()}
    mean, error = differences(alone, "dit")["lgd", "ConvNet-3"]
    assert (mean, error) == pytest.approx((2, 1 / math.sqrt(3)))


REPEATS, SEEDS, STUDENTS = 3000, 3, 5
BETWEEN, WITHIN, COMMON = 1.0, 0.4, 2.0


def test_the_error_of_a_difference_is_that_of_known_variances():
    """Sets of two methods, of which both share what a seed and a run bring, and nothing else."""
    rng = np.random.default_rng(0)
    cells = (REPEATS, 2, SEEDS, STUDENTS)
    top1 = (
        COMMON * rng.normal(size=(REPEATS, 1, SEEDS, 1))
        + COMMON * rng.normal(size=(REPEATS, 1, SEEDS, STUDENTS))
        + BETWEEN * rng.normal(size=(REPEATS, 2, SEEDS, 1))
        + WITHIN * rng.normal(size=cells)
    )
    true = 2 * (BETWEEN**2 + WITHIN**2 / STUDENTS) / SEEDS
    found = []
    for repeat in top1.tolist():
        runs = {
            (method, "student"): [
                {"seed": seed, "run": run, "top1": value}
                for seed, row in enumerate(of_method)
                for run, value in enumerate(row)
            ]
            for method, of_method in zip(("dit", "lgd"), repeat, strict=True)
        }
        found.append(differences(runs, "dit")["lgd", "student"])
    means, errors = np.array(found).T
    assert means.var() == pytest.approx(true, rel=0.1), "the variances are as planted"
    assert np.square(errors).mean() == pytest.approx(true, rel=0.1)
    apart = (top1[:, 1] - top1[:, 0]).reshape(REPEATS, -1)
    pooled = apart.var(1, ddof=1) / apart.shape[1]
    assert pooled.mean() < true / 4, "all runs as one sample say that they know twice as much"


def test_every_number_of_the_table_is_that_of_its_raw_runs():
    """Unequal numbers of students, and a set that one method lacks."""
    rng = np.random.default_rng(0)
    students = {("dit", "0"): 4, ("dit", "1"): 3, ("dit", "2"): 1, ("lgd", "2"): 2, ("lgd", "0"): 4}
    runs = runs_by_method(
        run
        for (method, seed), n in students.items()
        for run in evaluations(method, seed, *rng.normal(80, 3, n))
    )
    raw = pd.DataFrame([run for each in runs.values() for run in each])
    rows = [result_row("digits", 50, *key, "hard", each) for key, each in runs.items()]
    for row, pair in zip(rows, differences(runs, "dit").values(), strict=True):
        row["diff_to_dit"], row["diff_se"] = pair
    table = result_table(rows, read_paper([])).set_index("method")

    of_sets = raw.groupby(["method", "seed"])
    means = of_sets[["top1", "best_top1"]].mean().groupby("method")
    squares = of_sets["top1"].apply(lambda x: ((x - x.mean()) ** 2).sum()).groupby("method").sum()
    free = (of_sets.size() - 1).groupby("method").sum()
    wide = raw.pivot(index=["seed", "run"], columns="method", values="top1").dropna()
    apart = (wide["lgd"] - wide["dit"]).groupby("seed").mean()
    expected = pd.DataFrame(
        {
            "n": means.size(),
            "n_sets": raw.groupby("method")["seed"].nunique(),
            "n_runs": raw.groupby("method").size(),
            "top1_mean": means["top1"].mean(),
            "top1_std": means["top1"].std(),
            "std_between_sets": means["top1"].std(),
            "std_within_sets": np.sqrt(squares / free),
            "best_top1_mean": means["best_top1"].mean(),
            "best_top1_std": means["best_top1"].std(),
            "diff_to_dit": {"lgd": apart.mean()},
            "diff_se": {"lgd": apart.sem()},
        }
    )
    names = list(expected.columns)
    pd.testing.assert_frame_equal(table[names], expected.loc[table.index], check_names=False)


def test_redundancy_is_averaged_over_seeds_and_off_the_diagonal():
    sets = {
        "dit": [[[100, 80], [60, 100]], [[100, 90], [70, 100]]],
        "lgd": [[[100, 30], [40, 100]]],
    }
    table = redundancy_table(crossed(sets | {"igd": [[[100.0]]]}))
    dit = table[table["method"] == "dit"]
    assert dit["seed"].tolist() == ["0"] * 4 + ["1"] * 4
    assert matrix_of(dit).to_numpy().tolist() == [[100, 85], [65, 100]]
    found = redundancies(table)
    assert list(found) == ["dit", "lgd"], "a single increment has none"
    assert (found["dit"].mean, found["dit"].n_sets) == (75.0, 2)
    assert found["dit"].std == pytest.approx(50**0.5), "of 70 and 80"
    assert math.isnan(found["lgd"].std)
    assert mean_off_diagonal([[1.0]]) is None


def test_spike_is_the_rise_of_the_loss_where_an_increment_comes_in():
    def learner(losses, top1):
        curve = [{"phase": "plateau", "loss": x, "monitored": x} for x in losses]
        return {"curve": curve, "top1": top1}

    table = curve_table({("lgd", 0, 0): learner([2.0, 0.5], 60), ("lgd", 0, 1): learner([1.5], 70)})
    assert table["spike"].dropna().tolist() == [1.0]
    assert table["top1"].dropna().tolist() == [60, 70]


def test_summary_of_a_folder_without_a_table_is_one_line(tmp_path):
    command = [sys.executable, "-m", "lgd_core.figures.summary", str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode != 0
    assert done.stderr.startswith(f"error: {tmp_path}/table.csv: No such file")
    assert done.stderr.count("\n") == 1


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "found no table"),
        (b"\xff\xfe\x00", "found no table"),
        (b'a,b\n1,"2', "found no table"),
        (b"dataset,ipc\n", "found no column 'method'"),
    ],
    ids=["empty", "no text", "cut off", "of another version"],
)
def test_a_table_that_is_none_is_named(tmp_path, content, reason):
    (tmp_path / "table.csv").write_bytes(content)
    for read in (lambda path: summary(path.parent), lambda path: read_paper([path])):
        with pytest.raises(UserError, match=rf"table\.csv: {reason}"):
            read(tmp_path / "table.csv")


def test_csv_and_summary(tmp_path):
    row = result_row("digits", 50, "lgd", "ConvNet-3", "hard", RUNS) | {"diff_to_dit": 1.23456}
    table = result_table([row], read_paper([]))
    write_csv(table, tmp_path / "table.csv")
    write_csv(
        redundancy_table(crossed({"lgd": [[[100, 50], [30, 100]], [[100, 50], [50, 100]]]})),
        tmp_path / "redundancy.csv",
    )
    (tmp_path / "samples.png").touch()
    assert pd.read_csv(tmp_path / "table.csv")["top1_std"].iloc[0] == 1.41
    assert pd.read_csv(tmp_path / "table.csv")["diff_to_dit"].iloc[0] == 1.23
    assert pd.read_csv(tmp_path / "table.csv")["std_within_sets"].iloc[0] == 1.41
    text = summary(tmp_path)
    assert "81.0 ± 1.4" in text
    assert "\n±: sample standard deviation over n students of one set\n" in text
    assert "redundancy of lgd: 45.0 ± 7.1 %" in text
    assert "samples.png" in text
