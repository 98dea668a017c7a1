"""The recipe of a data set of one's own images: proposed, written, checked and put in place.

Does not import PyTorch.
"""

import re
import tempfile
import textwrap
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import yaml

from lgd_core.base.errors import UserError
from lgd_core.base.files import atomic
from lgd_core.base.image_files import describe, summarise
from lgd_core.config.catalogue import NAME, RESERVED_NAMES
from lgd_core.config.plain import is_list, is_mapping
from lgd_core.config.proposals import Choice, Plan, choices, make_plan
from lgd_core.config.recipes import Recipes
from lgd_core.config.survey import Survey, survey

FOLDER = Path("config")
WIDTH = 100
# Methods of the run that ships; all others extend or resemble one of them.
CHECKED = ["random", "dit", "lgd"]
# Classes that the summary names.
LISTED = 20

HEAD = """# yaml-language-server: $schema=../schemas/dataset.schema.json
# Intent    Images of one's own. Every choice was proposed by a command and may be changed.
# Source    {source}
# Prior     {prior}
# Cost      Not measured.
"""


def new_dataset(
    images: str, name: str | None, size: int | None, log: Callable[[str], None]
) -> Path:
    """Write the recipe of a data set from a folder of images; return the recipe's path.

    ``log`` is told what was found and what to do next. Raises UserError for a folder without
    images of at least two classes, for a name that is taken or unsuitable, and for a recipe that
    does not pass the checks of a run; then nothing is written.
    """
    path = recipe_path(_name_of(images) if name is None else name)
    found = survey(images, log)
    plan = make_plan(FOLDER, found, size)
    text = recipe_text(plan, path.stem)
    check_recipe(path.stem, text, plan.ipc)
    with atomic(path) as temporary:
        temporary.write_text(text, encoding="utf-8")
    for line in (*_summary(plan), f"written: {path}", f"next: {next_command(path.stem, plan)}"):
        log(line)
    return path


def next_command(name: str, plan: Plan) -> str:
    """Return the command that distils a first set."""
    return f"snakemake --cores 2 -- results/{name}_ipc{plan.ipc}/table.csv"


def recipe_path(name: str) -> Path:
    """Return where a recipe goes. Raises UserError for a name that is taken or unsuitable."""
    if not NAME.fullmatch(name) or name in RESERVED_NAMES["dataset"]:
        raise UserError(
            f"--name: found '{name}', expected letters, digits and _ . + - only, the first a "
            f"letter or digit, and none of {', '.join(RESERVED_NAMES['dataset'])}"
        )
    path = FOLDER / "datasets" / f"{name}.yaml"
    if not path.parent.is_dir():
        raise UserError(f"{path.parent}: found no such folder, expected to be in the project's")
    if path.exists():
        raise UserError(f"{path}: found a recipe of this name, expected another --name")
    return path


def _name_of(images: str) -> str:
    return re.sub(r"[^A-Za-z0-9_.+-]+", "_", Path(images).resolve().name).lstrip("_.+-")


def recipe_text(plan: Plan, name: str) -> str:
    """Return the recipe's file, with a comment above every choice that says why."""
    source = textwrap.fill(_one_line(_source_in_words(plan)), WIDTH - 12)
    head = HEAD.format(source=source.replace("\n", "\n#           "), prior=_prior_in_words(plan))
    return head + "\n".join(written(choices(plan, name))) + "\n"


def _source_in_words(plan: Plan) -> str:
    found = plan.found
    counts, tests = (sorted(map(len, images.values())) for images in (found.train, found.test))
    tested = f"{sum(tests)} test images" if tests else "test images are held out of them"
    return (
        f"{found.parts.train}: {sum(counts)} images, {counts[0]} to {counts[-1]} in a class; "
        f"{tested}."
    )


def _prior_in_words(plan: Plan) -> str:
    if plan.wnids:
        return "DiT-XL/2 at 256 x 256, conditioned on the ImageNet index of each class."
    return f"Trained from scratch on the {plan.training} training images, at toy size."


def written(parts: Sequence[Choice], depth: int = 0) -> Iterator[str]:
    """Yield the lines of choices as YAML, comments above them."""
    pad = "  " * depth
    for choice in parts:
        yield from textwrap.wrap(
            _one_line(choice.why), WIDTH, initial_indent=f"{pad}# ", subsequent_indent=f"{pad}# "
        )
        if is_list(choice.value) and isinstance(choice.value[0], Choice):
            yield f"{pad}{choice.key}:"
            yield from written(choice.value, depth + 1)
        else:
            yield textwrap.indent(_dumped(choice.key, choice.value, WIDTH - len(pad)), pad)


def _dumped(key: str, value: Any, width: int) -> str:
    # None writes what holds nothing but plain values in one line; a key with one value is such.
    flow = None if is_mapping(value) or is_list(value) else False
    return yaml.safe_dump(
        {key: value}, default_flow_style=flow, sort_keys=False, width=width, allow_unicode=True
    ).rstrip("\n")


def _one_line(text: str) -> str:
    """Return a comment's text, in which names of files must not begin a new line."""
    return "".join(c if c.isprintable() else " " for c in text)


def check_recipe(name: str, text: str, ipc: int) -> None:
    """Raise UserError unless a run would take a recipe that is not in its place yet."""
    with tempfile.TemporaryDirectory() as scratch:
        copy = Path(scratch) / FOLDER
        (copy / "datasets").mkdir(parents=True)
        for path in (*FOLDER.iterdir(), *(FOLDER / "datasets").iterdir()):
            link = Path(scratch) / path
            if not link.exists():
                link.symlink_to(path.absolute())
        (copy / "datasets" / f"{name}.yaml").write_text(text, encoding="utf-8")
        try:
            run = {"datasets": [name], "methods": CHECKED, "ipc": [ipc]}
            Recipes(copy, run).list_source(name)
        except UserError as error:
            raise UserError(str(error).replace(f"{scratch}/", "")) from None


def _summary(plan: Plan) -> Iterator[str]:
    found, looks = plan.found, plan.found.looks
    yield f"trains on {found.parts.train}, tests on {found.parts.test or 'a share of it'}"
    yield f"classes: {len(found.classes)}{', all of ImageNet' if plan.wnids else ''}"
    yield from _counts(found)
    least, middle, most = looks.short_sides
    yield f"short sides: {least} to {most} pixels, median {middle}; image.size: {plan.size}"
    yield f"with colours: {looks.coloured} of {len(looks.sizes)}; image.channels: {plan.channels}"
    for reason in looks.broken.values():
        yield f"skipped: {reason}"
    if found.left_out:
        yield f"left out: {describe(summarise(found.left_out))}"
    if plan.wnids:
        yield "prior: DiT-XL/2, downloaded by the first job; sampling it needs a GPU"


def _counts(found: Survey) -> Iterator[str]:
    for name in found.classes[:LISTED]:
        tests = f", {len(found.test[name])} for testing" if found.test else ""
        yield f"  {name}: {len(found.train[name])} images{tests}"
    if len(found.classes) > LISTED:
        yield f"  and {len(found.classes) - LISTED} more"
