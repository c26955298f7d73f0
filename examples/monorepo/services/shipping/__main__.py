"""shipping: how it gets there."""

from shop import serve

days = {"GB": 2, "FR": 3, "NZ": 9}


def answer(key):
    return days.get(key, 14)


serve("shipping", answer)
