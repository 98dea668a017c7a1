"""The commands for ImageNette and ImageWoof, on a miniature of ImageNet and of DiT."""

import json
from collections import Counter
from pathlib import Path

import pandas as pd
import pytest
from conftest import Project, kill, start, wait_for
from miniature import DATASETS, build, class_paths, copy_product

from lgd_core.base.tensors import load_tensors
from lgd_core.config.schema import load_yaml

GOLDEN = Path(__file__).parents[1] / "golden" / "imagenette_jobs.json"
MINIATURE = ("--configfile", "config/test/imagenette_mini.yaml")
STUDENTS = ["ConvNet-6", "ResNetAP-10", "ResNet-18"]


@pytest.fixture(scope="module")
def miniature(tmp_path_factory):
    """A project folder with the miniature in it."""
    folder = tmp_path_factory.mktemp("miniature") / "project"
    build(folder)
    return Project(folder, ("--cores", "1", "--resources", "gpu=1", *MINIATURE))


@pytest.fixture(autouse=True)
def data(monkeypatch):
    monkeypatch.setenv("LGD_DATA", "miniature/imagenet")


@pytest.mark.slow
def test_imagenette_at_100_images_per_class(miniature):
    """Ten increments, all three students; the second call has nothing to do."""
    target = "results/imagenette_ipc100/table.csv"
    miniature.make("--", target)
    table = pd.read_csv(miniature.folder / target)
    assert list(table["student"]) == [*STUDENTS, "ResNetAP-10-w16"]
    assert list(table["method"]) == ["lgd", "lgd", "lgd", "full"]
    assert table["paper_top1"].isna().all(), "the paper's numbers are of all of ImageNet"
    increment, metadata = load_tensors(
        miniature.folder / "results/imagenette/lgd/s0/k9/increment.safetensors"
    )
    assert increment["images"].shape == (100, 3, 72, 72)
    assert increment["latents"].shape == (100, 4, 9, 9)
    assert metadata["drawn"]["recipe"]["prior_labels"] == [
        0,
        217,
        482,
        491,
        497,
        566,
        569,
        571,
        574,
        701,
    ]
    assert "Nothing to be done" in miniature.make("--", target)


def test_imagewoof_with_a_killed_shard(miniature):
    """Two increments in two shards, one of them killed; options in the other order."""
    woof = Project(miniature.folder, ("--resources", "gpu=1", "--cores", "1", *MINIATURE))
    target = "results/imagewoof_ipc20/table.csv"
    words = ("--config", "shards=2", "checkpoint_seconds=0.1", "--", target)
    process = start(woof, *words)
    wait_for(woof, "results/.resume/sample_candidates,*/*/*.pt", process)
    kill(process)
    woof.make("--unlock")
    woof.make(*words)
    log = woof.folder / "results/logs/sample_candidates/imagewoof_lgd_s0_k1_0of2.log"
    first = next(line for line in log.read_text().splitlines() if "candidates:" in line)
    assert "| 0/10" not in first, "goes on from the positions that were kept"
    table = pd.read_csv(woof.folder / target)
    assert list(table["student"][:3]) == STUDENTS
    _, metadata = load_tensors(woof.folder / "results/imagewoof/lgd/s0/k1/increment.safetensors")
    assert metadata["drawn"]["recipe"]["prior_labels"] == [
        193,
        182,
        258,
        162,
        155,
        167,
        159,
        273,
        207,
        229,
    ]
    # What a class is called is seen in the sets and nowhere before them.
    woof.replace("config/datasets/imagewoof.yaml", "name: Australian terrier", "name: terrier")
    planned = {rule for rule, _, _ in woof.planned(*words)}
    woof.replace("config/datasets/imagewoof.yaml", "name: terrier", "name: Australian terrier")
    assert planned == {"merge_increment"}


@pytest.fixture
def real(tmp_path):
    """A project with the real configuration, and empty files where ImageNet's images would be."""
    copy_product(tmp_path / "project")
    for dataset in DATASETS:
        for known in load_yaml(tmp_path / f"project/config/datasets/{dataset}.yaml")["classes"]:
            for path in class_paths(tmp_path / "imagenet", known, {"train": 732, "val": 50}):
                path.parent.mkdir(parents=True, exist_ok=True)
                path.touch()
    return Project(tmp_path / "project", ("--cores", "1", "--resources", "gpu=1"))


@pytest.mark.parametrize("ipc", ["50", "100"])
def test_real_configuration_has_the_jobs_of_the_golden_file(real, monkeypatch, ipc):
    monkeypatch.setenv("LGD_DATA", str(real.folder.parent / "imagenet"))
    jobs = Counter()
    for (rule, *_), number in real.planned("--", f"results/imagenette_ipc{ipc}/table.csv").items():
        jobs[rule] += number
    assert jobs == json.loads(GOLDEN.read_text())[ipc]


def test_imagenet_that_is_nowhere_is_one_line(real, monkeypatch):
    monkeypatch.delenv("LGD_DATA")
    done = real.run("-n", "--", "results/imagenette_ipc100/table.csv")
    lines = [line for line in done.stderr.splitlines() if line.startswith("error: ")]
    assert done.returncode != 0
    assert len(lines) == 1
    assert "LGD_DATA" in lines[0]
