"""coupons: who pays less."""

from shop import serve

coupons = {"TENOFF": 10, "SPRING": 15}


def answer(key):
    return coupons.get(key, 0)


serve("coupons", answer)
