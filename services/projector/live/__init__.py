"""The fold that goes on: messages and pages of the log, one after the other, and what other loops of the process may
know of it. It imports `rebuild` to reckon timers anew, `storing` and `folding`."""
