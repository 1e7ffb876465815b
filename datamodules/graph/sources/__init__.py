"""Graph sources: a user's tables, published graphs and bundled ones, validated when read."""
