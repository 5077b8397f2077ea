"""Folding, pure: events and rows in, changed rows and timers out. It imports nothing of the projector, and nothing that
reads, writes, waits or looks at a clock."""
