"""currency: what a price is in other money."""

from shop import serve

rates = {"EUR": 1.0, "GBP": 0.86, "USD": 1.09}


def answer(key):
    return rates.get(key)


serve("currency", answer)
