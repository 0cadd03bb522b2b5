"""The test kit that every service's tests stand on; the fixtures are in `fixtures`."""
