"""The `swarmhold` command: verbs, configuration, and the verbs that every installation has."""
