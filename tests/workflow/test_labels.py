"""Several protocols of one run: hard labels, stored and online labels of a teacher."""

import shutil

import pandas as pd
import pytest
from conftest import TARGETS, Project, copy_of
from test_damage import refusal

from lgd_core.base.files import read_json
from lgd_core.base.tensors import load_tensors

NAMES = ["hard", "hard_steps", "soft_steps", "soft_kd_steps"]
CHOSEN = ("--config", f"protocols=[{','.join(NAMES)}]")
LGD = "results/digits/lgd/s0/k1"


@pytest.fixture(scope="module")
def judged(finished, tmp_path_factory) -> Project:
    """The finished project, its sets evaluated by four protocols; not to be changed."""
    project = copy_of(finished, tmp_path_factory.mktemp("judged") / "project")
    project.make(*CHOSEN, "--", TARGETS[0])
    return project


def test_more_protocols_keep_the_students_of_the_first(finished):
    planned = finished.planned(*CHOSEN, "--", TARGETS[0])
    jobs = {rule: sum(n for (r, *_), n in planned.items() if r == rule) for rule, *_ in planned}
    assert jobs == {"label_increments": 3, "evaluate": 3 * 3 * 2, "table": 1}


def test_the_table_has_a_row_per_method_and_protocol(finished, judged):
    table = pd.read_csv(judged.folder / TARGETS[0])
    rows = table[table["method"] != "full"]
    methods = ["random", "dit", "lgd"]
    assert rows["protocol"].tolist() == [name for name in NAMES for _ in methods]
    assert rows["method"].tolist() == methods * len(NAMES)
    assert (rows["n"] == 2).all()
    assert rows["top1_mean"].between(10, 100).all()
    before = pd.read_csv(finished.folder / TARGETS[0])
    pd.testing.assert_frame_equal(table[:3], before[:3])
    # 200 images with 10 probabilities of two bytes each.
    sizes = dict(zip(rows["protocol"], rows["label_bytes"], strict=True))
    assert sizes == {"hard": 0, "hard_steps": 0, "soft_steps": 4000, "soft_kd_steps": 0}


def test_students_of_equal_steps_start_alike_and_learn_something_else(judged):
    found = [
        read_json(judged.folder / LGD / f"evaluate/{name}/ConvNet-3-w32/r0.json")
        for name in NAMES[1:]
    ]
    assert [each["recipe"]["evaluation"]["steps"] for each in found] == [200] * 3
    assert len({(each["top1"], each["best_top1"], each["validation_top1"]) for each in found}) > 1


def test_stored_labels_say_whose_they_are(judged):
    tensors, facts = load_tensors(judged.folder / LGD / "labels/soft_steps.safetensors")
    assert tensors["log_probabilities"].shape == (200, 10)
    assert tensors["log_probabilities"].float().exp().sum(1).sub(1).abs().max() < 0.01
    assert facts["classes"] == 10
    assert {"labelled", "fingerprint", "versions", "recipe"} <= facts.keys()


def test_another_temperature_of_a_protocol_repeats_its_students_alone(judged):
    options = "overrides={protocols: {soft_steps: {labels: {temperature: 2.0}}}}"
    planned = judged.planned(*CHOSEN, options, "--", TARGETS[0])
    assert {rule for rule, *_ in planned} == {"label_increments", "evaluate", "table"}
    assert sum(n for (rule, *_), n in planned.items() if rule == "evaluate") == 3 * 2


def test_labels_of_another_set_stop_the_student_with_one_line(judged, tmp_path):
    project = copy_of(judged, tmp_path / "project")
    labels = project.folder / LGD / "labels/soft_steps.safetensors"
    shutil.copy(project.folder / "results/digits/dit/s0/k1/labels/soft_steps.safetensors", labels)
    student = f"{LGD}/evaluate/soft_steps/ConvNet-3-w32/r0.json"
    (project.folder / student).unlink()
    assert f"{LGD}/labels/soft_steps.safetensors: labelled: found" in refusal(
        project, *CHOSEN, "--", student
    )
