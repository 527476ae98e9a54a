"""Sampling of a whole batch where its logits lie: the distribution it draws from, and that a row is its own."""

import pytest
import torch

from rung.engine.generation import sampling
from rung.engine.generation.client import Decoding
from rung.engine.generation.sampling import pick_tokens

FEW = torch.log(torch.tensor([0.1, 0.5, 0.3, 0.1]))


def seeded(count: int, first: int = 0) -> list[torch.Generator]:
    return [torch.Generator().manual_seed(first + number) for number in range(count)]


def nucleus(logits: torch.Tensor, decoding: Decoding) -> torch.Tensor:
    """The distribution by its definition, one token after the other: [vocabulary], in float64."""
    probabilities = torch.softmax(logits.double() / decoding.temperature, dim=-1)
    kept, reached = torch.zeros_like(probabilities), 0.0
    for token in sorted(range(len(logits)), key=lambda token: -float(probabilities[token])):
        if reached >= decoding.top_p and reached > 0:
            break
        kept[token] = probabilities[token]
        reached += float(probabilities[token])
    return kept / kept.sum()


@pytest.mark.parametrize("top_p", [1.0, 0.7, 0.95, 1e-6])
@pytest.mark.parametrize("temperature", [0.5, 1.0, 1.7])
def test_draws_follow_the_nucleus(top_p: float, temperature: float) -> None:
    torch.manual_seed(1)
    logits = torch.randn(12) * 2
    decoding = Decoding(temperature=temperature, top_p=top_p)
    draws = 20_000
    picked = torch.tensor(pick_tokens(logits.expand(draws, -1), decoding, seeded(draws)))
    wanted = nucleus(logits, decoding)
    found = torch.bincount(picked, minlength=12) / draws
    assert (found[wanted == 0] == 0).all(), "what is outside the nucleus is never drawn"
    # Five standard deviations of a share of 20,000 draws.
    assert ((found - wanted).abs() <= 5 * (wanted * (1 - wanted) / draws).sqrt() + 1e-9).all()


def test_one_generator_draws_the_same_distribution_token_after_token() -> None:
    random, decoding = torch.Generator().manual_seed(0), Decoding(temperature=1.0, top_p=0.7)
    draws = [pick_tokens(FEW[None], decoding, [random])[0] for _ in range(2000)]
    assert set(draws) == {1, 2}
    # Binomial, n 2000, p .625: three standard deviations are .033.
    assert abs(draws.count(1) / 2000 - 0.625) < 0.033


def test_at_temperature_zero_it_is_the_likeliest_and_draws_nothing() -> None:
    random = torch.Generator().manual_seed(0)
    before = random.get_state()
    assert pick_tokens(torch.stack([FEW, -FEW]), Decoding(temperature=0.0), [random, random]) == [1, 0]
    assert torch.equal(random.get_state(), before)


@pytest.mark.parametrize("top_p", [1.0, 0.9])
def test_a_row_draws_by_its_own_seed_whatever_its_batch(top_p: float) -> None:
    torch.manual_seed(2)
    # Few different values, as bfloat16 gives: equal ones keep the order of their numbers.
    logits = torch.randn(64, 500).bfloat16().float()
    decoding = Decoding(temperature=0.8, top_p=top_p)
    together = pick_tokens(logits, decoding, seeded(64))
    alone = [pick_tokens(logits[row : row + 1], decoding, seeded(1, row))[0] for row in range(64)]
    assert together == alone
    backwards = pick_tokens(logits.flip(0), decoding, seeded(64)[::-1])
    assert backwards == together[::-1]
    assert len(set(together)) > 20


@pytest.mark.parametrize("spread", [0.1, 1.0, 4.0])
def test_the_nucleus_among_a_few_is_that_of_the_whole_vocabulary(
    spread: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Wide nuclei, which need the whole, and narrow ones, with many equal probabilities at every border."""
    torch.manual_seed(4)
    logits = (torch.randn(40, 3000) * spread).bfloat16().float()
    decoding = Decoding(temperature=0.9, top_p=0.8)
    among_few = pick_tokens(logits, decoding, seeded(40))
    monkeypatch.setattr(sampling, "FEW", 3000)
    assert pick_tokens(logits, decoding, seeded(40)) == among_few


def test_tokens_without_probability_are_never_drawn() -> None:
    logits = torch.full((1000, 9), float("-inf"))
    logits[:, 4] = 0.0
    for top_p in (1.0, 0.5):
        assert set(pick_tokens(logits, Decoding(temperature=1.0, top_p=top_p), seeded(1000))) == {4}


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_a_gpu_draws_what_the_cpu_draws() -> None:
    torch.manual_seed(3)
    logits = torch.randn(32, 50_000)
    decoding = Decoding(temperature=1.0, top_p=0.9)
    there = pick_tokens(logits.cuda(), decoding, seeded(32))
    here = pick_tokens(logits, decoding, seeded(32))
    # A sum in another order may decide at a border.
    assert sum(a != b for a, b in zip(there, here, strict=True)) <= 1
