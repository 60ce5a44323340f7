"""Flight recordings and the report made of them."""
