"""notifications: who is told what, and how."""

from shop import serve

channels = {"ada": "letter", "alan": "teleprinter"}


def answer(key):
    return channels.get(key, "mail")


serve("notifications", answer)
