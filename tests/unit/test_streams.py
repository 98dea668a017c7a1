"""Training images that are decoded from their files: the same pixels as arrays have."""

import multiprocessing
import os
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor
from torchvision.transforms import v2
from trees import WOOF, class_tree, settings

from lgd_core.base.checkpoints import Checkpoint
from lgd_core.base.digests import file_digests
from lgd_core.base.errors import UserError
from lgd_core.base.files import write_json
from lgd_core.config.models.dataset import AugmentConfig
from lgd_core.config.settings import SeenImages, SourceSettings, TrainingSettings
from lgd_core.config.sources import preparing_keys
from lgd_core.data import streams
from lgd_core.data.real_images import RealImages, load_labels, load_split, prepare
from lgd_core.data.streams import ImageFiles, in_batches
from lgd_core.networks.classifiers import build_network
from lgd_core.networks.training import Images, accuracy, train_to_length

TWO_SIZES = {"size": 12, "train_size": 8, "channels": 3}
SEEN = SeenImages.model_validate(
    {
        "classes": 10,
        "image": TWO_SIZES,
        "normalise": {"mean": [0.5] * 3, "std": [0.3] * 3},
        "augment": AugmentConfig(),
    }
)
BRIEF = TrainingSettings(epochs=2, batch=7, lr=1e-2, weight_decay=0.0, cutmix=True, evaluations=1)


@pytest.fixture
def woof(tmp_path: Path) -> Path:
    """A tree of noisy images, 5 per class for training."""
    root = class_tree(tmp_path / "woof", list(WOOF), train=5)
    for number, path in enumerate(sorted(root.rglob("*.JPEG"))):
        pixels = np.random.default_rng(number).integers(0, 256, (12, 20, 3), np.uint8)
        Image.fromarray(pixels).save(path, format="PNG")
    return root


def prepared(root: Path, folder: Path, **source: object) -> RealImages:
    """Prepare a tree as a job does; return its images, decoded by two processes."""
    asked = of_two_sizes(root, **source)
    facts = prepare("woof", asked, root, folder, 2, lambda _: None)
    files = {"files": file_digests(folder.glob("*.npy"))}
    write_json(folder / "prepared.json", facts | files)
    return RealImages(folder, root, 2)


def of_two_sizes(root: Path, **source: object) -> SourceSettings:
    asked = settings("imagenet", root, **source)
    return SourceSettings.model_validate(asked.model_dump() | {"image": TWO_SIZES})


@pytest.mark.parametrize("workers", [0, 2])
@pytest.mark.parametrize("split", ["train", "originals"])
def test_files_give_the_pixels_and_labels_of_arrays(
    tmp_path: Path, woof: Path, split: str, workers: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(streams, "CHUNK", 4)
    arrays, labels = prepared(woof, tmp_path / "arrays").split(split)
    real = prepared(woof, tmp_path / "files", stream=True)
    files, found = RealImages(real.folder, woof, workers).split(split)
    assert isinstance(files, ImageFiles)
    assert files.shape == tuple(arrays.shape) == (50, 3, *(2 * [{"train": 8}.get(split, 12)]))
    assert torch.equal(found, labels)
    parts = [
        torch.tensor([49, 3, 3, 17, 0, 8]),
        torch.tensor([], dtype=torch.long),
        torch.arange(9),
    ]
    for rows, images in zip(parts, in_batches(files, parts), strict=True):
        assert torch.equal(images, arrays[rows])
    assert torch.equal(load_labels(real.folder, split), labels)


def test_nothing_but_the_index_takes_room_on_disk(tmp_path: Path, woof: Path) -> None:
    real = prepared(woof, tmp_path / "files", stream=True, validation_fraction=0.2)
    index = np.load(real.folder / "train_images.npy")
    assert index.dtype.kind == "S"
    assert len(index) == 40
    assert all((woof / name.decode()).is_file() for name in index.tolist())
    assert load_split(real.folder, "validation")[0].shape == (10, 3, 8, 8)
    assert load_split(real.folder, "test")[0].shape == (20, 3, 8, 8)


def test_files_that_do_not_decode_are_left_out_or_stop_the_run(tmp_path: Path, woof: Path) -> None:
    broken = sorted((woof / "train").rglob("*.JPEG"))[7]
    broken.write_bytes(broken.read_bytes()[:60])
    with pytest.raises(
        UserError, match=rf"{broken.name}: found a broken image .*source.skip_broken"
    ):
        prepared(woof, tmp_path / "files", stream=True)
    real = prepared(woof, tmp_path / "files", stream=True, skip_broken=True)
    images, labels = real.split("train")
    assert len(images) == len(labels) == 49
    assert len(images[torch.arange(49)]) == 49


@pytest.mark.parametrize("workers", [0, 2])
def test_a_file_that_has_changed_since_is_one_line(
    tmp_path: Path, woof: Path, workers: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(streams, "CHUNK", 4)
    real = prepared(woof, tmp_path / "files", stream=True)
    images, _ = RealImages(real.folder, woof, workers).split("train")
    path = woof / images.files[30].decode()
    path.write_bytes(b"no image")
    with pytest.raises(UserError) as broken:
        images[torch.arange(50)]
    path.unlink()
    with pytest.raises(UserError) as gone:
        images[torch.arange(50)]
    for error, found in ((broken, "as when the data set was prepared"), (gone, "cannot be read")):
        assert str(error.value).startswith(str(path))
        assert found in str(error.value)
        assert "Traceback" not in str(error.value)


def test_only_so_much_is_decoded_as_is_asked_for(
    tmp_path: Path, woof: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real, read = prepared(woof, tmp_path / "files", stream=True), []
    plain = streams.decode
    monkeypatch.setattr(streams, "decode", lambda path, c: read.append(path) or plain(path, c))
    images, _ = RealImages(real.folder, woof).split("train")
    next(images.batches(torch.arange(50).split(10)))
    assert len(read) == 10


def test_processes_that_decode_end_by_a_signal_of_their_parent_alone(
    tmp_path: Path, woof: Path
) -> None:
    """A signal to all processes of a job must leave it those that it needs until it has saved."""
    images, _ = prepared(woof, tmp_path / "files", stream=True).split("train")
    parts = torch.arange(50).split(5)
    others = set(multiprocessing.active_children())  # an earlier test's may still be ending
    batches = images.batches(parts)
    found, workers = [next(batches)], set(multiprocessing.active_children()) - others
    assert len(workers) == 2
    numbers = " ".join(str(worker.pid) for worker in workers)
    for name in ("TERM", "INT"):
        assert os.system(f"kill -{name} {numbers}") == 0
    found += batches
    assert torch.equal(torch.cat(found), images[torch.arange(50)])
    others = set(multiprocessing.active_children())
    endless = images.batches(torch.arange(50).repeat(40).split(5))
    next(endless)
    workers = set(multiprocessing.active_children()) - others
    assert len(workers) == 2
    for worker in workers:
        worker.terminate()
        worker.join(20)
        assert worker.exitcode == 0


def test_networks_train_and_are_tested_on_files_as_on_arrays(tmp_path: Path, woof: Path) -> None:
    found = []
    for stream in (False, True):
        images, labels = prepared(woof, tmp_path / str(stream), stream=stream).split("train")
        data = Images.on(torch.device("cpu"), images, labels, SEEN)
        model = build_network(SEEN.network("ConvNet-2-w8"), "key")
        train_to_length(model, data, data, BRIEF, ("key",), Checkpoint(None), "network")
        found.append([accuracy(model, data, 20), *model.state_dict().values()])
    assert found[0][0] == found[1][0]
    assert all(map(torch.equal, found[0][1:], found[1][1:]))


def plain_test_image(path: Path, short: int, size: int) -> Tensor:
    """Return an image as torchvision's own evaluation sees it."""
    chain = v2.Compose([v2.Resize(short), v2.CenterCrop(size), v2.PILToTensor()])
    return chain(Image.open(path))


def test_test_images_are_resized_and_cropped_apart_from_training_images(
    tmp_path: Path, woof: Path
) -> None:
    plain = prepared(woof, tmp_path / "plain", validation_fraction=0.2)
    found = prepared(woof, tmp_path / "resized", validation_fraction=0.2, test_resize=10)
    files = sorted((woof / "val").rglob("*.JPEG"), key=lambda path: path.name)
    images, _ = found.split("test")
    wanted = {plain_test_image(path, 10, 8).numpy().tobytes() for path in files}
    assert {image.numpy().tobytes() for image in images} == wanted
    assert torch.equal(found.split("train")[0], plain.split("train")[0])
    assert not torch.equal(found.split("validation")[0], plain.split("validation")[0])


def test_keys_that_do_not_act_are_no_reason_to_prepare_again(woof: Path) -> None:
    unset, told = settings("imagenet", woof), settings("imagenet", woof, stream=True)
    assert not {"stream", "test_resize"} & preparing_keys(unset.source).keys()
    assert preparing_keys(told.source)["stream"] is True


def test_reading_draws_no_random_numbers_of_others(tmp_path: Path, woof: Path) -> None:
    images, _ = prepared(woof, tmp_path / "files", stream=True).split("train")
    before = torch.get_rng_state()
    images[torch.arange(3)]
    assert torch.equal(torch.get_rng_state(), before)


def test_names_of_files_may_have_any_bytes(tmp_path: Path, woof: Path) -> None:
    odd = os.fsencode(woof / "train" / "n02096294") + b"/n02096294_\xff1.JPEG"
    os.rename(woof / "train" / "n02096294" / "n02096294_0.JPEG", odd)
    name = os.path.relpath(odd, os.fsencode(woof))
    images = ImageFiles(woof, np.array([name]), 3, 8)
    assert images[torch.tensor([0])].shape == (1, 3, 8, 8)
