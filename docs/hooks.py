"""What the site shows beside the pages of docs/, and links that hold on it."""

import json
import os
import re
from pathlib import Path

ROOT = Path(__file__).parents[1]
# Pages of the site that lie elsewhere in the repository.
PAGES = {
    "README.md": "index.md",
    "config/README.md": "recipes.md",
    "lgd_core/README.md": "library.md",
    "benchmarks/README.md": "benchmarks.md",
    "examples/first_steps.ipynb": "first_steps.md",
    "CONTRIBUTING.md": "contributing.md",
    "CHANGELOG.md": "changes.md",
}
# Diagrams keep their size, and scroll, instead of shrinking until nobody can read them.
DIAGRAM = "```mermaid\n"
AT_ITS_SIZE = '%%{init: {"flowchart": {"useMaxWidth": false}}}%%\n'
# Of the library: a page per package, with all modules in it.
PACKAGES = sorted(path.parent.name for path in ROOT.glob("lgd_core/*/__init__.py"))


def on_files(files, config):
    """Add the pages that lie elsewhere and those of the reference."""
    from mkdocs.structure.files import File

    for source, page in PAGES.items():
        files.append(File.generated(config, page, content=text_of(ROOT / source)))
    for package in PACKAGES:
        text = f"# {package}\n\n::: lgd_core.{package}\n"
        files.append(File.generated(config, f"reference/{package}.md", content=text))
    return files


def text_of(path: Path) -> str:
    """Return a file as Markdown; the cells of a notebook follow one another."""
    text = path.read_text()
    if path.suffix != ".ipynb":
        return text
    cells = ((cell["cell_type"], "".join(cell["source"])) for cell in json.loads(text)["cells"])
    return "\n\n".join(
        f"```python\n{source}\n```" if kind == "code" else source for kind, source in cells
    )


def on_page_markdown(markdown, page, config, files):
    """Return the text of a page with links that hold on the site, and diagrams that scroll."""
    return relink(markdown, source_of(page.file.src_uri)).replace(DIAGRAM, DIAGRAM + AT_ITS_SIZE)


def source_of(page: str) -> str:
    """Return the file of the repository that a page of the site is made of."""
    return {there: here for here, there in PAGES.items()}.get(page, f"docs/{page}")


def page_of(source: str) -> str | None:
    """Return the page or picture of the site that a file of the repository is; None without one."""
    if source.startswith("docs/"):
        return source.removeprefix("docs/")
    return PAGES.get(source)


def relink(markdown: str, source: str) -> str:
    """Return the text of a file with the site's links.

    Links to pages and pictures lead to those of the site, links to code into the reference, and
    names of pages become links. Other files are not on the site: of a link to one the words stay.
    """
    folder = os.path.dirname(source)
    here = os.path.dirname(page_of(source)) or "."

    def link(found: re.Match) -> str:
        words, target, anchor = found["words"], found["target"], found["anchor"] or ""
        path = os.path.normpath(os.path.join(folder, target))
        if path.startswith("lgd_core/") and path.endswith(".py"):
            return f"[{words}][{code_name(path, words)}]"
        if page := page_of(path):
            return f"[{words}]({os.path.relpath(page, here)}{anchor})"
        return words

    def name(found: re.Match) -> str:
        page = page_of(found["path"])
        known = page and (ROOT / found["path"]).is_file()
        return f"[{found[0]}]({os.path.relpath(page, here)})" if known else found[0]

    links = r"\[(?P<words>[^\]]*)\]\((?P<target>[^)#:\s]+)(?P<anchor>#[^)\s]*)?\)"
    markdown = re.sub(r"(?<!\[)`(?P<path>[\w/.-]+\.md)`", name, re.sub(links, link, markdown))
    return markdown


def code_name(path: str, words: str) -> str:
    """Return the name of a module, or of what ``words`` name in it as `` `module.name` ``."""
    module = path.removesuffix(".py").replace("/", ".")
    named = re.fullmatch(r"`(\w+)\.(\w+)`", words)
    return f"{module}.{named[2]}" if named and module.endswith(f".{named[1]}") else module
