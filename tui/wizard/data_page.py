"""The wizard's data page: the splits, and what a check of the rows finds."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from textual.app import ComposeResult
from textual.containers import Horizontal
from textual.content import Content
from textual.widgets import Button, Input

from rung.tui.text.words import count, printable
from rung.tui.widgets.text_panel import TextPanel
from rung.tui.wizard.page import FieldLine, Wanted, WizardPage

if TYPE_CHECKING:
    from rung.tui.wizard.view import WizardView

MOST_LINES = 12


class DataPage(WizardPage):
    """Rows by split, a check under the model's tokenizer, and splitting a file where there are no splits yet."""

    PAGE = "data"
    WHY = (
        "Why here: the held-out rows are frozen before anything is tried, and nothing is chosen on them; prompts, "
        "retrieval and checkpoints are chosen on the validation rows. More held-out rows make narrower intervals."
    )
    ACTIONS = ("more_data", "more_examples", "not_tune")

    def compose_fields(self) -> ComposeResult:
        yield TextPanel(id="splits")
        yield FieldLine(
            "file", "data file", "JSONL, JSON, CSV or Parquet; enter splits and freezes it", "examples.jsonl"
        )
        with Horizontal(classes="buttons"):
            yield Button("Check the rows", id="check", compact=True)
            yield Button("Look at the rows (d)", id="look", action="app.open('data')", compact=True)
        yield TextPanel(id="report")

    def show(self, view: "WizardView") -> None:
        super().show(view)
        rows = view.facts.rows
        self.query_one("#file").parent.display = not rows  # type: ignore[union-attr]
        for button in ("#check", "#look"):
            self.query_one(button).display = bool(view.project.data.train)
        self.put("file", "", view.state.drafts)
        self.say("splits", split_lines(view))
        self.say("report", report_lines(view.report, view.checking))

    def on_button_pressed(self) -> None:
        self.post_message(Wanted("check"))

    def on_input_submitted(self, event: Input.Submitted) -> None:
        if event.value.strip():
            self.post_message(Wanted("split", event.value.strip(), "file"))


def split_lines(view: "WizardView") -> Content:
    """Rows by split, how often the held-out ones were looked at."""
    rows = view.facts.rows
    if not rows:
        return Content(
            "No rows are split yet: name a file of examples below, and it is divided and frozen here. Rows of one "
            "passage, document or user stay together; data.group_by in rung.yaml names another column, or none."
        )
    words = {"train": "to learn from", "validation": "to choose on", "test": "held out", "final": "sealed"}
    said = " · ".join(f"{words.get(name, name)} {count(number)}" for name, number in rows.items())
    column = view.project.data.group_by
    apart = f"\nrows grouped by {printable(column)}" if column is not None else ""
    return Content.assemble(
        ("rows  ", "$muted"),
        (said, "bold"),
        (apart, "$muted"),
        (f"\nheld-out rows looked at {view.facts.looks} times", "$muted"),
    )


def report_lines(report: Mapping[str, Any] | None, checking: bool) -> Content:
    """What the check found, figure by figure, then the problems by line."""
    if report is None:
        return Content.styled("checking, under the model's tokenizer …" if checking else "", "$muted")
    lines = [
        Content(
            f"training rows: {count(report['rows'])}, used {count(report['used'])}, shape {report['shape']}, "
            f"{count(report['duplicates'])} duplicates"
        ),
        Content(
            f"tokens {count(report['tokens'])}, learned {count(report['trained_tokens'])} "
            f"({report['trained_tokens'] / max(1, report['tokens']):.0%}); stop token learned in "
            f"{count(report['stop_token_trained'])} rows"
        ),
        Content(
            f"row length in tokens: median {count(report['median_length'])}, longest {count(report['longest'])}; "
            f"{count(report['truncated'])} cut at {count(report['max_length'])}"
        ),
    ]
    problems = report["problems"]
    lines.append(Content.styled(f"{len(problems)} problems", "bold" if problems else ""))
    shown = [line for kind in report["kinds"] for line in _kind_lines(kind)]
    lines += [Content(printable(line)) for line in shown[:MOST_LINES]]
    if len(shown) > MOST_LINES or any(kind["count"] > len(kind["examples"]) for kind in report["kinds"]):
        lines.append(Content.styled("  d shows them all, and every row with what is trained of it", "$muted"))
    lines += [Content.styled(printable(note), "$muted") for note in report["notes"]]
    return Content("\n").join(lines)


def _kind_lines(kind: Mapping[str, Any]) -> list[str]:
    """A kind of problem with its number of rows, and the first of them."""
    places = [
        f"    {each.get('unit', 'line')} {each['line']}: {each['reason']}" for each in kind["examples"] if each["line"]
    ]
    return [f"  {kind['kind']}: {count(kind['count'])}", *places]
