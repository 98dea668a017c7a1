"""Difficulty: belief along a training, zones, and divergences with known answers."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from conftest import SPEC, changed

from lgd_core.analysis.difficulty import (
    ZONES,
    difficulty_frame,
    divergence_row,
    divergence_table,
    histogram,
    jensen_shannon,
    measure,
    probabilities_in_training,
    symmetric_kl,
)
from lgd_core.base.checkpoints import Checkpoint
from lgd_core.config.settings import WatchedSettings
from lgd_core.networks.classifiers import build_network
from lgd_core.networks.training import Images

RECIPE = WatchedSettings(architecture=SPEC.name, epochs=12, batch=12, lr=0.003, weight_decay=0.01)
NOWHERE = Checkpoint(None)


def test_belief_grows_in_labels_that_fit_and_not_in_a_wrong_one(bright: Images) -> None:
    labels = bright.labels.clone()
    labels[0] = 1
    planted = Images(bright.images, labels, bright.preprocess, bright.augment)
    seen = probabilities_in_training(SPEC, planted, RECIPE, ("key",), NOWHERE)
    assert seen.shape == (24, 12)
    assert seen[1:, -1].mean() > seen[1:, 0].mean() + 0.2
    assert seen.mean(1).argmin() == 0


@pytest.mark.parametrize("saves", [1, 7])
def test_an_interrupted_measurement_ends_as_an_undisturbed_one(
    bright: Images, tmp_path: Path, interrupt_after: Callable, saves: int
) -> None:
    arguments = (SPEC, bright, RECIPE, ("key",))
    expected = probabilities_in_training(*arguments, NOWHERE)
    interrupt_after(saves)
    with pytest.raises(KeyboardInterrupt):
        probabilities_in_training(*arguments, Checkpoint(tmp_path, 0))
    assert torch.equal(probabilities_in_training(*arguments, Checkpoint(tmp_path, 0)), expected)


def test_the_reference_s_confidence_is_that_in_the_true_class(bright: Images) -> None:
    reference = build_network(SPEC, "reference").eval()
    found = measure(SPEC, bright, reference, changed(RECIPE, epochs=2), 0, NOWHERE)
    with torch.no_grad():
        logits = reference(bright.preprocess(bright.images / 255))
    expected = logits.softmax(1)[torch.arange(24), bright.labels]
    assert torch.allclose(found["confidence"], expected, atol=1e-6)
    assert torch.equal(found["predicted"], logits.argmax(1))
    assert torch.equal(found["labels"], bright.labels)


def test_zones_of_planted_images() -> None:
    always, never, learned = torch.full((50,), 0.95), torch.full((50,), 0.05), torch.zeros(50)
    learned[25:] = 1.0
    late = torch.zeros(50)
    late[-3:] = 1.0
    frame = difficulty_frame(torch.stack([always, never, learned, late]), 0.5, 0.05)
    assert frame["zone"].tolist() == ["easy", "hard", "informative", "informative"]
    assert frame["mu"].tolist() == pytest.approx([0.95, 0.05, 0.5, 0.06])
    assert frame["sigma2"].tolist() == pytest.approx([0, 0, 0.25, 0.0564], abs=1e-6)


def planted(mu: float, sigma2: float, images: int = 200, spread: float = 0.0) -> pd.DataFrame:
    rng = np.random.default_rng(0)
    return pd.DataFrame(
        {
            "mu": np.clip(mu + spread * rng.standard_normal(images), 0, 1),
            "sigma2": np.full(images, sigma2),
            "zone": "easy",
            "seed": 0,
        }
    )


def test_every_image_has_a_cell() -> None:
    limits = pd.DataFrame({"mu": [0.0, 1.0, 0.5], "sigma2": [0.0, 0.0, 0.25]})
    assert histogram(limits, 10).sum() == 3


def test_divergences_of_known_histograms() -> None:
    one, other = np.array([4.0, 0.0]), np.array([0.0, 4.0])
    assert jensen_shannon(one, other) == pytest.approx(1)
    assert jensen_shannon(one, one) == 0
    assert jensen_shannon(np.array([1.0, 1.0]), np.array([1.0, 0.0])) == pytest.approx(0.311278)
    assert symmetric_kl(one, one) == 0
    # (4.5, 0.5) / 5 against its mirror image: 0.8 log2(9).
    assert symmetric_kl(one, other) == pytest.approx(0.8 * np.log2(9))


def test_a_copy_of_the_real_set_is_no_further_from_it_than_sampling_noise() -> None:
    real = planted(0.6, 0.1, spread=0.2)
    row = divergence_row(real, real, bins=10, bootstraps=200)
    assert row["js"] == 0
    assert row["kl"] == 0
    assert row["js_low"] == 0
    assert 0 < row["js_high"] < 0.1
    assert 0 < row["js_floor"] < 0.1


def test_far_sets_are_far_and_their_interval_knows_the_bound() -> None:
    row = divergence_row(planted(0.95, 0.01), planted(0.05, 0.01), bins=10, bootstraps=50)
    assert row["js"] == pytest.approx(1)
    assert row["js_high"] == 1
    assert row["kl"] > 2


def test_intervals_are_the_same_every_time_and_shrink_with_the_set() -> None:
    def width(images: int) -> float:
        pair = (planted(0.6, 0.1, images, 0.2), planted(0.5, 0.1, images, 0.2))
        row, again = (divergence_row(*pair, bins=10, bootstraps=300) for _ in range(2))
        assert row == again
        return row["js_high"] - row["js_low"]

    assert width(2000) < 0.6 * width(200)


def test_several_sets_are_the_units_of_a_divergence_s_interval() -> None:
    """Within each set all images are alike, so that resampling them would say nothing."""
    places = {0: 0.05, 1: 0.35, 2: 0.65}
    parts = [planted(mu, 0.01).assign(method="dit", seed=seed) for seed, mu in places.items()]
    real = [planted(0.05, 0.01).assign(method="real", seed=seed) for seed in places]
    row = divergence_table(pd.concat(parts + real), "real", ["dit"], 10, 20).iloc[0]
    assert (row["n"], row["images"]) == (3, 600)
    values = np.array([0.0, 1.0, 1.0])
    half = 1.96 * values.std(ddof=1) / np.sqrt(3)
    assert row["js"] == pytest.approx(values.mean())
    assert row["js_low"] == pytest.approx(values.mean() - half)
    assert row["js_high"] == 1
    alone = divergence_row(parts[1], real[1], 10, 20)
    again = divergence_table(pd.concat([parts[1], real[1]]), "real", ["dit"], 10, 20).iloc[0]
    assert {name: again[name] for name in alone} == alone


def test_table_has_shares_for_all_and_divergences_for_all_but_the_real_set() -> None:
    hard = planted(0.1, 0.01, 50).assign(method="dit", zone=["easy"] * 10 + ["hard"] * 40)
    real = planted(0.9, 0.01, 60).assign(method="real", seed=[0, 1] * 30)
    table = divergence_table(pd.concat([hard, real]), "real", ["dit"], 10, 20)
    assert table["method"].tolist() == ["dit", "real"]
    assert table[list(ZONES)].to_numpy().tolist() == [[20, 0, 80], [100, 0, 0]]
    assert table["n"].tolist() == [1, 2]
    assert table["images"].tolist() == [50, 60]
    assert table["js"].isna().tolist() == [False, True]
