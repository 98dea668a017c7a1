"""Real images: sources, splits, arrays."""

import contextlib
import gzip
import hashlib
import socket
import struct
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from sklearn.datasets import load_digits
from torch import Tensor

from lgd_core import data
from lgd_core.data import (
    fetch,
    hold_out,
    load_split,
    prepare,
    reachable,
    real_increment,
    save_split,
)
from lgd_core.errors import UserError

DIGITS = {
    "source": {"kind": "digits", "validation_fraction": 0.1},
    "classes": [str(i) for i in range(10)],
    "image": {"size": 8, "channels": 1},
}


@pytest.fixture
def labels() -> Tensor:
    return torch.cat([torch.full((n,), label) for label, n in enumerate((100, 40, 10))])


@pytest.mark.parametrize("fraction", [0.1, 0.25])
def test_a_share_of_every_class_is_held_out(labels: Tensor, fraction: float) -> None:
    kept, held = hold_out(labels, fraction, "name")
    assert torch.cat([kept, held]).sort().values.tolist() == list(range(150))
    assert labels[held].bincount().tolist() == [round(fraction * n) for n in (100, 40, 10)]
    assert kept.tolist() == sorted(kept.tolist())
    assert held.tolist() == sorted(held.tolist())


def test_what_is_held_out_depends_on_the_key_alone(labels: Tensor) -> None:
    first, again, other = (hold_out(labels, 0.1, key)[1].tolist() for key in ("a", "a", "b"))
    assert first == again
    assert first != other


def test_digits_are_split_into_disjoint_and_complete_parts(tmp_path: Path) -> None:
    splits = prepare("digits", DIGITS, tmp_path)
    assert list(splits) == ["train", "validation", "test"]
    sizes = {split: len(labels) for split, (_, labels) in splits.items()}
    assert sum(sizes.values()) == 1797
    assert sizes["test"] == pytest.approx(0.2 * 1797, abs=10)
    assert sizes["validation"] == pytest.approx(0.1 * 0.8 * 1797, abs=10)
    for images, labels in splits.values():
        assert images.dtype == np.uint8
        assert images.shape[1:] == (1, 8, 8)
        assert labels.dtype == np.int64
        counts = np.bincount(labels, minlength=10)
        assert counts.min() > 0.8 * counts.max()

    def rows(images: np.ndarray, labels: np.ndarray) -> list[tuple]:
        return [(int(y), *x.ravel().tolist()) for x, y in zip(images, labels, strict=True)]

    digits = load_digits()
    scaled = np.round(digits.images * 255 / 16).astype(np.uint8)[:, None]
    found = sorted(row for part in splits.values() for row in rows(*part))
    assert found == sorted(rows(scaled, digits.target))


def test_images_of_another_shape_or_class_count_are_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="found images of"):
        prepare("digits", DIGITS | {"image": {"size": 16, "channels": 1}}, tmp_path)
    with pytest.raises(UserError, match="found 10 classes, expected 9"):
        prepare("digits", DIGITS | {"classes": list("123456789")}, tmp_path)


def test_arrays_on_disk_come_back_and_cannot_be_changed_by_their_reader(tmp_path: Path) -> None:
    images = np.arange(2 * 3 * 4 * 4, dtype=np.uint8).reshape(2, 3, 4, 4)
    save_split(tmp_path, "train", images[:, ::-1], np.array([1, 0]))
    found, labels = load_split(tmp_path, "train")
    assert np.array_equal(found.numpy(), images[:, ::-1])
    assert labels.tolist() == [1, 0]
    found.zero_()
    assert np.array_equal(load_split(tmp_path, "train")[0].numpy(), images[:, ::-1])


def test_real_increments_never_repeat_an_image(labels: Tensor) -> None:
    drawn = torch.stack([real_increment(labels, 3, 2, 0, k) for k in range(5)])
    assert drawn.shape == (5, 3, 2)
    assert len(drawn.unique()) == 30
    assert all((labels[drawn[:, label]] == label).all() for label in range(3))


def test_real_increments_depend_on_the_seed(labels: Tensor) -> None:
    assert torch.equal(real_increment(labels, 3, 5, 0, 1), real_increment(labels, 3, 5, 0, 1))
    assert not torch.equal(real_increment(labels, 3, 5, 0, 1), real_increment(labels, 3, 5, 1, 1))


def test_too_few_real_images_are_one_line(labels: Tensor) -> None:
    real_increment(labels, 3, 5, 0, 1)
    with pytest.raises(UserError, match="class 2: found 10 training images") as error:
        real_increment(labels, 3, 5, 0, 2)
    assert "expected at least 15" in str(error.value)


def fake_fashion(folder: Path, packed: bool = True, content: int = 0) -> Path:
    """Write four IDX files of 20 training and 10 test images, of one value each."""
    folder.mkdir(parents=True, exist_ok=True)
    for part, n in (("train", 20), ("t10k", 10)):
        pixels = struct.pack(">IIII", 2051, n, 28, 28) + bytes([content]) * (n * 28 * 28)
        classes = struct.pack(">II", 2049, n) + bytes(i % 10 for i in range(n))
        for kind, body in (("images-idx3", pixels), ("labels-idx1", classes)):
            name = f"{part}-{kind}-ubyte"
            if packed:
                (folder / f"{name}.gz").write_bytes(gzip.compress(body))
            else:
                (folder / name).write_bytes(body)
    return folder


@pytest.fixture
def offline(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Cut all sources of Fashion-MNIST off; return where its system folder would be."""

    def unavailable(folder: Path) -> Path:
        raise UserError("unavailable")

    monkeypatch.setattr(data, "FASHION_SYSTEM_FOLDER", tmp_path / "system")
    monkeypatch.setattr(data, "_download_fashion", unavailable)
    monkeypatch.setattr(data, "_unpack_fashion_package", unavailable)
    return tmp_path / "system"


@pytest.fixture
def accepted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Take the fake files, of value 0, for the true ones."""
    files = {
        path.name: hashlib.sha256(path.read_bytes()).hexdigest()
        for path in fake_fashion(tmp_path / "plain", packed=False).iterdir()
    }
    assert files.keys() == data.FASHION_FILES.keys()
    monkeypatch.setattr(data, "FASHION_FILES", files)


def bring(tmp_path: Path, folder: Path | None = None) -> tuple[str, list[str]]:
    log: list[str] = []
    source = {"kind": "fashion-mnist", "folder": folder and str(folder)}
    return fetch(source, tmp_path / "raw", log.append)["served_by"], log


def test_wrong_contents_are_refused_naming_file_and_checksums(
    tmp_path: Path, offline: Path
) -> None:
    fake_fashion(offline)
    with pytest.raises(UserError, match="no source works") as error:
        bring(tmp_path)
    name, expected = next(iter(data.FASHION_FILES.items()))
    body = gzip.decompress((offline / f"{name}.gz").read_bytes())
    message = str(error.value)
    assert str(offline / name) in message
    assert hashlib.sha256(body).hexdigest() in message
    assert expected in message
    assert "\n" not in message
    assert not list((tmp_path / "raw").rglob("*ubyte*"))


@pytest.mark.parametrize("packed", [True, False])
def test_the_system_folder_serves_whole_archives(
    tmp_path: Path, offline: Path, accepted: None, packed: bool
) -> None:
    fake_fashion(offline, packed)
    assert bring(tmp_path)[0] == f"system folder {offline}"
    recipe = {
        "source": {"kind": "fashion-mnist", "validation_fraction": 0.5},
        "classes": list("abcdefghij"),
        "image": {"size": 28, "channels": 1},
    }
    splits = prepare("fashion", recipe, tmp_path / "raw")
    assert [len(labels) for _, labels in splits.values()] == [10, 10, 10]
    assert splits["train"][0].shape == (10, 1, 28, 28)


@pytest.mark.parametrize(
    ("broken", "served_by"),
    [
        ([], "configured"),
        (["configured"], "system"),
        (["configured", "system"], "torchvision"),
        (["configured", "system", "torchvision"], "apt-get"),
    ],
)
def test_sources_are_tried_in_order_until_one_checks_out(
    tmp_path: Path,
    offline: Path,
    accepted: None,
    monkeypatch: pytest.MonkeyPatch,
    broken: list[str],
    served_by: str,
) -> None:
    folders = {
        name: fake_fashion(tmp_path / name, content=int(name in broken))
        for name in ("configured", "system", "torchvision", "apt-get")
    }
    monkeypatch.setattr(data, "_download_fashion", lambda _: folders["torchvision"])
    monkeypatch.setattr(data, "_unpack_fashion_package", lambda _: folders["apt-get"])
    found, log = bring(tmp_path, folders["configured"])
    assert found.startswith(served_by)
    assert [line.split()[3] for line in log[:-1]] == broken
    assert log[-1] == f"data served by {found}"


@pytest.mark.parametrize("damage", ["missing", "truncated", "no archive"])
def test_a_damaged_archive_passes_on_to_the_next_source(
    tmp_path: Path, offline: Path, accepted: None, damage: str
) -> None:
    local, file = fake_fashion(tmp_path / "local"), "t10k-labels-idx1-ubyte.gz"
    fake_fashion(offline)
    if damage == "missing":
        (local / file).unlink()
    elif damage == "truncated":
        (local / file).write_bytes((local / file).read_bytes()[:-6])
    else:
        (local / file).write_text("<html>moved</html>")
    assert bring(tmp_path, local)[0] == f"system folder {offline}"


@contextlib.contextmanager
def server(answer: Callable[[socket.socket, threading.Event], None]) -> Iterator[str]:
    """Yield the address of a local server that treats each connection with ``answer``."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        stop, open_ones = threading.Event(), []

        def serve() -> None:
            with contextlib.suppress(OSError):
                while True:
                    connection = listener.accept()[0]
                    open_ones.append(connection)
                    answer(connection, stop)

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{listener.getsockname()[1]}/"
        stop.set()
        listener.shutdown(socket.SHUT_RDWR)
        thread.join(5)
        for connection in open_ones:
            connection.close()


def silent(connection: socket.socket, stop: threading.Event) -> None:
    return


def dripping(connection: socket.socket, stop: threading.Event) -> None:
    connection.sendall(b"HTTP/1.1 200 OK\r\nX-Slow: ")
    while not stop.wait(0.05):
        connection.sendall(b"x")


def garbage(connection: socket.socket, stop: threading.Event) -> None:
    connection.recv(4096)
    connection.sendall(b"garbage\r\n\r\n")
    connection.close()


def answering(status: bytes) -> Callable[[socket.socket, threading.Event], None]:
    def answer(connection: socket.socket, stop: threading.Event) -> None:
        connection.recv(4096)
        connection.sendall(b"HTTP/1.1 " + status + b"\r\nContent-Length: 0\r\n\r\n")
        connection.close()

    return answer


@pytest.mark.parametrize("answer", [silent, dripping])
def test_a_server_that_never_answers_is_given_up_in_time(answer: Callable) -> None:
    with server(answer) as address:
        start = time.monotonic()
        assert not reachable(address, 0.4)
        assert time.monotonic() - start < 3


@pytest.mark.parametrize("status", [b"200 OK", b"403 Forbidden", b"404 Not Found"])
def test_any_answer_counts(status: bytes) -> None:
    with server(answering(status)) as address:
        assert reachable(address, 5)


def test_a_server_that_speaks_no_http_is_not_reachable(monkeypatch: pytest.MonkeyPatch) -> None:
    raised: list[threading.ExceptHookArgs] = []
    monkeypatch.setattr(threading, "excepthook", raised.append)
    before = set(threading.enumerate())
    with server(garbage) as address:
        assert not reachable(address, 5)
    for thread in set(threading.enumerate()) - before:
        thread.join(5)
    assert raised == []


def test_a_closed_port_is_not_reachable() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    assert not reachable(f"http://127.0.0.1:{port}/", 5)


FOLDER = {
    "classes": ["cat", "ant"],
    "image": {"size": 8, "channels": 3},
}


def class_folders(root: Path, names: list[str], shade: Callable[[int], int]) -> dict:
    """Write 4 training and 2 test images of 12 x 20 per class; return the recipe."""
    for part, n in (("train", 4), ("test", 2)):
        for i, name in enumerate(names):
            (root / part / name).mkdir(parents=True)
            for j in range(n):
                colour = (shade(i), shade(i), 20 * j)
                Image.new("RGB", (20, 12), colour).save(root / part / name / f"{j}.png")
    return {"kind": "folder", "folder": str(root), "validation_fraction": 0.25}


@pytest.mark.parametrize(
    ("names", "first"),
    [(["ant", "cat"], 1), (["n01", "n02"], 0)],
    ids=["by name", "by position"],
)
def test_class_folders_are_labelled_by_name_or_else_by_position(
    tmp_path: Path, names: list[str], first: int
) -> None:
    source = class_folders(tmp_path, names, lambda i: 255 * i)
    splits = prepare("mine", FOLDER | {"source": source}, tmp_path / "raw")
    assert [len(labels) for _, labels in splits.values()] == [6, 2, 4]
    for images, labels in splits.values():
        assert images.shape[1:] == (3, 8, 8)
        darker = images.mean((1, 2, 3)) < 127
        assert darker.tolist() == (labels == first).tolist()


def test_class_folders_keep_their_colours(tmp_path: Path) -> None:
    source = class_folders(tmp_path, ["ant", "cat"], lambda i: 50 * i)
    splits = prepare("mine", FOLDER | {"source": source}, tmp_path / "raw")
    for images, labels in splits.values():
        colours = images[:, :, 4, 4]
        assert colours[:, 0].tolist() == [0 if label == 1 else 50 for label in labels]
        assert colours[:, 1].tolist() == colours[:, 0].tolist()
        assert set(colours[:, 2]) <= {0, 20, 40, 60}


def test_class_folders_can_be_read_as_grey(tmp_path: Path) -> None:
    source = class_folders(tmp_path, ["ant", "cat"], lambda i: 50 * i)
    grey = FOLDER | {"source": source, "image": {"size": 8, "channels": 1}}
    assert prepare("mine", grey, tmp_path / "raw")["train"][0].shape == (6, 1, 8, 8)


def test_a_wrong_number_of_class_folders_is_refused(tmp_path: Path) -> None:
    source = class_folders(tmp_path, ["ant", "bee", "cat"], lambda i: i)
    with pytest.raises(UserError, match="found 3 class folders, expected 2"):
        prepare("mine", FOLDER | {"source": source}, tmp_path / "raw")


def test_fetching_a_folder_notices_files_that_come_and_go(tmp_path: Path) -> None:
    source = class_folders(tmp_path / "tree", ["ant", "cat"], lambda i: i)
    first = fetch(source, tmp_path / "raw", print)
    assert first["served_by"] == str(tmp_path / "tree")
    assert fetch(source, tmp_path / "raw", print) == first
    (tmp_path / "tree" / "train" / "ant" / "0.png").unlink()
    assert fetch(source, tmp_path / "raw", print) != first


@pytest.mark.parametrize("part", ["train", "test"])
def test_a_folder_without_its_parts_is_refused(tmp_path: Path, part: str) -> None:
    source = class_folders(tmp_path / "tree", ["ant", "cat"], lambda i: i)
    (tmp_path / "tree" / part).rename(tmp_path / "elsewhere")
    with pytest.raises(UserError, match=f"no folder {tmp_path / 'tree' / part}"):
        fetch(source, tmp_path / "raw", print)
