"""A network that takes a question and never answers: given up in seconds, with one line."""

import json
import os
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from lgd_core.base.errors import UserError
from lgd_core.base.web import reachable
from lgd_core.config.prior_files import PRIOR_FILES
from lgd_core.data import archives
from lgd_core.data.archives import download

FILES = [name.replace("*", ".safetensors") for name in PRIOR_FILES]
FACTS = {"id": "owner/prior", "sha": "a" * 40, "siblings": [{"rfilename": f} for f in FILES]}
TREE = [{"type": "file", "path": f, "size": 9, "oid": "b" * 40} for f in FILES]


class Silent:
    """A server on this machine that answers some questions and leaves the others open."""

    def __init__(self, answers: dict[str, object]) -> None:
        self.answers, self.open, self.asked = answers, [], []
        self.socket = socket.create_server(("127.0.0.1", 0))
        self.address = f"http://127.0.0.1:{self.socket.getsockname()[1]}"
        threading.Thread(target=self.serve, daemon=True).start()

    def serve(self) -> None:
        """Take calls until the socket is closed."""
        while True:
            try:
                connection, _ = self.socket.accept()
            except OSError:
                return
            self.open.append(connection)  # or it would be closed, which is an answer
            threading.Thread(target=self.answer, args=(connection,), daemon=True).start()

    def answer(self, connection: socket.socket) -> None:
        """Answer a question, if it is one that has an answer."""
        words = connection.recv(65536).split()
        if not words:
            return
        path = words[1].decode()
        self.asked.append(path)
        known = next((text for part, text in self.answers.items() if part in path), None)
        if known is None:
            return
        body = json.dumps(known).encode()
        head = f"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {len(body)}"
        connection.sendall(f"{head}\r\nConnection: close\r\n\r\n".encode() + body)
        connection.close()


@pytest.fixture
def silent() -> Iterator[Silent]:
    """Return a server that answers nothing."""
    server = Silent({})
    yield server
    server.socket.close()
    for connection in server.open:
        connection.close()


def test_a_server_that_never_answers_cannot_be_reached(silent: Silent) -> None:
    start = time.monotonic()
    assert not reachable(silent.address, 0.5)
    assert time.monotonic() - start < 15


def test_an_archive_whose_download_stands_still_is_given_up(
    silent: Silent, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(archives, "ADDRESS", silent.address + "/{}.tgz")
    monkeypatch.setattr(archives, "reachable", lambda _: True)
    monkeypatch.setattr(archives, "SECONDS", 0.5)
    start = time.monotonic()
    with pytest.raises(UserError, match=r"imagewoof2\.tgz: download failed \(.*timed out\)"):
        download("imagewoof2", tmp_path / "a.tgz", print)
    assert time.monotonic() - start < 15
    assert archives.ARCHIVES


ASKING = """
import sys, time
from lgd_core.base import web
from lgd_core.config.prior_files import PRIOR_FILES
from lgd_core.data import hub

hub.SECONDS = 0.5
hub.reachable = lambda address: web.reachable(address, 2)
start = time.monotonic()
try:
    hub.locate("owner/prior", None, PRIOR_FILES)
except Exception as error:
    print(type(error).__name__, error)
print(time.monotonic() - start)
"""


@pytest.mark.parametrize(
    ("answers", "last", "reason"),
    [
        ({}, "/", "does not answer"),
        ({"agent": {}, "/api/": None, "/": {}}, "/api/models/owner/prior", "ReadTimeout"),
        (
            {"agent": {}, "/tree/": TREE, "/api/": FACTS, "/owner/": None, "/": {}},
            "/owner/prior/resolve/",
            "download failed",
        ),
    ],
    ids=["at once", "when it is asked for files", "when files are fetched"],
)
def test_a_hub_that_stops_answering_is_given_up(
    silent: Silent, tmp_path: Path, answers: dict, last: str, reason: str
) -> None:
    silent.answers |= answers
    known = {"HF_ENDPOINT": silent.address, "HF_HOME": str(tmp_path), "HF_HUB_DISABLE_XET": "1"}
    known |= {"HF_HUB_ETAG_TIMEOUT": "1", "HF_HUB_DOWNLOAD_TIMEOUT": "1", "HF_HUB_OFFLINE": "0"}
    done = subprocess.run(
        [sys.executable, "-c", ASKING],
        env=os.environ | known,
        capture_output=True,
        text=True,
        timeout=200,
        check=True,
    )
    line, seconds = done.stdout.splitlines()
    assert any(path.startswith(last) for path in silent.asked), silent.asked
    assert line.startswith("UserError prior 'owner/prior': not in the hub's cache, and ")
    assert reason in line
    assert float(seconds) < 30
