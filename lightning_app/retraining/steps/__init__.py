"""Steps of a cycle: each looks at one state, does what is due, and says what follows."""
