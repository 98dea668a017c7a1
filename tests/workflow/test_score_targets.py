"""Scores of two methods on digits: rates are chosen on held-out images, and nothing runs twice."""

import pandas as pd
import pytest
from conftest import Project, copy_of

from lgd_core.analysis.leaderboard import entry
from lgd_core.analysis.scores import SCORE_COLUMNS
from lgd_core.base.files import read_json

SCORES = "results/digits_ipc20/scores.csv"
RATES = [0.0001, 0.001]
KEYS = f"{{rounds: 2, rates: {RATES}, protocol: hard_steps}}"
STEPS = "overrides={protocols: {hard_steps: {steps: 100}}}"
RUN = ("--config", "methods=[random,lgd]", f"scores={KEYS}", STEPS)
# On all real images, for students of another architecture than the reference's.
FULL = "results/digits/reference/full/ConvNet-2-w8.json"
ARMS = "results/digits/{}/k1/scores/hard_steps/{}/ConvNet-3-w32.json"


@pytest.fixture(scope="module")
def scored(finished, tmp_path_factory) -> Project:
    """The finished project with scores of two of its methods; not to be changed."""
    project = copy_of(finished, tmp_path_factory.mktemp("scored") / "project")
    project.make(*RUN, "--", SCORES, FULL)
    return project


def test_only_what_scores_need_beside_a_table_is_made(finished):
    planned = finished.planned(*RUN, "--", SCORES)
    assert planned["score_set", "lgd", "1"] == 2
    assert planned["score_set", "random", "1"] == 4, "the method's set, and random subsets"
    assert planned["measure_fidelity", "lgd", "1"] == 1
    rules = {rule for rule, *_ in planned}
    others = {"seed_increment", "sample_candidates", "select_increment"}
    assert rules - others == {"score_set", "measure_fidelity", "scores"}, "the student is a ConvNet"
    assert {method for rule, method, _ in planned if rule in others} == {"random"}, "seed 1"


def test_scores_made_again_repeat_no_job(scored):
    assert "Nothing to be done" in scored.make("-n", *RUN, "--", SCORES)


def test_a_student_s_architecture_learns_all_real_images(scored):
    assert read_json(scored.folder / FULL)["top1"] > 50


def test_the_rate_is_the_best_on_held_out_images(scored):
    for sets in ("random/s0to1", "random/s0", "lgd/s0"):
        for arm in ("own", "unaugmented"):
            found = read_json(scored.folder / ARMS.format(sets, arm))
            accuracies = dict(zip(found["validation_top1"], found["rates"], strict=True))
            assert found["rates"] == RATES
            assert len(accuracies) == 2
            assert found["lr"] == accuracies[max(accuracies)]
            assert len(found["top1"]) == 2


def test_random_subsets_are_another_one_in_every_round(scored):
    own, subsets = (
        read_json(scored.folder / ARMS.format(f"random/{sets}", "own"))["top1"]
        for sets in ("s0", "s0to1")
    )
    assert own[0] == subsets[0], "the first subset is the method's set"
    assert own[1] != subsets[1]


def test_the_table_has_scores_and_what_is_behind_them(scored):
    table = pd.read_csv(scored.folder / SCORES)
    assert tuple(table.columns) == SCORE_COLUMNS
    assert table["method"].tolist() == ["random", "lgd"]
    assert table[["n", "sets", "label_bytes"]].to_numpy().tolist() == [[2, 1, 0]] * 2
    assert set(table["real_from"]) == {"reference"}
    full = read_json(scored.folder / "results/digits/reference/metrics.json")["top1"]
    for row in table.to_dict("records"):
        assert row["hlr"] == pytest.approx(full - row["hard_top1"], abs=0.02)
        assert row["ior"] == pytest.approx(row["own_top1"] - row["random_own_top1"], abs=0.02)
    for name in ("lrs", "ars", "precision", "recall", "coverage"):
        assert table[name].between(0, 1).all(), name
    assert table["vendi_score"].between(1, 20).all()
    pictures = (scored.folder / "results/digits/lgd/s0/k1/distilled").rglob("*.png")
    assert table["image_bytes"][1] == sum(path.stat().st_size for path in pictures)
    assert entry(scored.folder / SCORES, "lgd").splitlines()[1].startswith("digits,20,lgd,hard,")


def test_soft_labels_have_an_arm_of_hard_ones(scored):
    options = ("--config", "methods=[lgd]", "protocols=[soft_steps]", "students=[ConvNet-2-w32]")
    planned = scored.planned(*options, "--", SCORES)
    assert planned["score_set", "lgd", "1"] == 3
    assert planned["score_set", "random", "1"] == 2
    assert planned["label_increments", "lgd", "1"] == 1
    assert planned["label_increments", "random", "1"] == 5, "one per subset"
    assert planned["train_full", "", ""] == 1
