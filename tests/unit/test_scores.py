"""Scores of sets: formulas, units, the table and the row for a leaderboard."""

import math
import subprocess
import sys
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest

from lgd_core.analysis.leaderboard import entry
from lgd_core.analysis.scores import (
    FIDELITY,
    SCORE_COLUMNS,
    SHARES,
    arms_by_set,
    augmentation_robust_score,
    bytes_by_method,
    hard_label_recovery,
    improvement_over_random,
    label_robust_score,
    score_table,
)
from lgd_core.base.csv_files import write_csv
from lgd_core.base.errors import UserError
from lgd_core.base.files import write_json
from lgd_core.figures.scores import scores_figure
from lgd_core.figures.styles import looks

FACTS = {
    "protocol": "soft_steps",
    "protocol_digest": "0123456789abcdef",
    "labels": "soft",
    "student": "ConvNet-3",
    "real_from": "reference",
}
REAL = 90.0


def arm(method: str, name: str, *top1: float, seeds: str = "0") -> dict:
    own = {"method": method, "seeds": seeds, "arm": name, "top1": list(top1)}
    return own | {"lr": 0.01, "label_bytes": 4000 if name == "own" else 0}


RANDOM = [
    arm("random", "own", 50.0, 52.0, seeds="0to1"),
    arm("random", "unaugmented", 40.0, 44.0, seeds="0to1"),
]
LGD = [arm("lgd", "own", 60, 62), arm("lgd", "hard", 55, 57), arm("lgd", "unaugmented", 42, 44)]


def table(*artifacts: dict) -> pd.DataFrame:
    sets = arms_by_set(artifacts)
    ((random,),) = arms_by_set(RANDOM).values()
    quality = dict.fromkeys(FIDELITY, 0.5)
    fidelity = [{"method": method, "quality": quality} for method in sets]
    return score_table("digits", 20, FACTS, sets, random, REAL, fidelity, dict.fromkeys(sets, 7))


def normalised(x: float) -> float:
    return (math.e**x - 1 / math.e) / (math.e - 1 / math.e)


def test_the_published_differences_give_the_score_of_shares() -> None:
    """HLR 50 and IOR 10 points; percents in the exponential would give -0.157."""
    assert label_robust_score(0.50, 0.10) == pytest.approx(0.192, abs=5e-4)


@pytest.mark.parametrize(
    ("recovery", "improvement", "score"), [(1, -1, 0), (-1, 1, 1), (0, 0, normalised(0))]
)
def test_the_score_of_labels_is_from_0_to_1(
    recovery: float, improvement: float, score: float
) -> None:
    assert label_robust_score(recovery, improvement) == pytest.approx(score)


def test_weights_are_those_of_the_gain_over_random_and_of_the_gain_with_augmentation() -> None:
    assert label_robust_score(0.4, 0.2, weight=0.75) == pytest.approx(normalised(0.15 - 0.1))
    assert augmentation_robust_score(0.2, 0.1) == pytest.approx(normalised(0.15))
    assert augmentation_robust_score(0.2, 0.1, weight=1) == pytest.approx(normalised(0.2))


def test_percents_are_refused() -> None:
    for difference in (hard_label_recovery, improvement_over_random):
        assert difference(0.9, 0.5) == pytest.approx(0.4)
        with pytest.raises(ValueError, match="accuracy: found 50, expected a share from 0 to 1"):
            difference(0.9, 50)
    with pytest.raises(ValueError, match=r"difference of accuracies: found -20, expected -1 to 1"):
        label_robust_score(50, 10)


def test_a_row_is_what_its_rounds_give_by_hand() -> None:
    (row,) = table(*LGD).to_dict("records")
    assert (row["n"], row["sets"]) == (2, 1)
    assert (row["hlr"], row["ior"]) == (pytest.approx(34), pytest.approx(10))
    assert (row["hlr_std"], row["ior_std"]) == (pytest.approx(math.sqrt(2)), pytest.approx(0))
    rounds = [normalised((0.10 - 0.35) / 2), normalised((0.10 - 0.33) / 2)]
    assert row["lrs"] == pytest.approx(np.mean(rounds))
    assert row["lrs_std"] == pytest.approx(np.std(rounds, ddof=1))
    rounds = [normalised((0.10 + 0.02) / 2), normalised((0.10 + 0.00) / 2)]
    assert row["ars"] == pytest.approx(np.mean(rounds))
    assert row["random_own_top1"] == 51
    assert row["unaugmented_lr"] == "0.01"
    assert (row["image_bytes"], row["label_bytes"], row["coverage"]) == (7, 4000, 0.5)


def test_own_labels_that_are_hard_are_their_own_arm_of_hard_ones() -> None:
    own, _, unaugmented = LGD
    (row,) = table(own, unaugmented).to_dict("records")
    assert row["hard_top1"] == row["own_top1"] == 61
    assert row["hlr"] == pytest.approx(29)


def test_several_sets_are_the_units() -> None:
    others = [artifact | {"seeds": "1", "top1": [70.0, 72.0]} for artifact in LGD]
    (row,) = table(*LGD, *others).to_dict("records")
    assert (row["n"], row["sets"]) == (2, 2)
    assert row["ior"] == pytest.approx((10 + 20) / 2)
    assert row["ior_std"] == pytest.approx(np.std([10, 20], ddof=1))
    assert row["own_lr"] == "0.01 0.01"


def test_deviations_of_scores_keep_their_digits(tmp_path: Path) -> None:
    found = table(*LGD)
    write_csv(found, tmp_path / "scores.csv", SHARES)
    read = pd.read_csv(tmp_path / "scores.csv")
    assert tuple(read.columns) == SCORE_COLUMNS
    assert read["lrs_std"][0] == pytest.approx(found["lrs_std"][0], rel=1e-5)
    assert read["hlr_std"][0] == 1.41


def test_bytes_are_those_of_the_largest_set(tmp_path: Path) -> None:
    folders = [tmp_path / str(seed) for seed in range(2)]
    for folder, size in zip(folders, (30, 20), strict=True):
        write_json(folder / "provenance.json", {"method": "lgd"})
        (folder / "0_zero").mkdir()
        (folder / "0_zero" / "0.png").write_bytes(bytes(size))
    assert bytes_by_method(folders) == {"lgd": 30}


def test_the_figure_draws_the_scores_of_the_table() -> None:
    found = table(*LGD)
    figure = scores_figure(found, looks(["lgd"]))
    for axis, name in zip(figure.axes, ("lrs", "ars"), strict=True):
        assert axis.containers[0].lines[0].get_xdata().tolist() == [found[name][0]]
    assert figure.axes[1].lines[-1].get_xdata()[0] == augmentation_robust_score(0, 0)
    plt.close(figure)


def test_the_row_of_a_leaderboard_has_points_and_scores(tmp_path: Path) -> None:
    write_csv(table(*LGD), tmp_path / "scores.csv", SHARES)
    head, row = entry(tmp_path / "scores.csv", "lgd").splitlines()
    assert head == "dataset,ipc,method,labels,hlr,ior,lrs,ars"
    assert row.startswith("digits,20,lgd,soft,34.00,10.00,0.")
    with pytest.raises(UserError, match=r"scores\.csv: unknown method 'lgdd', did you mean 'lgd'"):
        entry(tmp_path / "scores.csv", "lgdd")


def test_a_file_that_is_no_table_of_scores_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "table.csv").write_text("dataset,ipc,method\ndigits,20,lgd\n")
    for words, reason in (
        ([str(tmp_path / "table.csv"), "lgd"], "found no column 'protocol'"),
        ([str(tmp_path / "none.csv"), "lgd"], "No such file"),
        ([], "expected a table of scores and a method"),
    ):
        command = [sys.executable, "-m", "lgd_core.analysis.leaderboard", *words]
        done = subprocess.run(command, capture_output=True, text=True)
        assert done.returncode != 0
        assert reason in done.stderr
        assert done.stderr.startswith("error: ")
        assert done.stderr.count("\n") == 1
