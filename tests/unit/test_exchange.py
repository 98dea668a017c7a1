"""Sets go out in every form, are loaded by the libraries people use, and come back the same."""

import gc
import glob
import hashlib
import json
import os
import shutil
import subprocess
import sys
import tarfile
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
import webdataset
import yaml
from datasets import ClassLabel, load_dataset
from huggingface_hub import DatasetCard
from PIL import Image
from safetensors.torch import load_file
from torchvision.datasets import ImageFolder

from lgd_core.base.errors import UserError
from lgd_core.base.files import read_json
from lgd_core.config.external import ExternalSet
from lgd_core.config.models.images import NormaliseConfig, StoredImageConfig
from lgd_core.config.models.protocol import LabelsConfig
from lgd_core.config.settings import ClassNames
from lgd_core.data.distilled import write_folder
from lgd_core.exchange import leaving as leaving_module
from lgd_core.exchange.arriving import list_set, read_set
from lgd_core.exchange.card import card
from lgd_core.exchange.export import export
from lgd_core.exchange.form import forms
from lgd_core.exchange.forms import huggingface, tensors
from lgd_core.exchange.leaving import (
    Accuracy,
    Facts,
    Leaving,
    LogitFacts,
    accuracy,
    read_rows,
)

# Datasets and WebDataset leave files that they have read to the garbage collection, which warns.
pytestmark = pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")


@pytest.fixture(autouse=True)
def collected():
    """Files left open are closed within the test that opened them."""
    yield
    gc.collect()


# Not in the order of wnids, so that folders in sorted order would be other classes.
WNIDS = ["n02096294", "n01440764", "n02111889"]
CLASSES = ClassNames(names=["Australian terrier", "tench", "Samoyed"], wnids=WNIDS)
NORMALISE = NormaliseConfig(mean=[0.485, 0.456, 0.406], std=[0.229, 0.224, 0.225])
IMAGE = StoredImageConfig(size=8, channels=3)
STAMP = {
    "hardware": "a processor",
    "versions": {"torch": "2"},
    "formation": 1,
    "normalise": NORMALISE.model_dump(),
}
PER_CLASS, INCREMENTS = 2, 3


@pytest.fixture(scope="module")
def merged(tmp_path_factory) -> tuple[Path, torch.Tensor]:
    """A set of three increments, the first without scores, and its pixels by place."""
    rng = torch.Generator().manual_seed(0)
    shape = (INCREMENTS, 3 * PER_CLASS, 3, 8, 8)
    pixels = torch.randint(0, 256, shape, generator=rng, dtype=torch.uint8)
    increments = [
        {
            "images": pixels[k],
            "labels": torch.arange(3).repeat_interleave(PER_CLASS),
            "positions": torch.arange(PER_CLASS).repeat(3),
            "scores": torch.full((6,), torch.nan) if k == 0 else torch.arange(6) / 8 - 0.25,
        }
        for k in range(INCREMENTS)
    ]
    folder = tmp_path_factory.mktemp("merged") / "distilled"
    write_folder(folder, increments, CLASSES.names, {"formation": 1})
    return folder, pixels.unflatten(1, (3, PER_CLASS))


def facts(**changes) -> Facts:
    own = {
        "dataset": "imagewoof",
        "data_description": "ImageWoof",
        "method": "lgd",
        "method_description": "Learnability-guided diffusion",
        "ipc": PER_CLASS * INCREMENTS,
        "seed": 0,
        "formation": 1,
        "prior": "facebook/DiT-XL-2-256",
        "licences": {"data": "other", "prior": "cc-by-nc-4.0"},
        "logits": None,
        "accuracies": [
            Accuracy(
                protocol="hard",
                student="ResNetAP-10",
                n=3,
                n_runs=3,
                top1_mean=51.25,
                top1_std=0.5,
                best_top1_mean=52.0,
                best_top1_std=0.4,
            )
        ],
        "command": "snakemake --cores 1 -- results/imagewoof_ipc6/export/lgd/huggingface",
    }
    return Facts(**own | changes)


def leaving_of(folder: Path, values: np.ndarray | None = None, **changes) -> Leaving:
    rows = read_rows(folder, CLASSES.names)
    return Leaving(folder, rows, CLASSES, NORMALISE, facts(**changes), values)


def exported(form: str, merged: Path, root: Path, logits: np.ndarray | None = None) -> Path:
    target = root / form
    export(target, root / f"work-{form}", forms()[form], leaving_of(merged, logits), STAMP)
    return target


@pytest.fixture(scope="module")
def out(merged, tmp_path_factory) -> dict[str, Path]:
    """The set in every form."""
    root = tmp_path_factory.mktemp("out")
    return {form: exported(form, merged[0], root) for form in forms()}


def image_of(picture: Image.Image) -> torch.Tensor:
    return torch.from_numpy(np.array(picture)).permute(2, 0, 1)


def test_all_forms_are_known():
    assert list(forms()) == ["ddranking", "huggingface", "tensors", "webdataset", "imagefolder"]


def test_datasets_loads_parquet_with_names_and_prefixes(out, merged, tmp_path):
    pixels = merged[1]
    for count in range(1, INCREMENTS + 1):
        found = load_dataset(
            str(out["huggingface"]),
            f"ipc{PER_CLASS * count}",
            split="train",
            cache_dir=str(tmp_path),
        )
        assert len(found) == 3 * PER_CLASS * count
        for row in found:
            own = pixels[row["increment"], row["label"], row["position"]]
            assert torch.equal(image_of(row["image"]), own)
            assert row["wnid"] == WNIDS[row["label"]]
            assert row["weight"] == 1.0
            assert (row["score"] is None) == (row["increment"] == 0)
    assert isinstance(found.features["label"], ClassLabel)
    assert found.features["label"].names == CLASSES.names
    whole = load_dataset(str(out["huggingface"]), split="train", cache_dir=str(tmp_path))
    assert len(whole) == 3 * PER_CLASS * INCREMENTS, "the default is the whole set"


def test_datasets_loads_class_folders_with_their_table(out, merged, tmp_path):
    found = load_dataset(
        "imagefolder", data_dir=str(out["imagefolder"]), split="train", cache_dir=str(tmp_path)
    )
    assert len(found) == 18
    for row in found:
        own = merged[1][row["increment"], row["label"], row["position"]]
        assert torch.equal(image_of(row["image"]), own)
        assert row["wnid"] == WNIDS[row["label"]]


def test_torchvision_loads_class_folders_with_the_data_set_s_labels(out, merged):
    found = ImageFolder(str(out["imagefolder"]))
    pixels = merged[1].permute(1, 0, 2, 3, 4, 5).flatten(0, 2)
    assert found.targets == [0] * 6 + [1] * 6 + [2] * 6
    assert all(torch.equal(image_of(found[i][0]), pixels[i]) for i in range(18))


def test_webdataset_loads_tars(out, merged):
    tars = sorted(glob.glob(str(out["webdataset"] / "data/*.tar")))
    assert len(tars) == INCREMENTS
    found = webdataset.WebDataset(tars, shardshuffle=False).decode("pil")
    seen = 0
    for sample in found.to_tuple("png", "cls", "json"):
        picture, label, more = sample
        own = merged[1][more["increment"], label, more["position"]]
        assert torch.equal(image_of(picture), own)
        assert more["wnid"] == WNIDS[label]
        seen += 1
    assert seen == 18


def test_safetensors_hold_pixels_class_by_class(out, merged):
    (path,) = out["tensors"].glob("*.safetensors")
    found = load_file(path)
    assert torch.equal(found["images"], merged[1].permute(1, 0, 2, 3, 4, 5).flatten(0, 2))
    assert found["labels"].tolist() == [0] * 6 + [1] * 6 + [2] * 6
    assert found["increments"].tolist() == [0, 0, 1, 1, 2, 2] * 3
    assert found["scores"].isnan().tolist() == [True, True, *[False] * 4] * 3


def test_ddranking_s_tensors_are_normalised_and_class_major(out, merged):
    folder = out["ddranking"]
    images = torch.load(folder / "images.pt", weights_only=True)
    labels = torch.load(folder / "labels.pt", weights_only=True)
    pixels = merged[1].permute(1, 0, 2, 3, 4, 5).flatten(0, 2)
    mean, std = (torch.tensor(v)[:, None, None] for v in (NORMALISE.mean, NORMALISE.std))
    torch.testing.assert_close(images, (pixels / 255 - mean) / std)
    assert labels.tolist() == torch.arange(3).repeat_interleave(6).tolist()
    assert not list(folder.glob(".*")), "nothing is left behind"


@pytest.mark.parametrize(
    "form", ["imagefolder", "huggingface", "webdataset", "tensors", "ddranking"]
)
def test_a_set_that_comes_back_is_the_same(form, out, merged, tmp_path):
    external = ExternalSet(str(out[form]), "imagewoof", PER_CLASS)
    images, labels, table = read_back(external, tmp_path)
    assert torch.equal(images, merged[1].flatten(0, 2))
    assert labels.tolist() == [0, 0, 1, 1, 2, 2] * INCREMENTS
    assert table["increment"].tolist() == [0] * 6 + [1] * 6 + [2] * 6


def read_back(
    external: ExternalSet, folder: Path
) -> tuple[torch.Tensor, torch.Tensor, pd.DataFrame]:
    files = {name: str(folder / name) for name in ("images", "labels", "table")}
    list_set("mine", external, CLASSES)
    read_set(external, IMAGE, CLASSES, files, 2, lambda _: None)
    images, labels = (torch.from_numpy(np.load(files[name])) for name in ("images", "labels"))
    return images, labels, pd.read_csv(files["table"])


@pytest.fixture(scope="module")
def weighted(tmp_path_factory) -> tuple[Path, list[float]]:
    """A set of two increments whose images have weights, and these in the set's order."""
    root = tmp_path_factory.mktemp("weighted")
    weights = torch.linspace(0.3, 1.7, 12)
    increments = [
        {
            "images": torch.full((6, 3, 8, 8), k, dtype=torch.uint8),
            "labels": torch.arange(3).repeat_interleave(2),
            "positions": torch.arange(2).repeat(3),
            "scores": torch.full((6,), torch.nan),
            "weights": weights[6 * k : 6 * k + 6],
        }
        for k in range(2)
    ]
    write_folder(root / "distilled", increments, CLASSES.names, {"formation": 1})
    return root / "distilled", weights.tolist()


@pytest.mark.parametrize("form", ["huggingface", "webdataset", "tensors", "imagefolder"])
def test_weights_leave_and_come_back_to_the_bit(form, weighted, tmp_path):
    merged, weights = weighted
    found = {}
    for name, root in (("own", merged), ("other", exported(form, merged, tmp_path))):
        files = {key: str(tmp_path / f"{name}_{key}") for key in ("images", "labels", "table")}
        external = ExternalSet(folder=str(root), dataset="imagewoof", increment=2)
        found[name] = read_set(external, IMAGE, CLASSES, files, 1, lambda _: None)["weights"]
    assert torch.equal(torch.tensor(found["own"]), torch.tensor(weights))
    assert torch.equal(torch.tensor(found["other"]), torch.tensor(weights))


def test_weights_that_are_none_are_refused(out, tmp_path):
    folder = tmp_path / "set"
    shutil.copytree(out["imagefolder"], folder)
    table = pd.read_csv(folder / "metadata.csv")
    files = {key: str(tmp_path / key) for key in ("images", "labels", "table")}
    external = ExternalSet(folder=str(folder), dataset="imagewoof", increment=2)
    cases = {"-1": "weight: found -1, expected a number above 0", "x": "weight: found no number"}
    for value, part in cases.items():
        changed = table.astype({"weight": object})
        changed.loc[1, "weight"] = value
        changed.to_csv(folder / "metadata.csv", index=False)
        with pytest.raises(UserError, match=part):
            read_set(external, IMAGE, CLASSES, files, 1, lambda _: None)


@pytest.mark.parametrize("form", forms())
def test_provenance_lists_every_file_with_its_digest(form, out):
    record = read_json(out[form] / "provenance.json")
    files = [p for p in out[form].rglob("*") if p.is_file() and p.name != "provenance.json"]
    found = {
        path.relative_to(out[form]).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in files
    }
    assert record["files"] == found
    assert "README.md" in found


@pytest.mark.parametrize("form", forms())
def test_files_are_the_same_when_made_again(form, out, merged, tmp_path):
    again = exported(form, merged[0], tmp_path)
    assert read_json(again / "provenance.json") == read_json(out[form] / "provenance.json")


@pytest.mark.parametrize("form", ["huggingface", "webdataset", "tensors", "imagefolder"])
def test_an_interrupted_export_goes_on_with_the_next_part(form, out, merged, tmp_path, monkeypatch):
    """A kill in the middle of a part costs that part alone, and the result is the same."""
    read = Leaving.encoded
    calls = 0

    def stopping(self: Leaving, row) -> bytes:
        nonlocal calls
        calls += 1
        if calls == 15:
            raise KeyboardInterrupt
        return read(self, row)

    monkeypatch.setattr(Leaving, "encoded", stopping)
    monkeypatch.setattr(tensors, "PER_FILE", 6 * 3 * 8 * 8)
    with pytest.raises(KeyboardInterrupt):
        exported(form, merged[0], tmp_path)
    assert not (tmp_path / form).exists(), "nothing half-written"
    before, calls = calls, 15
    target = exported(form, merged[0], tmp_path)
    assert calls - 15 < 18, "what was complete is not read again"
    assert before == 15
    if form != "tensors":
        assert read_json(target / "provenance.json") == read_json(out[form] / "provenance.json")


def test_the_card_is_read_by_the_hub_s_library(out):
    loaded = DatasetCard.load(out["huggingface"] / "README.md")
    data = loaded.data.to_dict()
    assert data["license"] == ["other", "cc-by-nc-4.0"]
    assert data["task_categories"] == ["image-classification"]
    assert data["size_categories"] == ["n<1K"]
    assert {"dataset-distillation", "ipc-6", "imagewoof", "lgd"} <= set(data["tags"])
    assert [config["config_name"] for config in data["configs"]] == ["ipc6", "ipc4", "ipc2"]
    assert [config.get("default", False) for config in data["configs"]] == [True, False, False]
    for part in (
        "51.2 ± 0.5",
        "| 3 |",
        "facebook/DiT-XL-2-256",
        "cc-by-nc-4.0",
        "non-commercial",
        "Australian terrier, tench, Samoyed",
        "provenance.json",
        facts().command,
        'load_dataset("FOLDER", "ipc2", split="train")  # the first 2 images per class',
    ):
        assert part in loaded.text, part


def test_a_card_says_what_is_not_known(merged):
    plain = leaving_of(merged[0], prior=None, licences={"data": None}, accuracies=[], formation=2)
    text = card(plain, forms()["imagefolder"], STAMP)
    front = yaml.safe_load(text.split("---")[1])
    assert front["license"] == "unknown"
    assert "configs" not in front
    for part in ("Not measured.", "not stated", "not drawn from a prior", "a grid of 2 x 2 images"):
        assert part in text
    assert "weights of the prior" not in text
    assert "non-commercial" not in text


def test_logits_leave_with_their_images(merged, tmp_path):
    rng = np.random.default_rng(0)
    logits = np.log(rng.dirichlet(np.ones(3), 18)).astype(np.float32)
    labels = LabelsConfig(source="stored", temperature=20.0)
    leaving = leaving_of(merged[0], logits, logits=LogitFacts(protocol="soft", labels=labels))
    for form in ("huggingface", "webdataset", "tensors", "ddranking"):
        export(tmp_path / form, tmp_path / "work", forms()[form], leaving, STAMP)
    numbers = {(row.increment, row.label, row.position): i for i, row in enumerate(leaving.rows)}
    rows = load_dataset(
        str(tmp_path / "huggingface"), split="train", cache_dir=str(tmp_path / "cache")
    )
    for row in rows:
        number = numbers[row["increment"], row["label"], row["position"]]
        np.testing.assert_array_equal(np.float32(row["logits"]), logits[number])
    order = [numbers[k, c, p] for c in range(3) for k in range(INCREMENTS) for p in range(2)]
    found = torch.load(tmp_path / "ddranking/logits.pt", weights_only=True)
    np.testing.assert_array_equal(found.numpy(), logits[order])
    (path,) = (tmp_path / "tensors").glob("*.safetensors")
    np.testing.assert_array_equal(load_file(path)["logits"].numpy(), logits[order])
    assert "temperature 20" in (tmp_path / "webdataset/README.md").read_text()


def test_an_image_that_is_not_the_manifest_s_is_refused(merged, tmp_path):
    folder = tmp_path / "distilled"
    shutil.copytree(merged[0], folder)
    file = next(folder.rglob("k001_p000.png"))
    Image.new("RGB", (8, 8)).save(file)
    with pytest.raises(UserError, match=r"k001_p000.png: found another image than manifest.csv"):
        exported("tensors", folder, tmp_path)


def test_nothing_but_the_set_decides_tar_files(out):
    (path, *_) = sorted((out["webdataset"] / "data").glob("*.tar"))
    with tarfile.open(path) as tar:
        assert {(m.mtime, m.uname, m.gname) for m in tar} == {(0, "", "")}


def test_parts_hold_so_many_images_of_one_increment(merged):
    parts = list(leaving_module.in_parts(read_rows(merged[0], CLASSES.names), 4))
    assert [name for name, _ in parts] == [
        f"k{k:03d}-{part:05d}-of-00002" for k in range(3) for part in range(2)
    ]
    assert [len(rows) for _, rows in parts] == [4, 2] * 3
    assert {len({row.increment for row in rows}) for _, rows in parts} == {1}


def test_a_row_of_a_single_student_has_no_deviation():
    row = {
        "protocol": "hard",
        "student": "ConvNet-3",
        "n": 1,
        "n_runs": 1,
        "top1_mean": 50.0,
        "top1_std": float("nan"),
        "best_top1_mean": 51.0,
        "best_top1_std": float("nan"),
        "more": 1,
    }
    assert accuracy(row).top1_std is None
    json.dumps(accuracy(row).model_dump(), allow_nan=False)


def write_parquet(path: Path, rows: list[dict], features) -> None:
    from datasets import Dataset

    Dataset.from_list(rows, features=features).to_parquet(path)


def png(label: int) -> dict:
    import io

    stream = io.BytesIO()
    Image.new("RGB", (8, 8), (label * 100, 0, 0)).save(stream, "PNG")
    return {"bytes": stream.getvalue(), "path": None}


@pytest.mark.parametrize("marked", ["names", "other spelling", "wnids", "numbers", "ImageNet"])
def test_parquet_of_others_is_read_by_wnid_name_or_number(marked, tmp_path):
    from datasets import Features, Value
    from datasets import Image as ImageFeature

    kinds = {
        "names": ClassLabel(names=sorted(CLASSES.names)),
        "other spelling": ClassLabel(names=["SAMOYED", "australian_terrier", "Tench"]),
        "wnids": ClassLabel(names=sorted(WNIDS)),
        "numbers": Value("int64"),
        "ImageNet": Value("int64"),
    }
    called = {
        "names": lambda label: CLASSES.names[label],
        "other spelling": lambda label: ["australian_terrier", "Tench", "SAMOYED"][label],
        "wnids": lambda label: WNIDS[label],
        "numbers": lambda label: label,
        "ImageNet": lambda label: [193, 0, 258][label],
    }
    rows = [{"img": png(label), "label": called[marked](label)} for label in [2, 0, 1, 0, 1, 2]]
    features = Features({"img": ImageFeature(), "label": kinds[marked]})
    (tmp_path / "repo/data").mkdir(parents=True)
    write_parquet(tmp_path / "repo/data/train-00000-of-00001.parquet", rows, features)
    write_parquet(tmp_path / "repo/data/test-00000-of-00001.parquet", rows[:1], features)
    external = ExternalSet(str(tmp_path / "repo"), "imagewoof", 1)
    images, labels, table = read_back(external, tmp_path)
    assert labels.tolist() == [0, 1, 2, 0, 1, 2]
    assert (images[:, 0, 0, 0].int() // 100).tolist() == [0, 1, 2, 0, 1, 2]
    assert table["increment"].tolist() == [0, 0, 0, 1, 1, 1]


@pytest.mark.parametrize("written", ["pair", "mapping", "two files", "experiments", "bytes"])
def test_tensors_of_others_are_read_and_never_unpickled(written, tmp_path):
    images = (torch.rand(6, 3, 8, 8) * 255).round() / 255
    labels = torch.tensor([0, 0, 1, 1, 2, 2])
    folder = tmp_path / "set"
    folder.mkdir()
    if written == "two files":
        torch.save(images, folder / "images.pt")
        torch.save(labels, folder / "labels.pt")
        torch.save(0.01, folder / "lr.pt")
    else:
        kept = {
            "pair": (images, labels),
            "mapping": {"images": images, "labels": labels},
            "experiments": {"data": [[images, labels], [images * 0, labels]]},
            "bytes": {"images": (images * 255).byte(), "labels": labels},
        }
        torch.save(kept[written], folder / "set.pt")
    found, own, _ = read_back(ExternalSet(str(folder), "imagewoof", 2), tmp_path)
    assert torch.equal(found, (images * 255).round().byte())
    assert own.tolist() == [0, 0, 1, 1, 2, 2]


def test_normalised_tensors_need_mean_and_std(tmp_path):
    pixels = torch.randint(0, 256, (3, 3, 8, 8), dtype=torch.uint8)
    mean, std = (torch.tensor(v)[:, None, None] for v in (NORMALISE.mean, NORMALISE.std))
    kept = {"images": (pixels / 255 - mean) / std, "labels": torch.arange(3)}
    torch.save(kept, tmp_path / "set.pt")
    own = ExternalSet(str(tmp_path / "set.pt"), "imagewoof", 1)
    with pytest.raises(UserError, match=r"set.pt: image 0: found values from .* expected 0 to 1"):
        read_back(own, tmp_path)
    said = ExternalSet(
        own.folder, "imagewoof", 1, mean=tuple(NORMALISE.mean), std=tuple(NORMALISE.std)
    )
    assert torch.equal(read_back(said, tmp_path)[0], pixels)


class Trap:
    def __reduce__(self):
        return print, ("unpickled",)


@pytest.mark.parametrize(
    ("name", "write", "part"),
    [
        ("set.pt", lambda p: torch.save({"images": Trap()}, p), "found no tensors that are safe"),
        ("set.pt", lambda p: p.write_bytes(b"no"), "found no tensors that are safe"),
        ("set.pt", lambda p: torch.save({"labels": torch.zeros(1)}, p), "images: found none"),
        ("set.pt", lambda p: torch.save(torch.zeros(2, 1, 8, 8), p), "labels: found none"),
        (
            "set.pt",
            lambda p: torch.save((torch.zeros(2, 1, 8, 8), torch.zeros(2)), p),
            "images: found (2, 1, 8, 8), expected (N, 3, H, W)",
        ),
        (
            "set.pt",
            lambda p: torch.save((torch.zeros(2, 3, 8, 8), torch.zeros(3)), p),
            "labels: found 3, expected 2",
        ),
        (
            "set.pt",
            lambda p: torch.save((torch.zeros(2, 3, 8, 8), torch.tensor([0, 5])), p),
            "missing: 1, 2; extra: 5",
        ),
        ("set.safetensors", lambda p: p.write_bytes(b"no"), "found a broken safetensors file"),
        ("set.parquet", lambda p: p.write_bytes(b"no"), "found no Parquet"),
        (
            "set.parquet",
            lambda p: pd.DataFrame({"a": [1]}).to_parquet(p),
            "found columns a, expected image or img",
        ),
        ("set.tar", lambda p: p.write_bytes(b"no"), "found no tar file"),
        ("set.zip", lambda p: p.write_bytes(b"no"), "found a file of another kind"),
    ],
)
def test_faults_are_one_line_that_names_the_file(name, write, part, tmp_path, capsys):
    write(tmp_path / name)
    with pytest.raises(UserError) as error:
        read_back(ExternalSet(str(tmp_path / name), "imagewoof", 1), tmp_path)
    text = str(error.value)
    assert name in text
    assert part in text
    assert "\n" not in text
    assert "unpickled" not in capsys.readouterr().out


def test_a_tar_sample_without_a_label_is_named(tmp_path):
    with webdataset.TarWriter(str(tmp_path / "set.tar")) as writer:
        writer.write({"__key__": "one", "png": png(0)["bytes"]})
    with pytest.raises(UserError, match=r"set.tar: one: found no .cls"):
        read_back(ExternalSet(str(tmp_path / "set.tar"), "imagewoof", 1), tmp_path)


def test_a_table_of_labels_needs_no_class_folders(tmp_path):
    """As other programs write image folders: all files side by side, metadata.csv with labels."""
    root = tmp_path / "flat"
    root.mkdir()
    lines = ["file_name,label"]
    for number, label in enumerate([2, 0, 1, 1, 0, 2]):
        Image.new("RGB", (10, 9), (label * 100, 0, 0)).save(root / f"{number}.jpg")
        lines.append(f"{number}.jpg,{CLASSES.names[label]}")
    (root / "metadata.csv").write_text("\n".join(lines) + "\n")
    images, labels, table = read_back(ExternalSet(str(root), "imagewoof", 1), tmp_path)
    assert labels.tolist() == [0, 1, 2, 0, 1, 2]
    assert [round(int(v) / 100) for v in images[:, 0, 4, 4]] == [0, 1, 2, 0, 1, 2]
    assert table["file"].tolist() == ["1.jpg", "2.jpg", "0.jpg", "4.jpg", "3.jpg", "5.jpg"]
    (root / "5.jpg").unlink()
    with pytest.raises(UserError, match=r"metadata.csv: found no file .*5.jpg"):
        list_set("mine", ExternalSet(str(root), "imagewoof", 1), CLASSES)


def test_groups_of_parquet_are_read_one_at_a_time():
    assert huggingface.PER_GROUP * 256 * 256 * 3 < 2**25
    assert huggingface._group.cache_info().maxsize == 8


MEASURED = """
import re, sys
from pathlib import Path
import test_exchange
from lgd_core.config.settings import ClassNames

test_exchange.CLASSES = ClassNames(names=["a", "b"], wnids=[])
test_exchange.exported(sys.argv[1], Path(sys.argv[2]), Path(sys.argv[3]))
# The process's own peak; getrusage would count that of the process which started it.
print(int(re.search(r"VmHWM:\\s+(\\d+)", Path("/proc/self/status").read_text())[1]) // 1024)
"""


@pytest.mark.slow
@pytest.mark.parametrize("form", ["huggingface", "webdataset", "tensors", "imagefolder"])
def test_memory_does_not_grow_with_the_images(form, tmp_path, monkeypatch):
    """Four times the images of 256 pixels, 300 MB more, take no more memory to write."""
    found = {}
    for count in (256, 1024):
        pixels = torch.randint(0, 256, (count, 3, 256, 256), dtype=torch.uint8)
        increment = {
            "images": pixels,
            "labels": torch.arange(2).repeat_interleave(count // 2),
            "positions": torch.arange(count // 2).repeat(2),
            "scores": torch.zeros(count),
        }
        write_folder(tmp_path / f"{count}", [increment], ["a", "b"], {"formation": 1})
        words = [form, str(tmp_path / f"{count}"), str(tmp_path / f"out{count}")]
        environment = os.environ | {"PYTHONPATH": f"{Path(__file__).parent}:{Path.cwd()}"}
        done = subprocess.run(
            [sys.executable, "-c", MEASURED, *words],
            env=environment,
            capture_output=True,
            text=True,
            check=True,
        )
        found[count] = int(done.stdout)
    print(f"{form}: {found} MB")
    assert found[1024] < found[256] + 100 + (200 if form == "tensors" else 0)
