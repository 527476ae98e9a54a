"""A generation worker that loads nothing: the protocol alone, for the screen's tests. The prompt says what it does."""

import json
import os
import sys
from pathlib import Path
from typing import Any

PLAIN, CHANGED = "7c1e03aa" + "0" * 56, "deadbeef" + "0" * 56
ANSWERS = ["The total is 412.50 [bold]euros[/bold] \x1b[31mnow", "The total is 999 [bold]euros[/bold] \x1b[31mnow"]


def fake_generation_python(directory: Path) -> Path:
    """An interpreter that runs this file whatever it is asked to run."""
    path = directory / "fake-python"
    path.write_text(f"#!{sys.executable}\n{Path(__file__).read_text()}")
    path.chmod(0o755)
    return path


def send(**message: Any) -> None:
    """One line out."""
    sys.stdout.write(json.dumps(message) + "\n")
    sys.stdout.flush()


def answer(request: dict[str, Any]) -> None:
    """Tokens and an end for each; `slow` waits for a cancel, `die` dies, `mismatch` finds the base changed."""
    prompt, identity = request["messages"][-1]["content"], request["id"]
    if prompt == "die":
        print("the last words", file=sys.stderr)
        os._exit(3)
    ended, matches = "end", prompt != "mismatch"
    for place, candidate in enumerate(request["candidates"]):
        text = "the same" if prompt == "equal" else ANSWERS[candidate != "base"] + (f" {place}" if place > 1 else "")
        send(type="token", id=identity, candidate=candidate, text=text[:9], tokens=3, seconds=0.1)
        if prompt == "slow":
            assert json.loads(sys.stdin.readline()) == {"type": "cancel", "id": identity}
            prompt, ended = "", "cancelled"
        send(
            type="done", id=identity, candidate=candidate, text=text[:9] if ended == "cancelled" else text, tokens=9,
            seconds=0.3, stop_reason=ended, fingerprint=PLAIN if matches else CHANGED, base_matches_plain=matches,
            max_logit_difference=0.0 if matches else 0.5,
        )  # fmt: skip
    if not matches:
        send(type="error", id=identity, message="The base pane is not the plain base", details="by 0.5", hint="")


def main() -> None:
    """Serve until stdin ends."""
    while line := sys.stdin.readline():
        request = json.loads(line)
        if request["type"] == "load":
            if request["model"]["name"].startswith("hub/"):  # It never comes whole.
                size = {"done": 1 << 30, "total": 4 << 30, "unit": "bytes"}
                send(type="phase", id=request["id"], name="download", **size)
                continue
            labels = ["base", *request["adapters"]]
            send(
                type="ready", id=request["id"], device="cpu", fingerprints=dict.fromkeys(labels, PLAIN), seconds=0.2,
                plain_fingerprint=PLAIN, base_matches_plain=True, max_logit_difference=0.0, tolerance=0.0,
                one_at_a_time=False,
            )  # fmt: skip
        elif request["type"] == "generate":
            answer(request)


if __name__ == "__main__":
    main()
