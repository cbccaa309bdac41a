"""A Jupyter server on a free port, and what a browser asks of it."""

import contextlib
import json
import os
import re
import secrets
import socket
import subprocess
import sys
import time
import uuid
from pathlib import Path

import psutil
import requests
import websocket

LAB = [sys.executable, "-m", "jupyterlab"]
SILENCE_S = 600  # a cell that sends nothing for so long has failed


class Server:
    """A server that runs in a folder; as a context it ends with its kernels."""

    def __init__(self, folder: Path, run=LAB, env=os.environ, **options):
        """Start `run`, the words before the options (with _ for . in their names)."""
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.place = f"127.0.0.1:{free.getsockname()[1]}"
        self.token = secrets.token_hex()
        self.headers = {"Authorization": f"token {self.token}"}
        options = {
            "ServerApp_ip": "127.0.0.1",
            "ServerApp_port": self.place.split(":")[1],
            "ServerApp_port_retries": 0,
            "ServerApp_open_browser": False,
            "ServerApp_allow_root": True,
            "IdentityProvider_token": self.token,
        } | options
        words = [f"--{k.replace('_', '.', 1)}={v}" for k, v in options.items()]
        self.log = folder / ".server.log"
        with self.log.open("w") as log:
            both = {"stdout": log, "stderr": subprocess.STDOUT}
            self.process = subprocess.Popen([*run, *words], cwd=folder, env=env, **both)

    def ask(self, method: str, path: str, **options) -> requests.Response:
        """A request, whose answer must be a good one."""
        url = f"http://{self.place}{path}"
        answer = requests.request(method, url, headers=self.headers, **options)
        answer.raise_for_status()
        return answer

    def wait(self, page: str = "/api/status", seconds: float = 300) -> None:
        """Wait until a page is served."""
        end = time.monotonic() + seconds
        while True:
            try:
                self.ask("GET", page)
                return
            except requests.RequestException as error:
                if self.process.poll() is not None or time.monotonic() > end:
                    said = self.log.read_text()[-2000:]
                    raise SystemExit(f"FAIL {page}: {error}\n{said}") from None
                time.sleep(0.2)

    def execute(self, path: str) -> list[str]:
        """Run the cells of a notebook as they stand on the server; its errors."""
        cells = self.ask("GET", f"/api/contents/{path}").json()["content"]["cells"]
        asked = {"path": path, "name": "", "type": "notebook"}
        asked["kernel"] = {"name": "python3"}
        session = self.ask("POST", "/api/sessions", json=asked).json()
        address = f"ws://{self.place}/api/kernels/{session['kernel']['id']}/channels"
        kernel = websocket.create_connection(
            f"{address}?session_id={session['id']}",
            header=self.headers,
            timeout=SILENCE_S,
        )
        errors = []
        try:
            for index, cell in enumerate(cells):
                if cell["cell_type"] == "code":
                    found = run_cell(kernel, cell["source"])
                    if "raises-exception" in cell["metadata"].get("tags", []):
                        continue  # an exercise that nobody has solved
                    errors += [f"cell {index}: {error}" for error in found]
        except (websocket.WebSocketException, OSError, RuntimeError) as error:
            errors.append(f"cell {index}: {error}")
        with contextlib.suppress(websocket.WebSocketException, OSError):
            kernel.close()
        with contextlib.suppress(requests.RequestException):  # it may be restarting
            self.ask("DELETE", f"/api/sessions/{session['id']}")
        return errors

    def __enter__(self):
        """Wait until it answers."""
        try:
            self.wait()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_) -> None:
        """End the server and its kernels."""
        with contextlib.suppress(psutil.NoSuchProcess):
            server = psutil.Process(self.process.pid)
            for process in [*server.children(recursive=True), server]:
                with contextlib.suppress(psutil.NoSuchProcess):
                    process.kill()
        self.process.wait()


def run_cell(kernel: websocket.WebSocket, source: str) -> list[str]:
    """Run a cell over a kernel's websocket; the tracebacks of what it raised."""
    identity, errors = uuid.uuid4().hex, []
    header = {"msg_id": identity, "msg_type": "execute_request", "version": "5.3"}
    header |= {"username": "reader", "session": "reader"}
    content = {"code": source, "silent": False, "store_history": True}
    content |= {"allow_stdin": False, "stop_on_error": True}
    message = {"header": header, "content": content, "channel": "shell"}
    kernel.send(json.dumps(message | {"parent_header": {}, "metadata": {}}))
    while True:
        data = kernel.recv()
        if isinstance(data, bytes):  # a widget's arrays: no error and no status
            continue
        answer = json.loads(data)
        kind, content = answer["msg_type"], answer["content"]
        state = content.get("execution_state") if kind == "status" else None
        if state in ("restarting", "dead"):
            raise RuntimeError("the kernel died")
        if answer["parent_header"].get("msg_id") != identity:
            continue
        if kind == "error":
            lines = content["traceback"] or [f"{content['ename']}: {content['evalue']}"]
            errors.append(re.sub(r"\x1b\[[0-9;]*m", "", "\n".join(lines)))
        if state == "idle":
            return errors
