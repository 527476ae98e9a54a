"""Index build and query figures: our retrieval beside LanceDB and tantivy used directly, on seeded synthetic text.

    python benchmarks/retrieval.py --chunks 100000 1000000 --work /tmp/retrieval

Every engine builds, and then queries, in fresh processes, so that import, CPU seconds and memory are its own.
tantivy is left out where it is not installed (pip install tantivy). A table in Markdown goes to standard output.
"""

import argparse
import importlib.util
import json
import resource
import shutil
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
SEED = 20261123
VOCABULARY = 50_000
CHUNK_CHARACTERS = 480
PARTS = 100  # files that the corpus is kept in; one of them is changed to measure an update
COMMON = 200  # the most frequent words: in every chunk, so no question is made of them
QUESTION_WORDS = 4
K = 10
ENGINES = ("rung", "lancedb", "tantivy")
HEADER = (
    "| chunks | engine | import CPU s | build CPU s (wall) | 1 % changed, CPU s | query p50 / p95 ms | CPU ms a query "
    "| RSS build / query MB | on disk MB | hit@10 |"
)


def main() -> None:
    """Make the corpora, run every engine, print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--chunks", type=int, nargs="+", default=[100_000])
    parser.add_argument("--engines", nargs="+", choices=ENGINES, default=list(ENGINES))
    parser.add_argument("--queries", type=int, default=500)
    parser.add_argument("--work", type=Path, default=Path("retrieval-benchmark"), help="corpora and indexes go here")
    parser.add_argument("--stage", nargs=2, metavar=("ENGINE", "STAGE"), help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.stage:
        print(json.dumps(run_stage(*arguments.stage, arguments.work)))
        return
    print(HEADER)
    print("|" + "---|" * (HEADER.count("|") - 1))
    for chunks in arguments.chunks:
        work = arguments.work / str(chunks)
        shutil.rmtree(work, ignore_errors=True)
        make_corpus(work, chunks, arguments.queries)
        for engine in arguments.engines:
            if importlib.util.find_spec("tantivy" if engine == "tantivy" else "lancedb") is None:
                print(f"| {chunks:,} | {engine} | not installed |" + " |" * 7, flush=True)
                continue
            print(row(chunks, engine, measure(engine, work)), flush=True)


def measure(engine: str, work: Path) -> dict[str, Any]:
    """The figures of one engine on one corpus, each stage in a process of its own."""
    shutil.rmtree(work / engine, ignore_errors=True)
    figures: dict[str, Any] = {}
    for stage in ("build", "query", "update") if engine == "rung" else ("build", "query"):
        command = [sys.executable, str(Path(__file__)), "--work", str(work), "--stage", engine, stage]
        done = subprocess.run(command, check=True, capture_output=True, text=True, cwd=ROOT)
        figures[stage] = json.loads(done.stdout.splitlines()[-1])
        if stage == "build":
            figures["disk_mb"] = sum(path.stat().st_size for path in (work / engine).rglob("*") if path.is_file()) / 1e6
    return figures


def row(chunks: int, engine: str, figures: dict[str, Any]) -> str:
    """One line of the table."""
    build, query, update = figures["build"], figures["query"], figures.get("update")
    cells = [
        f"{chunks:,}",
        engine,
        f"{build['import_cpu_s']:.2f}",
        f"{build['cpu_s']:.1f} ({build['wall_s']:.1f})",
        f"{update['cpu_s']:.1f}" if update else "–",
        f"{query['p50_ms']:.1f} / {query['p95_ms']:.1f}",
        f"{query['cpu_ms']:.1f}",
        f"{build['rss_mb']:.0f} / {query['rss_mb']:.0f}",
        f"{figures['disk_mb']:.0f}",
        f"{query['hit_at_10']:.3f}",
    ]
    return "| " + " | ".join(cells) + " |"


def make_corpus(work: Path, chunks: int, queries: int) -> None:
    """Write `chunks` rows of about 480 characters (words by Zipf's law) in parts, and questions with their row's id.

    A question is four of its row's words, none of them among the 200 most frequent, in another order.
    """
    import numpy as np

    generator = np.random.default_rng(SEED)
    letters = np.array(list("aeioubcdfglmnprstv"))
    lengths = generator.integers(3, 11, VOCABULARY)
    words = np.array(["".join(generator.choice(letters, length)) for length in lengths])
    weights = 1 / np.arange(1, VOCABULARY + 1)
    cumulative = np.cumsum(weights / weights.sum())
    asked = set(generator.choice(chunks, queries, replace=False).tolist())
    (work / "corpus").mkdir(parents=True)
    per_part = -(-chunks // PARTS)
    with (work / "questions.jsonl").open("w") as questions:
        for part in range(PARTS):
            first, last = part * per_part, min(chunks, (part + 1) * per_part)
            drawn = np.searchsorted(cumulative, generator.random((max(0, last - first), 100)))
            with (work / "corpus" / f"{part:03d}.jsonl").open("w") as rows:
                for number, ranks in enumerate(drawn, start=first):
                    text = " ".join(words[ranks])[:CHUNK_CHARACTERS].rsplit(" ", 1)[0]
                    rows.write(json.dumps({"id": number, "text": text}) + "\n")
                    if number in asked:
                        count = text.count(" ") + 1
                        known = [words[rank] for rank in dict.fromkeys(ranks[:count].tolist()) if rank >= COMMON]
                        chosen = generator.permutation(known)[:QUESTION_WORDS]
                        questions.write(json.dumps({"id": number, "question": " ".join(chosen)}) + "\n")


def run_stage(engine: str, stage: str, work: Path) -> dict[str, Any]:
    """Build, query or update with one engine, in this process."""
    sys.path.insert(0, str(ROOT))
    stages: dict[tuple[str, str], Callable[[Path], dict[str, Any]]] = {
        ("rung", "build"): rung_build,
        ("rung", "query"): rung_query,
        ("rung", "update"): rung_update,
        ("lancedb", "build"): lancedb_build,
        ("lancedb", "query"): lancedb_query,
        ("tantivy", "build"): tantivy_build,
        ("tantivy", "query"): tantivy_query,
    }
    return stages[engine, stage](work)


def rung_build(work: Path) -> dict[str, Any]:
    from rung.engine.retrieval.build import build_index
    from rung.engine.retrieval.settings import RetrievalSettings

    import_cpu = imported("lancedb", "semantic_text_splitter")
    settings = RetrievalSettings(chunk_size=CHUNK_CHARACTERS)
    return {"import_cpu_s": import_cpu, **timed(lambda: build_index(work / "corpus", work / "rung", settings))}


def rung_update(work: Path) -> dict[str, Any]:
    """One of the hundred files gets other rows."""
    from rung.engine.retrieval.build import build_index
    from rung.engine.retrieval.settings import RetrievalSettings

    imported("lancedb", "semantic_text_splitter")
    changed = work / "corpus" / "000.jsonl"
    before = changed.read_text()
    lines = [json.loads(line) for line in before.splitlines()]
    changed.write_text("".join(json.dumps({**line, "text": line["text"][::-1]}) + "\n" for line in lines))
    settings = RetrievalSettings(chunk_size=CHUNK_CHARACTERS)
    figures = timed(lambda: build_index(work / "corpus", work / "rung", settings))
    changed.write_text(before)  # the other engines read the same corpus
    return figures


def rung_query(work: Path) -> dict[str, Any]:
    from rung.engine.retrieval.index import open_index
    from rung.engine.retrieval.settings import RetrievalSettings

    index = open_index(work / "rung", RetrievalSettings(chunk_size=CHUNK_CHARACTERS))
    first_ids = part_starts(work)

    def search(question: str) -> list[int]:
        places = [hit.chunk.source.split("#") for hit in index.search(question, K)]
        return [first_ids[part] + int(line) - 1 for part, line in places]

    return queried(work, search)


def lancedb_build(work: Path) -> dict[str, Any]:
    import_cpu = imported("lancedb")
    import lancedb
    import pyarrow as pa
    from lancedb.index import FTS

    def build() -> None:
        schema = pa.schema([("id", pa.int64()), ("text", pa.string())])
        table = lancedb.connect(str(work / "lancedb")).create_table("t", schema=schema)
        for batch in batched_rows(work):
            table.add(pa.Table.from_pylist(batch, schema=schema))
        table.create_index("text", config=FTS())
        table.optimize()

    return {"import_cpu_s": import_cpu, **timed(build)}


def lancedb_query(work: Path) -> dict[str, Any]:
    import lancedb
    from lancedb.query import MatchQuery

    table = lancedb.connect(str(work / "lancedb")).open_table("t")

    def search(question: str) -> list[int]:
        found = table.search(MatchQuery(question, "text"), query_type="fts").limit(K).to_arrow()
        return [int(value) for value in found["id"].to_pylist()]

    return queried(work, search)


def tantivy_build(work: Path) -> dict[str, Any]:
    import_cpu = imported("tantivy")
    import tantivy

    def build() -> None:
        (work / "tantivy").mkdir()
        writer = tantivy.Index(tantivy_schema(), path=str(work / "tantivy")).writer(256 << 20, 1)
        for batch in batched_rows(work):
            for line in batch:
                writer.add_document(tantivy.Document(id=line["id"], text=line["text"]))
        writer.commit()
        writer.wait_merging_threads()

    return {"import_cpu_s": import_cpu, **timed(build)}


def tantivy_query(work: Path) -> dict[str, Any]:
    import tantivy

    index = tantivy.Index(tantivy_schema(), path=str(work / "tantivy"))
    searcher = index.searcher()

    def search(question: str) -> list[int]:
        hits = searcher.search(index.parse_query(question, ["text"]), K).hits
        return [int(searcher.doc(address)["id"][0]) for _, address in hits]

    return queried(work, search)


def tantivy_schema() -> Any:
    import tantivy

    builder = tantivy.SchemaBuilder()
    builder.add_integer_field("id", stored=True)
    builder.add_text_field("text", stored=True, tokenizer_name="en_stem")
    return builder.build()


def batched_rows(work: Path, size: int = 20_000) -> Iterator[list[dict[str, Any]]]:
    """Rows of the corpus, as many at a time as our own builds write."""
    batch: list[dict[str, Any]] = []
    for path in sorted((work / "corpus").iterdir()):
        with path.open() as lines:
            for line in lines:
                batch.append(json.loads(line))
                if len(batch) == size:
                    yield batch
                    batch = []
    if batch:
        yield batch


def part_starts(work: Path) -> dict[str, int]:
    """The id of the first row of each part of the corpus."""
    starts: dict[str, int] = {}
    for path in sorted((work / "corpus").iterdir()):
        with path.open() as lines:
            first = lines.readline()
        if first:
            starts[path.name] = json.loads(first)["id"]
    return starts


def queried(work: Path, search: Callable[[str], list[int]]) -> dict[str, Any]:
    """Latency, CPU time, hit rate and memory over all questions, after ten of them to warm up."""
    questions = [json.loads(line) for line in (work / "questions.jsonl").read_text().splitlines()]
    for question in questions[:10]:
        search(question["question"])
    seconds: list[float] = []
    found = 0
    cpu = time.process_time()
    for question in questions:
        started = time.perf_counter()
        ids = search(question["question"])
        seconds.append(time.perf_counter() - started)
        found += question["id"] in ids
    cpu = time.process_time() - cpu
    cuts = statistics.quantiles(seconds, n=20)
    return {
        "p50_ms": 1000 * statistics.median(seconds),
        "p95_ms": 1000 * cuts[-1],
        "cpu_ms": 1000 * cpu / len(questions),
        "hit_at_10": found / len(questions),
        "rss_mb": peak_mb(),
    }


def timed(work: Callable[[], object]) -> dict[str, Any]:
    """CPU (all threads) and wall seconds of a call, and the peak memory of the process."""
    cpu, wall = time.process_time(), time.perf_counter()
    work()
    return {"cpu_s": time.process_time() - cpu, "wall_s": time.perf_counter() - wall, "rss_mb": peak_mb()}


def imported(*names: str) -> float:
    """CPU seconds that importing these modules takes."""
    started = time.process_time()
    for name in names:
        importlib.import_module(name)
    return time.process_time() - started


def peak_mb() -> float:
    """The most memory that this process has held, in MB (Linux counts in KiB)."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e6


if __name__ == "__main__":
    main()
