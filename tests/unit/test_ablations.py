"""Tables and charts of families, from planted artifacts."""

import math

import numpy as np
import pandas as pd
import pytest
from conftest import crossed

from lgd_core.analysis.ablations import (
    ABLATION_COLUMNS,
    ablation_table,
    learner_runs,
    redundancy_at,
)
from lgd_core.analysis.tables import PAPER_KEYS, held_out, read_paper, redundancy_table
from lgd_core.config.models.sweep import ResolvedSweep
from lgd_core.figures.ablation import ablation_figure
from lgd_core.figures.cost import cost_figure

FAMILY = ResolvedSweep(
    title="Candidates",
    base="lgd",
    key="candidates",
    ipc=[10, 20],
    redundancy=False,
    learner=True,
    paper=[],
    students=["ConvNet-3", "ConvNet-4"],
    variants=[(1, "lgd_no_ranking"), (3, "lgd"), (10, "lgd_kappa10")],
)
SIZES = {"lgd": 10, "lgd_no_ranking": 10, "lgd_kappa10": 5}
NO_PAPER = read_paper([])


def evaluations(
    method: str, ipc: int, *top1: float, student: str = "ConvNet-3", seed: str = "0"
) -> list[dict]:
    k = str(ipc // SIZES[method] - 1)
    known = {"method": method, "student": student, "seed": seed, "k": k}
    return [
        {"run": str(run), "top1": x, "best_top1": x + 1, "validation_top1": x + 2} | known
        for run, x in enumerate(top1)
    ]


EVALUATIONS = [
    *evaluations("lgd", 20, 70.0, 80.0, student="ConvNet-4"),
    *evaluations("lgd_kappa10", 20, 73.0, 83.0),
    *evaluations("lgd", 20, 71.0, 79.0),
    *evaluations("lgd_no_ranking", 20, 70.0, 80.0),
    *evaluations("lgd", 10, 60.0, 62.0),
    *evaluations("lgd_kappa10", 10, 61.0, 65.0),
    *evaluations("lgd_no_ranking", 10, 59.0, 61.0),
]
LEARNER = {
    "method": "lgd",
    "seed": "0",
    "k": "1",
    "top1": 66.0,
    "recipe": {"learner": {"architecture": "ConvNet-4"}},
}


def table(paper: pd.DataFrame = NO_PAPER, matrices: tuple = ()) -> pd.DataFrame:
    judged = {"hard": EVALUATIONS, "incremental": [learner_runs(LEARNER)]}
    return ablation_table("imagenette", FAMILY, SIZES, judged, list(matrices), paper)


def test_rows_follow_protocol_images_student_and_the_family_s_order():
    found = table()
    assert tuple(found.columns) == ABLATION_COLUMNS
    order = found[["protocol", "ipc", "student", "value"]].itertuples(index=False, name=None)
    assert list(order) == [
        *[("hard", 10, "ConvNet-3", value) for value in (1, 3, 10)],
        ("hard", 20, "ConvNet-4", 3),
        *[("hard", 20, "ConvNet-3", value) for value in (1, 3, 10)],
        ("incremental", 20, "ConvNet-4", 3),
    ]
    assert found["method"].tolist()[:3] == ["lgd_no_ranking", "lgd", "lgd_kappa10"]
    assert found["n"].tolist() == [2] * 7 + [1]
    assert found["top1_mean"].tolist() == [60.0, 61.0, 63.0, 75.0, 75.0, 75.0, 78.0, 66.0]
    assert found["best_top1_mean"].iloc[0] == 61.0
    assert found["validation_mean"].tolist()[:-1] == [62.0, 63.0, 65.0, 77.0, 77.0, 77.0, 80.0]
    assert found["validation_std"].iloc[0] == pytest.approx(math.sqrt(2))
    assert math.isnan(found["validation_mean"].iloc[-1]), "the learner is not validated"


def test_every_number_of_several_seeds_is_that_of_its_raw_runs():
    rng = np.random.default_rng(0)
    artifacts = [
        run
        for method in ("lgd", "lgd_kappa10")
        for seed in ("0", "1", "2")
        for run in evaluations(method, 20, *rng.normal(80, 3, 3), seed=seed)
    ]
    found = ablation_table("imagenette", FAMILY, SIZES, {"hard": artifacts}, [], NO_PAPER)
    raw = pd.DataFrame(artifacts)
    means = raw.groupby(["method", "seed"])[["top1", "best_top1", "validation_top1"]].mean()
    for _, row in found.iterrows():
        own = means.loc[row["method"]]
        assert (row["n"], row["n_sets"], row["n_runs"]) == (3, 3, 9)
        for column, name in (
            ("top1", "top1"),
            ("best_top1",) * 2,
            ("validation_top1", "validation"),
        ):
            assert row[f"{name}_mean"] == pytest.approx(own[column].mean())
            assert row[f"{name}_std"] == pytest.approx(own[column].std())
        assert row["std_between_sets"] == pytest.approx(own["top1"].std())
    apart = (means.loc["lgd_kappa10"] - means.loc["lgd"])["top1"]
    above = found.set_index("method").loc["lgd_kappa10", ["diff_to_base", "diff_se"]].tolist()
    assert above == pytest.approx([apart.mean(), apart.sem()])
    figure = ablation_figure(found, "Candidates", "candidates")
    assert figure.get_supxlabel().endswith("over n sets, each the mean of its students")


def test_data_without_held_out_images_have_no_validation():
    runs = [{"run": 0, "top1": 60.0, "validation_top1": None}]
    assert all(map(math.isnan, held_out(runs)))


def test_variants_are_compared_with_the_base_run_by_run():
    above = table().query("ipc == 20 and student == 'ConvNet-3'").set_index("method")
    assert above.loc["lgd_kappa10", "diff_to_base"] == 3.0
    assert above.loc["lgd_kappa10", "diff_se"] == pytest.approx(math.sqrt(2) / math.sqrt(2))
    assert above.loc["lgd_no_ranking", "diff_to_base"] == 0.0
    assert math.isnan(above.loc["lgd", "diff_to_base"])


def test_redundancy_of_fewer_increments_is_the_corner_of_the_matrix():
    matrix = [[100, 50, 10], [70, 100, 20], [30, 40, 100]]
    other = [[100, 40, 0], [40, 100, 0], [0, 0, 100]]
    artifacts = crossed({"lgd": [matrix, other]})
    both, first = redundancy_table(artifacts), redundancy_table(artifacts[:1])
    assert redundancy_at(both, "lgd", 2) == (50, pytest.approx(200**0.5))
    assert redundancy_at(first, "lgd", 3) == pytest.approx((220 / 6, math.nan), nan_ok=True)
    assert np.isnan(redundancy_at(both, "lgd", 1)).all()
    assert np.isnan(redundancy_at(both, "dit", 2)).all()
    found = table(matrices=artifacts)
    measured = found["redundancy"].notna()
    assert found[measured][["ipc", "method"]].values.tolist() == [[20, "lgd"]] * 3
    assert found[measured]["redundancy"].tolist() == [50.0] * 3
    assert found[measured]["redundancy_std"].tolist() == pytest.approx([200**0.5] * 3)


def test_the_paper_s_number_needs_the_same_protocol():
    rows = [
        ("imagenette", 20, "lgd", "ConvNet-4", "incremental", 75.9, 0.3, "table_4"),
        ("imagewoof", 20, "lgd", "ConvNet-4", "hard", 1.0, 1.0, "table_4"),
    ]
    columns = [*PAPER_KEYS, "paper_top1", "paper_std", "paper_source"]
    found = table(pd.DataFrame(rows, columns=columns))
    assert found["paper_top1"].isna().tolist() == [True] * 7 + [False]
    assert found.iloc[-1][["paper_top1", "paper_source"]].tolist() == [75.9, "table_4"]


def test_numbers_become_lines_with_error_bars():
    paper = pd.DataFrame(
        [("imagenette", 20, "lgd_kappa10", "ConvNet-3", "hard", 85.6, None, "table_6")],
        columns=[*PAPER_KEYS, "paper_top1", "paper_std", "paper_source"],
    )
    figure = ablation_figure(table(paper), "Candidates", "candidates")
    assert figure.get_suptitle() == "Candidates"
    assert figure.get_supxlabel().endswith("over n students of one set")
    shown = [axis for axis in figure.axes if axis.axison]
    assert [axis.get_title() for axis in shown] == [
        "ConvNet-3, hard",
        "ConvNet-4, hard",
        "ConvNet-4, incremental",
    ]
    lines = [bar.lines[0] for bar in shown[0].containers]
    assert [line.get_xdata().tolist() for line in lines] == [[1, 3, 10]] * 2
    assert [line.get_ydata().tolist() for line in lines] == [[60, 61, 63], [75, 75, 78]]
    assert len({line.get_linestyle() for line in lines}) == 2, "told apart without colour"
    upper = shown[0].containers[1].lines[2][0].get_segments()[0][1, 1]
    assert upper == pytest.approx(75 + np.std([70, 80], ddof=1))
    diamond = next(line for line in shown[0].lines if line.get_marker() == "D")
    assert (diamond.get_xdata().tolist(), diamond.get_ydata().tolist()) == ([10], [85.6])


def test_a_base_without_a_value_is_a_dashed_line():
    rows = table().query("student == 'ConvNet-3' and ipc == 20").copy()
    rows.loc[rows["method"] == "lgd", "value"] = None
    (axis,) = ablation_figure(rows, "Strength", "strength").axes
    assert axis.containers[0].lines[0].get_xdata().tolist() == [1, 10]
    dashed = axis.lines[-1]
    assert dashed.get_linestyle() == "--"
    assert set(dashed.get_ydata()) == {75.0}


def test_words_become_groups_of_bars_and_redundancy_has_a_panel():
    matrices = crossed({"lgd": [[[100, 30], [50, 100]]]})
    rows = table(matrices=matrices).query("student == 'ConvNet-3'").copy()
    rows["value"] = rows["method"]
    figure = ablation_figure(rows, "Components", "method")
    left, right = figure.axes
    labels = [label.get_text() for label in left.get_xticklabels()]
    assert labels == ["lgd_no_ranking", "lgd", "lgd_kappa10"]
    bars = [c for c in left.containers if hasattr(c, "patches")]
    assert [[bar.get_height() for bar in group] for group in bars] == [[60, 61, 63], [75, 75, 78]]
    assert len({group[0].get_hatch() for group in bars}) == 2, "told apart without colour"
    assert left.get_ylim()[0] == 0, "lengths of bars can be compared"
    assert right.get_title() == "redundancy"
    heights = [bar.get_height() for c in right.containers if hasattr(c, "patches") for bar in c]
    assert heights == [40.0]


def test_cost_shows_every_stage_once_and_the_passes_of_drawing():
    rows = pd.DataFrame(
        [
            ("train_reference", "shared", 9.0, None, None),
            ("seed_increment", "dit", 2.0, 20.0, 0.0),
            ("sample_candidates", "dit", 4.0, 20.0, 0.0),
            ("sample_candidates", "lgd", 30.0, 60.0, 6.0),
        ],
        columns=["stage", "method", "seconds", "transformer_forward", "decoder_backward"],
    )
    left, right = cost_figure(rows).axes
    assert [label.get_text() for label in left.get_yticklabels()] == ["shared", "dit", "lgd"]
    assert sum(bar.get_width() for group in left.containers for bar in group) == 45.0
    assert [label.get_text() for label in right.get_yticklabels()] == ["dit", "lgd"]
    dots = {line.get_label(): line for line in right.get_lines() if line.get_label()[0] != "_"}
    forward, backward = dots["transformer forward"], dots["decoder backward"]
    assert dots.keys() == {"transformer forward", "decoder backward"}
    assert forward.get_xdata().tolist() == [20.0, 60.0]
    assert forward.get_ydata().round().tolist() == [0.0, 1.0]
    assert backward.get_xdata().tolist() == [6.0], "dit has none"
    assert backward.get_ydata().round().tolist() == [1.0]
    assert backward.get_ydata()[0] != forward.get_ydata()[1], "none hides the other"
    assert forward.get_markerfacecolor() != backward.get_markerfacecolor() == "none"
    assert right.get_xscale() == "log", "condensing pixels takes thousands of times more"
