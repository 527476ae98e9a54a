"""The wizard's first page: what is wanted, and what counts as good."""

from typing import TYPE_CHECKING

from textual.app import ComposeResult
from textual.widgets import Select

from rung.engine.core.errors import EngineError
from rung.tui.wizard.marks import MarkList
from rung.tui.wizard.page import Edited, FieldLine, WizardPage, Wrong, error_line, number

if TYPE_CHECKING:
    from rung.engine.metrics.spec import MetricSpec
    from rung.tui.wizard.view import WizardView

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
        self._spec: MetricSpec | None = None
        self.query_one("#wants").border_title = "What do you want? (space marks, several may hold)"

    def show(self, view: "WizardView") -> None:
        super().show(view)
        project = view.project
        self.query_one("#wants", MarkList).put(project.situation.wants)
        self._show_metric(view)
        self._spec = view.metric
        drafts = view.state.drafts
        self.put("task", project.situation.task, drafts)
        self.put("target", "" if project.target is None else f"{project.target:g}", drafts)

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
            from rung.engine.metrics.spec import MetricSpec

            self._metric, self._spec = event.value, MetricSpec(name=event.value)
            self.post_message(Edited("project", "metrics", [event.value]))
            line = self.line("target")
            try:
                self.read("target", line.input.value)
            except Wrong as wrong:  # It was another metric's: it stays to be seen, and is this one's target no more.
                line.wrong = str(wrong)
                self.post_message(Edited("project", "target", None))
                self.post_message(Edited("drafts", "target", line.input.value))

    def read(self, field: str, text: str) -> list[Edited]:
        if field == "task":
            return [Edited("project", "situation.task", text)]
        from rung.engine.metrics.target import check_target

        target = number(text) if text.strip() else None
        try:
            if self._spec is not None:
                check_target(self._spec, target)
        except EngineError as error:
            raise Wrong(error_line(error)) from None
        return [Edited("project", "target", target)]
