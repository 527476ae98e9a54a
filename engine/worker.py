"""Entry of `rung worker KIND …`: light until it knows what it is to do."""

import sys
from collections.abc import Sequence
from pathlib import Path

from rung.engine.jobs.quiet import leave_out_no_news


def main(arguments: Sequence[str]) -> int:
    """Run one worker and give its exit code."""
    leave_out_no_news()
    kind, *rest = arguments or ("",)
    if kind == "train" and len(rest) == 1:
        from rung.engine.training.session import run_session

        return run_session(Path(rest[0]))
    if kind == "generate" and not rest:
        from rung.engine.generation.worker import main as generate_main

        return generate_main()
    if kind == "evaluate" and len(rest) == 1:
        from rung.engine.ladder.worker import main as evaluate_main

        return evaluate_main(Path(rest[0]))
    if kind == "check" and not rest:
        from rung.engine.check.check_worker import main as check_main

        return check_main()
    if kind == "browse" and not rest:
        from rung.engine.check.browse_worker import main as browse_main

        return browse_main()
    if kind == "export" and not rest:
        from rung.engine.results.export_worker import main as export_main

        return export_main()
    if kind == "retrieve" and not rest:
        from rung.engine.check.search_worker import main as retrieve_main

        return retrieve_main()
    if kind == "fetch" and len(rest) == 1:
        from rung.engine.hub.fetch_worker import main as fetch_main

        return fetch_main(Path(rest[0]))
    print("rung worker: this command is Rung's own; people use rung run, rung compare and rung eval", file=sys.stderr)
    return 2
