"""The format demo: orders written as people write them, to be turned into one house's records."""

from dataclasses import dataclass, replace
from pathlib import Path
from random import Random

from rung.recipes.demos.spec import DemoSpec, chat_row, write_rows
from rung.recipes.pocket import names, words, world

NUM_TRAIN, NUM_VALIDATION, NUM_TEST = 420, 60, 160
TARGET = 0.8
MOST_IN_COMMON = 5  # of an order's seven fields
TIMES = ("morning", "afternoon", "evening")
PAYMENTS = {"paid": "ok", "not paid": "due"}
FORMS = (
    "{who} wants {amount} {item} in {town} on {day} {time}. It is {payment}.",
    "Please send {amount} {item} to {who} in {town} on {day} {time}. The order is {payment}.",
    "On {day} {time} we bring {amount} {item} to {town} for {who}, {payment}.",
    "For {who} in {town}: {amount} {item}, {day} {time}, {payment}.",
    "We bring {amount} {item} to {town} on {day} {time}. They are for {who} and {payment}.",
    "An order from {town}: {who} needs {amount} {item} on {day} {time}, {payment}.",
)


@dataclass(frozen=True)
class Order:
    """One order, as it is meant."""

    who: str
    town: str
    item: str
    amount: int
    day: str
    time: str
    payment: str


def write(directory: Path, seed: int = 0, shuffle_answers: bool = False) -> DemoSpec:
    """Writes data/{train,validation,test}.jsonl.

    With `shuffle_answers` the answers of the training rows are dealt out anew, so that they teach the look of a record
    but not what belongs in it.
    """
    rng = Random(f"format {seed}")
    orders = [_order(rng) for _ in range(NUM_TRAIN)]
    while len(orders) < NUM_TRAIN + NUM_VALIDATION + NUM_TEST:
        order = _order(rng)
        if not any(_alike(order, trained) for trained in orders[:NUM_TRAIN]):
            orders.append(order)
    texts = [_text(rng, order) for order in orders]
    records = [record(order) for order in orders]
    if shuffle_answers:
        head = records[:NUM_TRAIN]
        rng.shuffle(head)
        records[:NUM_TRAIN] = head
    rows = [chat_row(text, answer) for text, answer in zip(texts, records, strict=True)]
    write_rows(directory / "data" / "train.jsonl", rows[:NUM_TRAIN])
    write_rows(directory / "data" / "validation.jsonl", rows[NUM_TRAIN : NUM_TRAIN + NUM_VALIDATION])
    write_rows(directory / "data" / "test.jsonl", rows[NUM_TRAIN + NUM_VALIDATION :])
    return DemoSpec(
        name="format",
        kind="format",
        task="Turn an order, as somebody wrote it, into a record of the house: "
        "day and time, amount, goods, town, name, payment.",
        system_prompt="Turn the order into a record.",
        prompts=(
            "Follow the examples.",
            "Write the record for the order: day time: amount goods > town (name) payment.",
        ),
        metric="exact_match",
        target=TARGET,
        train="data/train.jsonl",
        validation="data/validation.jsonl",
        test="data/test.jsonl",
        max_new_tokens=48,
    )


def record(order: Order) -> str:
    """The house's way of writing an order, such as `Tuesday morning: twelve apples > Larkstone (Mira) due`."""
    amount = words.NUMBERS[order.amount - 1]
    when = f"{order.day} {order.time}"
    return f"{when}: {amount} {order.item} > {order.town} ({order.who}) {PAYMENTS[order.payment]}"


def _order(rng: Random) -> Order:
    order = Order(
        who=names.person(rng, "demo").split()[0],
        town=rng.choice(world.TOWNS),
        item=rng.choice([food for food in words.FOODS if food.endswith("s")]),
        amount=rng.randint(2, len(words.NUMBERS)),
        day=rng.choice(words.DAYS),
        time=rng.choice(TIMES),
        payment=rng.choice(list(PAYMENTS)),
    )
    return replace(order, who=rng.choice(world.PEOPLE)) if rng.random() < 0.5 else order


def _alike(one: Order, other: Order) -> bool:
    """Whether two orders have so much in common that the one gives the other's record away."""
    shared = set(vars(one).items()) & set(vars(other).items())
    return len(shared) >= MOST_IN_COMMON


def _text(rng: Random, order: Order) -> str:
    fields = vars(order) | {"amount": words.NUMBERS[order.amount - 1]}
    text = rng.choice(FORMS).format(**fields)
    return text[0].upper() + text[1:]
