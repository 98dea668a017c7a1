"""Real images: where they come from, how they are split, the arrays that training reads."""

import gzip
import hashlib
import http.client
import shutil
import socket
import subprocess
import threading
import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from lgd_core.errors import UserError
from lgd_core.runtime import atomic, fingerprint, scratch
from lgd_core.seeding import generator

SPLITS = ("train", "validation", "test")
FASHION_PACKAGE = "dataset-fashion-mnist"
FASHION_SYSTEM_FOLDER = Path("/usr/share/datasets/fashion-mnist")
# SHA-256 of the unpacked files: the archives differ between sources, their contents do not.
FASHION_FILES = {
    "train-images-idx3-ubyte": "c59f468a2f672dc815687fe0f83887768d799fd8a3f3276145d20f83aa44d888",
    "train-labels-idx1-ubyte": "bad3541b69d912435c50bb6ba87bec294ff4f6a2e1246121d8633921760443d9",
    "t10k-images-idx3-ubyte": "5b4141f0afbad91edebe8549f8fcffe087ea10ca49f1dbef5c9a5cd8815ce37b",
    "t10k-labels-idx1-ubyte": "0402a96d92fd2663957122ceb108a494c5af83dab82d92729df917d7dec38c34",
}


def hold_out(labels: Tensor, fraction: float, *key: int | str) -> tuple[Tensor, Tensor]:
    """Return (kept, held out) row indices, the same fraction of every class, keyed and sorted."""
    held = torch.zeros(len(labels), dtype=torch.bool)
    for label in labels.unique().tolist():
        rows = (labels == label).nonzero().flatten()
        order = torch.randperm(len(rows), generator=generator("hold-out", *key, label))
        held[rows[order[: round(fraction * len(rows))]]] = True
    return (~held).nonzero().flatten(), held.nonzero().flatten()


def fetch(source: dict, folder: Path, log: Callable[[str], None]) -> dict[str, str]:
    """Bring the raw files of a data set into ``folder``; return which source served them."""
    folder.mkdir(parents=True, exist_ok=True)
    if source["kind"] == "fashion-mnist":
        return {"served_by": _fetch_fashion(source["folder"], folder, log)}
    if source["kind"] == "folder":
        root = Path(source["folder"] or "")
        for part in ("train", "test"):
            if not (root / part).is_dir():
                raise UserError(f"source.folder: no folder {root / part}, expected class folders")
        return {"served_by": str(root), "listing": fingerprint(sorted(map(str, root.rglob("*.*"))))}
    return {"served_by": "scikit-learn"}


def _fetch_fashion(local: str | None, folder: Path, log: Callable[[str], None]) -> str:
    """Try every source of Fashion-MNIST in turn; the first whose files check out serves."""
    sources: list[tuple[str, Callable[[Path], Path]]] = [
        (f"system folder {FASHION_SYSTEM_FOLDER}", lambda _: FASHION_SYSTEM_FOLDER),
        ("torchvision download", _download_fashion),
        (f"apt-get download {FASHION_PACKAGE}", _unpack_fashion_package),
    ]
    if local is not None:
        sources.insert(0, (f"configured folder {local}", lambda _: Path(local)))
    reasons = []
    for name, bring in sources:
        with scratch(folder) as temporary:
            try:
                _take_fashion(bring(Path(temporary)), folder / "FashionMNIST" / "raw")
            except (
                OSError,
                EOFError,
                subprocess.SubprocessError,
                RuntimeError,
                UserError,
            ) as error:
                reasons.append(f"{name}: {' '.join(str(error).split())}")
                log(f"no data from {reasons[-1]}")
                continue
        log(f"data served by {name}")
        return name
    raise UserError(f"fashionmnist: no source works ({'; '.join(reasons)})")


def _take_fashion(origin: Path, target: Path) -> None:
    """Unpack the four files from a folder, plain or gzipped, and check what they contain."""
    target.mkdir(parents=True, exist_ok=True)
    for name, expected in FASHION_FILES.items():
        packed = next((p for p in (origin / f"{name}.gz", origin / name) if p.exists()), None)
        if packed is None:
            raise UserError(f"{origin / name}.gz: not found")
        opener = gzip.open if packed.suffix == ".gz" else open
        with atomic(target / name) as temporary:
            with opener(packed, "rb") as stream, open(temporary, "wb") as out:
                shutil.copyfileobj(stream, out)
            found = _sha256(temporary)
            if found != expected:
                raise UserError(f"{packed}: found SHA-256 {found}, expected {expected}")


def _sha256(path: Path) -> str:
    with open(path, "rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def _download_fashion(folder: Path) -> Path:
    from torchvision.datasets import FashionMNIST

    mirror = FashionMNIST.mirrors[0]
    if not reachable(mirror):
        raise UserError(f"{mirror} cannot be reached")
    before = socket.getdefaulttimeout()
    socket.setdefaulttimeout(15)
    try:
        FashionMNIST(str(folder), download=True)
    finally:
        socket.setdefaulttimeout(before)
    return folder / "FashionMNIST" / "raw"


def reachable(address: str, seconds: float = 15) -> bool:
    """Whether a web address answers in time; name resolution and redirects are counted in."""
    answered = threading.Event()

    def ask() -> None:
        try:
            urllib.request.urlopen(address, timeout=seconds).close()
        except urllib.error.HTTPError:
            answered.set()
        except (OSError, http.client.HTTPException):
            return
        else:
            answered.set()
        finally:
            finished.set()

    finished = threading.Event()
    threading.Thread(target=ask, daemon=True).start()
    finished.wait(seconds)
    return answered.is_set()


def _unpack_fashion_package(folder: Path) -> Path:
    """Download Debian's package and unpack it without installing; needs no privileges."""
    options = ["-qq", "-o", "Acquire::Retries=0", "-o", "Acquire::http::Timeout=15"]
    own = [f"Dir::State::Lists={folder}/lists", f"Dir::Cache={folder}/cache"]
    private = [*options, *(word for setting in own for word in ("-o", setting))]
    (folder / "lists" / "partial").mkdir(parents=True)
    (folder / "cache" / "archives" / "partial").mkdir(parents=True)

    def apt(*words: str) -> bool:
        done = subprocess.run(
            ["apt-get", *words], cwd=folder, capture_output=True, text=True, timeout=600
        )
        return done.returncode == 0

    known = apt(*options, "download", FASHION_PACKAGE)
    if not known and not (apt(*private, "update") and apt(*private, "download", FASHION_PACKAGE)):
        raise UserError("apt-get has no such package to offer")
    archive = next(folder.glob("*.deb"))
    subprocess.run(["dpkg", "-x", str(archive), str(folder / "unpacked")], check=True)
    return folder / "unpacked" / FASHION_SYSTEM_FOLDER.relative_to("/")


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
        label_of = _folder_labels(tree.classes, recipe["classes"])
        images, labels = zip(*tree, strict=True)
        labels = np.array([label_of[label] for label in labels], dtype=np.int64)
        parts.append((torch.stack(images).numpy(), labels))
    return parts


def _folder_labels(folders: list[str], names: list[str]) -> list[int]:
    """Return the label of every folder: by name where all names match, else by sorted position."""
    if len(folders) != len(names):
        raise UserError(f"source.folder: found {len(folders)} class folders, expected {len(names)}")
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
