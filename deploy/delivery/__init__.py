"""Mail for what falls due: an example of a delivery service, built on `shared.client` and public interfaces.

It consumes `notification.due` and `notification.withdrawn`, asks the query API for names and notes, sends a mail by
SMTP and reports back how it went, as a command.

**How often a mail is sent.** Before the message's data go out, the intent is on disk; after the server's answer, the
result is. What happens before that, and every refusal, is known: the mail was not taken, and trying again is safe. Only
who is killed, or loses the connection, between the last byte and the answer can't know whether the server has it.
SMTP has no way to ask. `KITHLOG_DELIVERY_WHEN_UNSURE` decides: `never` (default) sends no second time and reports the
notification as failed; `again` sends once more with the same `Message-ID`, by which mail servers and readers may tell
the double. In all other cases: once.
"""
