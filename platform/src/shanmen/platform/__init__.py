"""All of Shanmen together: the `shanmen` command, its modes and the servers they run on."""
