"""rung eval: one candidate on the held-out rows, or retrieval by itself."""

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rung.engine.core.errors import EngineError
from rung.tui.commands.arguments import add_fetch_argument
from rung.tui.commands.output import Progress, print_json
from rung.tui.settings.interpreter import worker_python
from rung.tui.text.words import printable

if TYPE_CHECKING:
    from rung.engine.ladder.spec import CandidateSpec


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """What `rung eval` takes."""
    parser.add_argument(
        "candidate", nargs="?", metavar="CANDIDATE",
        help="one of the scoreboard's, by its id (default: the model as rung.yaml asks it)",
    )  # fmt: skip
    parser.add_argument("--run", metavar="RUN", help="what a run trained: its id, a unique part of it, or last")
    parser.add_argument("--rag", action="store_true", help="with passages, as rung.yaml's documents say")
    parser.add_argument("--endpoint", metavar="NAME", help="by one of rung.yaml's endpoints")
    parser.add_argument("--shots", metavar="K", type=int, help="with so many training examples in the prompt")
    parser.add_argument("--selection", choices=("fixed", "nearest"), help="how those examples are chosen")
    parser.add_argument(
        "--split", choices=("test", "validation", "final"), default="test",
        help="the held-out rows (default), the validation rows, or the sealed final rows",
    )  # fmt: skip
    parser.add_argument(
        "--retrieval", action="store_true",
        help="measure retrieval alone, without a model: how often the right passage is found, on the validation rows",
    )  # fmt: skip
    add_fetch_argument(parser)
    parser.add_argument("--json", action="store_true", help="print its row as one JSON value")


def run(args: argparse.Namespace) -> int:
    """Evaluate a candidate, or find it evaluated, and print its row; on the held-out rows it joins the scoreboard."""
    from rung.engine.core.files import read_json
    from rung.engine.jobs.reader import RunReader
    from rung.engine.ladder.launch import RESULT_FILE, start_evaluation
    from rung.engine.splits.frozen import require_final
    from rung.tui.commands.following import counted_interrupts
    from rung.tui.commands.job import say_how_it_went, watch_over
    from rung.tui.commands.project import current_root
    from rung.tui.commands.scoreboard import print_rows

    root, progress = current_root(), Progress()
    if args.retrieval:
        return _measure_retrieval(args, root, progress)
    if args.split == "final":
        require_final(root)
    with counted_interrupts() as interrupts:
        reader = RunReader(
            start_evaluation(root, [_spec(args, root)], args.split, fetch=args.fetch, python=worker_python(root))
        )
        watch_over(reader, progress, interrupts, after=-1)
    status = reader.status()
    if status != "finished":
        again = "the same command goes on from here"
        say_how_it_went(reader.folder, status, reader.state, progress, watch=again, go_on=again)
        return 130 if interrupts.count else 1
    row = read_json(reader.folder.path / RESULT_FILE)[0]
    if args.json:
        print_json(row)
    else:
        print_rows([row])
    return 0


def _measure_retrieval(args: argparse.Namespace, root: Path, progress: Progress) -> int:
    from rung.engine.check.search import measure_alone
    from rung.engine.ladder.entries import find_entry
    from rung.engine.project.load import load_project
    from rung.engine.training.models_wanted import models_of_documents, refuse_missing_models
    from rung.tui.text.phases import index_words
    from rung.tui.text.retrieval import retrieval_lines

    def tell(said: dict[str, Any]) -> None:
        if said["type"] == "phase" and settings is not None:
            progress.status(index_words(said, settings.embedding_model or "the embedding model"))
        elif said["type"] == "warning":
            progress.line(f"{said['message']}: {said['details']}")

    for given, name in ((args.run, "--run"), (args.endpoint, "--endpoint"), (args.shots, "--shots")):
        if given:
            raise EngineError(f"{name} names a model: retrieval alone asks none", hint=f"leave {name} out")
    project = load_project(root)
    settings = find_entry(root, args.candidate).spec.retrieval if args.candidate else project.documents
    if settings is None:
        what = f"The candidate {args.candidate} has no retrieval" if args.candidate else "The project has no documents"
        raise EngineError(what, hint="name a folder of texts: documents.path in rung.yaml")
    if not args.fetch:
        refuse_missing_models(models_of_documents(settings), root)
    python = worker_python(root)
    try:
        found = measure_alone(root, settings.model_dump(), python, tell)
    finally:
        progress.close()
    if args.json:
        print_json(found)
    else:
        print("\n".join(printable(line) for line in retrieval_lines(found)))
    return 0


def _spec(args: argparse.Namespace, root: Path) -> "CandidateSpec":
    from rung.engine.jobs.folder import find_run
    from rung.engine.ladder.entries import find_entry
    from rung.engine.ladder.spec import CandidateSpec, declared_spec, tuned_spec
    from rung.engine.project.load import load_project

    project = load_project(root)
    spec = find_entry(root, args.candidate).spec if args.candidate else declared_spec(project)
    if args.run:
        spec = tuned_spec(spec, project, find_run(root, args.run), root)
    changes: dict[str, Any] = {}
    if args.rag:
        changes["retrieval"] = project.documents
    if args.endpoint:
        changes["endpoint"] = args.endpoint
    shots = {"k": args.shots, "selection": args.selection}
    changes["few_shot"] = spec.few_shot.model_copy(
        update={name: given for name, given in shots.items() if given is not None}
    )
    return CandidateSpec.model_validate(spec.model_copy(update=changes).model_dump())
