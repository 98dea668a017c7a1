"""The report, and the pages of a finished run, as a browser shows them."""

import re

import pandas as pd
import pytest
from conftest import DIAGNOSES, EXTERNAL, PAGES, TARGETS, copy_of

LINKS = "[...document.querySelectorAll('#app nav tr')].slice(1)"
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
        ("Accuracy", {"accuracy table", "accuracy table, numbers"}),
        ("digits", {"redundancy heatmaps", "learner curves", "image grids"}),
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
        if name == "accuracy table":
            browser.wait("document.querySelector('#app iframe')?.src.startsWith('data:text/html')")
        else:
            browser.wait(
                "[...document.querySelectorAll('#app img')].some(image =>"
                " image.src.startsWith('data:image/png') && image.naturalWidth > 300)"
            )
    assert browser.errors == []


def test_the_report_opens_with_the_tables_and_what_to_open(browser, report, finished):
    """Its first words have every table's numbers, and lead to the pages."""
    browser.look_as("light", 1280)
    browser.open(report, LOADED)
    entries = "[...document.querySelectorAll('#app nav li')].map(e => e.innerText.trim())"
    found = browser.evaluate(entries)
    assert found.index("Accuracy") < found.index("digits") < found.index("External sets")
    cells = browser.evaluate(
        "[...document.querySelectorAll('#app .prose tr')]"
        ".map(row => [...row.cells].map(cell => cell.innerText.trim()))"
    )
    table = pd.read_csv(finished.folder / TARGETS[0])
    assert [row[0] for row in cells[1:]] == table["method"].tolist()
    first = table.iloc[0]
    assert cells[1][3:] == [
        f"{first['top1_mean']:.1f} ± {first['top1_std']:.1f}",
        str(first["n"]),
        f"{first['diff_to_dit']:+.1f} ± {first['diff_se']:.1f}",
    ]
    browser.evaluate("document.querySelector('#app .prose a').click()")
    browser.wait("document.querySelector('#app iframe')?.src.startsWith('data:text/html')")
    assert browser.errors == []


def test_table_page_shows_what_the_table_has(browser, finished):
    browser.look_as("light", 1280)
    browser.open(finished.folder / PAGES[0], "document.readyState === 'complete'")
    rows = browser.evaluate(
        "[...document.querySelectorAll('tr')].map("
        "row => [...row.cells].map(cell => cell.innerText.trim()))"
    )
    table = pd.read_csv(finished.folder / TARGETS[0])
    redundancy = pd.read_csv(finished.folder / "results/digits_ipc20/redundancy.csv")
    assert rows[0][:3] == ["method", "accuracy (%)", "n"]
    assert [row[0].splitlines()[0] for row in rows[1:]] == table["method"].tolist()
    assert rows[3][0].splitlines()[-1] == "Learnability-guided diffusion"
    first = table.iloc[0]
    away = redundancy.query("method == 'random' and train_increment != test_increment")
    numbers = dict(zip(rows[0], rows[1], strict=True))
    assert numbers["accuracy (%)"] == f"{first['top1_mean']:.1f} ± {first['top1_std']:.1f}"
    assert numbers["redundancy (%)"] == f"{away['top1'].mean():.1f}"
    pictures = browser.evaluate(
        "[...document.images].map(image => [image.naturalWidth, image.naturalHeight])"
    )
    assert pictures == [[6 * 8, 8]] * 3, "six digits of each method"
    note = browser.evaluate("document.querySelector('.note').innerText")
    assert "ConvNet-3-w32, protocol hard" in note
    assert "for 20 epochs" in note
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
    assert page.stat().st_size < before[0] / 2
    assert "image/png" not in page.read_text(), "images are in files of their own"
    assert grid.read_bytes() != before[1]
    browser.open(page, "document.documentElement?.dataset.group === '0'")
    assert browser.evaluate("[...new Set(columns.class)]") == [0, 1, 2, 3]
    assert browser.evaluate("data.images") == 3 * 2 * 40
    browser.evaluate("turn(9)")
    browser.wait("document.documentElement.dataset.group === '2'")
    assert browser.evaluate("[...new Set(columns.class)]") == [8, 9]
    assert browser.errors == []
