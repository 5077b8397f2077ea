"""The pure core: what may happen around an informational interview, and what follows.

Nothing here performs I/O, reads a clock or draws an id: time and ids enter with the command.
"""
