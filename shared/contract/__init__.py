"""The public contract: schemas of what goes over the wire, made from the code, and compared with those released."""
