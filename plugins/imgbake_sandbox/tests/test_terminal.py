"""A terminal for a person in a sandbox."""

from __future__ import annotations

import fcntl
import os
import pty
import select
import struct
import subprocess
import termios
import time

import pytest

from imgbake_sandbox.spec import Command
from imgbake_sandbox.tests.sandboxes import Sandbox


class Person:
    """Somebody at a terminal, who types and reads."""

    def __init__(self, sandbox: Sandbox, user: str = "") -> None:
        self.master, slave = pty.openpty()
        fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", 33, 77, 0, 0))
        self.before = termios.tcgetattr(slave)
        spec = sandbox.spec(commands=(Command(("/bin/sh",)),), tty=True, user=user, env={"PS1": "> "})
        self.slave = slave
        self.process: subprocess.Popen[str] = sandbox.start(spec, stdin=slave, stdout=slave, stderr=slave)
        self.seen = ""

    def types(self, text: str) -> None:
        os.write(self.master, text.encode())

    def reads(self, text: str) -> bool:
        """Waits until this can be read."""
        end = time.monotonic() + 20
        while text not in self.seen and time.monotonic() < end:
            if select.select([self.master], [], [], 0.1)[0]:
                self.seen += os.read(self.master, 4096).decode()
        return text in self.seen

    def leaves(self) -> int:
        self.types("exit 5\n")
        return self.process.wait(timeout=20)

    def close(self) -> None:
        self.process.kill()
        self.process.wait()
        os.close(self.master)
        os.close(self.slave)


def test_a_person_can_work_in_a_sandbox(sandbox: Sandbox) -> None:
    person = Person(sandbox, "app" if sandbox.has_users else "")
    try:
        assert person.reads("> ")
        person.types("tty; stty size; id -u\n")
        assert person.reads("/dev/pts/0")
        assert person.reads("33 77")
        person.types("sleep 100\n")
        time.sleep(0.3)
        person.types("\x03")
        person.types("echo code $?\n")
        assert person.reads("code 130")
        assert person.leaves() == 5
        assert termios.tcgetattr(person.slave) == person.before
    finally:
        person.close()


def test_the_size_of_the_terminal_is_followed(one_sandbox: Sandbox) -> None:
    person = Person(one_sandbox)
    try:
        assert person.reads("> ")
        fcntl.ioctl(person.slave, termios.TIOCSWINSZ, struct.pack("HHHH", 11, 22, 0, 0))
        os.kill(person.process.pid, 28)
        time.sleep(0.2)
        person.types("stty size\n")
        assert person.reads("11 22")
        assert person.leaves() == 5
    finally:
        person.close()


def test_the_terminal_outside_is_not_inside(one_sandbox: Sandbox) -> None:
    person = Person(one_sandbox)
    try:
        assert person.reads("> ")
        outer = os.ttyname(person.slave)
        person.types("ls -l /proc/self/fd/0 /proc/self/fd/1 /proc/self/fd/2; echo all\n")
        assert person.reads("\nall")
        assert person.seen.count("/dev/pts/0") == 3
        if outer != "/dev/pts/0":
            assert outer not in person.seen
    finally:
        person.close()


def test_a_terminal_needs_one_outside(one_sandbox: Sandbox) -> None:
    outcome = one_sandbox.run("true", tty=True)
    assert (outcome.code, outcome.out) == (125, "sandbox: standard input and output are no terminal\n")


def test_what_fails_before_the_terminal_is_there_is_said(one_sandbox: Sandbox) -> None:
    master, slave = pty.openpty()
    try:
        spec = one_sandbox.spec("true", tty=True, lowers=(one_sandbox.place / "gone",))
        process = one_sandbox.start(spec, stdin=slave, stdout=slave, stderr=slave)
        assert process.wait(timeout=20) == 125
        assert "can't be opened" in os.read(master, 4096).decode()
    finally:
        os.close(master)
        os.close(slave)


@pytest.fixture(autouse=True)
def a_terminal_can_be_had() -> None:
    try:
        for descriptor in pty.openpty():
            os.close(descriptor)
    except OSError:
        pytest.skip("no terminals here")
