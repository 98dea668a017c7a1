"""Names of others, and names that are meant to harm: they are text, on pages and in commands."""

import re
from pathlib import Path
from types import SimpleNamespace

import pandas as pd
import pytest
from docutils.core import publish_parts
from jinja2 import Environment, StrictUndefined
from test_gallery import CARDS, accuracies, planted
from test_recipes import complaint, folder, run_of  # noqa: F401
from test_table_page import REDUNDANCY, RUN

from lgd_core.analysis.tables import TABLE_COLUMNS
from lgd_core.base.errors import UserError
from lgd_core.config.classes import class_folder
from lgd_core.config.schema import load_yaml
from lgd_core.figures.gallery import Gallery, groups_of
from lgd_core.figures.results import results_of
from lgd_core.figures.table_page import table_page

ROOT = Path(__file__).parents[2]
EVIL = (
    "<img src=x onerror='window.harmed=1'>",
    "</script><script>window.harmed=1</script>",
    "\"'><svg/onload=window.harmed=1>",
    "`x <javascript:window.harmed=1>`_",
    "$(touch harmed); `touch harmed` | x & -rf",
)
NAMES = [*EVIL, *"fghij"]
RESULTS = accuracies("random", "dit", "igd", "mgd3", "lgd")
HARMFUL = "document.querySelectorAll('[onerror], [onload], [src=x]').length"


def test_a_page_shows_class_names_as_text(browser, tmp_path):
    table, images = planted(200)
    page = Gallery(EVIL[0], table, images, NAMES, RESULTS, EVIL[1]).page()
    (tmp_path / "gallery.html").write_text(page, encoding="utf-8")
    browser.open(tmp_path / "gallery.html", "!!document.documentElement?.dataset.ready")
    check_choices(browser)


def test_a_page_in_parts_shows_class_names_as_text(browser, tmp_path):
    table, images = planted(200)
    groups = groups_of(10, 5)
    (tmp_path / "files").mkdir()
    shown = Gallery(EVIL[0], table, images, NAMES, RESULTS, EVIL[1])
    shown.write_groups(tmp_path / "files", groups)
    page = shown.index(groups, "files")
    (tmp_path / "gallery.html").write_text(page, encoding="utf-8")
    browser.open(tmp_path / "gallery.html", "document.documentElement?.dataset.group === '0'")
    check_choices(browser)


def check_choices(browser) -> None:
    """Choose an image of each of the first classes, and look at what the page shows of it."""
    for label, name in enumerate(EVIL):
        browser.evaluate(f"document.getElementById('class').value = '{label}'")
        browser.evaluate("document.getElementById('class').dispatchEvent(new Event('change'))")
        browser.evaluate(f"{CARDS}[0].click()")
        assert browser.evaluate("document.querySelector('#details h2').textContent") == name
        assert name in browser.evaluate(f"{CARDS}[0].getAttribute('aria-label')")
    assert browser.evaluate("document.querySelector('h1').textContent") == EVIL[0]
    assert browser.evaluate("document.querySelectorAll('svg, #details img').length") == 0
    assert browser.evaluate("typeof window.harmed") == "undefined"
    assert browser.errors == []


def test_the_table_s_page_shows_names_as_text(browser, tmp_path):
    rows = [
        dict.fromkeys(TABLE_COLUMNS, 1.0)
        | {"method": name, "student": name, "protocol": name, "n": 1, "n_runs": 1}
        for name in EVIL
    ]
    table, about = pd.DataFrame(rows), {name: name for name in EVIL}
    results = results_of(table, REDUNDANCY, about)
    page = table_page(EVIL[0], table, results, [RUN | {"hardware": EVIL[0]}], {})
    (tmp_path / "table.html").write_text(page, encoding="utf-8")
    browser.open(tmp_path / "table.html", "document.readyState === 'complete'")
    text = browser.evaluate("document.body.innerText")
    assert all(text.count(name) >= 2 for name in EVIL)
    assert browser.evaluate(HARMFUL) == 0
    assert browser.evaluate("typeof window.harmed") == "undefined"
    assert browser.errors == []


@pytest.mark.parametrize("name", [*EVIL, "plain", "a_b *c* |d| :sup:`e`", "back\\slash"])
def test_a_caption_of_the_report_shows_a_class_s_name_as_text(name):
    text = (ROOT / "report" / "class_samples.rst").read_text()
    settings = {"class_name": name, "per_cell": 3, "compared": {"seeds": [0]}}
    snakemake = SimpleNamespace(
        params={"settings": settings}, wildcards={"dataset": "digits", "ipc": 20}
    )
    caption = Environment(undefined=StrictUndefined).from_string(text).render(snakemake=snakemake)
    found = publish_parts(caption, writer="html", settings_overrides={"report_level": 5})
    shown = re.sub(r"<[^>]*>", "", found["body"]).replace("&lt;", "<").replace("&gt;", ">")
    shown = shown.replace("&quot;", '"').replace("&amp;", "&").replace("&#64;", "@")
    assert shown.strip().startswith(f"Images of {name} (digits, IPC 20")
    assert not re.search(r"<(img|svg|script|a|sup|em)\b", found["body"])


@pytest.mark.parametrize("name", ["two\nlines", "\x00", "a\r\n\r\n.. raw:: html"])
@pytest.mark.parametrize("as_table", [False, True])
def test_a_class_s_name_is_one_line(folder, name, as_table):  # noqa: F811
    classes = [name, *"bcdefghij"]
    if as_table:
        text = "name\n" + "\n".join(f'"{each}"' for each in classes) + "\n"
        (folder / "classes.csv").write_text(text, newline="")
        classes = str(folder / "classes.csv")
    override = {"datasets": {"digits": {"classes": classes}}}
    text = complaint(folder, run_of("dit") | {"overrides": override})
    assert "classes" in text
    assert "\n" not in text


@pytest.mark.parametrize("name", EVIL)
def test_folders_of_classes_have_letters_and_digits_alone(name):
    assert re.fullmatch(r"[0-9]+_[A-Za-z0-9_]*", class_folder(3, ["a", "b", "c", name]))


@pytest.mark.parametrize("name", ["a;b", "a`b`", "$(a)", "a|b", "a&b", "a'b", "a/b", "../a", "-a"])
def test_names_of_runs_and_sets_have_no_signs_of_a_shell(folder, name):  # noqa: F811
    for run in ({"name": name}, {"external": {name: "."}}, {"students": [name]}):
        assert next(iter(run)) in complaint(folder, run_of("dit") | run)


SHELLS = (
    r"shell=True|os\.(system|popen)|get(status)?output|subprocess_shell|(?<![.\w])(eval|exec)\("
)


def test_no_rule_calls_a_shell_and_no_code_gives_one_a_text():
    rules = [ROOT / "Snakefile", *(ROOT / "rules").rglob("*.smk")]
    for path in rules:
        assert not re.search(r"^\s*(shell|run|wrapper|notebook|cwl):", path.read_text(), re.M), path
    folders = ("lgd_core", "workflow_scripts", "benchmarks", "rules")
    for path in (path for name in folders for path in (ROOT / name).rglob("*.*")):
        if path.suffix in (".py", ".smk"):
            text = path.read_text()
            assert not re.search(SHELLS, text), path


def test_nothing_runs_the_code_of_a_repository():
    for path in (
        path for name in ("lgd_core", "workflow_scripts") for path in (ROOT / name).rglob("*.py")
    ):
        text = path.read_text()
        for word in ("trust_remote_code", "custom_pipeline", "hub.load("):
            assert word not in text, path


HUB = re.compile(r"[A-Za-z0-9][\w.-]*/[\w.-]+")


def test_shipped_recipes_name_the_commit_of_what_they_fetch():
    found = []
    for path in sorted((ROOT / "config" / "datasets").glob("*.yaml")):
        prior = load_yaml(path).get("prior", {})
        small = prior.get("small_decoder", {})
        for part, revision in ((prior, "revision"), (prior, "vae_revision"), (small, "revision")):
            source = part.get("vae" if revision == "vae_revision" else "source") or ""
            if HUB.fullmatch(source) and not (ROOT / source).exists():
                found.append(source)
                assert re.fullmatch("[0-9a-f]{40}", part.get(revision) or ""), (path, source)
    assert len(set(found)) >= 2


def test_user_errors_are_printable_whatever_was_found():
    assert str(UserError("found '\x1b[31mred\x07', expected text")).isprintable()
