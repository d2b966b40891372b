"""Libraries that durable functions work with, each a module of its own that needs its library."""
