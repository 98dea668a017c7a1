"""Diagnoses with planted answers: redundancy, difficulty, neighbours, duplicates."""

import subprocess
import sys

import pandas as pd
import pytest
import torch
from conftest import CLASS_NAMES, CPU, SEEN, SIZE, SPEC, changed

from lgd_core.analysis import diagnosis
from lgd_core.analysis.difficulty import difficulty_frame
from lgd_core.analysis.neighbours import distinct_pairs, near_duplicates, neighbours_table
from lgd_core.base.checkpoints import Checkpoint
from lgd_core.config.models.dataset import AugmentConfig
from lgd_core.config.settings import TrainingSettings
from lgd_core.evaluation.students import cross_accuracies
from lgd_core.figures.diagnose_external import diagnosis_figure
from lgd_core.figures.making import save_figure
from lgd_core.networks.features import nearest, pixel_vectors
from lgd_core.networks.training import Images

UNFLIPPED = changed(
    SEEN, augment=AugmentConfig(crop_scale=[0.9, 1.0], crop_ratio=[0.9, 1.1], flip=0.0)
)
ZONES = {"easy_mean": 0.5, "informative_variance": 0.05}
RECIPE = TrainingSettings(
    epochs=1, batch=12, lr=1e-2, weight_decay=0.01, cutmix=False, evaluations=1
)


def pictures(count: int, key: int) -> torch.Tensor:
    """Return uint8 images (count, 3, 16, 16) of coarse random patterns, none like another."""
    rng = torch.Generator().manual_seed(key)
    coarse = torch.randint(0, 256, (count, 3, 4, 4), generator=rng, dtype=torch.uint8)
    return coarse.repeat_interleave(4, 2).repeat_interleave(4, 3)


def labelled(images: torch.Tensor, labels: torch.Tensor) -> Images:
    return Images.on(CPU, images, labels, UNFLIPPED)


def matrix_of(increments: list[Images], epochs: int) -> list[list[float]]:
    recipe = changed(RECIPE, epochs=epochs)
    return cross_accuracies(SPEC, increments, recipe, ("test",), Checkpoint(None))


def test_identical_increments_are_redundant_and_bring_no_errors(bright):
    matrix = matrix_of([bright] * 3, epochs=12)
    rows = pd.DataFrame(diagnosis.redundancy_rows(matrix))
    assert rows["value"].tolist() == [100.0] * 10, "every cell and the mean"
    errors = diagnosis.complementarity_rows(matrix, [24] * 3)
    assert [(row["tested_on"], row["value"], row["n"]) for row in errors] == [
        (1, 0, 24),
        (2, 0, 24),
    ]


def test_label_noise_on_other_images_is_known_by_chance():
    labels = torch.arange(150) % 3
    increments = [labelled(pictures(150, key), labels) for key in (1, 2)]
    matrix = matrix_of(increments, epochs=12)
    assert matrix[0][0] > 50, "learnt by heart"
    assert matrix[0][1] == pytest.approx(100 / 3, abs=12), "three standard errors"
    assert matrix[1][0] == pytest.approx(100 / 3, abs=12)
    share = diagnosis.complementarity_rows(matrix, [150, 150])[0]
    assert share["value"] == pytest.approx(100 - matrix[0][1])
    assert share["std"] == pytest.approx(3.9, abs=0.3), "of a share of 150"


def test_zones_of_known_beliefs():
    easy, hard, swings = [0.9] * 50, [0.1] * 50, [0.1, 0.9] * 25
    frame = difficulty_frame(torch.tensor([easy, hard, swings, [0.5] * 50]), **ZONES)
    assert frame["zone"].tolist() == ["easy", "hard", "informative", "easy"]
    assert frame["mu"].tolist() == pytest.approx([0.9, 0.1, 0.5, 0.5])
    assert frame["sigma2"].tolist() == pytest.approx([0, 0, 0.16, 0], abs=1e-6)
    rows = {row.get("subject"): row for row in diagnosis.difficulty_rows(frame)[2:]}
    assert rows["easy"]["value"] == 50
    assert rows["informative"]["n"] == 4


def test_correlation_ignores_brightness_and_contrast_but_not_pictures():
    images = pictures(3, 0)
    duller = (images.float() / 2 + 60).round().to(torch.uint8)
    vectors = pixel_vectors(labelled(torch.cat([images, duller]), torch.zeros(6, dtype=torch.long)))
    similarity, index = nearest(vectors, vectors.split(4), torch.arange(6))
    assert index.tolist() == [3, 4, 5, 0, 1, 2]
    assert (similarity > 0.999).all()


def test_pictures_of_one_colour_are_alike_and_like_nothing_else():
    blank = torch.full((2, 3, SIZE, SIZE), 7, dtype=torch.uint8)
    blank[1] = 200
    data = labelled(torch.cat([blank, pictures(1, 0)]), torch.zeros(3, dtype=torch.long))
    vectors = pixel_vectors(data)
    assert (vectors @ vectors.T).tolist() == [
        pytest.approx(row, abs=1e-5) for row in ([1, 1, 0], [1, 1, 0], [0, 0, 1])
    ]


def test_nearest_counts_rows_over_parts():
    others = torch.nn.functional.normalize(torch.randn(7, 5, generator=torch.manual_seed(0)))
    similarity, index = nearest(others[[5, 0]], others.split(3))
    assert index.tolist() == [5, 0]
    assert similarity.tolist() == pytest.approx([1, 1])


@pytest.fixture
def neighbours(reference) -> tuple[pd.DataFrame, float]:
    """Return a diagnosis of six images: 0 real, 1 nearly real, 2 and 3 alike, 4 and 5 nearly."""
    real = pictures(90, 1), torch.arange(90) % 3
    images = pictures(6, 2)
    images[0] = real[0][41]
    noise = torch.randint(0, 4, images.shape, generator=torch.manual_seed(0), dtype=torch.uint8)
    images[1] = (real[0][7] // 2 + 40) + noise[1]
    images[3] = images[2]
    images[5] = images[4].clamp(8, 240) + noise[5]
    labels = torch.tensor([2, 1, 0, 0, 1, 1])
    table = pd.DataFrame(
        {
            "file": [f"{i}.png" for i in range(6)],
            "class": [CLASS_NAMES[label] for label in labels.tolist()],
            "label": labels.tolist(),
            "increment": [0, 0, 0, 1, 1, 1],
        }
    )
    return neighbours_table(table, images, real, reference, UNFLIPPED, CLASS_NAMES, CPU)


def test_copies_of_real_images_are_found(neighbours):
    table, threshold = neighbours
    assert table["pixels_row"][:2].tolist() == [41, 7]
    assert table["reference_row"][0] == 41
    assert table["pixels_class"][:2].tolist() == ["cat", "bee"]
    assert (table["pixels_similarity"] >= threshold).tolist() == [True, True] + [False] * 4
    rows = {(r["metric"], r.get("subject")): r for r in diagnosis.neighbour_rows(*neighbours)}
    assert rows["near_copies_of_real", "pixels"]["value"] == pytest.approx(100 / 3)


def test_exact_and_nearly_exact_duplicates_are_found(neighbours):
    table, threshold = neighbours
    found = near_duplicates(table, threshold)
    assert found["file"].tolist()[:2] == ["2.png", "3.png"], "the most alike first"
    assert sorted(found["file"].tolist()) == ["2.png", "3.png", "4.png", "5.png"]
    partners = dict(zip(found["file"], found["within_file"], strict=True))
    assert partners == {"2.png": "3.png", "3.png": "2.png", "4.png": "5.png", "5.png": "4.png"}
    assert distinct_pairs(found)["file"].tolist() == ["2.png", "4.png"]
    assert distinct_pairs(found[:0]).empty
    rows = {row["metric"]: row for row in diagnosis.neighbour_rows(table, threshold)}
    assert rows["images_with_one"]["value"] == pytest.approx(400 / 6)


def test_threshold_is_what_real_images_hardly_reach():
    assert diagnosis.duplicate_threshold(torch.linspace(0, 0.9, 1001)) == pytest.approx(0.8991)
    assert diagnosis.duplicate_threshold(torch.ones(5)) == diagnosis.IDENTICAL


def test_accuracy_rows_have_mean_spread_and_n():
    runs = [{"top1": 60.0, "best_top1": 62.0}, {"top1": 64.0, "best_top1": 64.0}]
    last, best = diagnosis.accuracy_rows({"ConvNet-3": runs})
    assert (last["subject"], last["metric"], last["value"], last["n"]) == (
        "ConvNet-3",
        "top1",
        62,
        2,
    )
    assert last["std"] == pytest.approx(8**0.5)
    assert best["value"] == 63


@pytest.mark.parametrize("increments", [1, 2])
def test_figure_shows_the_numbers_of_its_table(neighbours, tmp_path, increments):
    table, threshold = neighbours
    matrix = [[90.0, 50.0], [40.0, 95.0]] if increments == 2 else [[90.0]]
    difficulty = difficulty_frame(torch.rand(6, 50, generator=torch.manual_seed(0)), **ZONES)
    frame = diagnosis.diagnosis_table(
        diagnosis.accuracy_rows({"ConvNet-3": [{"top1": 61.0, "best_top1": 62.0}]})
        + diagnosis.redundancy_rows(matrix)
        + diagnosis.complementarity_rows(matrix, [3, 3])
        + diagnosis.difficulty_rows(difficulty)
        + diagnosis.neighbour_rows(table, threshold)
    )
    assert list(frame.columns) == list(diagnosis.COLUMNS)
    pairs = pictures(8, 3).unflatten(0, (4, 2))[: 4 * (increments - 1)]
    figure = diagnosis_figure("mine", frame, difficulty, table, pairs, ZONES, "viridis")
    titles = [axis.get_title() for axis in figure.axes]
    mean = "mean off-diagonal 45.0 %" if increments == 2 else "one increment"
    assert f"Redundancy: {mean}" in titles
    assert "Near-duplicates in the set: 66.7 % of images" in titles
    bars = [patch.get_height() for patch in figure.axes[1].patches]
    assert bars == ([50.0] if increments == 2 else [])
    save_figure(figure, tmp_path / "d.png", 60, {})


def test_a_diagnosis_needs_no_prior():
    code = (
        "import sys, lgd_core.analysis.diagnosis, lgd_core.analysis.neighbours, "
        "lgd_core.exchange.arriving, lgd_core.figures.diagnose_external; "
        "sys.exit('diffusers' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-W", "ignore", "-c", code]).returncode == 0
