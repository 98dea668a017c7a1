"""Complementarity and dynamics: planted errors, spikes and gains."""

import math

import numpy as np
import pytest
from conftest import SPEC

from lgd_core.analysis.analyses import complementarity_table, dynamics_table, wilson_interval
from lgd_core.base.checkpoints import Checkpoint
from lgd_core.config.settings import TrainingSettings
from lgd_core.evaluation.students import cross_accuracies
from lgd_core.networks.training import Images

RECIPE = TrainingSettings(
    epochs=40, evaluations=1, batch=12, lr=0.01, weight_decay=0.01, cutmix=False
)


def test_identical_increments_have_no_errors(bright: Images) -> None:
    matrix = cross_accuracies(SPEC, [bright] * 3, RECIPE, ("key",), Checkpoint(None))
    table = complementarity_table({"dit": matrix[:1]}, {"dit": len(bright.labels)})
    assert table["increment"].tolist() == [1, 2]
    assert table["errors_mean"].tolist() == [0, 0]
    assert table["wrong"].tolist() == [0, 0]
    assert (table["wrong_high"] > 0).all(), "24 images are not proof of none"


def test_errors_are_whole_images_with_their_spread_over_networks() -> None:
    rows = [[100.0, 100 * 12 / 100, 78.0], [100.0, 100 * 43 / 100, 78.0]]
    table = complementarity_table({"lgd": rows, "dit": [[100.0, 99.0]]}, {"lgd": 100, "dit": 200})
    assert table["method"].tolist() == ["lgd", "lgd", "dit"]
    assert table["n"].tolist() == [2, 2, 1]
    assert table["errors_mean"].tolist() == [(88 + 57) / 2, 22, 2]
    assert table["errors_std"][0] == pytest.approx(31 / math.sqrt(2))
    assert math.isnan(table["errors_std"][2])
    assert table["wrong"].tolist() == [72.5, 22, 1]
    assert (table["wrong_low"] < table["wrong"]).all()
    assert (table["wrong_high"] > table["wrong"]).all()


def test_networks_that_differ_more_than_chance_make_the_interval_wider() -> None:
    """Three networks that err on 10, 50 and 90 of 100 images are not 300 draws from one share."""

    def width(*errors: int) -> float:
        rows = [[100.0, 100.0 - wrong] for wrong in errors]
        row = complementarity_table({"lgd": rows}, {"lgd": 100}).iloc[0]
        assert row["wrong"] == pytest.approx(50)
        return row["wrong_high"] - row["wrong_low"]

    alike = 2 * 1.96 * math.sqrt(50 * 50 / 300)
    assert width(50, 50, 50) == pytest.approx(alike, rel=0.02)
    # A design effect of 64: the variance of the mean of three is 40 squared / 3, as against 25 / 3.
    low, high = (100 * share for share in wilson_interval(0.5 * 300 / 64, 300 / 64))
    assert width(10, 50, 90) == pytest.approx(high - low)


def test_the_interval_covers_the_true_share_of_sets_that_differ() -> None:
    rng = np.random.default_rng(0)
    repeats, networks, images = 1000, 10, 200
    shares = np.clip(rng.normal(0.4, 0.15, (repeats, networks)), 0, 1)
    top1 = 100 - 100 * rng.binomial(images, shares) / images
    methods = {str(i): [[100.0, x] for x in row] for i, row in enumerate(top1.tolist())}
    table = complementarity_table(methods, dict.fromkeys(methods, images))
    covered = ((table["wrong_low"] < 40) & (table["wrong_high"] > 40)).mean()
    assert covered == pytest.approx(0.93, abs=0.03), "a little less with few networks"


@pytest.mark.parametrize(
    ("errors", "images", "expected"),
    [(0, 10, (0, 0.2775)), (10, 10, (0.7225, 1)), (20, 100, (0.1334, 0.2888))],
)
def test_wilson_s_interval(errors: int, images: int, expected: tuple[float, float]) -> None:
    assert wilson_interval(errors, images) == pytest.approx(expected, abs=1e-4)


def test_one_increment_has_no_later_one() -> None:
    table = complementarity_table({"dit": [[100.0]]}, {"dit": 100})
    assert table.empty
    assert "wrong" in table.columns


def learner(losses: list[float], top1: float) -> dict:
    curve = [{"phase": "plateau", "loss": x, "monitored": x} for x in losses]
    return {"curve": curve, "top1": top1}


def test_spikes_and_gains_are_counted_within_a_seed() -> None:
    table = dynamics_table(
        {
            ("lgd", 0, 0): learner([2.0, 0.5], 60),
            ("lgd", 0, 1): learner([1.5, 0.25], 72),
            ("lgd", 0, 2): learner([0.75], 75),
            ("lgd", 1, 0): learner([2.0, 1.0], 50),
            ("lgd", 1, 1): learner([1.25], 55),
        }
    )
    assert table["spike"].dropna().tolist() == [1.0, 0.5, 0.25]
    assert table["top1"].dropna().tolist() == [60, 72, 75, 50, 55]
    assert table["top1_gain"].dropna().tolist() == [12, 3, 5]
    assert table.loc[table["top1_gain"].notna(), "increment"].tolist() == [1, 2, 1]
    assert table["total_epoch"].tolist() == [0, 1, 2, 3, 4, 0, 1, 2]
