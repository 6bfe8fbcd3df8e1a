"""Headless Chromium by its DevTools protocol over two pipes: no driver, no web socket, no network."""

from __future__ import annotations

import base64
import fcntl
import json
import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

FLAGS = ("--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking")


class Browser:
    """One page. `complaints` are uncaught errors, what the console calls an error, and what the page's policy forbade."""

    def __init__(self, reader: Any, writer: Any) -> None:
        self._reader, self._writer, self._number, self._session = reader, writer, 0, None
        self.complaints: list[str] = []
        self.requests: list[str] = []
        target = self.call("Target.createTarget", url="about:blank")["targetId"]
        self._session = self.call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        for domain in ("Page", "Runtime", "Log", "Network"):
            self.call(f"{domain}.enable")

    def open(self, path: Path, *, width: int = 1250, height: int = 1000, ready: str = "true") -> None:
        self.call("Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=False)
        self.call("Page.navigate", url=path.as_uri())
        self.wait(f"document.readyState === 'complete' && ({ready})")

    def run(self, script: str) -> Any:
        """The value of an expression in the page."""
        answer = self.call("Runtime.evaluate", expression=script, awaitPromise=True, returnByValue=True)
        assert "exceptionDetails" not in answer, answer
        return answer["result"].get("value")

    def wait(self, condition: str, *, seconds: float = 20) -> None:
        told = self.run(
            f"new Promise((done) => {{ const end = Date.now() + {1000 * seconds}; const look = () => (({condition}) ? done(true)"
            " : Date.now() > end ? done(false) : setTimeout(look, 20)); look(); })"
        )
        assert told, f"never came true: {condition}"

    def key(self, key: str, *, shift: bool = False) -> None:
        """Press and release a key on what has the focus."""
        text = {"text": key} if len(key) == 1 else {}
        code = {"Tab": 9, " ": 32}.get(key, 0)
        for kind in ("keyDown", "keyUp"):
            more = text if kind == "keyDown" else {}
            self.call("Input.dispatchKeyEvent", type=kind, key=key, modifiers=8 * shift, windowsVirtualKeyCode=code, **more)

    def mouse(self, kind: str, x: float, y: float, **more: Any) -> None:
        self.call("Input.dispatchMouseEvent", type=kind, x=x, y=y, **more)

    def media(self, **features: str) -> None:
        self.call("Emulation.setEmulatedMedia", features=[{"name": name.replace("_", "-"), "value": value} for name, value in features.items()])

    def screenshot(self, path: Path, *, whole: bool = False) -> Path:
        path.write_bytes(base64.b64decode(self.call("Page.captureScreenshot", captureBeyondViewport=whole)["data"]))
        return path

    def pdf(self, path: Path) -> Path:
        path.write_bytes(base64.b64decode(self.call("Page.printToPDF", preferCSSPageSize=True, paperWidth=8.27, paperHeight=11.69)["data"]))
        return path

    def call(self, method: str, **params: Any) -> dict[str, Any]:
        self._number += 1
        message = {"id": self._number, "method": method, "params": params} | ({"sessionId": self._session} if self._session else {})
        self._writer.write(json.dumps(message).encode() + b"\0")
        self._writer.flush()
        while (answer := self._next()).get("id") != self._number:
            self._note(answer)
        assert "error" not in answer, answer
        return dict(answer["result"])

    def _next(self) -> dict[str, Any]:
        read = bytearray()
        while (byte := self._reader.read(1)) != b"\0":
            assert byte, "Chromium has ended"
            read += byte
        return dict(json.loads(read))

    def _note(self, event: dict[str, Any]) -> None:
        told = event.get("params", {})
        if event.get("method") == "Runtime.exceptionThrown":
            self.complaints.append(str(told["exceptionDetails"]))
        elif event.get("method") == "Log.entryAdded" and told["entry"]["level"] in {"error", "warning"}:
            self.complaints.append(told["entry"]["text"])
        elif event.get("method") == "Runtime.consoleAPICalled" and told["type"] in {"error", "warning", "assert"}:
            self.complaints.append(str(told["args"]))
        elif event.get("method") == "Network.requestWillBeSent":
            self.requests.append(told["request"]["url"])


@contextmanager
def browser(profile: Path) -> Iterator[Browser]:
    """A browser with a fresh profile, ended with the block."""
    commands, to_it = _pipe()
    from_it, answers = _pipe()
    command = ["chromium", *FLAGS, "--remote-debugging-pipe", f"--user-data-dir={profile}"]
    as_three_and_four = ["bash", "-c", f'exec "$@" 3<&{commands} 4>&{answers}', "bash", *command]
    with subprocess.Popen(as_three_and_four, pass_fds=(commands, answers), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as it:
        os.close(commands)
        os.close(answers)
        with os.fdopen(to_it, "wb") as writer, os.fdopen(from_it, "rb") as reader:
            try:
                page = Browser(reader, writer)
                yield page
                page._session = None
                page.call("Browser.close")
                it.wait(timeout=20)
            finally:
                if it.poll() is None:
                    it.kill()


def _pipe() -> tuple[int, int]:
    """A pipe whose ends are numbered from 10, clear of the two that Chromium reads and writes."""
    ends = os.pipe()
    reading, writing = (fcntl.fcntl(end, fcntl.F_DUPFD_CLOEXEC, 10) for end in ends)
    for end in ends:
        os.close(end)
    return reading, writing
