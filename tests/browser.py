"""Headless Chromium, driven through a pipe by the DevTools protocol: no port and no package."""

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
KEY_CODES = {
    "Tab": 9,
    "Enter": 13,
    "Escape": 27,
    "ArrowRight": 39,
    "ArrowDown": 40,
    "End": 35,
    "Home": 36,
}
# The widths that pages are made for: a phone and a desk.
WIDTHS = (400, 1280)


# Texts on their nearest painted background; what is hidden counts, too, if it has a size.
PALE = """least => {
  const parts = colour => colour.match(/[\\d.]+/g).map(Number);
  const light = colour => {
    const [r, g, b] = parts(colour).slice(0, 3).map(x => x / 255)
      .map(x => x <= 0.04045 ? x / 12.92 : ((x + 0.055) / 1.055) ** 2.4);
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const behind = element => {
    for (let each = element; each; each = each.parentElement) {
      const colour = getComputedStyle(each).backgroundColor;
      if ((parts(colour)[3] ?? 1) === 1) return colour;
    }
    return "rgb(255, 255, 255)";
  };
  const own = element => [...element.childNodes].some(
    node => node.nodeType === Node.TEXT_NODE && node.textContent.trim());
  return [...document.body.querySelectorAll("*")]
    .filter(element => own(element) && element.getClientRects().length)
    .filter(element => !["SCRIPT", "STYLE", "OPTION"].includes(element.tagName))
    .filter(element => {
      const [low, high] = [getComputedStyle(element).color, behind(element)].map(light)
        .sort((a, b) => a - b);
      return (high + 0.05) / (low + 0.05) < least;
    }).map(element => element.outerHTML.slice(0, 120));
}"""
NAMELESS = """[...document.querySelectorAll("img, button, a, select, input")].filter(element => {
  const text = element.tagName === "IMG" ? element.alt
    : element.getAttribute("aria-label") || element.labels?.[0]?.textContent || element.textContent;
  return !text?.trim();
}).map(element => element.outerHTML.slice(0, 120))"""


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

    def look_as(self, scheme: str, width: int) -> None:
        """Prefer a colour scheme, light or dark, and a width of the page."""
        media = [{"name": "prefers-color-scheme", "value": scheme}]
        self.call("Emulation.setEmulatedMedia", features=media)
        size = {"width": width, "height": 800, "deviceScaleFactor": 1, "mobile": False}
        self.call("Emulation.setDeviceMetricsOverride", **size)

    def is_too_wide(self) -> bool:
        """Return whether the page scrolls sideways."""
        root = "document.documentElement"
        return self.evaluate(f"{root}.scrollWidth > {root}.clientWidth")

    def seen(self) -> str:
        """Return the text of what lies on the first screen: of its blocks, at least in part."""
        return self.evaluate(
            "[...document.querySelectorAll('p, td, th')].filter(block => {"
            " const {top, left} = block.getBoundingClientRect();"
            " return top < innerHeight && left < innerWidth; }).map(b => b.innerText).join(' | ')"
        )

    def pale_texts(self, least: float = 4.5) -> list[str]:
        """Return texts whose contrast with what is behind them is below ``least``, WCAG 2.2."""
        return self.evaluate(f"({PALE})({least})")

    def nameless(self) -> list[str]:
        """Return the elements that say nothing to who does not see them."""
        return self.evaluate(NAMELESS)

    def press(self, key: str) -> None:
        """Press and release a key."""
        facts = {"key": key, "code": key, "windowsVirtualKeyCode": KEY_CODES[key]}
        text = {"text": "\r"} if key == "Enter" else {}
        self.call("Input.dispatchKeyEvent", type="keyDown", **facts, **text)
        self.call("Input.dispatchKeyEvent", type="keyUp", **facts)
