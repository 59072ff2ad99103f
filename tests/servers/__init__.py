"""Real servers for the tests, each started on loopback, on a free port, in a temporary directory of its own."""
