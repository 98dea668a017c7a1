"""Figures that explain methods, and the tables that they are drawn from."""

import json

import pandas as pd
import pytest
from conftest import ANALYSES

from lgd_core.base.tensors import load_tensors

METHODS = ["random", "dit", "lgd"]


def table(project, name: str) -> pd.DataFrame:
    return pd.read_csv(project.folder / f"results/digits_ipc20/{name}.csv")


def test_complementarity_is_row_0_of_the_cross_increment_matrix(finished):
    found = table(finished, "complementarity")
    assert found["method"].tolist() == METHODS
    for _, row in found.iterrows():
        path = finished.folder / f"results/digits/{row['method']}/s0/k1/cross_increment.json"
        accuracy = json.loads(path.read_text())["matrix"][0][1]
        assert row["wrong"] == pytest.approx(100 - accuracy)
        assert row["errors_mean"] == pytest.approx(100 - accuracy), "100 images an increment"


def test_dynamics_have_what_the_curve_has_and_gains(finished):
    dynamics, curve = table(finished, "dynamics"), table(finished, "curve")
    pd.testing.assert_frame_equal(dynamics[curve.columns], curve)
    ends = dynamics.dropna(subset="top1").pivot(index="method", columns="increment", values="top1")
    gains = dynamics.dropna(subset="top1_gain").set_index("method")["top1_gain"]
    assert gains.to_dict() == pytest.approx((ends[1] - ends[0]).to_dict(), abs=0.02)


def test_every_image_has_its_difficulty_and_its_confidence(finished):
    images, divergence = table(finished, "difficulty"), table(finished, "divergence")
    assert images["method"].value_counts().to_dict() == dict.fromkeys([*METHODS, "real"], 200)
    assert images["mu"].between(0, 1).all()
    assert (images["sigma2"] <= images["mu"] * (1 - images["mu"]) + 1e-6).all()
    assert divergence["method"].tolist() == [*METHODS, "real"]
    assert divergence["js"].dropna().between(0, 1).sum() == 3
    confidence = table(finished, "in_distribution")
    assert confidence["mu"].tolist() == images["mu"].tolist()
    assert set(confidence["misclassified"]) == {0, 1}
    # More than half is certain to be the class that is predicted.
    assert (confidence.loc[confidence["confidence"] > 0.5, "misclassified"] == 0).all()


def test_trace_is_that_of_the_guided_method(finished):
    trace = table(finished, "guidance")
    assert set(trace["method"]) == {"lgd"}
    assert set(trace["increment"]) == {1}
    assert set(trace["n"]) == {20}, "two positions of ten classes"
    changes = trace[trace["quantity"] == "change_learnability"]
    assert sorted(changes.loc[changes["mean"] > 0, "step"]) == list(range(2, 9)), "the window"
    last = trace[(trace["step"] == 0) & (trace["quantity"] == "score")].set_index("path")["mean"]
    assert last["guided"] > last["unguided"]


def test_scores_under_images_are_those_of_the_increment(finished):
    shown = table(finished, "samples/3_three")
    assert shown["method"].value_counts().to_dict() == dict.fromkeys(METHODS, 2 * 3)
    chosen = shown[(shown["method"] == "lgd") & (shown["increment"] == 1)]
    increment, _ = load_tensors(finished.folder / "results/digits/lgd/s0/k1/increment.safetensors")
    scores = increment["scores"][increment["labels"] == 3][:3].tolist()
    assert chosen["score"].tolist() == pytest.approx(scores, rel=1e-4)
    assert shown["score"].notna().sum() == 3


def test_an_option_of_the_analyses_redraws_what_reads_it(copied):
    copied.replace("tiny.yaml", "analyses: {", "analyses: {easy_mean: 0.6, ")
    planned = set(copied.planned("--", *ANALYSES))
    assert planned == {("difficulty", "", ""), ("in_distribution", "", "")}


def test_guidance_strength_traces_that_method_anew(copied):
    copied.replace("config/datasets/digits.yaml", "strength: 0.1,", "strength: 0.2,")
    planned = set(copied.planned("--", *ANALYSES))
    assert ("trace_guidance", "lgd", "1") in planned
    assert ("measure_difficulty", "lgd", "1") in planned
    assert not any(rule.startswith("measure") for rule, method, _ in planned if method != "lgd")


def test_a_class_that_is_not_there_is_one_line(fresh):
    done = fresh.run("-n", "--", "results/digits_ipc20/samples/three.png")
    lines = [line for line in done.stderr.splitlines() if line.startswith("error: ")]
    assert done.returncode != 0
    assert len(lines) == 1
    assert "found 'three', expected one of 0_zero" in lines[0]
