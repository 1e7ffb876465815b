"""Off-policy estimates: what a policy that was not run would have earned."""
