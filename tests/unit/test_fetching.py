"""Raw files of data sets: sources, checks, what is given up."""

import contextlib
import gzip
import hashlib
import socket
import struct
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from trees import read_split, wanted

from lgd_core.base.errors import UserError
from lgd_core.base.web import reachable
from lgd_core.config.models.dataset import SourceConfig
from lgd_core.data.fetching import fetch
from lgd_core.data.kinds import fashion_mnist
from lgd_core.data.real_images import prepare


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

    monkeypatch.setattr(fashion_mnist, "SYSTEM_FOLDER", tmp_path / "system")
    monkeypatch.setattr(fashion_mnist, "_download", unavailable)
    monkeypatch.setattr(fashion_mnist, "_unpack_package", unavailable)
    return tmp_path / "system"


@pytest.fixture
def accepted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Take the fake files, of value 0, for the true ones."""
    files = {
        path.name: hashlib.sha256(path.read_bytes()).hexdigest()
        for path in fake_fashion(tmp_path / "plain", packed=False).iterdir()
    }
    assert files.keys() == fashion_mnist.FILES.keys()
    monkeypatch.setattr(fashion_mnist, "FILES", files)


def bring(tmp_path: Path, folder: Path | None = None) -> tuple[str, list[str]]:
    log: list[str] = []
    source = SourceConfig(kind="fashion-mnist", folder=folder and str(folder))
    return fetch(source, tmp_path / "raw", log.append)["served_by"], log


def test_wrong_contents_are_refused_naming_file_and_checksums(
    tmp_path: Path, offline: Path
) -> None:
    fake_fashion(offline)
    with pytest.raises(UserError, match="no source works") as error:
        bring(tmp_path)
    name, expected = next(iter(fashion_mnist.FILES.items()))
    body = gzip.decompress((offline / f"{name}.gz").read_bytes())
    message = str(error.value)
    assert str(offline / name) in message
    assert hashlib.sha256(body).hexdigest()[:12] in message
    assert expected[:12] in message
    assert "\n" not in message
    assert not list((tmp_path / "raw").rglob("*ubyte*"))


@pytest.mark.parametrize("packed", [True, False])
def test_the_system_folder_serves_whole_archives(
    tmp_path: Path, offline: Path, accepted: None, packed: bool
) -> None:
    fake_fashion(offline, packed)
    assert bring(tmp_path)[0] == f"system folder {offline}"
    asked = wanted(
        source={"kind": "fashion-mnist", "validation_fraction": 0.5},
        classes=list("abcdefghij"),
        image={"size": 28, "channels": 1},
    )
    prepare("fashion", asked, tmp_path / "raw", tmp_path / "data", 1, print)
    splits = [read_split(tmp_path / "data", split) for split in ("train", "validation", "test")]
    assert [len(labels) for _, labels in splits] == [10, 10, 10]
    assert splits[0][0].shape == (10, 1, 28, 28)


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
    monkeypatch.setattr(fashion_mnist, "_download", lambda _: folders["torchvision"])
    monkeypatch.setattr(fashion_mnist, "_unpack_package", lambda _: folders["apt-get"])
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
        assert time.monotonic() - start < 10


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


def class_folders(root: Path) -> SourceConfig:
    """Make a tree of one training and one test file in each of two classes; return the source."""
    for part in ("train", "test"):
        for name in ("ant", "cat"):
            (root / part / name).mkdir(parents=True)
            (root / part / name / "0.png").touch()
    return SourceConfig(kind="folder", folder=str(root))


@pytest.mark.parametrize("part", ["train", "test"])
def test_a_folder_without_its_parts_is_refused(tmp_path: Path, part: str) -> None:
    source = class_folders(tmp_path / "tree")
    (tmp_path / "tree" / part).rename(tmp_path / "elsewhere")
    with pytest.raises(UserError, match=f"no folder {tmp_path / 'tree' / part}"):
        fetch(source, tmp_path / "raw", print)
