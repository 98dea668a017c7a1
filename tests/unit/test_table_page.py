"""The accuracy table as a page: what it says, its pictures, and how it sorts in a browser."""

import base64
import io
import math
import re

import numpy as np
import pandas as pd
import pytest
import torch
from browser import WIDTHS
from conftest import CLASS_NAMES, SIZE, crossed
from PIL import Image

from lgd_core.analysis.tables import read_paper, redundancy_table, result_row, result_table
from lgd_core.data.distilled import write_folder
from lgd_core.figures.results import Measured, Result, answer, results_of
from lgd_core.figures.table_page import strip, table_page

REDUNDANCY = redundancy_table(
    crossed(
        {"lgd": [[[100, 50], [30, 100]]], "dit": [[[100, 80], [70, 100]], [[100, 60], [70, 100]]]}
    )
)
LESSON = {"epochs": 200, "steps": None}
RUN = {
    "recipe": {"evaluation": LESSON},
    "hardware": "a processor, 2 threads",
    "versions": {"torch": "2.15.0"},
}


def row(
    method: str, *top1: float, student: str = "ConvNet-3", difference: float = math.nan
) -> dict:
    """Return a row of the table; ``top1`` are the accuracies of students."""
    runs = [{"top1": x, "best_top1": x + 1} for x in top1]
    protocol = "reference" if method == "full" else "hard"
    differing = {"diff_to_dit": difference, "diff_se": 0.1 * difference}
    return result_row("digits", 50, method, student, protocol, runs) | differing


ROWS = (
    row("random", 79, 81, difference=-1.0),
    row("dit", 80, 82),
    row("lgd", 88, 90, difference=8.0),
    row("full", 95),
)


def table_of(*rows: dict) -> pd.DataFrame:
    return result_table(list(rows), read_paper([]))


def results(*rows: dict) -> list[Result]:
    about = {"random": "real <images>", "dit": "the prior", "lgd": "guided"}
    return results_of(table_of(*rows), REDUNDANCY, about)


def page_of(*rows: dict, strips: dict[str, str] | None = None) -> str:
    return table_page("a & b", table_of(*rows), results(*rows), [RUN], strips or {})


def words(html: str) -> str:
    return " ".join(re.sub("<[^>]+>", "", html).split())


def test_numbers_have_one_decimal_and_a_sign_where_asked():
    assert Measured(81.04, 0.449).written() == "81.0 ± 0.4"
    assert Measured(-0.26, 0.1).written(signed=True) == "−0.3 ± 0.1"
    assert Measured(2.0).written(signed=True) == "+2.0"
    assert Measured(math.nan).written() == ""


def test_the_answer_is_the_best_of_the_sets_and_the_next():
    text = words(answer(results(*ROWS)))
    assert text == (
        "lgd is the most accurate: 89.0 ± 1.4 % (n = 2), 8.0 ± 0.8 points above dit. "
        "Next is dit: 81.0 ± 1.4 %. A network trained on all real images reaches 95.0 %."
    )


def test_what_is_near_is_called_so():
    near = results(row("dit", 80, 82), row("lgd", 81, 83, difference=1.0))
    assert words(answer(near)).endswith("Next is dit: 81.0 ± 1.4 %, within one standard deviation.")
    alone = words(answer(results(row("lgd", 80))))
    assert alone == "lgd is the most accurate: 80.0 % (n = 1)."


def test_every_student_has_an_answer_of_its_own():
    rows = [
        row(method, top1, top1 + 1, student=student)
        for student, accuracies in (("ConvNet-3", (80, 90)), ("ConvNet-4", (70, 60)))
        for method, top1 in zip(("dit", "lgd"), accuracies, strict=True)
    ]
    text = answer(results(*rows))
    assert words(text).count("ConvNet-3, protocol hard: lgd is the most accurate") == 1
    assert words(text).count("ConvNet-4, protocol hard: dit is the most accurate") == 1
    page = page_of(*rows)
    assert ">student</button>" in page
    assert ">protocol</button>" not in page, "one protocol is no column"
    assert page.count('class="best"') == 2


def test_columns_without_a_number_are_left_out():
    page = page_of(*ROWS)
    assert "paper (%)" not in page
    assert "redundancy (%)" in page
    assert "redundancy (%)" not in page_of(row("random", 80, 81), row("full", 95))


def test_the_page_escapes_and_fetches_nothing():
    page = page_of(*ROWS)
    assert "<title>a &amp; b</title>" in page
    assert "real &lt;images&gt;" in page
    assert not re.search(r'src="(?!data:)', page)
    assert "http" not in page


def test_the_page_says_how_accuracies_were_measured():
    text = words(page_of(*ROWS))
    for part in (
        "Students (ConvNet-3, protocol hard)",
        "for 200 epochs",
        "after the last epoch",
        "sample standard deviation over n students of one set",
        "a processor, 2 threads; torch 2.15.0",
    ):
        assert part in text
    steps = [RUN, RUN | {"recipe": {"evaluation": {"epochs": None, "steps": 3000}}}]
    text = words(table_page("a", table_of(*ROWS), results(*ROWS), steps, {}))
    assert "for 200 epochs; 3,000 steps on" in text


def test_a_table_of_several_sets_says_what_its_spread_is_over():
    runs = [{"top1": x, "best_top1": x, "seed": str(seed)} for seed in range(2) for x in (80, 81)]
    page = page_of(result_row("digits", 50, "lgd", "ConvNet-3", "hard", runs), row("full", 95))
    assert "over n sets, each the mean of its students" in page
    assert "of one set" not in page


@pytest.mark.parametrize(("side", "kind"), [(SIZE, "png"), (96, "jpeg")])
def test_a_strip_has_an_image_of_each_class_of_the_last_increment(tmp_path, side, kind):
    def increment(first: int) -> dict[str, torch.Tensor]:
        shades = torch.arange(first, first + 60, 10).to(torch.uint8)
        return {
            "images": shades.view(6, 1, 1, 1).expand(6, 3, side, side),
            "labels": torch.arange(3).repeat_interleave(2),
            "positions": torch.arange(2).repeat(3),
            "scores": torch.full((6,), torch.nan),
        }

    names = ["NA", *CLASS_NAMES[1:]]
    write_folder(tmp_path / "set", [increment(0), increment(100)], names, {"formation": 1})
    picture = strip(tmp_path / "set")
    assert 'alt="Images: NA, bee, cat"' in picture
    encoded = re.search(rf"data:image/{kind};base64,([^\"]+)", picture)[1]
    with Image.open(io.BytesIO(base64.b64decode(encoded))) as image:
        shown = min(side, 80)
        assert image.size == (3 * shown, shown)
        row = np.asarray(image.convert("L"))[shown // 2, shown // 2 :: shown]
    assert row == pytest.approx([100, 120, 140], abs=2)


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    """Return the path of a page; one of its methods has a picture."""
    path = tmp_path_factory.mktemp("table") / "table.html"
    picture = (
        '<img class="strip" alt="Images: ant" src="data:image/gif;base64,R0lGODlhAQABAAAAACw=">'
    )
    path.write_text(page_of(*ROWS, strips={"lgd": picture}), encoding="utf-8")
    return path


@pytest.fixture
def page(browser, written):
    """Return the browser with the page just opened; afterwards nothing has gone wrong in it."""
    browser.look_as("light", 1280)
    browser.open(written, "document.readyState === 'complete'")
    yield browser
    assert browser.errors == []


def order(browser) -> list[str]:
    return browser.evaluate("[...document.querySelectorAll('tbody .method')].map(e => e.innerText)")


@pytest.mark.parametrize(
    ("title", "first", "second"),
    [
        ("method", ["dit", "full", "lgd", "random"], ["random", "lgd", "full", "dit"]),
        ("n", ["random", "dit", "lgd", "full"], ["full", "random", "dit", "lgd"]),
        ("accuracy (%)", ["full", "lgd", "dit", "random"], ["random", "dit", "lgd", "full"]),
        # What has no number is last, whichever way.
        ("to dit (points)", ["lgd", "random", "dit", "full"], ["random", "lgd", "dit", "full"]),
        ("redundancy (%)", ["dit", "lgd", "random", "full"], ["lgd", "dit", "random", "full"]),
        ("best evaluation (%)", ["full", "lgd", "dit", "random"], ["random", "dit", "lgd", "full"]),
    ],
)
@pytest.mark.parametrize("by", ["keys", "clicks"])
def test_every_column_sorts_both_ways(page, title, first, second, by):
    assert order(page) == ["random", "dit", "lgd", "full"], "as in the run"
    head = f"[...document.querySelectorAll('thead button')].find(e => e.innerText === '{title}')"
    ways = []
    for expected in (first, second):
        if by == "keys":
            page.evaluate(f"{head}.focus()")
            page.press("Enter")
        else:
            page.evaluate(f"{head}.click()")
        assert order(page) == expected
        ways.append(page.evaluate(f"{head}.closest('th').ariaSort"))
    assert sorted(ways) == ["ascending", "descending"]
    assert page.evaluate("document.querySelectorAll('[aria-sort]').length") == 1


def test_the_keyboard_enters_the_table_and_its_headings(page):
    reached = []
    for _ in range(4):
        page.press("Tab")
        reached.append(page.evaluate("document.activeElement.innerText.trim().split('\\n')[0]"))
        assert page.evaluate("document.activeElement.matches(':focus-visible')")
        assert page.evaluate("getComputedStyle(document.activeElement).outlineWidth") == "3px"
    assert reached[1:] == ["method", "accuracy (%)", "n"]


def test_numbers_of_a_column_stand_under_one_another(page):
    ends = page.evaluate(
        "[...document.querySelectorAll('tbody tr')].map(row => {"
        " const range = document.createRange(), cell = row.cells[1];"
        " range.selectNodeContents(cell.firstChild); range.setEnd(cell.firstChild, 4);"
        " return Math.round(range.getBoundingClientRect().right); })"
    )
    assert len(ends) == 4
    assert len(set(ends)) == 1


@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_page_is_legible_and_fits(page, scheme, width):
    page.look_as(scheme, width)
    assert not page.is_too_wide()
    assert page.pale_texts() == []
    assert page.nameless() == []
    for text in ("lgd is the most accurate: 89.0 ± 1.4 %", "8.0 ± 0.8 points above dit"):
        assert text in page.seen()


def test_what_is_pale_or_nameless_is_found(page):
    """The checks of other tests can fail."""
    page.evaluate("document.querySelector('h1').style.color = 'rgb(150, 150, 150)'")
    page.evaluate("document.querySelector('img').alt = ''")
    page.evaluate("document.querySelector('h1').style.width = '2000px'")
    assert [text[:3] for text in page.pale_texts()] == ["<h1"]
    assert [text[:4] for text in page.nameless()] == ["<img"]
    assert page.is_too_wide()
