"""Classes: what a wnid decides, and which folder is whose."""

import time
from pathlib import Path

import pytest
from pydantic import TypeAdapter, ValidationError

from lgd_core.base.errors import UserError
from lgd_core.config.classes import (
    class_folder,
    class_folders,
    class_label,
    imagenet_indices,
    prior_labels,
    read_classes,
    sample_of,
)
from lgd_core.config.models.base import Distinct
from lgd_core.config.models.dataset import DatasetConfig
from lgd_core.config.models.images import ClassConfig
from lgd_core.config.recipes import Recipes
from lgd_core.config.schema import check

DOGS = [
    {"wnid": "n02096294", "index": 193, "name": "Australian terrier"},
    {"wnid": "n02086240", "name": "Shih-Tzu"},
]
NAMES = ["cat", "ant"]
WNIDS = ["n02096294", "n02086240"]


def data_set(
    classes: list, labels: list[int] | None = None, source: str = "owner/name"
) -> DatasetConfig:
    return DatasetConfig(
        classes=classes,
        image={"size": 8, "channels": 3},
        normalise={"mean": [0.5] * 3, "std": [0.5] * 3},
        source={"kind": "folder"},
        prior={"source": source, "labels": labels or []},
    )


def folders(root: Path, names: list[str]) -> Path:
    for name in names:
        (root / name).mkdir(parents=True)
    return root


def test_imagenet_has_a_thousand_indices_that_are_those_of_the_field() -> None:
    indices = imagenet_indices()
    assert sorted(indices.values()) == list(range(1000))
    known = {"n01440764": 0, "n02086240": 155, "n03888257": 701, "n15075141": 999}
    assert {wnid: indices[wnid] for wnid in known} == known


def test_names_and_labels_of_the_prior_come_from_the_mappings() -> None:
    dogs = data_set(DOGS)
    assert dogs.class_names == ["Australian terrier", "Shih-Tzu"]
    assert dogs.wnids == WNIDS
    assert prior_labels(dogs, "dogs.yaml") == [193, 155]


def test_a_prior_trained_on_the_data_set_keeps_its_labels() -> None:
    assert prior_labels(data_set(DOGS, source="train"), "dogs.yaml") == []


def test_plain_names_stay_and_have_no_wnids() -> None:
    pets = data_set(NAMES, [3, 4])
    assert (pets.class_names, pets.wnids) == (NAMES, [])
    assert prior_labels(pets, "pets.yaml") == [3, 4]


@pytest.mark.parametrize(
    ("classes", "labels", "parts"),
    [
        ([*DOGS, "cat"], [], ["classes", "one kind"]),
        ([DOGS[0] | {"index": 0}, DOGS[1]], [], ["classes.0.index", "found 0", "expected 193"]),
        ([DOGS[0], {"wnid": "n00000001", "name": "x"}], [], ["classes.1.wnid", "n00000001"]),
        ([DOGS[0], DOGS[0] | {"name": "other"}], [], ["wnids", "n02096294 twice"]),
        ([DOGS[0], DOGS[1] | {"name": DOGS[0]["name"]}], [], ["classes", "terrier twice"]),
        (DOGS, [193, 155], ["prior.labels", "expected none"]),
    ],
)
def test_classes_that_contradict_themselves_are_one_line(
    classes: list, labels: list[int], parts: list[str]
) -> None:
    with pytest.raises(UserError) as error:
        prior_labels(data_set(classes, labels), "dogs.yaml")
    for part in ["dogs.yaml", *parts]:
        assert part in str(error.value)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("found", "wnids", "expected"),
    [
        (WNIDS, WNIDS, WNIDS),
        (["ant", "cat"], WNIDS, ["cat", "ant"]),
        (["ant", "cat"], [], ["cat", "ant"]),
        (["0_cat", "1_ant"], [], ["0_cat", "1_ant"]),
        (["first", "second"], [], ["first", "second"]),
        (["ant", "cat", ".cache"], [], ["cat", "ant"]),
    ],
    ids=["wnids", "names beside wnids", "names", "distilled", "position", "hidden"],
)
def test_folders_are_known_by_wnid_by_name_or_else_by_position(
    tmp_path: Path, found: list[str], wnids: list[str], expected: list[str]
) -> None:
    root = folders(tmp_path / "tree", found)
    (root / "README.txt").touch()
    assert class_folders(root, NAMES, wnids) == [root / name for name in expected]


def test_folders_of_a_distilled_set_are_known_whatever_their_names(tmp_path: Path) -> None:
    names = ["T-shirt/top", *(f"class {i}" for i in range(1, 11))]
    own = [class_folder(label, names) for label in range(11)]
    root = folders(tmp_path / "tree", own)
    assert class_folders(root, names) == [root / name for name in own]


@pytest.mark.parametrize(
    ("found", "wnids", "missing", "extra"),
    [
        (["ant", "dog"], [], "missing: cat;", "extra: dog)"),
        (["ant", "bee", "cat"], [], "missing: none;", "extra: bee)"),
        (["one", "two", "three"], [], "missing: cat, ant;", "extra: one, three, two)"),
        (["first", "second"], WNIDS, f"missing: {', '.join(WNIDS)};", "extra: first, second)"),
        ([WNIDS[1], "n01440764"], WNIDS, f"missing: {WNIDS[0]};", "extra: n01440764)"),
    ],
)
def test_folders_that_do_not_match_are_listed_on_both_sides(
    tmp_path: Path, found: list[str], wnids: list[str], missing: str, extra: str
) -> None:
    with pytest.raises(UserError, match="class folders, expected 2") as error:
        class_folders(folders(tmp_path / "tree", found), NAMES, wnids)
    assert missing in str(error.value)
    assert extra in str(error.value)


def test_long_lists_of_folders_are_cut(tmp_path: Path) -> None:
    root = folders(tmp_path / "tree", [f"n{i:08d}" for i in range(30)])
    with pytest.raises(UserError, match="and 20 more"):
        class_folders(root, NAMES)


def test_other_folders_may_be_allowed(tmp_path: Path) -> None:
    root = folders(tmp_path / "tree", [*WNIDS, "n01440764"])
    assert class_folders(root, NAMES, WNIDS, others=True) == [root / wnid for wnid in WNIDS]


def test_a_class_is_known_by_its_folder_s_name() -> None:
    names = ["T-shirt/top", "Ankle boot"]
    assert class_label("0_T_shirt_top", names) == 0
    assert class_label("1_Ankle_boot", names) == 1
    with pytest.raises(UserError, match="found 'boot', expected one of 0_T_shirt_top, 1_Ankle"):
        class_label("boot", names)


def test_classes_of_imagenet_are_a_file_in_the_order_of_their_indices() -> None:
    found = read_classes("config/classes/imagenet1k.csv", "d.yaml")
    assert [each["wnid"] for each in found] == list(imagenet_indices())
    names = [each["name"] for each in found]
    assert len({name.lower() for name in names}) == 1000
    by_wnid = {each["wnid"]: each["name"] for each in found}
    for dataset in ("imagenette", "imagewoof"):
        for known in Recipes("config", {}).dataset(dataset).classes:
            assert by_wnid[known.wnid] == known.name


def test_a_data_set_may_name_a_file_of_classes(tmp_path: Path) -> None:
    wnids, names = tmp_path / "wnids.csv", tmp_path / "names.csv"
    wnids.write_text("wnid,name\nn01440764,tench\nn02102040,springer\n")
    names.write_text("name\nant\nbee\n")
    for path, dataset, expected in (
        (wnids, "imagenette", ["tench", "springer"]),
        (names, "digits", ["ant", "bee"]),
    ):
        overrides = {"datasets": {dataset: {"classes": str(path)}}}
        recipe = Recipes("config", {"overrides": overrides}).dataset(dataset)
        assert recipe.class_names == expected
    assert recipe.wnids == []


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (None, "No such file"),
        ("", "found nothing"),
        ("label\nant\n", "found label"),
        ("wnid,name\nn01440764,\n", "in all rows"),
        ("wnid,name\nn01440764\n", "in all rows"),
        ("wnid,name\nn01440764,a,b\n", "in all rows"),
    ],
)
def test_a_file_without_classes_is_one_line(tmp_path: Path, text: str | None, message: str) -> None:
    path = tmp_path / "classes.csv"
    if text is not None:
        path.write_text(text)
    with pytest.raises(UserError, match=message) as caught:
        read_classes(str(path), "d.yaml")
    assert str(caught.value).startswith(f"d.yaml: classes: {path}: ")
    assert "\n" not in str(caught.value)


class Watched(dict[str, str]):
    """A mapping that counts how often it is asked for a key."""

    asked = 0

    def __contains__(self, key: object) -> bool:
        Watched.asked += 1
        return super().__contains__(key)


def test_a_thousand_classes_are_not_compared_pair_by_pair() -> None:
    schema = {"type": "object", "properties": {"classes": {"uniqueItems": True}}}
    items = [Watched(wnid=f"n{i}", name=f"class {i}") for i in range(1000)]
    check({"classes": items}, schema, "d.yaml")
    assert Watched.asked < 10_000, "half a million pairs"
    with pytest.raises(UserError, match=r"d\.yaml: classes: found .*expected no item twice"):
        check({"classes": [*items, dict(items[17])]}, schema, "d.yaml")
    known = [ClassConfig(wnid=f"n{i:08d}", name=f"class {i}") for i in range(1000)]
    distinct = TypeAdapter(Distinct[ClassConfig])
    start = time.process_time()
    assert distinct.validate_python(known) == known
    assert time.process_time() - start < 0.5
    with pytest.raises(ValidationError, match="expected no item twice"):
        distinct.validate_python([*known, known[500].model_copy()])


@pytest.mark.parametrize(
    ("items", "accepted"),
    [
        ([True, 1], True),
        ([1, 1.0], False),
        ([{"a": [1]}, {"a": [2]}], True),
        ([{"a": 1, "b": 2}, {"b": 2, "a": 1}], False),
        ([{1: "a", "b": 1}, {1: "a", "b": 1}], False),
        ([[1], [1]], False),
    ],
)
def test_what_counts_as_the_same_item(items: list, accepted: bool) -> None:
    schema = {"type": "object", "properties": {"classes": {"uniqueItems": True}}}
    if accepted:
        check({"classes": items}, schema, "d.yaml")
    else:
        with pytest.raises(UserError, match="no item twice"):
            check({"classes": items}, schema, "d.yaml")


def test_a_sample_of_classes_depends_on_their_names_alone() -> None:
    names = [row["name"] for row in read_classes("config/classes/imagenet1k.csv", "d.yaml")]
    ten, twenty = sample_of(names, 10), sample_of(names, 20)
    assert len(ten) == 10
    assert set(ten) < set(twenty)
    assert twenty == [name for name in names if name in twenty], "in label order"
    assert set(sample_of(names[::-1], 20)) == set(twenty)
    # From all over the list, not from its beginning.
    assert max(names.index(name) for name in twenty) > 700
    assert sample_of(names[:5], 20) == names[:5]
