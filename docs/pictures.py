"""Makes the documentation's pictures from the running program: `python docs/pictures.py` writes docs/pictures/*.png.

The screens are the real ones, on the recordings in tests/replays (synthetic figures, said there). Needs rsvg-convert
(Debian: librsvg2-bin) and the font DejaVu Sans Mono (fonts-dejavu-core).
"""

import asyncio
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from tests.on_screen import REPLAYS, THREE_RUNS, project, settled, shown, until  # noqa: E402
from tui.app import RungApp  # noqa: E402

PICTURES = ROOT / "docs" / "pictures"
FONT = "DejaVu Sans Mono"


@dataclass(frozen=True)
class Picture:
    """One picture: the recording or, empty, the project of recordings; keys pressed first; text to wait for."""

    name: str
    recording: str
    size: tuple[int, int]
    wait_for: str
    keys: Sequence[str] = ()


ALL = (
    Picture("run-wide", "sft-two-gpus", (140, 40), "412 / 620"),
    Picture("run-narrow", "sft-two-gpus", (80, 24), "412/620"),
    Picture("run-failed", "failed-cpu", (120, 30), "✖ failed"),
    Picture("run-zoomed", "dpo-cpu", (120, 36), "✔ finished", ("m", "m", "m", "m", "left", "left", "left", "z")),
    Picture("runs", "", (120, 20), "✖ crashed"),
    Picture("help", "sft-two-gpus", (100, 30), "412 / 620", ("question_mark",)),
)


def main() -> None:
    """Remake every picture."""
    # Pictures show the defaults, and times of day as they are in UTC.
    os.environ |= {"XDG_CONFIG_HOME": tempfile.mkdtemp(), "TZ": "UTC"}
    time.tzset()
    PICTURES.mkdir(exist_ok=True)
    for picture in ALL:
        svg = asyncio.run(take(picture))
        path = PICTURES / f"{picture.name}.png"
        to_png(svg, path)
        print(path.relative_to(ROOT))


async def take(picture: Picture) -> str:
    """The screen as SVG, as Textual draws it."""
    with tempfile.TemporaryDirectory() as directory:
        if picture.recording:
            app = RungApp(Path(directory), replay=REPLAYS / f"{picture.recording}.jsonl")
        else:
            app = RungApp(project(Path(directory) / "invoices", THREE_RUNS))
        async with app.run_test(size=picture.size) as pilot:
            await until(pilot, settled(app, 1 if picture.recording else len(THREE_RUNS)))
            await until(pilot, lambda: picture.wait_for in shown(app))
            await pilot.press(*picture.keys)
            await pilot.pause(0.5)
            return app.export_screenshot(title="rung")


def to_png(svg: str, path: Path) -> None:
    """Draw the SVG with a font that has braille, spaces kept."""
    if shutil.which("rsvg-convert") is None:
        raise SystemExit("rsvg-convert is missing: apt-get install librsvg2-bin fonts-dejavu-core")
    drawn = re.sub(r"font-family:[^;}]*", f"font-family: {FONT}", svg).replace("<text ", '<text xml:space="preserve" ')
    subprocess.run(["rsvg-convert", "--output", str(path)], input=drawn.encode(), check=True)


if __name__ == "__main__":
    main()
