"""Sources of graphs: tables of a user, published sets and bundled ones, checked when they are read."""
