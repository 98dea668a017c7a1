"""Complementarity and dynamics: planted errors, spikes and gains."""

import math

import pytest

from lgd_core.analyses import complementarity_table, dynamics_table, wilson_interval
from lgd_core.runtime import Resume
from lgd_core.training import Images, cross_accuracies

SHAPE = {"name": "ConvNet-2-w8", "channels": 3, "size": 16, "classes": 3}
RECIPE = {
    "epochs": 40,
    "evaluations": 1,
    "batch": 12,
    "lr": 0.01,
    "weight_decay": 0.01,
    "cutmix": False,
}


def test_identical_increments_have_no_errors(bright: Images) -> None:
    matrix = cross_accuracies(SHAPE, [bright] * 3, RECIPE, ("key",), Resume(None))
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
