"""DDS security of a team: who may publish what, keystore, and whether the middleware can do it."""
