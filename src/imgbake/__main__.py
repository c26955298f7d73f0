"""`python -m imgbake`."""

from imgbake.cli import main

main()
