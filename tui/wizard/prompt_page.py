"""The wizard's prompt page: instructions and examples, tried on a few validation rows, then measured."""

from typing import TYPE_CHECKING

from textual.app import ComposeResult
from textual.containers import Horizontal
from textual.content import Content
from textual.widgets import Button, TextArea

from rung.tui.text.words import printable
from rung.tui.widgets.text_panel import TextPanel
from rung.tui.wizard.page import Edited, FieldLine, Wanted, WizardPage, Wrong, whole_number

if TYPE_CHECKING:
    from rung.tui.wizard.view import TrialRow, WizardView


class PromptPage(WizardPage):
    """System prompt, template and number of examples; answers beside references."""

    PAGE = "prompt"
    WHY = (
        "Why here: asking better costs nothing to train. Try the words on a few validation rows, then measure: several "
        "numbers of examples are tried on the validation rows, and only the best meets the held-out ones."
    )
    ACTIONS = ("prompt", "stop", "climb")

    def compose_fields(self) -> ComposeResult:
        yield TextArea(id="system", compact=True, tab_behavior="focus")
        yield FieldLine("template", "template", "how a question is put; {question} stands for it", "{question}")
        yield FieldLine(
            "shots",
            "examples",
            "training rows in every prompt, beside the numbers tried; a trial shows fixed ones",
            "0",
        )
        with Horizontal(classes="buttons"):
            yield Button("Try on 4 rows", id="try", compact=True)
            yield Button("Measure the prompt rung", id="measure", variant="primary", compact=True)
        yield TextPanel(id="standing")
        yield TextPanel(id="answers")

    def on_mount(self) -> None:
        self.query_one("#system").border_title = "System prompt: instructions before every question"

    def show(self, view: "WizardView") -> None:
        super().show(view)
        project = view.project
        system = self.query_one("#system", TextArea)
        wanted = project.system_prompt or ""
        if not system.has_focus and system.text != wanted:
            with system.prevent(TextArea.Changed):
                system.load_text(wanted)
        self.put("template", project.prompt_template or "", view.state.drafts)
        self.put("shots", str(project.few_shot.k), view.state.drafts)
        self.say("standing", view.standing("prompt"))
        self.say("answers", trial_lines(view.trial, view.trying, view.marks.yes))

    def on_text_area_changed(self, event: TextArea.Changed) -> None:
        self.post_message(Edited("project", "system_prompt", event.text_area.text or None))

    def read(self, field: str, text: str) -> list[Edited]:
        if field == "shots":
            return [Edited("project", "few_shot.k", whole_number(text, 0))]
        if text.strip() and "{question}" not in text:
            raise Wrong("it lacks {question}, where the question goes")
        return [Edited("project", "prompt_template", text if text.strip() else None)]

    def on_button_pressed(self, event: Button.Pressed) -> None:
        self.post_message(Wanted("try") if event.button.id == "try" else Wanted("measure", "prompt"))


def trial_lines(rows: "list[TrialRow]", trying: str, yes: str) -> Content:
    """Question, reference and answer of each row tried; what the worker does until they are there."""
    parts = [Content.styled(trying, "$muted")] if trying else []
    for row in rows:
        same = row.answer is not None and row.answer.strip() == row.reference.strip()
        answer = "…" if row.answer is None else printable(row.answer) or "(empty)"
        parts.append(
            Content.assemble(
                (f"row {row.line}  ", "$muted"), printable(row.question),
                ("\n  wanted  ", "$muted"), printable(row.reference),
                ("\n  answer  ", "$muted"), (answer, "bold"), (f"  {yes} the same" if same else "", "$text-success"),
            )
        )  # fmt: skip
    return Content("\n").join(parts)
