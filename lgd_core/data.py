"""Real images: how they are split, and the arrays that training reads."""

from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from lgd_core.errors import UserError
from lgd_core.runtime import atomic
from lgd_core.seeding import generator


def hold_out(labels: Tensor, fraction: float, *key: int | str) -> tuple[Tensor, Tensor]:
    """Return (kept, held out) row indices, the same fraction of every class, keyed and sorted."""
    held = torch.zeros(len(labels), dtype=torch.bool)
    for label in labels.unique().tolist():
        rows = (labels == label).nonzero().flatten()
        order = torch.randperm(len(rows), generator=generator("hold-out", *key, label))
        held[rows[order[: round(fraction * len(rows))]]] = True
    return (~held).nonzero().flatten(), held.nonzero().flatten()


def prepare(name: str, recipe: dict, raw: Path) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """Return per split the images, uint8 (N, C, H, W), and labels, int64 (N,), of a data set.

    The validation split is held out of the training images, class by class, keyed by the data
    set's name; the test images are never mixed with either.
    """
    readers = {"fashion-mnist": _read_fashion, "digits": _read_digits, "folder": _read_folder}
    train, test = readers[recipe["source"]["kind"]](recipe, raw)
    _check_shape(name, recipe, *train)
    kept, held = hold_out(torch.from_numpy(train[1]), recipe["source"]["validation_fraction"], name)
    return {
        "train": (train[0][kept], train[1][kept]),
        "validation": (train[0][held], train[1][held]),
        "test": test,
    }


def _check_shape(name: str, recipe: dict, images: np.ndarray, labels: np.ndarray) -> None:
    image = recipe["image"]
    expected = (image["channels"], image["size"], image["size"])
    if images.shape[1:] != expected:
        raise UserError(f"{name}: found images of {images.shape[1:]}, expected {expected}")
    if len(np.unique(labels)) != len(recipe["classes"]):
        raise UserError(
            f"{name}: found {len(np.unique(labels))} classes, expected {len(recipe['classes'])}"
        )


def _read_fashion(recipe: dict, raw: Path) -> list[tuple[np.ndarray, np.ndarray]]:
    from torchvision.datasets import FashionMNIST

    parts = (FashionMNIST(str(raw), train=train) for train in (True, False))
    return [(part.data.numpy()[:, None], part.targets.numpy().astype(np.int64)) for part in parts]


def _read_digits(recipe: dict, raw: Path) -> list[tuple[np.ndarray, np.ndarray]]:
    from sklearn.datasets import load_digits

    digits = load_digits()
    images = (digits.images[:, None] * (255 / 16)).round().astype(np.uint8)
    labels = digits.target.astype(np.int64)
    return [
        (images[rows], labels[rows]) for rows in hold_out(torch.from_numpy(labels), 0.2, "test")
    ]


def _read_folder(recipe: dict, raw: Path) -> list[tuple[np.ndarray, np.ndarray]]:
    """Read class folders under train/ and test/: short side resized, then centre-cropped."""
    from torchvision.datasets import ImageFolder
    from torchvision.transforms import v2

    size, channels = recipe["image"]["size"], recipe["image"]["channels"]
    grey = [v2.Grayscale(1)] if channels == 1 else []
    to_array = v2.Compose([v2.Resize(size), v2.CenterCrop(size), *grey, v2.PILToTensor()])
    parts = []
    for part in ("train", "test"):
        tree = ImageFolder(str(Path(recipe["source"]["folder"]) / part), transform=to_array)
        label_of = folder_labels(tree.root, tree.classes, recipe["classes"])
        images, labels = zip(*tree, strict=True)
        labels = np.array([label_of[label] for label in labels], dtype=np.int64)
        parts.append((torch.stack(images).numpy(), labels))
    return parts


def folder_labels(root: str | Path, folders: list[str], names: list[str]) -> list[int]:
    """Return the label of every sorted folder in ``root``: by name where all match, else in order.

    Raises UserError where there are more or fewer folders than classes.
    """
    if len(folders) != len(names):
        raise UserError(f"{root}: found {len(folders)} class folders, expected {len(names)}")
    if set(folders) == set(names):
        return [names.index(folder) for folder in folders]
    return list(range(len(names)))


def save_split(folder: Path, split: str, images: np.ndarray, labels: np.ndarray) -> None:
    """Write one split as two .npy files, each atomically."""
    for part, array in (("images", images), ("labels", labels)):
        with atomic(folder / f"{split}_{part}.npy") as temporary, open(temporary, "wb") as stream:
            np.save(stream, np.ascontiguousarray(array), allow_pickle=False)


def load_split(folder: str | Path, split: str) -> tuple[Tensor, Tensor]:
    """Memory-map one split: uint8 images (N, C, H, W) and int64 labels (N,)."""
    # Mode c maps privately: the tensors count as writable, the files are never written.
    parts = (
        np.load(Path(folder) / f"{split}_{part}.npy", mmap_mode="c")
        for part in ("images", "labels")
    )
    images, labels = map(torch.from_numpy, parts)
    return images, labels


def real_increment(labels: Tensor, classes: int, size: int, seed: int, increment: int) -> Tensor:
    """Return the rows (classes, size) of increment k of random real images, class by class.

    Each class is shuffled once by (seed, class); increment k takes the k-th run of it, so that
    increments never share an image. Raises UserError where a class has too few.
    """
    rows = []
    for label in range(classes):
        of_class = (labels == label).nonzero().flatten()
        if len(of_class) < (increment + 1) * size:
            raise UserError(
                f"class {label}: found {len(of_class)} training images, expected at least "
                f"{(increment + 1) * size} for increment {increment}"
            )
        order = torch.randperm(len(of_class), generator=generator("real", seed, label))
        rows.append(of_class[order[increment * size : (increment + 1) * size]])
    return torch.stack(rows)
