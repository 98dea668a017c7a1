"""Where images lie: ImageNet roots of every layout, LGD_DATA, what is refused before any job."""

import csv
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from conftest import changed
from scipy.io import savemat
from trees import WOOF, class_tree, fastai_tree, flatten, settings

from lgd_core.base.errors import MissingFolderError, UserError
from lgd_core.config.settings import SourceSettings
from lgd_core.config.sources import (
    compares_with_paper,
    list_source,
    resolve_source,
    watch_source,
)
from lgd_core.data.kind import data_kind


@pytest.fixture(autouse=True)
def no_variable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("LGD_DATA", raising=False)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return class_tree(tmp_path / "imagenet", sorted(WOOF))


def list_images(data: SourceSettings, root: Path) -> list[list[tuple[str, int]]]:
    return data_kind(data.source).images(data.wanted, root)


def devkit(root: Path, wnids: list[str], place: str) -> None:
    """Write the devkit's ground truth, whose numbers follow an order of its own."""
    order = sorted(WOOF, key=lambda wnid: wnid[::-1])
    words = np.zeros(12, dtype=[("ILSVRC2012_ID", "O"), ("WNID", "O"), ("num_children", "O")])
    words["ILSVRC2012_ID"] = range(1, 13)
    words["WNID"] = [*order, "n00001740", "n00001930"]
    words["num_children"] = [0] * 10 + [3, 4]
    (root / place).mkdir(parents=True, exist_ok=True)
    savemat(root / place / "meta.mat", {"synsets": words})
    lines = "".join(f"{order.index(wnid) + 1}\n" for wnid in wnids)
    (root / place / "ILSVRC2012_validation_ground_truth.txt").write_text(lines)


def solution(root: Path, wnids: list[str], place: str) -> None:
    """Write Kaggle's ground truth, unsorted, with more than one box in places."""
    (root / place).mkdir(parents=True, exist_ok=True)
    with open(root / place / "LOC_val_solution.csv", "w", newline="") as stream:
        writer = csv.writer(stream)
        writer.writerow(["ImageId", "PredictionString"])
        for number, wnid in reversed(list(enumerate(wnids, start=1))):
            boxes = f"{wnid} 111 108 230 235 " * (1 + number % 2)
            writer.writerow([f"ILSVRC2012_val_{number:08d}", boxes])


def refusal(kind: str, root: Path | None) -> str:
    with pytest.raises(UserError) as error:
        resolve_source(settings(kind, root), "woof.yaml")
    assert "\n" not in str(error.value)
    return str(error.value)


def test_an_imagenet_root_gives_the_images_of_its_classes_sorted(root: Path) -> None:
    (root / "train" / "n01440764").mkdir()
    (root / "train" / "n01440764" / "n01440764_0.JPEG").touch()
    (root / "train" / "notes.txt").touch()
    (root / "val" / "n02086240" / "._n02086240_0.JPEG").touch()
    (root / "val" / "n02086240" / "Thumbs.db").touch()
    train, test = list_images(settings("imagenet", root), root)
    assert (len(train), len(test)) == (40, 20)
    assert [path for path, _ in train] == sorted(path for path, _ in train)
    for path, label in train + test:
        assert Path(path).parent.name == list(WOOF)[label]
    resolve_source(settings("imagenet", root), "woof.yaml")


@pytest.mark.parametrize("place", [".", "devkit/data", "ILSVRC2012_devkit_t12/data"])
@pytest.mark.parametrize("write", [devkit, solution])
def test_a_flat_val_gets_its_classes_from_either_ground_truth(
    root: Path, write: Callable, place: str
) -> None:
    wnids = flatten(root)
    assert wnids != sorted(wnids)
    write(root, wnids, place)
    resolve_source(settings("imagenet", root), "woof.yaml")
    _, test = list_images(settings("imagenet", root), root)
    assert [list(WOOF)[label] for _, label in test] == wnids
    assert [int(Path(path).stem[-8:]) for path, _ in test] == list(range(1, 21))


def test_a_flat_val_of_a_thousand_classes_gives_those_of_the_settings(root: Path) -> None:
    solution(root, flatten(root), ".")
    two = changed(settings("imagenet", root), wnids=list(WOOF)[:2], classes=["a", "b"])
    _, test = list_images(two, root)
    assert sorted(label for _, label in test) == [0, 0, 1, 1]


def test_the_layout_of_kaggle_is_found(root: Path, tmp_path: Path) -> None:
    solution(tmp_path / "kaggle", flatten(root), ".")
    inner = tmp_path / "kaggle" / "ILSVRC" / "Data"
    inner.mkdir(parents=True)
    root.rename(inner / "CLS-LOC")
    asked = settings("imagenet", tmp_path / "kaggle")
    resolve_source(asked, "woof.yaml")
    assert [len(part) for part in list_images(asked, tmp_path / "kaggle")] == [40, 20]


def test_a_flat_val_without_ground_truth_says_what_was_looked_for(root: Path) -> None:
    flatten(root)
    text = refusal("imagenet", root)
    for part in ("LOC_val_solution.csv", "validation_ground_truth.txt", "meta.mat", "devkit/data"):
        assert part in text


@pytest.mark.parametrize(
    ("file", "content"),
    [
        ("meta.mat", "no mat file at all"),
        ("ILSVRC2012_validation_ground_truth.txt", "one\ntwo\n"),
        ("ILSVRC2012_validation_ground_truth.txt", "1001\n"),
        ("LOC_val_solution.csv", "a,b\n1,2\n"),
        ("LOC_val_solution.csv", "ImageId,PredictionString\nILSVRC2012_val_00000001,\n"),
        ("LOC_val_solution.csv", "\udcff\udcfe"),
        ("ILSVRC2012_validation_ground_truth.txt", "\udcff\udcfe"),
        ("meta.mat", ""),
    ],
)
def test_a_broken_ground_truth_is_one_line(root: Path, file: str, content: str) -> None:
    devkit(root, flatten(root), ".")
    (root / file).write_bytes(content.encode(errors="surrogateescape"))
    with pytest.raises(UserError, match="cannot be read") as error:
        list_source(settings("imagenet", root), "woof.yaml")
    assert "\n" not in str(error.value)
    assert str(root / file) in str(error.value)


def test_an_image_that_the_ground_truth_does_not_know_is_named(root: Path) -> None:
    devkit(root, flatten(root)[:-1], ".")
    with pytest.raises(UserError, match=r"ILSVRC2012_val_00000020\.JPEG: found no such image"):
        list_images(settings("imagenet", root), root)


@pytest.mark.parametrize("part", ["train", "val"])
def test_a_root_without_a_class_or_a_part_is_refused_before_any_job(root: Path, part: str) -> None:
    folder = root / part / "n02111889"
    folder.rename(root / "elsewhere")
    text = refusal("imagenet", root)
    assert text.startswith("woof.yaml: source.folder: ")
    assert str(root / part) in text
    assert "missing: n02111889" in text
    (root / part).rename(root / "gone")
    assert f"no folder {root / part}" in refusal("imagenet", root)


@pytest.mark.parametrize("part", ["train", "val"])
def test_a_class_without_images_is_named(root: Path, part: str) -> None:
    for path in (root / part / "n02111889").iterdir():
        path.rename(path.with_suffix(".txt"))
    with pytest.raises(UserError, match=f"{part}: found no images of class n02111889"):
        list_images(settings("imagenet", root), root)


@pytest.mark.parametrize("kind", ["imagenet", "fastai", "folder"])
def test_the_variable_stands_in_for_a_folder(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    monkeypatch.setenv("LGD_DATA", str(root))
    assert resolve_source(settings(kind, None), "woof.yaml").folder == str(root)
    other = class_tree(tmp_path / "other", list(WOOF))
    assert resolve_source(settings(kind, other), "woof.yaml").folder == str(other)
    monkeypatch.setenv("LGD_DATA", str(tmp_path / "nowhere"))
    assert refusal(kind, None).startswith(f"LGD_DATA: {'' if kind == 'fastai' else 'no folder'}")


def test_without_folder_and_variable_the_line_names_both() -> None:
    for kind in ("imagenet", "folder"):
        text = refusal(kind, None)
        assert text.startswith("woof.yaml: source.folder: ")
        assert "LGD_DATA" in text
    assert resolve_source(settings("fastai", None), "woof.yaml").folder is None


@pytest.mark.parametrize("kind", ["fashion-mnist", "digits"])
def test_the_variable_is_nothing_to_other_kinds(monkeypatch: pytest.MonkeyPatch, kind: str) -> None:
    monkeypatch.setenv("LGD_DATA", "/nowhere")
    assert resolve_source(settings(kind, None), "x.yaml") == settings(kind, None).source


def test_other_classes_are_let_be_in_imagenet_but_not_in_ones_own_folder(root: Path) -> None:
    (root / "train" / "n01440764").mkdir()
    resolve_source(settings("imagenet", root), "woof.yaml")
    assert "extra: n01440764" in refusal("folder", root)


@pytest.mark.parametrize("name", ["test", "val"])
def test_ones_own_folder_has_a_test_or_a_val(root: Path, name: str) -> None:
    if name != "val":
        (root / "val").rename(root / name)
    resolve_source(settings("folder", root), "woof.yaml")
    _, test = list_images(settings("folder", root), root)
    assert {Path(path).parents[1].name for path, _ in test} == {name}


def test_a_home_folder_is_understood(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(root.parent))
    monkeypatch.setenv("LGD_DATA", f"~/{root.name}")
    assert resolve_source(settings("imagenet", None), "woof.yaml").folder == str(root)


def listing_refused(kind: str, root: Path, **source: object) -> str:
    with pytest.raises(UserError) as error:
        list_source(settings(kind, root, **source), "woof.yaml")
    assert "\n" not in str(error.value)
    assert str(error.value).startswith("woof.yaml: source.folder: ")
    return str(error.value)


def whole_tree(root: Path) -> Path:
    """Write empty files under the names and in the numbers that ILSVRC-2012 has of ten classes."""
    for place, wnid in enumerate(WOOF):
        for part in ("train", "val"):
            (root / part / wnid).mkdir(parents=True)
        for i in range(732 if place else 1300):
            (root / "train" / wnid / f"{wnid}_{i}.JPEG").touch()
        for i in range(50):
            (root / "val" / wnid / f"ILSVRC2012_val_{50 * place + i + 1:08d}.JPEG").touch()
    return root


@pytest.mark.parametrize("flat", [False, True])
def test_all_of_imagenet_is_recognised_by_names_and_numbers(tmp_path: Path, flat: bool) -> None:
    root = whole_tree(tmp_path)
    if flat:
        solution(root, flatten(root), ".")
    listing = list_source(settings("imagenet", root, complete=True), "woof.yaml")
    assert len(listing.files) == 1300 + 9 * 732 + 500
    assert listing.published


@pytest.mark.parametrize("part", ["train", "val"])
def test_a_part_of_imagenet_is_told_from_all_of_it(tmp_path: Path, part: str) -> None:
    root = whole_tree(tmp_path)
    next((root / part / "n02111889").iterdir()).unlink()
    number = {"train": "found 731 train", "val": "found 49 val"}[part]
    text = listing_refused("imagenet", root, complete=True)
    assert f"{number} images of class n02111889" in text
    assert "source.complete: false" in text
    assert list_source(settings("imagenet", root, complete=False), "woof.yaml")


def test_fast_ai_s_tree_is_not_taken_for_imagenet(tmp_path: Path) -> None:
    root = fastai_tree(tmp_path, list(WOOF))
    for complete in (False, True):
        text = listing_refused("imagenet", root, complete=complete)
        assert "val/n02086240/n02086240_90.JPEG" in text
        assert "source.kind is fastai" in text


def test_the_table_of_fast_ai_in_the_root_gives_it_away(root: Path) -> None:
    (root / "noisy_imagewoof.csv").touch()
    assert "noisy_imagewoof.csv" in listing_refused("imagenet", root)


def test_images_of_another_class_in_a_class_folder_are_no_imagenet(root: Path) -> None:
    stray = root / "train" / "n02111889"
    (stray / "n02111889_0.JPEG").rename(stray / "n02086240_77.JPEG")
    assert "n02086240_77.JPEG" in listing_refused("imagenet", root)


def test_imagenet_is_not_taken_for_fast_ai_s(root: Path, tmp_path: Path) -> None:
    assert "source.kind is imagenet" in listing_refused("fastai", root)
    fastai = fastai_tree(tmp_path / "fastai", list(WOOF))
    assert list_source(settings("fastai", fastai), "woof.yaml").published


def test_the_paper_stands_beside_all_of_imagenet_alone() -> None:
    kinds = ("imagenet", "fastai", "folder", "digits")
    beside = {
        kind: compares_with_paper(settings(kind, None, complete=True).source) for kind in kinds
    }
    assert beside == {"imagenet": True, "fastai": False, "folder": False, "digits": False}
    assert not compares_with_paper(settings("imagenet", None, complete=False).source)


def test_one_image_beside_class_folders_does_not_decide_for_all(root: Path) -> None:
    (root / "val" / "ILSVRC2012_val_00000099.JPEG").touch()
    text = listing_refused("imagenet", root)
    assert "found 1 images, such as ILSVRC2012_val_00000099.JPEG, beside 10 folders" in text


def test_one_folder_beside_flat_images_does_not_decide_for_all(root: Path) -> None:
    solution(root, flatten(root), ".")
    (root / "val" / "n02111889").mkdir()
    assert "found 20 images" in listing_refused("imagenet", root)


@pytest.mark.parametrize("write", [devkit, solution])
def test_a_ground_truth_that_knows_more_than_there_is(root: Path, write: Callable) -> None:
    wnids = flatten(root)
    write(root, [*wnids, wnids[0]], ".")
    text = listing_refused("imagenet", root, complete=True)
    assert "found 20 images, expected the 21 of the ground truth" in text
    assert "ILSVRC2012_val_00000021" in text


def test_a_ground_truth_of_classes_that_are_not_imagenet_s(root: Path) -> None:
    solution(root, ["n00001740", *flatten(root)[1:]], ".")
    assert "ILSVRC2012_val_00000001 of class n00001740" in listing_refused("imagenet", root)


def test_the_identity_of_files_does_not_depend_on_where_they_are(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = list_source(settings("folder", root), "woof.yaml").facts()
    monkeypatch.chdir(tmp_path)
    relative = list_source(settings("folder", Path("imagenet")), "woof.yaml")
    assert relative.facts() == before
    (root / "val").rename(root / "test")
    assert list_source(settings("folder", root), "woof.yaml").facts() == before


def test_a_folder_that_is_not_there_is_told_from_a_wrong_one(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    for kind in ("imagenet", "fastai", "folder", "fonts"):
        with pytest.raises(MissingFolderError):
            resolve_source(settings(kind, tmp_path / "nowhere"), "woof.yaml")
    for kind in ("imagenet", "fastai", "folder"):
        with pytest.raises(UserError) as error:
            resolve_source(settings(kind, tmp_path / "empty"), "woof.yaml")
        assert not isinstance(error.value, MissingFolderError)


def test_folders_of_imagenet_tell_of_new_and_missing_files(tmp_path: Path) -> None:
    root = class_tree(tmp_path / "imagenet", list(WOOF))
    asked = settings("imagenet", root)
    before = watch_source(asked, "woof")
    assert len(before) == 2 + 2 * len(WOOF)
    assert watch_source(asked, "woof") == before
    (root / "train" / "n02096294" / "n02096294_9.JPEG").touch()
    after = watch_source(asked, "woof")
    assert [name for name in before if before[name] != after[name]] == ["train/n02096294"]
    assert list_source(asked, "woof").folders == after


def test_files_of_ones_own_are_compared_themselves(tmp_path: Path) -> None:
    root = class_tree(tmp_path / "own", list(WOOF))
    assert watch_source(settings("folder", root, complete=True), "woof") == {}
