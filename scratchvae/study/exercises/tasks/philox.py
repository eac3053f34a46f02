"""philox: a random generator that either is exactly right or is another one."""

from .... import rng
from ..exam import Wrong

TITLE = "Philox4x32-10"
EQUATIONS = ("E1",)
WRITE = ("philox",)
HINTS = (
    "Start with one round and a key of 0. Two of the four words are multiplied; each product has 64 bits, of which the "
    "upper half goes one way and the lower half another.",
    "The upper halves are mixed, by exclusive or, with a word that was not multiplied and with a word of the key; the lower "
    "halves stay as they are. All four new words are made from the four old ones: Python can assign them at once.",
    "Between two rounds the key grows, each word by its own constant, modulo 2 to the 32. The first round uses the key as "
    "it was given.",
)
COUNTERS = [(0, 0, 0, 0), (1, 0, 0, 0), (0, 1, 0, 0), (0, 0, 1, 0), (0, 0, 0, 1), (0x243F6A88, 0x85A308D3, 0x13198A2E, 0x03707344)]
KEYS = [(0, 0), (1, 0), (0, 1), (0xA4093822, 0x299F31D0)]
# Random123's known answers for philox4x32 with ten rounds: counter, key, words.
KNOWN = [
    ((0, 0, 0, 0), (0, 0), (0x6627E8D5, 0xE169C58D, 0xBC57AC4C, 0x9B00DBD8)),
    ((0xFFFFFFFF,) * 4, (0xFFFFFFFF,) * 2, (0x408F276D, 0x41C83B0E, 0xA20BC7C6, 0x6D5451FD)),
    (COUNTERS[-1], KEYS[-1], (0xD16CFE09, 0x94FDCCEB, 0x5001E420, 0x24126EA1)),
]


def reference(counter, key, rounds=10):
    return tuple(int(word) for word in rng.philox(counter, key, rounds))


def run(exam, counter, key, *rounds):
    """The student's four words. Raises Wrong when they are no words at all."""
    got = exam.call("philox", counter, key, *rounds, inputs=("counter", "key", "rounds")[: 2 + len(rounds)])
    if got is None:
        raise Wrong("nothing came back: is a `return` missing?")
    try:
        words = tuple(int(word) for word in got)
    except (TypeError, ValueError):
        words = ()
    if len(words) != 4:
        raise Wrong("should return four integers")
    outside = [i for i, word in enumerate(words) if not 0 <= word < 2**32]
    if outside:
        raise Wrong(f"word {outside[0]} does not fit in 32 bits: keep the lower 32 of every result")
    return words


def one_round(exam):
    for key in KEYS:
        for counter in COUNTERS:
            expected, got = reference(counter, key, 1), run(exam, counter, key, 1)
            if got == expected:
                continue
            where = f"one round, counter {_hex(counter)}, key {_hex(key)}"
            if sorted(got) == sorted(expected) and len(set(expected)) > 2:
                raise Wrong("the four words are right, but stand in another order", where)
            if got == reference(counter, ((key[0] + 0x9E3779B9) % 2**32, (key[1] + 0xBB67AE85) % 2**32), 1):
                raise Wrong("the key has grown before the first round, which should use it as it was given", where)
            wrong = [i for i in range(4) if got[i] != expected[i]]
            lines = [f"word {', '.join(map(str, wrong))} of 0 to 3 {'is' if len(wrong) == 1 else 'are'} wrong", where]
            if any(key) and all(got[i] ^ expected[i] in (key[0], key[1], key[0] ^ key[1]) for i in wrong):
                lines.insert(0, "the key is not mixed in, or not into the right words")
            elif got == counter:
                lines.insert(0, "the counter came back unchanged")
            raise Wrong(*lines)
    return f"{len(COUNTERS) * len(KEYS)} cases"


def more_rounds(exam):
    for rounds in (0, 2, 3, 10):
        for key in KEYS:
            counter = COUNTERS[-1]
            expected, got = reference(counter, key, rounds), run(exam, counter, key, rounds)
            if got != expected:
                words = f"is wrong for {rounds} rounds, though right for one"
                if got == _same_key(counter, key, rounds):
                    raise Wrong(f"{words}: the key should grow between two rounds")
                raise Wrong(f"{words}: does the key grow between two rounds, by the right constants, modulo 2 to the 32?")
    return "0, 2, 3 and 10"


def known_answers(exam):
    for counter, key, expected in KNOWN:
        if run(exam, counter, key) != expected:
            raise Wrong(f"counter {_hex(counter)} and key {_hex(key)} do not give the published words: are ten rounds the default?")
    return "the published ones, with the default of ten rounds"


def _same_key(counter, key, rounds):
    for _ in range(rounds):
        counter = reference(counter, key, 1)
    return counter


def _hex(words):
    return " ".join(f"{word:08X}" for word in words)


def examine(exam):
    exam.layer("philox", "one round", lambda: one_round(exam))
    exam.layer("philox", "more rounds", lambda: more_rounds(exam), exam.failed("philox"))
    exam.layer("philox", "known answers", lambda: known_answers(exam), exam.failed("philox"))
