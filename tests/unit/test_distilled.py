"""Distilled sets on disk."""

import csv
import hashlib
from pathlib import Path

import pytest
import torch
from torch import Tensor
from torchvision.datasets import ImageFolder
from torchvision.transforms.v2.functional import pil_to_tensor

from lgd_core.base.errors import UserError
from lgd_core.base.files import read_json
from lgd_core.base.seeding import generator
from lgd_core.base.tensors import load_tensors, save_tensors
from lgd_core.data.distilled import (
    class_folder,
    origin_of,
    read_class,
    read_grid,
    write_folder,
)

NAMES = ["zebra", "tench, Tinca tinca", "golf ball", *[f"class {i}" for i in range(3, 12)]]


@pytest.mark.parametrize(("folder", "file"), [(0o755, 0o644), (0o770, 0o660), (0o700, 0o600)])
def test_whoever_may_read_a_folder_may_read_its_tensors(tmp_path, folder, file):
    tmp_path.chmod(folder)
    save_tensors(tmp_path / "a.safetensors", {"x": torch.ones(2)}, {})
    assert (tmp_path / "a.safetensors").stat().st_mode & 0o777 == file


def increments(channels: int = 3, count: int = 2, positions: int = 2) -> list[dict[str, Tensor]]:
    n = len(NAMES) * positions
    rng = generator("distilled")
    return [
        {
            "images": torch.randint(0, 256, (n, channels, 8, 8), generator=rng).to(torch.uint8),
            "labels": torch.arange(len(NAMES)).repeat_interleave(positions),
            "positions": torch.arange(positions).repeat(len(NAMES)),
            "scores": torch.full((n,), torch.nan) if k == 0 else torch.arange(n) / 7,
        }
        for k in range(count)
    ]


def test_torchvision_reads_the_folder_with_the_same_labels_and_pixels(tmp_path: Path) -> None:
    written = increments()
    write_folder(tmp_path / "set", written, NAMES, {})
    tree = ImageFolder(str(tmp_path / "set"), transform=pil_to_tensor)
    images, labels = zip(*tree, strict=True)
    order = [
        k * 24 + label * 2 + position
        for label in range(12)
        for k in range(2)
        for position in range(2)
    ]
    assert list(labels) == [label for label in range(12) for _ in range(4)]
    expected = torch.cat([increment["images"] for increment in written])[order]
    assert torch.equal(torch.stack(images), expected)


@pytest.mark.parametrize("channels", [1, 3])
def test_a_folder_comes_back_in_the_order_it_was_written(tmp_path: Path, channels: int) -> None:
    written = increments(channels)
    write_folder(tmp_path / "set", written, NAMES, {"formation": 2})
    grid = read_grid(tmp_path / "set", NAMES, 2)
    by_increment = torch.stack([increment["images"] for increment in written])
    assert torch.equal(grid.transpose(0, 1).flatten(1, 2), by_increment)
    assert read_json(tmp_path / "set" / "provenance.json")["formation"] == 2


def test_the_manifest_has_a_row_per_image(tmp_path: Path) -> None:
    write_folder(tmp_path / "set", increments(), NAMES, {})
    with open(tmp_path / "set" / "manifest.csv", newline="") as stream:
        rows = list(csv.DictReader(stream))
    assert list(rows[0]) == ["file", "class", "increment", "position", "score", "weight", "sha256"]
    assert len(rows) == 48
    assert rows[3] == {
        "file": "01_tench_Tinca_tinca/k000_p001.png",
        "class": "tench, Tinca tinca",
        "increment": "0",
        "position": "1",
        "score": "",
        "weight": "",
        "sha256": hashlib.sha256((tmp_path / "set" / rows[3]["file"]).read_bytes()).hexdigest(),
    }
    assert rows[24 + 3]["score"] == f"{3 / 7:.6f}"
    files = {path.relative_to(tmp_path / "set") for path in tmp_path.rglob("*.png")}
    assert {Path(row["file"]) for row in rows} == files


def test_a_set_says_where_it_comes_from(tmp_path: Path) -> None:
    stamps = [{"seed": "3", "recipe": {"steps": 50}, "other": 1}]
    stamps += [stamps[0] | {"recipe": {"version": 1}, "drawn": {"recipe": {"steps": 40}}}]
    provenance = {"method": "lgd", "increments": list(map(origin_of, stamps))}
    write_folder(tmp_path / "set", increments(), NAMES, provenance)
    found = read_json(tmp_path / "set" / "provenance.json")
    assert found["method"] == "lgd"
    assert found["increments"] == [
        {"seed": "3", "recipe": {"steps": 50}},
        {"seed": "3", "recipe": {"steps": 40}},
    ]
    manifest = (tmp_path / "set" / "manifest.csv").read_bytes()
    assert found["files"] == {"manifest.csv": hashlib.sha256(manifest).hexdigest()}


def test_sorted_class_folders_are_in_label_order() -> None:
    folders = [class_folder(label, NAMES) for label in range(12)]
    assert folders == sorted(folders)
    assert folders[:2] == ["00_zebra", "01_tench_Tinca_tinca"]
    assert class_folder(2, ["a", "b", "c"]) == "2_c"


def test_a_folder_is_replaced_as_a_whole(tmp_path: Path) -> None:
    write_folder(tmp_path / "set", increments(count=2), NAMES, {})
    write_folder(tmp_path / "set", increments(count=1), NAMES, {})
    assert len(list((tmp_path / "set").rglob("*.png"))) == 24
    assert [path.name for path in tmp_path.iterdir()] == ["set"]


def test_a_folder_that_fails_half_way_leaves_the_old_one(tmp_path: Path) -> None:
    write_folder(tmp_path / "set", increments(count=1), NAMES, {})
    before = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    broken = increments(count=2)
    broken[1]["images"] = broken[1]["images"][:5]
    with pytest.raises(IndexError):
        write_folder(tmp_path / "set", broken, NAMES, {})
    assert {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()} == before


def test_a_grid_has_the_first_images_of_every_class_and_increment(tmp_path: Path) -> None:
    written = increments()
    write_folder(tmp_path / "set", written, NAMES, {})
    grid = read_grid(tmp_path / "set", NAMES, per_cell=1)
    assert grid.shape == (12, 2, 1, 3, 8, 8)
    for k in range(2):
        assert torch.equal(grid[:, k, 0], written[k]["images"][::2])
    assert read_grid(tmp_path / "set", NAMES, per_cell=9).shape == (12, 2, 2, 3, 8, 8)
    some = read_grid(tmp_path / "set", NAMES, 1, [NAMES[2], NAMES[7]])
    assert torch.equal(some, grid[[2, 7]])


def test_tensors_come_back_with_their_metadata(tmp_path: Path) -> None:
    tensors = increments()[0] | {"strided": torch.arange(6).view(2, 3).T}
    metadata = {"labels": [1, 2], "nested": {"a": 1.5, "ü": None}}
    save_tensors(tmp_path / "x.safetensors", tensors, metadata)
    found, known = load_tensors(tmp_path / "x.safetensors")
    assert known == metadata
    assert found.keys() == tensors.keys()
    assert all(torch.equal(found[n].nan_to_num(), tensors[n].nan_to_num()) for n in tensors)


def test_equal_content_gives_equal_bytes_in_any_order(tmp_path: Path) -> None:
    tensors, metadata = increments()[0], {"a": 1, "b": {"c": 2, "d": 3}}
    save_tensors(tmp_path / "x", tensors, metadata)
    turned = {"b": {"d": 3, "c": 2}, "a": 1}
    save_tensors(tmp_path / "y", dict(reversed(tensors.items())), turned)
    assert (tmp_path / "x").read_bytes() == (tmp_path / "y").read_bytes()
    save_tensors(tmp_path / "y", tensors, metadata | {"a": 2})
    assert (tmp_path / "x").read_bytes() != (tmp_path / "y").read_bytes()


@pytest.mark.parametrize("keep", [0, 4, 100, -1])
def test_a_truncated_file_is_named_in_one_line(tmp_path: Path, keep: int) -> None:
    path = tmp_path / "x.safetensors"
    save_tensors(path, increments()[0], {})
    path.write_bytes(path.read_bytes()[:keep])
    with pytest.raises(UserError, match="broken safetensors") as error:
        load_tensors(path)
    assert str(path) in str(error.value)
    assert "\n" not in str(error.value)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"nowhere\.safetensors: not found"):
        load_tensors(tmp_path / "nowhere.safetensors")


def test_a_class_is_read_with_its_scores(tmp_path: Path) -> None:
    written = increments(positions=3)
    write_folder(tmp_path / "set", written, NAMES, {})
    rows, images = read_class(tmp_path / "set", NAMES[2], per_cell=2)
    assert [(row["increment"], row["position"]) for row in rows] == [(0, 0), (0, 1), (1, 0), (1, 1)]
    assert [row["score"] for row in rows[:2]] == [None, None]
    assert [row["score"] for row in rows[2:]] == pytest.approx([6 / 7, 1.0], abs=1e-6)
    expected = torch.cat([part["images"][6:8] for part in written])
    assert torch.equal(images, expected)
