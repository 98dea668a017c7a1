"""A learner that trains by a protocol: its stamp, its costs, and what an edit repeats."""

import pandas as pd
import pytest
from conftest import TARGETS, Project, copy_of
from test_damage import refusal

from lgd_core.base.files import read_json
from lgd_core.base.tensors import load_tensors

LGD = "results/digits/lgd/s0"
LEARNER = f"{LGD}/k1/learner.safetensors"
TABLES = ("results/digits_ipc20/dynamics.csv", "results/digits_ipc20/cost.csv")


def by(protocol: str, keys: str = "", changes: str = "") -> tuple[str, str]:
    """Return options for a learner of lgd by a protocol, with other keys, and changes to it."""
    learner = f"methods: {{lgd: {{learner: {{protocol: {protocol}{keys}}}}}}}"
    brief = f"protocols: {{{protocol}: {{steps: 30{changes}}}}}"
    # The data set's own number of steps would hold otherwise.
    return "--config", f"overrides={{{learner}, {brief}}}"


ONLINE, STORED = by("soft_kd_steps"), by("soft_steps", ", architecture: ConvNet-3-w32-bn")


@pytest.fixture(scope="module")
def taught(finished, tmp_path_factory) -> Project:
    """The finished project, the learner of lgd trained by a protocol; not to be changed."""
    project = copy_of(finished, tmp_path_factory.mktemp("taught") / "project")
    project.make(*ONLINE, "--", LEARNER, *TABLES)
    return project


def test_another_learner_repeats_what_it_guides(finished):
    planned = finished.planned(*ONLINE, "--", TARGETS[0])
    assert ("train_learner", "lgd", "0") in planned
    assert ("sample_candidates", "lgd", "1") in planned
    assert {method for _, method, _ in planned} <= {"lgd", ""}
    assert not any(rule in ("train_reference", "seed_increment") for rule, *_ in planned)


def test_a_learner_says_by_which_protocol_it_is_trained(taught):
    tensors, facts = load_tensors(taught.folder / LGD / "k1/learner.safetensors")
    learner = facts["recipe"]["learner"]
    assert learner["protocol"] == "soft_kd_steps"
    assert (learner["lesson"]["labels"]["source"], learner["lesson"]["steps"]) == ("online", 30)
    assert "patience" not in learner
    assert (facts["images"], facts["network"]["name"]) == (200, "ConvNet-3-w32")
    assert all(tensor.isfinite().all() for tensor in tensors.values())


def test_its_curve_has_a_row_per_epoch_and_figures_read_it(taught):
    made = [read_json(taught.folder / f"{LGD}/k{k}/learner.json") for k in range(2)]
    lengths = []
    for learner in made:
        batch = learner["recipe"]["learner"]["lesson"]["batch"]
        lengths.append(-(-30 // -(-learner["images"] // batch)))
        assert {row["phase"] for row in learner["curve"]} == {"protocol"}
        assert len(learner["curve"]) == lengths[-1]
    assert made[0]["curve"][-1]["loss"] < made[0]["curve"][0]["loss"]
    table = pd.read_csv(taught.folder / "results/digits_ipc20/dynamics.csv")
    rows = table[table["method"] == "lgd"]
    assert (rows["phase"] == "protocol").sum() == len(rows) == sum(lengths)
    expected = [learner["top1"] for learner in made]
    assert rows["top1"].dropna().tolist() == pytest.approx(expected, abs=0.01)


def test_its_images_are_counted_by_the_protocol(taught):
    table = pd.read_csv(taught.folder / "results/digits_ipc20/cost.csv")
    lesson = read_json(taught.folder / LGD / "k0/learner.json")["recipe"]["learner"]["lesson"]
    whole, rest = divmod(30, -(-100 // lesson["batch"]))
    found = table.set_index(["stage", "method"]).loc[("train_learner", "lgd"), "images"]
    assert found == whole * 100 + rest * lesson["batch"], "of 100 images of increment 0"


def test_edits_repeat_the_learner_where_they_act(taught):
    assert "Nothing to be done" in taught.make("-n", *ONLINE, "--", LEARNER)
    idle = by("soft_kd_steps", ", patience: 77, lr: 0.5, monitor: validation")
    assert "Nothing to be done" in taught.make("-n", *idle, "--", LEARNER)
    untested = by("soft_kd_steps", "", ", evaluations: {every: 1}")
    assert "Nothing to be done" in taught.make("-n", *untested, "--", LEARNER)
    for keys, changes in (("", ", labels: {temperature: 2.0}"), (", ema_decay: 0.5", "")):
        planned = taught.planned(*by("soft_kd_steps", keys, changes), "--", LEARNER)
        assert ("train_learner", "lgd", "0") in planned
        assert ("train_learner", "lgd", "1") in planned
        assert not any(rule in ("train_reference", "label_increments") for rule, *_ in planned)


def test_stored_labels_and_batch_norm_go_on_to_the_next_increment(finished, tmp_path):
    project = copy_of(finished, tmp_path / "project")
    project.make(*STORED, "--", LEARNER)
    initial = None
    for k in range(2):
        tensors, facts = load_tensors(project.folder / f"{LGD}/k{k}/learner.safetensors")
        assert facts["recipe"]["learner"]["lesson"]["labels"]["source"] == "stored"
        names = [name for name in tensors if name.endswith("running_mean")]
        assert len(names) == 3
        assert all(tensors[name].isfinite().all() for name in tensors)
        assert all(tensors[name].abs().max() > 1e-3 for name in names)
        counts = {int(t) for name, t in tensors.items() if name.endswith("num_batches_tracked")}
        assert counts == {30 * (k + 1)}, "k = 1 continues from k = 0"
        assert initial is None or not tensors[names[0]].equal(initial)
        initial = tensors[names[0]]
    assert not (project.folder / LGD / "k0/labels").exists(), "made within the learner's job"


def test_an_unknown_protocol_stops_before_any_job_with_one_line(finished):
    unknown = "overrides={methods: {lgd: {learner: {protocol: soft_stepz}}}}"
    said = refusal(finished, "--config", unknown, "--", TARGETS[0])
    assert "learner.protocol: unknown protocol 'soft_stepz'" in said
    assert "did you mean 'soft_steps'?" in said
