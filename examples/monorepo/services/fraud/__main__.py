"""fraud: who should be looked at twice."""

from shop import serve

watched = {"mallory"}


def answer(key):
    return "look twice" if key in watched else "fine"


serve("fraud", answer)
