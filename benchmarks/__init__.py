"""Side-by-side measurements; each module runs with one command."""
