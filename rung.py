"""The installed command `rung`, and the file that workers are started from.

In the tree this is rung.py beside engine/, tui/ and recipes/; installed it is rung/__init__.py above the same three.
"""

import os
import signal
import sys
from collections.abc import Sequence
from pathlib import Path


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command line and give its exit code: 0 done, 1 the job failed, 2 bad usage or input, 130 interrupted."""
    _put_own_folder_first()
    arguments = list(sys.argv[1:] if argv is None else argv)
    if arguments[:1] == ["worker"]:
        # A worker is the engine alone: it loads nothing of the command line or the screens.
        from engine.worker.main import main as worker_main

        return worker_main(arguments[1:])
    return _command_line(arguments)


def _command_line(arguments: list[str]) -> int:
    from engine.errors import EngineError

    try:
        from tui.cli import main as cli_main

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


def _put_own_folder_first() -> None:
    """Make `import engine` mean ours, also where the user's own folder has an engine.py."""
    own_folder = str(Path(__file__).resolve().parent)
    if sys.path[:1] != [own_folder]:
        if own_folder in sys.path:
            sys.path.remove(own_folder)
        sys.path.insert(0, own_folder)


if __name__ == "__main__":
    sys.exit(main())
