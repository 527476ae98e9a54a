"""A real terminal for tests: tmux on a socket of its own, real keys, the screen as text."""

import os
import shutil
import subprocess
import time
from collections.abc import Callable, Mapping
from pathlib import Path

PATIENCE_SECONDS = 600.0


class Terminal:
    """One tmux session that runs one program. `close` ends it, as closing a window does: with a hang-up."""

    def __init__(self, socket: Path, command: list[str], size: tuple[int, int], environment: Mapping[str, str]) -> None:
        self._socket = socket
        settings = [f"{name}={value}" for name, value in environment.items()]
        width, height = size
        self._tmux(
            "-f", "/dev/null", "new-session", "-d", "-x", str(width), "-y", str(height), "env", *settings, *command
        )

    def keys(self, *keys: str) -> None:
        """Press keys by tmux's names: Enter, Down, C-c, or a letter."""
        for key in keys:
            self._tmux("send-keys", key)

    def write(self, text: str) -> None:
        """Type a text as it is."""
        self._tmux("send-keys", "-l", text)

    def screen(self) -> str:
        """What stands on the screen; empty once the program has ended."""
        return self._tmux("capture-pane", "-p", check=False)

    def wait_for(self, wanted: str | Callable[[str], bool], seconds: float = PATIENCE_SECONDS) -> str:
        """The screen once it shows `wanted`; fails with the last screen."""
        holds = (lambda shown: wanted in shown) if isinstance(wanted, str) else wanted
        deadline = time.monotonic() + seconds
        while True:
            shown = self.screen()
            if holds(shown):
                return shown
            if time.monotonic() > deadline:
                raise AssertionError(f"not on the screen within {seconds:.0f} s: {wanted}\n{shown}")
            time.sleep(0.1)

    def press_until(self, key: str, wanted: Callable[[str], bool], seconds: float = PATIENCE_SECONDS) -> str:
        """Press a key, again every ten seconds as a person would, until the screen shows `wanted`."""
        deadline = time.monotonic() + seconds
        while True:
            self.keys(key)
            try:
                return self.wait_for(wanted, 10.0)
            except AssertionError:
                if time.monotonic() > deadline:
                    raise

    def close(self) -> None:
        """Kill the terminal with everything in it that listens to a hang-up."""
        self._tmux("kill-server", check=False)

    def _tmux(self, *arguments: str, check: bool = True) -> str:
        done = subprocess.run(
            [shutil.which("tmux") or "tmux", "-S", str(self._socket), *arguments],
            capture_output=True,
            text=True,
            check=check,
            env=os.environ | {"TERM": "xterm-256color", "LANG": "C.UTF-8"},
        )
        return done.stdout
