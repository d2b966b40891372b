"""Crash tests with real processes: one module per campaign."""
