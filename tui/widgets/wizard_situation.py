"""The wizard's first page: what is wanted, and what counts as good."""

from typing import TYPE_CHECKING

from textual.app import ComposeResult
from textual.widgets import Input, Select

from tui.widgets.wizard_marks import MarkList
from tui.widgets.wizard_page import Edited, FieldLine, WizardPage, number_or_none

if TYPE_CHECKING:
    from tui.screens.wizard_view import WizardView

WANTS = {
    "facts": "facts or vocabulary of a domain that the model doesn't know",
    "format": "a given output format or tone",
    "hard_task": "a hard task that even large models fail",
    "cost": "the same quality from a smaller, cheaper model",
    "preference": "I know which of two answers is better, not what the ideal one is",
}


class SituationPage(WizardPage):
    """Wants, task, metric, target."""

    PAGE = "situation"
    WHY = (
        "Why here: what you want decides what is worth trying. Fine-tuning is rarely the right first move, so the "
        "ladder goes prompt, then RAG, then fine-tuning, and stops where it is good enough."
    )
    ACTIONS = ("prompt", "rag", "tune", "distil", "preference", "not_tune", "climb", "stop", "target", "more_examples")

    def compose_fields(self) -> ComposeResult:
        yield MarkList(WANTS, id="wants")
        yield FieldLine("task", "task", "in your own words; nothing is derived from it", "answer questions on …")
        yield Select[str]([], id="metric", prompt="metric", compact=True)
        yield FieldLine(
            "target", "target", "score that is good enough, 0 to 1; empty: the lowest rung shown no worse", "none"
        )

    def on_mount(self) -> None:
        self._metric = ""
        self.query_one("#wants").border_title = "What do you want? (space marks, several may hold)"

    def show(self, view: "WizardView") -> None:
        super().show(view)
        project = view.project
        self.query_one("#wants", MarkList).put(project.situation.wants)
        self._show_metric(view)
        self.put("task", project.situation.task)
        self.put("target", "" if project.target is None else f"{project.target:g}")

    def _show_metric(self, view: "WizardView") -> None:
        metric = self.query_one("#metric", Select)
        first = view.project.metrics[0]
        name = first if isinstance(first, str) else f"{first.get('name', first)} (with options, see rung.yaml)"
        self._metric = name
        with metric.prevent(Select.Changed):
            metric.set_options([(f"metric: {each}", each) for each in dict.fromkeys([name, *view.plain_metrics])])
            metric.value = name

    def on_mark_list_marked(self, event: MarkList.Marked) -> None:
        self.post_message(Edited("project", "situation.wants", [want for want in WANTS if want in event.marked]))

    def on_select_changed(self, event: Select.Changed) -> None:
        # A select tells its own first value too: only what differs from rung.yaml is a change.
        if self._metric and isinstance(event.value, str) and event.value != self._metric:
            self._metric = event.value
            self.post_message(Edited("project", "metrics", [event.value]))

    def on_input_changed(self, event: Input.Changed) -> None:
        if event.input.id == "task":
            self.post_message(Edited("project", "situation.task", event.value))
            return
        try:
            target = number_or_none(event.value)
        except ValueError:
            event.input.add_class("-wrong")
            return
        event.input.remove_class("-wrong")
        self.post_message(Edited("project", "target", target))
