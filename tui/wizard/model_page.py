"""The wizard's model page: what is at hand, what is worth fetching, and what fits in memory here."""

from typing import TYPE_CHECKING

from textual.app import ComposeResult
from textual.content import Content
from textual.widgets import Input, OptionList
from textual.widgets.option_list import Option

from rung.tui.text.glyphs import Glyphs
from rung.tui.text.words import count, gibibytes, one_line, printable
from rung.tui.widgets.text_panel import TextPanel
from rung.tui.wizard.fetch import download_words
from rung.tui.wizard.page import FieldLine, Wanted, WizardPage

if TYPE_CHECKING:
    from rung.engine.guide.model_choices import ModelChoice
    from rung.tui.wizard.view import WizardView


BYTES_A_PARAMETER = 2
"""As most models are published: in bfloat16."""


class ModelPage(WizardPage):
    """The project's model; enter on another one takes that one."""

    PAGE = "model"
    WHY = (
        "Why here: every rung starts from one model. A smaller one that fits is measured sooner and costs less; "
        "the scoreboard says whether it is enough. Memory figures are forecasts of the least that training takes."
    )
    ACTIONS = ("model", "bigger_machine", "distil")

    def __init__(self, *, id: str) -> None:
        super().__init__(id=id)
        self._listed: list[str] = []

    def compose_fields(self) -> ComposeResult:
        yield TextPanel(id="now")
        yield OptionList(id="models", markup=False)
        yield FieldLine("name", "another one", "a folder or a hub id; enter takes it", "org/name or ./folder")
        yield FieldLine(
            "endpoint", "endpoint", "measured beside it: URL MODEL [KEY_VARIABLE]; enter adds it", "http://… model"
        )

    def on_mount(self) -> None:
        self.query_one("#models").border_title = "Models (enter takes the marked one)"

    def show(self, view: "WizardView") -> None:
        super().show(view)
        marks = view.marks
        said = [Content.assemble(("now  ", "$muted"), (printable(view.project.model.name), "bold"))]
        if view.model is not None:
            said.append(Content(about_model(view.model, view, marks)))
        if view.download is not None:
            likely = view.model.parameters * BYTES_A_PARAMETER if view.model and view.model.parameters else None
            words = download_words(view.download, likely, view.machine.cache_free, view.machine.cache)
            said.append(Content.styled(printable(words), "" if view.download.whole else "$text-warning"))
        said.append(Content.styled(f"memory free: {gibibytes(view.room.free)} on {view.room.device}", "$muted"))
        said += [
            Content.assemble(("endpoint  ", "$muted"), printable(f"{each.name}: {each.model} at {each.url}"))
            for each in view.project.endpoints
        ]
        self.say("now", Content("\n").join(said))
        self._list(view)
        self.put("name", "", view.state.drafts)
        self.put("endpoint", "", view.state.drafts)

    def _list(self, view: "WizardView") -> None:
        """Bring the list up to date where a model came or changed; the marked one stays marked."""
        listed = self.query_one("#models", OptionList)
        lines = {choice.name: model_line(choice, view, view.marks) for choice in view.choices}
        if self._listed == [line.plain for line in lines.values()]:
            return
        self._listed = [line.plain for line in lines.values()]
        at = listed.highlighted
        marked = listed.get_option_at_index(at).id if at is not None else view.project.model.name
        listed.clear_options()
        listed.add_options([Option(line, id=name) for name, line in lines.items()])
        names = list(lines)
        listed.highlighted = names.index(marked) if marked in names else 0

    def accept(self, field: str) -> None:
        super().accept(field)
        self.line(field).write("")

    def on_option_list_option_selected(self, event: OptionList.OptionSelected) -> None:
        self.post_message(Wanted("use", str(event.option.id)))

    def on_input_submitted(self, event: Input.Submitted) -> None:
        if event.value.strip():
            field = str(event.input.id)
            self.post_message(Wanted("use" if field == "name" else "endpoint", event.value.strip(), field))


def model_line(choice: "ModelChoice", view: "WizardView", marks: Glyphs) -> Content:
    """Name, where it is, size and what fits, on one line."""
    size = f"{choice.parameters / 1e9:.2g} B" if choice.parameters else "?"
    origin = f"list of {view.list_date}," if choice.origin == "list" else choice.origin
    return Content.assemble(
        f" {one_line(choice.name, 36):<37}", (f"{size:>7} ", "bold"), f"{_ways(choice, view, marks)}  ",
        (one_line(f"{origin} {choice.licence}", 60), "$muted"),
    )  # fmt: skip


def about_model(choice: "ModelChoice", view: "WizardView", marks: Glyphs) -> str:
    """Parameters, context, licence, and the memory of each way of training; of an unknown one that it is."""
    if choice.parameters is None:
        return printable(choice.note)
    words = [
        f"{count(choice.parameters)} parameters",
        f"context {count(choice.context)} tokens",
        f"licence {choice.licence or 'not said in its folder'}",
    ]
    fits = choice.fits(view.room)
    needs = [
        f"{way} {gibibytes(needed)} {marks.yes + ' fits' if fits[way] else marks.no + ' too large'}"
        for way, needed in choice.needs.items()
    ]
    return " · ".join(words) + ("\n" + " · ".join(needs) if needs else f"\n{printable(choice.note)}")


def _ways(choice: "ModelChoice", view: "WizardView", marks: Glyphs) -> str:
    fits = choice.fits(view.room)
    if not fits:
        return "fit not known"
    return " ".join(f"{way} {marks.yes if ok else marks.no}" for way, ok in fits.items())
