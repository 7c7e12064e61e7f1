"""The grammar of the built-in corpus: for each task a writer of labelled examples and one of unlabelled passages.

Labels are computed from what the grammar means, never from the words it happens to use, so that counting words does not
solve them. The words and patterns are in `model.data.demo_lexicon`: `|` parts wordings of one meaning, `/` the forms of
one verb. A writer draws all chance from the generator that it is given.
"""

from __future__ import annotations

import bisect
import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from random import Random
from typing import TypeVar

from model.data import demo_lexicon as lexicon

T = TypeVar("T")


def _pick(rng: Random, items: Sequence[T]) -> T:
    """As `rng.choice`, from the one method whose sequence Python promises to keep."""
    return items[int(rng.random() * len(items))]


def _say(rng: Random, concept: str) -> str:
    return _pick(rng, concept.split("|"))


# ---------------------------------------------------------------------------------------------------- sentiment
# Composition after Polanyi and Zaenen, "Contextual valence shifters" (2006), and Taboada et al., "Lexicon-based methods
# for sentiment analysis" (2011): every word or clause has a valence from about -2 to 2, and what governs it scales it.

BOUNDARIES = (-1.3, -0.45, 0.45, 1.3)
"""Valences between the five classes."""
CLASSES = range(len(BOUNDARIES) + 1)
LABEL_NOISE = 0.03
"""Share of reviews whose class is moved up or down by one, where there is a next, as human annotators' would be."""


def review(rng: Random) -> tuple[tuple[str], float]:
    target = _pick(rng, CLASSES)  # before the sentence, so that the classes are balanced
    text = _remark_of_class(rng, target)
    if rng.random() < LABEL_NOISE:
        target = min(target + 1, CLASSES[-1]) if rng.random() < 0.5 else max(target - 1, CLASSES[0])
    return (text,), float(target)


def review_with_verdict(rng: Random) -> tuple[str, str]:
    """A review and its sum, in a word or in several of one valence: by these, words of like valence can be told."""
    target = _pick(rng, CLASSES)
    valence = float(target - 2)
    one, two, three = (_pick(rng, lexicon.ADJECTIVES[valence]) for _ in range(3))
    if rng.random() < 0.5:
        verdict = f"in short, this is one {one} film."
    else:
        _, past = _pick(rng, lexicon.VERBS.get(valence, ("watch/watched",))).split("/")
        noun = _pick(rng, lexicon.NOUNS.get(valence, ("film",)))
        verdict = f"in short, I {past} this {one}, {two} and {three} {noun}."
    return _remark_of_class(rng, target), verdict


def _remark_of_class(rng: Random, target: int) -> str:
    while True:
        text, valence = _remark(rng)
        if bisect.bisect(BOUNDARIES, valence) == target:
            return f"{text}."


def _remark(rng: Random) -> tuple[str, float]:
    """One clause alone, or two of which one may echo, outweigh or cancel the other."""
    (one, a), (two, b) = _clause(rng), _clause(rng)
    way = rng.random()
    if way < 0.15:
        return _opinion(rng)
    if way < 0.20:
        return f"in this film, a {_pick(rng, lexicon.HEROES)} {_pick(rng, lexicon.QUESTS)}", 0.0
    if way < 0.75:
        if a * b > 0:
            return f"{one} and {two}", (a + b) / 2
        whole = _pick(rng, (f"{one}, but {two}", f"although {one}, {two}", f"{two}, even though {one}"))
        return whole, 0.25 * a + 0.85 * b
    reported = f"they {one[2:]}" if one.startswith("I ") else one
    said = f"{_pick(rng, lexicon.WITNESSES)} {_pick(rng, ('said', 'told me', 'insisted'))} that {reported}"
    if way < 0.83:
        return f"{said}, and they were right", a
    if way < 0.91:
        return f"{said}, but they were wrong", -0.8 * a
    return f"{said}, but I think that {two}", b


def _opinion(rng: Random) -> tuple[str, float]:
    clause, valence = _clause(rng)
    opening = _pick(rng, (*lexicon.OPENINGS, f"in this film about a {_pick(rng, lexicon.HEROES)}"))
    return f"{opening}, {clause}", valence


def _clause(rng: Random) -> tuple[str, float]:
    aspect, kind, negated = _pick(rng, lexicon.ASPECTS), rng.random(), rng.random() < 0.35
    if kind < 0.65:
        table, degrees, negations = lexicon.ADJECTIVES, lexicon.ADJECTIVE_DEGREES, lexicon.NEGATIONS
    elif kind < 0.8:
        table, degrees, negations = lexicon.NOUNS, lexicon.NOUN_DEGREES, lexicon.NEGATIONS
    else:
        table, degrees, negations = lexicon.VERBS, lexicon.VERB_DEGREES, lexicon.VERB_NEGATIONS
    valence = _pick(rng, list(table))
    word = _pick(rng, table[valence])
    negation, flip = _shifter(rng, negations, negated)
    degree, factor = _shifter(rng, degrees, 0.0 if negated else 0.45)
    extent, reach = _shifter(rng, lexicon.EXTENTS, 0.25)
    if table is lexicon.VERBS:
        base, past = word.split("/")
        text = f"I {negation}{degree}{base if negation == 'did not ' else past} the {aspect}"
    else:
        text = f"the {aspect} is {negation}{'a ' if table is lexicon.NOUNS else ''}{degree}{word}"
    return f"{text} {extent}".strip(), valence * flip * factor * reach


def _shifter(rng: Random, table: Mapping[str, float], chance: float) -> tuple[str, float]:
    """A word that scales what it stands with, and its factor; nothing and 1 but for a `chance`."""
    if rng.random() >= chance:
        return "", 1.0
    word = _pick(rng, list(table))
    return f"{word} ", table[word]


# --------------------------------------------------------------------------------------------------- paraphrase
# Two questions are paraphrases where they come from one frame: what is asked, about whom or what, and under which
# circumstances. The traps follow Zhang et al., "PAWS: paraphrase adversaries from word scrambling" (2019).

CIRCUMSTANCES = ("vehicle", "manner", "place", "season")


@dataclass(frozen=True)
class _Frame:
    kind: str
    intent: str
    slots: dict[str, tuple[str, Sequence[str]]]
    """By slot: what is in it, and what else could be."""


def questions(rng: Random) -> tuple[tuple[str, str], float]:
    frame = _frame(rng)
    paraphrase = rng.random() < 0.5
    other = frame if paraphrase else _frame(rng) if rng.random() < 0.2 else _trap(rng, frame)
    return (_ask(rng, frame), _ask(rng, other)), float(paraphrase or other == frame)


def question_asked_twice(rng: Random) -> tuple[str, str]:
    frame = _frame(rng)
    return _ask(rng, frame), _ask(rng, frame)


def _frame(rng: Random) -> _Frame:
    kind = _pick(rng, ("deed", "deed", "deed", "roles", "roles", "route", "rivals"))
    slots: dict[str, tuple[str, Sequence[str]]] = {}
    chances = {"place": 0.5, "season": 0.5}
    if kind == "deed":
        do = _pick(rng, list(lexicon.DEEDS))
        thing = _pick(rng, lexicon.DEEDS[do])
        slots["do"] = do, [other for other, things in lexicon.DEEDS.items() if thing in things]
        slots["thing"] = thing, lexicon.DEEDS[do]
        chances["manner"] = 0.5
    elif kind == "roles":
        slots["do"] = _pick(rng, lexicon.DOINGS), lexicon.DOINGS
        slots |= _two(rng, _pick(rng, lexicon.CREATURES))
    elif kind == "route":
        slots |= _two(rng, lexicon.CITIES)
        chances = {"vehicle": 0.5, "season": 0.5}
    else:
        domain = _pick(rng, range(len(lexicon.RIVALS)))
        slots |= _two(rng, lexicon.RIVALS[domain])
        slots["degree"] = _pick(rng, lexicon.DEGREES[domain]), lexicon.DEGREES[domain]
    tables = {
        "vehicle": lexicon.VEHICLES,
        "manner": lexicon.MANNERS,
        "place": lexicon.PLACES,
        "season": lexicon.SEASONS,
    }
    for circumstance, chance in chances.items():
        if rng.random() < chance:
            slots[circumstance] = _pick(rng, tables[circumstance]), tables[circumstance]
    return _Frame(kind, _pick(rng, list(lexicon.QUESTIONS[kind])), slots)


def _two(rng: Random, options: Sequence[str]) -> dict[str, tuple[str, Sequence[str]]]:
    a = _pick(rng, options)
    return {"a": (a, options), "b": (_pick(rng, [option for option in options if option != a]), options)}


def _trap(rng: Random, frame: _Frame) -> _Frame:
    """Another question in nearly the same words: roles swapped, the intent changed, or what is in one slot."""
    if "a" in frame.slots and rng.random() < 0.25:
        return replace(frame, slots=frame.slots | {"a": frame.slots["b"], "b": frame.slots["a"]})
    if rng.random() < 0.4:
        return replace(frame, intent=_pick(rng, [i for i in lexicon.QUESTIONS[frame.kind] if i != frame.intent]))
    taken = {value for value, _ in frame.slots.values()}
    free = {slot: [option for option in options if option not in taken] for slot, (_, options) in frame.slots.items()}
    slot = _pick(rng, [slot for slot in free if free[slot]])
    return replace(frame, slots=frame.slots | {slot: (_pick(rng, free[slot]), frame.slots[slot][1])})


def _ask(rng: Random, frame: _Frame) -> str:
    words = {slot: _say(rng, value) for slot, (value, _) in frame.slots.items()}
    for slot, names in (("do", ("do", "doing", "done")), ("degree", ("more", "less"))):
        if slot in words:
            words |= dict(zip(names, words[slot].split("/"), strict=False))
    details = "".join(f" {words[circumstance]}" for circumstance in CIRCUMSTANCES if circumstance in words)
    return _pick(rng, lexicon.QUESTIONS[frame.kind][frame.intent]).format(**words, details=details)


# --------------------------------------------------------------------------------------------------- similarity
# The scale is that of Agirre et al., "SemEval-2012 Task 6: semantic textual similarity": 5 is the same meaning, 4 lacks
# a minor detail, 3 differs in something that matters, 2 shares details, 1 the topic, 0 nothing.

WEIGHTS = {"agent": 1.2, "action": 1.8, "thing": 1.4, "place": 0.7, "look": 0.6, "time": 0.5}
"""What a wholly different part of a scene costs."""
MISSING, RELATED, DENIED = 0.5, 0.7, 1.5
"""Shares of that cost: where one scene lacks the part, or has another of the same kind. The cost of a "not"."""


@dataclass(frozen=True)
class _Scene:
    """Who does what to which thing; perhaps who looks how, and where and when."""

    topic: int
    agent: str
    action: str
    thing: str
    look: str | None
    place: str | None
    time: str | None
    denied: bool


def captions(rng: Random) -> tuple[tuple[str, str], float]:
    scene = other = _scene(rng, _pick(rng, range(len(lexicon.SCENES))))
    way = rng.random()
    if way < 0.70:
        for _ in range(_pick(rng, (0, 1, 1, 1, 2, 2, 3))):
            other = _edit(rng, other)
    else:
        other = _scene(rng, scene.topic if way < 0.85 else _pick(rng, range(len(lexicon.SCENES))))
    return (_describe(rng, scene), _describe(rng, other)), _similarity(scene, other)


def scene_told_twice(rng: Random) -> tuple[str, str]:
    scene = _scene(rng, _pick(rng, range(len(lexicon.SCENES))))
    return _describe(rng, scene), _describe(rng, scene)


def _scene(rng: Random, topic: int) -> _Scene:
    agents, actions, things, places = lexicon.SCENES[topic]
    agent = _pick(rng, agents)
    return _Scene(
        topic,
        agent,
        _pick(rng, actions),
        _pick(rng, [thing for thing in things if thing != agent]),
        _pick(rng, lexicon.LOOKS[agents]) if rng.random() < 0.5 else None,
        _pick(rng, places) if rng.random() < 0.6 else None,
        _pick(rng, lexicon.TIMES) if rng.random() < 0.4 else None,
        rng.random() < 0.08,
    )


def _edit(rng: Random, scene: _Scene) -> _Scene:
    """The scene with one thing changed, dropped or added, with roles swapped, or denied."""
    agents, actions, things, places = lexicon.SCENES[scene.topic]
    way = rng.random()
    if way < 0.06:
        return replace(scene, denied=not scene.denied)
    if way < 0.40 and agents is things:
        return replace(scene, agent=scene.thing, thing=scene.agent)
    tables = {"agent": agents, "action": actions, "thing": things}
    tables |= {"look": lexicon.LOOKS[agents], "place": places, "time": lexicon.TIMES}
    part = _pick(rng, list(tables))
    taken = (getattr(scene, part), scene.agent, scene.thing)
    options: list[str | None] = [option for option in tables[part] if option not in taken]
    droppable = part in ("look", "place", "time") and getattr(scene, part) is not None
    return replace(scene, **{part: None if droppable and rng.random() < 0.5 else _pick(rng, options)})


def _similarity(one: _Scene, two: _Scene) -> float:
    cost = DENIED * (one.denied != two.denied)
    cost += sum(weight * _difference(getattr(one, part), getattr(two, part)) for part, weight in WEIGHTS.items())
    return round(max(0.0, 5.0 - cost), 1)


def _difference(a: str | None, b: str | None) -> float:
    if a == b:
        return 0.0
    if a is None or b is None:
        return MISSING
    tables = itertools.chain(*lexicon.SCENES, lexicon.LOOKS.values(), (lexicon.TIMES,))
    return RELATED if any(a in table and b in table for table in tables) else 1.0


def _describe(rng: Random, scene: _Scene) -> str:
    doing, does, done = _say(rng, scene.action).split("/")
    who = _with_article(" ".join(_say(rng, word) for word in (scene.look, scene.agent) if word))
    what = _with_article(_say(rng, scene.thing))
    where, when = (f" {_say(rng, word)}" if word else "" for word in (scene.place, scene.time))
    if scene.denied:
        patterns = (f"{who} is not {doing} {what}{where}{when}.", f"{what} is not being {done} by {who}{where}{when}.")
        return _pick(rng, patterns)
    patterns = [
        f"{who} is {doing} {what}{where}{when}.",
        f"{who} {does} {what}{where}{when}.",
        f"{what} is being {done} by {who}{where}{when}.",
        f"there is {who} {doing} {what}{where}{when}.",
    ]
    if scene.place:
        patterns.append(f"{where.strip()}, {who} is {doing} {what}{when}.")
    return _pick(rng, patterns)


def _with_article(noun: str) -> str:
    return f"{'an' if noun[0] in 'aeiou' else 'a'} {noun}"
