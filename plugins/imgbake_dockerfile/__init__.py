"""Dockerfiles as BuildKit reads them: what a build takes, and which files it can see. Nothing is built here.

    text ──parse──▶ Dockerfile ──listed──▶ Argument: every ARG, and which of them must be given
                        │
     given arguments,   │
     target, platform ──┴──plan──▶ Build: stages, images, secrets, URLs, and what of the context it sees
     bases' configs ────────┘        │
                                     │
     .dockerignore ──read_ignore──▶ Ignore
                                     │
     the context's folder ──▶ Context ──reached──▶ Found: the files, links and folders that it can see

    parsing       lines to instructions: directives, words, heredocs
    expansion     `$name` and its forms; scope: which variables an instruction sees
    checking      which instructions and flags there are
    stages        what is between one FROM and the next; links: what they take from each other
    planning      from the target back to the images, then each stage; taking: each instruction of it
    arguments     what must be given; predefined: what can be given without an ARG;
                  declaring: those of platforms, for builders that have none
    ignoring      ignore files; patterns: as moby matches them; wildcards: as Go does
    context       the folder without what is ignored; reach: what of it the build can see

Everything but `Context`, `read_ignore` and `reached` is pure. A Dockerfile and its context are strangers'
text: whatever is wrong with them is a `DockerfileError` that points at the line.
"""

from imgbake_dockerfile.arguments import Argument, listed, missing, undeclared
from imgbake_dockerfile.build import Base, Bases, Build, Image, Remote, Secret, Seen
from imgbake_dockerfile.context import Context
from imgbake_dockerfile.ignoring import Ignore, parse_ignore, read_ignore
from imgbake_dockerfile.located import DockerfileError
from imgbake_dockerfile.parsing import parse
from imgbake_dockerfile.planning import plan
from imgbake_dockerfile.reach import Found, reached
from imgbake_dockerfile.stages import Stage
from imgbake_dockerfile.syntax import Dockerfile, Heredoc, Instruction

__all__ = [
    "Argument",
    "Base",
    "Bases",
    "Build",
    "Context",
    "Dockerfile",
    "DockerfileError",
    "Found",
    "Heredoc",
    "Ignore",
    "Image",
    "Instruction",
    "Remote",
    "Secret",
    "Seen",
    "Stage",
    "listed",
    "missing",
    "parse",
    "parse_ignore",
    "plan",
    "reached",
    "read_ignore",
    "undeclared",
]
