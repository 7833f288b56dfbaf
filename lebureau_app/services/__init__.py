"""The rules. One module a noun; the only code that writes to the database.

Every module is of one anatomy: reading functions first, then changing ones, private helpers last.
A changing function takes the caller first, checks what the caller may do, and opens its own
`writing()` block; what happened is emitted as an event inside it.
"""
