"""Folders from elsewhere: what a run may say of them; images, classes and increments."""

import csv
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image, ImageDraw

from lgd_core.base.digests import file_digests
from lgd_core.base.errors import UserError
from lgd_core.base.files import write_json
from lgd_core.base.image_files import read_bytes
from lgd_core.config.classes import imagenet_indices
from lgd_core.config.external import ExternalSet, resolve_external
from lgd_core.config.models.images import StoredImageConfig
from lgd_core.config.models.run import RunConfig
from lgd_core.config.settings import ClassNames
from lgd_core.data.distilled import write_folder
from lgd_core.data.multi_formation import unpack_stored
from lgd_core.data.real_images import load_set
from lgd_core.exchange.arriving import in_order, list_set, read_set
from lgd_core.exchange.form import Opening
from lgd_core.exchange.forms.imagefolder import list_images, open_tree

WNIDS = ["n02096294", "n01440764", "n02111889"]
NAMES = ClassNames(names=["Australian terrier", "tench", "Samoyed"], wnids=WNIDS)
IMAGE = StoredImageConfig(size=8, channels=3)
NUMBERED = [f"{label:05d}" for label in range(3)]


def write_set(root: Path, folders: list[str], count: int = 3) -> Path:
    """Write a distilled set as another program would: its own sizes, names and formats."""
    for label, folder in enumerate(folders):
        (root / folder).mkdir(parents=True)
        for number in range(count):
            picture = Image.new("RGB", (14, 10 + label), (60 * label, 20 * number, 90))
            ImageDraw.Draw(picture).ellipse((2, 2, 6, 6), fill=(250, 250, 0))
            picture.save(root / folder / f"sample{number}.{'png' if number % 2 else 'jpg'}")
    return root


def increments_of(root: Path, size: int = 1) -> list[int]:
    """Return the increments of a tree's images, class by class, by file name."""
    asked = Opening(root, [], ExternalSet(str(root), "woof", size), NAMES, 3, read_bytes)
    arriving = open_tree(asked)
    table = in_order(root, arriving, size, NAMES.names)
    return table.set_index("file")["increment"][arriving.names].tolist()


@pytest.mark.parametrize(
    "folders",
    [
        WNIDS,
        NAMES.names,
        NUMBERED,
        ["0", "1", "2"],
        [str(imagenet_indices()[wnid]) for wnid in WNIDS],
    ],
    ids=["wnid", "name", "index", "plain index", "index in ImageNet"],
)
def test_class_folders_of_every_kind(tmp_path, folders):
    root = write_set(tmp_path / "set", folders)
    images = list_images(root, NAMES)
    assert [label for _, label in images] == [0] * 3 + [1] * 3 + [2] * 3
    assert {path.parent.name for path, label in images if label == 1} == {folders[1]}


def test_unpadded_numbers_are_not_taken_as_sorted_text(tmp_path):
    root = write_set(tmp_path / "set", [str(label) for label in range(11)], count=1)
    names = ClassNames(names=[f"class {label}" for label in range(11)], wnids=[])
    labels = {path.parent.name: label for path, label in list_images(root, names)}
    assert labels == {str(label): label for label in range(11)}


@pytest.mark.parametrize(
    ("folders", "missing", "extra"),
    [
        ([*WNIDS[:2], "n00000001"], WNIDS[2], "n00000001"),
        (["tench", "Samoyed", "husky"], "Australian terrier", "husky"),
        (["1", "2", "3"], "0", "3"),
    ],
)
def test_mismatch_lists_both_sides(tmp_path, folders, missing, extra):
    with pytest.raises(UserError) as error:
        list_images(write_set(tmp_path / "set", folders), NAMES)
    assert f"missing: {missing}" in str(error.value)
    assert f"extra: {extra}" in str(error.value)


def test_class_without_images(tmp_path):
    root = write_set(tmp_path / "set", WNIDS)
    for path in (root / WNIDS[1]).iterdir():
        path.rename(path.with_suffix(".txt"))
    with pytest.raises(UserError, match=r"n01440764: found no images"):
        list_images(root, NAMES)


def test_increments_by_file_order_count_numbers_as_numbers(tmp_path):
    root = write_set(tmp_path / "set", WNIDS, count=12)
    images = list_images(root, NAMES)
    assert [path.stem for path, _ in images[:12]] == [f"sample{i}" for i in range(12)]
    assert increments_of(root, 5) == ([0] * 5 + [1] * 5 + [2] * 2) * 3


def write_manifest(root: Path, rows: list[tuple], columns: tuple = ("file", "increment")) -> None:
    with open(root / "manifest.csv", "w", newline="") as stream:
        csv.writer(stream).writerows([columns, *rows])


def test_manifest_decides_increments(tmp_path):
    root = write_set(tmp_path / "set", NUMBERED)
    images = list_images(root, NAMES)
    files = [path.relative_to(root).as_posix() for path, _ in images]
    write_manifest(root, [(file, i % 3) for i, file in enumerate(files)][::-1])
    assert increments_of(root) == [0, 1, 2] * 3


@pytest.mark.parametrize(
    ("change", "parts"),
    [
        (lambda rows: rows[1:], ["found 8 files, expected the 9", "not listed: 00000/sample0.jpg"]),
        (lambda rows: [*rows, ("x.png", 0)], ["not listed: none", "not there: x.png"]),
        (lambda rows: [(file, k + 1) for file, k in rows], ["increment: found 1", "from 0"]),
        (lambda rows: [(file, "a") for file, _ in rows], ["increment: found a"]),
    ],
)
def test_manifest_that_does_not_fit(tmp_path, change, parts):
    root = write_set(tmp_path / "set", NUMBERED)
    images = list_images(root, NAMES)
    rows = [(path.relative_to(root).as_posix(), 0) for path, _ in images]
    write_manifest(root, change(rows))
    with pytest.raises(UserError) as error:
        increments_of(root)
    for part in ["manifest.csv", *parts]:
        assert part in str(error.value)


def test_manifest_of_other_columns(tmp_path):
    root = write_set(tmp_path / "set", NUMBERED)
    write_manifest(root, [], ("name", "label"))
    with pytest.raises(
        UserError, match=r"found columns name, label, expected .* columns file and increment"
    ):
        increments_of(root)


def test_images_are_read_at_the_size_of_the_data_set(tmp_path):
    root = write_set(tmp_path / "set", NAMES.names)
    files = {"images": "i.npy", "labels": "l.npy", "table": "t.csv"}
    files = {name: str(tmp_path / file) for name, file in files.items()}
    said = []
    found = read_set(ExternalSet(str(root), "woof", 2), IMAGE, NAMES, files, 2, said.append)
    expected = {"form": "imagefolder", "images": 9, "formation": 1, "left_out": {}}
    assert found == expected | {"increments": [6, 3], "split": "file order, 2 each"}
    images = np.load(files["images"])
    assert images.shape == (9, 3, 8, 8)
    assert abs(int(images[8, 0, -1, -1]) - 120) < 10, "the colour of class 2"
    table = pd.read_csv(files["table"])
    assert list(table.columns) == ["file", "class", "label", "increment"]
    assert table["file"][3] == "tench/sample1.png", "then by class"
    assert table["increment"].tolist() == [0] * 6 + [1] * 3, "increment by increment"
    assert np.load(files["labels"]).tolist() == [0, 0, 1, 1, 2, 2, 0, 1, 2]


def test_images_that_a_set_of_our_own_holds_are_read_one_by_one(tmp_path):
    rng = torch.Generator().manual_seed(0)
    increment = {
        "images": torch.randint(0, 256, (6, 3, 8, 8), generator=rng, dtype=torch.uint8),
        "labels": torch.arange(3).repeat_interleave(2),
        "positions": torch.arange(2).repeat(3),
        "scores": torch.zeros(6),
    }
    names, root = NAMES.names, tmp_path / "set"
    write_folder(root, [increment], names, {"formation": 2})
    own = {"images": "set_images.npy", "labels": "set_labels.npy", "table": "set.csv"}
    files = {name: str(tmp_path / file) for name, file in own.items()}
    found = read_set(ExternalSet(str(root), "woof", 10), IMAGE, NAMES, files, 1, print)
    assert (found["images"], found["formation"]) == (24, 2)
    write_json(tmp_path / "set.json", found | {"files": file_digests(files.values())})
    seen, of_seen = unpack_stored(increment["images"], increment["labels"], 2)
    images, of_images = load_set(tmp_path)
    assert torch.equal(images, seen)
    assert torch.equal(of_images, of_seen)
    table = pd.read_csv(files["table"])
    assert table["file"].is_unique
    assert table["file"][5] == "0_Australian_terrier/k000_p001.png#1"


def test_broken_image_is_named(tmp_path):
    root = write_set(tmp_path / "set", WNIDS)
    (root / WNIDS[0] / "sample1.png").write_bytes(b"no picture")
    files = {name: str(tmp_path / name) for name in ("images", "labels", "table")}
    with pytest.raises(UserError, match=r"sample1.png: found a broken image"):
        read_set(ExternalSet(str(root), "woof", 2), IMAGE, NAMES, files, 1, print)


def resolved(external: dict, of_run: tuple = ("digits",)) -> dict[str, ExternalSet]:
    run = RunConfig(external=external, datasets=list(of_run))
    return resolve_external(run, ["digits", "fashionmnist"], ["dit", "lgd"])


def test_a_folder_alone_or_a_mapping(tmp_path):
    own = {"folder": str(tmp_path), "dataset": "fashionmnist", "increment": 5}
    found = resolved({"plain": str(tmp_path), "full": own})
    assert found["plain"] == ExternalSet(str(tmp_path), "digits", 10)
    assert found["full"] == ExternalSet(**own)


@pytest.mark.parametrize(
    ("external", "of_run", "parts"),
    [
        ({"lgd": "."}, ("digits",), ["external.lgd", "name of a method"]),
        ({"Digits": "."}, ("digits",), ["external.Digits", "name of a dataset"]),
        ({"one": ".", "One": "."}, ("digits",), ["external.One", "one of its own"]),
        ({"mine": "."}, ("digits", "fashionmnist"), ["mine.dataset: missing", "several"]),
        (
            {"mine": {"folder": ".", "dataset": "digit"}},
            ("digits",),
            ["unknown dataset 'digit'", "did you mean 'digits'"],
        ),
    ],
)
def test_what_a_run_says_is_checked(external, of_run, parts):
    with pytest.raises(UserError) as error:
        resolved(external, of_run)
    for part in parts:
        assert part in str(error.value)


def test_a_data_set_must_not_be_called_external():
    with pytest.raises(UserError, match="'external' is reserved"):
        resolve_external(RunConfig(), ["external"], [])


def fault_of_set(root: Path) -> str:
    """Return the one line for a folder that a run names."""
    with pytest.raises(UserError) as error:
        list_set("mine", ExternalSet(str(root), "woof", 2), NAMES)
    assert "\n" not in str(error.value)
    assert len(str(error.value)) < 400
    return str(error.value)


FILES = [f"{folder}/sample{i}.{'png' if i % 2 else 'jpg'}" for folder in NUMBERED for i in range(3)]
ROWS = "".join(f"{file},{i % 2}\n" for i, file in enumerate(FILES))


@pytest.mark.parametrize(
    ("content", "part"),
    [
        (b"file,increment\n\xff\xfe,0\n", "utf-8"),
        (b"file,label\n0/a.png,0\n", "found columns file, label, expected"),
        (b"", "found columns none, expected"),
        (f"file,increment\n{ROWS}{FILES[0]},1\n".encode(), f"found {FILES[0]} again"),
        (f"file,increment\n{ROWS}{FILES[0]}\n".encode(), "row 10: found an empty cell"),
        (b'file,increment\n"0/a.png,0\n', "found no table"),
        (ROWS.encode("utf-16"), "utf-8"),
    ],
    ids=["not utf-8", "columns", "empty", "twice", "short row", "quotes", "utf-16"],
)
def test_a_broken_manifest_is_found_before_any_job(tmp_path, content, part):
    root = write_set(tmp_path / "set", NUMBERED)
    (root / "manifest.csv").write_bytes(content)
    text = fault_of_set(root)
    assert f"{root / 'manifest.csv'}: " in text
    assert part in text


def test_a_manifest_of_a_spreadsheet_with_a_mark_of_its_encoding_is_read(tmp_path):
    root = write_set(tmp_path / "set", NUMBERED)
    (root / "manifest.csv").write_text(f"file,increment\n{ROWS}", encoding="utf-8-sig")
    listing = list_set("mine", ExternalSet(str(root), "woof", 2), NAMES)
    assert sorted(listing.files) == sorted([*FILES, "manifest.csv"])


def test_images_of_all_suffixes_are_read_and_the_rest_is_named(tmp_path):
    root = write_set(tmp_path / "set", NUMBERED)
    (root / "00000" / "sample0.jpg").rename(root / "00000" / "sample0.jfif")
    for name in ("00001/a.heic", "00002/Thumbs.db", "lonely.png"):
        (root / name).touch()
    files = {name: str(tmp_path / name) for name in ("images", "labels", "table")}
    found = read_set(ExternalSet(str(root), "woof", 2), IMAGE, NAMES, files, 1, print)
    assert found["images"] == 9
    assert {kind: group["first"] for kind, group in found["left_out"].items()} == {
        ".heic": ["00001/a.heic"],
        ".png": ["lonely.png"],
        "litter": ["00002/Thumbs.db"],
    }


def test_links_in_circles_and_dead_ones_are_refused(tmp_path):
    root = write_set(tmp_path / "set", NUMBERED)
    (root / "00001" / "gone.png").symlink_to("nowhere.png")
    with pytest.raises(UserError, match=r"gone\.png: cannot be read \(No such file"):
        list_set("mine", ExternalSet(str(root), "woof", 2), NAMES).facts()
    (root / "00001" / "loop").symlink_to("..")
    assert "loop: found the same folder as" in fault_of_set(root)


def test_a_folder_that_is_not_there_is_named(tmp_path):
    text = fault_of_set(tmp_path / "nowhere")
    assert text.startswith(f"config: external.mine.folder: found no folder {tmp_path / 'nowhere'}")
