"""Time and memory over the number of classes: 10, 100 and 1,000, in shards of 10.

``pytest -m slow tests/workflow/test_scale.py -s`` prints what docs/imagenet.md has.
"""

import csv
import dataclasses
import time
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from conftest import Project
from miniature import build_prior, copy_product, write_image, write_teacher

from lgd_core.config.classes import read_classes

CLASSES = (10, 100, 1000)
SHARD = 10
TARGET = "results/imagenet1k/dit/s0/k1/evaluate/hard/ResNetAP-10-w8-bn/r0.json"
FOLDER = "results/imagenet1k/dit/s0/k1/distilled"
OVERRIDES = """
datasets: [imagenet1k]
methods: [dit]
protocols: [hard]
runs: 1
overrides:
  datasets:
    imagenet1k:
      classes: classes.csv
      image: {size: 32, train_size: 24}
      source: {complete: false, test_resize: 28, folder: imagenet}
      prior: {source: prior, revision: null, vae: null, vae_revision: null}
      reference: {architecture: ResNetAP-10-w8-bn, weights: teacher.safetensors}
      influence: {surrogate: {architecture: ConvNet-4-w8}}
      evaluation: {students: [ResNetAP-10-w8-bn], epochs: {50: 1}, evaluations: 1}
      recipes:
        dit:
          ipc_per_increment: 25
          sampler: {steps: 2, classes_per_batch: null}
          learner: {architecture: ResNetAP-10-w8-bn}
"""


def build(folder: Path, count: int) -> Project:
    """Make a project with the first classes of ImageNet-1K, one training and test image each."""
    copy_product(folder)
    (folder / "scale.yaml").write_text(OVERRIDES)
    classes = read_classes(str(folder / "config/classes/imagenet1k.csv"), "scale")[:count]
    with open(folder / "classes.csv", "w", newline="") as stream:
        writer = csv.DictWriter(stream, ["wnid", "name"])
        writer.writeheader()
        writer.writerows(classes)
    for index, known in enumerate(classes):
        write_image(folder / "imagenet", known["wnid"], index)
    write_teacher(folder / "teacher.safetensors")
    build_prior(folder / "prior", 32, 2)
    return Project(folder, ("--cores", "2", "--configfile", "scale.yaml"))


@pytest.fixture(scope="module")
def measured(tmp_path_factory: pytest.TempPathFactory) -> pd.DataFrame:
    """Make 50 images per class for each number of classes; return seconds and MB by stage."""
    rows = []
    for count in CLASSES:
        project = build(tmp_path_factory.mktemp("scale") / str(count), count)
        start = time.monotonic()
        project.make("--config", f"shards={count // SHARD}", "--", TARGET, FOLDER)
        rows.append({"classes": count, "wall": time.monotonic() - start} | peaks(project))
    table = pd.DataFrame(rows).set_index("classes")
    print(table.round(1).to_string())
    return table


def peaks(project: Project) -> dict[str, float]:
    """Return the largest main memory in MB of the jobs of some stages."""
    folder = project.folder / "results/benchmarks"
    return {
        stage: max(
            pd.read_csv(path, sep="\t", na_values="-")["max_rss"].max()
            for path in (folder / stage).iterdir()
        )
        for stage in ("sample_candidates", "select_increment", "merge_increment", "evaluate")
    }


@pytest.mark.slow
def test_time_is_linear_in_classes(measured: pd.DataFrame) -> None:
    classes, wall = np.array(CLASSES), measured["wall"].to_numpy()
    assert np.corrcoef(classes, wall)[0, 1] ** 2 > 0.98
    # A square would give 100 times as much for the larger step, and still a high correlation.
    assert (wall[2] - wall[1]) / (wall[1] - wall[0]) < 15


@pytest.mark.slow
@pytest.mark.parametrize("stage", ["sample_candidates", "select_increment", "merge_increment"])
def test_memory_is_flat_where_shards_are_equal(measured: pd.DataFrame, stage: str) -> None:
    assert measured[stage].max() / measured[stage].min() < 1.2


@pytest.mark.slow
def test_memory_of_students_is_that_of_their_images(measured: pd.DataFrame) -> None:
    """At the size that networks see, and not several times over."""
    images = 50 * 990 * 3 * 24 * 24 / 1e6
    assert measured["evaluate"][1000] - measured["evaluate"][10] < 3 * images


@pytest.mark.slow
def test_a_thousand_classes_in_64_shards_are_planned_in_ten_seconds(
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    project = build(tmp_path_factory.mktemp("plan") / "project", 1000)
    cold = dataclasses.replace(project, options=(*project.options, "--config", "shards=64"))
    start = time.monotonic()
    cold.make("-n", "--quiet", "--", "results/imagenet1k_ipc50/table.csv")
    assert time.monotonic() - start < 10
