"""Folders of images from elsewhere, read into arrays that jobs memory-map."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd

from lgd_core.arrays import write_images, write_labels
from lgd_core.decoding import decode
from lgd_core.errors import BrokenFileError
from lgd_core.external import increments_of, list_images, list_left_out, manifest_of
from lgd_core.image_files import read_bytes, summarise
from lgd_core.tables import write_csv


def read_set(
    external: dict,
    dataset: dict,
    files: dict[str, str],
    threads: int,
    log: Callable[[str], None],
    read: Callable[[str | Path], bytes] = read_bytes,
) -> dict:
    """Write a tree's images and labels as arrays and a table of its files; return counts, and what
    lies beside images and is left out.

    ``external`` has ``folder`` and ``increment``, ``dataset`` the ``image``, ``classes`` and
    ``wnids``; ``files`` the paths of ``images``, uint8 (N, C, H, W) at the data set's size,
    ``labels``, int64 (N,), and ``table``: file, class, label, increment, a row per image, all by
    increment, then class, as in a set of our own. Raises UserError for an image that does not
    decode.
    """
    folder, image = Path(external["folder"]), dataset["image"]
    images = list_images(folder, dataset)
    table = pd.DataFrame(
        {
            "file": [path.relative_to(folder).as_posix() for path, _ in images],
            "class": [dataset["classes"][label] for _, label in images],
            "label": [label for _, label in images],
            "increment": increments_of(folder, images, external["increment"]),
        }
    ).sort_values("increment", kind="stable")
    paths = [folder / file for file in table["file"]]

    def stop(error: BrokenFileError) -> None:
        raise error

    write_images(
        {Path(files["images"]): image["size"]},
        lambda number: decode(paths[number], image["channels"], read),
        len(images),
        image["channels"],
        threads,
        stop,
    )
    write_labels(Path(files["labels"]), table["label"].to_numpy(np.int64))
    write_csv(table, files["table"])
    split = "manifest.csv" if manifest_of(folder) else f"file order, {external['increment']} each"
    log(f"{len(images)} images, increments by {split}")
    sizes = table.groupby("increment").size()
    facts = {"images": len(images), "increments": sizes.tolist(), "split": split}
    return facts | {"left_out": summarise(list_left_out(folder, dataset))}
