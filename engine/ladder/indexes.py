"""The project's index, and one beside it for every other way of cutting that is tried. Imports LanceDB when used."""

import time
from collections.abc import Callable
from pathlib import Path

from rung.engine.core.errors import EngineError
from rung.engine.core.files import canonical_json, is_path, sha256_text
from rung.engine.hub.download import tell_downloads_to
from rung.engine.hub.download_events import DownloadEvents
from rung.engine.jobs.events import Event, Phase, Warned
from rung.engine.ladder.examples import EvaluationExample
from rung.engine.project.schema import ProjectSettings
from rung.engine.retrieval.build import build_index
from rung.engine.retrieval.index import SearchIndex, open_index
from rung.engine.retrieval.manifest import read_manifest
from rung.engine.retrieval.quality import GoldQuestion
from rung.engine.retrieval.settings import RetrievalSettings

_REPORT_SECONDS = 0.5


class Indexes:
    """Indexes by their settings, brought up to date once and then kept open."""

    def __init__(self, root: Path, project: ProjectSettings, report: Callable[[Event], None]) -> None:
        self._root, self._project, self._report = root, project, report
        self._built: set[Path] = set()

    def get(self, settings: RetrievalSettings) -> SearchIndex:
        """The index for these settings, up to date with the documents. Raises EngineError."""
        if settings.path is None:
            raise EngineError("There are no documents", "rung.yaml: documents.path is null", "name a folder of texts")
        folder = index_folder(self._root, self._project, settings)
        if folder not in self._built:
            self._build(folder, settings)
        return open_index(folder, settings)

    def chunks_hash(self, settings: RetrievalSettings) -> str:
        """A hash of the chunks that these settings cut: two ways of cutting may give the same ones."""
        self.get(settings)
        manifest = read_manifest(index_folder(self._root, self._project, settings))
        files = sorted(manifest.files.items()) if manifest is not None else []
        return sha256_text(canonical_json([[path, file.digest] for path, file in files]))

    def _build(self, folder: Path, settings: RetrievalSettings) -> None:
        # The embedding model may have to come first.
        tell_downloads_to(DownloadEvents(self._report).tell_and_load)
        self._report(Phase("index", 0, None, "bytes"))
        documents = self._root / str(settings.path)
        done = build_index(documents, folder, settings, _Seldom(self._report))
        failed = [report for report in done.reports if report.level == "failed"]
        if failed:
            listed = "\n".join(str(report) for report in failed[:5])
            self._report(Warned(f"{len(failed)} documents can't be read and were left out", listed))
        if not done.num_chunks:
            raise EngineError(f"{documents} holds no text", "\n".join(str(report) for report in done.reports[:5]))
        self._built.add(folder)


class _Seldom:
    """Reports the progress of a build a few times a second at most."""

    def __init__(self, report: Callable[[Event], None]) -> None:
        self._report, self._last = report, 0.0

    def __call__(self, done: int, total: int) -> None:
        now = time.monotonic()
        if now - self._last >= _REPORT_SECONDS:
            self._last = now
            self._report(Phase("index", done, total, "bytes"))


def index_folder(root: Path, project: ProjectSettings, settings: RetrievalSettings) -> Path:
    """`index/` for the project's own way of cutting, a folder below it for any other."""
    fields = settings.index_fields() | {"embedding": settings.embedding_model}
    declared = project.documents
    if declared is not None and declared.index_fields() | {"embedding": declared.embedding_model} == fields:
        return root / "index"
    return root / "index" / "trials" / sha256_text(canonical_json(fields))[:8]


def gold_question(example: EvaluationExample, project: ProjectSettings, root: Path) -> GoldQuestion:
    """What is known of the example's right passage: the gold column's text or document, else its answer."""
    column = project.data.gold
    named = example.fields.get(column) if column is not None else None
    values = tuple(str(value) for value in (named if isinstance(named, list) else [named]) if value)
    if values and project.documents is not None and project.documents.path is not None:
        documents = root / project.documents.path
        folder = documents.parent if documents.is_file() else documents
        if all(_names_document(folder, value) for value in values):
            return GoldQuestion(example.id, example.question, sources=values)
    if values:
        return GoldQuestion(example.id, example.question, passages=values)
    return GoldQuestion(example.id, example.question, answers=(example.reference,))


def _names_document(folder: Path, value: str) -> bool:
    """Whether the value is a document's path, `faq.csv#12` for a row of it: not where it is a passage's own text."""
    name = value.partition("#")[0]
    return bool(name.strip()) and is_path(folder / name)
