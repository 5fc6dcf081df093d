"""A browser page controlled by the Chrome DevTools Protocol."""

import base64
import contextlib
import json
import queue
import re
import subprocess
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import av
import numpy as np
from websockets.sync.client import connect

from support.threads import WAIT

_MODIFIERS = {"Control": 2}
_KEYS = {"Enter": (13, "\r"), "Tab": (9, ""), "Escape": (27, ""), "Space": (32, " ")}

_UNTIL = """
new Promise((resolve, reject) => {
  const late = setTimeout(() => { watch.disconnect(); reject(new Error("timed out")); }, %d);
  const look = () => {
    if (!(%s)) return;
    clearTimeout(late);
    watch.disconnect();
    resolve();
  };
  const watch = new MutationObserver(look);
  watch.observe(document, {attributes: true, characterData: true, childList: true, subtree: true});
  look();
})
"""


class Tab:
    """A page in its own browser process; use it as a context manager or close it. Not thread-safe."""

    def __init__(self, command: Sequence[str], profile: Path) -> None:
        """Start the browser with that command and profile folder."""
        self._asked = 0
        self._session: str | None = None
        self.complaints: list[str] = []
        """Console messages of the browser and the page, and uncaught exceptions."""
        address: queue.Queue[str] = queue.Queue()
        with contextlib.ExitStack() as opening:
            self._process = subprocess.Popen(
                [*command, "--remote-debugging-port=0", f"--user-data-dir={profile}", "about:blank"],
                stderr=subprocess.PIPE,
                text=True,
            )
            self._reader = threading.Thread(target=self._read, args=(address,), daemon=True)
            self._reader.start()
            opening.callback(self._end)
            self._socket = opening.enter_context(
                connect(address.get(timeout=WAIT), max_size=None, compression=None, proxy=None, ping_interval=None)
            )
            target = self.send("Target.createTarget", url="about:blank")["targetId"]
            self._session = self.send("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
            for domain in ("Page", "Runtime", "Log"):
                self.send(f"{domain}.enable")
            self._open = opening.pop_all()

    def __enter__(self) -> "Tab":
        return self

    def __exit__(self, *_exc: object) -> None:
        self.close()

    def close(self) -> None:
        self._open.close()

    def send(self, method: str, **params: Any) -> dict[str, Any]:
        """Send a protocol command and return its result."""
        self._asked += 1
        session = {} if self._session is None else {"sessionId": self._session}
        self._socket.send(json.dumps({"id": self._asked, "method": method, "params": params, **session}))
        while True:
            message = json.loads(self._socket.recv(WAIT + 5))
            if message.get("id") == self._asked:
                assert "error" not in message, message["error"]
                return message["result"]
            self._note(message)

    def open(self, url: str) -> None:
        """Open the URL and wait until it is loaded."""
        self.send("Page.navigate", url=url)
        self.until("document.readyState === 'complete'")

    def before_each_page(self, script: str) -> None:
        """Run a script in each page opened from now on, before the page's scripts."""
        self.send("Page.addScriptToEvaluateOnNewDocument", source=script)

    def get(self, expression: str) -> Any:
        """Evaluate a JavaScript expression on the page, await it if it is a promise, and return its value."""
        answer = self.send("Runtime.evaluate", expression=expression, awaitPromise=True, returnByValue=True)
        assert "exceptionDetails" not in answer, answer["exceptionDetails"]["exception"].get("description")
        return answer["result"].get("value")

    def until(self, condition: str) -> None:
        """Wait until the condition is true; it is evaluated whenever the page changes."""
        self.get(_UNTIL % (1000 * WAIT, condition))

    def text(self, element: str) -> str:
        """Return the text of the element with that id."""
        return self.get(f"document.getElementById({json.dumps(element)}).textContent")

    def click(self, element: str) -> None:
        """Click the element with that id."""
        x, y = self.get(
            f"(e => {{ e.scrollIntoView({{block: 'center'}}); const b = e.getBoundingClientRect();"
            f"return [b.left + b.width / 2, b.top + b.height / 2]; }})(document.getElementById({json.dumps(element)}))"
        )
        for kind in ("mousePressed", "mouseReleased"):
            self.send("Input.dispatchMouseEvent", type=kind, x=x, y=y, button="left", clickCount=1)

    def press(self, key: str, modifier: str | None = None) -> None:
        """Press a key."""
        code, character = _KEYS[key]
        named = {"key": character if key == "Space" else key, "code": key, "windowsVirtualKeyCode": code}
        held = {"modifiers": _MODIFIERS[modifier]} if modifier else {}
        self.send("Input.dispatchKeyEvent", type="keyDown", text="" if modifier else character, **named, **held)
        self.send("Input.dispatchKeyEvent", type="keyUp", **named, **held)

    def write(self, element: str, text: str) -> None:
        """Replace the text of the field with that id."""
        self.click(element)
        self.get(f"document.getElementById({json.dumps(element)}).select()")
        self.send("Input.insertText", text=text)

    def seen_by(self, *, size: tuple[int, int], **preferences: str) -> None:
        """Set the window size and the media preferences, such as `color_scheme="dark"`."""
        self.send(
            "Emulation.setDeviceMetricsOverride", width=size[0], height=size[1], deviceScaleFactor=1, mobile=False
        )
        features = [
            {"name": f"prefers-{name.replace('_', '-')}", "value": value} for name, value in preferences.items()
        ]
        self.send("Emulation.setEmulatedMedia", features=features)
        self.get("new Promise(resolve => requestAnimationFrame(() => requestAnimationFrame(resolve)))")

    def picture(self) -> np.ndarray:
        """Return a screenshot: (height, width, 3) uint8."""
        png = base64.b64decode(self.send("Page.captureScreenshot", format="png", captureBeyondViewport=True)["data"])
        decoder = av.CodecContext.create("png", "r")
        return decoder.decode(av.Packet(png))[0].to_ndarray(format="rgb24")

    def _end(self) -> None:
        self._process.terminate()
        self._process.wait(WAIT)
        self._reader.join(WAIT)
        self._process.stderr.close()

    def _read(self, address: "queue.Queue[str]") -> None:
        for line in self._process.stderr:
            if found := re.search(r"DevTools listening on (ws://\S+)", line):
                address.put(found[1])

    def _note(self, message: dict[str, Any]) -> None:
        params = message.get("params", {})
        match message.get("method"):
            case "Log.entryAdded":
                self.complaints.append(params["entry"]["text"])
            case "Runtime.consoleAPICalled":
                self.complaints.append(str([argument.get("value") for argument in params["args"]]))
            case "Runtime.exceptionThrown":
                self.complaints.append(str(params["exceptionDetails"]))
