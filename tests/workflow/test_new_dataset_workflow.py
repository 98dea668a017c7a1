"""From a folder of images to a table, by way of the recipe that the command proposes."""

import csv
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import yaml
from conftest import Project, new_project
from PIL import Image, ImageDraw

NAMES = ["blue circle", "green bar", "grey cross", "red square", "two dots"]
# Over what is proposed, so that everything is trained in seconds.
TINY = {
    "datasets": ["shapes"],
    "methods": ["random", "dit"],
    "ipc": [4],
    "runs": 1,
    "device": "cpu",
    "overrides": {
        "datasets": {
            "shapes": {
                "image": {"size": 16},
                "prior": {
                    "train": {
                        "autoencoder": {"widths": [8, 16], "steps": 20, "batch": 16},
                        "transformer": {"heads": 2, "head_dim": 8, "layers": 1, "steps": 20},
                    }
                },
                "reference": {"epochs": 2, "evaluations": 1},
                "evaluation": {"epochs": {50: 60}, "evaluations": 1},
                "recipes": {
                    "dit": {"ipc_per_increment": 2, "sampler": {"steps": 4}},
                    "random": {"ipc_per_increment": 2},
                },
            }
        }
    },
}


def draw(name: str, number: int) -> Image.Image:
    """Draw the shape that a class is named after, somewhere on noise."""
    rng = np.random.default_rng([NAMES.index(name), number])
    width, height = (int(side) for side in rng.integers(26, 44, 2))
    image = Image.fromarray(rng.integers(0, 70, (height, width, 3), dtype=np.uint8))
    pen, (left, top) = ImageDraw.Draw(image), (int(place) for place in rng.integers(0, 10, 2))
    box = (left, top, left + 15, top + 15)
    if name == "blue circle":
        pen.ellipse(box, fill=(60, 80, 230))
    elif name == "green bar":
        pen.rectangle((0, top, width, top + 7), fill=(60, 220, 60))
    elif name == "red square":
        pen.rectangle(box, fill=(230, 60, 60))
    elif name == "two dots":
        pen.ellipse((left, top, left + 7, top + 7), fill=(240, 240, 60))
        pen.ellipse((left + 8, top + 8, left + 15, top + 15), fill=(240, 240, 60))
    else:
        pen.line((left, top, left + 15, top + 15), fill=(200, 200, 200), width=4)
        pen.line((left, top + 15, left + 15, top), fill=(200, 200, 200), width=4)
        return image.convert("L")
    return image


@pytest.fixture(scope="module")
def shapes(tmp_path_factory) -> Project:
    """A project with a folder of images, one of them broken, and the recipe proposed for it."""
    folder = tmp_path_factory.mktemp("shapes") / "project"
    project = new_project(folder)
    project.options = ("--cores", "1", "--configfile", "shapes.yaml")
    (folder / "shapes.yaml").write_text(yaml.safe_dump(TINY))
    for name in NAMES:
        (folder / "my shapes" / name).mkdir(parents=True)
        for number in range(60):
            draw(name, number).save(folder / "my shapes" / name / f"{number:03d}.png")
    (folder / "my shapes" / "red square" / "007.png").write_bytes(b"broken")
    words = [sys.executable, "-m", "lgd_core.config", "new-dataset", "my shapes"]
    done = subprocess.run(
        [*words, "--name", "shapes"], cwd=folder, capture_output=True, text=True, check=True
    )
    project.output = done.stdout
    return project


def test_the_command_that_it_names_is_one_that_can_run(shapes: Project) -> None:
    *_, line = shapes.output.splitlines()
    words = line.removeprefix("next: snakemake ").split()
    plain = Project(shapes.folder, options=())
    jobs = plain.planned(*words)
    assert words[-1] == "results/shapes_ipc20/table.csv"
    assert {"prepare_dataset", "train_prior", "evaluate", "table"} <= {rule for rule, *_ in jobs}


def test_a_folder_becomes_a_table(shapes: Project) -> None:
    target = Path("results/shapes_ipc4/table.csv")
    shapes.make("--", str(target))
    with open(shapes.folder / target, newline="") as stream:
        rows = {row["method"]: row for row in csv.DictReader(stream)}
    assert {"random", "dit"} <= set(rows)
    assert float(rows["random"]["top1_mean"]) > 30, "of five classes, 20 % is chance"
    facts = yaml.safe_load((shapes.folder / "results/shapes/data/prepared.json").read_text())
    assert facts["images"]["test"] == dict.fromkeys(NAMES, 12)
    assert [line.split(":")[0] for line in facts["skipped"]] == ["my shapes/red square/007.png"]
