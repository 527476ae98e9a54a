"""The command `rung`, also as `python -m rung`; and, by its path, the file that workers are started from.

A worker may run in an interpreter in which Rung is not installed (`worker_python`), and in a folder that has an
engine.py or a rung.py of its own. Started by its path, this file therefore makes its own folder the package `rung`,
and puts nothing on sys.path.
"""

import importlib.util
import os
import signal
import sys
from collections.abc import Sequence
from pathlib import Path


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command line and give its exit code: 0 done, 1 the job failed, 2 bad usage or input, 130 interrupted."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    if arguments[:1] == ["worker"]:
        # A worker is the engine alone: it loads nothing of the command line or the screens.
        from rung.engine.worker import main as worker_main

        return worker_main(arguments[1:])
    return _command_line(arguments)


def _command_line(arguments: list[str]) -> int:
    from rung.engine.core.errors import EngineError

    try:
        from rung.tui.cli import main as cli_main

        code = cli_main(arguments)
        sys.stdout.flush()
        return code
    except EngineError as error:
        print(f"rung: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("rung: interrupted", file=sys.stderr)
        return 130
    except BrokenPipeError:
        # The reader of our output went away (`rung runs | head`): end as other commands do, and keep the
        # interpreter from complaining when it flushes stdout on its way out.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 128 + signal.SIGPIPE
    except OSError as error:
        # A folder that can't be written, a disk that is full: what the person named, not what the program did.
        place = f"{error.filename}: " if error.filename else ""
        print(f"rung: {place}{error.strerror or error}", file=sys.stderr)
        return 2


def _load_package() -> None:
    """Make the folder of this file the package `rung` of this process."""
    folder = Path(__file__).resolve().parent
    spec = importlib.util.spec_from_file_location(
        "rung", folder / "__init__.py", submodule_search_locations=[str(folder)]
    )
    if spec is None or spec.loader is None:
        raise ImportError(f"{folder} can't be loaded as a package")
    package = importlib.util.module_from_spec(spec)
    sys.modules["rung"] = package
    spec.loader.exec_module(package)


# Also where a process that this one starts imports this file again, as multiprocessing does.
if not __package__:
    _load_package()

if __name__ == "__main__":
    sys.exit(main())
