"""Thin views of the environment for the field's usual interfaces."""
