"""Figures of analyses: every number drawn is one of the table, and every method keeps its look."""

import re

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
import torch

from lgd_core.analysis.analyses import complementarity_table, dynamics_table
from lgd_core.analysis.difficulty import divergence_table
from lgd_core.analysis.trace_tables import PATHS, TRACE_COLUMNS
from lgd_core.figures.class_samples import class_figure
from lgd_core.figures.complementarity import complementarity_figure
from lgd_core.figures.difficulty import difficulty_figure
from lgd_core.figures.dynamics import dynamics_figure
from lgd_core.figures.guidance import guidance_figure
from lgd_core.figures.in_distribution import in_distribution_figure
from lgd_core.figures.styles import COLOURS, MARKERS, looks

LOOK = looks(["dit", "lgd"])


@pytest.fixture(autouse=True)
def closed():
    yield
    plt.close("all")


def texts(figure) -> str:
    found = figure.findobj(lambda artist: hasattr(artist, "get_text"))
    return "\n".join(artist.get_text() for artist in found)


def test_looks_do_not_depend_on_who_else_is_drawn():
    assert LOOK["lgd"] == looks(["dit", "lgd", "random"])["lgd"]
    assert LOOK["dit"] != LOOK["lgd"]
    many = looks([str(i) for i in range(len(COLOURS) * len(MARKERS))])
    assert len({tuple(look.values()) for look in many.values()}) == len(many)


def test_complementarity_draws_the_table_s_shares():
    rows = {"dit": [[100.0, 95.0, 97.0]], "lgd": [[100.0, 12.0, 42.0]]}
    table = complementarity_table(rows, {"dit": 100, "lgd": 100})
    figure = complementarity_figure(table, LOOK)
    drawn = [bars.lines[0].get_ydata().tolist() for bars in figure.axes[0].containers]
    assert drawn == [[5, 3], [88, 58]]
    colours = [bars.lines[0].get_color() for bars in figure.axes[0].containers]
    assert colours == [LOOK["dit"]["color"], LOOK["lgd"]["color"]]
    assert "lgd (n = 1 x 100 images)" in texts(figure)


@pytest.mark.parametrize(
    ("draw", "columns"),
    [(complementarity_figure, ["method"]), (guidance_figure, ["method", *TRACE_COLUMNS])],
)
def test_nothing_to_draw_is_said_in_words(draw, columns):
    figure = draw(pd.DataFrame(columns=columns), LOOK)
    assert "increment" in texts(figure)


def test_dynamics_writes_spikes_and_their_mean():
    def learner(losses, top1):
        curve = [{"phase": "plateau", "loss": x, "monitored": x} for x in losses]
        return {"curve": curve, "top1": top1}

    table = dynamics_table(
        {
            ("lgd", 0, 0): learner([2.0, 0.5], 60),
            ("lgd", 0, 1): learner([1.5, 0.25], 72),
            ("lgd", 0, 2): learner([0.75], 75),
        }
    )
    figure = dynamics_figure(table, LOOK)
    written = texts(figure)
    assert {"+1.00", "+0.50"} <= set(written.splitlines())
    assert "lgd (mean spike +0.75)" in written
    loss, spikes, accuracy, gains = figure.axes
    assert loss.lines[0].get_ydata().tolist() == [2.0, 0.5, 1.5, 0.25, 0.75]
    for axis, expected in ((spikes, [1.0, 0.5]), (accuracy, [60, 72, 75]), (gains, [12, 3])):
        assert axis.containers[0].lines[0].get_ydata().tolist() == expected


@pytest.fixture
def images() -> pd.DataFrame:
    """Return 40 images of two sets and 20 real ones, with all that is measured of them."""
    rng = np.random.default_rng(0)
    mu = rng.random(60)
    return pd.DataFrame(
        {
            "method": ["dit"] * 20 + ["lgd"] * 20 + ["real"] * 20,
            "seed": 0,
            "mu": mu,
            "sigma2": mu * (1 - mu) / 2,
            "zone": ["easy", "hard", "informative", "easy"] * 15,
            "confidence": rng.random(60),
            "misclassified": [0] * 20 + [1, 0, 0, 0] * 5 + [0] * 20,
        }
    )


def test_difficulty_draws_every_image_and_the_summary_s_numbers(images):
    summary = divergence_table(images, "real", ["dit", "lgd"], 10, 20)
    summary = summary.assign(easy_mean=0.5, informative_variance=0.05)
    figure = difficulty_figure(images, summary, LOOK)
    for axis, method in zip(figure.axes, ("dit", "lgd", "real"), strict=False):
        own = images[images["method"] == method]
        assert np.allclose(axis.collections[0].get_offsets(), own[["mu", "sigma2"]])
        assert f"{method} (n = 1, 20 images)\neasy 50," in axis.get_title()
    js, kl = figure.axes[-2:]
    for axis, name in ((js, "js"), (kl, "kl")):
        drawn = [bars.lines[0].get_xdata()[0] for bars in axis.containers]
        assert drawn == summary[name].dropna().tolist()


def test_in_distribution_marks_what_the_reference_takes_for_another_class(images):
    figure = in_distribution_figure(images, LOOK)
    titles = [axis.get_title() for axis in figure.axes]
    assert titles[1] == "lgd: 25.0 % misclassified\nof 20 images"
    right, wrong = figure.axes[1].collections
    own = images[(images["method"] == "lgd") & (images["misclassified"] == 1)]
    assert np.allclose(wrong.get_offsets(), own[["confidence", "mu"]])
    assert len(right.get_offsets()) == 15


def test_class_images_stand_over_their_scores():
    table = pd.DataFrame(
        {
            "method": ["dit"] * 4 + ["lgd"] * 4,
            "seed": 0,
            "increment": [0, 0, 1, 1] * 2,
            "score": [np.nan] * 6 + [1.25, -0.5],
        }
    )
    pixels = torch.arange(8, dtype=torch.uint8).view(8, 1, 1, 1).expand(8, 1, 4, 4)
    figure = class_figure(table, pixels, "cat")
    dit, lgd = figure.axes
    assert [int(image.get_array()[0, 0]) for image in lgd.images] == [4, 5, 6, 7]
    written = {text.get_text(): text.get_position()[0] for text in lgd.texts}
    assert list(written) == ["1.25", "-0.50"]
    for image, x in zip(lgd.images[2:], written.values(), strict=True):
        assert image.get_extent()[0] < x < image.get_extent()[1]
    assert not dit.texts
    assert [tick.get_text() for tick in dit.get_xticklabels()] == ["increment 0", "increment 1"]
    assert not lgd.get_xticklabels(), "said once"
    assert re.search("^cat$", texts(figure), re.M)


def traced(method: str, changes: list[str]) -> list[tuple]:
    """Return rows of a trace of two increments and three steps, guided one above unguided."""
    quantities = ("score", "learner_loss", "reference_loss", "similarity")
    return [
        (method, 0, k, path, step, 0.5, quantity, k + step + (path == "guided"), 1.0, 4)
        for k in (1, 2)
        for path in PATHS
        for step in (2, 1, 0)
        for quantity in quantities
    ] + [
        (method, 0, k, "guided", step, 0.5, f"change_{name}", [0, 0.25 * k, 0][step], 0.0, 4)
        for k in (1, 2)
        for step in (2, 1, 0)
        for name in changes
    ]


def test_guidance_has_a_column_per_method_and_a_line_per_increment_and_path():
    rows = traced("lgd", ["deviation", "learnability"]) + traced("dit", ["learnability"])
    table = pd.DataFrame(rows, columns=["method", "seed", "increment", *TRACE_COLUMNS])
    figure = guidance_figure(table, LOOK)
    both, other = figure.axes[0::2], figure.axes[1::2]
    lines = {(line.get_linestyle(), tuple(map(int, line.get_ydata()))) for line in both[0].lines}
    assert lines == {("-", (2, 3, 4)), ("-", (3, 4, 5)), ("--", (1, 2, 3)), ("--", (2, 3, 4))}
    assert [axis.get_title() for axis in (both[0], other[0])] == ["lgd", "dit"]

    (band,) = {round(np.ptp(band.get_paths()[0].vertices[:, 1]), 9) for band in both[0].collections}
    assert band == 2 + 2 * 1.0 / np.sqrt(4), "over the four images of one set"

    def changes(axis) -> dict:
        return {line.get_linestyle(): line.get_ydata().tolist() for line in axis.lines}

    assert changes(both[-1]) == {"-": [0.375], "--": [0.375]}, "only where they act"
    assert changes(other[-1]) == {"-": [], "--": [0.375]}, "a guidance keeps its line"


def test_bands_of_several_seeds_are_over_their_sets():
    rows = [
        (method, seed, k, path, step, alpha_bar, quantity, mean + 3 * seed, std, n)
        for seed in (0, 1, 2)
        for method, _, k, path, step, alpha_bar, quantity, mean, std, n in traced("lgd", [])
    ]
    table = pd.DataFrame(rows, columns=["method", "seed", "increment", *TRACE_COLUMNS])
    axis = guidance_figure(table, LOOK).axes[0]
    lines = {(line.get_linestyle(), tuple(map(int, line.get_ydata()))) for line in axis.lines}
    assert lines == {("-", (5, 6, 7)), ("-", (6, 7, 8)), ("--", (4, 5, 6)), ("--", (5, 6, 7))}
    for band in axis.collections:
        half = (np.ptp(band.get_paths()[0].vertices[:, 1]) - 2) / 2
        assert half == pytest.approx(np.std([0, 3, 6], ddof=1) / np.sqrt(3))
