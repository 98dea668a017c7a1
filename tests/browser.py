"""Headless Chromium, driven through a pipe by the DevTools protocol: no port and no package."""

import base64
import json
import os
import select
import shutil
import subprocess
import time
from pathlib import Path

NAMES = ("chromium", "chromium-browser", "google-chrome")
FLAGS = (
    "--headless",
    "--no-sandbox",  # which root may not have
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--disable-background-networking",
    "--no-first-run",
    "--window-size=1280,800",
    "--remote-debugging-pipe",
)
KEY_CODES = {"Tab": 9, "Enter": 13, "ArrowRight": 39, "ArrowDown": 40, "End": 35, "Home": 36}


def find_chromium() -> str | None:
    """Return the path of a Chromium, or None."""
    return next(filter(None, map(shutil.which, NAMES)), None)


class Browser:
    """One page of a headless Chromium; ``errors`` gathers what its console has said is wrong."""

    def __init__(self, binary: str, profile: Path, timeout: float = 120) -> None:
        self.timeout, self.errors, self.number, self.buffer = timeout, [], 0, b""
        to_read, self.to_write = os.pipe()
        self.from_read, to_answer = os.pipe()
        # Chromium reads commands from descriptor 3 and answers on 4.
        script = f'exec "$@" 3<&{to_read} 4>&{to_answer}'
        command = ["bash", "-c", script, "bash", binary, *FLAGS, f"--user-data-dir={profile}"]
        self.process = subprocess.Popen(
            command, pass_fds=(to_read, to_answer), stderr=subprocess.DEVNULL
        )
        os.close(to_read)
        os.close(to_answer)
        self.session = None
        target = self.call("Target.createTarget", url="about:blank")["targetId"]
        attached = self.call("Target.attachToTarget", targetId=target, flatten=True)
        self.session = attached["sessionId"]
        for domain in ("Page", "Runtime", "Log"):
            self.call(f"{domain}.enable")

    def close(self) -> None:
        """End the browser."""
        self.session = None
        self.call("Browser.close")
        self.process.wait(self.timeout)
        os.close(self.to_write)
        os.close(self.from_read)

    def call(self, method: str, **parameters: object) -> dict:
        """Give a command and return its result."""
        self.number += 1
        message = {"id": self.number, "method": method, "params": parameters}
        if self.session:
            message["sessionId"] = self.session
        os.write(self.to_write, json.dumps(message).encode() + b"\0")
        deadline = time.monotonic() + self.timeout
        while (answer := self._read(deadline)).get("id") != self.number:
            self._notice(answer)
        assert "error" not in answer, f"{method}: {answer['error']}"
        return answer["result"]

    def _read(self, deadline: float) -> dict:
        while b"\0" not in self.buffer:
            left = max(0, deadline - time.monotonic())
            assert select.select([self.from_read], [], [], left)[0], "Chromium does not answer"
            part = os.read(self.from_read, 1 << 20)
            assert part, "Chromium has ended"
            self.buffer += part
        message, self.buffer = self.buffer.split(b"\0", 1)
        return json.loads(message)

    def _notice(self, event: dict) -> None:
        what, facts = event.get("method"), event.get("params", {})
        if what == "Runtime.exceptionThrown":
            self.errors.append(facts["exceptionDetails"])
        if what == "Runtime.consoleAPICalled" and facts["type"] in ("error", "assert"):
            self.errors.append(facts["args"])
        if what == "Log.entryAdded" and facts["entry"]["level"] == "error":
            self.errors.append(facts["entry"])

    def open(self, path: Path, ready: str) -> float:
        """Open a file; return the seconds until the expression ``ready`` is true."""
        self.errors.clear()
        start = time.monotonic()
        self.call("Page.navigate", url=path.resolve().as_uri())
        self.wait(ready)
        return time.monotonic() - start

    def wait(self, expression: str) -> None:
        """Wait until an expression is true."""
        deadline = time.monotonic() + self.timeout
        while not self.evaluate(expression):
            assert time.monotonic() < deadline, f"never: {expression}"
            time.sleep(0.02)

    def evaluate(self, expression: str) -> object:
        """Return the value of an expression, of a promise once it has one."""
        result = self.call(
            "Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True
        )
        assert "exceptionDetails" not in result, result["exceptionDetails"]
        return result["result"].get("value")

    def press(self, key: str) -> None:
        """Press and release a key."""
        facts = {"key": key, "code": key, "windowsVirtualKeyCode": KEY_CODES[key]}
        text = {"text": "\r"} if key == "Enter" else {}
        self.call("Input.dispatchKeyEvent", type="keyDown", **facts, **text)
        self.call("Input.dispatchKeyEvent", type="keyUp", **facts)

    def screenshot(self, path: Path) -> None:
        """Write what is seen as PNG."""
        picture = self.call("Page.captureScreenshot")["data"]
        path.write_bytes(base64.b64decode(picture))
