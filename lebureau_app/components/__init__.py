"""What is seen, in parts. Components take data, never a state of a page."""
