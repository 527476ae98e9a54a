"""The forgetting meter's batches: no more logits at once than its bound, and each text's own whatever its batch."""

from pathlib import Path

import pytest

from rung.engine.models.logit_batches import LOGIT_ENTRIES, peak_bytes, plan_batches
from tests.helpers.tiny import Architecture, make_tiny_model


@pytest.mark.parametrize(("vocabulary", "rows"), [(264, 8), (32_000, 8), (152_000, 2)])
def test_a_batch_holds_no_more_than_the_bound_or_one_text(vocabulary: int, rows: int) -> None:
    spans = [(start, length) for start in (0, 3, 90) for length in range(100, 257, 7)]
    batches = plan_batches(spans, vocabulary, 8)
    assert sorted(number for batch in batches for number in batch) == list(range(len(spans)))
    for batch in batches:
        width = max(spans[number][1] for number in batch) - min(spans[number][0] for number in batch)
        assert len(batch) <= 8
        assert len(batch) * width * vocabulary <= LOGIT_ENTRIES or len(batch) == 1
        assert len(batch) * width * vocabulary * 4 <= peak_bytes(vocabulary, 4)
    assert max(map(len, batches)) == rows


@pytest.mark.parametrize("architecture", ["llama", "gemma2", "gpt2"])
def test_a_texts_logits_are_those_it_has_alone(architecture: Architecture, tmp_path: Path) -> None:
    import torch
    from transformers import AutoModelForCausalLM

    from rung.engine.training.probe.logits import each_logits, log_likelihood

    make_tiny_model(tmp_path, architecture=architecture)
    model = AutoModelForCausalLM.from_pretrained(tmp_path).eval()
    torch.manual_seed(0)
    rows = [torch.randint(4, 260, (length,)).tolist() for length in (5, 19, 40, 7, 33)]
    firsts = [0, 4, 39, 6, 10]
    with torch.no_grad():
        found = {number: logits.clone() for number, logits in each_logits(model, 0, rows, firsts, 3)}
        for number, (row, first) in enumerate(zip(rows, firsts, strict=True)):
            alone = model(input_ids=torch.tensor([row])).logits[0]
            assert torch.allclose(found[number], alone[first:], atol=1e-4)
            wanted = alone.log_softmax(-1)[range(len(row) - 1), row[1:]].sum()
            assert log_likelihood(alone[:-1], row[1:]) == pytest.approx(float(wanted), abs=1e-3)
