"""A recipe is proposed from a folder of images, or one line says why not."""

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import jsonschema
import numpy as np
import pytest
from PIL import Image
from trees import WOOF

from lgd_core.base.errors import UserError
from lgd_core.config.new_dataset import new_dataset
from lgd_core.config.proposals import network_epochs, widths
from lgd_core.config.recipes import Recipes
from lgd_core.config.schema import load_yaml
from lgd_core.config.stages import source_settings
from lgd_core.data.real_images import prepare

ROOT = Path(__file__).parents[2]
NAMES = ["blue circle", "green bar", "no", "red square", "two dots"]


@pytest.fixture(autouse=True)
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Be in a folder with a copy of the recipes."""
    shutil.copytree(ROOT / "config", tmp_path / "project" / "config")
    monkeypatch.chdir(tmp_path / "project")
    monkeypatch.delenv("LGD_DATA", raising=False)
    return tmp_path / "project"


def draw(folder: Path, count: int, colour: bool = True, side: int = 30) -> None:
    """Write noise of odd sizes around a side, grey or in the colours of the folder's name."""
    folder.mkdir(parents=True)
    for number in range(count):
        rng = np.random.default_rng([len(folder.name), number])
        size = side + number % 3, side + number % 5, 3
        pixels = rng.integers(0, 255, size, dtype=np.uint8)
        image = Image.fromarray(pixels if colour else pixels[:, :, 0])
        image.save(folder / f"{number:03d}.png")


def tree(root: Path, count: int = 60, colour: bool = True, side: int = 30) -> Path:
    """Write a class folder for each of NAMES."""
    for name in NAMES:
        draw(root / name, count, colour, side)
    return root


@pytest.fixture
def mixed() -> Path:
    """Return a folder in which one class is grey and one file is broken."""
    root = tree(Path("my images"))
    shutil.rmtree(root / "no")
    draw(root / "no", 60, colour=False)
    broken = root / "green bar" / "007.png"
    broken.write_bytes(broken.read_bytes()[:200])
    (root / "two dots" / "phone.heic").touch()
    return root


def propose(folder: Path, name: str | None = None, size: int | None = None) -> tuple[dict, str]:
    """Return a recipe, and what was said."""
    said: list[str] = []
    path = new_dataset(str(folder), name, size, said.append)
    return load_yaml(path), "\n".join(said)


def refusal(folder: Path | str, name: str | None = None, size: int | None = None) -> str:
    """Return the line of a refusal, after which there is no new recipe."""
    before = sorted(Path("config/datasets").iterdir())
    with pytest.raises(UserError) as error:
        new_dataset(str(folder), name, size, lambda line: None)
    assert sorted(Path("config/datasets").iterdir()) == before
    assert "\n" not in str(error.value)
    return str(error.value)


def test_a_mixed_folder_has_a_recipe_of_its_own(mixed: Path) -> None:
    recipe, said = propose(mixed)
    assert recipe["classes"] == NAMES
    assert recipe["image"] == {"size": 32, "channels": 3}
    assert recipe["source"] == {
        "kind": "unsplit-folder",
        "folder": "my images",
        "test_share": 0.2,
        "validation_fraction": 0.1,
        "skip_broken": True,
    }
    assert recipe["prior"]["source"] == "train"
    assert recipe["prior"]["train"]["autoencoder"]["widths"] == [16, 32, 64]
    assert recipe["recipes"]["lgd"]["seed"] == {"source": "prior"}
    assert "  green bar: 59 images" in said.splitlines()
    assert "with colours: 239 of 299; image.channels: 3" in said
    assert "skipped: my images/green bar/007.png: found a broken image" in said
    assert "left out: 1 of .heic (my images/two dots/phone.heic)" in said
    assert said.splitlines()[-1] == (
        "next: snakemake --cores 2 -- results/my_images_ipc20/table.csv"
    )


def test_every_section_says_why(mixed: Path) -> None:
    propose(mixed)
    text = Path("config/datasets/my_images.yaml").read_text()
    lines = text.splitlines()
    keys = [n for n, line in enumerate(lines) if re.match(r"[a-z]+:", line)]
    bare = {lines[n].split(":")[0] for n in keys if not lines[n - 1].startswith("#")}
    assert bare == {"source", "prior", "augment", "evaluation"}, "with reasons within them"
    for section in bare:
        after = lines[lines.index(f"{section}:") + 1]
        assert after.startswith("  # "), after
    assert "broken: my images/green bar/007.png" in " ".join(text.split()).replace("# ", "")
    assert max(map(len, lines)) <= 100


def test_editors_and_all_methods_take_it(mixed: Path) -> None:
    recipe, _ = propose(mixed)
    schema = json.loads((ROOT / "config/schemas/dataset.schema.json").read_text())
    jsonschema.validate(json.loads(json.dumps(recipe)), schema)
    recipes = Recipes("config", {"datasets": ["my_images"], "methods": "all", "ipc": [20]})
    assert {"random", "dit", "lgd", "igd", "mgd3", "dm"} <= set(recipes.run.methods)


@pytest.mark.parametrize("colour", [True, False])
def test_mean_and_deviation_are_those_of_the_arrays(tmp_path: Path, colour: bool) -> None:
    recipe, _ = propose(tree(tmp_path / "mine", count=30, colour=colour))
    recipes = Recipes("config", {"datasets": ["mine"], "methods": ["dit"], "ipc": [10]})
    settings, arrays = source_settings(recipes.dataset("mine")), tmp_path / "arrays"
    arrays.mkdir()
    prepare("mine", settings, tmp_path / "mine", arrays, 1, lambda line: None)
    images = np.load(arrays / "train_images.npy") / 255
    assert images.shape[1] == recipe["image"]["channels"] == (3 if colour else 1)
    assert recipe["augment"]["flip"] == (0.5 if colour else 0.0)
    assert recipe["normalise"]["mean"] == pytest.approx(images.mean((0, 2, 3)), abs=0.01)
    assert recipe["normalise"]["std"] == pytest.approx(images.std((0, 2, 3)), abs=0.01)


def test_train_and_val_are_taken_as_they_are(tmp_path: Path) -> None:
    tree(tmp_path / "pets" / "train")
    tree(tmp_path / "pets" / "val", count=4)
    recipe, said = propose(tmp_path / "pets")
    assert recipe["source"] == {
        "kind": "folder",
        "folder": str(tmp_path / "pets"),
        "validation_fraction": 0.1,
    }
    assert "  no: 60 images, 4 for testing" in said
    assert said.startswith("looking at 320 of 320 images\n")
    tree(tmp_path / "pets" / "test", count=2)
    _, said = propose(tmp_path / "pets", "again")
    assert "  no: 60 images, 2 for testing" in said


def test_a_folder_with_train_alone_is_divided(tmp_path: Path) -> None:
    tree(tmp_path / "pets" / "train")
    recipe, _ = propose(tmp_path / "pets")
    assert recipe["source"]["kind"] == "unsplit-folder"
    assert recipe["source"]["folder"] == str(tmp_path / "pets" / "train")


def test_a_class_may_be_called_train(tmp_path: Path) -> None:
    for name in ("boat", "test", "train"):
        draw(tmp_path / "rides" / name, 20)
    recipe, _ = propose(tmp_path / "rides")
    assert recipe["classes"] == ["boat", "test", "train"]


def test_wnids_get_imagenet_s_prior(tmp_path: Path) -> None:
    root = tmp_path / "woof"
    for wnid in WOOF:
        draw(root / "train" / wnid, 12)
        draw(root / "val" / wnid, 2)
    recipe, said = propose(root)
    assert recipe["image"] == {"size": 256, "channels": 3, "train_size": 224}
    assert [known["index"] for known in recipe["classes"]] == sorted(WOOF.values())
    assert recipe["classes"][0] == {"wnid": "n02086240", "index": 155, "name": "Shih-Tzu"}
    assert recipe["prior"] == load_yaml(ROOT / "config/datasets/imagenette.yaml")["prior"]
    assert "sampling it needs a GPU" in said
    assert recipe["recipes"] == {
        "dit": {"ipc_per_increment": 2},
        "random": {"ipc_per_increment": 2},
    }
    labels = Recipes("config", {"datasets": ["woof"], "methods": ["dit"], "ipc": [4]})
    assert labels.dataset("woof").prior.labels == sorted(WOOF.values())
    recipe, _ = propose(root, "small", 32)
    assert recipe["prior"]["source"] == "train"
    assert recipe["image"] == {"size": 32, "channels": 3}


def test_imagenet_s_names_get_its_labels(tmp_path: Path) -> None:
    for name in ("Golden_Retriever", "tench"):
        draw(tmp_path / "both" / name, 20)
    recipe, _ = propose(tmp_path / "both")
    assert recipe["classes"] == ["Golden_Retriever", "tench"]
    assert recipe["prior"]["source"] == "facebook/DiT-XL-2-256"
    assert recipe["prior"]["labels"] == [207, 0]
    draw(tmp_path / "both" / "unicorn", 20)
    recipe, _ = propose(tmp_path / "both", "three")
    assert recipe["prior"]["source"] == "train"


@pytest.mark.parametrize(
    ("side", "asked", "size", "network"),
    [
        (9, None, 8, "ConvNet-3-w32"),
        (28, None, 32, "ConvNet-3-w32"),
        (300, None, 64, "ConvNet-4-w32"),
        (30, 28, 28, "ConvNet-3-w32"),
        (30, 128, 128, "ConvNet-5-w32"),
    ],
)
def test_the_size_fits_the_images_unless_it_is_asked_for(
    side: int, asked: int | None, size: int, network: str
) -> None:
    recipe, _ = propose(tree(Path("mine"), count=5, side=side), size=asked)
    assert recipe["image"]["size"] == size
    assert recipe["reference"]["architecture"] == network
    assert recipe["evaluation"]["students"] == [network]
    assert recipe["recipes"]["dm"]["condensation"]["network"] == {"architecture": network}


@pytest.mark.parametrize(("size", "latent"), [(8, 4), (16, 8), (28, 7), (32, 8), (64, 8), (256, 8)])
def test_latents_are_small(size: int, latent: int) -> None:
    assert size // 2 ** (len(widths(size)) - 1) == latent


def test_epochs_make_a_few_thousand_steps_where_there_are_images() -> None:
    assert [network_epochs(images) for images in (100, 13_000, 55_000)] == [100, 20, 10]


@pytest.mark.parametrize(
    ("count", "increment", "validation"), [(60, 10, 0.1), (30, 5, 0.1), (12, 2, 0.2), (5, 1, 0.2)]
)
def test_increments_fit_the_smallest_class(count: int, increment: int, validation: float) -> None:
    root = tree(Path("mine"))
    shutil.rmtree(root / "no")
    draw(root / "no", count)
    recipe, said = propose(root)
    assert recipe["recipes"]["dit"].get("ipc_per_increment", 10) == increment
    assert recipe["recipes"]["random"].get("ipc_per_increment", 10) == increment
    assert recipe["source"]["validation_fraction"] == validation
    assert f"results/mine_ipc{2 * increment}/table.csv" in said


def test_numbers_are_in_their_order() -> None:
    for name in ("10", "9", "1"):
        draw(Path("mine") / name, 6)
    recipe, _ = propose(Path("mine"))
    assert recipe["classes"] == ["1", "9", "10"]


def test_names_of_files_stay_within_their_comment() -> None:
    root = tree(Path("mine"), count=6)
    (root / "no" / "a\u2028classes: [x]\nb.png").write_bytes(b"nothing")
    recipe, _ = propose(root)
    assert recipe["classes"] == NAMES
    assert recipe["source"]["skip_broken"] is True


def test_names_that_are_no_text_are_one_line() -> None:
    root = tree(Path("mine"), count=6)
    (root / "no").rename(os.fsdecode(b"mine/n\xff"))
    assert "mine" in refusal(root)


def test_a_recipe_is_never_replaced(mixed: Path) -> None:
    propose(mixed)
    before = Path("config/datasets/my_images.yaml").read_text()
    assert refusal(mixed) == (
        "config/datasets/my_images.yaml: found a recipe of this name, expected another --name"
    )
    assert Path("config/datasets/my_images.yaml").read_text() == before


@pytest.mark.parametrize("name", ["a b", "logs", "", "../x", "-x"])
def test_names_that_cannot_be_in_paths_are_refused(mixed: Path, name: str) -> None:
    assert refusal(mixed, name).startswith(f"--name: found '{name}', expected letters, digits")


@pytest.mark.parametrize("size", [4, 30, 512, -8])
def test_sizes_that_cannot_be_halved_are_refused(mixed: Path, size: int) -> None:
    assert refusal(mixed, size=size) == (
        f"--size: found {size}, expected a multiple of 4 from 8 to 256"
    )


def test_a_folder_must_be_there_and_have_classes() -> None:
    assert refusal("nowhere") == "nowhere: found no such folder, expected one with class folders"
    Path("flat").mkdir()
    Image.new("L", (9, 9)).save("flat/a.png")
    assert refusal("flat").startswith("flat: found 0 class folders, expected at least 2")
    draw(Path("flat") / "one", 9)
    assert refusal("flat").startswith("flat: found 1 class folder (one), expected at least 2")
    (Path("flat") / "two").mkdir()
    assert refusal("flat") == "flat: found no images of class two, expected at least one"


def test_a_class_needs_images_for_every_purpose() -> None:
    root = tree(Path("mine"), count=4)
    assert refusal(root) == (
        "mine: found 4 images of class blue circle that decode, expected at least 5, for "
        "training, validation and testing"
    )
    tree(Path("split/train"), count=3)
    tree(Path("split/test"), count=1)
    assert refusal("split").endswith("expected at least 4, for training and validation")


def test_broken_images_do_not_count() -> None:
    tree(Path("split/train"), count=5)
    tree(Path("split/test"), count=1)
    (Path("split/test") / "no" / "000.png").write_bytes(b"nothing")
    assert refusal("split") == (
        "split/test: found no images of class no that decode, expected at least one, for testing"
    )
    for path in Path("split").rglob("*.png"):
        path.write_bytes(b"nothing")
    assert refusal("split").endswith("all of 30 images are broken")


def test_both_parts_must_have_the_same_classes() -> None:
    tree(Path("pets/train"), count=6)
    tree(Path("pets/test"), count=2)
    (Path("pets/test") / "no").rename("pets/test/yes")
    line = refusal("pets")
    assert line.startswith("pets/test: found 5 class folders, expected 5 (missing: no; extra: yes)")


def test_images_of_one_shade_cannot_be_normalised() -> None:
    for name in ("a", "b"):
        (Path("mine") / name).mkdir(parents=True)
        for number in range(6):
            Image.new("L", (9, 9), 7).save(Path("mine") / name / f"{number}.png")
    assert "found one shade, as in all others" in refusal("mine")


def test_what_the_checks_of_a_run_refuse_is_not_written(mixed: Path) -> None:
    with open("config/datasets/fashionmnist.yaml", "a") as stream:
        stream.write("  dits: {window: [1, 2]}\n")
    assert refusal(mixed).startswith(
        "config/datasets/my_images.yaml: recipes.dits: unknown method 'dits'"
    )


def test_a_folder_without_recipes_is_not_the_project(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UserError, match="config/datasets: found no such folder"):
        new_dataset("images", None, None, print)


def run(*words: str) -> subprocess.CompletedProcess[str]:
    """Call the command with a PyTorch that cannot be imported."""
    code = (
        "import runpy, sys; sys.modules['torch'] = None; "
        "runpy.run_module('lgd_core.config', run_name='__main__', alter_sys=True)"
    )
    return subprocess.run([sys.executable, "-c", code, *words], capture_output=True, text=True)


def test_the_command_needs_no_pytorch_and_says_one_line_of_what_is_wrong(mixed: Path) -> None:
    done = run("new-dataset", str(mixed), "--name", "ours", "--size", "16")
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-2] == "written: config/datasets/ours.yaml"
    assert load_yaml(Path("config/datasets/ours.yaml"))["image"]["size"] == 16
    done = run("new-dataset", str(mixed), "--name", "ours")
    assert done.returncode == 1
    assert done.stderr.splitlines() == [
        "error: config/datasets/ours.yaml: found a recipe of this name, expected another --name"
    ]
