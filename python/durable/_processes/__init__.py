"""Several processes on one store: one owns it, the others ask it through a Unix socket."""
