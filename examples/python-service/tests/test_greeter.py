import unittest

from greeter import application


def ask(query):
    statuses = []
    body = b"".join(application({"QUERY_STRING": query}, lambda status, headers: statuses.append(status)))
    return statuses, body.decode()


class Greeting(unittest.TestCase):
    def test_a_name_is_greeted(self):
        self.assertEqual(ask("name=Ada"), (["200 OK"], "Hello, Ada!\n"))

    def test_without_a_name_it_is_the_world(self):
        self.assertEqual(ask(""), (["200 OK"], "Hello, world!\n"))
