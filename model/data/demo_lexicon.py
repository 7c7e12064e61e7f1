"""The words and sentence patterns of the demo grammar, in `model.data.demo`.

A `|` separates wordings of one and the same meaning, a `/` the forms of one verb, a comma the entries of a list.
"""


def entries(text: str) -> tuple[str, ...]:
    return tuple(entry.strip() for entry in text.split(","))


# ---------------------------------------------------------------------------------------------------- sentiment

ASPECTS = entries(
    "plot, story, script, acting, score, music, dialogue, ending, pacing, direction, camera work, humour, editing, "
    "romance, villain, hero, opening, cast, finale, soundtrack, lighting, mystery"
)
ADJECTIVES = {
    2.0: entries("superb, brilliant, magnificent, outstanding, wonderful, stunning, masterful"),
    1.0: entries("good, charming, clever, engaging, touching, enjoyable, funny, decent, pleasant, solid"),
    0.0: entries("ordinary, average, conventional, traditional"),
    -1.0: entries("dull, boring, clumsy, tedious, silly, weak, bad, stale, thin, bland"),
    -2.0: entries("dreadful, awful, terrible, unbearable, horrible, hopeless, atrocious"),
}
NOUNS = {
    2.0: entries("triumph, delight, masterpiece"),
    1.0: entries("success, treat, pleasure"),
    -1.0: entries("bore, mess, letdown"),
    -2.0: entries("disaster, catastrophe, nightmare"),
}
VERBS = {
    2.0: entries("love/loved, adore/adored, treasure/treasured"),
    1.0: entries("like/liked, enjoy/enjoyed, admire/admired"),
    -1.0: entries("dislike/disliked, resent/resented, regret/regretted"),
    -2.0: entries("hate/hated, despise/despised, loathe/loathed"),
}
ADJECTIVE_DEGREES = {"very": 1.4, "truly": 1.4, "really": 1.4, "slightly": 0.5, "somewhat": 0.5, "a little": 0.5}
NOUN_DEGREES = {"real": 1.4, "complete": 1.4, "minor": 0.5, "bit of a": 0.5}
VERB_DEGREES = {"really": 1.4, "truly": 1.4}
NEGATIONS = {"not": -0.5, "never": -0.5, "hardly": -0.5, "far from": -0.9, "anything but": -0.9}
VERB_NEGATIONS = {"did not": -0.5, "never": -0.5, "hardly": -0.5}
"""The first stands before a verb's base form, the others before its past."""
EXTENTS = {"at times": 0.5, "in a few scenes": 0.5, "throughout": 1.0, "in this film": 1.0, "from start to finish": 1.0}
OPENINGS = entries("for me, all in all, as a whole, this time, in the end")
WITNESSES = entries("my friends, the critics, my parents, some viewers")
HEROES = entries("young pilot, retired spy, lonely farmer, famous singer, small town doctor, clever thief")
QUESTS = entries(
    "looks for a lost brother, moves to a big city, meets an old enemy, plans one last job, returns to the village"
)

# --------------------------------------------------------------------------------------------------- paraphrase

PLACES = entries("at home, in London, in India, in Canada, abroad|in another country, at school|in school")
SEASONS = entries(
    "in winter|during the winter, in summer|during the summer, at night|after dark, on Monday, "
    "at the weekend|on weekends"
)
MANNERS = entries(
    "alone|by myself, with a friend, on a small budget|with little money, without a teacher|with no teacher, "
    "without any experience|as a beginner, before an exam, for a child|for a kid, with two hands, with one hand"
)
DEEDS = {
    "learn/learning|study/studying|master/mastering": entries("chess, French, physics, the guitar, programming"),
    "teach/teaching": entries("chess, French, physics, the guitar, programming"),
    "fix/fixing|repair/repairing": entries(
        "a laptop|a notebook, a bicycle|a bike, a car|an automobile, a phone, a house"
    ),
    "buy/buying|purchase/purchasing": entries("a laptop|a notebook, a bicycle|a bike, a car|an automobile, a house"),
    "sell/selling": entries("a laptop|a notebook, a bicycle|a bike, a car|an automobile, a house, a song, a poem"),
    "clean/cleaning|wash/washing": entries("a carpet|a rug, a car|an automobile, a phone, fish, rice"),
    "cook/cooking|prepare/preparing": entries("rice, fish, soup, dinner"),
    "eat/eating": entries("rice, fish, soup, dinner"),
    "write/writing|compose/composing": entries("a song, a poem, a letter, a speech|a talk"),
    "read/reading": entries("a poem, a letter, a speech|a talk"),
    "start/starting|launch/launching": entries("a company|a business, a blog, a school"),
    "close/closing|shut down/shutting down": entries("a company|a business, a blog, a school"),
}
CREATURES = (
    entries("dogs, cats, wolves, foxes, horses, sheep, bears"),
    entries("doctors|physicians, lawyers|attorneys, teachers, students|pupils, parents, children|kids, nurses"),
)
DOINGS = entries(
    "follow/following/followed, fear/fearing/feared, trust/trusting/trusted, "
    "help/helping/helped|assist/assisting/assisted, "
    "beat/beating/beaten|defeat/defeating/defeated, avoid/avoiding/avoided, attack/attacking/attacked"
)
CITIES = entries("London, Paris, Rome, Berlin, Madrid, Vienna")
VEHICLES = entries("by train|by rail, by car|by road, by plane|by air, by bus|by coach")
RIVALS = (
    entries("a car|an automobile, a train, a bicycle|a bike, a ship|a boat, a plane|an aircraft"),
    entries("chess, French, physics, programming, poetry"),
    entries("rice, fish, soup, bread, cheese"),
)
DEGREES = (
    entries("faster/slower, safer/more dangerous, cheaper/more expensive"),
    entries("easier/harder, more useful/less useful, more popular/less popular"),
    entries("healthier/less healthy, cheaper/more expensive, better/worse"),
)
QUESTIONS = {
    "deed": {
        "how": (
            "how can I {do} {thing}{details}?",
            "what is the best way to {do} {thing}{details}?",
            "what are some tips for {doing} {thing}{details}?",
            "how should I go about {doing} {thing}{details}?",
        ),
        "why": (
            "why should I {do} {thing}{details}?",
            "what are the reasons to {do} {thing}{details}?",
            "what is the benefit of {doing} {thing}{details}?",
        ),
        "why not": (
            "why should I not {do} {thing}{details}?",
            "what are the reasons not to {do} {thing}{details}?",
            "what is the drawback of {doing} {thing}{details}?",
            "why should I avoid {doing} {thing}{details}?",
        ),
        "time": (
            "how long does it take to {do} {thing}{details}?",
            "how much time does {doing} {thing}{details} take?",
            "how many hours do I need to {do} {thing}{details}?",
        ),
        "cost": (
            "how much does it cost to {do} {thing}{details}?",
            "how much money do I need to {do} {thing}{details}?",
            "what is the price of {doing} {thing}{details}?",
        ),
        "hard": (
            "is it hard to {do} {thing}{details}?",
            "is {doing} {thing}{details} difficult?",
            "how difficult is it to {do} {thing}{details}?",
        ),
    },
    "roles": {
        "can": (
            "can {a} {do} {b}{details}?",
            "can {b} be {done} by {a}{details}?",
            "is it possible for {a} to {do} {b}{details}?",
            "are {a} able to {do} {b}{details}?",
        ),
        "why": (
            "why do {a} {do} {b}{details}?",
            "why are {b} {done} by {a}{details}?",
            "what makes {a} {do} {b}{details}?",
        ),
        "why not": (
            "why do {a} not {do} {b}{details}?",
            "why are {b} not {done} by {a}{details}?",
            "what keeps {a} from {doing} {b}{details}?",
        ),
        "often": (
            "how often do {a} {do} {b}{details}?",
            "how frequently are {b} {done} by {a}{details}?",
            "how often are {b} {done} by {a}{details}?",
        ),
    },
    "route": {
        "how": (
            "how can I travel from {a} to {b}{details}?",
            "what is the best way to get to {b} from {a}{details}?",
            "how do I get from {a} to {b}{details}?",
            "how can I reach {b}{details} when I start in {a}?",
        ),
        "time": (
            "how long does it take to get from {a} to {b}{details}?",
            "how many hours does the trip to {b} from {a}{details} take?",
            "how much time do I need to travel from {a} to {b}{details}?",
        ),
        "cost": (
            "how much does it cost to travel from {a} to {b}{details}?",
            "what is the price of a trip to {b} from {a}{details}?",
            "how much money do I need to get from {a} to {b}{details}?",
        ),
    },
    "rivals": {
        "whether": (
            "is {a} {more} than {b}{details}?",
            "is {b} {less} than {a}{details}?",
            "would you say that {a} is {more} than {b}{details}?",
            "would you say that {b} is {less} than {a}{details}?",
        ),
        "why": (
            "why is {a} {more} than {b}{details}?",
            "why is {b} {less} than {a}{details}?",
            "what makes {a} {more} than {b}{details}?",
            "what makes {b} {less} than {a}{details}?",
        ),
    },
}
"""By kind of frame and intent: every pattern of an intent asks the same, with the words in another order."""

# --------------------------------------------------------------------------------------------------- similarity

PEOPLE = entries("man|guy, woman|lady, boy|lad, girl, student|pupil, doctor|physician, child|kid, tourist|traveler")
ANIMALS = entries("dog, cat|kitten, horse|pony, fox, wolf, monkey|ape, sheep, bear")
FIRMS = entries("bank|lender, airline|carrier, newspaper, museum, hotel|inn, retailer|shop, school, hospital|clinic")
LOOKS = {
    PEOPLE: entries("young, old|elderly, tall, smiling|happy, tired|sleepy"),
    ANIMALS: entries("young, old|elderly, brown, black, large|big"),
    FIRMS: entries("large|big, small|little, foreign, famous|well known, local"),
}
TIMES = entries(
    "in the morning, at night|after dark, on Monday, on Sunday, in winter|during the winter, in May, in June"
)
SCENES = (
    (
        PEOPLE,
        entries(
            "slicing/slices/sliced|cutting/cuts/cut, washing/washes/washed|cleaning/cleans/cleaned, "
            "eating/eats/eaten, buying/buys/bought|purchasing/purchases/purchased"
        ),
        entries("onion, potato, tomato, carrot, mushroom, fish"),
        entries("in the kitchen, in a restaurant|in a diner, at the market, in a tent"),
    ),
    (
        PEOPLE,
        entries(
            "playing/plays/played, tuning/tunes/tuned, carrying/carries/carried, "
            "repairing/repairs/repaired|fixing/fixes/fixed"
        ),
        entries("guitar, violin|fiddle, drum, trumpet, flute, piano"),
        entries("on the stage, in a theatre, in the street|on the road, in a studio"),
    ),
    (
        PEOPLE,
        entries(
            "pushing/pushes/pushed, riding/rides/ridden, repairing/repairs/repaired|fixing/fixes/fixed, "
            "washing/washes/washed|cleaning/cleans/cleaned"
        ),
        entries("bicycle|bike, motorcycle|motorbike, scooter, cart|wagon, tractor"),
        entries("in the street|on the road, in a garage, on a bridge, near the station"),
    ),
    (
        PEOPLE,
        entries(
            "kicking/kicks/kicked, throwing/throws/thrown|tossing/tosses/tossed, catching/catches/caught, "
            "holding/holds/held"
        ),
        entries("football, basketball, baseball, stick, stone|rock"),
        entries("on the beach|on the shore, in the park, in a field|in a meadow, in the garden|in the yard"),
    ),
    (
        PEOPLE,
        entries("reading/reads/read, signing/signs/signed, holding/holds/held, writing/writes/written"),
        entries("letter, book, report, contract|agreement, poem"),
        entries("in an office, in the library, in the garden|in the yard, near the station"),
    ),
    (
        ANIMALS,
        entries(
            "chasing/chases/chased|pursuing/pursues/pursued, watching/watches/watched|observing/observes/observed, "
            "biting/bites/bitten, following/follows/followed"
        ),
        ANIMALS,
        entries(
            "on the beach|on the shore, in the park, in a field|in a meadow, in the forest|in the woods, on a hill"
        ),
    ),
    (
        FIRMS,
        entries(
            "buying/buys/bought|purchasing/purchases/purchased, suing/sues/sued, "
            "criticizing/criticizes/criticized|attacking/attacks/attacked, "
            "backing/backs/backed|supporting/supports/supported"
        ),
        FIRMS,
        entries("in Germany, in Japan, in Canada, in London, in India"),
    ),
)
"""Who does what to which things, and where. Who may also be what it is done to swaps roles."""
