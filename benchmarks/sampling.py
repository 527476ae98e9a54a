"""Time to draw a batch's next tokens: each row sorted on the CPU, as it was, against the batch where its logits lie.

    python -m benchmarks.sampling                     # on a GPU where there is one, else on the CPU
    python -m benchmarks.sampling --rows 64 --vocabulary 151936 --device cpu

Prints milliseconds a token of the whole batch for both ways, and for copying the logits to the CPU alone.
"""

import argparse
import time
from collections.abc import Callable

import torch

from rung.engine.generation.client import Decoding
from rung.engine.generation.sampling import pick_tokens
from rung.engine.models.load import pick_device


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--rows", type=int, default=64)
    parser.add_argument("--vocabulary", type=int, default=151_936)
    parser.add_argument("--device", default=pick_device())
    parser.add_argument("--repeats", type=int, default=10)
    args = parser.parse_args()
    torch.manual_seed(0)
    # As a model's: the n-th likeliest token has a probability like n to the power of -1.5.
    ranks = torch.stack([torch.randperm(args.vocabulary) for _ in range(args.rows)])
    logits = (-1.5 * (ranks + 1.0).log()).to(args.device)
    randoms = [torch.Generator().manual_seed(row) for row in range(args.rows)]
    name = torch.cuda.get_device_name() if args.device != "cpu" else f"CPU, {torch.get_num_threads()} threads"
    print(f"{args.rows} rows, vocabulary {args.vocabulary:,}, {name}")
    for top_p in (1.0, 0.9):
        decoding = Decoding(temperature=0.8, top_p=top_p)
        ways: dict[str, Callable[[], object]] = {
            "each row on the CPU": lambda decoding=decoding: row_by_row(logits, decoding, randoms),
            "the batch": lambda decoding=decoding: pick_tokens(logits, decoding, randoms),
            "copy to the CPU": lambda: logits.cpu(),
        }
        for way, draw in ways.items():
            print(f"top_p {top_p}  {way:<20} {1000 * seconds(draw, args.repeats):9.2f} ms")


def row_by_row(logits: torch.Tensor, decoding: Decoding, randoms: list[torch.Generator]) -> list[int]:
    """As it was: every row copied to the CPU, its whole vocabulary sorted there, a random number for each token."""
    picked = []
    for row, random in zip(logits.cpu(), randoms, strict=True):
        probabilities, order = torch.softmax(row / decoding.temperature, dim=-1).sort(descending=True, stable=True)
        before = probabilities.cumsum(-1) - probabilities
        probabilities[(before >= decoding.top_p) & (before > 0)] = 0.0
        picked.append(int(order[torch.multinomial(probabilities, 1, generator=random)]))
    return picked


def seconds(draw: Callable[[], object], repeats: int) -> float:
    """The fastest of so many draws, after one that warms up."""
    draw()
    times = []
    for _ in range(repeats):
        began = time.perf_counter()
        draw()
        if torch.cuda.is_available():
            torch.cuda.synchronize()
        times.append(time.perf_counter() - began)
    return min(times)


if __name__ == "__main__":
    main()
