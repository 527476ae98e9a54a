"""Taking a model's reasoning out of its answer."""

import re
from collections.abc import Sequence

REASONING_TAGS = ("think", "thinking", "reasoning")


def strip_reasoning(answer: str, tags: Sequence[str] = REASONING_TAGS) -> str:
    """The answer without <think>…</think> and its like, for each of the tags; unchanged where there is none.

    A closing tag alone (the template had opened it in the prompt) ends the reasoning; an opening tag alone (the token
    limit came first) means that there is no answer after it.
    """
    text = answer
    for tag in tags:
        name = re.escape(tag)
        text = re.sub(rf"<{name}>.*?</{name}>", "", text, flags=re.DOTALL | re.IGNORECASE)
        text = re.split(rf"</{name}>", text, flags=re.IGNORECASE)[-1]
        text = re.split(rf"<{name}>", text, flags=re.IGNORECASE)[0]
    return text if text == answer else text.strip()
