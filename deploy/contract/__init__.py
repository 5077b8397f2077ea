"""The documents of the public contract, and the command that writes and checks them.

python -m deploy.contract check    what the code breaks of the committed documents
python -m deploy.contract write    write them anew, unless that breaks something
"""
