"""The card of a distilled set: the README.md that hubs show, with metadata that they read."""

from typing import Any

from huggingface_hub import DatasetCardData

from lgd_core.exchange.form import Form
from lgd_core.exchange.leaving import Accuracy, Facts, Leaving

# The hub's categories of size, by the number of images below which they end.
SIZES = {1_000: "n<1K", 10_000: "1K<n<10K", 100_000: "10K<n<100K", 1_000_000: "100K<n<1M"}
COLUMNS = {
    "image": "the image",
    "label": "its class, 0, 1, ..., in the order above",
    "wnid": "the WordNet id of its class",
    "increment": "the increment that it was added in; the first increments are a smaller set",
    "position": "its place in its class and increment",
    "score": "its learnability when it was chosen; empty where nothing was scored",
    "weight": "its weight in a student's loss",
    "logits": "a teacher's logits, see below",
}


def card(leaving: Leaving, form: Form, stamp: dict[str, Any]) -> str:
    """Return the card of a set in a form; ``stamp`` is the record of how it was made."""
    parts = [_what(leaving), _columns(leaving), _loading(leaving, form), _making(leaving, stamp)]
    text = "\n\n".join([*parts, _accuracies(leaving), _licences(leaving)])
    return f"---\n{metadata(leaving, form).to_yaml()}\n---\n\n{text}\n"


def metadata(leaving: Leaving, form: Form) -> DatasetCardData:
    """Return what the hub reads of a card."""
    facts = leaving.facts
    # A colon in a tag has a meaning of its own.
    method = facts.method.replace(":", "-")
    tags = ["dataset-distillation", f"ipc-{facts.ipc}", facts.dataset, method]
    licences = list(dict.fromkeys(filter(None, facts.licences.values())))
    return DatasetCardData(
        license=licences[0] if len(licences) == 1 else licences or "unknown",
        pretty_name=_title(facts),
        task_categories=["image-classification"],
        size_categories=[next(name for end, name in SIZES.items() if len(leaving.rows) < end)],
        source_datasets=[f"extended|{facts.dataset}"],
        tags=tags,
        # Not among the named arguments of every version.
        **_configured(leaving, form),
    )


def _configured(leaving: Leaving, form: Form) -> dict[str, Any]:
    return {"configs": _configs(leaving, form.files)} if form.files else {}


def _configs(leaving: Leaving, pattern: str) -> list[dict[str, Any]]:
    """Return a configuration per number of increments, counted from the first; all come first."""
    ipc, count = leaving.facts.ipc, leaving.increments
    return [
        {
            "config_name": f"ipc{ipc * number // count}",
            "data_files": [
                {"split": "train", "path": [pattern.format(k=k) for k in range(number)]}
            ],
        }
        | ({"default": True} if number == count else {})
        for number in range(count, 0, -1)
    ]


def _title(facts: Facts) -> str:
    return f"{facts.dataset} distilled by {facts.method}, {facts.ipc} images per class"


def _what(leaving: Leaving) -> str:
    facts = leaving.facts
    classes = ", ".join(leaving.classes.names[:20])
    more = f" and {len(leaving.classes.names) - 20} more" if len(leaving.classes.names) > 20 else ""
    held = facts.formation
    grids = (
        f" Each stored image is a grid of {held} x {held} images: cut it up and enlarge each part "
        "to the full size before training."
        if held > 1
        else ""
    )
    return (
        f"# {_title(facts)}\n\n"
        f"A small set of {len(leaving.rows)} images in {leaving.increments} increments, for "
        f"training classifiers in place of the real data set ({facts.data_description}). "
        f"Method: {facts.method} ({facts.method_description}).{grids}\n\n"
        f"Classes, in the order of the labels: {classes}{more}."
    )


def _columns(leaving: Leaving) -> str:
    names = ["image", *leaving.described(leaving.rows[0])]
    names += [] if leaving.logits is None else ["logits"]
    rows = "\n".join(f"| `{name}` | {COLUMNS[name]} |" for name in names)
    return f"| column | what it is |\n|---|---|\n{rows}"


def _loading(leaving: Leaving, form: Form) -> str:
    size = leaving.facts.ipc // leaving.increments
    code = form.loading.replace("ipc10", f"ipc{size}").replace(
        "the first 10 images", f"the first {size} images"
    )
    return (
        f"## Loading\n\nThis is {form.description}; FOLDER is where it lies, or its name on a "
        "hub.\n\n"
        f"```python\n{code}\n```"
    )


def _making(leaving: Leaving, stamp: dict[str, Any]) -> str:
    facts = leaving.facts
    prior = facts.prior
    drawn = f"drawn from the prior `{prior}`" if prior else "not drawn from a prior"
    logits = facts.logits
    told = (
        f" Logits are log-probabilities at temperature {logits.labels.temperature:g}, by the "
        f"labels of protocol `{logits.protocol}`."
        if logits
        else ""
    )
    versions = ", ".join(f"{name} {version}" for name, version in stamp["versions"].items())
    return (
        f"## How it was made\n\nWith seed {facts.seed}, {drawn}; real images: "
        f"{facts.data_description}.{told} The recipe of every increment, digests of the "
        "data and the SHA-256 of every file are in `provenance.json`. This command makes the set "
        f"again:\n\n```\n{facts.command}\n```\n\nMade on {stamp['hardware']} with {versions}."
    )


def _accuracies(leaving: Leaving) -> str:
    rows = leaving.facts.accuracies
    if not rows:
        return "## Accuracy\n\nNot measured."
    body = "\n".join(
        f"| {row.protocol} | {row.student} | {_spread(row)} | {row.best_top1_mean:.1f} | {row.n} |"
        for row in rows
    )
    return (
        "## Accuracy\n\nTop-1 on the real test images in percent, after the last epoch: mean and "
        "standard deviation over n students trained from scratch on this one set. `best` is the "
        "best of the evaluations on the test set, as some papers report it.\n\n"
        f"| protocol | student | last | best | n |\n|---|---|---|---|---|\n{body}"
    )


def _spread(row: Accuracy) -> str:
    deviation = "" if row.top1_std is None else f" ± {row.top1_std:.1f}"
    return f"{row.top1_mean:.1f}{deviation}"


def _licences(leaving: Leaving) -> str:
    facts = leaving.facts
    known = {
        f"the real images ({facts.data_description})": facts.licences.get("data"),
        f"the weights of the prior `{facts.prior}`": facts.licences.get("prior"),
    }
    if not facts.prior:
        known.popitem()
    lines = [f"- {what}: {licence or 'not stated'}" for what, licence in known.items()]
    restricted = any("-nc" in (licence or "") for licence in known.values())
    warning = (
        "\n\nA part is licensed for non-commercial use only: keep to that for these images too."
        if restricted
        else ""
    )
    return "## Licences\n\n" + "\n".join(lines) + warning
