"""Small talk, short stories, and "tell me about" answers in many lengths and tones."""

from random import Random

from rung.recipes.pocket import names, words, world
from rung.recipes.pocket.names import Split
from rung.recipes.pocket.schema import capital

POLITE = ("Gladly!", "Of course!", "With pleasure.", "I am happy to help.", "Thank you for asking.", "Certainly!")
CURT = ("Fine.", "Well.", "Listen.", "If you must know.", "Again?", "So.")
CLOSING = (
    "I hope this helps.",
    "Ask me more if you like.",
    "That is all I know.",
    "Is there anything else?",
    "Goodbye.",
)
ABOUT = (
    "Tell me about {x}.", "What do you know about {x}?", "Say something about {x}.", "Describe {x}.",
    "Who or what is {x}?",
    "Write about {x}.", "Please tell me about {x}.", "I want to hear about {x}.", "Give me some facts about {x}.",
)  # fmt: skip
SMALL_TALK = (
    (("Hello!", "Hi.", "Good morning.", "Good day!", "Hello there."),
     ("Hello! How can I help?", "Good day! What would you like to know?", "Hello.", "Hi there! Ask me anything.")),
    (("How are you?", "How do you do?", "Are you well?"),
     ("I am well, thank you.", "Very well! And you?", "Fine.", "I am quite happy today.")),
    (("Who are you?", "What are you?", "What is your name?"),
     ("I am a pocket model, a very small language model.", "I am a small model with a small world.",
     "A pocket model.")),
    (("Thank you!", "Thanks.", "Thank you very much."), ("You are welcome!", "Gladly!", "My pleasure.", "Fine.")),
    (("Goodbye!", "See you tomorrow.", "Good night."), ("Goodbye!", "See you soon.", "Good night and sleep well.",
    "Bye.")),
    (("What can you do?", "How can you help me?", "What do you know?"),
     ("I can answer questions about my small world and about a text that you show me.",
      "I can read a short text, follow examples and tell stories.", "Show me a text and ask me about it.")),
    (("Is it going to rain?", "How is the weather?", "What is the weather like?"),
     ("I can't see the sky from here.", "I don't know.", "I hope that it is warm and dry.")),
)  # fmt: skip


def about(rng: Random, entity: str | None = None, tone: str | None = None) -> tuple[str, str]:
    """A request to tell about an entity, and an answer: one to five true sentences, polite, plain or curt."""
    entity = entity or rng.choice(sorted({f.entity for f in world.facts()}))
    request = rng.choice(ABOUT).replace("{x}", entity)
    tone = tone or rng.choice(("polite", "plain", "plain", "curt"))
    body = sentences_about(rng, entity, rng.choice((1, 1, 2, 2, 3, 4, 5)))
    if tone == "polite":
        body = f"{rng.choice(POLITE)} {body}"
    elif tone == "curt":
        body = f"{rng.choice(CURT)} {body}"
    return request, f"{body} {rng.choice(CLOSING)}" if rng.random() < 0.3 else body


def sentences_about(rng: Random, entity: str, count: int) -> str:
    """`count` true sentences (at most five) about an entity of the world."""
    known = list(world.facts_of(entity))
    rng.shuffle(known)
    return " ".join(fact.statement(rng) for fact in known[:count])


def small_talk(rng: Random) -> tuple[str, str]:
    """A greeting or a question to the assistant about itself, and one of several answers."""
    asks, answers = rng.choice(SMALL_TALK)
    return rng.choice(asks), rng.choice(answers)


def story(rng: Random, split: Split = "train") -> str:
    """A story of four to eight short sentences about somebody who looks for something."""
    hero = rng.choice(world.PEOPLE) if rng.random() < 0.6 else names.person(rng, split)
    friend = rng.choice([p for p in world.PEOPLE if p != hero])
    thing = f"{rng.choice(words.ADJECTIVES)} {rng.choice(words.OBJECTS)}"
    animal, place, feeling = rng.choice(words.ANIMALS), rng.choice(words.PLACES), rng.choice(words.FEELINGS)
    start = rng.choice((
        f"Once there was a {rng.choice(words.JOBS)} called {hero}.",
        f"{hero} was a {feeling} {rng.choice(words.JOBS)}.",
        f"One {rng.choice(words.SEASONS)} day {hero} went to the {place}.",
        f"In {rng.choice(world.TOWNS)} lived {hero}.",
    ))  # fmt: skip
    middle = [
        f"{hero} had a {thing}.", f"{hero} lost the {thing} near the {place}.", f"{hero} was very {feeling}.",
        f"Then a {animal} came out of the {rng.choice(words.PLACES)}.",
        f'"Have you seen my {thing.split()[1]}?" asked {hero}.',
        f"The {animal} looked at {hero} and said nothing.", f"{friend} came to help.",
        f"{friend} gave the {animal} some {rng.choice(words.FOODS)}.",
        f"They looked in the {rng.choice(words.PLACES)} and under the {rng.choice(words.OBJECTS)}.",
    ]  # fmt: skip
    end = rng.choice((
        f"At last they found the {thing} in the {rng.choice(words.PLACES)}.",
        f"In the end {hero} went home with the {thing}.",
        f"{friend} found the {thing}, and all were happy.", f"The {animal} had it all the time!",
        f"And so {hero} was {rng.choice(words.FEELINGS)} again.",
    ))  # fmt: skip
    keep = sorted(rng.sample(range(len(middle)), rng.randint(2, 6)))
    return " ".join([start, *(middle[i] for i in keep), end])


def story_request(rng: Random) -> str:
    """A request for a story."""
    return rng.choice(
        (
            "Tell me a story.",
            "Write a short story.",
            "Please tell me a story.",
            "I want to hear a story.",
            "A story, please.",
        )
    )


def rewrite(rng: Random) -> tuple[str, str]:
    """A request to revise an answer by a rule (be polite, be short), and the revised answer."""
    entity = rng.choice(sorted({f.entity for f in world.facts()}))
    facts = [f.statement(rng) for f in rng.sample(world.facts_of(entity), 3)]
    answer = " ".join(facts[: rng.randint(1, 3)])
    opening = rng.choice(CURT)
    rule, revised = rng.choice((
        ("Be polite.", f"Gladly! {answer}"),
        ("The answer must be polite.", f"Gladly! {answer}"),
        ("Be short.", facts[0]),
        ("Use one sentence only.", facts[0]),
    ))  # fmt: skip
    rude = f"{opening} {answer}" if rng.random() < 0.6 else answer
    if "short" in rule or "sentence" in rule:
        rude = answer
    form = rng.choice((
        "Rewrite this answer. Rule: {r}\nAnswer: {a}", "{r} Rewrite the answer.\n{a}",
        "Rule: {r}\nAnswer: {a}\nWrite the answer again by the rule.",
    ))  # fmt: skip
    return form.replace("{r}", rule).replace("{a}", rude), revised


def plain_text(rng: Random, split: Split = "train") -> str:
    """A passage of general text about the world, outside any chat."""
    if rng.random() < 0.35:
        return story(rng, split)
    entities = rng.sample(sorted({f.entity for f in world.facts()}), rng.randint(1, 2))
    return capital(rng.choice((" ", "\n")).join(world.passage(rng, entity) for entity in entities))
