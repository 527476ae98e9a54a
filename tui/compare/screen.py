"""Compare: one prompt, two or more candidates, streamed side by side from one loaded base."""

import os
import random
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.content import Content
from textual.widgets import Static

from rung.engine.core.state_folder import state_folder
from rung.engine.jobs.folder import RunFolder, find_run
from rung.engine.results.comparison import Prompt, comparable_runs
from rung.engine.results.preferences import Choice, Tally
from rung.tui.compare.answer_pane import AnswerPane
from rung.tui.compare.answer_panes import AnswerPanes
from rung.tui.compare.bench import Bench, Round, Setting, WorkerSaid, find_setting, make_setting
from rung.tui.compare.dialogs import AskSettings, DecodingDialog
from rung.tui.compare.judging import choices_of, count_up, keep_best, keep_row, keep_same
from rung.tui.compare.lines import base_line, decoding_line, tally_lines, wanted_line
from rung.tui.compare.prompt import PromptInput
from rung.tui.shell.dialogs import ChoiceDialog
from rung.tui.shell.screen import RungScreen
from rung.tui.shell.title_bar import TitleBar
from rung.tui.text.words import printable
from rung.tui.widgets.text_panel import TextPanel

NOTHING_YET = (
    "Nothing to compare yet: no run of this project has a checkpoint.\n\n"
    "Start a recipe (h, home) or let a run go on (r, runs); then come back with c."
)


OWN_ACTIONS = frozenset(
    {"write", "prefer", "best", "same", "skip", "cancel", "blind", "prompt_row", "add", "save_row", "decoding", "marks"}
)


class CompareScreen(RungScreen):
    """`run` is compared with its base, and with `others`; None takes the newest run that has something to show."""

    CSS_PATH = ["../shell/screen.tcss", "compare.tcss"]
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("enter,i", "write", "prompt", tooltip="write another prompt"),
        Binding("less_than_sign", "prefer(0)", "left better", key_display="<", tooltip="keep this preference"),
        Binding("greater_than_sign", "prefer(1)", "right better", key_display=">", tooltip="keep this preference"),
        *(Binding(str(n), f"best({n - 1})", f"pane {n} is best", show=False) for n in range(1, 10)),
        Binding("equals_sign", "same", "same", key_display="=", tooltip="the answers are equally good"),
        Binding("n", "skip", "neither", tooltip="no answer is good: nothing is kept"),
        Binding("x", "cancel", "cancel", tooltip="stop the answers within a token"),
        Binding("b", "blind", "blind", tooltip="shuffle the panes and hide who is who"),
        Binding("p", "prompt_row(1)", "next prompt", tooltip="the next pinned or held-out prompt"),
        Binding("P", "prompt_row(-1)", "previous prompt", show=False),
        Binding("plus", "add", "add", key_display="+", tooltip="another run on the same base"),
        Binding("w", "save_row", "save row", tooltip="append this pane's answer to data/train-additions.jsonl"),
        Binding("t", "decoding", "decoding", tooltip="length, temperature, seed, system prompt"),
        Binding("m", "marks", "marks", tooltip="mark where the answers differ"),
        Binding("left", "pane(-1)", "pane left", show=False),
        Binding("right", "pane(1)", "pane right", show=False),
    ]

    def __init__(self, run: str | None = None, others: Sequence[str] = ()) -> None:
        super().__init__()
        self.opening = True
        self._run, self._others = run, tuple(others)
        self._setting: Setting | None = None
        self._looked = False
        self._ask = AskSettings()
        self._blind = False
        self._marks = True
        self._row: Prompt | None = None
        self._tallies: list[Tally] = []
        self._bench = Bench(state_folder() / f"generate-{os.getpid()}.log", self.post_message)

    def compose_body(self) -> ComposeResult:
        yield TextPanel(id="proof")
        with AnswerPanes():
            yield Static("Looking for a run to compare …", id="nothing", markup=False)
        yield TextPanel(id="wanted")
        yield PromptInput()
        yield TextPanel(id="tally")

    @property
    def _panes(self) -> AnswerPanes:
        return self.query_one(AnswerPanes)

    # From nothing to a loaded model

    def on_mount(self) -> None:
        self.set_where("compare")
        self.query_one(PromptInput).disabled = True
        self._look()

    def on_screen_resume(self) -> None:
        if self._looked and self._setting is None:
            self._look()

    def redraw(self) -> None:
        """For another size."""
        self._refresh_lines()

    def on_unmount(self) -> None:
        self._bench.close()

    def _look(self) -> None:
        self._looked = False
        root = self.rung.root
        if self._run is not None and self._others:
            runs = (self._run, *self._others)
            self.rung.errand(
                lambda: make_setting(root, [find_run(root, run) for run in runs]), self._found, self.opened
            )
        else:
            self.rung.errand(lambda: find_setting(root, self._run), self._found, self.opened)

    def _found(self, setting: Setting | None) -> None:
        self._looked = True
        if setting is None:
            self.query_one("#nothing", Static).update(NOTHING_YET)
            self.opened()
        else:
            self._compare(setting)

    def _compare(self, setting: Setting) -> None:
        self.run_worker(self._use(setting), exclusive=True, group="setting")

    async def _use(self, setting: Setting) -> None:
        self._setting = setting
        self._bench.round = None
        self.query_one(TitleBar).facts = Content(setting.model_name)
        await self._panes.lay_out(len(setting.lineup.labels))
        app = self.rung
        app.errand(self._bench.start_loading(setting, app.worker_python, app.settings.idle_minutes))
        if setting.pinned.trouble:
            self.notify(
                printable(setting.pinned.trouble), title="The recipe's prompts", severity="warning", markup=False
            )
        self._name_panes()
        self._refresh_lines()
        self._count()
        prompt = self.query_one(PromptInput)
        prompt.disabled = False
        if setting.pinned.prompts and self._row is None:
            self.action_prompt_row(1)
        self.set_focus(prompt)
        self.opened()

    # Asking

    def on_prompt_input_sent(self, message: PromptInput.Sent) -> None:
        if self._setting is None:
            return
        order = list(self._setting.lineup.labels)
        if self._blind:
            random.shuffle(order)
        self._bench.cancel()
        if self._bench.failed:
            self.rung.errand(self._bench.reload())
        self._panes.clear("waiting for the model …" if self._bench.loading else "…")
        self._bench.ask(Round(self._prompt_of(message.text), order, self._blind, self._ask.decoding))
        self._name_panes()
        self._refresh_lines()
        self._panes.focus_pane()

    def _prompt_of(self, text: str) -> Prompt:
        """The prompt row as it is when its text was not touched; else what was typed, under the same system prompt."""
        row = self._row
        system = self._ask.system or (row.system if row else "")
        head = [{"role": "system", "content": system}] if system else []
        if row is not None and row.text == text:
            turns = [turn for turn in row.messages if turn.get("role") != "system"]
            return Prompt(head + turns, row.origin, row.reference)
        return Prompt([*head, {"role": "user", "content": text}], "typed")

    def on_prompt_input_next_prompt(self) -> None:
        self.action_prompt_row(1)

    def on_prompt_input_left(self) -> None:
        self._panes.focus_pane()

    # What the worker says

    def on_worker_said(self, message: WorkerSaid) -> None:
        said = message.said
        error = self._bench.take(said)
        current = self._bench.round
        if current is not None and said.get("id") == current.request and "candidate" in said:
            pane = self._panes.panes[current.order.index(said["candidate"])]
            if said["type"] == "token":
                pane.add(said["text"], said["tokens"], said["seconds"])
                return
            pane.finish(said["text"], said["tokens"], said["seconds"], said["stop_reason"])
            if current.complete:
                self._panes.show_marks(self._marks)
        elif said["type"] == "warning":
            self.notify(printable(said["message"]), severity="warning", markup=False)
        if error is not None:
            self._panes.clear("no answer", only_empty=True)
            self.rung.show_error(error)
        self._refresh_lines()
        self.refresh_bindings()

    # Judging

    def action_prefer(self, position: int) -> None:
        """Of two, the answer in that pane is better."""
        self._judge(keep_best, position)

    def action_best(self, position: int) -> None:
        """The answer in that pane is better than every other."""
        self._judge(keep_best, position)

    def action_same(self) -> None:
        """The answers are equally good."""
        self._judge(keep_same, 0)

    def action_skip(self) -> None:
        """None is worth keeping."""
        self._judge(lambda root, choices: "nothing kept", 0)

    def action_save_row(self) -> None:
        """Keep the focused pane's answer as a training row."""
        current, pane, root = self._bench.round, self.focused, self.rung.root
        if current is not None and isinstance(pane, AnswerPane):
            answer = pane.answer
            self.rung.errand(lambda: keep_row(root, current, answer), self._say)

    def _judge(self, keep: Callable[[Path, Sequence[Choice]], str], first: int) -> None:
        current, setting, root = self._bench.round, self._setting, self.rung.root
        if current is None or setting is None:
            return
        current.judged = True
        choices = choices_of(setting, current, self._panes.answers, first)
        self.rung.errand(lambda: keep(root, choices), self._kept)
        self._name_panes()
        self.refresh_bindings()

    def _kept(self, said: str) -> None:
        self._say(said)
        self._count()

    def _say(self, said: str) -> None:
        self.notify(said, markup=False)

    def _count(self) -> None:
        setting, root = self._setting, self.rung.root
        if setting is not None:
            self.rung.errand(lambda: count_up(root, setting), self._counted)

    def _counted(self, tallies: list[Tally]) -> None:
        self._tallies = tallies
        self._refresh_lines()

    # The other keys

    def action_write(self) -> None:
        """Back to the prompt."""
        self.query_one(PromptInput).focus()

    def action_prompt_row(self, by: int) -> None:
        """The next or previous pinned or held-out prompt, into the prompt's place."""
        prompts = self._setting.pinned.prompts if self._setting else []
        if not prompts:
            self._say("The recipe has no pinned prompts and no validation rows.")
            return
        at = next((index for index, prompt in enumerate(prompts) if prompt is self._row), -1 if by > 0 else 0)
        at = (at + by) % len(prompts)
        self._row = prompts[at]
        field = self.query_one(PromptInput)
        field.put(self._row.text)
        field.border_subtitle = f"{self._row.origin}, {at + 1} of {len(prompts)}"
        field.focus()

    def action_blind(self) -> None:
        """From the next prompt on, shuffle the panes and hide the names; or no longer."""
        self._blind = not self._blind
        self._say("blind from the next prompt on" if self._blind else "names are shown from the next prompt on")
        self._refresh_lines()

    def action_marks(self) -> None:
        """Mark where the answers differ, or don't."""
        self._marks = not self._marks
        if self._bench.round is not None and self._bench.round.complete:
            self._panes.show_marks(self._marks)

    def action_cancel(self) -> None:
        """Stop the answers that are coming."""
        self._bench.cancel()

    def action_pane(self, by: int) -> None:
        """Give the keys to the neighbouring pane."""
        self._panes.focus_pane(by)

    def action_decoding(self) -> None:
        """Length, temperature, nucleus, seed, system prompt."""
        self.app.push_screen(DecodingDialog(self._ask), self._set_ask)

    def _set_ask(self, ask: AskSettings | None) -> None:
        if ask is not None:
            self._ask = ask
            self._refresh_lines()

    def action_add(self) -> None:
        """Another run on the same base."""
        setting, root = self._setting, self.rung.root
        if setting is not None:
            base, present = setting.lineup.model, list(setting.runs.values())
            self.rung.errand(lambda: comparable_runs(root, base, present), self._offer)

    def _offer(self, folders: list[RunFolder]) -> None:
        known, by_id = self.rung.runs, {folder.id: folder for folder in folders}
        choices = {name: f"{name}  {known[name].status}" if name in known else name for name in by_id}
        empty = "No other run on this base has something that answers."
        self.app.push_screen(
            ChoiceDialog("Compare with", choices, empty), lambda chosen: self._add(by_id[chosen]) if chosen else None
        )

    def _add(self, folder: RunFolder) -> None:
        assert self._setting is not None
        root, folders = self.rung.root, [*self._setting.runs.values(), folder]
        self.rung.errand(lambda: make_setting(root, folders), self._compare)

    # What is shown

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Hides what can't be done now: judging before everybody has answered, cancelling when nothing comes."""
        current = self._bench.round
        if self.focused is not None and self.focused.id == "prompt" and action in OWN_ACTIONS:
            return False
        if action in ("prefer", "best", "same", "skip"):
            if current is None or not current.complete or current.judged:
                return False
            # < and > are for two panes; among more, the number of the best one says it.
            return len(current.order) == 2 if action == "prefer" else action != "best" or _within(parameters, current)
        if action == "cancel":
            return current is not None and bool(current.open)
        if action == "save_row":
            return isinstance(self.focused, AnswerPane) and bool(self.focused.stop_reason)
        if action in OWN_ACTIONS:
            return self._setting is not None
        return super().check_action(action, parameters)

    def _name_panes(self) -> None:
        setting, current = self._setting, self._bench.round
        if setting is None:
            return
        order = current.order if current is not None else setting.lineup.labels
        secret = current is not None and current.blind and not current.judged
        self._panes.name_them(["?" if secret else setting.title(label) for label in order], secret)

    def _refresh_lines(self) -> None:
        proof = base_line(self._bench.ready, self._bench.state, self.rung.glyphs)
        how = decoding_line(self._ask.decoding, self._blind)
        lines = self.query_one("#proof", TextPanel)
        fits = proof.cell_length + 3 + how.cell_length <= lines.content_size.width
        lines.put(Content("   " if fits else "\n").join([proof, how]))
        wanted, below = wanted_line(self._bench.round), self.query_one("#wanted", TextPanel)
        below.display = bool(wanted)
        below.put(wanted)
        if self._setting is not None:
            names = list(self._setting.lineup.adapters)
            self.query_one("#tally", TextPanel).put(tally_lines(self._tallies, names))


def _within(parameters: tuple[object, ...], current: Round) -> bool:
    return int(str(parameters[0])) < len(current.order)
