"""The mixture that the pocket model is trained on: whole chats of many kinds, and some plain text."""

from collections.abc import Callable, Iterator
from random import Random

from rung.recipes.pocket import answers, frames, names, passages, patterns, talk, words, world
from rung.recipes.pocket.names import Split
from rung.recipes.pocket.schema import KINDS, capital, question

Message = dict[str, str]
Chat = list[Message]

UNKNOWN = "I don't know."


def stream(seed: int, length: float = 1.0, *, drill: bool = False) -> Iterator[Chat]:
    """An endless, reproducible stream of chats; a chat of one `text` message is plain text.

    `length` from 0 to 1 scales how many documents and questions a chat holds: training begins with short ones. `drill`
    draws more of the single steps that reading and following are made of.
    """
    rng = Random(seed)
    makers, weights = zip(*(DRILL if drill else MIXTURE), strict=True)
    while True:
        maker: Callable[[Random, float], Chat] = rng.choices(makers, weights)[0]
        yield maker(rng, length)


def reading(rng: Random, length: float = 1.0, split: Split = "train") -> Chat:
    """Questions about one to six documents in the prompt, most with an answer in them, some without."""
    most = max(1, round(6 * length))
    shown = passages.documents(
        rng, rng.choice((1, 1, 2, 3, 3, 4, rng.randint(1, 6)) if most > 3 else range(1, most + 1)), split
    )
    style = answers.style(rng)
    if len(shown) > 1 and rng.random() < 0.15:
        shown[0] = _about_known(rng, shown[0])
    first_frame = frames.choose(rng, citing=1.0)
    earlier = _unscored_examples(rng, split) if rng.random() < 0.07 else []
    chat: Chat = []
    for turn in range(rng.randint(3, 4 + len(shown))):
        if first_frame.numbered and rng.random() < 0.2:
            asked, answer = _which_text(rng, shown)
        elif rng.random() < 0.03:
            asked, answer = passages.ask_unanswerable(rng, shown, split), answers.dress(style, UNKNOWN, UNKNOWN)
        else:
            asked, answer = _ask(rng, shown, first_frame, style)
        chat += first_frame.open(asked, [d.text for d in shown], style) if turn == 0 else frames.user(asked)
        chat += frames.assistant(answer)
    return chat if not earlier else _after_system(chat, earlier)


def lookup(rng: Random, length: float = 1.0, split: Split = "train") -> Chat:
    """Questions about two to six sentences that differ in the name and the value only."""
    shown = passages.alike(rng, rng.randint(2, 6), split)
    frame, style = frames.choose(rng, citing=1.0), answers.style(rng)
    chat: Chat = []
    for turn in range(rng.randint(3, 3 + len(shown))):
        if frame.numbered and rng.random() < 0.2:
            asked, answer = _which_text(rng, shown)
        else:
            asked, answer = _ask(rng, shown, frame, style)
        chat += frame.open(asked, [d.text for d in shown], style) if turn == 0 else frames.user(asked)
        chat += frames.assistant(answer)
    return chat


def _ask(rng: Random, shown: list[passages.Document], frame: frames.Frame, style: answers.Style) -> tuple[str, str]:
    """A question that one of the texts answers, and the answer in its form, with its source where that is asked for."""
    item = passages.ask(rng, shown)
    answer = answers.dress(style, item.answer, item.sentence)
    cited = f" [{item.document + 1}]" if frame.cite and style.form in ("value", "sentence") else ""
    return item.question, answer + cited


def _which_text(rng: Random, shown: list[passages.Document]) -> tuple[str, str]:
    """Which of the numbered texts is about something: what citing comes down to."""
    number = rng.randrange(len(shown))
    form = rng.choice(("Which text is about {}?", "Which number is about {}?", "Where is {} told of?"))
    return form.replace("{}", shown[number].entity), f"[{number + 1}]"


def recall(rng: Random, length: float = 1.0, split: Split = "train") -> Chat:
    """A list of names with what belongs to each, asked for one by one: finding by name alone, as often as a chat holds.

    Sentences differ in more than the name, so a model can do without the name for long; here nothing else helps.
    """
    name = rng.choice((_word, _word, names.made_up, _capitalised, names.place, names.person))
    value = rng.choice((_word, _word, passages.any_value, names.person))
    count = rng.randint(2, max(3, round(8 * length)))
    pairs: dict[str, str] = {}
    while len(pairs) < count:
        pairs[name(rng, split)] = value(rng, split)
    line = rng.choice(("{}: {}", "{}: {}", "{} = {}", "{} - {}", "{} is {}.", "{} has {}.", "{} with {}", "- {}: {}"))
    gap = rng.choice(("\n", "\n", " " if line.endswith(".") else "; "))
    asked = rng.choice(("{}", "{}:", "{}?", "And {}?", "What is with {}?", "What about {}?", "Tell me about {}."))
    order = [*pairs, *rng.sample(list(pairs), min(count, 3))]
    rng.shuffle(order)
    chat = frames.user(gap.join(line.format(*pair) for pair in pairs.items()) + "\n" + asked.format(order[0]))
    chat += frames.assistant(pairs[order[0]])
    for key in order[1:]:
        chat += [*frames.user(asked.format(key)), *frames.assistant(pairs[key])]
    return chat


def _word(rng: Random, split: Split) -> str:
    return rng.choice(rng.choice((words.OBJECTS, words.ANIMALS, words.FOODS, words.JOBS, words.ADJECTIVES)))


def _capitalised(rng: Random, split: Split) -> str:
    return names.made_up(rng, split).capitalize()


def happening(rng: Random, length: float = 1.0, split: Split = "train") -> Chat:
    """Questions about one to four one-line happenings: who, to whom, what, when, where."""
    events = [passages.event(rng, split) for _ in range(rng.randint(1, max(1, round(4 * length))))]
    style, frame = answers.style(rng), frames.choose(rng)
    chat: Chat = []
    texts = [text for text, _ in events]
    if not frame.numbered and rng.random() < 0.5:
        texts = [" ".join(texts)]
    for turn in range(rng.randint(1, 3)):
        number = rng.randrange(len(events))
        item = rng.choice(events[number][1])
        answer = answers.dress(style, item.answer, item.sentence)
        if frame.cite and style.form in ("value", "sentence"):
            answer += f" [{number + 1}]"
        chat += frame.open(item.question, texts, style) if turn == 0 else frames.user(item.question)
        chat += frames.assistant(answer)
    return chat


def knowledge(rng: Random, length: float = 1.0) -> Chat:
    """Questions about the fixed world without a text, some of them about things that nobody knows."""
    style = answers.style(rng)
    chat = frames.system(rng, style)
    for _ in range(rng.randint(2, 6)):
        if rng.random() < 0.1:
            kind = rng.choice(KINDS)
            asked = question(rng, rng.choice(kind.attributes), kind.entity(rng, "train"))
            answer = answers.dress(style, UNKNOWN, UNKNOWN)
        else:
            fact = rng.choice(world.facts())
            asked, answer = fact.question(rng), answers.dress(style, fact.value, fact.sentence())
        chat += [*frames.user(asked + style.suffix), *frames.assistant(answer)]
    return chat


def multiple_choice(rng: Random, length: float = 1.0) -> Chat:
    """Questions about the fixed world with four options, answered by the option's words."""
    order = "Answer with the option."
    chat: Chat = [{"role": "system", "content": order}] if rng.random() < 0.4 else []
    for _ in range(rng.randint(1, 4)):
        fact = rng.choice(world.facts())
        asked, _ = choice_question(rng, fact)
        chat += frames.user(asked if len(chat) % 2 else f"{asked}\n{order}")
        chat += frames.assistant(fact.value)
    return chat


def choice_question(rng: Random, fact: world.Fact, held_out: bool = False) -> tuple[str, str]:
    """A question with four options, one to a line, and the letter of the right one."""
    options = [fact.value, *world.wrong_values(rng, fact, 3)]
    rng.shuffle(options)
    mark = rng.choice(("{}) {}", "{}) {}", "{}. {}", "({}) {}"))
    lines = [mark.format("ABCD"[i], option) for i, option in enumerate(options)]
    return fact.question(rng, held_out) + "\n" + "\n".join(lines), "ABCD"[options.index(fact.value)]


def following(rng: Random, length: float = 1.0) -> Chat:
    """Examples of a pattern, as turns or as lines of one message, and a new input to treat alike."""
    family = patterns.train_family(rng)
    count = rng.randint(3, max(4, round(9 * length)))
    return pattern_chat(rng, patterns.examples(rng, family, count), rng.random() < 0.75)


def choosing(rng: Random, length: float = 1.0) -> Chat:
    """Many short examples of which of two or three words are kept, and in which order; half of them name the rule.

    Finding such a rule from examples alone is a long chain of steps. Following a rule that is named, naming one, and
    saying where a word stands are its links, and are learned by themselves far sooner.
    """
    family = patterns.plain_selection(rng, 3 if rng.random() < 0.4 * length else 2)
    pairs = patterns.examples(rng, family, rng.randint(6, 12), kind=_kind(rng))
    chat = pattern_chat(rng, pairs, rng.random() < 0.85)
    if rng.random() < 0.6:
        return chat
    order = rng.choice(("Write {}.", "Keep {}.", "Give {}.", "Take {}.")).replace("{}", patterns.in_words(family))
    for message in chat:
        message.pop("scored", None)
    if chat[0]["role"] == "system":
        chat = chat[1:]
    if rng.random() < 0.7:
        return [{"role": "system", "content": order}, *chat]
    return [*frames.user(f"{order}\n{chat[0]['content']}"), *chat[1:]]


def naming(rng: Random, length: float = 1.0) -> Chat:
    """An example of a rule in each turn, and which of its words were kept."""
    chat: Chat = []
    arrow = rng.choice((" -> ", " = ", " gives ", " becomes ", "\n"))
    asked = rng.choice(("Which is kept?", "What is kept?", "Which words are these?", "Name the rule."))
    kind = _kind(rng)
    for _ in range(rng.randint(4, 10)):
        family = patterns.plain_selection(rng, rng.choice((2, 2, 3)))
        ((source, target),) = patterns.examples(rng, family, 1, kind=kind)
        chat += [*frames.user(f"{source}{arrow}{target}\n{asked}"), *frames.assistant(patterns.in_words(family))]
    return chat


def places(rng: Random, length: float = 1.0) -> Chat:
    """A short list in each turn, and where a word stands in it, or which word stands at a place."""
    chat: Chat = []
    kind = _kind(rng)
    gap = rng.choice((" ", " ", ", ", " and "))
    where = rng.choice(("Where is {}?", "Which place has {}?", "{}?"))
    which = rng.choice(("What is {}?", "Which is {}?", "Say {}."))
    for _ in range(rng.randint(6, 12)):
        items = patterns.fields(rng, kind, rng.choice((2, 2, 3)))
        place = rng.randrange(len(items))
        ordinal = f"the {patterns.ORDINALS[place]}"
        shown = gap.join(items) + "\n"
        if rng.random() < 0.9:
            chat += [*frames.user(shown + where.replace("{}", items[place])), *frames.assistant(ordinal)]
        else:
            chat += [*frames.user(shown + which.replace("{}", ordinal)), *frames.assistant(items[place])]
    return chat


def _kind(rng: Random) -> str:
    return rng.choice(("object", "animal", "colour", "food", "adjective", "name", "number", "any", "any"))


def pattern_chat(rng: Random, pairs: list[tuple[str, str]], as_turns: bool) -> Chat:
    """A chat whose last answer is the last pair's output; the pairs before it are the examples."""
    system = [{"role": "system", "content": rng.choice(frames.PATTERN_SYSTEMS)}] if rng.random() < 0.4 else []
    if as_turns:
        lead = rng.choice(("", "", "", "Input: ", "Text: "))
        turns = [[*frames.user(lead + x), *frames.assistant(y)] for x, y in pairs]
        turns[0][1]["scored"] = "no"  # nothing before it says what the rule is
        return system + [message for turn in turns for message in turn]
    labels = rng.choice(
        (("Input", "Output"), ("Input", "Output"), ("Q", "A"), ("In", "Out"), ("Text", "Answer"), ("From", "To"))
    )
    gap = rng.choice(("\n", "\n\n"))
    shown = [f"{labels[0]}: {x}\n{labels[1]}: {y}" for x, y in pairs[:-1]]
    tail = f"{labels[0]}: {pairs[-1][0]}" + rng.choice((f"\n{labels[1]}:", f"\n{labels[1]}:", ""))
    head = rng.choice(("", "", "Follow the examples.\n", "Here are some examples.\n\n"))
    return [*system, *frames.user(head + gap.join([*shown, tail])), *frames.assistant(pairs[-1][1])]


def telling(rng: Random, length: float = 1.0) -> Chat:
    """Small talk, stories, requests to tell about something, and answers rewritten by a rule."""
    draw = rng.random()
    if draw < 0.15:
        return [*frames.user(talk.story_request(rng)), *frames.assistant(talk.story(rng))]
    if draw < 0.3:
        asked, answer = talk.rewrite(rng)
        return [*frames.user(asked), *frames.assistant(answer)]
    chat: Chat = []
    tone = None
    if rng.random() < 0.3:
        tone, prompt = rng.choice(frames.TONES)
        chat = [{"role": "system", "content": prompt}]
    for _ in range(rng.randint(1, 3)):
        asked, answer = talk.small_talk(rng) if rng.random() < 0.3 else talk.about(rng, tone=tone)
        chat += [*frames.user(asked), *frames.assistant(answer)]
    return chat


def text(rng: Random, length: float = 1.0) -> Chat:
    """Plain text about the world, outside any chat."""
    return [{"role": "text", "content": talk.plain_text(rng)}]


def sums(rng: Random, length: float = 1.0) -> Chat:
    """Small sums and differences."""
    chat: Chat = []
    for _ in range(rng.randint(2, 6)):
        a, b = rng.randint(0, 12), rng.randint(0, 12)
        asked, answer = rng.choice(((f"{a} + {b}", a + b), (f"{max(a, b)} - {min(a, b)}", abs(a - b))))
        form = rng.choice(("What is {}?", "{} = ?", "How much is {}?", "Work out {}.", "{}"))
        chat += [*frames.user(form.replace("{}", asked)), *frames.assistant(str(answer))]
    return chat


def _unscored_examples(rng: Random, split: Split) -> Chat:
    """Example turns whose answers nothing in the chat tells: shown, as in few-shot prompts, but not trained on."""
    chat: Chat = []
    for _ in range(rng.randint(1, 4)):
        item = passages.ask(rng, passages.documents(rng, 1, split))
        chat += [*frames.user(item.question), {"role": "assistant", "content": item.answer, "scored": "no"}]
    return chat


def _after_system(chat: Chat, earlier: Chat) -> Chat:
    head = 1 if chat[0]["role"] == "system" else 0
    return [*chat[:head], *earlier, *chat[head:]]


def _about_known(rng: Random, document: passages.Document) -> passages.Document:
    """The same document about somebody of the fixed world: the text must win over what is known by heart."""
    entities = next(e for kind, e in world.entities_by_kind() if kind.name == document.kind.name)
    known = rng.choice(entities)
    old = document.entity
    text = (
        document.text.replace(capital(old), capital(known))
        .replace(old, known)
        .replace(document.title, world.topic(known))
    )
    return passages.Document(world.topic(known), text, known, document.kind, document.stated)


Mixture = list[tuple[Callable[[Random, float], Chat], float]]
# Finding by name, telling where a word stands, naming a rule: with few of these, neither the right one of several texts
# nor the choice of fields was learned in 36 million tokens; with many of them, each was within three million.
DRILL: Mixture = [
    (reading, 0.17),
    (lookup, 0.13),
    (recall, 0.10),
    (happening, 0.02),
    (knowledge, 0.05),
    (multiple_choice, 0.01),
    (places, 0.18),
    (naming, 0.08),
    (choosing, 0.12),
    (following, 0.08),
    (telling, 0.03),
    (text, 0.02),
    (sums, 0.01),
]
MIXTURE: Mixture = [
    (reading, 0.38),
    (lookup, 0.14),
    (recall, 0.02),
    (happening, 0.02),
    (knowledge, 0.05),
    (multiple_choice, 0.01),
    (places, 0.01),
    (naming, 0.02),
    (choosing, 0.09),
    (following, 0.19),
    (telling, 0.04),
    (text, 0.02),
    (sums, 0.01),
]
