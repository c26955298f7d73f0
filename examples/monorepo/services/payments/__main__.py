"""payments: what was paid."""

from shop import serve

states = ["open", "authorised", "captured", "refunded"]


def answer(key):
    return states[int(key) % len(states)] if key.isdigit() else states[0]


serve("payments", answer)
