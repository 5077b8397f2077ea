"""The `kithlog` command line."""
