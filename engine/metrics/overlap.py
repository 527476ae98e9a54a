"""Metrics of overlap from the field's own libraries: ROUGE-L (rouge-score), BLEU and chrF (sacrebleu), 0 to 1."""

import re
from functools import cache
from typing import Any

# Letters of scripts that put no space between words; each counts as a word of its own.
_UNSPACED = "\u0e00-\u0e7f\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff"
_WORD = re.compile(rf"[{_UNSPACED}]|[^\W_{_UNSPACED}]+")


def rouge_l(answer: str, reference: str) -> float:
    """ROUGE-L F-measure (Lin 2004), without stemming."""
    return float(_rouge_scorer().score(reference, answer)["rougeL"].fmeasure)


def bleu(answer: str, reference: str) -> float:
    """Sentence BLEU with exponential smoothing and effective order, as sacrebleu computes it, divided by 100."""
    import sacrebleu

    return float(sacrebleu.sentence_bleu(answer, [reference]).score) / 100


def chrf(answer: str, reference: str) -> float:
    """Sentence chrF2 (Popović 2015), as sacrebleu computes it, divided by 100."""
    import sacrebleu

    return float(sacrebleu.sentence_chrf(answer, [reference]).score) / 100


@cache
def _rouge_scorer() -> Any:
    from rouge_score.rouge_scorer import RougeScorer

    return RougeScorer(["rougeL"], tokenizer=_UnicodeWords())


class _UnicodeWords:
    """rouge-score's own tokeniser on English; it drops every letter beyond a to z, this one doesn't."""

    def tokenize(self, text: str) -> list[str]:
        """The text's words in lower case."""
        return _WORD.findall(text.lower())
