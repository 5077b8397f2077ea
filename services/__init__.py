"""The processes of Kithlog: each composes the shared pieces and adds its edges."""
