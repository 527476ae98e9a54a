"""Every format a documents folder may hold, and what is said of those that can't be used."""

import json
import os
import zipfile
from pathlib import Path

import pytest

from rung.engine.core.errors import EngineError
from rung.engine.retrieval.chunks import chunk_documents
from rung.engine.retrieval.documents import Document, FileReport, UnreadableFile
from rung.engine.retrieval.loaders import load_documents
from rung.engine.retrieval.pdf_text import pdf_to_text
from rung.engine.retrieval.scan import scan


def load_one(folder: Path, name: str, content: str | bytes, **columns: str) -> tuple[list[Document], list[FileReport]]:
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return load_documents(path, **columns)


def make_pdf(pages: list[list[str]]) -> bytes:
    """A PDF by hand: one Helvetica line of text after another on each page."""
    objects = [b"<< /Type /Catalog /Pages 2 0 R >>", b"", b"<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica >>"]
    kids = []
    for lines in pages:
        shown = " ".join(f"({line}) Tj 0 -16 Td" for line in lines)
        stream = f"BT /F1 12 Tf 60 760 Td {shown} ET".encode()
        objects.append(b"<< /Length %d >>\nstream\n%s\nendstream" % (len(stream), stream))
        page = (
            f"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 612 792] /Contents {len(objects)} 0 R"
            " /Resources << /Font << /F1 3 0 R >> >> >>"
        )
        objects.append(page.encode())
        kids.append(f"{len(objects)} 0 R")
    objects[1] = f"<< /Type /Pages /Kids [{' '.join(kids)}] /Count {len(kids)} >>".encode()
    out, offsets = b"%PDF-1.4\n", []
    for number, body in enumerate(objects, start=1):
        offsets.append(len(out))
        out += b"%d 0 obj\n%s\nendobj\n" % (number, body)
    table = b"".join(b"%010d 00000 n \n" % offset for offset in offsets)
    size = len(objects) + 1
    return (
        out
        + b"xref\n0 %d\n0000000000 65535 f \n%s" % (size, table)
        + b"trailer << /Size %d /Root 1 0 R >>\nstartxref\n%d\n%%%%EOF\n" % (size, len(out))
    )


def test_text_has_its_file_name_as_title(tmp_path: Path) -> None:
    (document,), reports = load_one(tmp_path, "annual-report_2024.txt", "Revenue rose.\r\nCosts fell.")
    assert (document.title, document.text) == ("annual report 2024", "Revenue rose.\nCosts fell.")
    assert document.source == "annual-report_2024.txt"
    assert len(document.sha256) == 64
    assert reports == []


@pytest.mark.parametrize(
    ("content", "text", "note"),
    [
        ("naïve café".encode(), "naïve café", None),
        ("naïve".encode("utf-8-sig"), "naïve", None),
        ("naïve".encode("utf-16"), "naïve", None),
        ("na\u00efve “quoted”".encode("cp1252"), "naïve “quoted”", "Windows-1252"),
    ],
)
def test_encodings(tmp_path: Path, content: bytes, text: str, note: str | None) -> None:
    (document,), reports = load_one(tmp_path, "a.txt", content)
    assert document.text == text
    assert [note in report.reason for report in reports] == ([True] if note else [])


def test_markdown_sections_follow_headings_outside_fences(tmp_path: Path) -> None:
    body = "# Guide\n\nIntro.\n\n## Install\n\n```sh\n# not a heading\n```\n\n## Use\n\nRun.\n"
    content = f"---\ntitle: 'The guide'\n---\n{body}"
    (document,), _ = load_one(tmp_path, "guide.md", content)
    assert document.title == "The guide"
    assert [section.title for section in document.sections] == ["Guide", "Guide › Install", "Guide › Use"]
    assert document.text[document.sections[2].start :].startswith("## Use")


PAGE = """<!doctype html><html><head><title>Pumps &amp; valves</title><style>p {color: red}</style>
<script>var tracking = "secret";</script></head>
<body class="has-sidebar">
<header><a href="/">ACME</a> <a href="/login">Log in</a></header>
<nav><ul><li><a href="/a">Products</a></li><li><a href="/b">Prices</a></li></ul></nav>
<div class="main-sidebar"><p>Advert for boots</p></div>
<div class="page no-sidebar"><h1>Pumps</h1>
<p>A pump moves <b>water</b> up&nbsp;hill.</p>
<ul><li>Centrifugal pumps</li><li><p>Piston pumps</p></li></ul>
<table><tr><th>Model</th><th>Flow</th></tr><tr><td>P1</td><td>30 l/min</td></tr></table>
<pre>start --pump
  P1</pre>
<ul><li><a href="/1">One</a></li><li><a href="/2">Two</a></li><li><a href="/3">Three</a></li></ul>
</div>
<div role="search">Search the site</div>
<footer>Copyright ACME</footer></body></html>"""


def test_html_keeps_the_page_and_drops_what_surrounds_it(tmp_path: Path) -> None:
    (document,), _ = load_one(tmp_path, "pumps.html", PAGE)
    assert document.title == "Pumps & valves"
    assert document.text == (
        "# Pumps\n\nA pump moves water up hill.\n\n- Centrifugal pumps\n- Piston pumps\n\n"
        "Model | Flow\nP1 | 30 l/min\n\n```\nstart --pump\n  P1\n```"
    )


def test_html_with_a_main_part_keeps_only_that(tmp_path: Path) -> None:
    links = "".join(f"<li><a href='/{name}'>{name}</a></li>" for name in ("One", "Two", "Three"))
    page = f"<p>Before</p><ul>{links}</ul><main><p>{'Body text. ' * 60}</p><ul>{links}</ul></main><p>After</p>"
    (document,), _ = load_one(tmp_path, "a.htm", page)
    assert document.text == "Body text. " * 59 + "Body text.\n\n- One\n- Two\n- Three"


def test_html_code_with_blocks_inside_is_one_fence(tmp_path: Path) -> None:
    page = "<pre><code>fn a()<div class='where'>where T: B</div>{ }<br>}</code></pre><p>After.</p>"
    (document,), _ = load_one(tmp_path, "a.html", page)
    assert document.text == "```\nfn a()\nwhere T: B\n{ }\n}\n```\n\nAfter."


@pytest.mark.parametrize(
    "page",
    [
        "<nav><p>Only words in a nav that never ends",
        "<nav>Only words</nav>",
        "<div class='menu'><p>Only words</p></div>",
        "<form><main>Only words</main></form>",
    ],
)
def test_html_that_looks_like_boilerplate_throughout_keeps_its_words(tmp_path: Path, page: str) -> None:
    (document,), _ = load_one(tmp_path, "a.html", page)
    assert document.text.startswith("Only words")


def test_html_declares_its_encoding(tmp_path: Path) -> None:
    page = '<html><head><meta charset="iso-8859-2"></head><body><p>Łódź</p></body></html>'
    (document,), reports = load_one(tmp_path, "a.html", page.encode("iso-8859-2"))
    assert (document.text, reports) == ("Łódź", [])


def test_pdf_keeps_page_numbers(tmp_path: Path) -> None:
    pages = [["Contents"], ["The warranty of the pump lasts for thirty months from", "the day of delivery."], []]
    (document,), reports = load_one(tmp_path, "manual.pdf", make_pdf(pages))
    assert (
        document.text.split("\n\n")[1] == "The warranty of the pump lasts for thirty months from the day of delivery."
    )
    assert [section.page for section in document.sections] == [1, 2, 3]
    assert [report.reason for report in reports] == ["no text on page 3 of 3"]
    chunks = list(chunk_documents([document], chunk_size=80))
    assert [(chunk.page, chunk.text[:8]) for chunk in chunks] == [(1, "Contents"), (2, "The warr")]
    assert chunks[1].label == "manual.pdf, page 2"


@pytest.mark.parametrize(
    ("content", "reason"),
    [(b"%PDF-1.4 nothing else", "not a readable PDF"), (make_pdf([[], []]), "no text in its 2 pages")],
)
def test_pdf_that_gives_nothing_says_why(tmp_path: Path, content: bytes, reason: str) -> None:
    path = tmp_path / "a.pdf"
    path.write_bytes(content)
    with pytest.raises(UnreadableFile, match=reason):
        pdf_to_text(path, print)


PYTHON = '''"""Module."""
import os

LIMIT = 3


# Why this is here.
@decorated
def first(x):
    return x


class Pump(
    Base,
):
    speed = 1

    def start(self):
        """Start it."""

    async def stop(self): ...


if __name__ == "__main__":
    first(1)
'''


def test_python_units_cover_the_file(tmp_path: Path) -> None:
    (document,), _ = load_one(tmp_path, "pump.py", PYTHON)
    assert [section.title for section in document.sections] == ["", "first", "Pump", "Pump.start", "Pump.stop", ""]
    assert "".join(document.text[section.start : section.end] for section in document.sections) == PYTHON
    assert document.text[document.sections[1].start :].strip().startswith("# Why this is here.\n@decorated\ndef first")
    chunks = list(chunk_documents([document], chunk_size=70))
    assert "pump.py › Pump.start" in [chunk.title for chunk in chunks]
    assert all(chunk.text == PYTHON[chunk.start : chunk.end] for chunk in chunks)


def test_python_that_does_not_parse_is_text(tmp_path: Path) -> None:
    (document,), reports = load_one(tmp_path, "old.py", "print 'hello'\n")
    assert (document.text, document.sections) == ("print 'hello'\n", ())
    assert "not valid Python" in reports[0].reason


def test_jsonl_is_a_document_a_row_and_bad_rows_are_named(tmp_path: Path) -> None:
    lines = [
        '{"id": 7, "title": "Pumps", "text": "A pump."}',
        "{broken",
        "",
        '{"id": 8, "text": "  "}',
        "[1]",
        '"A string."',
    ]
    documents, reports = load_one(tmp_path, "rows.jsonl", "\n".join(lines))
    assert [(document.source, document.title, document.text) for document in documents] == [
        ("rows.jsonl#1", "Pumps", "A pump."),
        ("rows.jsonl#6", "", "A string."),
    ]
    assert documents[0].metadata == {"id": 7, "title": "Pumps"}
    assert [(report.line, report.reason.split(" (")[0]) for report in reports] == [
        (2, "not JSON"),
        (5, "neither a JSON object nor a string"),
        (4, "no text in column text"),
    ]


def test_question_and_answer_columns_are_one_document(tmp_path: Path) -> None:
    (document,), reports = load_one(tmp_path, "faq.csv", "question;answer\nHow long?;Thirty months.\n")
    assert (document.text, document.source, reports) == ("How long?\nThirty months.", "faq.csv#2", [])


def test_the_longest_column_is_found_and_said(tmp_path: Path) -> None:
    documents, reports = load_one(tmp_path, "a.tsv", 'sku\tremark\n1\t"two\nlines, long"\n2\tmore words here\n')
    assert [document.text for document in documents] == ["two\nlines, long", "more words here"]
    assert "column remark is taken as the text" in reports[0].reason


def test_columns_can_be_named(tmp_path: Path) -> None:
    rows = json.dumps([{"text": "no", "body_de": "Die Pumpe", "kopf": "Titel"}])
    (document,), _ = load_one(tmp_path, "a.json", rows, text_column="body_de", title_column="kopf")
    assert (document.text, document.title, document.source) == ("Die Pumpe", "Titel", "a.json#1")


def test_a_named_column_that_is_missing_fails_the_file(tmp_path: Path) -> None:
    documents, reports = load_one(tmp_path, "a.csv", "a,b\n1,2\n", text_column="body")
    assert documents == []
    assert [(report.level, report.reason) for report in reports] == [("failed", "no column body; it has a, b")]


def test_notebook_cells_become_markdown(tmp_path: Path) -> None:
    cells = [
        {"cell_type": "markdown", "source": ["# Study\n", "Text."]},
        {"cell_type": "code", "source": "x = 1", "outputs": [{"text": "huge"}]},
    ]
    (document,), _ = load_one(tmp_path, "a.ipynb", json.dumps({"cells": cells, "metadata": {}}))
    assert document.text == "# Study\nText.\n\n```python\nx = 1\n```"


def test_office_files_without_the_extra_say_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "markitdown", None)
    documents, reports = load_one(tmp_path, "a.docx", b"PK\x03\x04")
    assert documents == []
    assert "need the extra `office`" in reports[0].reason


def test_office_files_with_the_extra(tmp_path: Path) -> None:
    pytest.importorskip("markitdown")
    openpyxl = pytest.importorskip("openpyxl")
    book = openpyxl.Workbook()
    book.active.append(["Model", "Flow"])
    book.active.append(["P1", "thirty litres"])
    book.save(tmp_path / "table.xlsx")
    (tmp_path / "broken.docx").write_bytes(b"PK\x03\x04 nothing")
    documents, reports = load_documents(tmp_path)
    assert "thirty litres" in documents[0].text
    assert [report.path for report in reports if report.level == "failed"] == ["broken.docx"]


def test_a_folder_of_good_and_bad_files_loads_what_it_can(tmp_path: Path) -> None:
    folder = tmp_path / "docs"
    for name in ("a.txt", ".hidden", "sub/b.md", ".git/config", "node_modules/x.js", "__pycache__/x.txt", "c.rs"):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(f"Words of {name}.")
    with zipfile.ZipFile(folder / "archive.zip", "w") as archive:
        archive.writestr("x", "y" * 10_000)
    (folder / "image.png").write_bytes(b"\x89PNG\r\n\x1a\n\x00\x00\x00\rIHDR")
    (folder / "empty.txt").write_text("")
    (folder / "gone.txt").symlink_to(folder / "nowhere")
    (folder / "loop").symlink_to(folder)
    (folder / "bad.pdf").write_bytes(b"no pdf")
    os.mkfifo(folder / "pipe")
    documents, reports = load_documents(folder)
    assert [document.source for document in documents] == ["a.txt", "c.rs", "sub/b.md"]
    said = {report.path: (report.level, report.reason.split(" (")[0]) for report in reports}
    assert said == {
        ".git/": ("skipped", "hidden folder"),
        ".hidden": ("skipped", "hidden file"),
        "node_modules/": ("skipped", "a folder of installed code"),
        "archive.zip": ("skipped", "binary file"),
        "image.png": ("skipped", "binary file"),
        "empty.txt": ("note", "it has no text"),
        "gone.txt": ("skipped", "not a regular file"),
        "loop/": ("skipped", "a link to another folder"),
        "bad.pdf": ("failed", "not a readable PDF"),
        "pipe": ("skipped", "not a regular file"),
    }


@pytest.mark.skipif(os.geteuid() == 0, reason="root reads everything")
def test_a_file_without_permission_is_reported(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("x")
    (tmp_path / "a.txt").chmod(0)
    documents, reports = load_documents(tmp_path)
    assert (documents, [report.reason for report in reports]) == ([], ["Permission denied"])


def test_file_names_that_are_not_utf8(tmp_path: Path) -> None:
    (tmp_path / os.fsdecode(b"caf\xe9.txt")).write_text("Words.")
    documents, _ = load_documents(tmp_path)
    assert documents[0].source == "caf\ufffd.txt"


def test_lone_surrogates_and_nul_do_not_get_through(tmp_path: Path) -> None:
    (document,), _ = load_one(tmp_path, "a.jsonl", '{"text": "a \\ud83d b \\u0000c"}')
    assert document.text == "a ? b c"


def test_no_documents_folder_is_an_error_with_a_hint(tmp_path: Path) -> None:
    with pytest.raises(EngineError, match="There are no documents at"):
        scan(tmp_path / "nowhere")
