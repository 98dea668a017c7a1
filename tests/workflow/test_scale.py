"""Time and memory over the number of classes: 10, 100 and 1,000, in shards of 10.

``pytest -m slow tests/workflow/test_scale.py -s`` prints the table in docs/imagenet.md.
"""

import csv
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
TABLE = "results/imagenet1k_ipc50/table.csv"
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
        lgd: {window: [1, 1]}
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
        project.make("--config", f"shards={count // SHARD}", "--", TARGET, FOLDER)
        rows.append({"classes": count} | costs(project))
    table = pd.DataFrame(rows).set_index("classes")
    print(table.round(1).to_string())
    return table


def costs(project: Project) -> dict[str, float]:
    """Return the seconds of all jobs and, by stage, the largest main memory of a job in MB."""
    files = sorted((project.folder / "results/benchmarks").glob("*/*"))
    read = {path: pd.read_csv(path, sep="\t", na_values="-") for path in files}
    peaks: dict[str, float] = {}
    for path, table in read.items():
        stage = path.parent.name
        peaks[stage] = max(peaks.get(stage, 0), table["max_rss"].max())
    return {"seconds": sum(table["s"].sum() for table in read.values())} | peaks


@pytest.mark.slow
def test_time_is_linear_in_classes(measured: pd.DataFrame) -> None:
    classes, seconds = np.array(CLASSES), measured["seconds"].to_numpy()
    assert np.corrcoef(classes, seconds)[0, 1] ** 2 > 0.98
    # A square would give 100 times as much for the larger step, and still a high correlation.
    assert (seconds[2] - seconds[1]) / (seconds[1] - seconds[0]) < 15


@pytest.mark.slow
def test_memory_of_sampling_is_flat_where_shards_are_equal(measured: pd.DataFrame) -> None:
    assert measured["sample_candidates"].max() / measured["sample_candidates"].min() < 1.2


# MB of what 990 classes more have: images as they are stored, with latents, and as networks see
# them. Memory counts the pages of files that are mapped.
STORED = 50 * 990 * (3 * 32 * 32 + 4 * 4 * 4 * 4) / 1e6
SEEN = 50 * 990 * 3 * 24 * 24 / 1e6


@pytest.mark.slow
@pytest.mark.parametrize(
    ("stage", "held"),
    [
        # One increment of two, as it is read and as it is written.
        ("select_increment", STORED),
        ("merge_increment", STORED),
        # A set is joined at the size that networks see, and is there twice at that moment.
        ("evaluate", STORED + 2 * SEEN),
    ],
)
def test_other_stages_hold_what_they_make(measured: pd.DataFrame, stage: str, held: float) -> None:
    assert measured[stage][1000] - measured[stage][10] < 1.1 * held


@pytest.mark.slow
def test_a_thousand_classes_in_64_shards_are_planned_in_ten_seconds(
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    """As users call it: nothing is imported beforehand."""
    project = build(tmp_path_factory.mktemp("plan") / "project", 1000)
    words = ("-n", "--quiet", "--config", "shards=64", "methods=[random,dit,lgd]")
    start = time.monotonic()
    done = project.run(*words, "--", TABLE, env={"LGD_COLD_TESTS": "1"})
    assert done.returncode == 0, done.stderr
    assert time.monotonic() - start < 10
