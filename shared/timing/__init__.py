"""When who is to be told what: policies as data, and the pure functions from facts to timers.

No I/O, no clock, no chance. How a reader of the log uses it, event by event:

1. `recipients(e)`, and all recipients of `assigned_programme(e)`: fold by `evolve_recipient(id, recipient, e)`.
2. `wishing_contact(e)`: fold by `evolve_contact(closed, e)`. `subjects(e)`, and all subjects with that contact among
   their `people`: fold by `evolve(id, subject, e, policies)`, which returns the same object where nothing changed, and
   which must be told who of the people whom the event names (`people`) is closed.
3. For each subject that changed, and all subjects of a recipient who changed: `timers(subject, recipient, policies)`.
   Moving, disarming and rescheduling are nothing but computing this again.
4. The rows to write, and those to delete, are the difference between the `timers` from before and those from after.
   `endings(before, after, policies, e)`: what `e` ended, with the event and its reason to be written; that event, too,
   is folded when it comes back from the log, and keeps the timer from ever coming again.
5. When a row is due and no unseen event stands on its `guards`: `settle(timer, now, recipient, fired_today, policies)`.
   What it puts off is looked at again `in_turn`.

`explain(subject, recipient, policies)` tells why and why not. `SUBJECT`, `RECIPIENT`, `TIMER` write and read JSON.
"""
