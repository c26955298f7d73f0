"""accounts: who the customers are."""

from shop import serve

accounts = {"ada": "Ada Lovelace", "alan": "Alan Turing"}


def answer(key):
    return accounts.get(key, "nobody")


serve("accounts", answer)
