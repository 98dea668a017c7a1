"""What recipe suits a folder of a user's own images: every choice with its reason.

Does not import PyTorch.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lgd_core.base.errors import UserError
from lgd_core.base.image_files import NAMED
from lgd_core.config.classes import imagenet_indices, read_classes, slug
from lgd_core.config.models.dataset import SourceConfig
from lgd_core.config.plain import Keys, is_list, is_mapping
from lgd_core.config.schema import load_yaml
from lgd_core.config.survey import MEASURED, Survey, evenly, measure

# What DiT draws, what networks then see, and sizes that a prior of one's own is trained at.
DIT_SIZE, DIT_SEEN = 256, 224
SIZES = (8, 16, 32, 64)
SIDES = range(8, DIT_SIZE + 1, 4)
# Images of a class to train on at least; with fewer than MANY, a larger share is held out.
FEWEST, MANY = 3, 20
INCREMENTS = (10, 5, 2, 1)
# Steps of training, and the epochs that bound them, from the shipped small stacks.
NETWORK_STEPS, NETWORK_BATCH, NETWORK_EPOCHS = 4000, 64, range(10, 101)
STUDENT_STEPS, STUDENT_IPC = 1600, 50
STEPPED = ("hard_steps", "soft_steps", "soft_kd_steps")
AUTOENCODER_EPOCHS, AUTOENCODER_STEPS = 20, range(600, 3601)
TRANSFORMER_EPOCHS, TRANSFORMER_STEPS = 60, range(1500, 6001)
# With fewer steps, the usual average of weights would still hold what training began with.
LONG = 2000
# The kind of data set for images that nobody has divided, and its key.
UNSPLIT, SHARE = "unsplit-folder", "test_share"
SMALL_STACK, LARGE_STACK = "fashionmnist", "imagenette"


@dataclass(frozen=True)
class Choice:
    """A key of a recipe, its value, and why it has that; the value may be choices of a section."""

    key: str
    value: Any
    why: str = ""


@dataclass(frozen=True)
class Plan:
    """What the sections of a recipe depend on.

    ``folder`` is that of all recipes. ``wnids`` are those of the classes, if all are ImageNet's;
    without any a prior is trained. ``training`` counts the training images that are not held out,
    ``smallest`` those of the class that has fewest.
    """

    folder: Path
    found: Survey
    wnids: list[str]
    size: int
    channels: int
    validation: float
    training: int
    smallest: int

    @property
    def ipc_per_increment(self) -> int:
        """Images per class of an increment: two increments take half of a class at most."""
        return next((step for step in INCREMENTS if 4 * step <= self.smallest), INCREMENTS[-1])

    @property
    def ipc(self) -> int:
        """Images per class of a first distilled set."""
        return 2 * self.ipc_per_increment

    @property
    def network(self) -> str:
        """The small network of the field for images of that size."""
        depth = max(3, round(math.log2(self.size)) - 2)
        return f"ConvNet-{depth}-w32"


def make_plan(folder: Path, found: Survey, size: int | None) -> Plan:
    """Return what to do with images; ``size`` replaces the one that fits them.

    Raises UserError if a class has too few images, or for a size that cannot be halved.
    """
    if size is not None and size not in SIDES:
        raise UserError(
            f"--size: found {size}, expected a multiple of 4 from {SIDES[0]} to {SIDES[-1]}"
        )
    wnids = imagenet_wnids(folder, found.classes) if size in (None, DIT_SIZE) else []
    counts = counts_to_train(found)
    validation = 0.1 if min(counts) >= MANY else 0.2
    kept = [count - round(validation * count) for count in counts]
    return Plan(
        folder=folder,
        found=found,
        wnids=wnids,
        size=DIT_SIZE if wnids else size or fitting_size(found),
        channels=3 if wnids or found.looks.coloured else 1,
        validation=validation,
        training=sum(kept),
        smallest=min(kept),
    )


def fitting_size(found: Survey) -> int:
    """Return the size that is nearest to the median of the short sides."""
    return min(SIZES, key=lambda side: abs(side - found.looks.short_sides[1]))


def imagenet_wnids(folder: Path, classes: Sequence[str]) -> list[str]:
    """Return the wnids of classes named by wnid or as ImageNet's; empty unless all are."""
    if all(name in imagenet_indices() for name in classes):
        return [*classes]
    known = {slug(name): wnid for wnid, name in imagenet_names(folder).items()}
    wnids = [known[slug(name)] for name in classes if slug(name) in known]
    return wnids if len(set(wnids)) == len(classes) else []


def imagenet_names(folder: Path) -> dict[str, str]:
    """Return the name of each of ImageNet's classes by its wnid."""
    rows = read_classes(str(folder / "classes" / "imagenet1k.csv"), "new-dataset")
    return {row["wnid"]: row["name"] for row in rows if is_mapping(row)}


def counts_to_train(found: Survey) -> list[int]:
    """Return how many images of each class are not for testing. Raises UserError for too few."""
    divided = found.parts.test is not None
    needed = FEWEST + 1 if divided else FEWEST + 2
    purpose = "training and validation" if divided else "training, validation and testing"
    for name, images in found.train.items():
        if len(images) < needed:
            raise UserError(
                f"{found.parts.train}: found {len(images)} images of class {name} that decode, "
                f"expected at least {needed}, for {purpose}"
            )
    for name, images in found.test.items():
        if not images:
            raise UserError(
                f"{found.parts.test}: found no images of class {name} that decode, expected at "
                "least one, for testing"
            )
    share = 0 if divided else share_for_testing()
    return [len(images) - round(share * len(images)) for images in found.train.values()]


def share_for_testing() -> float:
    """Return the share of images for testing where nobody has divided them."""
    return getattr(SourceConfig(kind=UNSPLIT), SHARE)


def choices(plan: Plan, name: str) -> list[Choice]:
    """Return the recipe of a data set."""
    kind = "colour" if plan.channels == 3 else "grey"
    size = f"{plan.size} x {plan.size}"
    return [
        Choice("description", f"{name}, {len(plan.found.classes)} classes, {size} {kind}"),
        _classes(plan),
        _image(plan),
        _normalise(plan),
        _source(plan),
        *(_pretrained(plan) if plan.wnids else _trained(plan)),
        *_recipes(plan),
    ]


def _classes(plan: Plan) -> Choice:
    if plan.wnids != plan.found.classes:
        return Choice("classes", plan.found.classes, "The class folders, in label order.")
    titles, indices = imagenet_names(plan.folder), imagenet_indices()
    value = [{"wnid": wnid, "index": indices[wnid], "name": titles[wnid]} for wnid in plan.wnids]
    return Choice("classes", value, "The class folders; the wnid decides the prior's label.")


def _image(plan: Plan) -> Choice:
    least, middle, most = plan.found.looks.short_sides
    looks, sides = plan.found.looks, f"Short sides are {least} to {most} pixels, median {middle}."
    colours = f"{looks.coloured} of {len(looks.sizes)} images looked at have colours."
    if plan.wnids:
        why, value = f"What DiT draws. {sides}", {"train_size": DIT_SEEN}
    elif plan.size == fitting_size(plan.found):
        why, value = f"{sides} The small stack is for {SIZES[0]} to {SIZES[-1]} pixels.", {}
    else:
        why, value = f"{sides} The size was asked for.", {}
    return Choice(
        "image", {"size": plan.size, "channels": plan.channels} | value, f"{why} {colours}"
    )


def _normalise(plan: Plan) -> Choice:
    paths = evenly([*plan.found.train.values()], MEASURED)
    mean, std = measure(paths, plan.size, plan.channels)
    of = "images" if plan.found.parts.test is None else "training images"
    why = f"Measured on {len(paths)} {of} at {plan.size} x {plan.size}."
    return Choice("normalise", {"mean": mean, "std": std}, why)


def _source(plan: Plan) -> Choice:
    parts, broken = plan.found.parts, plan.found.looks.broken
    if parts.test is None:
        keys = [
            Choice("kind", UNSPLIT, "There is no folder of test images."),
            Choice("folder", str(parts.train)),
            Choice(SHARE, share_for_testing(), "Of every class; never trained or tuned on."),
        ]
    else:
        why = f"Tests on {parts.test.name}/, trains on train/."
        keys = [Choice("kind", "folder", why), Choice("folder", str(parts.train.parent))]
    why = "Of every class; hyperparameters are chosen on these, never on the test images."
    keys.append(Choice("validation_fraction", plan.validation, why))
    if broken:
        named = ", ".join([*broken][:NAMED]) + (", ..." if len(broken) > NAMED else "")
        why = f"{len(broken)} of the files looked at are broken: {named}. False stops at the first."
        keys.append(Choice("skip_broken", True, why))
    return Choice("source", keys)


def _pretrained(plan: Plan) -> list[Choice]:
    shipped = load_yaml(plan.folder / "datasets" / f"{LARGE_STACK}.yaml")
    prior, why = shipped["prior"], f"DiT-XL/2 knows these classes. As in {LARGE_STACK}.yaml."
    if plan.wnids != plan.found.classes:
        labels = [imagenet_indices()[wnid] for wnid in plan.wnids]
        prior, why = prior | {"labels": labels}, f"{why} The labels are ImageNet's of these names."
    return [
        Choice("prior", prior, why),
        Choice("augment", shipped["augment"], "The usual augmentation of the field."),
        Choice("reference", shipped["reference"], f"As in {LARGE_STACK}.yaml."),
    ]


def _trained(plan: Plan) -> list[Choice]:
    network, epochs = plan.network, network_epochs(plan.training)
    trained = {"architecture": network, "epochs": epochs}
    return [
        _prior(plan),
        _augment(plan),
        Choice(
            "reference",
            trained | {"evaluations": 5},
            f"About {NETWORK_STEPS} steps over {plan.training} images, but {NETWORK_EPOCHS[0]} to "
            f"{NETWORK_EPOCHS[-1]} epochs. A network for {plan.size} pixels.",
        ),
        Choice("influence", {"surrogate": trained}, "Trained like the reference."),
        _evaluation(plan),
        Choice(
            "protocols",
            {name: {"steps": STUDENT_STEPS} for name in STEPPED},
            f"As many steps as the epochs above make at {STUDENT_IPC} images per class.",
        ),
        Choice(
            "redundancy",
            {"architecture": network, "epochs": 100},
            f"As in {SMALL_STACK}.yaml.",
        ),
    ]


def network_epochs(images: int) -> int:
    """Return the epochs of a network that is trained on so many real images."""
    epochs = -(-NETWORK_STEPS // -(-images // NETWORK_BATCH))
    return _within(epochs, NETWORK_EPOCHS)


def widths(size: int) -> list[int]:
    """Return an autoencoder's widths: halved to at most 8 pixels, or as often as it can be."""
    halvings = 1
    while size >> halvings > 8 and (size >> halvings) % 2 == 0:
        halvings += 1
    return [min(16 << level, 64) for level in range(halvings + 1)]


def _prior(plan: Plan) -> Choice:
    def optimised(epochs: int, batch: int, steps: range) -> Keys:
        count = _within(round(epochs * plan.training / batch, -2), steps)
        return {"steps": count, "ema_decay": 0.999 if count >= LONG else 0.99}

    halved = widths(plan.size)
    latent = plan.size >> (len(halved) - 1)
    autoencoder = Choice(
        "autoencoder",
        {"widths": halved} | optimised(AUTOENCODER_EPOCHS, 64, AUTOENCODER_STEPS),
        f"Latents of {latent} x {latent}. About {AUTOENCODER_EPOCHS} epochs, but "
        f"{AUTOENCODER_STEPS[0]} to {AUTOENCODER_STEPS[-1]} steps.",
    )
    transformer = Choice(
        "transformer",
        optimised(TRANSFORMER_EPOCHS, 128, TRANSFORMER_STEPS),
        f"About {TRANSFORMER_EPOCHS} epochs, but {TRANSFORMER_STEPS[0]} to "
        f"{TRANSFORMER_STEPS[-1]} steps: more draw better images.",
    )
    why = "No pretrained prior knows these classes. A DiTPipeline folder or hub name can stand here"
    keys = [Choice("source", "train", f"{why}."), Choice("train", [autoencoder, transformer])]
    return Choice("prior", keys)


def _augment(plan: Plan) -> Choice:
    flip = 0.5 if plan.channels == 3 else 0.0
    keys = [
        Choice("crop_scale", [0.7, 1.0], f"Crops as in {SMALL_STACK}.yaml."),
        Choice("crop_ratio", [0.8, 1.25]),
        Choice("flip", flip, "0 where mirrored images are others, like letters; else 0.5."),
    ]
    return Choice("augment", keys)


def _evaluation(plan: Plan) -> Choice:
    per_epoch = -(-STUDENT_IPC * len(plan.found.classes) // NETWORK_BATCH)
    epochs = max(1, round(STUDENT_STEPS / per_epoch))
    keys = [
        Choice("students", [plan.network], "The reference's architecture."),
        Choice("lr", 3.0e-3, f"As in {SMALL_STACK}.yaml: a few thousand steps are few."),
        Choice(
            "epochs",
            {STUDENT_IPC: epochs},
            f"{STUDENT_STEPS} steps for {STUDENT_IPC} images per class, the same epochs for fewer.",
        ),
        Choice("evaluations", 5),
    ]
    return Choice("evaluation", keys)


def _recipes(plan: Plan) -> list[Choice]:
    recipes: Keys = {}
    why: list[str] = []
    if not plan.wnids:
        shipped = load_yaml(plan.folder / "datasets" / f"{SMALL_STACK}.yaml")
        recipes = _renamed(shipped["recipes"], shipped["reference"]["architecture"], plan.network)
        why.append(f"The settings of {SMALL_STACK}.yaml, not tuned on these images.")
    if plan.ipc_per_increment != INCREMENTS[0]:
        step = {"ipc_per_increment": plan.ipc_per_increment}
        recipes |= {name: step | recipes.get(name, {}) for name in ("dit", "random")}
        why.append(f"Small increments: the smallest class has {plan.smallest} images to train on.")
    return [Choice("recipes", recipes, " ".join(why))] if recipes else []


def _renamed(value: Any, old: str, new: str) -> Any:
    """Return nested keys with one text replaced by another, wherever it is a value."""
    if is_mapping(value):
        return {key: _renamed(item, old, new) for key, item in value.items()}
    if is_list(value):
        return [_renamed(item, old, new) for item in value]
    return new if value == old else value


def _within(value: float, bounds: range) -> int:
    return int(min(max(value, bounds[0]), bounds[-1]))
