"""Structure of pairs of nodes: features for link prediction, and the decoder over them."""
