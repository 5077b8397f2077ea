"""How Kithlog is brought up: the launcher for one machine, the image and the compose file for others."""
