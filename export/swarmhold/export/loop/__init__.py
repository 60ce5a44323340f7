"""The loop closed: deploy, record, fine-tune, gate, seal the next version, fly it again."""
