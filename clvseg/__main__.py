"""``python -m clvseg`` is the command line."""

from clvseg.cli import main

main()
