"""Rung without the training stack: what needs it says so before anything starts, and which Python here has it."""

import importlib.metadata
import json
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import rung.engine.jobs.stack
from rung.engine.guide.demo import make_demo
from rung.engine.guide.wizard import change_project
from rung.engine.jobs.program import CHECKOUT
from rung.engine.jobs.stack import LacksStack, install_command, require_stack, usable_python
from rung.engine.machine.interpreters import probe
from rung.engine.project.load import load_project, python_of_project
from rung.engine.recipe.load import load_recipe
from rung.engine.training.launch import resume_run, start_run
from rung.tui.settings import interpreter
from rung.tui.shell import run_actions
from rung.tui.shell.app import RungApp
from rung.tui.shell.dialogs import ErrorPanel
from tests.conftest import Ran
from tests.helpers.on_screen import NARROW, WIDE, shown, until
from tests.helpers.program import RUNG
from tests.tui.commands.test_cli_doctor import STACK, fake_interpreter

Cli = Callable[..., Ran]
LIGHT = {name: STACK[name] for name in ("pydantic", "pyyaml", "numpy", "psutil")}
WHOLE = STACK | {
    "bitsandbytes": "0.48", "lancedb": "0.30", "semantic-text-splitter": "0.28", "pypdfium2": "5.0",
    "scikit-learn": "1.6", "huggingface-hub": "1.0",
}  # fmt: skip


@pytest.fixture(autouse=True)
def fresh(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rung.engine.jobs.stack, "_known", {})
    monkeypatch.setattr(interpreter, "_asked_for", [])


@pytest.fixture
def light(monkeypatch: pytest.MonkeyPatch) -> None:
    """This interpreter has the bare install alone."""
    real = importlib.metadata.version

    def version(name: str) -> str:
        if name not in LIGHT:
            raise importlib.metadata.PackageNotFoundError(name)
        return real(name)

    monkeypatch.setattr("rung.engine.jobs.stack.importlib.metadata.version", version)
    monkeypatch.setattr(rung.engine.jobs.stack, "find_interpreters", lambda root: [(sys.executable, "this one")])


@pytest.fixture
def able(light: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """Another one on this machine that has it all."""
    path = str(fake_interpreter(tmp_path / "conda" / "bin" / "python", WHOLE))
    monkeypatch.setattr(
        rung.engine.jobs.stack, "find_interpreters", lambda root: [(sys.executable, "this one"), (path, "conda")]
    )
    return path


@pytest.fixture
def started(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, str | None]]:
    """Kind and interpreter of the workers that were started; none really is."""
    known: list[tuple[str, str | None]] = []

    def spawn(kind: str, _folder: Any, _what: str, _cwd: Path, python: str | None, *_more: Any) -> None:
        known.append((kind, python))

    monkeypatch.setattr("rung.engine.training.launch.spawn_worker", spawn)
    monkeypatch.setattr("rung.engine.ladder.launch.spawn_worker", spawn)
    return known


@pytest.fixture
def demo(tmp_path: Path) -> Path:
    return make_demo("format", tmp_path / "demo")


def test_what_lacks_and_the_one_command_are_named(light: None) -> None:
    with pytest.raises(LacksStack) as refused:
        require_stack("train", None)
    assert refused.value.message.startswith(f"{sys.executable} can't train: it lacks torch, transformers, peft, trl")
    assert refused.value.details == "no other Python found here has all of that"
    assert refused.value.hint == install_command(sys.executable)
    assert refused.value.able is None


def test_another_python_that_has_it_is_named(able: str) -> None:
    with pytest.raises(LacksStack) as refused:
        require_stack("evaluate", None)
    assert refused.value.able == able
    assert refused.value.details == f"{able}, found on this machine, has all of that"
    assert f"--python {able}" in refused.value.hint and "pip install" in refused.value.hint


def test_this_python_is_named_where_another_lacks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    other = str(fake_interpreter(tmp_path / "python", LIGHT))
    monkeypatch.setattr(
        rung.engine.jobs.stack, "find_interpreters", lambda root: [(sys.executable, "this one"), (other, "PATH")]
    )
    with pytest.raises(LacksStack) as refused:
        require_stack("generate", other)
    assert refused.value.able == sys.executable
    require_stack("generate", sys.executable)


def test_a_python_that_was_mended_meanwhile_is_asked_again(tmp_path: Path) -> None:
    other = fake_interpreter(tmp_path / "python", {name: WHOLE[name] for name in WHOLE if name != "trl"})
    with pytest.raises(LacksStack, match="it lacks trl"):
        require_stack("train", str(other))
    fake_interpreter(other, WHOLE)
    require_stack("train", str(other))


def test_an_interpreter_that_cannot_be_run_is_left_to_who_starts_it(tmp_path: Path) -> None:
    nowhere = str(tmp_path / "nowhere")
    assert probe(nowhere, "settings").error, "nothing is known of what it has"
    require_stack("train", nowhere)


def test_the_command_is_that_of_the_install(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(rung.engine.jobs.stack, "nvml_answers", lambda: True)
    assert install_command("/p y") == (f"cd {CHECKOUT} && '/p y' -m pip install -c constraints/gpu.txt '.[train]'"), (
        "a checkout"
    )
    monkeypatch.setattr(rung.engine.jobs.stack, "CHECKOUT", tmp_path)
    monkeypatch.setattr(rung.engine.jobs.stack, "_origin", lambda: "file:///here/rung")
    assert install_command("/py") == "/py -m pip install 'rung[train] @ file:///here/rung'", "a folder or a wheel"
    monkeypatch.setattr(rung.engine.jobs.stack, "_origin", lambda: None)
    assert install_command("/py") == "/py -m pip install 'rung[train]'", "an index"


COMMANDS = [
    ("check", "data/train.jsonl"), ("check", "recipes/sft.yaml"), ("run", "recipes/sft.yaml"), ("climb",), ("eval",),
    ("demo", "--headless", "facts", "new-demo"), ("fetch", "org/model"),
]  # fmt: skip


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_every_command_says_it_before_anything_starts(
    command: tuple[str, ...], demo: Path, able: str, cli: Cli, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(demo)
    before = sorted(demo.rglob("*"))
    said = cli(*command)
    assert said.code == 2
    assert "it lacks " in said.err and f"--python {able}" in said.err, said.err
    assert "Traceback" not in said.err
    assert sorted(demo.rglob("*")) == before, "nothing was made"


def test_python_takes_another_for_this_project_and_keeps_the_comments(
    demo: Path, able: str, cli: Cli, started: list[tuple[str, str | None]], monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = demo / "rung.yaml"
    settings.write_text("# mine\n" + settings.read_text())
    before = settings.read_text().splitlines()
    monkeypatch.chdir(demo)
    assert cli("run", "recipes/sft.yaml", "--detach", "--python", able).code == 0
    after = settings.read_text().splitlines()
    changed = [(old, new) for old, new in zip(before, after, strict=True) if old != new]
    assert len(changed) == 1 and changed[0][1].startswith(f"worker_python: {able}")
    assert load_project(demo).worker_python == able
    interpreter._asked_for.clear()  # Another command, later: the project has it.
    assert cli("climb", "--detach").code == 0
    assert cli("run", "recipes/sft.yaml", "--detach").code == 0
    assert started == [("train", able), ("evaluate", able), ("train", able)]


def test_a_python_that_cannot_train_is_not_taken(
    demo: Path, tmp_path: Path, cli: Cli, able: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(demo)
    poor = str(fake_interpreter(tmp_path / "poor" / "python", LIGHT))
    said = cli("climb", "--python", poor)
    assert said.code == 2 and f"{poor} can't train: it lacks torch" in said.err
    said = cli("climb", "--python", str(tmp_path / "nowhere"))
    assert said.code == 2 and "can't be run as a Python interpreter" in said.err
    assert load_project(demo).worker_python is None


def test_an_environments_folder_is_taken_for_its_python(tmp_path: Path) -> None:
    path = fake_interpreter(tmp_path / "venv" / "bin" / "python", WHOLE)
    assert usable_python(tmp_path / "venv") == str(path)


def test_the_recipes_own_goes_before_the_projects_unless_it_lacks(
    demo: Path, tmp_path: Path, started: list[tuple[str, str | None]]
) -> None:
    own = str(fake_interpreter(tmp_path / "own" / "python", WHOLE))
    project = str(fake_interpreter(tmp_path / "project" / "python", WHOLE))
    change_project(demo, {"worker_python": project})
    recipe = load_recipe(demo / "recipes" / "sft.yaml").model_copy(update={"worker_python": own})
    folder = start_run(recipe, demo)
    assert load_recipe(folder.recipe).worker_python == own, "a resume goes on in the same one"
    fake_interpreter(Path(own), LIGHT)
    rung.engine.jobs.stack._known.clear()
    resume_run(folder)
    assert started == [("train", own), ("train", project)]


def test_quantised_training_needs_its_package_too(demo: Path, tmp_path: Path) -> None:
    python = str(fake_interpreter(tmp_path / "python", STACK))
    recipe = load_recipe(demo / "recipes" / "sft.yaml", ["model.quantization=nf4", f"worker_python={python}"])
    with pytest.raises(LacksStack, match="it lacks bitsandbytes"):
        start_run(recipe, demo)


def test_a_project_file_with_faults_names_no_interpreter(tmp_path: Path) -> None:
    assert python_of_project(tmp_path) is None
    (tmp_path / "rung.yaml").write_text("a: [\n")
    assert python_of_project(tmp_path) is None


async def test_a_screen_takes_it_with_one_key(demo: Path, able: str, started: list[tuple[str, str | None]]) -> None:
    app = RungApp(demo)
    async with app.run_test(size=NARROW) as pilot:
        run_actions.start(app, demo / "recipes" / "sft.yaml")
        await until(pilot, lambda: isinstance(app.screen, ErrorPanel))
        assert "can't train" in shown(app) and able.rsplit("/", 1)[-1] in shown(app)
        await pilot.press("t")
        await until(pilot, lambda: load_project(demo).worker_python == able)
        assert started == []
        run_actions.start(app, demo / "recipes" / "sft.yaml")
        await until(pilot, lambda: started == [("train", able)])


async def test_the_data_screen_offers_it_too(demo: Path, able: str) -> None:
    app = RungApp(demo, start="runs")
    async with app.run_test(size=NARROW) as pilot:
        await pilot.press("d")
        await until(pilot, lambda: isinstance(app.screen, ErrorPanel))
        assert "can't read data" in shown(app)
        await pilot.press("t")
        await until(pilot, lambda: load_project(demo).worker_python == able)
        await until(pilot, lambda: "f5 reads again" in shown(app))


async def test_without_another_python_the_panel_offers_none(demo: Path, light: None) -> None:
    app = RungApp(demo, start="wizard")
    async with app.run_test(size=WIDE) as pilot:
        await until(pilot, lambda: "Why here" in shown(app))
        app.screen._measure("prompt")  # type: ignore[attr-defined]
        await until(pilot, lambda: isinstance(app.screen, ErrorPanel))
        await until(pilot, lambda: "constraints/" in shown(app))  # Of the command that brings what lacks.
        await pilot.press("t")
        await pilot.pause()
        assert isinstance(app.screen, ErrorPanel), "the key does nothing here"


async def test_without_a_project_the_users_settings_take_it(tmp_path: Path, able: str) -> None:
    (tmp_path / "empty").mkdir()
    app = RungApp(tmp_path / "empty")
    async with app.run_test(size=NARROW) as pilot:
        app.take_python(able)
        await until(pilot, lambda: app.worker_python == able)
    assert not (tmp_path / "empty" / "rung.yaml").exists()


def light_environment(folder: Path) -> Path:
    """A real environment with Rung's bare dependencies, linked from this one, and nothing of the training stack."""
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", folder], check=True)
    (site,) = folder.glob("lib/python*/site-packages")
    waiting, linked = ["textual", "rich", "pydantic", "pyyaml", "httpx", "nvidia-ml-py", "psutil", "numpy"], set()
    while waiting:
        name = waiting.pop()
        if name in linked:
            continue
        linked.add(name)
        try:
            distribution = importlib.metadata.distribution(name)
        except importlib.metadata.PackageNotFoundError:
            continue
        for file in distribution.files or []:
            top = site / file.parts[0]
            if ".." not in file.parts and not top.exists():
                top.symlink_to(Path(str(distribution.locate_file(file.parts[0]))))
        for requirement in distribution.requires or []:
            if "extra ==" not in requirement:
                waiting.append(re.split(r"[^\w.-]", requirement)[0])
    return folder / "bin" / "python"


@pytest.mark.slow
@pytest.mark.accept
def test_a_real_light_install_says_it_and_works_with_another_python(tmp_path: Path) -> None:
    python = light_environment(tmp_path / "light")
    program = RUNG[1]

    def rung(*arguments: str, cwd: Path = tmp_path) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [str(python), "-P", program, *arguments], cwd=cwd, capture_output=True, text=True, check=False
        )

    (tmp_path / "rows.jsonl").write_text(json.dumps({"prompt": "One?", "completion": "Two."}) + "\n")
    for command in (("check", "rows.jsonl"), ("demo", "--headless", "format", "d"), ("fetch", "org/model")):
        said = rung(*command)
        assert said.returncode == 2, said.stderr
        assert "it lacks " in said.stderr and "Traceback" not in said.stderr and "pip install" in said.stderr
    assert not (tmp_path / "d").exists()
    said = rung("check", "rows.jsonl", "--json", "--python", sys.executable)
    assert said.returncode == 0, said.stderr
    assert json.loads(said.stdout)["used"] == 1
