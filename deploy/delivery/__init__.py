"""Mail for what falls due: an example of a delivery service, built on `shared.client` and public interfaces.

It consumes `notification.due` and `notification.withdrawn`, writes them into a ledger of its own, and acknowledges
them. From the ledger a desk sends mail by mail: asks the query API for names and notes, puts what shares a group into
one mail, sends it by SMTP, and reports for each notification how it went, as a command. How often a mail is sent, and
what happens when the process is killed: README.md.
"""
