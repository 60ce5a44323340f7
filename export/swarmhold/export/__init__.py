"""From a trained run to a sealed bundle, and the demo that shows the whole line."""
