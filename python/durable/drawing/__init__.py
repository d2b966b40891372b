"""Runs drawn as text, for the command line and for the messages of tests that failed."""
