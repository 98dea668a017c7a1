"""The report, and the pages of a finished run, as a browser shows them."""

import re

import pandas as pd
import pytest
from conftest import DIAGNOSES, EXTERNAL, PAGES, TARGETS, copy_of

LINKS = "[...document.querySelectorAll('#app tr')].slice(1)"
LOADED = "document.readyState === 'complete' && document.body?.innerText.includes('digits')"
READY = "!!document.documentElement?.dataset.ready"


@pytest.fixture(scope="module")
def report(diagnosed, tmp_path_factory):
    """The report of everything that was made."""
    project = copy_of(diagnosed, tmp_path_factory.mktemp("report") / "project")
    project.make("--report", "results/report.html", *EXTERNAL, "--", *TARGETS, *PAGES, DIAGNOSES[0])
    return project.folder / "results/report.html"


def test_report_is_built(report):
    text = report.read_text()
    for part in (
        "redundancy heatmaps",
        "accuracy table",
        "IPC 20",
        "Cross-increment accuracy",
        "External sets",
    ):
        assert part in text


def choose(browser, text: str) -> None:
    """Click the entry of the report's menu that reads so."""
    entry = (
        f"[...document.querySelectorAll('#app nav *')].find(e => e.innerText?.trim() === '{text}'"
    )
    entry += " && !e.children.length)"
    browser.wait(f"!!{entry}")
    browser.evaluate(f"{entry}.click()")


@pytest.mark.parametrize(
    ("category", "artifacts"),
    [
        (
            "digits",
            {"accuracy table", "redundancy heatmaps", "learner curves", "image grids"}
            | {"accuracy table, to read"},
        ),
        ("External sets", {"diagnosis", "diagnosis, numbers"}),
    ],
)
def test_every_category_opens_and_shows_its_artifacts(browser, report, category, artifacts):
    browser.open(report, LOADED)
    choose(browser, category)
    browser.wait(f"{LINKS}.length >= {len(artifacts)}")
    found = browser.evaluate(f"{LINKS}.map(row => row.innerText.trim())")
    assert set(found) >= artifacts
    for number, name in enumerate(found):
        link = f"{LINKS}[{number}].querySelector('[iconname=eye]')"
        if browser.evaluate(f"{link}.href").startswith("data:text/csv"):
            continue  # which a browser downloads
        browser.evaluate(f"{link}.click()")
        if "to read" in name:
            browser.wait("document.querySelector('#app iframe')?.src.startsWith('data:text/html')")
        else:
            browser.wait(
                "[...document.querySelectorAll('#app img')].some(image =>"
                " image.src.startsWith('data:image/png') && image.naturalWidth > 300)"
            )
    assert browser.errors == []


def test_table_is_legible(browser, finished):
    browser.open(finished.folder / PAGES[0], "document.readyState === 'complete'")
    rows = browser.evaluate(
        "[...document.querySelectorAll('tr')].map(row => [...row.cells].map(c => c.innerText))"
    )
    table = pd.read_csv(finished.folder / TARGETS[0])
    assert rows[0] == ["method", "student", "n", "top1 (%)", "best (%)"]
    assert [row[0] for row in rows[1:]] == table["method"].tolist()
    first = table.iloc[0]
    assert rows[1][3] == f"{first['top1_mean']:.1f} ± {first['top1_std']:.1f}"
    assert browser.evaluate("document.querySelector('table').offsetWidth") > 300
    assert browser.errors == []


def test_gallery_shows_the_sets(browser, finished):
    browser.open(finished.folder / PAGES[1], READY)
    methods = browser.evaluate("names.method")
    assert methods == ["random", "dit", "lgd"]
    assert browser.evaluate("data.images") == 3 * 2 * 100
    manifest = pd.read_csv(finished.folder / "results/digits/lgd/s0/k1/distilled/manifest.csv")
    best = manifest.nlargest(1, "score").iloc[0]
    for name, value in (("method", 2), ("order", "score:down")):
        browser.evaluate(f"document.getElementById('{name}').value = '{value}'")
    browser.evaluate("document.getElementById('order').dispatchEvent(new Event('change'))")
    browser.evaluate("document.querySelector('.tile').click()")
    text = browser.evaluate("document.getElementById('details').innerText")
    assert best["class"] in text
    values = dict(re.findall(r"^([A-Z][\w ]*)\n(?:\n)?([\d.-]+)$", text, re.M))
    assert float(values["S"]) == pytest.approx(best["score"], abs=1e-3)
    loss = float(values["Learner loss"]) - 0.5 * float(values["Reference loss"])
    assert loss == pytest.approx(best["score"], abs=5e-3), "S is what its losses give (Eq. 7)"
    assert "cosine" in text
    assert browser.errors == []


def test_many_classes_are_shown_some_at_a_time(browser, copied):
    page, grid = copied.folder / PAGES[1], copied.folder / TARGETS[3]
    assert not list(page.with_suffix(".files").glob("*.js")), "all classes are in the page"
    before = page.stat().st_size, grid.read_bytes()
    words = ("--config", "plots={classes: 4}", "--", PAGES[1], TARGETS[3])
    output = copied.make(*words)
    assert set(re.findall(r"^[\d:]+ \[\d+/2\] (\w+) ", output, re.M)) == {"gallery", "samples"}
    assert page.stat().st_size < before[0] / 4
    assert grid.read_bytes() != before[1]
    browser.open(page, "document.documentElement?.dataset.group === '0'")
    assert browser.evaluate("[...new Set(columns.class)]") == [0, 1, 2, 3]
    assert browser.evaluate("data.images") == 3 * 2 * 40
    browser.evaluate("turn(9)")
    browser.wait("document.documentElement.dataset.group === '2'")
    assert browser.evaluate("[...new Set(columns.class)]") == [8, 9]
    assert browser.errors == []
