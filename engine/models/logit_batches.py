"""Batches of texts for the forgetting meter, bounded by what their logits take: of a big vocabulary they are small."""

from collections.abc import Sequence

LOGIT_ENTRIES = 1 << 25
"""Numbers of one batch's logits: 128 MB in float32."""
CHUNK_ENTRIES = 1 << 23
"""So many of them are made probabilities of at once."""
MAX_PASSAGE_TOKENS = 256
ANSWER_TOKENS = 32
KL_PROMPTS = 16
_MOST_TOKENS = 16 * MAX_PASSAGE_TOKENS
KEPT_ENTRIES = 64_000_000
"""Of the base's distributions so many numbers are kept: two bytes each, 128 MB."""


def plan_batches(spans: Sequence[tuple[int, int]], vocabulary: int, most: int) -> list[list[int]]:
    """Numbers of the texts, at most `most` in a batch; a text that is too large alone is one.

    `spans`: for each text the first place whose logits are wanted, and its length. Longest first, so that what one
    batch leaves free is large enough for the next.
    """
    batches: list[list[int]] = []
    first = length = 0
    for number in sorted(range(len(spans)), key=lambda text: -spans[text][1]):
        entries = (length - min(first, spans[number][0])) * vocabulary * (len(batches[-1]) + 1 if batches else 1)
        if batches and len(batches[-1]) < most and entries <= LOGIT_ENTRIES:
            batches[-1].append(number)
            first = min(first, spans[number][0])
        else:
            batches.append([number])
            first, length = spans[number]
    return batches


def peak_bytes(vocabulary: int, size: int) -> int:
    """Bytes of what a reading holds at the most beside the model, whose numbers take `size` bytes.

    A batch's logits, a chunk of them as probabilities, and what the base says of its own answers: two bytes a number,
    twice while it is written to its file.
    """
    logits = max(MAX_PASSAGE_TOKENS * vocabulary, min(LOGIT_ENTRIES, _MOST_TOKENS * vocabulary))
    kept = min(KEPT_ENTRIES, KL_PROMPTS * ANSWER_TOKENS * vocabulary)
    return logits * size + 3 * 4 * min(CHUNK_ENTRIES, MAX_PASSAGE_TOKENS * vocabulary) + 2 * 2 * kept
