"""Recordings of flights as data to learn from: built, checked, read, described."""
