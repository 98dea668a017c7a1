"""Figures: what stands where."""

import pytest
import torch
from conftest import crossed
from matplotlib import colormaps
from PIL import Image

from lgd_core.analysis.tables import curve_table, redundancy_table
from lgd_core.base.errors import UserError
from lgd_core.figures.curve import curves
from lgd_core.figures.making import save_figure
from lgd_core.figures.redundancy_heatmap import heatmaps
from lgd_core.figures.samples import image_grid, sample_grids
from lgd_core.figures.styles import UNIFORM, check_colormap


def test_grid_puts_every_image_in_its_cell():
    images = torch.zeros(2, 3, 2, 1, 4, 4, dtype=torch.uint8)
    images[1, 2, 1] = 7
    picture = image_grid(images)
    assert picture.shape == (2 * 5 - 1, 3 * 9 - 1, 1)
    assert (picture[5:, 18 + 4 :] == 7).all()
    assert (picture[5:, 18 : 18 + 4] == 0).all()
    assert (picture[4] == 255).all(), "a white line parts the rows"


def test_heatmap_titles_give_the_mean_off_diagonal(tmp_path):
    sets = {
        "dit": [[[100, 80], [60, 100]], [[100, 80], [80, 100]]],
        "lgd": [[[100, 30], [40, 100]]],
    }
    table = redundancy_table(crossed(sets))
    figure = heatmaps(table, "viridis")
    titles = [axis.get_title() for axis in figure.axes]
    assert "dit\nmean off-diagonal 75.0 ± 7.1 %" in titles
    assert "lgd\nmean off-diagonal 35.0 %" in titles
    save_figure(figure, tmp_path / "h.png", 60, {"Description": "fingerprint abc"})
    with Image.open(tmp_path / "h.png") as picture:
        assert picture.info["Description"] == "fingerprint abc"


def test_one_increment_has_no_redundancy():
    figure = heatmaps(redundancy_table(crossed({"dit": [[[100.0]]]})), "viridis")
    assert figure.axes[0].get_title() == "dit\none increment"


def test_curves_and_grids_draw_every_method():
    point = {"phase": "plateau", "loss": 1.0, "monitored": 1.0}
    learner = {"curve": [point] * 3, "top1": 50.0}
    table = curve_table({(m, 0, k): learner for m in ("dit", "lgd") for k in range(2)})
    labels = curves(table).axes[0].get_legend_handles_labels()[1]
    assert labels == ["dit", "lgd"]
    images = torch.zeros(2, 2, 1, 3, 4, 4, dtype=torch.uint8)
    figure = sample_grids({"dit": images, "lgd": images}, ["cat", "dog"], 2)
    assert [axis.get_title() for axis in figure.axes] == ["dit", "lgd"]
    assert figure.get_suptitle() == "", "all classes are shown"
    figure = sample_grids({"dit": images}, ["cat", "dog"], 1000)
    assert figure.get_suptitle() == "2 of 1000 classes"
    assert [label.get_text() for label in figure.axes[0].get_yticklabels()] == ["cat", "dog"]


def test_colour_maps_are_looked_up():
    with pytest.raises(UserError, match=r"^plots.colormap: unknown colour map 'viridiss', did you"):
        check_colormap("viridiss", "plots.colormap")
    for name in ("magma", "Greys"):
        check_colormap(name, "plots.colormap")
    assert set(UNIFORM) <= set(colormaps)
