"""Makes the documentation's pictures from the running program: `python docs/pictures.py [DEMO]`.

They go to docs/pictures/*.png. The screens are the real ones, on the recordings in tests/replays (synthetic figures,
said there); Compare is on a real run of the format demo: of the project DEMO, or of one that is made and trained for
it. Needs rsvg-convert (Debian: librsvg2-bin) and the font DejaVu Sans Mono (fonts-dejavu-core).
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

from rung.engine.jobs.reader import RunReader  # noqa: E402
from rung.engine.results.comparison import newest_trained  # noqa: E402
from rung.tui.home.screen import begin_demo  # noqa: E402
from rung.tui.shell.app import RungApp  # noqa: E402
from tests.helpers.on_screen import REPLAYS, THREE_RUNS, project, settled, shown, until  # noqa: E402

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
        keep(picture.name, asyncio.run(take(picture)))
    with tempfile.TemporaryDirectory() as directory:
        demo = Path(sys.argv[1]) if len(sys.argv) > 1 else Path(directory) / "format"
        keep("compare", asyncio.run(take_compare(trained(demo))))


def keep(name: str, svg: str) -> None:
    """Write one picture and name it."""
    path = PICTURES / f"{name}.png"
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


def trained(demo: Path) -> Path:
    """A format demo with something to compare: made and trained where there is none yet."""
    if newest_trained(demo) is None:
        _, run = begin_demo("format", demo, "")
        if run is None:
            raise SystemExit(f"{demo} has no run that answers: start its recipe first")
        reader = RunReader(run)
        while not reader.catch_up().over:
            time.sleep(1.0)
    return demo


async def take_compare(demo: Path) -> str:
    """The first validation row, answered by the base and by the newest run."""
    app = RungApp(demo, start="compare")
    async with app.run_test(size=(120, 24)) as pilot:
        await until(pilot, lambda: "= plain base" in shown(app))
        await pilot.press("enter")
        await until(pilot, lambda: "wanted" in shown(app))
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
