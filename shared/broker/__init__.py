"""The broker's side of the log: what is declared there, how events travel, how they are published."""
