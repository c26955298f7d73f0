"""A process that has everything loaded and waits: commands are handed to it, and start at once.

`imgbake serve` is the server. Whoever types a command that has something to do finds its socket (`place`)
and hands over all that a command is given (`asking`): words, folder, environment, and open files. The
server forks (`server`), and the fork becomes the command, as if it had been started there. What can't be
handed over, such as limits and namespaces, must be the same on both sides (`circumstances`); otherwise, and
where nobody serves, the command is carried out where it was typed.

On the connection, numbers little endian:

    client    length of the request (4 bytes), with all open files; the request, in Python's own format:
              words, cwd, env, numbers (of the files), streams (encoding and errors of stdin, stdout and
              stderr), circumstances
    server    T, once the fork has become the command
    client    a byte for each signal that it gets, its number; the end of the connection is a hang-up
    server    E, and how the fork ended (2 bytes): an exit code, or the negative number of a signal

Client and server are the same imgbake and the same Python: their place says so.
"""

LENGTH = "<I"
TAKEN = b"T"
ENDED = "<ch"  # b"E", and the number
