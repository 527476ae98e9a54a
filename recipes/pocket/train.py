"""Trains the pocket model from scratch: `python -m rung.recipes.pocket.train --steps 4000`."""

import argparse
import ctypes
import json
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from itertools import islice
from pathlib import Path
from random import Random

import torch
import torch.distributed as dist
import torch.nn.functional as F
from tokenizers import Tokenizer
from torch import Tensor

from rung.recipes.pocket import chats
from rung.recipes.pocket.architecture import Pocket, Size, export, load_export

HERE = Path(__file__).parent
POOL = 3000
TEXT_WEIGHT = 0.5
PROMPT_WEIGHT = (
    0.25  # what is repeated within prompts teaches copying; on answers alone it had not formed after 8 M tokens
)
Rate = Callable[[float], float]


@dataclass(frozen=True)
class Batch:
    """Padded ids [B, T], flat indices of the scored positions, their targets and weights."""

    ids: Tensor
    scored: Tensor
    targets: Tensor
    weights: Tensor
    num_tokens: int


def train(rank: int, args: argparse.Namespace) -> None:
    """Runs one of `args.processes` workers to the end, going on from `work/state.pt` where there is one."""
    torch.manual_seed(args.seed)
    torch.set_num_threads(1)
    if args.processes > 1:
        store = f"file://{(args.work / 'rendezvous').resolve()}"
        dist.init_process_group("gloo", init_method=store, rank=rank, world_size=args.processes)
    tokenizer = Tokenizer.from_file(str(args.tokenizer / "tokenizer.json"))
    model = Pocket(
        Size(
            vocab=tokenizer.get_vocab_size(),
            width=args.width,
            layers=args.layers,
            heads=args.heads,
            feed_forward=args.feed_forward,
        )
    )
    optimizers = make_optimizers(model, args)
    run = torch.compile(model, dynamic=True) if args.compile else model
    say = print if rank == 0 else lambda *_, **__: None
    say(f"{sum(p.numel() for p in model.parameters()) / 1e6:.2f} M parameters", flush=True)
    step, tokens, pool, used = 0, 0, 0, 0.0
    libc = ctypes.CDLL(None)
    if args.start_from is not None:
        load_export(model, args.start_from)
    if (args.work / "state.pt").exists():
        step, tokens, pool, used = restore(args.work / "state.pt", model, optimizers)
    started, last_saved, losses = time.time() - used, time.time(), []
    last, last_tokens = time.time(), tokens
    progress = used / args.seconds if args.seconds else step / args.steps
    while progress < 1:
        length = min(1.0, 0.2 + progress / args.short_until)
        for batch in batches(tokenizer, pool, rank, length, progress < args.drill_until, args):
            share = max(step / args.steps, (time.time() - started) / args.seconds if args.seconds else 0.0)
            loss, progress = optimise(run, model, optimizers, batch, partial(schedule, step), share)
            losses.append(loss)
            step, tokens = step + 1, tokens + batch.num_tokens * args.processes
            if step % 50 == 0:
                now = time.time()
                record = {
                    "step": step, "loss": round(sum(losses) / len(losses), 4), "tokens": tokens,
                    "progress": round(progress, 4),
                    "tokens_per_second": round((tokens - last_tokens) / (now - last)), "seconds": round(now - started),
                }  # fmt: skip
                say(json.dumps(record), flush=True)
                losses, last, last_tokens = [], now, tokens
            if progress >= 1:
                break
        pool += 1
        if hasattr(
            libc, "malloc_trim"
        ):  # batches of ever different shapes fragment glibc's heap: 0.6 GB more every 5 minutes
            libc.malloc_trim(0)
        if rank == 0 and time.time() - last_saved > args.save_seconds:
            save(args.work, model, optimizers, (step, tokens, pool, time.time() - started), tokenizer)
            last_saved = time.time()
    if rank == 0:
        save(args.work, model, optimizers, (step, tokens, pool, time.time() - started), tokenizer)
    say(
        json.dumps({"finished": True, "step": step, "tokens": tokens, "seconds": round(time.time() - started)}),
        flush=True,
    )


def optimise(
    run: Callable[[Tensor, Tensor], Tensor],
    model: Pocket,
    optimizers: list[torch.optim.Optimizer],
    batch: Batch,
    rate: Rate,
    progress: float,
) -> tuple[float, float]:
    """One step over all workers' batches; gives the mean loss per scored token in nats, and the agreed progress.

    `run` is the model, or what torch.compile made of it.
    """
    logits = run(batch.ids, batch.scored)
    each = F.cross_entropy(logits.float(), batch.targets, reduction="none")
    loss = (each * batch.weights).sum() / batch.weights.sum()
    loss.backward()
    mean_loss, agreed = share_gradients(model, float(loss.detach()), progress)
    torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
    for optimizer in optimizers:
        for group in optimizer.param_groups:
            group["lr"] = group["base"] * rate(agreed)
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
    return mean_loss, agreed


def share_gradients(model: Pocket, loss: float, progress: float) -> tuple[float, float]:
    """Averages the gradients, the loss and the progress over the workers, so that all take the same step."""
    if not dist.is_initialized():
        return loss, progress
    gradients = [p.grad for p in model.parameters() if p.grad is not None]
    flat = torch.cat([g.flatten() for g in gradients] + [torch.tensor([loss, progress])])
    dist.all_reduce(flat)
    flat /= dist.get_world_size()
    for gradient, part in zip(gradients, flat[:-2].split([g.numel() for g in gradients]), strict=True):
        gradient.copy_(part.view_as(gradient))
    return float(flat[-2]), float(flat[-1])


def make_optimizers(model: Pocket, args: argparse.Namespace) -> list[torch.optim.Optimizer]:
    """Muon for the matrices, AdamW for the embedding and the norms."""
    matrices = [p for p in model.layers.parameters() if p.ndim == 2]
    rest = [p for p in model.parameters() if p.ndim != 2 or p is model.embedding]
    if args.adamw:
        made: list[torch.optim.Optimizer] = [
            torch.optim.AdamW([*matrices, *rest], lr=2e-3, betas=(0.9, 0.98), weight_decay=0.01)
        ]
    else:
        made = [
            torch.optim.Muon(matrices, lr=args.muon_rate, momentum=0.95, weight_decay=0.01, adjust_lr_fn="original"),
            torch.optim.AdamW(rest, lr=args.rate, betas=(0.9, 0.98), weight_decay=0.0, fused=True),
        ]
    for optimizer in made:
        for group in optimizer.param_groups:
            group["base"] = group["lr"]
    return made


def schedule(step: int, progress: float) -> float:
    """The share of the full learning rate: warm-up of 100 steps, flat, then linear to 2 % over the last 25 %."""
    return min(1.0, (step + 1) / 100) * min(1.0, max(0.02, (1.0 - progress) / 0.25))


def batches(
    tokenizer: Tokenizer, pool: int, rank: int, length: float, drill: bool, args: argparse.Namespace
) -> Iterator[Batch]:
    """A worker's batches of one pool: alike in length within a batch, in random order, as many for each worker."""
    drawn = islice(chats.stream(args.seed * 1_000_003 + pool + 1, length, drill=drill), POOL)
    rows = [encode(tokenizer, chat) for chat in drawn]
    rows = sorted((row for row in rows if len(row[0]) <= args.max_length), key=lambda row: len(row[0]))
    groups: list[list[tuple[list[int], list[float]]]] = [[]]
    for row in rows:
        if groups[-1] and (len(groups[-1]) + 1) * len(row[0]) > args.batch_tokens:
            groups.append([])
        groups[-1].append(row)
    mine = groups[rank : len(groups) - len(groups) % args.processes : args.processes]
    Random(pool).shuffle(mine)  # the same order everywhere: workers meet with batches of like length
    for group in mine:
        yield collate(group)


def encode(tokenizer: Tokenizer, chat: chats.Chat) -> tuple[list[int], list[float]]:
    """Token ids of a chat as the chat template writes it, and the weight of each token as a target."""
    end = _id(tokenizer, "<|end|>")
    ids, weights = [_id(tokenizer, "<|bos|>")], [0.0]
    contents = tokenizer.encode_batch(
        [m["content"] if m["role"] == "text" else " " + m["content"] for m in chat], add_special_tokens=False
    )
    for message, content in zip(chat, contents, strict=True):
        role = message["role"]
        weight = {"assistant": 1.0, "text": TEXT_WEIGHT}.get(role, PROMPT_WEIGHT)
        if message.get("scored") == "no":
            weight = 0.0
        if role != "text":
            ids.append(_id(tokenizer, f"<|{role}|>"))
            weights.append(0.0)
        ids += [*content.ids, end]
        weights += [weight] * (len(content.ids) + 1)
    return ids, weights


def _id(tokenizer: Tokenizer, token: str) -> int:
    found = tokenizer.token_to_id(token)
    assert found is not None, f"the tokenizer has no {token}"
    return int(found)


def collate(rows: list[tuple[list[int], list[float]]]) -> Batch:
    """A padded batch; padding is id 0 and lies after the text, where causal attention cannot see it."""
    width = max(len(ids) for ids, _ in rows)
    ids = torch.zeros(len(rows), width, dtype=torch.long)
    weights = torch.zeros(len(rows), width)
    for number, (row, weight) in enumerate(rows):
        ids[number, : len(row)] = torch.tensor(row)
        weights[number, : len(row)] = torch.tensor(weight)
    targets, next_weights = ids[:, 1:], weights[:, 1:]
    inputs = ids[:, :-1].contiguous()
    scored = (next_weights > 0).flatten().nonzero().squeeze(1)
    return Batch(
        inputs, scored, targets.flatten()[scored], next_weights.flatten()[scored], sum(len(r) for r, _ in rows)
    )


def save(
    work: Path,
    model: Pocket,
    optimizers: list[torch.optim.Optimizer],
    place: tuple[int, int, int, float],
    tokenizer: Tokenizer,
) -> None:
    """Writes the state to go on from, and the weights as Transformers loads them."""
    state = {"model": model.state_dict(), "optimizers": [o.state_dict() for o in optimizers], "place": place}
    torch.save(state, work / "state.tmp")
    (work / "state.tmp").replace(work / "state.pt")
    export(model, work / "export", tokenizer.get_vocab())


def restore(path: Path, model: Pocket, optimizers: list[torch.optim.Optimizer]) -> tuple[int, int, int, float]:
    """Loads a saved state; gives step, tokens, pool and seconds used."""
    state = torch.load(path, weights_only=True)
    model.load_state_dict(state["model"])
    for optimizer, saved in zip(optimizers, state["optimizers"], strict=True):
        optimizer.load_state_dict(saved)
    step, tokens, pool, used = state["place"]
    return int(step), int(tokens), int(pool), float(used)


def launch(args: argparse.Namespace) -> None:
    """Starts the workers and waits for them."""
    args.work.mkdir(parents=True, exist_ok=True)
    (args.work / "rendezvous").unlink(missing_ok=True)
    if args.processes == 1:
        train(0, args)
    else:
        torch.multiprocessing.spawn(train, args=(args,), nprocs=args.processes)


def parse() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--steps", type=int, default=4000)
    parser.add_argument(
        "--seconds", type=float, default=0, help="end, and shape the schedule, by wall time instead of steps"
    )
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--processes", type=int, default=2, help="one thread each")
    parser.add_argument("--batch-tokens", type=int, default=6144, help="of one worker's step, padding included")
    parser.add_argument(
        "--short-until",
        type=float,
        default=0.4,
        help="share of the training over which chats grow to their full length",
    )
    parser.add_argument("--drill-until", type=float, default=0.5, help="share of the training that begins with drill")
    parser.add_argument("--max-length", type=int, default=1024)
    parser.add_argument("--width", type=int, default=192)
    parser.add_argument("--layers", type=int, default=6)
    parser.add_argument("--heads", type=int, default=6)
    parser.add_argument("--compile", action="store_true", help="a quarter faster; needs a C++ compiler and a minute")
    parser.add_argument("--feed-forward", type=int, default=512)
    parser.add_argument("--muon-rate", type=float, default=0.02)
    parser.add_argument("--rate", type=float, default=4e-3)
    parser.add_argument("--adamw", action="store_true", help="AdamW for everything, to compare")
    parser.add_argument("--save-seconds", type=float, default=300)
    parser.add_argument("--tokenizer", type=Path, default=HERE / "model")
    parser.add_argument("--start-from", type=Path, help="a folder of exported weights to go on from, optimizer afresh")
    parser.add_argument("--work", type=Path, default=Path(".cache/pocket"))
    return parser.parse_args()


if __name__ == "__main__":
    launch(parse())
