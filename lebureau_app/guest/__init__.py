"""How we speak with a desktop from outside."""
