"""`python -m lebureau_app` is the command `lebureau`."""

from lebureau_app.cli import main

main()
