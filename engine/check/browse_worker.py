"""The worker behind the Data screen: reads a data source once, then answers for single rows until its stdin closes.

JSON lines over stdin and stdout: first what is to be read, answered by the report, then requests, each with an answer.
"""

import json
import os
import sys
from typing import Any

from rung.engine.check.check_data import CheckedData, answer
from rung.engine.core.errors import EngineError


def main() -> int:
    """Answer the lines on stdin. What libraries print goes to stderr, so that stdout holds answers alone."""
    with os.fdopen(os.dup(1), "w", encoding="utf-8") as answers:
        os.dup2(2, 1)
        checked: CheckedData | None = None
        for line in sys.stdin:
            said: dict[str, Any]
            try:
                request = json.loads(line)
                if checked is None:
                    checked = CheckedData(request)
                    said = {"report": checked.report}
                else:
                    said = answer(checked, request)
            except EngineError as error:
                said = {"error": {"message": error.message, "details": error.details, "hint": error.hint}}
            answers.write(json.dumps(said) + "\n")
            answers.flush()
    return 0
