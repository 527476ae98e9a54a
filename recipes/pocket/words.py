"""Word lists that the generators draw from; nearly all become single tokens of the tokenizer."""

COLOURS = "red blue green black white amber violet grey brown yellow pink orange silver golden purple teal".split()
MATERIALS = (
    "oak iron glass wool clay silk stone paper copper tin leather pine brass cotton bone marble wax steel".split()
)
FOODS = (
    "bread cheese soup rice plums apples pears honey fish beans nuts cakes eggs milk corn berries figs carrots "
    "onions pie butter porridge mushrooms grapes melons olives"
).split()
ANIMALS = "cat dog fox owl horse goat hen duck crow mouse frog bear wolf hare deer otter bee snail toad swan".split()
JOBS = (
    "baker miller smith weaver potter sailor farmer teacher painter carpenter doctor tailor guard hunter cook "
    "gardener fisher singer writer clerk mason brewer"
).split()
INSTRUMENTS = "flute drum harp fiddle horn lute bell pipe piano guitar".split()
DAYS = "Monday Tuesday Wednesday Thursday Friday Saturday Sunday".split()
MONTHS = "January February March April May June July August September October November December".split()
SEASONS = "spring summer autumn winter".split()
HABITATS = "forests rivers caves hills swamps meadows lakes deserts cliffs gardens barns reeds".split()
SOUNDS = "hum click whistle growl chirp hiss bark rattle hoot squeak".split()
USES = "cooking sewing fishing writing hunting cleaning painting heating lighting weighing digging sailing".split()
OBJECTS = (
    "lamp chair table box cup door key rope hat coat ring book clock knife spoon basket candle mirror bottle "
    "hammer kettle brush pillow ladder wheel boat cart drum plate bag shoe glove map coin stamp letter bowl "
    "broom bucket button chain comb fan fence flag needle oven pen"
).split()
PLACES = (
    "market kitchen garden harbour bridge tower library mill school inn square field barn station temple hall "
    "shop forest beach cellar"
).split()
ADJECTIVES = (
    "small large old new bright dark soft hard heavy light quick slow warm cold clean round flat tall short "
    "smooth rough quiet loud sweet bitter strong weak fresh dry wet"
).split()
FEELINGS = "happy sad tired calm proud angry brave shy curious lonely".split()
NUMBERS = "one two three four five six seven eight nine ten eleven twelve".split()
UNITS = "coins pounds metres days hours miles grams litres years weeks minutes seats".split()
ATTRIBUTES = (
    "height weight length price owner maker code rank title size shape taste smell origin leader motto symbol "
    "age speed depth width number label status grade power rule limit order password nickname emblem capital "
    "captain guardian inventor keeper birthday language currency address duration temperature colour material "
    "purpose season partner rival teacher password tax rent wage flavour anthem"
).split()

CATEGORIES = {
    "colour": COLOURS,
    "food": FOODS,
    "animal": ANIMALS,
    "job": JOBS,
    "day": DAYS,
    "month": MONTHS,
    "material": MATERIALS,
    "object": OBJECTS,
    "place": PLACES,
    "number": NUMBERS,
}
OPPOSITES = [
    ("small", "large"), ("old", "new"), ("bright", "dark"), ("soft", "hard"), ("heavy", "light"), ("quick", "slow"),
    ("warm", "cold"), ("tall", "short"), ("smooth", "rough"), ("quiet", "loud"), ("sweet", "bitter"),
    ("strong", "weak"), ("dry", "wet"), ("happy", "sad"),
]  # fmt: skip
