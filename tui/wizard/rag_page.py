"""The wizard's RAG page: documents, a question to them with chunks and scores, then the measurement."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from textual.app import ComposeResult
from textual.containers import Horizontal
from textual.content import Content
from textual.widgets import Button, Input

from rung.tui.text.retrieval import retrieval_lines
from rung.tui.text.words import count, figure, printable
from rung.tui.widgets.text_panel import TextPanel
from rung.tui.wizard.page import Edited, FieldLine, Wanted, WizardPage, whole_number

if TYPE_CHECKING:
    from rung.tui.wizard.view import WizardView

_CHUNK_SIZES = (50, 100_000)
_CHUNKS = (1, 1000)


class RagPage(WizardPage):
    """Documents and how they are cut; a question is answered with the chunks that a prompt would get."""

    PAGE = "rag"
    WHY = (
        "Why here: facts come from documents, often at less cost than training. hit@1 and hit@5: how often the right "
        "passage is the first, or among five; MRR: 1 / its rank, averaged. Where it is found and the answer is still "
        "wrong, reading or format is the problem, and that is what fine-tuning teaches."
    )
    ACTIONS = ("rag", "fix_retrieval")

    def compose_fields(self) -> ComposeResult:
        yield FieldLine(
            "folder", "documents", "a folder of text, Markdown, HTML, PDF, code; enter takes it", "documents"
        )
        yield FieldLine("size", "chunk size", "characters of one chunk at most", "800")
        yield FieldLine("k", "chunks", "how many go into the prompt", "4")
        yield FieldLine("question", "ask", "enter shows what retrieval finds", "a question to the documents")
        with Horizontal(classes="buttons"):
            yield Button("Measure the RAG rung", id="measure", variant="primary", compact=True)
            yield Button(
                "Retrieval alone", id="retrieval", compact=True,
                tooltip="how often the right passage is found for a validation row; no model is asked",
            )  # fmt: skip
        yield TextPanel(id="standing")
        yield TextPanel(id="hits")

    def show(self, view: "WizardView") -> None:
        super().show(view)
        documents = view.project.documents
        for name in ("size", "k", "question", "measure", "retrieval"):
            self.query_one(f"#{name}").disabled = documents is None
        drafts = view.state.drafts
        self.put("folder", (documents.path if documents is not None else None) or "", drafts)
        if documents is not None:
            self.put("size", str(documents.chunk_size), drafts)
            self.put("k", str(documents.k), drafts)
        self.put("question", "", drafts)
        self.say("standing", rag_standing(view))
        self.say("hits", hit_lines(view.hits, view.asking, view.asking_now))

    def read(self, field: str, text: str) -> list[Edited]:
        if field == "size":
            return [Edited("project", "documents.chunk_size", whole_number(text, *_CHUNK_SIZES))]
        if field == "k":
            return [Edited("project", "documents.k", whole_number(text, *_CHUNKS))]
        return []

    def on_input_submitted(self, event: Input.Submitted) -> None:
        if event.input.id == "question" and event.value.strip():
            self.post_message(Wanted("ask", event.value.strip()))
        elif event.input.id == "folder" and event.value.strip():
            self.post_message(Wanted("documents", event.value.strip(), "folder"))

    def on_button_pressed(self, event: Button.Pressed) -> None:
        self.post_message(Wanted("retrieval") if event.button.id == "retrieval" else Wanted("measure", "rag"))


def rag_standing(view: "WizardView") -> Content:
    """Documents, the rung's score, and retrieval measured by itself."""
    if view.project.documents is None:
        return Content("No documents are named. Without documents this rung is skipped, and the climb goes on.")
    said = [Content(f"{count(view.facts.documents)} files"), view.standing("rag")]
    found = view.facts.retrieval
    if found is not None:
        said.append(Content(printable(str(found["described"]))))
        if found["questions"]:
            said.append(
                Content(
                    f"of {found['questions']} questions the right passage was in the prompt for {found['found']}, and "
                    f"{found['right_when_found']} of those were answered right"
                )
            )
    return Content("\n").join(each for each in said if each)


def hit_lines(hits: Mapping[str, Any] | None, asking: bool, now: str = "") -> Content:
    """The chunks, best first, each with its score and where it stands; or how well retrieval does by itself."""
    if asking:
        waiting = "searching; the first question after a change brings the index up to date …"
        return Content.styled(now or waiting, "$muted")
    if hits is None:
        return Content("")
    if "hit_at" in hits:
        return Content(printable("\n".join(retrieval_lines(hits))))
    head = f"{count(hits['chunks'])} chunks of {count(hits['files'])} files, searched in {figure(hits['seconds'])} s"
    lines = [Content.styled(head, "$muted")]
    if not hits["hits"]:
        lines.append(Content("No chunk has a word of the question."))
    for rank, hit in enumerate(hits["hits"], start=1):
        lines.append(
            Content.assemble(
                (f"{rank}  score {figure(hit['score'])}  ", "bold"), (printable(hit["source"]), "$text-accent"),
                "\n   ", " ".join(printable(hit["text"]).split()),
            )
        )  # fmt: skip
    return Content("\n").join(lines)
