"""`python -m rt4d` is `rt4d`."""

from rt4d.cli import main

main()
