"""Records of searches: ``python -m lgd_core.analysis.search DATASET FAMILY ...``.

It takes the tables of families that ``config/search.yaml`` has made, and keeps what was tried, and
how well students did on held-out images, in ``config/search/DATASET.csv``. Values are chosen there
and nowhere else; the test set does not occur in it. The recipes of the best values tell whether
a method has changed since its search.
"""

import sys
from collections.abc import Iterator
from functools import reduce
from pathlib import Path
from typing import Any, cast

import pandas as pd

from lgd_core.analysis.ablations import ABLATION_COLUMNS
from lgd_core.analysis.frames import column, rows_where
from lgd_core.analysis.written import markdown, write_tables
from lgd_core.base.csv_files import parse_csv, write_csv
from lgd_core.base.errors import UserError
from lgd_core.config.models.method import MethodConfig
from lgd_core.config.recipes import Recipes
from lgd_core.config.stages import recipe_fingerprint

RUN = "config/search.yaml"
RECORD = "config/search/{dataset}.csv"
RECORD_COLUMNS = (
    "family",
    "method",
    "key",
    "value",
    "ipc",
    "student",
    "protocol",
    "n_sets",
    "n_runs",
    "recipe",
    "validation_mean",
    "validation_std",
    "best",
    "command",
)


def tried(dataset: str, family: str, recipes: Recipes) -> pd.DataFrame:
    """Return the rows of a family's table of ablations, as the record has them.

    A method as it is, whose value is not among the family's, counts as one of them. The value null
    is empty. ``best`` marks the value with the highest accuracy on held-out images among those with
    the same images per class and student; several where they are equal to a tenth of a percent,
    which is what tables show. ``recipe`` is stages.recipe_fingerprint of the base with the value.
    Raises UserError for a family that sweeps no key, or whose table is missing, lacks held-out
    images or was made before the recipe changed.
    """
    sweep = recipes.sweep(dataset, family)
    if not sweep.key:
        raise UserError(f"{family}: found a family of methods, expected one that sweeps a key")
    path = f"results/{dataset}/ablation/{family}.csv"
    table = parse_csv(path, ABLATION_COLUMNS)
    means = column(table, "validation_mean")
    if means.isna().any():
        raise UserError(f"{path}: validation_mean: found an empty cell, expected held-out images")
    shown = means.round(1)
    groups = shown.groupby([table[name] for name in ("ipc", "student", "protocol")])
    own = _value(recipes.method(dataset, sweep.base), sweep.key)
    values, is_base = column(table, "value"), column(table, "method") == sweep.base
    made_by = {m: _recipe(recipes.origins(dataset, m), m, sweep.base) for _, m in sweep.variants}
    if former := sorted(set(table["method"]) - set(made_by)):
        raise UserError(
            f"{path}: method: found {', '.join(former)}, expected {', '.join(made_by)}: the recipe "
            "has changed since, make the table again"
        )
    facts = {
        "family": family,
        "method": sweep.base,
        "key": sweep.key,
        "value": values.mask(is_base & values.isna(), own),
        "recipe": column(table, "method").map(made_by),
        "best": shown == groups.transform("max"),
        "command": f"snakemake --cores 2 --configfile {RUN} -- {path}",
    }
    return table.assign(**facts).reindex(columns=list(RECORD_COLUMNS))


def _recipe(origins: dict[str, MethodConfig], variant: str, base: str) -> str:
    """Return the digest of a variant under the name of its base, which it has if it is the best."""
    others = {name: method for name, method in origins.items() if name != variant}
    return recipe_fingerprint(others | {base: origins[variant]})


def record(record_path: str | Path, rows: pd.DataFrame) -> None:
    """Put the rows of families into the record, in place of earlier ones of the same families."""
    known = [rows]
    if Path(record_path).exists():
        before = parse_csv(record_path, RECORD_COLUMNS)
        known.insert(0, rows_where(before, ~column(before, "family").isin(rows["family"])))
    whole = pd.concat(known, ignore_index=True)
    Path(record_path).parent.mkdir(parents=True, exist_ok=True)
    write_csv(whole.sort_values(["family", "ipc"], kind="stable"), record_path)


def table_of(dataset: str) -> str:
    """Return what has been searched on a data set as a Markdown table, a row per family.

    The best values are bold, "none" is null. Accuracies on held-out images are in percent, mean ±
    standard deviation over sets.
    """
    found = parse_csv(RECORD.format(dataset=dataset), RECORD_COLUMNS)
    rows = list[list[str]]()
    for _, family in found.groupby("family", sort=False):
        cells = family.to_dict("records")
        shown = [(_shown(cell["value"]), cell["best"]) for cell in cells]
        values = (f"**{value}**" if best else value for value, best in shown)
        means = (f"{cell['validation_mean']:.1f} ± {cell['validation_std']:.1f}" for cell in cells)
        searched = f"`{cells[0]['method']}`, `{cells[0]['key']}`"
        rows.append([searched, ", ".join(values), ", ".join(means)])
    return markdown(["searched", "values", "held out (%)"], rows)


def outdated(dataset: str, found: pd.DataFrame, recipes: Recipes) -> Iterator[str]:
    """Yield the methods of a record that have changed since the last of their searches.

    The second key of a method is searched with the first at its best, so that a best value of
    one family, the last, is the method as it is.
    """
    for method, best in rows_where(found, column(found, "best")).groupby("method"):
        if recipe_fingerprint(recipes.origins(dataset, str(method))) not in set(best["recipe"]):
            yield str(method)


def not_taken(dataset: str, found: pd.DataFrame, recipes: Recipes) -> Iterator[str]:
    """Yield, in a line each, the keys of a record whose value in the recipe is none of the best.

    Values are compared as tables show them, null as "none".
    """
    best = rows_where(found, column(found, "best"))
    for key, rows in best.groupby(["method", "key"]):
        method, path = cast("tuple[str, str]", key)
        own = _value(recipes.method(dataset, method), path)
        good = [_shown(value) for value in rows["value"]]
        if _shown(own) not in good:
            yield f"{method}: {path}: found {_shown(own)}, expected the best: {', '.join(good)}"


def _value(method: MethodConfig, path: str) -> Any:
    return reduce(getattr, path.split("."), cast("Any", method))


def _shown(value: object) -> str:
    """Return a value of a record or a recipe as tables show it: null as "none"."""
    if value is None or value != value:
        return "none"
    try:
        return f"{float(cast('Any', value)):g}"
    except ValueError:
        return str(value)


def main(dataset: str, *families: str) -> None:
    """Record families of a data set, and say which recipes do not follow from what is recorded.

    Raises UserError as ``tried`` does.
    """
    recipes = Recipes(Path("config"), {})
    found = [tried(dataset, family, recipes) for family in families]
    rows = pd.concat(found, ignore_index=True)
    path = RECORD.format(dataset=dataset)
    record(path, rows)
    write_tables("search", table_of)
    shown = rows_where(rows, column(rows, "best"))
    print(shown[["method", "key", "value", "validation_mean"]].to_string(index=False))
    known = parse_csv(path, RECORD_COLUMNS)
    for line in not_taken(dataset, known, recipes):
        print(line)
    for method in outdated(dataset, known, recipes):
        print(f"{method}: its recipe on {dataset} is none of those that were the best")


if __name__ == "__main__":
    if len(sys.argv) < 3:
        sys.exit("error: expected a data set and families: fashionmnist lgd_omega lgd_scale")
    try:
        main(*sys.argv[1:])
    except UserError as error:
        sys.exit(f"error: {error}")
